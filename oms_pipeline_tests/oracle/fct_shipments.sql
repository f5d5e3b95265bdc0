-- One row per shipment. Shipments of drafts and test orders are left out. Days are local to the store it leaves from.
with contents as (
    select shipment_id, sum(quantity) as units
    from shipment_items
    group by shipment_id
)

select
    s.shipment_id,
    s.order_id,
    s.store_id,
    s.carrier,
    s.tracking_no,
    s.status,
    o.currency,
    s.cost::numeric(18, 2) as cost,
    coalesce(c.units, 0) as units,
    s.shipped_at at time zone 'UTC' as shipped_at,
    (s.shipped_at at time zone st.timezone)::date as business_day,
    o.promised_ship_by at time zone 'UTC' as promised_ship_by,
    (o.promised_ship_by at time zone st.timezone)::date as due_day,
    o.promised_ship_by is not null and s.status <> 'cancelled' as is_due,
    coalesce(s.shipped_at <= o.promised_ship_by, false) as is_on_time,
    s.promised_delivery_on,
    s.delivered_at at time zone 'UTC' as delivered_at,
    (s.delivered_at at time zone st.timezone)::date <= s.promised_delivery_on as is_delivered_on_time,
    s.updated_at at time zone 'UTC' as updated_at
from shipments as s
join orders as o on o.order_id = s.order_id
join stores as st on st.store_id = s.store_id
left join contents as c on c.shipment_id = s.shipment_id
where o.status <> 'draft' and not o.is_test
order by s.shipment_id
