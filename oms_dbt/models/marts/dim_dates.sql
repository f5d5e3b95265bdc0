{{ config(materialized='view') }}

with days as (
    {{ calendar_days('1970-01-01', '2070-01-01') }}
),

parts as (
    select
        date_day,
        cast(extract(year from date_day) as integer) as year,
        cast(extract(quarter from date_day) as integer) as quarter,
        cast(extract(month from date_day) as integer) as month,
        {{ month_of('date_day') }} as month_start,
        cast({{ iso_week('date_day') }} as integer) as iso_week,
        cast(extract(day from date_day) as integer) as day_of_month,
        cast({{ iso_weekday('date_day') }} as integer) as iso_weekday
    from days
),

final as (
    select
        date_day,
        year,
        quarter,
        month,
        month_start,
        case month
            {%- for name in ['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September',
                             'October', 'November', 'December'] %}
            when {{ loop.index }} then '{{ name }}'
            {%- endfor %}
        end as month_name,
        iso_week,
        day_of_month,
        iso_weekday,
        case iso_weekday
            {%- for name in ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'] %}
            when {{ loop.index }} then '{{ name }}'
            {%- endfor %}
        end as weekday_name,
        iso_weekday >= 6 as is_weekend
    from parts
)

select * from final
