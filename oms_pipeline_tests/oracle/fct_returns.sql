-- One row per return. Returns of drafts and test orders are left out.
with refund_moments as (
    select
        r.*,
        case when r.status = 'refunded' then coalesce(p.occurred_at, r.received_at, r.requested_at) end as refunded_at
    from returns as r
    left join payments as p on p.payment_id = r.refund_payment_id
),

-- The line's first parcel; its day is local to the store the parcel left from. Known even when the line is gone.
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
)

select
    r.return_id,
    r.order_id,
    r.line_no,
    i.product_id,
    o.store_id,
    o.currency,
    r.quantity,
    r.reason,
    r.status,
    r.requested_at at time zone 'UTC' as requested_at,
    r.received_at at time zone 'UTC' as received_at,
    r.refunded_at at time zone 'UTC' as refunded_at,
    (r.refunded_at at time zone st.timezone)::date as business_day,
    f.shipped_day as ship_cohort_day,
    r.refund_amount::numeric(18, 2) as refund_amount,
    r.refund_payment_id,
    r.restocked,
    r.status in ('received', 'refunded') as is_received,
    r.status = 'refunded' as is_refunded,
    r.updated_at at time zone 'UTC' as updated_at
from refund_moments as r
join orders as o on o.order_id = r.order_id
join stores as st on st.store_id = o.store_id
left join order_items as i on i.order_id = r.order_id and i.line_no = r.line_no
left join first_shipments as f on f.order_id = r.order_id and f.line_no = r.line_no
where o.status <> 'draft' and not o.is_test
order by r.return_id
