{{ config(incremental_strategy='newest', unique_key='order_id') }}

with orders as (
    select * from {{ ref('stg_oms__orders') }}
),

final as (
    select * exclude (landed_on)
    from orders
    qualify row_number() over (
        partition by order_id
        order by updated_at desc, extracted_at desc, landed_on desc
    ) = 1
)

select * from final
order by order_id
