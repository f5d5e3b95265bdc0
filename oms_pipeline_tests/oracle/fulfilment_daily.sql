-- One row per business day and store on which an order was due, a shipment was due, or a parcel left.
-- Drafts and test orders are left out. Orders are due at the order's store, shipments at the store they leave from.
with counted_orders as (
    select o.*, st.timezone
    from orders as o
    join stores as st on st.store_id = o.store_id
    where o.status <> 'draft' and not o.is_test
),

counted_shipments as (
    select s.*, o.promised_ship_by, st.timezone
    from shipments as s
    join counted_orders as o on o.order_id = s.order_id
    join stores as st on st.store_id = s.store_id
    where s.status <> 'cancelled'
),

ordered_units as (
    select order_id, sum(quantity) as units
    from order_items
    group by order_id
),

on_time_units as (
    select s.order_id, sum(si.quantity) as units
    from counted_shipments as s
    join shipment_items as si on si.shipment_id = s.shipment_id
    where s.shipped_at <= s.promised_ship_by
    group by s.order_id
),

orders_due as (
    select
        (o.promised_ship_by at time zone o.timezone)::date as business_day,
        o.store_id,
        sum(coalesce(u.units, 0)) as units_ordered,
        sum(coalesce(t.units, 0)) as units_shipped_on_time
    from counted_orders as o
    left join ordered_units as u on u.order_id = o.order_id
    left join on_time_units as t on t.order_id = o.order_id
    where o.promised_ship_by is not null
    group by 1, 2
),

shipments_due as (
    select
        (promised_ship_by at time zone timezone)::date as business_day,
        store_id,
        count(*) as shipments_due,
        sum(case when shipped_at <= promised_ship_by then 1 else 0 end) as shipments_on_time
    from counted_shipments
    where promised_ship_by is not null
    group by 1, 2
),

parcels as (
    select
        (s.shipped_at at time zone s.timezone)::date as business_day,
        s.store_id,
        sum(coalesce(si.quantity, 0)) as units_shipped
    from counted_shipments as s
    left join shipment_items as si on si.shipment_id = s.shipment_id
    where s.shipped_at is not null
    group by 1, 2
),

-- The line's first parcel. Known even when the line is gone.
first_shipments as (
    select distinct on (si.order_id, si.line_no)
        si.order_id,
        si.line_no,
        s.store_id,
        (s.shipped_at at time zone s.timezone)::date as shipped_day
    from shipment_items as si
    join counted_shipments as s on s.shipment_id = si.shipment_id
    where s.shipped_at is not null
    order by si.order_id, si.line_no, s.shipped_at, s.shipment_id
),

came_back as (
    select f.shipped_day as business_day, f.store_id, sum(r.quantity) as units_returned
    from returns as r
    join first_shipments as f on f.order_id = r.order_id and f.line_no = r.line_no
    where r.status in ('received', 'refunded')
    group by 1, 2
),

grain as (
    select business_day, store_id from orders_due
    union
    select business_day, store_id from shipments_due
    union
    select business_day, store_id from parcels
),

figures as (
    select
        g.business_day,
        g.store_id,
        coalesce(o.units_ordered, 0) as units_ordered,
        coalesce(o.units_shipped_on_time, 0) as units_shipped_on_time,
        coalesce(d.shipments_due, 0) as shipments_due,
        coalesce(d.shipments_on_time, 0) as shipments_on_time,
        coalesce(p.units_shipped, 0) as units_shipped,
        coalesce(b.units_returned, 0) as units_returned
    from grain as g
    left join orders_due as o on o.business_day = g.business_day and o.store_id = g.store_id
    left join shipments_due as d on d.business_day = g.business_day and d.store_id = g.store_id
    left join parcels as p on p.business_day = g.business_day and p.store_id = g.store_id
    left join came_back as b on b.business_day = g.business_day and b.store_id = g.store_id
)

select
    business_day,
    store_id,
    units_ordered::bigint as units_ordered,
    units_shipped_on_time::bigint as units_shipped_on_time,
    case
        when units_ordered > 0 then round(units_shipped_on_time::numeric / units_ordered, 4)
    end::numeric(9, 4) as fill_rate,
    shipments_due,
    shipments_on_time,
    case
        when shipments_due > 0 then round(shipments_on_time::numeric / shipments_due, 4)
    end::numeric(9, 4) as on_time_rate,
    units_shipped,
    units_returned,
    case
        when units_shipped > 0 then round(units_returned::numeric / units_shipped, 4)
    end::numeric(9, 4) as return_rate
from figures
order by business_day, store_id
