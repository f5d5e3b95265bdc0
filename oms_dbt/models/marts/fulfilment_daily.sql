{{ config(incremental_strategy='affected', unique_key='business_day', meta={'affected': 'int_days__affected'}) }}

with orders_due as (
    select
        due_day as business_day,
        store_id,
        units_ordered,
        units_shipped_on_time,
        0 as shipments_due,
        0 as shipments_on_time,
        0 as units_shipped,
        0 as units_returned
    from {{ ref('fct_orders') }}
    where due_day is not null
),

shipments_due as (
    select
        due_day as business_day,
        store_id,
        0 as units_ordered,
        0 as units_shipped_on_time,
        1 as shipments_due,
        case when is_on_time then 1 else 0 end as shipments_on_time,
        0 as units_shipped,
        0 as units_returned
    from {{ ref('fct_shipments') }}
    where is_due
),

shipments_shipped as (
    select
        business_day,
        store_id,
        0 as units_ordered,
        0 as units_shipped_on_time,
        0 as shipments_due,
        0 as shipments_on_time,
        units as units_shipped,
        0 as units_returned
    from {{ ref('fct_shipments') }}
    where business_day is not null and status <> 'cancelled'
),

returns_received as (
    select
        ship_cohort_day as business_day,
        ship_cohort_store_id as store_id,
        0 as units_ordered,
        0 as units_shipped_on_time,
        0 as shipments_due,
        0 as shipments_on_time,
        0 as units_shipped,
        quantity as units_returned
    from {{ ref('fct_returns') }}
    where is_received and ship_cohort_day is not null
),

movements as (
    select * from orders_due
    where {{ affected_only('business_day', ref('int_days__affected')) }}
    union all
    select * from shipments_due
    where {{ affected_only('business_day', ref('int_days__affected')) }}
    union all
    select * from shipments_shipped
    where {{ affected_only('business_day', ref('int_days__affected')) }}
    union all
    select * from returns_received
    where {{ affected_only('business_day', ref('int_days__affected')) }}
),

summed as (
    select
        business_day,
        store_id,
        sum(units_ordered) as units_ordered,
        sum(units_shipped_on_time) as units_shipped_on_time,
        sum(shipments_due) as shipments_due,
        sum(shipments_on_time) as shipments_on_time,
        sum(units_shipped) as units_shipped,
        sum(units_returned) as units_returned
    from movements
    group by business_day, store_id
),

final as (
    select
        business_day,
        store_id,
        cast(units_ordered as bigint) as units_ordered,
        cast(units_shipped_on_time as bigint) as units_shipped_on_time,
        {{ ratio('units_shipped_on_time', 'units_ordered', 9, 4) }} as fill_rate,
        cast(shipments_due as bigint) as shipments_due,
        cast(shipments_on_time as bigint) as shipments_on_time,
        {{ ratio('shipments_on_time', 'shipments_due', 9, 4) }} as on_time_rate,
        cast(units_shipped as bigint) as units_shipped,
        cast(units_returned as bigint) as units_returned,
        {{ ratio('units_returned', 'units_shipped', 9, 4) }} as return_rate
    from summed
)

select * from final
