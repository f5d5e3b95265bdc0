{{ config(incremental_strategy='affected', unique_key='customer_id', meta={'affected': 'int_customers__affected'}) }}

with orders as (
    select customer_id, business_day
    from {{ ref('fct_orders') }}
    where not is_cancelled
        and customer_id is not null
        and business_day is not null
        and {{ affected_only('customer_id', ref('int_customers__affected')) }}
),

final as (
    select
        customer_id,
        min(business_day) as first_order_day,
        max(business_day) as last_order_day,
        count(*) as orders,
        {{ month_of('min(business_day)') }} as cohort_month
    from orders
    group by customer_id
)

select * from final
