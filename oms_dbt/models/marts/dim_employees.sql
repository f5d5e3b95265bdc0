{{ config(incremental_strategy='newest', unique_key='employee_id') }}

with employees as (
    select * from {{ ref('stg_oms__employees') }}
),

final as (
    select
        employee_id,
        full_name,
        job_title,
        manager_id,
        store_id,
        hired_on,
        left_on,
        left_on is null as is_employed,
        created_at,
        updated_at,
        extracted_at
    from employees
    qualify row_number() over (
        partition by employee_id
        order by updated_at desc, extracted_at desc, landed_on desc
    ) = 1
)

select * from final
