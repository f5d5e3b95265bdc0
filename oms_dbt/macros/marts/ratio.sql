{#
    numerator / denominator as decimal(precision, scale), rounded half away from zero; null unless the denominator is
    positive.

    Exact: integers only, because DuckDB divides decimals as doubles and Snowflake rounds a quotient before it is
    rounded again.

    Args:
        numerator: Integer, or decimal with at most `scale` decimals.
        denominator: Integer.
#}
{% macro ratio(numerator, denominator, precision, scale) -%}
    {%- set n = 'cast((' ~ numerator ~ ') * ' ~ 10 ** scale ~ ' as bigint)' -%}
    {%- set d = 'cast(' ~ denominator ~ ' as bigint)' -%}
    case when {{ d }} > 0 then
        cast(
            cast(sign({{ n }}) * {{ quotient('2 * abs(' ~ n ~ ') + ' ~ d, '2 * ' ~ d) }} as decimal(18, 0))
            * cast({{ '%.*f' % (scale, 10 ** -scale) }} as decimal({{ scale + 1 }}, {{ scale }}))
            as decimal({{ precision }}, {{ scale }})
        )
    end
{%- endmacro %}


{# Whole quotient of two positive integers. #}
{% macro quotient(n, d) -%}{{ return(adapter.dispatch('quotient', 'oms')(n, d)) }}{%- endmacro %}

{% macro default__quotient(n, d) -%}(({{ n }}) - mod({{ n }}, {{ d }})) / ({{ d }}){%- endmacro %}

{% macro duckdb__quotient(n, d) -%}(({{ n }}) // ({{ d }})){%- endmacro %}
