-- One row per order line (order_id, line_no). Lines of drafts and test orders are left out.
with refunded_returns as (
    select order_id, line_no, sum(quantity) as quantity, sum(coalesce(refund_amount, 0)) as refund_amount
    from returns
    where status = 'refunded'
    group by order_id, line_no
),

-- The line's first parcel; its day is local to the store the parcel left from.
first_shipments as (
    select distinct on (si.order_id, si.line_no)
        si.order_id,
        si.line_no,
        (s.shipped_at at time zone st.timezone)::date as shipped_day
    from shipment_items as si
    join shipments as s on s.shipment_id = si.shipment_id
    join stores as st on st.store_id = s.store_id
    where s.shipped_at is not null and s.status <> 'cancelled'
    order by si.order_id, si.line_no, s.shipped_at, s.shipment_id
),

figures as (
    select
        i.*,
        (o.placed_at at time zone st.timezone)::date as business_day,
        o.placed_at,
        o.store_id,
        o.customer_id,
        o.currency,
        o.status = 'cancelled' as is_cancelled,
        case when o.status = 'cancelled' then 0 else i.quantity - i.cancelled_quantity end as kept,
        coalesce(r.quantity, 0) as returned_quantity,
        coalesce(r.refund_amount, 0) as returns_value,
        f.shipped_day as first_shipped_day
    from order_items as i
    join orders as o on o.order_id = i.order_id
    join stores as st on st.store_id = o.store_id
    left join refunded_returns as r on r.order_id = i.order_id and r.line_no = i.line_no
    left join first_shipments as f on f.order_id = i.order_id and f.line_no = i.line_no
    where o.status <> 'draft' and not o.is_test
),

amounts as (
    select
        *,
        quantity * unit_price as gmv,
        (quantity - kept) * unit_price as cancelled_value,
        case when kept = 0 then 0 else discount_amount end as discounts
    from figures
)

select
    order_id,
    line_no,
    business_day,
    placed_at at time zone 'UTC' as placed_at,
    store_id,
    customer_id,
    product_id,
    currency,
    is_cancelled,
    quantity,
    quantity - kept as cancelled_quantity,
    unit_price,
    unit_cost,
    gmv::numeric(18, 2) as gmv,
    cancelled_value::numeric(18, 2) as cancelled_value,
    discounts::numeric(18, 2) as discounts,
    tax_amount::numeric(18, 2) as tax_amount,
    returned_quantity,
    returns_value::numeric(18, 2) as returns_value,
    (gmv - cancelled_value - discounts - returns_value)::numeric(18, 2) as net_sales,
    kept - returned_quantity as net_units,
    first_shipped_day,
    updated_at at time zone 'UTC' as updated_at
from amounts
order by order_id, line_no
