-- One row per business day, store and currency on which an order was placed, a return refunded, or money given back
-- without a return. Drafts and test orders are left out. Days are local to the order's store.
with counted_orders as (
    select o.*, o.status = 'cancelled' as is_cancelled, st.timezone
    from orders as o
    join stores as st on st.store_id = o.store_id
    where o.status <> 'draft' and not o.is_test
),

placed as (
    select
        (placed_at at time zone timezone)::date as business_day,
        store_id,
        currency,
        count(*) as orders,
        sum(case when is_cancelled then 1 else 0 end) as cancelled_orders,
        sum(case when is_cancelled then 0 else shipping_total end) as shipping_charged,
        sum(case when is_cancelled then 0 else tax_total end) as tax_total
    from counted_orders
    group by 1, 2, 3
),

lines as (
    select
        (o.placed_at at time zone o.timezone)::date as business_day,
        o.store_id,
        o.currency,
        i.quantity,
        i.unit_price,
        case when o.is_cancelled then 0 else i.quantity - i.cancelled_quantity end as kept,
        i.discount_amount
    from order_items as i
    join counted_orders as o on o.order_id = i.order_id
),

sold as (
    select
        business_day,
        store_id,
        currency,
        sum(quantity) as units_ordered,
        sum(quantity * unit_price) as gmv,
        sum((quantity - kept) * unit_price) as cancelled_value,
        sum(case when kept = 0 then 0 else discount_amount end) as discounts
    from lines
    group by 1, 2, 3
),

returned as (
    select
        (coalesce(p.occurred_at, r.received_at, r.requested_at) at time zone o.timezone)::date as business_day,
        o.store_id,
        o.currency,
        sum(coalesce(r.refund_amount, 0)) as returns_value
    from returns as r
    join counted_orders as o on o.order_id = r.order_id
    left join payments as p on p.payment_id = r.refund_payment_id
    where r.status = 'refunded'
    group by 1, 2, 3
),

-- A cancelled order never counts its shipping, so what it gives back is no refund of shipping either.
given_back as (
    select
        (p.occurred_at at time zone o.timezone)::date as business_day,
        o.store_id,
        o.currency,
        sum(p.amount) as shipping_refunded
    from payments as p
    join counted_orders as o on o.order_id = p.order_id
    where
        p.kind = 'refund'
        and p.currency = o.currency
        and p.status = 'captured'
        and not o.is_cancelled
        and not exists (select from returns as r where r.refund_payment_id = p.payment_id)
    group by 1, 2, 3
),

grain as (
    select business_day, store_id, currency from placed
    union
    select business_day, store_id, currency from returned
    union
    select business_day, store_id, currency from given_back
),

figures as (
    select
        g.business_day,
        g.store_id,
        g.currency,
        coalesce(p.orders, 0) as orders,
        coalesce(p.cancelled_orders, 0) as cancelled_orders,
        coalesce(s.units_ordered, 0) as units_ordered,
        coalesce(s.gmv, 0) as gmv,
        coalesce(s.cancelled_value, 0) as cancelled_value,
        coalesce(s.discounts, 0) as discounts,
        coalesce(r.returns_value, 0) as returns_value,
        coalesce(p.shipping_charged, 0) as shipping_charged,
        coalesce(b.shipping_refunded, 0) as shipping_refunded,
        coalesce(p.tax_total, 0) as tax_total
    from grain as g
    left join placed as p on p.business_day = g.business_day and p.store_id = g.store_id and p.currency = g.currency
    left join sold as s on s.business_day = g.business_day and s.store_id = g.store_id and s.currency = g.currency
    left join returned as r on r.business_day = g.business_day and r.store_id = g.store_id and r.currency = g.currency
    left join given_back as b on b.business_day = g.business_day and b.store_id = g.store_id and b.currency = g.currency
)

select
    business_day,
    store_id,
    currency,
    orders,
    cancelled_orders,
    units_ordered,
    gmv::numeric(18, 2) as gmv,
    cancelled_value::numeric(18, 2) as cancelled_value,
    discounts::numeric(18, 2) as discounts,
    returns_value::numeric(18, 2) as returns_value,
    (gmv - cancelled_value - discounts - returns_value)::numeric(18, 2) as net_sales,
    shipping_charged::numeric(18, 2) as shipping_charged,
    shipping_refunded::numeric(18, 2) as shipping_refunded,
    (
        gmv - cancelled_value - discounts - returns_value + shipping_charged - shipping_refunded
    )::numeric(18, 2) as net_revenue,
    tax_total::numeric(18, 2) as tax_total,
    case
        when orders > cancelled_orders then round((gmv - cancelled_value - discounts) / (orders - cancelled_orders), 2)
    end::numeric(18, 2) as aov,
    case when orders > 0 then round(cancelled_orders::numeric / orders, 4) end::numeric(9, 4) as cancellation_rate
from figures
order by business_day, store_id, currency
