{{ config(incremental_strategy='affected', unique_key='business_day', meta={'affected': 'int_days__affected'}) }}

with orders as (
    select
        business_day,
        store_id,
        currency,
        count(*) as orders,
        sum(case when is_cancelled then 1 else 0 end) as cancelled_orders,
        sum(units_ordered) as units_ordered,
        sum(gmv) as gmv,
        sum(cancelled_value) as cancelled_value,
        sum(discounts) as discounts,
        0 as returns_value,
        sum(shipping_charged) as shipping_charged,
        0 as shipping_refunded,
        sum(case when is_cancelled then 0 else tax_total end) as tax_total
    from {{ ref('fct_orders') }}
    where business_day is not null and {{ affected_only('business_day', ref('int_days__affected')) }}
    group by business_day, store_id, currency
),

returns as (
    select
        business_day,
        store_id,
        currency,
        0 as orders,
        0 as cancelled_orders,
        0 as units_ordered,
        0 as gmv,
        0 as cancelled_value,
        0 as discounts,
        coalesce(sum(refund_amount), 0) as returns_value,
        0 as shipping_charged,
        0 as shipping_refunded,
        0 as tax_total
    from {{ ref('fct_returns') }}
    where is_refunded
        and business_day is not null
        and {{ affected_only('business_day', ref('int_days__affected')) }}
    group by business_day, store_id, currency
),

shipping_refunds as (
    select
        business_day,
        store_id,
        currency,
        0 as orders,
        0 as cancelled_orders,
        0 as units_ordered,
        0 as gmv,
        0 as cancelled_value,
        0 as discounts,
        0 as returns_value,
        0 as shipping_charged,
        sum(shipping_refunded) as shipping_refunded,
        0 as tax_total
    from {{ ref('fct_payments') }}
    where shipping_refunded <> 0
        and business_day is not null
        and {{ affected_only('business_day', ref('int_days__affected')) }}
    group by business_day, store_id, currency
),

movements as (
    select * from orders
    union all
    select * from returns
    union all
    select * from shipping_refunds
),

summed as (
    select
        business_day,
        store_id,
        currency,
        sum(orders) as orders,
        sum(cancelled_orders) as cancelled_orders,
        sum(units_ordered) as units_ordered,
        sum(gmv) as gmv,
        sum(cancelled_value) as cancelled_value,
        sum(discounts) as discounts,
        sum(returns_value) as returns_value,
        sum(gmv) - sum(cancelled_value) - sum(discounts) - sum(returns_value) as net_sales,
        sum(shipping_charged) as shipping_charged,
        sum(shipping_refunded) as shipping_refunded,
        sum(tax_total) as tax_total
    from movements
    group by business_day, store_id, currency
),

final as (
    select
        business_day,
        store_id,
        currency,
        cast(orders as bigint) as orders,
        cast(cancelled_orders as bigint) as cancelled_orders,
        cast(units_ordered as bigint) as units_ordered,
        cast(gmv as decimal(18, 2)) as gmv,
        cast(cancelled_value as decimal(18, 2)) as cancelled_value,
        cast(discounts as decimal(18, 2)) as discounts,
        cast(returns_value as decimal(18, 2)) as returns_value,
        cast(net_sales as decimal(18, 2)) as net_sales,
        cast(shipping_charged as decimal(18, 2)) as shipping_charged,
        cast(shipping_refunded as decimal(18, 2)) as shipping_refunded,
        cast(net_sales + shipping_charged - shipping_refunded as decimal(18, 2)) as net_revenue,
        cast(tax_total as decimal(18, 2)) as tax_total,
        {{ ratio('gmv - cancelled_value - discounts', 'orders - cancelled_orders', 18, 2) }} as aov,
        {{ ratio('cancelled_orders', 'orders', 9, 4) }} as cancellation_rate
    from summed
)

select * from final
