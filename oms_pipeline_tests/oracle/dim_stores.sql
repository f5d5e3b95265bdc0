-- One row per store.
select
    store_id,
    store_name,
    channel,
    timezone,
    city,
    region,
    country,
    closed_on,
    closed_on is null as is_open,
    created_at at time zone 'UTC' as created_at,
    updated_at at time zone 'UTC' as updated_at
from stores
order by store_id
