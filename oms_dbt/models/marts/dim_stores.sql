{{ config(incremental_strategy='newest', unique_key='store_id') }}
-- depends_on: {{ ref('int_orders__affected') }}

with stores as (
    select * from {{ ref('stg_oms__stores') }}
),

final as (
    select
        store_id,
        store_name,
        channel,
        timezone,
        city,
        region,
        country,
        closed_on,
        closed_on is null as is_open,
        created_at,
        updated_at,
        extracted_at
    from stores
    qualify row_number() over (
        partition by store_id
        order by updated_at desc, extracted_at desc, landed_on desc
    ) = 1
)

select * from final
