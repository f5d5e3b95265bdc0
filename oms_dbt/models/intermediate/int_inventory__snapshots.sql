{{ config(incremental_strategy='affected', unique_key='landed_on', meta={'affected': 'stg_oms__inventory'}) }}

with inventory as (
    select * from {{ ref('stg_oms__inventory') }}
),

final as (
    select
        landed_on,
        store_id,
        product_id,
        on_hand,
        reserved,
        reorder_point,
        extracted_at
    from inventory
)

select * from final
