-- One row per customer. Order days and numbers count orders that are neither cancelled, draft nor test.
with customer_orders as (
    select
        o.customer_id,
        count(*) as orders,
        min((o.placed_at at time zone st.timezone)::date) as first_order_day,
        max((o.placed_at at time zone st.timezone)::date) as last_order_day
    from orders as o
    join stores as st on st.store_id = o.store_id
    where o.status not in ('draft', 'cancelled') and not o.is_test
    group by o.customer_id
)

select
    c.customer_id,
    c.email,
    c.full_name,
    c.phone,
    c.city,
    c.region,
    c.country,
    c.marketing_opt_in,
    c.deleted_at at time zone 'UTC' as deleted_at,
    c.deleted_at is not null as is_deleted,
    o.first_order_day,
    o.last_order_day,
    coalesce(o.orders, 0) as orders,
    c.created_at at time zone 'UTC' as created_at,
    c.updated_at at time zone 'UTC' as updated_at
from customers as c
left join customer_orders as o on o.customer_id = c.customer_id
order by c.customer_id
