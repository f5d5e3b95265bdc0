{{ config(incremental_strategy='newest', unique_key='return_id') }}

with returns as (
    select * from {{ ref('stg_oms__returns') }}
),

final as (
    select * exclude (landed_on)
    from returns
    qualify row_number() over (
        partition by return_id
        order by updated_at desc, extracted_at desc, landed_on desc
    ) = 1
)

select * from final
order by return_id
