-- One row per product, at today's prices.
select
    product_id,
    sku,
    product_name,
    category,
    supplier_id,
    retail_price,
    unit_cost,
    currency,
    discontinued_at at time zone 'UTC' as discontinued_at,
    deleted_at at time zone 'UTC' as deleted_at,
    discontinued_at is null and deleted_at is null as is_active,
    created_at at time zone 'UTC' as created_at,
    updated_at at time zone 'UTC' as updated_at
from products
order by product_id
