{# The window is half-open, [OMS_WINDOW_FROM, OMS_WINDOW_TO), in days of the one calendar. #}

{# First day of the window as ISO text. Read at run time only: the parsed project must not depend on the day. #}
{% macro window_from() %}{{ return(_window_bound('OMS_WINDOW_FROM')) }}{% endmacro %}


{# First day after the window as ISO text. #}
{% macro window_to() %}{{ return(_window_bound('OMS_WINDOW_TO')) }}{% endmacro %}


{% macro _window_bound(variable) %}
    {% set value = env_var(variable, '') if execute else 'unset' %}
    {% if not value %}
        {% do exceptions.raise_compiler_error(
            variable ~ " is not set, so the window to build is unknown. Run dbt through: oms run --day YYYY-MM-DD"
        ) %}
    {% endif %}
    {{ return(value) }}
{% endmacro %}


{% macro _window_label(from, to) %}{{ return('window ' ~ from ~ ' ' ~ to) }}{% endmacro %}


{# Post-hook of every model: a table tagged `window` says which window it holds. #}
{% macro mark_window() %}
    {% if 'window' in model.tags -%}
        comment on table {{ this }} is '{{ _window_label(window_from(), window_to()) }}'
    {%- endif %}
{% endmacro %}


{#
    Refuses to build on rows of another window.

    Checks every table tagged `window` that a selected model reads and this run does not replace, and, before a full
    refresh, that the window spans every landed day. Asks the warehouse only when there is something to check.
#}
{% macro refuse_other_window() %}
    {% if execute %}
        {% set kept = {} %}
        {% for id in selected_resources if id in graph.nodes and graph.nodes[id].resource_type == 'model' %}
            {% for parent in graph.nodes[id].depends_on.nodes if parent in graph.nodes and parent not in selected_resources %}
                {% if 'window' in graph.nodes[parent].tags %}
                    {% do kept.update({graph.nodes[parent].schema ~ '.' ~ graph.nodes[parent].alias: true}) %}
                {% endif %}
            {% endfor %}
        {% endfor %}
        {% if kept %}
            {% set asked = _window_label(window_from(), window_to()) %}
            {% set held = {} %}
            {% for row in run_query(table_comments(kept | list)).rows %}{% do held.update({row[0]: row[1]}) %}{% endfor %}
            {% for table in kept if held.get(table) != asked %}
                {% set window = (held.get(table) or 'window').split(' ') %}
                {% do exceptions.raise_compiler_error(
                    table ~ (" holds [" ~ window[1] ~ ", " ~ window[2] ~ ")" if window | length == 3 else " holds no window")
                    ~ ", not [" ~ window_from() ~ ", " ~ window_to() ~ "). Materialise it for that window first: "
                    ~ _command_for(window_from(), window_to())
                ) %}
            {% endfor %}
        {% endif %}
        {% if flags.FULL_REFRESH %}
            {% set outside = run_query(landed_days_outside(window_from(), window_to())).rows[0] %}
            {% if outside[0] %}
                {% do exceptions.raise_compiler_error(
                    "A full refresh keeps only the window [" ~ window_from() ~ ", " ~ window_to() ~ "), but days from "
                    ~ outside[0] ~ " to " ~ outside[1] ~ " are landed outside it. Widen the window to all landed days: oms rebuild"
                ) %}
            {% endif %}
        {% endif %}
    {% endif %}
{% endmacro %}


{# The command that materialises a window; its `--to` is the last day, included. #}
{% macro _command_for(from, to) %}
    {% set last = (modules.datetime.date.fromisoformat(to) - modules.datetime.timedelta(days=1)).isoformat() %}
    {{ return('oms run --day ' ~ from if from == last else 'oms backfill --from ' ~ from ~ ' --to ' ~ last) }}
{% endmacro %}


{# (`schema.table`, comment) of the given tables. #}
{% macro table_comments(tables) %}{{ return(adapter.dispatch('table_comments', 'oms')(tables)) }}{% endmacro %}

{% macro duckdb__table_comments(tables) %}
    select schema_name || '.' || table_name, comment
    from duckdb_tables()
    where database_name = current_database() and schema_name || '.' || table_name in ('{{ tables | join("', '") }}')
{% endmacro %}

{% macro snowflake__table_comments(tables) %}
    select lower(table_schema || '.' || table_name), comment
    from information_schema.tables
    where lower(table_schema || '.' || table_name) in ('{{ tables | join("', '") | lower }}')
{% endmacro %}


{# First and last landed day outside the window; nulls when there is none. #}
{% macro landed_days_outside(from, to) %}{{ return(adapter.dispatch('landed_days_outside', 'oms')(from, to)) }}{% endmacro %}

{% macro duckdb__landed_days_outside(from, to) %}
    select min(landed_on), max(landed_on)
    from external.registered_files
    where landed_on < date '{{ from }}' or landed_on >= date '{{ to }}'
{% endmacro %}

{% macro snowflake__landed_days_outside(from, to) %}
    select min(landed_on), max(landed_on)
    from (
        {% for table in graph.sources.values() %}
        select landed_on from {{ table.relation_name }}
        {{ 'union all' if not loop.last }}
        {% endfor %}
    ) as landed
    where landed_on < date '{{ from }}' or landed_on >= date '{{ to }}'
{% endmacro %}
