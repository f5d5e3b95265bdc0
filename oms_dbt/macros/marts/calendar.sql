{# ISO 8601 day of the week, 1 = Monday. #}
{% macro iso_weekday(day) -%}{{ return(adapter.dispatch('iso_weekday', 'oms')(day)) }}{%- endmacro %}

{% macro duckdb__iso_weekday(day) -%}isodow({{ day }}){%- endmacro %}

{% macro snowflake__iso_weekday(day) -%}dayofweekiso({{ day }}){%- endmacro %}


{# ISO 8601 number of the week. #}
{% macro iso_week(day) -%}{{ return(adapter.dispatch('iso_week', 'oms')(day)) }}{%- endmacro %}

{% macro duckdb__iso_week(day) -%}week({{ day }}){%- endmacro %}

{% macro snowflake__iso_week(day) -%}weekiso({{ day }}){%- endmacro %}


{# First day of the month. #}
{% macro month_of(day) -%}cast(date_trunc('month', {{ day }}) as date){%- endmacro %}
