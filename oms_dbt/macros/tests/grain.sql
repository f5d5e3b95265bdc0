{#
    The key is unique and never null. In a model with meta.affected only the rows that the run recomputed are read, so
    the test costs the same however long the history is.

    Args:
        key: the columns that identify a row.
#}
{% test grain(model, key) %}
    {% if execute %}
        {% set node = graph.nodes['model.oms.' ~ model.identifier] %}
        select {{ key | join(', ') }}, count(*) as row_count
        from {{ model }}
        {%- if node.config.meta.affected %}
        where {{ node.config.unique_key }} in ({{ affected_keys(node) }})
        {%- endif %}
        group by {{ key | join(', ') }}
        having count(*) > 1 or {{ key | join(' is null or ') }} is null
    {% endif %}
{% endtest %}
