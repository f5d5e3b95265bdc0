{{ config(incremental_strategy='newest', unique_key='shipment_id') }}

with shipments as (
    select * from {{ ref('stg_oms__shipments') }}
),

final as (
    select * exclude (landed_on)
    from shipments
    qualify row_number() over (
        partition by shipment_id
        order by updated_at desc, extracted_at desc, landed_on desc
    ) = 1
)

select * from final
order by shipment_id
