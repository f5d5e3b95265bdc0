-- One row per order: what is due, what was paid, and what to make of it. Drafts and test orders are left out.
with money as (
    select
        o.order_id,
        sum(p.amount) filter (where p.kind = 'charge' and p.currency = o.currency) as charged,
        sum(p.amount) filter (where p.kind = 'refund' and p.currency = o.currency) as refunded,
        bool_or(p.currency <> o.currency and p.amount <> 0) as has_other_currency
    from payments as p
    join orders as o on o.order_id = p.order_id
    where p.status = 'captured'
    group by o.order_id
),

refunded_returns as (
    select order_id, sum(coalesce(refund_amount, 0)) as returns_value
    from returns
    where status = 'refunded'
    group by order_id
),

figures as (
    select
        o.order_id,
        (o.placed_at at time zone st.timezone)::date as business_day,
        o.store_id,
        o.currency,
        o.status = 'cancelled' as is_cancelled,
        o.grand_total,
        case when o.status = 'cancelled' then 0 else o.grand_total end as amount_due,
        coalesce(m.charged, 0) as charged,
        coalesce(m.refunded, 0) as refunded,
        coalesce(m.has_other_currency, false) as has_other_currency,
        coalesce(r.returns_value, 0) as returns_value
    from orders as o
    join stores as st on st.store_id = o.store_id
    left join money as m on m.order_id = o.order_id
    left join refunded_returns as r on r.order_id = o.order_id
    where o.status <> 'draft' and not o.is_test
)

select
    order_id,
    business_day,
    store_id,
    currency,
    is_cancelled,
    grand_total::numeric(18, 2) as grand_total,
    amount_due::numeric(18, 2) as amount_due,
    charged::numeric(18, 2) as charged,
    refunded::numeric(18, 2) as refunded,
    (charged - refunded)::numeric(18, 2) as net_paid,
    returns_value::numeric(18, 2) as returns_value,
    (case when is_cancelled then charged - refunded else charged - amount_due end)::numeric(18, 2) as difference,
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
from figures
order by order_id
