{{ config(incremental_strategy='affected', unique_key='order_id', meta={'affected': 'int_orders__affected'}) }}

with orders as (
    select * from {{ ref('fct_orders') }}
    where {{ affected_only('order_id', ref('int_orders__affected')) }}
),

payments as (
    select
        order_id,
        sum(case when is_order_currency and kind = 'charge' then captured_amount else 0 end) as charged,
        sum(case when is_order_currency and kind = 'refund' then -captured_amount else 0 end) as refunded,
        max(case when not is_order_currency and captured_amount <> 0 then 1 else 0 end) as has_other_currency
    from {{ ref('fct_payments') }}
    where {{ affected_only('order_id', ref('int_orders__affected')) }}
    group by order_id
),

joined as (
    select
        orders.*,
        case when orders.is_cancelled then 0 else orders.grand_total end as amount_due,
        coalesce(payments.charged, 0) as charged,
        coalesce(payments.refunded, 0) as refunded,
        coalesce(payments.has_other_currency, 0) = 1 as has_other_currency
    from orders
    left join payments on orders.order_id = payments.order_id
),

final as (
    select
        order_id,
        business_day,
        store_id,
        currency,
        is_cancelled,
        grand_total,
        cast(amount_due as decimal(18, 2)) as amount_due,
        cast(charged as decimal(18, 2)) as charged,
        cast(refunded as decimal(18, 2)) as refunded,
        cast(charged - refunded as decimal(18, 2)) as net_paid,
        returns_value,
        cast(
            case when is_cancelled then charged - refunded else charged - amount_due end as decimal(18, 2)
        ) as difference,
        case
            when has_other_currency then 'other_currency'
            when refunded > charged then 'over_refunded'
            when is_cancelled and charged = refunded then 'balanced'
            when is_cancelled then 'refund_missing'
            when charged = 0 and amount_due > 0 then 'unpaid'
            when charged < amount_due then 'underpaid'
            when charged > amount_due then 'overpaid'
            else 'balanced'
        end as state
    from joined
)

select * from final
