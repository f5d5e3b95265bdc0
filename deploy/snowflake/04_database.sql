-- One database, one schema per layer. Staging can be loaded again from the raw zone at any time, so that nobody pays
-- for its past.
use role {{ admin_role }};

create database if not exists {{ database }} comment = 'OMS Pipeline';
grant ownership on database {{ database }} to role oms_owner copy current grants;

use role oms_owner;

create schema if not exists {{ database }}.external comment = 'External tables over the raw zone';
create transient schema if not exists {{ database }}.staging
    data_retention_time_in_days = 0
    comment = 'The window being loaded';
create schema if not exists {{ database }}.intermediate comment = 'Every row as last seen, and what the marts share';
create schema if not exists {{ database }}.marts comment = 'Facts, dimensions and aggregates to report from';
create schema if not exists {{ database }}.ops comment = 'What the pipeline itself does and costs';

-- What each run did, one row per run and layer; instants in UTC.
create table if not exists {{ database }}.ops.pipeline_runs (
    run_id varchar not null,
    job varchar not null,
    first_day date not null,
    last_day date not null,
    layer varchar not null,
    row_count bigint not null,
    seconds double not null,
    started_at timestamp_ntz not null,
    finished_at timestamp_ntz not null
);

-- What was billed, one row per UTC day and what it was for; each run adds the days whose credits are known by then.
create table if not exists {{ database }}.ops.warehouse_cost (
    spent_on date not null,
    spent_for varchar not null,
    credits decimal(18, 6) not null
);
