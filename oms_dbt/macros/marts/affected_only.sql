{#
    Condition that keeps the rows an incremental run recomputes: those whose `column` is in the same-named column of
    `relation`. All rows on a first build or full refresh.
#}
{% macro affected_only(column, relation) -%}
    {% if is_incremental() -%} {{ column }} in (select {{ column }} from {{ relation }}) {%- else -%} true {%- endif %}
{%- endmacro %}
