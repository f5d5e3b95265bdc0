{{ config(incremental_strategy='affected', unique_key='order_id', meta={'affected': 'int_orders__affected'}) }}
-- depends_on: {{ ref('int_days__before') }}

with orders as (
    select * from {{ ref('int_orders__placed') }}
    where {{ affected_only('order_id', ref('int_orders__affected')) }}
),

items as (
    select * from {{ ref('int_order_items__current') }}
    where {{ affected_only('order_id', ref('int_orders__affected')) }}
),

refunded_returns as (
    select
        order_id,
        line_no,
        sum(quantity) as returned_quantity,
        sum(coalesce(refund_amount, 0)) as returns_value
    from {{ ref('fct_returns') }}
    where is_refunded and {{ affected_only('order_id', ref('int_orders__affected')) }}
    group by order_id, line_no
),

shipments as (
    select * from {{ ref('fct_shipments') }}
    where {{ affected_only('order_id', ref('int_orders__affected')) }}
),

shipment_items as (
    select * from {{ ref('int_shipment_items__current') }}
    where {{ affected_only('order_id', ref('int_orders__affected')) }}
),

first_shipments as (
    {{- first_shipments('shipments', 'shipment_items') -}}
),

valued as (
    select
        items.*,
        case when orders.is_cancelled then 0 else items.quantity - items.cancelled_quantity end as kept_quantity,
        orders.business_day,
        orders.placed_at,
        orders.store_id,
        orders.customer_id,
        orders.currency,
        orders.is_cancelled,
        coalesce(refunded_returns.returned_quantity, 0) as returned_quantity,
        coalesce(refunded_returns.returns_value, 0) as returns_value,
        first_shipments.first_shipped_day,
        first_shipments.first_shipped_store_id
    from items
    inner join orders on items.order_id = orders.order_id
    left join refunded_returns
        on items.order_id = refunded_returns.order_id and items.line_no = refunded_returns.line_no
    left join first_shipments
        on items.order_id = first_shipments.order_id and items.line_no = first_shipments.line_no
),

measured as (
    select
        *,
        quantity * unit_price as gmv,
        (quantity - kept_quantity) * unit_price as cancelled_value,
        case when kept_quantity = 0 then 0 else discount_amount end as discounts
    from valued
),

final as (
    select
        order_id,
        line_no,
        business_day,
        placed_at,
        store_id,
        customer_id,
        product_id,
        currency,
        is_cancelled,
        cast(quantity as bigint) as quantity,
        cast(quantity - kept_quantity as bigint) as cancelled_quantity,
        cast(unit_price as decimal(14, 2)) as unit_price,
        cast(unit_cost as decimal(14, 4)) as unit_cost,
        cast(gmv as decimal(18, 2)) as gmv,
        cast(cancelled_value as decimal(18, 2)) as cancelled_value,
        cast(discounts as decimal(18, 2)) as discounts,
        cast(tax_amount as decimal(18, 2)) as tax_amount,
        cast(returned_quantity as bigint) as returned_quantity,
        cast(returns_value as decimal(18, 2)) as returns_value,
        cast(gmv - cancelled_value - discounts - returns_value as decimal(18, 2)) as net_sales,
        cast(kept_quantity - returned_quantity as bigint) as net_units,
        first_shipped_day,
        first_shipped_store_id,
        updated_at
    from measured
)

select * from final
