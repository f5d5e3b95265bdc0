{{ config(materialized='table') }}

with activity as (
    select * from {{ ref('int_cohort_activity') }}
),

cohorts as (
    select cohort_month, count(*) as cohort_customers
    from {{ ref('int_customers__orders') }}
    group by cohort_month
),

cumulated as (
    select
        activity.*,
        cohorts.cohort_customers,
        sum(activity.net_sales) over (
            partition by activity.cohort_month, activity.currency
            order by activity.activity_month
            rows between unbounded preceding and current row
        ) as cumulative_net_sales
    from activity
    inner join cohorts on activity.cohort_month = cohorts.cohort_month
),

final as (
    select
        cohort_month,
        cast(
            (extract(year from activity_month) - extract(year from cohort_month)) * 12
            + extract(month from activity_month) - extract(month from cohort_month) as integer
        ) as months_since_first,
        currency,
        cast(cohort_customers as bigint) as cohort_customers,
        cast(active_customers as bigint) as active_customers,
        cast(retained_customers as bigint) as retained_customers,
        {{ ratio('active_customers', 'cohort_customers', 9, 4) }} as retention,
        cast(net_sales as decimal(18, 2)) as net_sales,
        cast(cumulative_net_sales as decimal(18, 2)) as cumulative_net_sales,
        {{ ratio('cumulative_net_sales', 'cohort_customers', 18, 2) }} as ltv
    from cumulated
)

select * from final
