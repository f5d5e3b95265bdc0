{{ config(
    incremental_strategy='affected',
    unique_key='activity_month',
    meta={'affected': 'int_cohort_months__affected', 'grain': ['cohort_month', 'activity_month', 'currency']}
) }}
-- depends_on: {{ ref('int_cohort_months__affected') }}

with

-- Joined on single days, not on months, so that the warehouse skips the blocks of all other days.
days as (
    select date_day, month_start as activity_month
    from {{ ref('dim_dates') }}
    {% if is_incremental() -%}
    where month_start in (select activity_month from {{ ref('int_cohort_months__affected') }})
    {%- endif %}
),

customers as (
    select customer_id, cohort_month from {{ ref('int_customers__orders') }}
),

activity as (
    select
        customer_id,
        customer_id as active_customer_id,
        business_day,
        currency,
        gmv - cancelled_value - discounts as net_sales
    from {{ ref('fct_orders') }}
    where not is_cancelled

    union all

    select
        customer_id,
        null as active_customer_id,
        business_day,
        currency,
        -refund_amount as net_sales
    from {{ ref('fct_returns') }}
    where is_refunded
),

dated as (
    select
        customers.cohort_month,
        days.activity_month,
        activity.active_customer_id,
        activity.currency,
        activity.net_sales,
        min(case when activity.active_customer_id is not null then activity.currency end) over (
            partition by activity.customer_id, days.activity_month
        ) as first_currency
    from activity
    inner join days on activity.business_day = days.date_day
    inner join customers on activity.customer_id = customers.customer_id
),

final as (
    select
        cohort_month,
        activity_month,
        currency,
        count(distinct active_customer_id) as active_customers,
        count(distinct case when currency = first_currency then active_customer_id end) as retained_customers,
        cast(coalesce(sum(net_sales), 0) as decimal(18, 2)) as net_sales
    from dated
    group by cohort_month, activity_month, currency
)

select * from final
