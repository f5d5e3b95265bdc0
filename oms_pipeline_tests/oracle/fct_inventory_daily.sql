-- One row per store and product on {day}: the stock as it stands, which is that day's only if nothing moved it since.
-- The source does not know when the snapshot was taken: no snapshot_taken_at.
with refunded_returns as (
    select order_id, line_no, sum(quantity) as quantity
    from returns
    where status = 'refunded'
    group by order_id, line_no
),

sold_lines as (
    select
        o.store_id,
        i.product_id,
        case when o.status = 'cancelled' then 0 else i.quantity - i.cancelled_quantity end
        - coalesce(r.quantity, 0) as net_units
    from order_items as i
    join orders as o on o.order_id = i.order_id
    join stores as st on st.store_id = o.store_id
    left join refunded_returns as r on r.order_id = i.order_id and r.line_no = i.line_no
    where
        o.status <> 'draft'
        and not o.is_test
        and (o.placed_at at time zone st.timezone)::date > date '{day}' - 28
        and (o.placed_at at time zone st.timezone)::date <= date '{day}'
),

demand as (
    select store_id, product_id, sum(net_units) as net_units_28d
    from sold_lines
    group by store_id, product_id
),

stock as (
    select
        v.*,
        v.on_hand - v.reserved as available,
        coalesce(d.net_units_28d, 0)::bigint as net_units_28d
    from inventory as v
    left join demand as d on d.store_id = v.store_id and d.product_id = v.product_id
)

select
    date '{day}' as business_day,
    store_id,
    product_id,
    on_hand,
    reserved,
    available,
    reorder_point,
    available < reorder_point as is_below_reorder_point,
    net_units_28d,
    case
        when net_units_28d > 0 then round(available * 28::numeric / net_units_28d, 2)
    end::numeric(18, 2) as inventory_cover_days
from stock
order by business_day, store_id, product_id
