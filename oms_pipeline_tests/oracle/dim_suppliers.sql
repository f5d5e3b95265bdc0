-- One row per supplier.
select
    supplier_id,
    supplier_name,
    email,
    lead_time_days,
    deleted_at at time zone 'UTC' as deleted_at,
    deleted_at is null as is_active,
    created_at at time zone 'UTC' as created_at,
    updated_at at time zone 'UTC' as updated_at
from suppliers
order by supplier_id
