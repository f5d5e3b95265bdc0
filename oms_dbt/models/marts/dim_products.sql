{{ config(incremental_strategy='newest', unique_key='product_id') }}

with products as (
    select * from {{ ref('stg_oms__products') }}
),

final as (
    select
        product_id,
        sku,
        product_name,
        category,
        supplier_id,
        retail_price,
        unit_cost,
        currency,
        discontinued_at,
        deleted_at,
        discontinued_at is null and deleted_at is null as is_active,
        created_at,
        updated_at,
        extracted_at
    from products
    qualify row_number() over (
        partition by product_id
        order by updated_at desc, extracted_at desc, landed_on desc
    ) = 1
)

select * from final
