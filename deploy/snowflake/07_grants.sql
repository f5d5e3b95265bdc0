-- Least privilege. What the pipeline makes it owns; the reporter's future grants let a new or rebuilt mart be read at
-- once.
use role {{ admin_role }};

grant usage on warehouse {{ warehouse }} to role {{ transformer }};
grant usage on warehouse oms_dashboards to role oms_reporter;

use role oms_owner;

grant usage on database {{ database }} to role oms_loader;
grant usage on schema {{ database }}.external to role oms_loader;
grant create table, create external table on schema {{ database }}.external to role oms_loader;
grant usage on stage {{ database }}.external.raw to role oms_loader;
grant usage on file format {{ database }}.external.parquet to role oms_loader;

grant select, insert, update on table {{ database }}.external.held_windows to role {{ transformer }};

grant usage, create table, create view on schema {{ database }}.staging to role {{ transformer }};
grant usage, create table, create view on schema {{ database }}.intermediate to role {{ transformer }};
grant usage, create table, create view on schema {{ database }}.marts to role {{ transformer }};

grant usage on schema {{ database }}.ops to role {{ transformer }};
grant select, insert on table {{ database }}.ops.pipeline_runs to role {{ transformer }};
grant select, insert, delete on table {{ database }}.ops.warehouse_cost to role {{ transformer }};

grant usage on database {{ database }} to role oms_reporter;
grant usage on schema {{ database }}.marts to role oms_reporter;
grant usage on schema {{ database }}.ops to role oms_reporter;
grant select on table {{ database }}.ops.pipeline_runs to role oms_reporter;
grant select on table {{ database }}.ops.warehouse_cost to role oms_reporter;

-- Future grants may be given by whoever may manage grants, which the owner of a database may not.
use role {{ admin_role }};

grant select on all tables in schema {{ database }}.marts to role oms_reporter;
grant select on all views in schema {{ database }}.marts to role oms_reporter;
grant select on future tables in schema {{ database }}.marts to role oms_reporter;
grant select on future views in schema {{ database }}.marts to role oms_reporter;
