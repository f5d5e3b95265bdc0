-- What the pipeline's statements cost, by the tag that each of them carries. The pipeline reads these two views; only
-- the owner may look into the account's usage, which tells of everybody's queries.
use role {{ admin_role }};

grant database role snowflake.usage_viewer to role oms_owner;

use role oms_owner;

create or replace view {{ database }}.ops.query_credits copy grants as
select
    cast(convert_timezone('UTC', start_time) as date) as spent_on,
    warehouse_name,
    try_parse_json(query_tag):run_id::varchar as run_id,
    try_parse_json(query_tag):asset::varchar as asset,
    try_parse_json(query_tag):day::varchar as day,
    count(*) as queries,
    sum(credits_attributed_compute) as credits
from snowflake.account_usage.query_attribution_history
where warehouse_name in ({{ warehouse_text }}, 'OMS_DASHBOARDS')
group by all;

create or replace view {{ database }}.ops.warehouse_credits copy grants as
select
    cast(convert_timezone('UTC', start_time) as date) as spent_on,
    warehouse_name,
    sum(credits_used_compute) as compute_credits,
    sum(credits_used_cloud_services) as cloud_services_credits
from snowflake.account_usage.warehouse_metering_history
where warehouse_name in ({{ warehouse_text }}, 'OMS_DASHBOARDS')
group by all;

grant select on view {{ database }}.ops.query_credits to role {{ transformer }};
grant select on view {{ database }}.ops.warehouse_credits to role {{ transformer }};
