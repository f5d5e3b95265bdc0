-- One row per order. Drafts and test orders are left out. Days are local to the order's store; timestamps are UTC.
with lines as (
    select
        i.order_id,
        i.quantity,
        i.unit_price,
        case when o.status = 'cancelled' then 0 else i.quantity - i.cancelled_quantity end as kept,
        i.discount_amount
    from order_items as i
    join orders as o on o.order_id = i.order_id
),

order_lines as (
    select
        order_id,
        count(*) as line_count,
        sum(quantity) as units_ordered,
        sum(quantity - kept) as units_cancelled,
        sum(quantity * unit_price) as gmv,
        sum((quantity - kept) * unit_price) as cancelled_value,
        sum(case when kept = 0 then 0 else discount_amount end) as discounts
    from lines
    group by order_id
),

-- By the order, not by the line: the value of a return stays when its line is deleted.
refunded_returns as (
    select order_id, sum(coalesce(refund_amount, 0)) as returns_value
    from returns
    where status = 'refunded'
    group by order_id
),

-- Money given back without a return: shipping, goodwill.
other_refunds as (
    select p.order_id, sum(p.amount) as refunded
    from payments as p
    join orders as o on o.order_id = p.order_id
    where
        p.kind = 'refund'
        and p.currency = o.currency
        and p.status = 'captured'
        and not exists (select from returns as r where r.refund_payment_id = p.payment_id)
    group by p.order_id
),

parcels as (
    select s.order_id, min(s.shipped_at) as first_shipped_at, max(s.delivered_at) as last_delivered_at
    from shipments as s
    where s.shipped_at is not null and s.status <> 'cancelled'
    group by s.order_id
),

shipped_units as (
    select
        s.order_id,
        sum(si.quantity) as units_shipped,
        sum(case when s.shipped_at <= o.promised_ship_by then si.quantity else 0 end) as units_shipped_on_time
    from shipments as s
    join shipment_items as si on si.shipment_id = s.shipment_id
    join orders as o on o.order_id = s.order_id
    where s.shipped_at is not null and s.status <> 'cancelled'
    group by s.order_id
),

figures as (
    select
        o.*,
        st.timezone,
        o.status = 'cancelled' as is_cancelled,
        coalesce(l.line_count, 0) as line_count,
        coalesce(l.units_ordered, 0) as units_ordered,
        coalesce(l.units_cancelled, 0) as units_cancelled,
        coalesce(l.gmv, 0) as gmv,
        coalesce(l.cancelled_value, 0) as cancelled_value,
        coalesce(l.discounts, 0) as discounts,
        coalesce(r.returns_value, 0) as returns_value,
        case when o.status = 'cancelled' then 0 else o.shipping_total end as shipping_charged,
        case when o.status = 'cancelled' then 0 else coalesce(f.refunded, 0) end as shipping_refunded,
        coalesce(u.units_shipped, 0) as units_shipped,
        coalesce(u.units_shipped_on_time, 0) as units_shipped_on_time,
        p.first_shipped_at,
        p.last_delivered_at
    from orders as o
    join stores as st on st.store_id = o.store_id
    left join order_lines as l on l.order_id = o.order_id
    left join refunded_returns as r on r.order_id = o.order_id
    left join other_refunds as f on f.order_id = o.order_id
    left join shipped_units as u on u.order_id = o.order_id
    left join parcels as p on p.order_id = o.order_id
    where o.status <> 'draft' and not o.is_test
)

select
    order_id,
    order_number,
    customer_id,
    store_id,
    employee_id,
    currency,
    status,
    (placed_at at time zone timezone)::date as business_day,
    placed_at at time zone 'UTC' as placed_at,
    paid_at at time zone 'UTC' as paid_at,
    promised_ship_by at time zone 'UTC' as promised_ship_by,
    (promised_ship_by at time zone timezone)::date as due_day,
    cancelled_at at time zone 'UTC' as cancelled_at,
    cancel_reason,
    is_cancelled,
    customer_id is null as is_guest,
    line_count,
    units_ordered,
    units_cancelled,
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
    grand_total::numeric(18, 2) as grand_total,
    units_shipped,
    units_shipped_on_time,
    first_shipped_at at time zone 'UTC' as first_shipped_at,
    last_delivered_at at time zone 'UTC' as last_delivered_at,
    updated_at at time zone 'UTC' as updated_at
from figures
order by order_id
