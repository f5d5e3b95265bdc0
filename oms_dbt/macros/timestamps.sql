{# What differs between the warehouses about time. All timestamps in the models are UTC and carry no zone. #}

{# An instant (`timestamptz`) as UTC timestamp. #}
{% macro utc(instant) %}{{ return(adapter.dispatch('utc', 'oms')(instant)) }}{% endmacro %}

{% macro duckdb__utc(instant) %}{{ return("timezone('UTC', " ~ instant ~ ")") }}{% endmacro %}

{% macro snowflake__utc(instant) %}
    {{- return("cast(convert_timezone('UTC', " ~ instant ~ ") as timestamp_ntz)") -}}
{% endmacro %}


{# The calendar day of a UTC timestamp in an IANA time zone; both arguments are SQL expressions. #}
{% macro local_date(utc_timestamp, time_zone) %}
    {{- return(adapter.dispatch('local_date', 'oms')(utc_timestamp, time_zone)) -}}
{% endmacro %}

{% macro duckdb__local_date(utc_timestamp, time_zone) %}
    {{- return("cast(timezone(" ~ time_zone ~ ", timezone('UTC', " ~ utc_timestamp ~ ")) as date)") -}}
{% endmacro %}

{% macro snowflake__local_date(utc_timestamp, time_zone) %}
    {{- return("cast(convert_timezone('UTC', " ~ time_zone ~ ", " ~ utc_timestamp ~ ") as date)") -}}
{% endmacro %}


{# One row per day, `date_day`, from the first ISO day up to but without the last. #}
{% macro calendar_days(first_day, end_day) %}
    {{- return(adapter.dispatch('calendar_days', 'oms')(first_day, end_day)) -}}
{% endmacro %}

{% macro duckdb__calendar_days(first_day, end_day) %}
    select cast(range as date) as date_day
    from range(timestamp '{{ first_day }}', timestamp '{{ end_day }}', interval 1 day)
{% endmacro %}

{% macro snowflake__calendar_days(first_day, end_day) %}
    {%- set iso = modules.datetime.date.fromisoformat -%}
    select dateadd('day', row_number() over (order by null) - 1, date '{{ first_day }}') as date_day
    from table(generator(rowcount => {{ (iso(end_day) - iso(first_day)).days }}))
{% endmacro %}
