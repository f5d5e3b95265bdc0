{#
    Tables and incremental models on DuckDB, in two to four statements each where dbt-duckdb's own take seven to twelve
    and half of a day's run. It can be so short because a statement replaces a table as a whole, and the caller holds one
    transaction around all of them: no backup, no swap, no commit.
#}

{% materialization table, adapter='duckdb' %}
    {{ run_hooks(pre_hooks) }}
    {% call statement('main') %}{{ replace_table(load_cached_relation(this)) }}{% endcall %}
    {{ run_hooks(post_hooks) }}
    {{ return({'relations': [this.incorporate(type='table')]}) }}
{% endmaterialization %}


{% materialization incremental, adapter='duckdb' %}
    {% set stored = load_cached_relation(this) %}
    {{ run_hooks(pre_hooks) }}
    {% if stored is none or stored.is_view or should_full_refresh() %}
        {% call statement('main') %}{{ replace_table(stored) }}{% endcall %}
    {% else %}
        {% set landed = make_temp_relation(this) %}
        {% do run_query('create temporary table ' ~ landed ~ ' as (' ~ compiled_code ~ '\n)') %}
        {% set strategy = adapter.get_incremental_strategy_macro(context, config.require('incremental_strategy')) %}
        {% call statement('main') %}
            {{ strategy({
                'target_relation': stored,
                'temp_relation': landed,
                'unique_key': config.require('unique_key'),
                'dest_columns': columns_in_common(stored, landed),
            }) }};
            drop table {{ landed }}
        {% endcall %}
    {% endif %}
    {{ run_hooks(post_hooks) }}
    {{ return({'relations': [this.incorporate(type='table')]}) }}
{% endmaterialization %}


{# The model as a table, whatever was there. The contract is checked here: later runs are held against this table. #}
{% macro replace_table(existing) %}
    {% if config.get('contract').enforced %}{{ get_assert_columns_equivalent(compiled_code) }}{% endif %}
    {% if existing is not none and existing.is_view %}drop view {{ existing }};{% endif %}
    create or replace table {{ this }} as (
        {{ compiled_code }}
    )
{% endmacro %}


{# The columns of a stored table and of the rows for it, which must be the same in name and type. #}
{% macro columns_in_common(stored, landed) %}
    {% set columns = [] %}
    {% for row in run_query(
        'select column_name, stored.column_type, landed.column_type from (describe ' ~ stored
        ~ ') as stored full join (describe ' ~ landed ~ ') as landed using (column_name)'
    ).rows %}
        {% if row[1] != row[2] %}
            {% do exceptions.raise_compiler_error(
                stored.schema ~ '.' ~ stored.identifier ~ ' is stored with ' ~ row[0] ~ ' as ' ~ (row[1] or 'nothing')
                ~ ', but the model now makes it ' ~ (row[2] or 'nothing') ~ '. Build it anew from the raw zone: oms rebuild'
            ) %}
        {% endif %}
        {% do columns.append(api.Column.create(row[0], row[1])) %}
    {% endfor %}
    {{ return(columns) }}
{% endmacro %}
