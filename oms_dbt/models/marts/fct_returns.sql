{{ config(incremental_strategy='affected', unique_key='order_id', meta={'affected': 'int_orders__affected'}) }}
-- depends_on: {{ ref('int_days__before') }}

with orders as (
    select * from {{ ref('int_orders__placed') }}
    where {{ affected_only('order_id', ref('int_orders__affected')) }}
),

returns as (
    select * from {{ ref('int_returns__current') }}
    where {{ affected_only('order_id', ref('int_orders__affected')) }}
),

payments as (
    select * from {{ ref('int_payments__current') }}
    where {{ affected_only('order_id', ref('int_orders__affected')) }}
),

items as (
    select * from {{ ref('int_order_items__current') }}
    where {{ affected_only('order_id', ref('int_orders__affected')) }}
),

shipments as (
    select * from {{ ref('fct_shipments') }}
    where {{ affected_only('order_id', ref('int_orders__affected')) }}
),

shipment_items as (
    select * from {{ ref('int_shipment_items__current') }}
    where {{ affected_only('order_id', ref('int_orders__affected')) }}
),

first_shipments as (
    {{- first_shipments('shipments', 'shipment_items') -}}
),

joined as (
    select
        returns.*,
        orders.store_id,
        orders.customer_id,
        orders.currency,
        orders.timezone,
        items.product_id,
        first_shipments.first_shipped_day as ship_cohort_day,
        first_shipments.first_shipped_store_id as ship_cohort_store_id,
        case
            when returns.status = 'refunded'
                then coalesce(payments.occurred_at, returns.received_at, returns.requested_at)
        end as refunded_at
    from returns
    inner join orders on returns.order_id = orders.order_id
    left join payments on returns.order_id = payments.order_id and returns.refund_payment_id = payments.payment_id
    left join items on returns.order_id = items.order_id and returns.line_no = items.line_no
    left join first_shipments
        on returns.order_id = first_shipments.order_id and returns.line_no = first_shipments.line_no
),

final as (
    select
        return_id,
        order_id,
        line_no,
        product_id,
        store_id,
        customer_id,
        currency,
        cast(quantity as bigint) as quantity,
        reason,
        status,
        requested_at,
        received_at,
        refunded_at,
        {{ local_date('refunded_at', 'timezone') }} as business_day,
        ship_cohort_day,
        ship_cohort_store_id,
        cast(refund_amount as decimal(18, 2)) as refund_amount,
        refund_payment_id,
        restocked,
        status in ('received', 'refunded') as is_received,
        status = 'refunded' as is_refunded,
        updated_at
    from joined
)

select * from final
