{#
    Views, tables and incremental models on DuckDB. One statement replaces a relation as a whole, and the caller holds one
    transaction around all of them, so there is no backup, no swap and no commit; and rows for a stored table are held
    against that table instead of against the contract. A day takes 170 statements instead of dbt-duckdb's 300, and a
    third less time.
#}

{% materialization view, adapter='duckdb' %}
    {{ return(replace_with('view')) }}
{% endmaterialization %}


{% materialization table, adapter='duckdb' %}
    {{ return(replace_with('table')) }}
{% endmaterialization %}


{% materialization incremental, adapter='duckdb' %}
    {% set stored = load_cached_relation(this) %}
    {% if stored is none or stored.type != 'table' or should_full_refresh() %}
        {{ return(replace_with('table')) }}
    {% endif %}
    {% set landed = make_temp_relation(this) %}
    {{ run_hooks(pre_hooks) }}
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
    {{ run_hooks(post_hooks) }}
    {{ return({'relations': [stored]}) }}
{% endmaterialization %}


{# Makes the model's relation, whatever was there. The contract is checked here; later rows are held against it. #}
{% macro replace_with(type) %}
    {% set existing = load_cached_relation(this) %}
    {{ run_hooks(pre_hooks) }}
    {% if config.get('contract').enforced %}{{ get_assert_columns_equivalent(compiled_code) }}{% endif %}
    {% call statement('main') %}
        {% if existing is not none and existing.type != type %}drop {{ existing.type }} {{ existing }};{% endif %}
        create or replace {{ type }} {{ this }} as (
            {{ compiled_code }}
        )
    {% endcall %}
    {{ run_hooks(post_hooks) }}
    {{ return({'relations': [this.incorporate(type=type)]}) }}
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
                ~ ', but the model now makes it ' ~ (row[2] or 'nothing')
                ~ '. Build it anew from the raw zone: oms rebuild'
            ) %}
        {% endif %}
        {% do columns.append(api.Column.create(row[0], row[1])) %}
    {% endfor %}
    {{ return(columns) }}
{% endmacro %}
