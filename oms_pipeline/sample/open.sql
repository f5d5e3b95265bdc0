-- Opens the simulated business: its clock, its agenda and its master data, dated before {first_day}.
-- {seed}, {orders_per_day}, {timezone}, {schema}: as given; {start}: the instant {first_day} begins.

create schema if not exists oms_sample;
comment on schema oms_sample is 'What only the simulator knows. The OMS itself has no such schema.';

create table oms_sample.clock (
    schema_name text not null,
    seed bigint not null,
    timezone text not null,
    orders_per_day integer not null,
    opened_on date not null,
    next_day date not null
);
comment on table oms_sample.clock is 'One row: which business this is and the day it will live next.';

create table oms_sample.agenda (
    task text not null,
    due_at timestamptz not null,
    subject_id bigint not null
);
comment on table oms_sample.agenda is 'What will happen, to which order, shipment, payment, return or customer. Done tasks are deleted, so a day costs the same however long the history is.';
create index agenda_due on oms_sample.agenda (task, due_at);

create view oms_sample.today as
select next_day::timestamp at time zone timezone as starts, (next_day + 1)::timestamp at time zone timezone as ends
from oms_sample.clock;

-- Takes today's tasks of a kind off the agenda.
-- rows 50: a low estimate, so that tasks find their rows by index and no plan reads all history.
create function oms_sample.take(wanted text) returns table (subject_id bigint, moment timestamptz) language sql rows 50 as $$
    delete from oms_sample.agenda as a using oms_sample.today as t
    where a.task = wanted and a.due_at < t.ends
    returning a.subject_id, greatest(a.due_at, t.starts)
$$;

-- Randomness: a number in [0, 1) that depends on nothing but the seed, a word and a key. Independent of plans and of the wall clock.
create function oms_sample.chance(what text, key bigint) returns double precision language sql immutable parallel safe
return (hashint8extended(key, hashtextextended(what, {seed})) & 9007199254740991) / 9007199254740992.0::double precision;

create function oms_sample.pick(what text, key bigint, choices text[]) returns text language sql immutable parallel safe
return choices[1 + floor(oms_sample.chance(what, key) * cardinality(choices))::integer];

create function oms_sample.days(days double precision) returns interval language sql immutable parallel safe
return make_interval(secs => days * 86400);

-- An update must move updated_at, or the OMS's trigger would stamp it with the wall clock.
create function oms_sample.later(than timestamptz, moment timestamptz) returns timestamptz language sql immutable parallel safe
return greatest(than + interval '1 microsecond', moment);

create function oms_sample.currency_of(country text) returns text language sql immutable parallel safe
return case country when 'US' then 'USD' when 'JP' then 'JPY' when 'GB' then 'GBP' else 'EUR' end;

create function oms_sample.rate(currency text) returns numeric language sql immutable parallel safe
return case currency when 'USD' then 1.10 when 'JPY' then 160 when 'GBP' then 0.85 else 1 end;

create function oms_sample.decimals(currency text) returns integer language sql immutable parallel safe
return case currency when 'JPY' then 0 else 2 end;

create function oms_sample.tax_rate(country text) returns numeric language sql immutable parallel safe
return case country when 'US' then 0.0825 when 'JP' then 0.10 when 'GB' then 0.20 else 0.19 end;

create function oms_sample.convert(amount numeric, given text, wanted text, decimals integer) returns numeric language sql immutable parallel safe
return round(amount * oms_sample.rate(wanted) / oms_sample.rate(given), decimals);

-- Six in the evening at the store, two to four days on; a few orders are promised nothing.
create function oms_sample.promise(placed_at timestamptz, zone text, order_id bigint) returns timestamptz language sql immutable parallel safe
return case when oms_sample.chance('promised', order_id) < 0.995 then
    ((placed_at at time zone zone)::date + 4 + floor(3 * oms_sample.chance('promise', order_id))::integer + time '18:00') at time zone zone
end;

insert into oms_sample.clock
values ('{schema}', {seed}, '{timezone}', {orders_per_day}, date '{first_day}', date '{first_day}');

with plan (n, channel, timezone, city, region, country) as (
    values
    (1, 'online', 'Europe/Berlin', 'Berlin', null, 'DE'),
    (2, 'online', 'America/New_York', 'New York', 'NY', 'US'),
    (3, 'marketplace', 'Europe/London', 'London', null, 'GB'),
    (4, 'in_store', 'Europe/Berlin', 'Hamburg', null, 'DE'),
    (5, 'in_store', 'America/New_York', 'Boston', 'MA', 'US'),
    (6, 'in_store', 'Asia/Tokyo', 'Tokyo', 'Kanto', 'JP'),
    (7, 'online', 'Asia/Tokyo', 'Osaka', 'Kansai', 'JP'),
    (8, 'marketplace', 'America/Los_Angeles', 'Seattle', 'WA', 'US')
)
insert into stores (store_name, channel, timezone, city, region, country, created_at, updated_at)
select format('Store %s', n), channel, timezone, city, region, country, opened, opened
from plan, lateral (select timestamptz '{start}' - interval '24 hours' * (1000 - n) as opened)
order by n;

-- Employee 1 leads; every store has a manager; every tenth of the rest belongs to no store.
insert into employees (full_name, job_title, manager_id, store_id, hired_on, created_at, updated_at)
select
    format('Employee %s', n),
    case when n = 1 then 'Managing Director' when n <= 9 then 'Store Manager' when n % 10 = 0 then 'Planner' else oms_sample.pick('job', n, array['Sales Assistant', 'Cashier', 'Picker', 'Customer Care Agent']) end,
    case when n between 2 and 9 then 1 when n > 9 and n % 10 <> 0 then 2 + n % 8 when n > 9 then 1 end,
    case when n between 2 and 9 then n - 1 when n > 9 and n % 10 <> 0 then 1 + n % 8 end,
    hired::date, hired, hired
from generate_series(1, 60) as n,
    lateral (select timestamptz '{start}' - oms_sample.days(30 + 900 * oms_sample.chance('hired', n)) as hired)
order by n;

insert into suppliers (supplier_name, email, lead_time_days, created_at, updated_at)
select format('Supplier %s', n), format('supplier%s@example.com', n), 2 + floor(28 * oms_sample.chance('lead time', n))::integer, since, since
from generate_series(1, 20) as n,
    lateral (select timestamptz '{start}' - oms_sample.days(1 + 900 * oms_sample.chance('supplier since', n)) as since)
order by n;

insert into products (sku, product_name, category, supplier_id, retail_price, unit_cost, currency, created_at, updated_at)
select
    'SKU-' || lpad(n::text, 5, '0'),
    format('Product %s', n),
    oms_sample.pick('category', n, array['Home', 'Garden', 'Kitchen', 'Toys', 'Sports', 'Office']),
    case when n % 50 <> 0 then 1 + floor(20 * oms_sample.chance('supplier', n))::integer end,
    price,
    round(price * (0.35 + 0.001 * floor(300 * oms_sample.chance('margin', n))::integer), 4),
    case when n % 8 = 0 then 'USD' else 'EUR' end,
    since, since
from generate_series(1, 250) as n,
    lateral (
        select
            2.99 + floor(power(oms_sample.chance('price', n), 3) * 400)::integer + 0.5 * floor(2 * oms_sample.chance('cents', n))::integer as price,
            timestamptz '{start}' - oms_sample.days(1 + 700 * oms_sample.chance('product since', n)) as since
    )
order by n;

insert into inventory (store_id, product_id, on_hand, reserved, reorder_point, created_at, updated_at)
select
    s.store_id, p.product_id,
    level + floor(level * oms_sample.chance('stock', p.product_id * 100 + s.store_id))::integer, 0, level / 2,
    counted, counted
from stores as s, products as p,
    lateral (select 10 + {orders_per_day} / 20 as level, timestamptz '{start}' - interval '1 hour' as counted)
order by s.store_id, p.product_id;

insert into customers (email, full_name, phone, city, region, country, marketing_opt_in, created_at, updated_at)
select
    format('customer%s@example.com', n), format('Customer %s', n),
    case when oms_sample.chance('phone', n) < 0.7 then '+00 555 ' || lpad(n::text, 8, '0') end,
    format('City %s', 1 + n % 97),
    case when oms_sample.chance('region', n) < 0.5 then format('Region %s', 1 + n % 23) end,
    oms_sample.pick('country', n, array['DE', 'US', 'GB', 'JP', 'FR', 'NL']),
    oms_sample.chance('opt in', n) < 0.4,
    since, since
from generate_series(1, greatest(200, 5 * {orders_per_day})) as n,
    lateral (select timestamptz '{start}' - oms_sample.days(0.01 + 365 * oms_sample.chance('customer since', n)) as since)
order by n;
