{{ config(
    incremental_strategy='affected',
    unique_key='order_id',
    meta={'affected': ['stg_oms__orders', 'stg_oms__order_items'], 'grain': ['order_id', 'line_no']}
) }}

{{ newest_sets(
    parents=ref('stg_oms__orders'),
    children=ref('stg_oms__order_items'),
    current_parents=ref('int_orders__current'),
    key='order_id'
) }}
