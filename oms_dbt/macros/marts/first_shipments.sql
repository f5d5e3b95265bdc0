{#
    The first shipment of every order line that left and was not cancelled, lines since deleted included: `order_id`,
    `line_no`, `first_shipped_day` (in the time zone of the store it left from), `first_shipped_store_id`.

    Args:
        shipments: rows of fct_shipments.
        shipment_items: rows of int_shipment_items__current.
#}
{% macro first_shipments(shipments, shipment_items) %}
    select
        {{ shipment_items }}.order_id,
        {{ shipment_items }}.line_no,
        {{ shipments }}.business_day as first_shipped_day,
        {{ shipments }}.store_id as first_shipped_store_id
    from {{ shipment_items }}
    inner join {{ shipments }}
        on {{ shipment_items }}.shipment_id = {{ shipments }}.shipment_id
        and {{ shipment_items }}.order_id = {{ shipments }}.order_id
    where {{ shipments }}.shipped_at is not null and {{ shipments }}.status <> 'cancelled'
    qualify row_number() over (
        partition by {{ shipment_items }}.order_id, {{ shipment_items }}.line_no
        order by {{ shipments }}.shipped_at, {{ shipments }}.shipment_id
    ) = 1
{% endmacro %}
