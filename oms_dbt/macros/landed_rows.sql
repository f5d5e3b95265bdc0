{#
    Every version of a source table landed in the window, typed as the contract says.

    Columns: the contract's in order, `timestamptz` as UTC timestamp; `parent_updated_at` where rows are extracted with
    their parent; `extracted_at` (UTC); `landed_on`. A column that an old file lacks is null; a column that the contract
    lacks is left out.

    Args:
        relation: `source('oms', <table>)`.
#}
{% macro landed_rows(relation) %}
    {% if execute %}
        {% set columns = landed_columns(relation.identifier) %}
        select
            {%- for name, data_type in columns.items() %}
            {{ utc(name) if data_type == 'timestamptz' else 'cast(' ~ name ~ ' as ' ~ data_type ~ ')' }}
            {{- ' as ' ~ name.lstrip('_') }},
            {%- endfor %}
            landed_on
        from {{ adapter.dispatch('landed_window', 'oms')(relation, columns) }}
    {% endif %}
{% endmacro %}


{# Name to PostgreSQL type of every column in the files of a source table; names outside the contract start with `_`. #}
{% macro landed_columns(table) %}
    {% set contract = graph.sources['source.oms.oms.' ~ table] %}
    {% set columns = {} %}
    {% for column in contract.columns.values() %}
        {% do columns.update({column.name: column.data_type}) %}
    {% endfor %}
    {% if contract.config.meta.extract == 'with_parent' %}
        {% do columns.update({'_parent_updated_at': 'timestamptz'}) %}
    {% endif %}
    {% do columns.update({'_extracted_at': 'timestamptz'}) %}
    {{ return(columns) }}
{% endmacro %}


{# Reads the window's files by name: listing a folder of ten years would cost more than the day itself. #}
{% macro duckdb__landed_window(relation, columns) %}
    {% set paths = run_query(
        "select path from external.registered_files where table_name = '" ~ relation.identifier
        ~ "' and landed_on >= date '" ~ window_from() ~ "' and landed_on < date '" ~ window_to()
        ~ "' order by landed_on, path"
    ).columns[0].values() %}
    (
            select
                {%- for name, data_type in columns.items() %}
                cast(null as {{ data_type }}) as {{ name }},
                {%- endfor %}
                cast(null as date) as landed_on
            where false
            {%- if paths %}
            union all by name
            select
                *,
                cast(make_date(year, month, day) as date) as landed_on
            from read_parquet(
                [{% for path in paths %}'{{ path | replace("'", "''") }}'{{ ', ' if not loop.last }}{% endfor %}],
                union_by_name = true,
                hive_partitioning = true,
                hive_types = {'year': bigint, 'month': bigint, 'day': bigint}
            )
            {%- endif %}
        ) as landed
{% endmacro %}

{% macro snowflake__landed_window(relation, columns) %}
    {{ relation }}
        where landed_on >= date '{{ window_from() }}' and landed_on < date '{{ window_to() }}'
{% endmacro %}
