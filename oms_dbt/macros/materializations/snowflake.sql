{#
    Views, tables and incremental models on Snowflake, where any DDL commits the open transaction and every statement
    costs. So once a relation is there, a run changes it by one DML statement, without a temporary table; the caller
    holds one transaction around all of them, and a day appears in all marts at once or in none.

    Only a relation that is missing, or a full refresh, is made by DDL, each on its own. A view stays as it is until
    then: after a model has changed, `oms rebuild`.
#}

{% materialization view, adapter='snowflake' %}
    {% if is_stored('view') %}{{ return(left_as_it_is()) }}{% endif %}
    {{ return(made_anew('view')) }}
{% endmaterialization %}


{% materialization table, adapter='snowflake' %}
    {% if not is_stored('table') %}{{ return(made_anew('table')) }}{% endif %}
    {% set columns = model.columns.keys() | join(', ') %}
    {{ return(changed_by(
        'insert overwrite into ' ~ this ~ ' (' ~ columns ~ ')\nselect ' ~ columns ~ '\nfrom (\n' ~ compiled_code ~ '\n) as made'
    )) }}
{% endmaterialization %}


{% materialization incremental, adapter='snowflake' %}
    {% if not is_stored('table') %}{{ return(made_anew('table')) }}{% endif %}
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


{# Whether the model's relation is there already, to be changed and not to be made. #}
{% macro is_stored(type) %}
    {% set stored = load_cached_relation(this) %}
    {{ return(stored is not none and stored.type == type and not should_full_refresh()) }}
{% endmacro %}


{% macro made_anew(type) %}
    {% set existing = load_cached_relation(this) %}
    {% if config.get('contract').enforced %}{{ get_assert_columns_equivalent(compiled_code) }}{% endif %}
    {% if existing is not none and existing.type != type %}
        {% do run_query('drop ' ~ existing.type ~ ' ' ~ existing) %}
    {% endif %}
    {% call statement('main') %}
        create or replace {{ 'transient ' if type == 'table' and config.get('transient') }}{{ type }} {{ this }} as (
            {{ compiled_code }}
        )
    {% endcall %}
    {{ return({'relations': [this.incorporate(type=type)]}) }}
{% endmacro %}


{% macro changed_by(dml) %}
    {% call statement('main') %}{{ dml }}{% endcall %}
    {{ return({'relations': [this.incorporate(type='table')]}) }}
{% endmacro %}


{% macro left_as_it_is() %}
    {% do store_raw_result('main', message='unchanged', code='unchanged', rows_affected='0') %}
    {{ return({'relations': [this.incorporate(type='view')]}) }}
{% endmacro %}


{# What is there, asked once for all schemas: the project has few relations, and each question is a statement. #}
{% macro snowflake__show_objects_sql(schema, max_results_per_iter=10000, watermark=none) %}
    show objects in database {{ schema.database }} limit {{ max_results_per_iter }}
{% endmacro %}
