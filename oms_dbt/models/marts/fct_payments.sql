{{ config(incremental_strategy='affected', unique_key='order_id', meta={'affected': 'int_orders__affected'}) }}
-- depends_on: {{ ref('int_days__before') }}

with orders as (
    select * from {{ ref('int_orders__placed') }}
    where {{ affected_only('order_id', ref('int_orders__affected')) }}
),

payments as (
    select * from {{ ref('int_payments__current') }}
    where {{ affected_only('order_id', ref('int_orders__affected')) }}
),

returns as (
    select * from {{ ref('int_returns__current') }}
    where {{ affected_only('order_id', ref('int_orders__affected')) }}
),

refunds_of_returns as (
    select distinct order_id, refund_payment_id as payment_id
    from returns
    where refund_payment_id is not null
),

joined as (
    select
        payments.*,
        orders.store_id,
        orders.is_cancelled as is_order_cancelled,
        case
            when payments.status <> 'captured' then 0
            when payments.kind = 'charge' then payments.amount
            else -payments.amount
        end as captured_amount,
        {{ local_date('payments.occurred_at', 'orders.timezone') }} as business_day,
        refunds_of_returns.payment_id is not null as is_return_refund,
        payments.currency = orders.currency as is_order_currency
    from payments
    inner join orders on payments.order_id = orders.order_id
    left join refunds_of_returns
        on payments.order_id = refunds_of_returns.order_id
        and payments.payment_id = refunds_of_returns.payment_id
),

final as (
    select
        payment_id,
        order_id,
        store_id,
        kind,
        method,
        status,
        cast(amount as decimal(18, 2)) as amount,
        cast(captured_amount as decimal(18, 2)) as captured_amount,
        cast(
            case
                when kind = 'refund' and is_order_currency and not is_return_refund and not is_order_cancelled
                    then -captured_amount
                else 0
            end as decimal(18, 2)
        ) as shipping_refunded,
        currency,
        is_order_currency,
        parent_payment_id,
        occurred_at,
        business_day,
        is_return_refund,
        updated_at
    from joined
)

select * from final
