{{ config(
    materialized='table',
    tags=['window'],
    meta={'committed': ['fct_orders', 'int_customers__orders']}
) }}

{% set committed_orders = as_committed('fct_orders') %}
{% set committed_customers = as_committed('int_customers__orders') %}

with affected as (
    select * from {{ ref('int_orders__affected') }}
),

customers as (
    select customer_id from {{ ref('stg_oms__customers') }}
    union
    select customer_id from {{ ref('int_orders__current') }}
    where order_id in (select order_id from affected)
    {%- if committed_orders %}
    union
    select customer_id from {{ committed_orders }}
    where order_id in (select order_id from affected)
    {%- endif %}
),

final as (
    select
        customers.customer_id,
        {{ 'previous.cohort_month' if committed_customers else 'cast(null as date)' }} as cohort_month_before
    from customers
    {%- if committed_customers %}
    left join {{ committed_customers }} as previous
        on customers.customer_id = previous.customer_id
    {%- endif %}
    where customers.customer_id is not null
)

select * from final
