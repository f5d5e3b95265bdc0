{{ config(incremental_strategy='affected', unique_key='customer_id', meta={'affected': 'int_customers__affected'}) }}

with

-- The row as committed stands for all versions landed before.
versions as (
    select
        customer_id, email, full_name, phone, city, region, country, marketing_opt_in, deleted_at, created_at,
        updated_at, extracted_at
    from {{ ref('stg_oms__customers') }}
    {%- if is_incremental() %}

    union all

    select
        customer_id, email, full_name, phone, city, region, country, marketing_opt_in, deleted_at, created_at,
        updated_at, extracted_at
    from {{ this }}
    where {{ affected_only('customer_id', ref('int_customers__affected')) }}
    {%- endif %}
),

newest as (
    select *
    from versions
    qualify row_number() over (partition by customer_id order by updated_at desc, extracted_at desc) = 1
),

orders as (
    select * from {{ ref('int_customers__orders') }}
    where {{ affected_only('customer_id', ref('int_customers__affected')) }}
),

final as (
    select
        newest.customer_id,
        newest.email,
        newest.full_name,
        newest.phone,
        newest.city,
        newest.region,
        newest.country,
        newest.marketing_opt_in,
        newest.deleted_at,
        newest.deleted_at is not null as is_deleted,
        orders.first_order_day,
        orders.last_order_day,
        coalesce(orders.orders, 0) as orders,
        newest.created_at,
        newest.updated_at,
        newest.extracted_at
    from newest
    left join orders on newest.customer_id = orders.customer_id
)

select * from final
