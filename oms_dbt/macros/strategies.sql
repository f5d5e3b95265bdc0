{#
    Incremental strategies. Both give the same table as a full refresh, whatever order the days come in.

    newest    unique_key. A row replaces the stored one unless it is an older version (updated_at, then extracted_at).
              The model selects one row per key.
    affected  unique_key, meta.affected: the model, or models, that list the keys to recompute. Their stored rows are
              replaced by what the model selects; a key without rows disappears. Unless `is_incremental()`, the model
              computes every key.
#}

{% macro get_incremental_newest_sql(arg_dict) %}
    {% set keys = [arg_dict.unique_key] if arg_dict.unique_key is string else arg_dict.unique_key %}
    {% set columns = arg_dict.dest_columns | map(attribute='name') | list %}
    merge into {{ arg_dict.target_relation }} as stored
    using {{ arg_dict.temp_relation }} as landed
    on {% for key in keys %}stored.{{ key }} = landed.{{ key }}{{ ' and ' if not loop.last }}{% endfor %}
    when matched and (
        landed.updated_at > stored.updated_at
        or (landed.updated_at = stored.updated_at and landed.extracted_at >= stored.extracted_at)
    ) then update set
        {% for column in columns %}{{ column }} = landed.{{ column }}{{ ', ' if not loop.last }}{% endfor %}
    when not matched then insert ({{ columns | join(', ') }})
    values ({% for column in columns %}landed.{{ column }}{{ ', ' if not loop.last }}{% endfor %})
{% endmacro %}

{% macro get_incremental_affected_sql(arg_dict) %}
    {{ return(adapter.dispatch('get_incremental_affected_sql', 'oms')(arg_dict)) }}
{% endmacro %}

{% macro default__get_incremental_affected_sql(arg_dict) %}
    {% set columns = arg_dict.dest_columns | map(attribute='quoted') | join(', ') %}
    delete from {{ arg_dict.target_relation }}
    where {{ arg_dict.unique_key }} in ({{ affected_keys(model) }});
    insert into {{ arg_dict.target_relation }} ({{ columns }})
    select {{ columns }} from {{ arg_dict.temp_relation }}
{% endmacro %}

{# One statement, so that the rows need not be kept between deleting and inserting: a temporary table would be DDL. #}
{% macro snowflake__get_incremental_affected_sql(arg_dict) %}
    {% set columns = arg_dict.dest_columns | map(attribute='name') | list %}
    {% set grain = grain_of(model) %}
    {% set same_row = [] %}
    {% for column in grain %}{% do same_row.append('stored.' ~ column ~ ' = made.' ~ column) %}{% endfor %}
    merge into {{ arg_dict.target_relation }} as stored
    using (
        with made as {{ arg_dict.temp_relation }}

        select {{ columns | join(', ') }}, false as is_gone
        from made
        union all
        select {{ columns | join(', ') }}, true as is_gone
        from {{ arg_dict.target_relation }} as stored
        where stored.{{ arg_dict.unique_key }} in ({{ affected_keys(model) }})
            and not exists (select 1 from made where {{ same_row | join(' and ') }})
    ) as made
    on {{ same_row | join(' and ') }}
    when matched and made.is_gone then delete
    when matched then update set
        {% for column in columns %}{{ column }} = made.{{ column }}{{ ', ' if not loop.last }}{% endfor %}
    when not matched then insert ({{ columns | join(', ') }})
    values ({% for column in columns %}made.{{ column }}{{ ', ' if not loop.last }}{% endfor %})
{% endmacro %}


{# The columns that identify a row: what the model's test `grain` names, else `meta.grain`, else the unique key. #}
{% macro grain_of(node) %}
    {% for test in graph.nodes.values() if test.resource_type == 'test' and test.attached_node == node.unique_id %}
        {% if test.test_metadata.name == 'grain' %}{{ return(test.test_metadata.kwargs.key) }}{% endif %}
    {% endfor %}
    {{ return(node.config.meta.grain or [node.config.unique_key]) }}
{% endmacro %}


{# The keys that a run recomputes in a model of strategy `affected`, from the models its meta names. #}
{% macro affected_keys(node) %}
    {%- set names = node.config.meta.affected -%}
    {%- for name in ([names] if names is string else names) -%}
        select {{ node.config.unique_key }} from {{ relation_of(name) }}
        {{- ' union all ' if not loop.last }}
    {%- endfor -%}
{% endmacro %}


{# The table of a model, without making it a parent. #}
{% macro relation_of(name) %}
    {% set node = graph.nodes['model.oms.' ~ name] %}
    {{ return(api.Relation.create(database=node.database, schema=node.schema, identifier=node.alias)) }}
{% endmacro %}


{#
    The table of a model as it stood before this run, or none: on a first build, a full refresh, or in a unit test.

    It makes no parent, so the graph has no cycle. What reads a model as committed names it in `meta.committed`, and has
    to run before it: write `-- depends_on: {{ ref('<the reading model>') }}` into the model read.
#}
{% macro as_committed(name) %}
    {% if execute and model.resource_type == 'model' and name not in model.config.meta.committed %}
        {% do exceptions.raise_compiler_error(
            model.name ~ " reads " ~ name ~ " as committed. Say so in its config: meta={'committed': ['" ~ name ~ "']}"
        ) %}
    {% endif %}
    {% set known = execute and not flags.FULL_REFRESH and model.resource_type == 'model' %}
    {{ return(load_cached_relation(relation_of(name)) if known else none) }}
{% endmacro %}
