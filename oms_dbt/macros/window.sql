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


{# Post-hook of every model on DuckDB: a table tagged `window` says which window it holds. #}
{% macro mark_window() %}
    {% if 'window' in model.tags -%}
        comment on table {{ this }} is '{{ _window_label(window_from(), window_to()) }}'
    {%- endif %}
{% endmacro %}


{#
    Refuses what would leave the marts wrong: rows of another window, a full refresh without all landed days, and a part
    of the models that cannot be computed apart. Asks the warehouse only when there is something to check.
#}
{% macro refuse_unsafe_run() %}
    {% if execute and not preparing() %}
        {% do refuse_parts() %}
        {% if flags.WHICH in ('run', 'build') %}{% do adapter.dispatch('hold_windows', 'oms')() %}{% endif %}
        {% do refuse_other_window() %}
        {% if flags.FULL_REFRESH %}{% do refuse_partial_refresh() %}{% endif %}
    {% endif %}
{% endmacro %}


{#
    A model that others read as committed, such as a fact whose days are noted before it changes, must run together with
    those readers and everything below them. Otherwise a daily mart keeps what the fact no longer says, for ever.
#}
{% macro refuse_parts() %}
    {% set models = graph.nodes.values() | selectattr('resource_type', 'equalto', 'model') | list %}
    {% for reader in models if reader.config.meta.committed %}
        {% set together = [reader.unique_id] %}
        {% for id in together %}
            {% for model in models if id in model.depends_on.nodes and model.unique_id not in together %}
                {% do together.append(model.unique_id) %}
            {% endfor %}
        {% endfor %}
        {% for name in reader.config.meta.committed if 'model.oms.' ~ name in selected_resources %}
            {% for id in together if id not in selected_resources %}
                {% do exceptions.raise_compiler_error(
                    name ~ " cannot be computed without " ~ graph.nodes[id].name
                    ~ ", which would be wrong from then on. Select " ~ reader.name ~ " and everything below it, or all models: "
                    ~ _command_for(window_from(), window_to())
                ) %}
            {% endfor %}
        {% endfor %}
    {% endfor %}
{% endmacro %}


{# Every table tagged `window` that a selected model reads and this run does not replace holds the window asked for. #}
{% macro refuse_other_window() %}
    {% set kept = {} %}
    {% for id in selected_resources if id.startswith('model.') %}
        {% for parent_id in graph.nodes[id].depends_on.nodes if parent_id not in selected_resources %}
            {% set parent = graph.nodes.get(parent_id) %}
            {% if parent and 'window' in parent.tags %}
                {% do kept.update({parent.schema ~ '.' ~ parent.alias: none}) %}
            {% endif %}
        {% endfor %}
    {% endfor %}
    {% if kept %}
        {% for row in run_query(table_comments(kept | list)).rows %}{% do kept.update({row[0]: row[1]}) %}{% endfor %}
        {% for table, held in kept.items() if held != _window_label(window_from(), window_to()) %}
            {% set window = (held or '').split(' ') %}
            {% do exceptions.raise_compiler_error(
                table ~ " holds "
                ~ ("[" ~ window[1] ~ ", " ~ window[2] ~ ")" if window | length == 3 else "no window")
                ~ ", not [" ~ window_from() ~ ", " ~ window_to() ~ "). Materialise it for that window first: "
                ~ _command_for(window_from(), window_to())
            ) %}
        {% endfor %}
    {% endif %}
{% endmacro %}


{# A full refresh keeps nothing but its window, so the window spans every landed day. #}
{% macro refuse_partial_refresh() %}
    {% set outside = run_query(landed_days_outside(window_from(), window_to())).rows[0] %}
    {% if outside[0] %}
        {% do exceptions.raise_compiler_error(
            "A full refresh keeps only the window [" ~ window_from() ~ ", " ~ window_to() ~ "), but days from "
            ~ outside[0] ~ " to " ~ outside[1] ~ " are landed outside it."
            ~ " Widen the window to all landed days: oms rebuild"
        ) %}
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
    select relation, held
    from external.held_windows
    where relation in ('{{ tables | join("', '") }}')
{% endmacro %}


{#
    Writes down, before the models run, which window their tables hold once the run is committed. On Snowflake a comment
    would be DDL and commit the day half done. Every run writes the row `marts`, so whoever else runs waits here until
    this transaction has ended: it is the one critical section. The session's id in that row is gone as soon as the
    transaction is, so that a run can see, before it commits, whether it is still inside.
#}
{% macro snowflake__hold_windows() %}
    {% set label = _window_label(window_from(), window_to()) %}
    {% set held = [] %}
    {% for id in selected_resources | sort if id.startswith('model.') and 'window' in graph.nodes[id].tags %}
        {% set node = graph.nodes[id] %}
        {% do held.append("union all select '" ~ node.schema ~ '.' ~ node.alias ~ "', '" ~ label ~ "'") %}
    {% endfor %}
    {% do run_query(
        "merge into external.held_windows as stored"
        ~ " using (select 'marts' as relation, current_session() as held " ~ held | join(' ') ~ ") as made"
        ~ " on stored.relation = made.relation"
        ~ " when matched then update set held = made.held"
        ~ " when not matched then insert (relation, held) values (made.relation, made.held)"
    ) %}
{% endmacro %}

{# A table's comment is set after its model, in the same transaction; the file's lock is the critical section. #}
{% macro duckdb__hold_windows() %}{% endmacro %}


{# First and last landed day outside the window; nulls when there is none. #}
{% macro landed_days_outside(from, to) %}
    {{ return(adapter.dispatch('landed_days_outside', 'oms')(from, to)) }}
{% endmacro %}

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
