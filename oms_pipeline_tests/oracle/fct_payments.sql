-- One row per payment. Payments of drafts and test orders are left out. The day is local to the order's store.
select
    p.payment_id,
    p.order_id,
    o.store_id,
    p.kind,
    p.method,
    p.status,
    p.amount::numeric(18, 2) as amount,
    (case
        when p.status <> 'captured' then 0
        when p.kind = 'refund' then -p.amount
        else p.amount
    end)::numeric(18, 2) as captured_amount,
    p.currency,
    p.currency = o.currency as is_order_currency,
    p.parent_payment_id,
    p.occurred_at at time zone 'UTC' as occurred_at,
    (p.occurred_at at time zone st.timezone)::date as business_day,
    exists (select from returns as r where r.refund_payment_id = p.payment_id) as is_return_refund,
    p.updated_at at time zone 'UTC' as updated_at
from payments as p
join orders as o on o.order_id = p.order_id
join stores as st on st.store_id = o.store_id
where o.status <> 'draft' and not o.is_test
order by p.payment_id
