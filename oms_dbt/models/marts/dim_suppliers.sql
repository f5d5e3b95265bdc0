{{ config(incremental_strategy='newest', unique_key='supplier_id') }}

with suppliers as (
    select * from {{ ref('stg_oms__suppliers') }}
),

final as (
    select
        supplier_id,
        supplier_name,
        email,
        lead_time_days,
        deleted_at,
        deleted_at is null as is_active,
        created_at,
        updated_at,
        extracted_at
    from suppliers
    qualify row_number() over (
        partition by supplier_id
        order by updated_at desc, extracted_at desc, landed_on desc
    ) = 1
)

select * from final
