{{ config(materialized='view') }}

with orders as (
    select * from {{ ref('int_orders__current') }}
),

stores as (
    select store_id, timezone from {{ ref('dim_stores') }}
),

final as (
    select
        orders.*,
        orders.status = 'cancelled' as is_cancelled,
        {{ local_date('orders.placed_at', 'stores.timezone') }} as business_day,
        {{ local_date('orders.promised_ship_by', 'stores.timezone') }} as due_day,
        stores.timezone
    from orders
    left join stores on orders.store_id = stores.store_id
    where orders.status <> 'draft' and not orders.is_test
)

select * from final
