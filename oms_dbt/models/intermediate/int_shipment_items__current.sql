{{ config(
    incremental_strategy='affected',
    unique_key='shipment_id',
    meta={
        'affected': ['stg_oms__shipments', 'stg_oms__shipment_items'],
        'grain': ['shipment_id', 'order_id', 'line_no']
    }
) }}

{{ newest_sets(
    parents=ref('stg_oms__shipments'),
    children=ref('stg_oms__shipment_items'),
    current_parents=ref('int_shipments__current'),
    key='shipment_id'
) }}
