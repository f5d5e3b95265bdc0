{{ config(materialized='table', tags=['window']) }}

with customers_affected as (
    select * from {{ ref('int_customers__affected') }}
),

customers_now as (
    select customer_id, cohort_month from {{ ref('int_customers__orders') }}
),

-- Whoever changes cohort takes along all months of activity.
customers_moved as (
    select customers_affected.customer_id
    from customers_affected
    left join customers_now on customers_affected.customer_id = customers_now.customer_id
    where customers_affected.cohort_month_before is distinct from customers_now.cohort_month
),

days as (
    select business_day from {{ ref('int_days__affected') }}

    union all

    select business_day
    from {{ ref('fct_orders') }}
    where customer_id in (select customer_id from customers_moved)

    union all

    select business_day
    from {{ ref('fct_returns') }}
    where customer_id in (select customer_id from customers_moved)
),

final as (
    select distinct {{ month_of('business_day') }} as activity_month
    from days
    where business_day is not null
)

select * from final
