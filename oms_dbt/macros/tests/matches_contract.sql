{#
    The staged rows keep the contract: keys unique in a landed day, no null where none is allowed, only accepted values.

    Returns one row per kind of violation, with the number of rows; a row that breaks several rules counts once.
#}
{% test matches_contract(model) %}
    {% if execute %}
        {% set contract = graph.sources[graph.nodes['model.oms.' ~ model.identifier].depends_on.nodes[0]] %}
        {% set meta = contract.config.meta %}
        with rows_checked as (
            select
                case
                    {%- for column in contract.columns.values() %}
                    {%- if not column.config.meta.nullable %}
                    when {{ column.name }} is null then '{{ column.name }} is null'
                    {%- endif %}
                    {%- if column.config.meta.accepted %}
                    when {{ column.name }} not in ('{{ column.config.meta.accepted | join("', '") }}')
                        then '{{ column.name }} has a value that is not accepted'
                    {%- endif %}
                    {%- endfor %}
                    {%- if meta.extract == 'with_parent' %}
                    when parent_updated_at is null then 'parent_updated_at is null'
                    {%- endif %}
                    when extracted_at is null then 'extracted_at is null'
                    when landed_on is null then 'landed_on is null'
                end as violation
            from {{ model }}
        ),

        keys_checked as (
            select 'the same key twice in a landed day' as violation
            from {{ model }}
            group by landed_on, {{ meta.primary_key | join(', ') }}
            having count(*) > 1
        )

        select violation, count(*) as row_count from rows_checked where violation is not null group by violation
        union all
        select violation, count(*) as row_count from keys_checked group by violation
    {% endif %}
{% endtest %}
