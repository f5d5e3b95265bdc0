{{ config(
    materialized='table',
    tags=['window'],
    meta={'committed': ['fct_orders', 'fct_payments', 'fct_shipments', 'fct_returns']}
) }}
-- Reads the facts as last committed: they run after this model.

{{ days_of_orders(ref('int_orders__affected'), committed=true) }}
