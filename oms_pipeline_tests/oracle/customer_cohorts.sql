-- One row per cohort month, months since, and currency in which the cohort ordered or had a return refunded.
-- A customer's cohort is the month of the first order that was not cancelled. Guests, drafts and test orders are left
-- out.
with counted_orders as (
    select
        o.order_id,
        o.customer_id,
        o.currency,
        o.status,
        st.timezone,
        date_trunc('month', o.placed_at at time zone st.timezone)::date as placed_month
    from orders as o
    join stores as st on st.store_id = o.store_id
    where o.customer_id is not null and o.status <> 'draft' and not o.is_test
),

cohorts as (
    select customer_id, min(placed_month) as cohort_month
    from counted_orders
    where status <> 'cancelled'
    group by customer_id
),

cohort_sizes as (
    select cohort_month, count(*) as cohort_customers
    from cohorts
    group by cohort_month
),

merchandise as (
    select
        order_id,
        sum(
            (quantity - cancelled_quantity) * unit_price
            - case when quantity = cancelled_quantity then 0 else discount_amount end
        ) as kept_value
    from order_items
    group by order_id
),

-- A cancelled order brings nothing in: its whole value is cancelled.
order_activity as (
    select c.cohort_month, o.placed_month as month, o.currency, o.customer_id, coalesce(m.kept_value, 0) as net_sales
    from counted_orders as o
    join cohorts as c on c.customer_id = o.customer_id
    left join merchandise as m on m.order_id = o.order_id
    where o.status <> 'cancelled'
),

return_activity as (
    select
        c.cohort_month,
        date_trunc(
            'month', coalesce(p.occurred_at, r.received_at, r.requested_at) at time zone o.timezone
        )::date as month,
        o.currency,
        null::bigint as customer_id,
        -coalesce(r.refund_amount, 0) as net_sales
    from returns as r
    join counted_orders as o on o.order_id = r.order_id
    join cohorts as c on c.customer_id = o.customer_id
    left join payments as p on p.payment_id = r.refund_payment_id
    where r.status = 'refunded'
),

activity as (
    select * from order_activity
    union all
    select * from return_activity
),

months as (
    select
        cohort_month,
        (
            (extract(year from month) - extract(year from cohort_month)) * 12
            + extract(month from month) - extract(month from cohort_month)
        )::integer as months_since_first,
        currency,
        count(distinct customer_id) as active_customers,
        count(distinct case when currency = counted_under then customer_id end) as retained_customers,
        sum(net_sales) as net_sales
    from activity
    left join (
        select customer_id, month, min(currency) as counted_under
        from order_activity
        group by customer_id, month
    ) as once using (customer_id, month)
    group by 1, 2, 3
),

figures as (
    select
        m.*,
        s.cohort_customers,
        sum(m.net_sales) over (
            partition by m.cohort_month, m.currency order by m.months_since_first
        ) as cumulative_net_sales
    from months as m
    join cohort_sizes as s on s.cohort_month = m.cohort_month
)

select
    cohort_month,
    months_since_first,
    currency,
    cohort_customers,
    active_customers,
    retained_customers,
    round(active_customers::numeric / cohort_customers, 4)::numeric(9, 4) as retention,
    net_sales::numeric(18, 2) as net_sales,
    cumulative_net_sales::numeric(18, 2) as cumulative_net_sales,
    round(cumulative_net_sales / cohort_customers, 2)::numeric(18, 2) as ltv
from figures
order by cohort_month, months_since_first, currency
