{{ config(
    materialized='table',
    tags=['window'],
    meta={'committed': ['dim_stores', 'fct_payments', 'fct_shipments', 'fct_returns']}
) }}

{% set committed_stores = as_committed('dim_stores') %}
{% set keys = {'payments': 'payment_id', 'shipments': 'shipment_id', 'returns': 'return_id'} %}

with orders as (
    select * from {{ ref('int_orders__current') }}
),

shipments as (
    select * from {{ ref('int_shipments__current') }}
),

staged_stores as (
    select * from {{ ref('stg_oms__stores') }}
),

staged_shipment_items as (
    select * from {{ ref('stg_oms__shipment_items') }}
),

{% if committed_stores -%}
-- A store's time zone decides the business days of all its orders and shipments, ever.
moved_stores as (
    select staged.store_id
    from staged_stores as staged
    left join {{ committed_stores }} as previous
        on staged.store_id = previous.store_id
    where staged.timezone is distinct from previous.timezone
),

{% endif -%}
final as (
    select order_id from {{ ref('stg_oms__orders') }}
    union
    select order_id from {{ ref('stg_oms__order_items') }}
    union
    select order_id from {{ ref('stg_oms__payments') }}
    union
    select order_id from {{ ref('stg_oms__shipments') }}
    union
    select order_id from {{ ref('stg_oms__returns') }}
    union
    select order_id from staged_shipment_items
    union
    select order_id from shipments
    where shipment_id in (select shipment_id from staged_shipment_items)
    {%- for table, key in keys.items() %}
    {%- set committed = as_committed('fct_' ~ table) %}
    {%- if committed %}
    -- Where it belonged to another order before, that one has lost it.
    union
    select order_id from {{ committed }}
    where {{ key }} in (select {{ key }} from {{ ref('stg_oms__' ~ table) }})
    {%- endif %}
    {%- endfor %}
    {%- if committed_stores %}
    union
    select order_id from orders
    where store_id in (select store_id from moved_stores)
    union
    select order_id from shipments
    where store_id in (select store_id from moved_stores)
    {%- endif %}
)

select * from final
