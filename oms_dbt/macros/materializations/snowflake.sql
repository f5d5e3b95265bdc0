{#
    Views, tables and incremental models on Snowflake, where any DDL commits the open transaction and every statement
    costs. So a run has two parts:

    preparing (OMS_PREPARE is set; only when something is missing or has changed): DDL that makes tables without rows,
    and views. It takes nothing away from a table that is right, so it can be repeated, and done by two runs at once.

    the run itself: one DML statement per table, without a temporary one. The caller holds one transaction around all of
    them, and a day, or a rebuild, appears in all marts at once or in none.
#}

{% materialization view, adapter='snowflake' %}
    {% if not preparing() or (is_stored_as('view') and not should_full_refresh()) %}
        {{ return(left_as_it_is('view')) }}
    {% endif %}
    {{ return(made_anew('view', compiled_code)) }}
{% endmaterialization %}


{% materialization table, adapter='snowflake' %}
    {{ return(prepared_table() if preparing() else overwritten_table()) }}
{% endmaterialization %}


{% materialization incremental, adapter='snowflake' %}
    {% if preparing() %}{{ return(prepared_table()) }}{% endif %}
    {% if should_full_refresh() %}{{ return(overwritten_table()) }}{% endif %}
    {% set columns = [] %}
    {% for name in model.columns %}{% do columns.append(api.Column.create(name, 'any')) %}{% endfor %}
    {% set strategy = adapter.get_incremental_strategy_macro(context, config.require('incremental_strategy')) %}
    {{ return(changed_by(strategy({
        'target_relation': this,
        'temp_relation': '(\n' ~ compiled_code ~ '\n)',
        'unique_key': config.require('unique_key'),
        'dest_columns': columns,
    }))) }}
{% endmaterialization %}


{# Whether this invocation only makes what is missing. #}
{% macro preparing() %}{{ return(env_var('OMS_PREPARE', '') != '') }}{% endmacro %}


{% macro is_stored_as(type) %}
    {% set stored = load_cached_relation(this) %}
    {{ return(stored is not none and stored.type == type) }}
{% endmacro %}


{# A table with the model's columns; one that has them keeps its rows. The caller has compared: see OMS_OUTDATED. #}
{% macro prepared_table() %}
    {% set outdated = env_var('OMS_OUTDATED', '').split(' ') %}
    {% if is_stored_as('table') and model.schema ~ '.' ~ model.alias not in outdated %}
        {{ return(left_as_it_is('table')) }}
    {% endif %}
    {{ return(made_anew('table', 'select * from (\n' ~ compiled_code ~ '\n) as made where false')) }}
{% endmacro %}


{% macro made_anew(type, sql) %}
    {% set stored = load_cached_relation(this) %}
    {% if config.get('contract').enforced %}{{ get_assert_columns_equivalent(compiled_code) }}{% endif %}
    {% if stored is not none and stored.type != type %}
        {% do run_query('drop ' ~ stored.type ~ ' ' ~ stored) %}
    {% endif %}
    {% set kind = ('transient ' if type == 'table' and config.get('transient') else '') ~ type %}
    {# Two first runs at once: the second finds the table there, and leaves the rows that the first has put into it. #}
    {% call statement('main') %}
        {{ 'create ' ~ kind ~ ' if not exists' if stored is none else 'create or replace ' ~ kind }} {{ this }} as (
            {{ sql }}
        )
    {% endcall %}
    {{ return({'relations': [this.incorporate(type=type)]}) }}
{% endmacro %}


{% macro overwritten_table() %}
    {% set columns = model.columns.keys() | join(', ') %}
    {{ return(changed_by(
        'insert overwrite into ' ~ this ~ ' (' ~ columns ~ ')\nselect ' ~ columns ~ '\nfrom (\n' ~ compiled_code ~ '\n) as made'
    )) }}
{% endmacro %}


{% macro changed_by(dml) %}
    {% call statement('main') %}{{ dml }}{% endcall %}
    {{ return({'relations': [this.incorporate(type='table')]}) }}
{% endmacro %}


{% macro left_as_it_is(type) %}
    {% do store_raw_result('main', message='unchanged', code='unchanged', rows_affected='0') %}
    {{ return({'relations': [this.incorporate(type=type)]}) }}
{% endmacro %}


{# What is there, asked once for all schemas: the project has few relations, and each question is a statement. #}
{% macro snowflake__show_objects_sql(schema, max_results_per_iter=10000, watermark=none) %}
    show objects in database {{ schema.database }} limit {{ max_results_per_iter }}
{% endmacro %}


{# `oms snowflake bootstrap` makes the schemas; to look for them would be a statement more. #}
{% macro snowflake__list_schemas(database) %}
    {% set schemas = [] %}
    {% set models = graph.nodes.values() | selectattr('resource_type', 'equalto', 'model') %}
    {% for schema in models | map(attribute='schema') | unique %}
        {% do schemas.append({'name': schema}) %}
    {% endfor %}
    {{ return(schemas) }}
{% endmacro %}
