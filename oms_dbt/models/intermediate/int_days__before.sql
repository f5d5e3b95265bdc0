{{ config(materialized='table', tags=['window']) }}
-- Reads the facts as last committed: they run after this model.

{{ days_of_orders(ref('int_orders__affected'), committed=true) }}
