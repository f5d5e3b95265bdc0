{{ config(incremental_strategy='affected', unique_key='order_id', meta={'affected': 'int_orders__affected'}) }}
-- depends_on: {{ ref('int_days__before') }}
-- depends_on: {{ ref('int_customers__affected') }}

with orders as (
    select * from {{ ref('int_orders__placed') }}
    where {{ affected_only('order_id', ref('int_orders__affected')) }}
),

lines as (
    select
        order_id,
        count(*) as line_count,
        sum(quantity) as units_ordered,
        sum(cancelled_quantity) as units_cancelled,
        sum(gmv) as gmv,
        sum(cancelled_value) as cancelled_value,
        sum(discounts) as discounts
    from {{ ref('fct_order_lines') }}
    where {{ affected_only('order_id', ref('int_orders__affected')) }}
    group by order_id
),

-- From the returns, not from the lines: a line may be deleted after its return.
returns as (
    select order_id, sum(refund_amount) as returns_value
    from {{ ref('fct_returns') }}
    where is_refunded and {{ affected_only('order_id', ref('int_orders__affected')) }}
    group by order_id
),

payments as (
    select order_id, sum(shipping_refunded) as shipping_refunded
    from {{ ref('fct_payments') }}
    where {{ affected_only('order_id', ref('int_orders__affected')) }}
    group by order_id
),

shipments as (
    select
        order_id,
        sum(units) as units_shipped,
        sum(case when is_on_time then units else 0 end) as units_shipped_on_time,
        min(shipped_at) as first_shipped_at,
        max(delivered_at) as last_delivered_at
    from {{ ref('fct_shipments') }}
    where shipped_at is not null
        and status <> 'cancelled'
        and {{ affected_only('order_id', ref('int_orders__affected')) }}
    group by order_id
),

joined as (
    select
        orders.*,
        coalesce(lines.line_count, 0) as line_count,
        coalesce(lines.units_ordered, 0) as units_ordered,
        coalesce(lines.units_cancelled, 0) as units_cancelled,
        coalesce(lines.gmv, 0) as gmv,
        coalesce(lines.cancelled_value, 0) as cancelled_value,
        coalesce(lines.discounts, 0) as discounts,
        coalesce(returns.returns_value, 0) as returns_value,
        case when orders.is_cancelled then 0 else orders.shipping_total end as shipping_charged,
        coalesce(payments.shipping_refunded, 0) as shipping_refunded,
        coalesce(shipments.units_shipped, 0) as units_shipped,
        coalesce(shipments.units_shipped_on_time, 0) as units_shipped_on_time,
        shipments.first_shipped_at,
        shipments.last_delivered_at
    from orders
    left join lines on orders.order_id = lines.order_id
    left join returns on orders.order_id = returns.order_id
    left join payments on orders.order_id = payments.order_id
    left join shipments on orders.order_id = shipments.order_id
),

measured as (
    select
        *,
        gmv - cancelled_value - discounts - returns_value as net_sales
    from joined
),

final as (
    select
        order_id,
        order_number,
        customer_id,
        store_id,
        employee_id,
        currency,
        status,
        business_day,
        placed_at,
        paid_at,
        promised_ship_by,
        due_day,
        cancelled_at,
        cancel_reason,
        is_cancelled,
        customer_id is null as is_guest,
        cast(line_count as bigint) as line_count,
        cast(units_ordered as bigint) as units_ordered,
        cast(units_cancelled as bigint) as units_cancelled,
        cast(gmv as decimal(18, 2)) as gmv,
        cast(cancelled_value as decimal(18, 2)) as cancelled_value,
        cast(discounts as decimal(18, 2)) as discounts,
        cast(returns_value as decimal(18, 2)) as returns_value,
        cast(net_sales as decimal(18, 2)) as net_sales,
        cast(shipping_charged as decimal(18, 2)) as shipping_charged,
        cast(shipping_refunded as decimal(18, 2)) as shipping_refunded,
        cast(net_sales + shipping_charged - shipping_refunded as decimal(18, 2)) as net_revenue,
        cast(tax_total as decimal(18, 2)) as tax_total,
        cast(grand_total as decimal(18, 2)) as grand_total,
        cast(units_shipped as bigint) as units_shipped,
        cast(units_shipped_on_time as bigint) as units_shipped_on_time,
        first_shipped_at,
        last_delivered_at,
        updated_at
    from measured
)

select * from final
