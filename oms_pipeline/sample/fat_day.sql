-- One very busy day: {orders} orders of three lines each, paid and left at that. Nothing of them is on the agenda.
-- {start}, {end}: the instants the day begins and ends.

create temp table fat_day on commit drop as
select last_id - {orders} + 1 as first_id, last_id
from (
    select setval(seq, nextval(seq) + {orders} - 1) as last_id
    from (select pg_get_serial_sequence('orders', 'order_id')::regclass as seq)
);

create temp table catalogue on commit drop as
select row_number() over (order by product_id) as n, product_id, retail_price, unit_cost, currency
from products
where discontinued_at is null and deleted_at is null;

create temp table shops on commit drop as
select row_number() over (order by store_id) - 1 as n, store_id, timezone, country, oms_sample.currency_of(country) as currency
from stores
where closed_on is null;

create temp table prices on commit drop as
select
    s.n as shop, c.n as product, c.product_id, s.currency, oms_sample.tax_rate(s.country) as tax_rate,
    oms_sample.convert(c.retail_price, c.currency, s.currency, oms_sample.decimals(s.currency)) as unit_price,
    oms_sample.convert(c.unit_cost, c.currency, s.currency, 4) as unit_cost
from shops as s
cross join catalogue as c;

analyze fat_day, prices, shops;

insert into order_items (order_id, line_no, product_id, quantity, unit_price, unit_cost, tax_amount, created_at, updated_at)
select
    o.order_id, o.line_no, p.product_id, o.quantity, p.unit_price, p.unit_cost,
    round(o.quantity * p.unit_price * p.tax_rate, oms_sample.decimals(p.currency)), o.moment, o.moment
from (
    select
        order_id, line_no, order_id % (select count(*) from shops) as shop,
        1 + floor((select count(*) from catalogue) * oms_sample.chance('product', order_id * 100 + line_no))::bigint as product,
        1 + floor(3 * oms_sample.chance('quantity', order_id * 100 + line_no))::integer as quantity,
        timestamptz '{start}' + (timestamptz '{end}' - timestamptz '{start}') * ((order_id - first_id) / {orders}::double precision) as moment
    from fat_day, generate_series(first_id, last_id) as order_id, generate_series(1, 3) as line_no
) as o
inner join prices as p using (shop, product);

insert into orders (
    order_id, order_number, customer_id, store_id, currency, status, placed_at, paid_at, promised_ship_by,
    tax_total, grand_total, created_at, updated_at
)
select
    o.order_id, 'SO-' || lpad(o.order_id::text, 9, '0'), case when oms_sample.chance('buyer', o.order_id) >= 0.08 then
        (select customer_id from customers where customer_id >= 1 + floor((select max(customer_id) from customers) * oms_sample.chance('who', o.order_id))::bigint order by customer_id limit 1)
    end,
    s.store_id, s.currency, 'paid', o.moment, o.moment, oms_sample.promise(o.moment, s.timezone, o.order_id),
    o.taxes, o.goods + o.taxes, o.moment, o.moment
from (
    select order_id, sum(quantity * unit_price) as goods, sum(tax_amount) as taxes, min(created_at) as moment
    from order_items
    where order_id >= (select first_id from fat_day) and order_id <= (select last_id from fat_day)
    group by order_id
) as o
inner join shops as s on s.n = o.order_id % (select count(*) from shops);

insert into payments (order_id, kind, method, status, amount, currency, occurred_at, created_at, updated_at)
select order_id, 'charge', 'card', 'captured', grand_total, currency, paid_at, created_at, updated_at
from orders
where order_id >= (select first_id from fat_day) and order_id <= (select last_id from fat_day)
order by order_id;

analyze orders, order_items, payments;
