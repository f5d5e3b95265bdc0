-- One row per day from 1970-01-01 to 2069-12-31. Names are English.
with days as (
    select day::date as date_day
    from generate_series(timestamp '1970-01-01', timestamp '2069-12-31', interval '1 day') as spine (day)
)

select
    date_day,
    extract(year from date_day)::integer as year,
    extract(quarter from date_day)::integer as quarter,
    extract(month from date_day)::integer as month,
    date_trunc('month', date_day::timestamp)::date as month_start,
    to_char(date_day, 'FMMonth') as month_name,
    extract(week from date_day)::integer as iso_week,
    extract(day from date_day)::integer as day_of_month,
    extract(isodow from date_day)::integer as iso_weekday,
    to_char(date_day, 'FMDay') as weekday_name,
    extract(isodow from date_day) >= 6 as is_weekend
from days
order by date_day
