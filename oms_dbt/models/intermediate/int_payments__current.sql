{{ config(incremental_strategy='newest', unique_key='payment_id') }}

with payments as (
    select * from {{ ref('stg_oms__payments') }}
),

final as (
    select * exclude (landed_on)
    from payments
    qualify row_number() over (
        partition by payment_id
        order by updated_at desc, extracted_at desc, landed_on desc
    ) = 1
)

select * from final
order by payment_id
