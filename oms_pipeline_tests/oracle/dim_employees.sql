-- One row per employee, present or past.
select
    employee_id,
    full_name,
    job_title,
    manager_id,
    store_id,
    hired_on,
    left_on,
    left_on is null as is_employed,
    created_at at time zone 'UTC' as created_at,
    updated_at at time zone 'UTC' as updated_at
from employees
order by employee_id
