{{ config(materialized='table', tags=['window']) }}

select business_day from {{ ref('int_days__before') }}

union

{{ days_of_orders(ref('int_orders__affected')) }}
