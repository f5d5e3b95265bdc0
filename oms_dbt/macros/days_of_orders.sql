{#
    The distinct days, `business_day`, to which the facts of some orders count in the daily marts.

    Args:
        affected: a relation with the orders' `order_id`.
        committed: the facts as committed before this run, instead of the facts of this run.
#}
{% macro days_of_orders(affected, committed=false) %}
    {%- set days = {
        'fct_orders': ['business_day', 'due_day'],
        'fct_payments': ['business_day'],
        'fct_shipments': ['business_day', 'due_day'],
        'fct_returns': ['business_day', 'ship_cohort_day'],
    } -%}
    select business_day
    from (select cast(null as date) as business_day) as none_yet
    where business_day is not null
    {%- for fact, columns in days.items() %}
    {%- set relation = as_committed(fact) if committed else ref(fact) %}
    {%- for column in columns if relation %}
    union
    select {{ column }} as business_day
    from {{ relation }}
    where {{ column }} is not null and order_id in (select order_id from {{ affected }})
    {%- endfor %}
    {%- endfor %}
{% endmacro %}
