{{ config(incremental_strategy='affected', unique_key='order_id', meta={'affected': 'int_orders__affected'}) }}
-- depends_on: {{ ref('int_days__before') }}

with orders as (
    select * from {{ ref('int_orders__placed') }}
    where {{ affected_only('order_id', ref('int_orders__affected')) }}
),

shipments as (
    select * from {{ ref('int_shipments__current') }}
    where {{ affected_only('order_id', ref('int_orders__affected')) }}
),

items as (
    select shipment_id, order_id, sum(quantity) as units
    from {{ ref('int_shipment_items__current') }}
    where {{ affected_only('order_id', ref('int_orders__affected')) }}
    group by shipment_id, order_id
),

stores as (
    select store_id, timezone from {{ ref('dim_stores') }}
),

joined as (
    select
        shipments.*,
        orders.currency,
        orders.promised_ship_by,
        coalesce(items.units, 0) as units,
        {{ local_date('shipments.shipped_at', 'stores.timezone') }} as business_day,
        {{ local_date('orders.promised_ship_by', 'stores.timezone') }} as due_day,
        {{ local_date('shipments.delivered_at', 'stores.timezone') }} as delivered_on
    from shipments
    inner join orders on shipments.order_id = orders.order_id
    left join items on shipments.shipment_id = items.shipment_id and shipments.order_id = items.order_id
    left join stores on shipments.store_id = stores.store_id
),

final as (
    select
        shipment_id,
        order_id,
        store_id,
        carrier,
        tracking_no,
        status,
        currency,
        cast(cost as decimal(18, 2)) as cost,
        cast(units as bigint) as units,
        shipped_at,
        business_day,
        promised_ship_by,
        due_day,
        due_day is not null and status <> 'cancelled' as is_due,
        coalesce(shipped_at <= promised_ship_by, false) as is_on_time,
        promised_delivery_on,
        delivered_at,
        delivered_on <= promised_delivery_on as is_delivered_on_time,
        updated_at
    from joined
)

select * from final
