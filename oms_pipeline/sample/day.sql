-- One simulated day of the OMS: a fixed number of statements over sets, in one transaction.
-- {day}: the date; {key}: a number that no other day's keys reach; {start}, {end}: the instants the day begins and ends;
-- {orders}: orders to take in. Every created_at and updated_at written lies in [{start}, {end}).

-- 1. New orders, some of them drafts.

create temp table catalogue on commit drop as
select row_number() over (order by product_id) as n, product_id, retail_price, unit_cost, currency
from products
where discontinued_at is null and deleted_at is null;

analyze catalogue;

create temp table new_orders on commit drop as
with numbered as materialized (
    select nextval(pg_get_serial_sequence('orders', 'order_id')) as order_id
    from generate_series(1, {orders})
),

weighted as (
    select store_id, channel, timezone, country, case channel when 'online' then 3 when 'marketplace' then 2 else 1 end as weight
    from stores
    where closed_on is null or closed_on > date '{day}'
),

shop as materialized (
    select
        w.*,
        coalesce(sum(w.weight) over (order by w.store_id rows between unbounded preceding and 1 preceding), 0) / sum(w.weight) over ()::double precision as share_from,
        sum(w.weight) over (order by w.store_id) / sum(w.weight) over ()::double precision as share_to,
        (select array_agg(e.employee_id order by e.employee_id) from employees as e where e.store_id = w.store_id and e.left_on is null) as staff
    from weighted as w
)

select
    o.order_id, s.store_id, s.channel, s.timezone, s.country,
    case when s.channel = 'marketplace' and oms_sample.chance('currency', o.order_id) < 0.25 then 'EUR' else oms_sample.currency_of(s.country) end as currency,
    case when s.channel = 'in_store' or oms_sample.chance('assisted', o.order_id) < 0.03
        then s.staff[1 + floor(cardinality(s.staff) * oms_sample.chance('employee', o.order_id))::integer] end as employee_id,
    oms_sample.chance('draft', o.order_id) < 0.06 as is_draft,
    oms_sample.chance('test', o.order_id) < 0.003 as is_test,
    case
        when oms_sample.chance('buyer', o.order_id) < 0.08 then 'guest'
        when oms_sample.chance('buyer', o.order_id) < 0.35 then 'newcomer'
        else 'customer'
    end as buyer,
    case
        when oms_sample.chance('lines', o.order_id) < 0.004 then 0
        when oms_sample.chance('lines', o.order_id) < 0.35 then 1
        when oms_sample.chance('lines', o.order_id) < 0.60 then 2
        when oms_sample.chance('lines', o.order_id) < 0.78 then 3
        when oms_sample.chance('lines', o.order_id) < 0.89 then 4
        when oms_sample.chance('lines', o.order_id) < 0.96 then 5
        else 6
    end as line_count,
    -- A few orders in the very first and the very last second; half of the rest around noon.
    case
        when oms_sample.chance('edge', o.order_id) < 0.003 then timestamptz '{start}' + interval '1 second' * oms_sample.chance('second', o.order_id)
        when oms_sample.chance('edge', o.order_id) < 0.006 then timestamptz '{end}' - interval '1 second' * (0.001 + 0.998 * oms_sample.chance('second', o.order_id))
        when oms_sample.chance('edge', o.order_id) < 0.5 then timestamptz '{start}' + (timestamptz '{end}' - timestamptz '{start}') * (0.9999 * oms_sample.chance('time', o.order_id))
        else timestamptz '{start}' + (timestamptz '{end}' - timestamptz '{start}') * (0.4999 * (oms_sample.chance('time', o.order_id) + oms_sample.chance('noon', o.order_id)))
    end as moment
from numbered as o
inner join shop as s on oms_sample.chance('store', o.order_id) >= s.share_from and oms_sample.chance('store', o.order_id) < s.share_to;

analyze new_orders;

create temp table buyers on commit drop as
select o.order_id, nextval(pg_get_serial_sequence('customers', 'customer_id')) as customer_id, true as is_new
from (select order_id from new_orders where buyer = 'newcomer' order by order_id) as o
union all
select o.order_id, c.customer_id, false
from new_orders as o, (select max(customer_id) as last_id from customers),
    lateral (
        select customer_id from customers
        -- One order in seven comes from the oldest 3 % of the customers; of the others, the newest buy most.
        where customer_id >= case
            when oms_sample.chance('regular', o.order_id) < 0.15 then last_id * 0.03 * oms_sample.chance('who', o.order_id)
            else last_id * (1 - power(oms_sample.chance('who', o.order_id), 1.5))
        end::bigint and deleted_at is null
        order by customer_id
        limit 1
    ) as c
where o.buyer = 'customer';

analyze buyers;

insert into customers (customer_id, email, full_name, phone, city, region, country, marketing_opt_in, created_at, updated_at)
select
    b.customer_id, format('customer%s@example.com', b.customer_id), format('Customer %s', b.customer_id),
    case when oms_sample.chance('phone', b.customer_id) < 0.7 then '+00 555 ' || lpad(b.customer_id::text, 8, '0') end,
    format('City %s', 1 + b.customer_id % 97),
    case when oms_sample.chance('region', b.customer_id) < 0.5 then format('Region %s', 1 + b.customer_id % 23) end,
    o.country, oms_sample.chance('opt in', b.customer_id) < 0.4, since, since
from buyers as b
inner join new_orders as o using (order_id),
    lateral (select greatest(timestamptz '{start}', o.moment - interval '20 minutes' * oms_sample.chance('sign up', o.order_id)) as since)
where b.is_new;

create temp table new_lines on commit drop as
select
    o.order_id, l.line_no, c.product_id, q.quantity, p.unit_price,
    oms_sample.convert(c.unit_cost, c.currency, o.currency, 4) as unit_cost, d.discount_amount,
    round((q.quantity * p.unit_price - d.discount_amount) * oms_sample.tax_rate(o.country), oms_sample.decimals(o.currency)) as tax_amount
from new_orders as o
cross join lateral (select n as line_no, o.order_id * 100 + n as key from generate_series(1, o.line_count) as n) as l
inner join catalogue as c on c.n = 1 + floor((select count(*) from catalogue) * power(oms_sample.chance('product', l.key), 1.7))::integer,
    lateral (select case
        when oms_sample.chance('quantity', l.key) < 0.62 then 1
        when oms_sample.chance('quantity', l.key) < 0.99 then 2 + floor(3 * oms_sample.chance('more', l.key))::integer
        else 10
    end as quantity) as q,
    lateral (select oms_sample.convert(c.retail_price, c.currency, o.currency, oms_sample.decimals(o.currency)) as unit_price) as p,
    lateral (select case when oms_sample.chance('discounted', l.key) < 0.25
        then round(q.quantity * p.unit_price * 0.05 * (1 + floor(4 * oms_sample.chance('discount', l.key))::integer), oms_sample.decimals(o.currency))
        else 0 end as discount_amount) as d;

analyze new_lines;

insert into orders (
    order_id, order_number, customer_id, store_id, employee_id, currency, status, placed_at, promised_ship_by,
    discount_total, shipping_total, tax_total, grand_total, is_test, created_at, updated_at
)
select
    o.order_id, 'SO-' || lpad(o.order_id::text, 9, '0'), b.customer_id, o.store_id, o.employee_id, o.currency,
    case when o.is_draft then 'draft' else 'placed' end,
    case when not o.is_draft then o.moment end,
    case when not o.is_draft then oms_sample.promise(o.moment, o.timezone, o.order_id) end,
    t.discounts, s.shipping_total, t.taxes, t.goods - t.discounts + s.shipping_total + t.taxes,
    o.is_test, o.moment, o.moment
from new_orders as o
left join buyers as b using (order_id)
left join (
    select order_id, sum(quantity * unit_price) as goods, sum(discount_amount) as discounts, sum(tax_amount) as taxes
    from new_lines group by order_id
) as l using (order_id),
    lateral (select coalesce(l.goods, 0) as goods, coalesce(l.discounts, 0) as discounts, coalesce(l.taxes, 0) as taxes) as t,
    lateral (select case when o.channel = 'in_store' or t.goods = 0 or t.goods > 80 * oms_sample.rate(o.currency)
        then 0 else oms_sample.convert(4.90, 'EUR', o.currency, oms_sample.decimals(o.currency)) end as shipping_total) as s;

insert into order_items (order_id, line_no, product_id, quantity, unit_price, unit_cost, discount_amount, tax_amount, created_at, updated_at)
select l.order_id, l.line_no, l.product_id, l.quantity, l.unit_price, l.unit_cost, l.discount_amount, l.tax_amount, o.moment, o.moment
from new_lines as l
inner join new_orders as o using (order_id);

insert into oms_sample.agenda (task, due_at, subject_id)
select case when oms_sample.chance('given up', order_id) < 0.3 then 'drop draft' else 'place draft' end,
    moment + oms_sample.days(0.3 + oms_sample.chance('draft for', order_id)), order_id
from new_orders
where is_draft;

-- 2. Drafts are deleted for good, or placed.

with dropped as (
    delete from orders as o using oms_sample.take('drop draft') as due
    where o.order_id = due.subject_id and o.status = 'draft'
    returning o.order_id
)

delete from order_items as i using dropped as d where i.order_id = d.order_id;

create temp table placed on commit drop as
select order_id, moment from new_orders where not is_draft;

with done as (
    update orders as o
    set status = 'placed', placed_at = due.moment, promised_ship_by = oms_sample.promise(due.moment, s.timezone, o.order_id),
        version = o.version + 1, updated_at = oms_sample.later(o.updated_at, due.moment)
    from oms_sample.take('place draft') as due, stores as s
    where o.order_id = due.subject_id and s.store_id = o.store_id and o.status = 'draft'
    returning o.order_id, o.updated_at
)

insert into placed select order_id, updated_at from done;

analyze placed;

insert into payments (order_id, kind, method, status, amount, currency, occurred_at, created_at, updated_at)
select
    o.order_id, 'charge', m.method, case when m.at_once then 'authorized' else 'pending' end,
    o.grand_total, o.currency, case when m.at_once then p.moment end, p.moment, p.moment
from placed as p
inner join orders as o using (order_id),
    lateral (
        select
            oms_sample.pick('method', o.order_id, array['card', 'card', 'card', 'wallet', 'wallet', 'bank_transfer', 'invoice']) as method,
            oms_sample.chance('authorised', o.order_id) < 0.8 as at_once
    ) as m
where o.grand_total > 0
order by o.order_id;

-- 3. What will become of the orders placed today, as far as their processing. Days from the moment they were placed.

insert into oms_sample.agenda (task, due_at, subject_id)
select plan.task, plan.due_at, p.order_id
from placed as p,
    lateral (
        select
            case
                when oms_sample.chance('fate', p.order_id) < 0.008 then 'cancelled at once'
                when oms_sample.chance('fate', p.order_id) < 0.030 then 'cancelled unpaid'
                when oms_sample.chance('fate', p.order_id) < 0.045 then 'cancelled paid'
                when oms_sample.chance('fate', p.order_id) < 0.055 then 'cancelled packed'
                else 'kept'
            end as fate,
            case
                when oms_sample.chance('revise', p.order_id) < 0.045 then oms_sample.pick('revision', p.order_id, array['add line', 'change line', 'remove line'])
                when oms_sample.chance('revise', p.order_id) < 0.075 then 'cancel units'
            end as revision,
            oms_sample.chance('amend', p.order_id) < 0.008 as is_amended_late,
            case when oms_sample.chance('pays', p.order_id) < 0.75 then 0.002 + 0.05 * oms_sample.chance('pays after', p.order_id)
                else 0.2 + 1.8 * oms_sample.chance('pays after', p.order_id) end as pays_after
        offset 0 -- computed once, not wherever it is used
    ) as f,
    lateral (select 0.01 + 1.2 * oms_sample.chance('revised after', p.order_id) as revised) as r,
    lateral (select f.pays_after + case when f.revision is not null then r.revised else 0 end as paid) as c,
    lateral (select c.paid + 0.15 + 1.2 * oms_sample.chance('processed after', p.order_id) + case when f.is_amended_late then 1.5 else 0 end as processed offset 0) as w,
    lateral (
        values
        (f.revision, p.moment + oms_sample.days(r.revised), f.revision is not null and f.fate <> 'cancelled at once'),
        ('decline', p.moment + oms_sample.days(0.001), f.fate <> 'cancelled at once' and oms_sample.chance('declined', p.order_id) < 0.04),
        ('capture', p.moment + oms_sample.days(c.paid), f.fate in ('cancelled paid', 'cancelled packed', 'kept')),
        (oms_sample.pick('amendment', p.order_id, array['add line', 'change line', 'remove line']), p.moment + oms_sample.days(c.paid + 1.2), f.is_amended_late and f.fate = 'kept'),
        (
            'process',
            -- Some warehouses start at midnight sharp.
            case when oms_sample.chance('midnight', p.order_id) < 0.005 then timestamptz '{end}' + interval '24 hours' * ceil(w.processed) else p.moment + oms_sample.days(w.processed) end,
            f.fate in ('cancelled packed', 'kept')
        ),
        ('cancel', least(p.moment + oms_sample.days(0.02 * oms_sample.chance('cancelled after', p.order_id)), timestamptz '{end}' - interval '100 microseconds'), f.fate = 'cancelled at once'),
        ('cancel', p.moment + oms_sample.days(0.5 + 1.5 * oms_sample.chance('cancelled after', p.order_id)), f.fate = 'cancelled unpaid'),
        ('cancel', p.moment + oms_sample.days(c.paid + 0.5 + oms_sample.chance('cancelled after', p.order_id)), f.fate = 'cancelled paid'),
        ('cancel', p.moment + oms_sample.days(w.processed + 0.3), f.fate = 'cancelled packed')
    ) as plan (task, due_at, is_planned)
where plan.is_planned;

-- 4. Lines are edited, deleted for good or cancelled in part; the totals follow.

create temp table revised on commit drop as
select o.order_id, o.currency, o.store_id, t.task, due.moment, l.line_no, l.kept
from (values ('add line'), ('change line'), ('remove line'), ('cancel units')) as t (task)
cross join lateral oms_sample.take(t.task) as due
inner join orders as o on o.order_id = due.subject_id and o.status in ('placed', 'paid')
left join lateral (
    select i.line_no, i.quantity - i.cancelled_quantity as kept, count(*) over () as lines
    from order_items as i
    where i.order_id = o.order_id and i.quantity > i.cancelled_quantity
    order by oms_sample.chance('line', i.order_id * 100 + i.line_no)
    limit 1
) as l on true
where case t.task when 'add line' then true when 'change line' then l.kept > 0 when 'remove line' then l.lines > 1 else l.lines > 1 or l.kept > 1 end;

insert into revised
select o.order_id, o.currency, o.store_id, 'remove line', due.moment, r.line_no, null
from oms_sample.take('remove returned line') as due
inner join returns as r on r.return_id = due.subject_id
inner join orders as o using (order_id)
where exists (select from order_items as i where i.order_id = o.order_id and i.line_no <> r.line_no);

analyze revised;

delete from order_items as i using revised as r
where r.task = 'remove line' and i.order_id = r.order_id and i.line_no = r.line_no;

update order_items as i
set quantity = i.quantity + n.extra, cancelled_quantity = i.cancelled_quantity + n.gone,
    discount_amount = round(i.discount_amount * (r.kept + n.extra - n.gone) / r.kept, oms_sample.decimals(r.currency)),
    tax_amount = round(i.tax_amount * (r.kept + n.extra - n.gone) / r.kept, oms_sample.decimals(r.currency)),
    updated_at = oms_sample.later(i.updated_at, r.moment)
from revised as r,
    lateral (
        select
            case when r.task = 'cancel units' then 0 when r.kept > 1 and oms_sample.chance('fewer', r.order_id) < 0.5 then -1 else 1 end as extra,
            case when r.task = 'cancel units' then 1 + floor(greatest(r.kept - 1, 0) * oms_sample.chance('units', r.order_id))::integer else 0 end as gone
    ) as n
where r.task in ('change line', 'cancel units') and i.order_id = r.order_id and i.line_no = r.line_no;

insert into order_items (order_id, line_no, product_id, quantity, unit_price, unit_cost, tax_amount, created_at, updated_at)
select
    r.order_id, 1 + coalesce((select max(i.line_no) from order_items as i where i.order_id = r.order_id), 0), c.product_id, 1, p.unit_price,
    oms_sample.convert(c.unit_cost, c.currency, r.currency, 4),
    round(p.unit_price * oms_sample.tax_rate(s.country), oms_sample.decimals(r.currency)), r.moment, r.moment
from revised as r
inner join stores as s using (store_id)
inner join catalogue as c on c.n = 1 + floor((select count(*) from catalogue) * oms_sample.chance('added product', r.order_id))::integer,
    lateral (select oms_sample.convert(c.retail_price, c.currency, r.currency, oms_sample.decimals(r.currency)) as unit_price) as p
where r.task = 'add line';

update orders as o
set discount_total = t.discounts, tax_total = t.taxes, grand_total = t.goods - t.discounts + o.shipping_total + t.taxes,
    version = o.version + 1, updated_at = oms_sample.later(o.updated_at, t.moment)
from (
    select
        r.order_id, r.moment, coalesce(sum((i.quantity - i.cancelled_quantity) * i.unit_price), 0) as goods,
        coalesce(sum(i.discount_amount), 0) as discounts, coalesce(sum(i.tax_amount), 0) as taxes
    from (select order_id, max(moment) as moment from revised group by order_id) as r
    left join order_items as i using (order_id)
    group by r.order_id, r.moment
) as t
where o.order_id = t.order_id;

-- 5. Payments. What is added to a paid order is charged; what is taken off is not given back.

insert into payments (order_id, kind, method, status, amount, currency, occurred_at, created_at, updated_at)
select o.order_id, 'charge', 'card', 'captured', o.grand_total - c.charged, o.currency, o.updated_at, o.updated_at, o.updated_at
from (select distinct order_id from revised) as r
inner join orders as o on o.order_id = r.order_id and o.status = 'paid',
    lateral (select coalesce(sum(p.amount), 0) as charged from payments as p where p.order_id = o.order_id and p.kind = 'charge' and p.status = 'captured') as c
where o.grand_total > c.charged
order by o.order_id;

with declined as (
    update payments as p
    set status = 'failed', occurred_at = due.moment, updated_at = oms_sample.later(p.updated_at, due.moment)
    from oms_sample.take('decline') as due
    where p.order_id = due.subject_id and p.kind = 'charge' and p.status in ('pending', 'authorized')
    returning p.order_id, p.amount, p.currency, p.updated_at
)

insert into payments (order_id, kind, method, status, amount, currency, occurred_at, created_at, updated_at)
select order_id, 'charge', 'card', 'authorized', amount, currency, updated_at, updated_at, updated_at
from declined
order by order_id;

with paid as (
    update orders as o
    set status = 'paid', paid_at = due.moment, version = o.version + 1, updated_at = oms_sample.later(o.updated_at, due.moment)
    from oms_sample.take('capture') as due
    where o.order_id = due.subject_id and o.status = 'placed'
    returning o.order_id, o.grand_total, o.paid_at
)

update payments as p
set status = 'captured', amount = paid.grand_total, occurred_at = paid.paid_at, updated_at = oms_sample.later(p.updated_at, paid.paid_at)
from paid
where p.order_id = paid.order_id and p.kind = 'charge' and p.status in ('pending', 'authorized');

-- 6. Processing: one parcel, or two; the second often from another store.

create temp table processing (order_id bigint, moment timestamptz) on commit drop;

with done as (
    update orders as o
    set status = 'processing', version = o.version + 1, updated_at = oms_sample.later(o.updated_at, due.moment)
    from oms_sample.take('process') as due
    where o.order_id = due.subject_id and o.status = 'paid'
    returning o.order_id, o.updated_at
)

insert into processing select order_id, updated_at from done;

analyze processing;

create temp table packed on commit drop as
select i.order_id, parcel.parcel, i.line_no, q.quantity, p.moment
from processing as p
inner join order_items as i using (order_id)
cross join (values (1), (2)) as parcel (parcel),
    lateral (
        select
            i.quantity - i.cancelled_quantity as kept,
            case when oms_sample.chance('split', i.order_id) < 0.18 then oms_sample.chance('parcel', i.order_id * 100 + i.line_no) else 0 end as place
    ) as l,
    lateral (select case when l.place < 0.45 then l.kept when l.place < 0.9 then 0 else l.kept / 2 end as first_part) as f,
    lateral (select case parcel.parcel when 1 then f.first_part else l.kept - f.first_part end as quantity) as q
where q.quantity > 0;

analyze packed;

create temp table parcels on commit drop as
select nextval(pg_get_serial_sequence('shipments', 'shipment_id')) as shipment_id, p.*
from (select distinct order_id, parcel, moment from packed order by order_id, parcel) as p;

analyze parcels;

insert into shipments (shipment_id, order_id, store_id, carrier, status, cost, promised_delivery_on, created_at, updated_at)
select
    p.shipment_id, p.order_id,
    case when p.parcel = 2 and oms_sample.chance('elsewhere', p.order_id) < 0.5
        then (select s.store_id from stores as s where s.store_id <> o.store_id order by oms_sample.chance('from', p.order_id * 100 + s.store_id) limit 1)
        else o.store_id end,
    oms_sample.pick('carrier', p.shipment_id, array['Carrier A', 'Carrier B', 'Carrier C']), 'pending',
    oms_sample.convert(2.90 + 0.10 * floor(60 * oms_sample.chance('cost', p.shipment_id))::integer, 'EUR', o.currency, oms_sample.decimals(o.currency)),
    case when oms_sample.chance('delivery promised', p.shipment_id) < 0.96 then (o.promised_ship_by at time zone 'UTC')::date + 3 end,
    p.moment, p.moment
from parcels as p
inner join orders as o using (order_id);

insert into shipment_items (shipment_id, order_id, line_no, quantity, created_at, updated_at)
select p.shipment_id, p.order_id, i.line_no, i.quantity, p.moment, p.moment
from packed as i
inner join parcels as p using (order_id, parcel);

insert into oms_sample.agenda (task, due_at, subject_id)
select plan.task, p.moment + oms_sample.days(plan.after), p.shipment_id
from parcels as p,
    lateral (
        select
            oms_sample.chance('lost', p.shipment_id) < 0.006 as is_lost,
            0.4 + 3.2 * oms_sample.chance('shipped after', p.shipment_id) + case when p.parcel = 2 then 0.5 + 4 * oms_sample.chance('waits', p.shipment_id) else 0 end as shipped
    ) as f,
    lateral (
        values
        ('ready', 0.02 + 0.25 * oms_sample.chance('ready after', p.shipment_id), oms_sample.chance('ready', p.shipment_id) < 0.5),
        -- The orders that are cancelled when packed (above) are never shipped.
        ('ship', f.shipped, oms_sample.chance('fate', p.order_id) >= 0.055),
        ('move', f.shipped + 0.1 + 0.9 * oms_sample.chance('moves after', p.shipment_id), oms_sample.chance('moves', p.shipment_id) < 0.6),
        ('deliver', f.shipped + 1.5 + 9 * oms_sample.chance('delivered after', p.shipment_id), not f.is_lost),
        ('lose', f.shipped + 15 + 10 * oms_sample.chance('lost after', p.shipment_id), f.is_lost)
    ) as plan (task, after, is_planned)
where plan.is_planned;

-- 7. Whole orders are cancelled: money not yet captured is voided, captured money goes back later.

create temp table cancelled (order_id bigint, moment timestamptz, is_paid boolean) on commit drop;

with done as (
    update orders as o
    set status = 'cancelled', cancelled_at = due.moment, version = o.version + 1, updated_at = oms_sample.later(o.updated_at, due.moment),
        cancel_reason = case when oms_sample.chance('reason given', o.order_id) < 0.9
            then oms_sample.pick('cancel reason', o.order_id, array['customer request', 'out of stock', 'payment', 'fraud suspected', 'duplicate']) end
    from oms_sample.take('cancel') as due
    where o.order_id = due.subject_id and o.status in ('placed', 'paid', 'processing')
    returning o.order_id, o.updated_at, o.paid_at
)

insert into cancelled select order_id, updated_at, paid_at is not null from done;

analyze cancelled;

update shipments as s
set status = 'cancelled', updated_at = oms_sample.later(s.updated_at, c.moment)
from cancelled as c
where s.order_id = c.order_id and s.status in ('pending', 'ready');

update payments as p
set status = 'voided', occurred_at = c.moment, updated_at = oms_sample.later(p.updated_at, c.moment)
from cancelled as c
where p.order_id = c.order_id and p.kind = 'charge' and p.status in ('pending', 'authorized');

insert into oms_sample.agenda (task, due_at, subject_id)
select 'pay back', moment + oms_sample.days(0.1 + 6 * oms_sample.chance('paid back after', order_id)), order_id
from cancelled
where is_paid;

insert into payments (order_id, kind, method, status, amount, currency, parent_payment_id, occurred_at, created_at, updated_at)
select p.order_id, 'refund', p.method, 'captured', p.amount, p.currency, p.payment_id, m.moment, m.moment, m.moment
from oms_sample.take('pay back') as due
inner join payments as p on p.order_id = due.subject_id and p.kind = 'charge' and p.status = 'captured',
    lateral (select oms_sample.later(p.updated_at, due.moment) as moment) as m
order by p.payment_id;

-- 8. Parcels travel. Carriers report three deliveries in ten only days later. An order's status follows from its parcels.

update shipments as s
set status = 'ready', updated_at = oms_sample.later(s.updated_at, due.moment)
from oms_sample.take('ready') as due
where s.shipment_id = due.subject_id and s.status = 'pending';

create temp table moved (shipment_id bigint, order_id bigint, status text, moment timestamptz) on commit drop;

with done as (
    update shipments as s
    set status = 'shipped', shipped_at = due.moment, updated_at = oms_sample.later(s.updated_at, due.moment),
        tracking_no = case when oms_sample.chance('tracked', s.shipment_id) < 0.97 then 'TRK' || lpad(s.shipment_id::text, 10, '0') end
    from oms_sample.take('ship') as due
    where s.shipment_id = due.subject_id and s.status in ('pending', 'ready')
    returning s.shipment_id, s.order_id, s.status, s.updated_at
)

insert into moved select * from done;

update shipments as s
set status = 'in_transit', updated_at = oms_sample.later(s.updated_at, due.moment)
from oms_sample.take('move') as due
where s.shipment_id = due.subject_id and s.status = 'shipped';

with done as (
    update shipments as s
    set status = 'delivered', updated_at = oms_sample.later(s.updated_at, due.moment),
        delivered_at = greatest(s.shipped_at + interval '1 hour', due.moment - oms_sample.days(
            case when oms_sample.chance('reported late', s.shipment_id) < 0.3 then 1 + 4 * oms_sample.chance('reported after', s.shipment_id)
                else 0.2 * oms_sample.chance('reported after', s.shipment_id) end
        ))
    from oms_sample.take('deliver') as due
    where s.shipment_id = due.subject_id and s.status in ('shipped', 'in_transit')
    returning s.shipment_id, s.order_id, s.status, s.updated_at
)

insert into moved select * from done;

with done as (
    update shipments as s
    set status = 'lost', updated_at = oms_sample.later(s.updated_at, due.moment)
    from oms_sample.take('lose') as due
    where s.shipment_id = due.subject_id and s.status in ('shipped', 'in_transit')
    returning s.shipment_id, s.order_id, s.status, s.updated_at
)

insert into moved select * from done;

analyze moved;

with done as (
    update orders as o
    set status = n.status, version = o.version + 1, updated_at = oms_sample.later(o.updated_at, n.moment)
    from (
        select
            m.order_id, m.moment,
            case
                when bool_and(s.status in ('delivered', 'lost')) and bool_or(s.status = 'delivered') then 'delivered'
                when bool_and(s.shipped_at is not null) then 'shipped'
                else 'partially_shipped'
            end as status
        from (select order_id, max(moment) as moment from moved group by order_id) as m
        inner join shipments as s using (order_id)
        group by m.order_id, m.moment
    ) as n
    where o.order_id = n.order_id and o.status not in ('cancelled', n.status)
    returning o.order_id, o.status, o.updated_at
)

insert into oms_sample.agenda (task, due_at, subject_id)
select plan.task, d.updated_at + oms_sample.days(plan.after), d.order_id
from done as d,
    lateral (
        values
        ('return', 1 + 25 * oms_sample.chance('returned after', d.order_id), oms_sample.chance('returned', d.order_id) < 0.12),
        ('return', 5 + 22 * oms_sample.chance('returned again after', d.order_id), oms_sample.chance('returned', d.order_id) < 0.012),
        ('give goodwill', 3 + 30 * oms_sample.chance('goodwill after', d.order_id), oms_sample.chance('goodwill', d.order_id) < 0.015)
    ) as plan (task, after, is_planned)
where plan.is_planned and d.status = 'delivered';

insert into oms_sample.agenda (task, due_at, subject_id)
select 'give goodwill', moment + oms_sample.days(1), order_id
from moved
where status = 'lost';

-- 9. Returns and refunds, weeks later.

with requested as (
    insert into returns (order_id, line_no, quantity, reason, status, requested_at, created_at, updated_at)
    select
        due.subject_id, l.line_no, 1 + floor(l.kept * oms_sample.chance('units back', due.subject_id * 100 + l.line_no))::integer,
        oms_sample.pick('return reason', due.subject_id * 100 + l.line_no, array['too small', 'too large', 'damaged', 'not as described', 'changed mind']),
        'requested', due.moment, due.moment, due.moment
    from (select distinct on (subject_id) * from oms_sample.take('return') order by subject_id, moment) as due,
        lateral (
            select i.line_no, i.quantity - i.cancelled_quantity as kept
            from order_items as i
            where i.order_id = due.subject_id and i.quantity > i.cancelled_quantity
                and not exists (select from returns as r where r.order_id = i.order_id and r.line_no = i.line_no)
            order by oms_sample.chance('line back', i.order_id * 100 + i.line_no)
            limit 1
        ) as l
    order by due.subject_id
    returning return_id, requested_at
)

insert into oms_sample.agenda (task, due_at, subject_id)
select plan.task, r.requested_at + oms_sample.days(plan.after), r.return_id
from requested as r,
    lateral (
        select
            oms_sample.chance('rejected', r.return_id) < 0.08 as is_rejected,
            oms_sample.chance('sent back', r.return_id) < 0.96 as is_sent_back,
            3 + 9 * oms_sample.chance('received after', r.return_id) as received
    ) as f,
    lateral (
        values
        ('reject', 1 + 3 * oms_sample.chance('rejected after', r.return_id), f.is_rejected),
        ('approve', 0.1 + 2 * oms_sample.chance('approved after', r.return_id), not f.is_rejected),
        ('receive', f.received, not f.is_rejected and f.is_sent_back),
        ('refund', f.received + 0.3 + 5 * oms_sample.chance('refunded after', r.return_id), not f.is_rejected),
        ('remove returned line', f.received + 8, not f.is_rejected and oms_sample.chance('line removed', r.return_id) < 0.02)
    ) as plan (task, after, is_planned)
where plan.is_planned;

update returns as r
set status = 'rejected', updated_at = oms_sample.later(r.updated_at, due.moment)
from oms_sample.take('reject') as due
where r.return_id = due.subject_id and r.status = 'requested';

update returns as r
set status = 'approved', updated_at = oms_sample.later(r.updated_at, due.moment)
from oms_sample.take('approve') as due
where r.return_id = due.subject_id and r.status = 'requested';

update returns as r
set status = 'received', received_at = due.moment, restocked = oms_sample.chance('restocked', r.return_id) < 0.8, updated_at = oms_sample.later(r.updated_at, due.moment)
from oms_sample.take('receive') as due
where r.return_id = due.subject_id and r.status = 'approved';

-- One refund in twenty is store credit: no payment; one in five is paid only days later.
create temp table refunding on commit drop as
select r.*, case when r.charge_id is not null then nextval(pg_get_serial_sequence('payments', 'payment_id')) end as payment_id
from (
    select
        r.return_id, r.order_id, o.currency, o.store_id, c.payment_id as charge_id, c.method, m.moment,
        round(r.quantity * i.unit_price - i.discount_amount * r.quantity / (i.quantity - i.cancelled_quantity), oms_sample.decimals(o.currency)) as refund_amount,
        round(i.tax_amount * r.quantity / (i.quantity - i.cancelled_quantity), oms_sample.decimals(o.currency)) as tax_share,
        oms_sample.chance('paid later', r.return_id) < 0.2 as is_paid_later
    from oms_sample.take('refund') as due
    inner join returns as r on r.return_id = due.subject_id and r.status in ('approved', 'received')
    inner join orders as o using (order_id)
    inner join order_items as i using (order_id, line_no)
    left join lateral (
        select p.payment_id, p.method from payments as p
        where p.order_id = r.order_id and p.kind = 'charge' and p.status = 'captured' and oms_sample.chance('store credit', r.return_id) >= 0.05
        order by p.payment_id limit 1
    ) as c on true,
        lateral (select oms_sample.later(r.updated_at, due.moment) as moment) as m
    order by r.return_id
) as r;

analyze refunding;

insert into payments (payment_id, order_id, kind, method, status, amount, currency, parent_payment_id, occurred_at, created_at, updated_at)
select
    payment_id, order_id, 'refund', method, case when is_paid_later then 'pending' else 'captured' end,
    refund_amount + tax_share, currency, charge_id, case when not is_paid_later then moment end, moment, moment
from refunding
where payment_id is not null;

update returns as r
set status = 'refunded', refund_amount = f.refund_amount, refund_payment_id = f.payment_id, updated_at = f.moment
from refunding as f
where r.return_id = f.return_id;

-- Shops refund without touching the order; elsewhere the order notes it.
update orders as o
set version = o.version + 1, updated_at = oms_sample.later(o.updated_at, f.moment)
from (select order_id, store_id, max(moment) as moment from refunding group by order_id, store_id) as f
inner join stores as s on s.store_id = f.store_id and s.channel <> 'in_store'
where o.order_id = f.order_id;

insert into oms_sample.agenda (task, due_at, subject_id)
select 'settle', moment + oms_sample.days(1 + 3 * oms_sample.chance('settled after', payment_id)), payment_id
from refunding
where payment_id is not null and is_paid_later;

update payments as p
set status = case when oms_sample.chance('refund fails', p.payment_id) < 0.03 then 'failed' else 'captured' end,
    occurred_at = due.moment, updated_at = oms_sample.later(p.updated_at, due.moment)
from oms_sample.take('settle') as due
where p.payment_id = due.subject_id and p.status = 'pending';

insert into payments (order_id, kind, method, status, amount, currency, parent_payment_id, occurred_at, created_at, updated_at)
select
    p.order_id, 'refund', p.method, 'captured',
    case when o.shipping_total > 0 then o.shipping_total else round(o.grand_total * 0.05, oms_sample.decimals(o.currency)) end,
    o.currency, p.payment_id, m.moment, m.moment, m.moment
from oms_sample.take('give goodwill') as due
inner join orders as o on o.order_id = due.subject_id,
    lateral (select * from payments as c where c.order_id = o.order_id and c.kind = 'charge' and c.status = 'captured' order by c.payment_id limit 1) as p,
    lateral (select oms_sample.later(p.updated_at, due.moment) as moment) as m
where o.grand_total > 1
order by o.order_id, due.moment;

-- 10. Stock is overwritten in place: reserved when ordered, gone when shipped, filled up when low, counted now and then.

with movement as (
    select o.store_id, i.product_id, 0 as on_hand, i.quantity as reserved
    from placed as p
    inner join orders as o using (order_id)
    inner join order_items as i using (order_id)
    union all
    select o.store_id, i.product_id, 0, i.cancelled_quantity - i.quantity
    from cancelled as c
    inner join orders as o using (order_id)
    inner join order_items as i using (order_id)
    union all
    select o.store_id, i.product_id, -m.quantity, -m.quantity
    from (select s.order_id, i.line_no, i.quantity from moved as s inner join shipment_items as i using (shipment_id) where s.status = 'shipped') as m
    inner join orders as o using (order_id)
    inner join order_items as i using (order_id, line_no)
)

update inventory as i
set on_hand = greatest(0, i.on_hand + n.on_hand) + case when n.is_filled_up then 4 * i.reorder_point + 10 else 0 end,
    reserved = greatest(0, i.reserved + n.reserved),
    updated_at = timestamptz '{start}' + (timestamptz '{end}' - timestamptz '{start}') * (0.9999 * oms_sample.chance('stocked at', {key} + i.product_id * 100 + i.store_id))
from (
    select
        i.store_id, i.product_id, m.store_id is not null as is_moved, coalesce(m.on_hand, 0) as on_hand, coalesce(m.reserved, 0) as reserved,
        i.on_hand - i.reserved < i.reorder_point and oms_sample.chance('filled up', {key} + i.product_id * 100 + i.store_id) < 0.3 as is_filled_up
    from inventory as i
    left join (select store_id, product_id, sum(on_hand) as on_hand, sum(reserved) as reserved from movement group by store_id, product_id) as m using (store_id, product_id)
) as n
where i.store_id = n.store_id and i.product_id = n.product_id
    and (n.is_moved or n.is_filled_up or oms_sample.chance('counted', {key} + i.product_id * 100 + i.store_id) < 0.02);

-- 11. Customers change their data, leave, and are forgotten a month later.

create temp table callers on commit drop as
select distinct on (c.customer_id) c.customer_id, n.moment, n.leaves
from (select max(customer_id) as last_id from customers),
    generate_series(1, 1 + {orders} / 50) as i,
    lateral (
        select
            timestamptz '{start}' + (timestamptz '{end}' - timestamptz '{start}') * (0.9999 * oms_sample.chance('calls at', {key} + i)) as moment,
            oms_sample.chance('leaves', {key} + i) < 0.1 as leaves
    ) as n,
    lateral (
        select customer_id, created_at, updated_at from customers
        where customer_id >= (last_id * oms_sample.chance('calls', {key} + i))::bigint and deleted_at is null
        order by customer_id
        limit 1
    ) as c
where c.updated_at < timestamptz '{start}'
order by c.customer_id, n.moment;

update customers as c
set city = case when n.leaves then c.city else format('City %s', 1 + (c.customer_id + {key}) % 97) end,
    marketing_opt_in = not n.leaves and c.marketing_opt_in <> (oms_sample.chance('changes mind', {key} + c.customer_id) < 0.3),
    deleted_at = case when n.leaves then n.moment end,
    updated_at = n.moment
from callers as n
where c.customer_id = n.customer_id;

insert into oms_sample.agenda (task, due_at, subject_id)
select 'anonymise', moment + oms_sample.days(25 + 10 * oms_sample.chance('forgotten after', customer_id)), customer_id
from callers
where leaves;

update customers as c
set email = null, full_name = null, phone = null, city = null, region = null, marketing_opt_in = false, updated_at = oms_sample.later(c.updated_at, due.moment)
from oms_sample.take('anonymise') as due
where c.customer_id = due.subject_id;

-- 12. The slow tables. Who or what goes is followed by another.

update products as p
set retail_price = round(p.retail_price * (0.92 + 0.01 * floor(20 * oms_sample.chance('new price', {key} + p.product_id))::integer), 2), updated_at = n.moment
from products as q,
    lateral (select timestamptz '{start}' + (timestamptz '{end}' - timestamptz '{start}') * (0.9 * oms_sample.chance('price changes at', {key} + q.product_id)) as moment) as n
where p.product_id = q.product_id and p.deleted_at is null and oms_sample.chance('price changes', {key} + p.product_id) < 0.01;

with gone as (
    update products as p
    set discontinued_at = n.moment, updated_at = oms_sample.later(p.updated_at, n.moment)
    from products as q,
        lateral (select timestamptz '{start}' + (timestamptz '{end}' - timestamptz '{start}') * (0.9 * oms_sample.chance('discontinued at', {key} + q.product_id)) as moment) as n
    where p.product_id = q.product_id and p.discontinued_at is null and oms_sample.chance('discontinued', {key} + p.product_id) < 0.001
    returning p.*
),

fresh as (
    insert into products (product_id, sku, product_name, category, supplier_id, retail_price, unit_cost, currency, created_at, updated_at)
    select n, 'SKU-' || lpad(n::text, 5, '0'), format('Product %s', n), category, supplier_id, retail_price, unit_cost, currency, updated_at, updated_at
    from (select g.*, nextval(pg_get_serial_sequence('products', 'product_id')) as n from (select * from gone order by product_id) as g)
    returning product_id, created_at
)

insert into inventory (store_id, product_id, on_hand, reserved, reorder_point, created_at, updated_at)
select s.store_id, f.product_id, 50, 0, 10, f.created_at, f.created_at
from fresh as f
cross join stores as s;

update products as p
set deleted_at = n.moment, updated_at = oms_sample.later(p.updated_at, n.moment)
from (select timestamptz '{start}' + interval '3 hours' as moment) as n
where p.deleted_at is null and p.discontinued_at < timestamptz '{start}' - interval '40 days';

with gone as (
    update employees as e
    set left_on = date '{day}', updated_at = timestamptz '{start}' + interval '17 hours'
    where e.left_on is null and e.employee_id > 9 and oms_sample.chance('resigns', {key} + e.employee_id) < 0.001
    returning e.*
)

insert into employees (full_name, job_title, manager_id, store_id, hired_on, created_at, updated_at)
select format('Successor of %s', full_name), job_title, manager_id, store_id, date '{day}', updated_at, updated_at
from gone
order by employee_id;

update suppliers as s
set lead_time_days = 2 + floor(28 * oms_sample.chance('lead time', {key} + s.supplier_id))::integer,
    deleted_at = case when oms_sample.chance('supplier leaves', {key} + s.supplier_id) < 0.01 then timestamptz '{start}' + interval '11 hours' end,
    updated_at = timestamptz '{start}' + interval '11 hours'
where s.deleted_at is null and oms_sample.chance('supplier changes', {key} + s.supplier_id) < 0.01;

-- Once in a while a store is renamed; on the 45th day one moves to another time zone.
update stores as s
set store_name = case when c.number = 45 then s.store_name else format('Store %s (%s)', s.store_id, to_char(date '{day}', 'YYYY')) end,
    timezone = case when c.number = 45 then 'America/Chicago' else s.timezone end,
    city = case when c.number = 45 then 'Chicago' else s.city end,
    region = case when c.number = 45 then 'IL' else s.region end,
    updated_at = timestamptz '{start}' + interval '9 hours'
from (select date '{day}' - opened_on as number from oms_sample.clock) as c
where (c.number = 45 and s.store_id = 8) or (c.number % 30 = 20 and s.store_id = 1 + c.number / 30 % 8);

update oms_sample.clock set next_day = next_day + 1;
