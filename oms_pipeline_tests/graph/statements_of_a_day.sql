-- external/customers
alter external table external.customers refresh 'year=2026/month=03/day=07/customers/';

-- external/stores
alter external table external.stores refresh 'year=2026/month=03/day=07/stores/';

-- external/employees
alter external table external.employees refresh 'year=2026/month=03/day=07/employees/';

-- external/suppliers
alter external table external.suppliers refresh 'year=2026/month=03/day=07/suppliers/';

-- external/products
alter external table external.products refresh 'year=2026/month=03/day=07/products/';

-- external/inventory
alter external table external.inventory refresh 'year=2026/month=03/day=07/inventory/';

-- external/orders
alter external table external.orders refresh 'year=2026/month=03/day=07/orders/';

-- external/order_items
alter external table external.order_items refresh 'year=2026/month=03/day=07/order_items/';

-- external/payments
alter external table external.payments refresh 'year=2026/month=03/day=07/payments/';

-- external/shipments
alter external table external.shipments refresh 'year=2026/month=03/day=07/shipments/';

-- external/shipment_items
alter external table external.shipment_items refresh 'year=2026/month=03/day=07/shipment_items/';

-- external/returns
alter external table external.returns refresh 'year=2026/month=03/day=07/returns/';

-- external
select lower(table_name) as table_name, null as landed_on, null as files, null as row_count, comment as definition from information_schema.tables where table_schema = 'EXTERNAL'
union all
select '@external.raw', null, null, null, stage_url from (select stage_url from information_schema.stages where stage_schema = 'EXTERNAL' and stage_name = 'RAW')
union all
select 'customers', landed_on, count(distinct metadata$filename), count(*), null from external.customers where landed_on >= date '2026-03-07' and landed_on <= date '2026-03-07' group by landed_on
union all
select 'stores', landed_on, count(distinct metadata$filename), count(*), null from external.stores where landed_on >= date '2026-03-07' and landed_on <= date '2026-03-07' group by landed_on
union all
select 'employees', landed_on, count(distinct metadata$filename), count(*), null from external.employees where landed_on >= date '2026-03-07' and landed_on <= date '2026-03-07' group by landed_on
union all
select 'suppliers', landed_on, count(distinct metadata$filename), count(*), null from external.suppliers where landed_on >= date '2026-03-07' and landed_on <= date '2026-03-07' group by landed_on
union all
select 'products', landed_on, count(distinct metadata$filename), count(*), null from external.products where landed_on >= date '2026-03-07' and landed_on <= date '2026-03-07' group by landed_on
union all
select 'inventory', landed_on, count(distinct metadata$filename), count(*), null from external.inventory where landed_on >= date '2026-03-07' and landed_on <= date '2026-03-07' group by landed_on
union all
select 'orders', landed_on, count(distinct metadata$filename), count(*), null from external.orders where landed_on >= date '2026-03-07' and landed_on <= date '2026-03-07' group by landed_on
union all
select 'order_items', landed_on, count(distinct metadata$filename), count(*), null from external.order_items where landed_on >= date '2026-03-07' and landed_on <= date '2026-03-07' group by landed_on
union all
select 'payments', landed_on, count(distinct metadata$filename), count(*), null from external.payments where landed_on >= date '2026-03-07' and landed_on <= date '2026-03-07' group by landed_on
union all
select 'shipments', landed_on, count(distinct metadata$filename), count(*), null from external.shipments where landed_on >= date '2026-03-07' and landed_on <= date '2026-03-07' group by landed_on
union all
select 'shipment_items', landed_on, count(distinct metadata$filename), count(*), null from external.shipment_items where landed_on >= date '2026-03-07' and landed_on <= date '2026-03-07' group by landed_on
union all
select 'returns', landed_on, count(distinct metadata$filename), count(*), null from external.returns where landed_on >= date '2026-03-07' and landed_on <= date '2026-03-07' group by landed_on;

-- transform
select lower(table_schema) || '.' || lower(table_name) as relation, lower(column_name) as column_name, lower(data_type) as data_type, numeric_precision, numeric_scale from information_schema.columns where table_schema in ('STAGING', 'INTERMEDIATE', 'MARTS');

-- transform
show objects in database OMS limit 10000;

-- transform
merge into external.held_windows as stored using (select 'marts' as relation, current_session() as held union all select 'intermediate.int_cohort_months__affected', 'window 2026-03-07 2026-03-08' union all select 'intermediate.int_customers__affected', 'window 2026-03-07 2026-03-08' union all select 'intermediate.int_days__affected', 'window 2026-03-07 2026-03-08' union all select 'intermediate.int_days__before', 'window 2026-03-07 2026-03-08' union all select 'intermediate.int_orders__affected', 'window 2026-03-07 2026-03-08' union all select 'staging.stg_oms__customers', 'window 2026-03-07 2026-03-08' union all select 'staging.stg_oms__employees', 'window 2026-03-07 2026-03-08' union all select 'staging.stg_oms__inventory', 'window 2026-03-07 2026-03-08' union all select 'staging.stg_oms__order_items', 'window 2026-03-07 2026-03-08' union all select 'staging.stg_oms__orders', 'window 2026-03-07 2026-03-08' union all select 'staging.stg_oms__payments', 'window 2026-03-07 2026-03-08' union all select 'staging.stg_oms__products', 'window 2026-03-07 2026-03-08' union all select 'staging.stg_oms__returns', 'window 2026-03-07 2026-03-08' union all select 'staging.stg_oms__shipment_items', 'window 2026-03-07 2026-03-08' union all select 'staging.stg_oms__shipments', 'window 2026-03-07 2026-03-08' union all select 'staging.stg_oms__stores', 'window 2026-03-07 2026-03-08' union all select 'staging.stg_oms__suppliers', 'window 2026-03-07 2026-03-08') as made on stored.relation = made.relation when matched then update set held = made.held when not matched then insert (relation, held) values (made.relation, made.held);

-- staging/stg_oms__customers
insert overwrite into OMS.staging.stg_oms__customers (customer_id, email, full_name, phone, city, region, country, marketing_opt_in, deleted_at, created_at, updated_at, extracted_at, landed_on)
select customer_id, email, full_name, phone, city, region, country, marketing_opt_in, deleted_at, created_at, updated_at, extracted_at, landed_on
from (

        select
            cast(customer_id as bigint) as customer_id,
            cast(email as text) as email,
            cast(full_name as text) as full_name,
            cast(phone as text) as phone,
            cast(city as text) as city,
            cast(region as text) as region,
            cast(country as text) as country,
            cast(marketing_opt_in as boolean) as marketing_opt_in,
            cast(convert_timezone('UTC', deleted_at) as timestamp_ntz) as deleted_at,
            cast(convert_timezone('UTC', created_at) as timestamp_ntz) as created_at,
            cast(convert_timezone('UTC', updated_at) as timestamp_ntz) as updated_at,
            cast(convert_timezone('UTC', _extracted_at) as timestamp_ntz) as extracted_at,
            landed_on
        from
    OMS.external.customers
        where landed_on >= date '2026-03-07' and landed_on < date '2026-03-08'

) as made;

-- staging/stg_oms__employees
insert overwrite into OMS.staging.stg_oms__employees (employee_id, full_name, job_title, manager_id, store_id, hired_on, left_on, created_at, updated_at, extracted_at, landed_on)
select employee_id, full_name, job_title, manager_id, store_id, hired_on, left_on, created_at, updated_at, extracted_at, landed_on
from (

        select
            cast(employee_id as bigint) as employee_id,
            cast(full_name as text) as full_name,
            cast(job_title as text) as job_title,
            cast(manager_id as bigint) as manager_id,
            cast(store_id as bigint) as store_id,
            cast(hired_on as date) as hired_on,
            cast(left_on as date) as left_on,
            cast(convert_timezone('UTC', created_at) as timestamp_ntz) as created_at,
            cast(convert_timezone('UTC', updated_at) as timestamp_ntz) as updated_at,
            cast(convert_timezone('UTC', _extracted_at) as timestamp_ntz) as extracted_at,
            landed_on
        from
    OMS.external.employees
        where landed_on >= date '2026-03-07' and landed_on < date '2026-03-08'

) as made;

-- staging/stg_oms__inventory
insert overwrite into OMS.staging.stg_oms__inventory (store_id, product_id, on_hand, reserved, reorder_point, created_at, updated_at, extracted_at, landed_on)
select store_id, product_id, on_hand, reserved, reorder_point, created_at, updated_at, extracted_at, landed_on
from (

        select
            cast(store_id as bigint) as store_id,
            cast(product_id as bigint) as product_id,
            cast(on_hand as integer) as on_hand,
            cast(reserved as integer) as reserved,
            cast(reorder_point as integer) as reorder_point,
            cast(convert_timezone('UTC', created_at) as timestamp_ntz) as created_at,
            cast(convert_timezone('UTC', updated_at) as timestamp_ntz) as updated_at,
            cast(convert_timezone('UTC', _extracted_at) as timestamp_ntz) as extracted_at,
            landed_on
        from
    OMS.external.inventory
        where landed_on >= date '2026-03-07' and landed_on < date '2026-03-08'

) as made;

-- staging/stg_oms__order_items
insert overwrite into OMS.staging.stg_oms__order_items (order_id, line_no, product_id, quantity, cancelled_quantity, unit_price, unit_cost, discount_amount, tax_amount, created_at, updated_at, parent_updated_at, extracted_at, landed_on)
select order_id, line_no, product_id, quantity, cancelled_quantity, unit_price, unit_cost, discount_amount, tax_amount, created_at, updated_at, parent_updated_at, extracted_at, landed_on
from (

        select
            cast(order_id as bigint) as order_id,
            cast(line_no as integer) as line_no,
            cast(product_id as bigint) as product_id,
            cast(quantity as integer) as quantity,
            cast(cancelled_quantity as integer) as cancelled_quantity,
            cast(unit_price as numeric(14,2)) as unit_price,
            cast(unit_cost as numeric(14,4)) as unit_cost,
            cast(discount_amount as numeric(14,2)) as discount_amount,
            cast(tax_amount as numeric(14,2)) as tax_amount,
            cast(convert_timezone('UTC', created_at) as timestamp_ntz) as created_at,
            cast(convert_timezone('UTC', updated_at) as timestamp_ntz) as updated_at,
            cast(convert_timezone('UTC', _parent_updated_at) as timestamp_ntz) as parent_updated_at,
            cast(convert_timezone('UTC', _extracted_at) as timestamp_ntz) as extracted_at,
            landed_on
        from
    OMS.external.order_items
        where landed_on >= date '2026-03-07' and landed_on < date '2026-03-08'

) as made;

-- staging/stg_oms__orders
insert overwrite into OMS.staging.stg_oms__orders (order_id, order_number, customer_id, store_id, employee_id, currency, status, placed_at, paid_at, promised_ship_by, cancelled_at, cancel_reason, discount_total, shipping_total, tax_total, grand_total, version, is_test, created_at, updated_at, extracted_at, landed_on)
select order_id, order_number, customer_id, store_id, employee_id, currency, status, placed_at, paid_at, promised_ship_by, cancelled_at, cancel_reason, discount_total, shipping_total, tax_total, grand_total, version, is_test, created_at, updated_at, extracted_at, landed_on
from (

        select
            cast(order_id as bigint) as order_id,
            cast(order_number as text) as order_number,
            cast(customer_id as bigint) as customer_id,
            cast(store_id as bigint) as store_id,
            cast(employee_id as bigint) as employee_id,
            cast(currency as text) as currency,
            cast(status as text) as status,
            cast(convert_timezone('UTC', placed_at) as timestamp_ntz) as placed_at,
            cast(convert_timezone('UTC', paid_at) as timestamp_ntz) as paid_at,
            cast(convert_timezone('UTC', promised_ship_by) as timestamp_ntz) as promised_ship_by,
            cast(convert_timezone('UTC', cancelled_at) as timestamp_ntz) as cancelled_at,
            cast(cancel_reason as text) as cancel_reason,
            cast(discount_total as numeric(14,2)) as discount_total,
            cast(shipping_total as numeric(14,2)) as shipping_total,
            cast(tax_total as numeric(14,2)) as tax_total,
            cast(grand_total as numeric(14,2)) as grand_total,
            cast(version as integer) as version,
            cast(is_test as boolean) as is_test,
            cast(convert_timezone('UTC', created_at) as timestamp_ntz) as created_at,
            cast(convert_timezone('UTC', updated_at) as timestamp_ntz) as updated_at,
            cast(convert_timezone('UTC', _extracted_at) as timestamp_ntz) as extracted_at,
            landed_on
        from
    OMS.external.orders
        where landed_on >= date '2026-03-07' and landed_on < date '2026-03-08'

) as made;

-- staging/stg_oms__payments
insert overwrite into OMS.staging.stg_oms__payments (payment_id, order_id, kind, method, status, amount, currency, parent_payment_id, occurred_at, created_at, updated_at, extracted_at, landed_on)
select payment_id, order_id, kind, method, status, amount, currency, parent_payment_id, occurred_at, created_at, updated_at, extracted_at, landed_on
from (

        select
            cast(payment_id as bigint) as payment_id,
            cast(order_id as bigint) as order_id,
            cast(kind as text) as kind,
            cast(method as text) as method,
            cast(status as text) as status,
            cast(amount as numeric(14,2)) as amount,
            cast(currency as text) as currency,
            cast(parent_payment_id as bigint) as parent_payment_id,
            cast(convert_timezone('UTC', occurred_at) as timestamp_ntz) as occurred_at,
            cast(convert_timezone('UTC', created_at) as timestamp_ntz) as created_at,
            cast(convert_timezone('UTC', updated_at) as timestamp_ntz) as updated_at,
            cast(convert_timezone('UTC', _extracted_at) as timestamp_ntz) as extracted_at,
            landed_on
        from
    OMS.external.payments
        where landed_on >= date '2026-03-07' and landed_on < date '2026-03-08'

) as made;

-- staging/stg_oms__products
insert overwrite into OMS.staging.stg_oms__products (product_id, sku, product_name, category, supplier_id, retail_price, unit_cost, currency, discontinued_at, deleted_at, created_at, updated_at, extracted_at, landed_on)
select product_id, sku, product_name, category, supplier_id, retail_price, unit_cost, currency, discontinued_at, deleted_at, created_at, updated_at, extracted_at, landed_on
from (

        select
            cast(product_id as bigint) as product_id,
            cast(sku as text) as sku,
            cast(product_name as text) as product_name,
            cast(category as text) as category,
            cast(supplier_id as bigint) as supplier_id,
            cast(retail_price as numeric(14,2)) as retail_price,
            cast(unit_cost as numeric(14,4)) as unit_cost,
            cast(currency as text) as currency,
            cast(convert_timezone('UTC', discontinued_at) as timestamp_ntz) as discontinued_at,
            cast(convert_timezone('UTC', deleted_at) as timestamp_ntz) as deleted_at,
            cast(convert_timezone('UTC', created_at) as timestamp_ntz) as created_at,
            cast(convert_timezone('UTC', updated_at) as timestamp_ntz) as updated_at,
            cast(convert_timezone('UTC', _extracted_at) as timestamp_ntz) as extracted_at,
            landed_on
        from
    OMS.external.products
        where landed_on >= date '2026-03-07' and landed_on < date '2026-03-08'

) as made;

-- staging/stg_oms__returns
insert overwrite into OMS.staging.stg_oms__returns (return_id, order_id, line_no, quantity, reason, status, requested_at, received_at, refund_amount, refund_payment_id, restocked, created_at, updated_at, extracted_at, landed_on)
select return_id, order_id, line_no, quantity, reason, status, requested_at, received_at, refund_amount, refund_payment_id, restocked, created_at, updated_at, extracted_at, landed_on
from (

        select
            cast(return_id as bigint) as return_id,
            cast(order_id as bigint) as order_id,
            cast(line_no as integer) as line_no,
            cast(quantity as integer) as quantity,
            cast(reason as text) as reason,
            cast(status as text) as status,
            cast(convert_timezone('UTC', requested_at) as timestamp_ntz) as requested_at,
            cast(convert_timezone('UTC', received_at) as timestamp_ntz) as received_at,
            cast(refund_amount as numeric(14,2)) as refund_amount,
            cast(refund_payment_id as bigint) as refund_payment_id,
            cast(restocked as boolean) as restocked,
            cast(convert_timezone('UTC', created_at) as timestamp_ntz) as created_at,
            cast(convert_timezone('UTC', updated_at) as timestamp_ntz) as updated_at,
            cast(convert_timezone('UTC', _extracted_at) as timestamp_ntz) as extracted_at,
            landed_on
        from
    OMS.external.returns
        where landed_on >= date '2026-03-07' and landed_on < date '2026-03-08'

) as made;

-- staging/stg_oms__shipment_items
insert overwrite into OMS.staging.stg_oms__shipment_items (shipment_id, order_id, line_no, quantity, created_at, updated_at, parent_updated_at, extracted_at, landed_on)
select shipment_id, order_id, line_no, quantity, created_at, updated_at, parent_updated_at, extracted_at, landed_on
from (

        select
            cast(shipment_id as bigint) as shipment_id,
            cast(order_id as bigint) as order_id,
            cast(line_no as integer) as line_no,
            cast(quantity as integer) as quantity,
            cast(convert_timezone('UTC', created_at) as timestamp_ntz) as created_at,
            cast(convert_timezone('UTC', updated_at) as timestamp_ntz) as updated_at,
            cast(convert_timezone('UTC', _parent_updated_at) as timestamp_ntz) as parent_updated_at,
            cast(convert_timezone('UTC', _extracted_at) as timestamp_ntz) as extracted_at,
            landed_on
        from
    OMS.external.shipment_items
        where landed_on >= date '2026-03-07' and landed_on < date '2026-03-08'

) as made;

-- staging/stg_oms__shipments
insert overwrite into OMS.staging.stg_oms__shipments (shipment_id, order_id, store_id, carrier, tracking_no, status, cost, shipped_at, promised_delivery_on, delivered_at, created_at, updated_at, extracted_at, landed_on)
select shipment_id, order_id, store_id, carrier, tracking_no, status, cost, shipped_at, promised_delivery_on, delivered_at, created_at, updated_at, extracted_at, landed_on
from (

        select
            cast(shipment_id as bigint) as shipment_id,
            cast(order_id as bigint) as order_id,
            cast(store_id as bigint) as store_id,
            cast(carrier as text) as carrier,
            cast(tracking_no as text) as tracking_no,
            cast(status as text) as status,
            cast(cost as numeric(14,2)) as cost,
            cast(convert_timezone('UTC', shipped_at) as timestamp_ntz) as shipped_at,
            cast(promised_delivery_on as date) as promised_delivery_on,
            cast(convert_timezone('UTC', delivered_at) as timestamp_ntz) as delivered_at,
            cast(convert_timezone('UTC', created_at) as timestamp_ntz) as created_at,
            cast(convert_timezone('UTC', updated_at) as timestamp_ntz) as updated_at,
            cast(convert_timezone('UTC', _extracted_at) as timestamp_ntz) as extracted_at,
            landed_on
        from
    OMS.external.shipments
        where landed_on >= date '2026-03-07' and landed_on < date '2026-03-08'

) as made;

-- staging/stg_oms__stores
insert overwrite into OMS.staging.stg_oms__stores (store_id, store_name, channel, timezone, city, region, country, closed_on, created_at, updated_at, extracted_at, landed_on)
select store_id, store_name, channel, timezone, city, region, country, closed_on, created_at, updated_at, extracted_at, landed_on
from (

        select
            cast(store_id as bigint) as store_id,
            cast(store_name as text) as store_name,
            cast(channel as text) as channel,
            cast(timezone as text) as timezone,
            cast(city as text) as city,
            cast(region as text) as region,
            cast(country as text) as country,
            cast(closed_on as date) as closed_on,
            cast(convert_timezone('UTC', created_at) as timestamp_ntz) as created_at,
            cast(convert_timezone('UTC', updated_at) as timestamp_ntz) as updated_at,
            cast(convert_timezone('UTC', _extracted_at) as timestamp_ntz) as extracted_at,
            landed_on
        from
    OMS.external.stores
        where landed_on >= date '2026-03-07' and landed_on < date '2026-03-08'

) as made;

-- staging/stg_oms__suppliers
insert overwrite into OMS.staging.stg_oms__suppliers (supplier_id, supplier_name, email, lead_time_days, deleted_at, created_at, updated_at, extracted_at, landed_on)
select supplier_id, supplier_name, email, lead_time_days, deleted_at, created_at, updated_at, extracted_at, landed_on
from (

        select
            cast(supplier_id as bigint) as supplier_id,
            cast(supplier_name as text) as supplier_name,
            cast(email as text) as email,
            cast(lead_time_days as integer) as lead_time_days,
            cast(convert_timezone('UTC', deleted_at) as timestamp_ntz) as deleted_at,
            cast(convert_timezone('UTC', created_at) as timestamp_ntz) as created_at,
            cast(convert_timezone('UTC', updated_at) as timestamp_ntz) as updated_at,
            cast(convert_timezone('UTC', _extracted_at) as timestamp_ntz) as extracted_at,
            landed_on
        from
    OMS.external.suppliers
        where landed_on >= date '2026-03-07' and landed_on < date '2026-03-08'

) as made;

-- marts/dim_employees
merge into OMS.marts.dim_employees as stored
    using (

with employees as (
    select * from OMS.staging.stg_oms__employees
),

final as (
    select
        employee_id,
        full_name,
        job_title,
        manager_id,
        store_id,
        hired_on,
        left_on,
        left_on is null as is_employed,
        created_at,
        updated_at,
        extracted_at
    from employees
    qualify row_number() over (
        partition by employee_id
        order by updated_at desc, extracted_at desc, landed_on desc
    ) = 1
)

select * from final
) as landed
    on stored.employee_id = landed.employee_id
    when matched and (
        landed.updated_at > stored.updated_at
        or (landed.updated_at = stored.updated_at and landed.extracted_at >= stored.extracted_at)
    ) then update set
        employee_id = landed.employee_id, full_name = landed.full_name, job_title = landed.job_title, manager_id = landed.manager_id, store_id = landed.store_id, hired_on = landed.hired_on, left_on = landed.left_on, is_employed = landed.is_employed, created_at = landed.created_at, updated_at = landed.updated_at, extracted_at = landed.extracted_at
    when not matched then insert (employee_id, full_name, job_title, manager_id, store_id, hired_on, left_on, is_employed, created_at, updated_at, extracted_at)
    values (landed.employee_id, landed.full_name, landed.job_title, landed.manager_id, landed.store_id, landed.hired_on, landed.left_on, landed.is_employed, landed.created_at, landed.updated_at, landed.extracted_at);

-- intermediate/int_inventory__snapshots
merge into OMS.intermediate.int_inventory__snapshots as stored
    using (
        with made as (

with inventory as (
    select * from OMS.staging.stg_oms__inventory
),

final as (
    select
        landed_on,
        store_id,
        product_id,
        on_hand,
        reserved,
        reorder_point,
        extracted_at
    from inventory
)

select * from final
)

        select landed_on, store_id, product_id, on_hand, reserved, reorder_point, extracted_at, false as is_gone
        from made
        union all
        select landed_on, store_id, product_id, on_hand, reserved, reorder_point, extracted_at, true as is_gone
        from OMS.intermediate.int_inventory__snapshots as stored
        where stored.landed_on in (select landed_on from OMS.staging.stg_oms__inventory)
            and not exists (select 1 from made where stored.landed_on = made.landed_on and stored.store_id = made.store_id and stored.product_id = made.product_id)
    ) as made
    on stored.landed_on = made.landed_on and stored.store_id = made.store_id and stored.product_id = made.product_id
    when matched and made.is_gone then delete
    when matched then update set
        landed_on = made.landed_on, store_id = made.store_id, product_id = made.product_id, on_hand = made.on_hand, reserved = made.reserved, reorder_point = made.reorder_point, extracted_at = made.extracted_at
    when not matched then insert (landed_on, store_id, product_id, on_hand, reserved, reorder_point, extracted_at)
    values (made.landed_on, made.store_id, made.product_id, made.on_hand, made.reserved, made.reorder_point, made.extracted_at);

-- intermediate/int_orders__current
merge into OMS.intermediate.int_orders__current as stored
    using (

with orders as (
    select * from OMS.staging.stg_oms__orders
),

final as (
    select * exclude (landed_on)
    from orders
    qualify row_number() over (
        partition by order_id
        order by updated_at desc, extracted_at desc, landed_on desc
    ) = 1
)

select * from final
order by order_id
) as landed
    on stored.order_id = landed.order_id
    when matched and (
        landed.updated_at > stored.updated_at
        or (landed.updated_at = stored.updated_at and landed.extracted_at >= stored.extracted_at)
    ) then update set
        order_id = landed.order_id, order_number = landed.order_number, customer_id = landed.customer_id, store_id = landed.store_id, employee_id = landed.employee_id, currency = landed.currency, status = landed.status, placed_at = landed.placed_at, paid_at = landed.paid_at, promised_ship_by = landed.promised_ship_by, cancelled_at = landed.cancelled_at, cancel_reason = landed.cancel_reason, discount_total = landed.discount_total, shipping_total = landed.shipping_total, tax_total = landed.tax_total, grand_total = landed.grand_total, version = landed.version, is_test = landed.is_test, created_at = landed.created_at, updated_at = landed.updated_at, extracted_at = landed.extracted_at
    when not matched then insert (order_id, order_number, customer_id, store_id, employee_id, currency, status, placed_at, paid_at, promised_ship_by, cancelled_at, cancel_reason, discount_total, shipping_total, tax_total, grand_total, version, is_test, created_at, updated_at, extracted_at)
    values (landed.order_id, landed.order_number, landed.customer_id, landed.store_id, landed.employee_id, landed.currency, landed.status, landed.placed_at, landed.paid_at, landed.promised_ship_by, landed.cancelled_at, landed.cancel_reason, landed.discount_total, landed.shipping_total, landed.tax_total, landed.grand_total, landed.version, landed.is_test, landed.created_at, landed.updated_at, landed.extracted_at);

-- intermediate/int_payments__current
merge into OMS.intermediate.int_payments__current as stored
    using (

with payments as (
    select * from OMS.staging.stg_oms__payments
),

final as (
    select * exclude (landed_on)
    from payments
    qualify row_number() over (
        partition by payment_id
        order by updated_at desc, extracted_at desc, landed_on desc
    ) = 1
)

select * from final
order by payment_id
) as landed
    on stored.payment_id = landed.payment_id
    when matched and (
        landed.updated_at > stored.updated_at
        or (landed.updated_at = stored.updated_at and landed.extracted_at >= stored.extracted_at)
    ) then update set
        payment_id = landed.payment_id, order_id = landed.order_id, kind = landed.kind, method = landed.method, status = landed.status, amount = landed.amount, currency = landed.currency, parent_payment_id = landed.parent_payment_id, occurred_at = landed.occurred_at, created_at = landed.created_at, updated_at = landed.updated_at, extracted_at = landed.extracted_at
    when not matched then insert (payment_id, order_id, kind, method, status, amount, currency, parent_payment_id, occurred_at, created_at, updated_at, extracted_at)
    values (landed.payment_id, landed.order_id, landed.kind, landed.method, landed.status, landed.amount, landed.currency, landed.parent_payment_id, landed.occurred_at, landed.created_at, landed.updated_at, landed.extracted_at);

-- marts/dim_products
merge into OMS.marts.dim_products as stored
    using (

with products as (
    select * from OMS.staging.stg_oms__products
),

final as (
    select
        product_id,
        sku,
        product_name,
        category,
        supplier_id,
        retail_price,
        unit_cost,
        currency,
        discontinued_at,
        deleted_at,
        discontinued_at is null and deleted_at is null as is_active,
        created_at,
        updated_at,
        extracted_at
    from products
    qualify row_number() over (
        partition by product_id
        order by updated_at desc, extracted_at desc, landed_on desc
    ) = 1
)

select * from final
) as landed
    on stored.product_id = landed.product_id
    when matched and (
        landed.updated_at > stored.updated_at
        or (landed.updated_at = stored.updated_at and landed.extracted_at >= stored.extracted_at)
    ) then update set
        product_id = landed.product_id, sku = landed.sku, product_name = landed.product_name, category = landed.category, supplier_id = landed.supplier_id, retail_price = landed.retail_price, unit_cost = landed.unit_cost, currency = landed.currency, discontinued_at = landed.discontinued_at, deleted_at = landed.deleted_at, is_active = landed.is_active, created_at = landed.created_at, updated_at = landed.updated_at, extracted_at = landed.extracted_at
    when not matched then insert (product_id, sku, product_name, category, supplier_id, retail_price, unit_cost, currency, discontinued_at, deleted_at, is_active, created_at, updated_at, extracted_at)
    values (landed.product_id, landed.sku, landed.product_name, landed.category, landed.supplier_id, landed.retail_price, landed.unit_cost, landed.currency, landed.discontinued_at, landed.deleted_at, landed.is_active, landed.created_at, landed.updated_at, landed.extracted_at);

-- intermediate/int_returns__current
merge into OMS.intermediate.int_returns__current as stored
    using (

with returns as (
    select * from OMS.staging.stg_oms__returns
),

final as (
    select * exclude (landed_on)
    from returns
    qualify row_number() over (
        partition by return_id
        order by updated_at desc, extracted_at desc, landed_on desc
    ) = 1
)

select * from final
order by return_id
) as landed
    on stored.return_id = landed.return_id
    when matched and (
        landed.updated_at > stored.updated_at
        or (landed.updated_at = stored.updated_at and landed.extracted_at >= stored.extracted_at)
    ) then update set
        return_id = landed.return_id, order_id = landed.order_id, line_no = landed.line_no, quantity = landed.quantity, reason = landed.reason, status = landed.status, requested_at = landed.requested_at, received_at = landed.received_at, refund_amount = landed.refund_amount, refund_payment_id = landed.refund_payment_id, restocked = landed.restocked, created_at = landed.created_at, updated_at = landed.updated_at, extracted_at = landed.extracted_at
    when not matched then insert (return_id, order_id, line_no, quantity, reason, status, requested_at, received_at, refund_amount, refund_payment_id, restocked, created_at, updated_at, extracted_at)
    values (landed.return_id, landed.order_id, landed.line_no, landed.quantity, landed.reason, landed.status, landed.requested_at, landed.received_at, landed.refund_amount, landed.refund_payment_id, landed.restocked, landed.created_at, landed.updated_at, landed.extracted_at);

-- intermediate/int_shipments__current
merge into OMS.intermediate.int_shipments__current as stored
    using (

with shipments as (
    select * from OMS.staging.stg_oms__shipments
),

final as (
    select * exclude (landed_on)
    from shipments
    qualify row_number() over (
        partition by shipment_id
        order by updated_at desc, extracted_at desc, landed_on desc
    ) = 1
)

select * from final
order by shipment_id
) as landed
    on stored.shipment_id = landed.shipment_id
    when matched and (
        landed.updated_at > stored.updated_at
        or (landed.updated_at = stored.updated_at and landed.extracted_at >= stored.extracted_at)
    ) then update set
        shipment_id = landed.shipment_id, order_id = landed.order_id, store_id = landed.store_id, carrier = landed.carrier, tracking_no = landed.tracking_no, status = landed.status, cost = landed.cost, shipped_at = landed.shipped_at, promised_delivery_on = landed.promised_delivery_on, delivered_at = landed.delivered_at, created_at = landed.created_at, updated_at = landed.updated_at, extracted_at = landed.extracted_at
    when not matched then insert (shipment_id, order_id, store_id, carrier, tracking_no, status, cost, shipped_at, promised_delivery_on, delivered_at, created_at, updated_at, extracted_at)
    values (landed.shipment_id, landed.order_id, landed.store_id, landed.carrier, landed.tracking_no, landed.status, landed.cost, landed.shipped_at, landed.promised_delivery_on, landed.delivered_at, landed.created_at, landed.updated_at, landed.extracted_at);

-- marts/dim_suppliers
merge into OMS.marts.dim_suppliers as stored
    using (

with suppliers as (
    select * from OMS.staging.stg_oms__suppliers
),

final as (
    select
        supplier_id,
        supplier_name,
        email,
        lead_time_days,
        deleted_at,
        deleted_at is null as is_active,
        created_at,
        updated_at,
        extracted_at
    from suppliers
    qualify row_number() over (
        partition by supplier_id
        order by updated_at desc, extracted_at desc, landed_on desc
    ) = 1
)

select * from final
) as landed
    on stored.supplier_id = landed.supplier_id
    when matched and (
        landed.updated_at > stored.updated_at
        or (landed.updated_at = stored.updated_at and landed.extracted_at >= stored.extracted_at)
    ) then update set
        supplier_id = landed.supplier_id, supplier_name = landed.supplier_name, email = landed.email, lead_time_days = landed.lead_time_days, deleted_at = landed.deleted_at, is_active = landed.is_active, created_at = landed.created_at, updated_at = landed.updated_at, extracted_at = landed.extracted_at
    when not matched then insert (supplier_id, supplier_name, email, lead_time_days, deleted_at, is_active, created_at, updated_at, extracted_at)
    values (landed.supplier_id, landed.supplier_name, landed.email, landed.lead_time_days, landed.deleted_at, landed.is_active, landed.created_at, landed.updated_at, landed.extracted_at);

-- intermediate/int_order_items__current
merge into OMS.intermediate.int_order_items__current as stored
    using (
        with made as (

with parents as (
    select * from OMS.staging.stg_oms__orders
),

children as (
    select * from OMS.staging.stg_oms__order_items
),

landed_sets as (
    select order_id, updated_at as parent_updated_at, extracted_at, landed_on from parents
    union all
    select order_id, parent_updated_at, extracted_at, landed_on from children
),

stored as (
    select * from OMS.intermediate.int_order_items__current
    where order_id in (select order_id from landed_sets)
),

stored_sets as (
    select order_id, parent_updated_at, extracted_at, cast(null as date) as landed_on from stored
    union all
    select order_id, updated_at as parent_updated_at, extracted_at, cast(null as date) as landed_on
    from OMS.intermediate.int_orders__current
    where order_id in (select order_id from landed_sets)
),

known_sets as (
    select * from landed_sets
    union all
    select * from stored_sets
),

newest_sets as (
    select order_id, landed_on
    from known_sets
    qualify row_number() over (
        partition by order_id
        order by parent_updated_at desc, extracted_at desc, landed_on desc nulls last
    ) = 1
),

final as (
    select children.* exclude (landed_on)
    from children
    inner join newest_sets
        on children.order_id = newest_sets.order_id and children.landed_on = newest_sets.landed_on
    union all
    select stored.*
    from stored
    inner join newest_sets
        on stored.order_id = newest_sets.order_id
    where newest_sets.landed_on is null
)

select * from final

)

        select order_id, line_no, product_id, quantity, cancelled_quantity, unit_price, unit_cost, discount_amount, tax_amount, created_at, updated_at, parent_updated_at, extracted_at, false as is_gone
        from made
        union all
        select order_id, line_no, product_id, quantity, cancelled_quantity, unit_price, unit_cost, discount_amount, tax_amount, created_at, updated_at, parent_updated_at, extracted_at, true as is_gone
        from OMS.intermediate.int_order_items__current as stored
        where stored.order_id in (select order_id from OMS.staging.stg_oms__orders union all select order_id from OMS.staging.stg_oms__order_items)
            and not exists (select 1 from made where stored.order_id = made.order_id and stored.line_no = made.line_no)
    ) as made
    on stored.order_id = made.order_id and stored.line_no = made.line_no
    when matched and made.is_gone then delete
    when matched then update set
        order_id = made.order_id, line_no = made.line_no, product_id = made.product_id, quantity = made.quantity, cancelled_quantity = made.cancelled_quantity, unit_price = made.unit_price, unit_cost = made.unit_cost, discount_amount = made.discount_amount, tax_amount = made.tax_amount, created_at = made.created_at, updated_at = made.updated_at, parent_updated_at = made.parent_updated_at, extracted_at = made.extracted_at
    when not matched then insert (order_id, line_no, product_id, quantity, cancelled_quantity, unit_price, unit_cost, discount_amount, tax_amount, created_at, updated_at, parent_updated_at, extracted_at)
    values (made.order_id, made.line_no, made.product_id, made.quantity, made.cancelled_quantity, made.unit_price, made.unit_cost, made.discount_amount, made.tax_amount, made.created_at, made.updated_at, made.parent_updated_at, made.extracted_at);

-- intermediate/int_orders__affected
insert overwrite into OMS.intermediate.int_orders__affected (order_id)
select order_id
from (

with orders as (
    select * from OMS.intermediate.int_orders__current
),

shipments as (
    select * from OMS.intermediate.int_shipments__current
),

staged_stores as (
    select * from OMS.staging.stg_oms__stores
),

staged_shipment_items as (
    select * from OMS.staging.stg_oms__shipment_items
),

-- A store's time zone decides the business days of all its orders and shipments, ever.
moved_stores as (
    select staged.store_id
    from staged_stores as staged
    left join "OMS"."MARTS"."DIM_STORES" as previous
        on staged.store_id = previous.store_id
    where staged.timezone is distinct from previous.timezone
),

final as (
    select order_id from OMS.staging.stg_oms__orders
    union
    select order_id from OMS.staging.stg_oms__order_items
    union
    select order_id from OMS.staging.stg_oms__payments
    union
    select order_id from OMS.staging.stg_oms__shipments
    union
    select order_id from OMS.staging.stg_oms__returns
    union
    select order_id from staged_shipment_items
    union
    select order_id from shipments
    where shipment_id in (select shipment_id from staged_shipment_items)
    -- Where it belonged to another order before, that one has lost it.
    union
    select order_id from "OMS"."MARTS"."FCT_PAYMENTS"
    where payment_id in (select payment_id from OMS.staging.stg_oms__payments)
    -- Where it belonged to another order before, that one has lost it.
    union
    select order_id from "OMS"."MARTS"."FCT_SHIPMENTS"
    where shipment_id in (select shipment_id from OMS.staging.stg_oms__shipments)
    -- Where it belonged to another order before, that one has lost it.
    union
    select order_id from "OMS"."MARTS"."FCT_RETURNS"
    where return_id in (select return_id from OMS.staging.stg_oms__returns)
    union
    select order_id from orders
    where store_id in (select store_id from moved_stores)
    union
    select order_id from shipments
    where store_id in (select store_id from moved_stores)
)

select * from final
) as made;

-- intermediate/int_shipment_items__current
merge into OMS.intermediate.int_shipment_items__current as stored
    using (
        with made as (

with parents as (
    select * from OMS.staging.stg_oms__shipments
),

children as (
    select * from OMS.staging.stg_oms__shipment_items
),

landed_sets as (
    select shipment_id, updated_at as parent_updated_at, extracted_at, landed_on from parents
    union all
    select shipment_id, parent_updated_at, extracted_at, landed_on from children
),

stored as (
    select * from OMS.intermediate.int_shipment_items__current
    where shipment_id in (select shipment_id from landed_sets)
),

stored_sets as (
    select shipment_id, parent_updated_at, extracted_at, cast(null as date) as landed_on from stored
    union all
    select shipment_id, updated_at as parent_updated_at, extracted_at, cast(null as date) as landed_on
    from OMS.intermediate.int_shipments__current
    where shipment_id in (select shipment_id from landed_sets)
),

known_sets as (
    select * from landed_sets
    union all
    select * from stored_sets
),

newest_sets as (
    select shipment_id, landed_on
    from known_sets
    qualify row_number() over (
        partition by shipment_id
        order by parent_updated_at desc, extracted_at desc, landed_on desc nulls last
    ) = 1
),

final as (
    select children.* exclude (landed_on)
    from children
    inner join newest_sets
        on children.shipment_id = newest_sets.shipment_id and children.landed_on = newest_sets.landed_on
    union all
    select stored.*
    from stored
    inner join newest_sets
        on stored.shipment_id = newest_sets.shipment_id
    where newest_sets.landed_on is null
)

select * from final

)

        select shipment_id, order_id, line_no, quantity, created_at, updated_at, parent_updated_at, extracted_at, false as is_gone
        from made
        union all
        select shipment_id, order_id, line_no, quantity, created_at, updated_at, parent_updated_at, extracted_at, true as is_gone
        from OMS.intermediate.int_shipment_items__current as stored
        where stored.shipment_id in (select shipment_id from OMS.staging.stg_oms__shipments union all select shipment_id from OMS.staging.stg_oms__shipment_items)
            and not exists (select 1 from made where stored.shipment_id = made.shipment_id and stored.order_id = made.order_id and stored.line_no = made.line_no)
    ) as made
    on stored.shipment_id = made.shipment_id and stored.order_id = made.order_id and stored.line_no = made.line_no
    when matched and made.is_gone then delete
    when matched then update set
        shipment_id = made.shipment_id, order_id = made.order_id, line_no = made.line_no, quantity = made.quantity, created_at = made.created_at, updated_at = made.updated_at, parent_updated_at = made.parent_updated_at, extracted_at = made.extracted_at
    when not matched then insert (shipment_id, order_id, line_no, quantity, created_at, updated_at, parent_updated_at, extracted_at)
    values (made.shipment_id, made.order_id, made.line_no, made.quantity, made.created_at, made.updated_at, made.parent_updated_at, made.extracted_at);

-- marts/dim_stores
merge into OMS.marts.dim_stores as stored
    using (

-- depends_on: OMS.intermediate.int_orders__affected

with stores as (
    select * from OMS.staging.stg_oms__stores
),

final as (
    select
        store_id,
        store_name,
        channel,
        timezone,
        city,
        region,
        country,
        closed_on,
        closed_on is null as is_open,
        created_at,
        updated_at,
        extracted_at
    from stores
    qualify row_number() over (
        partition by store_id
        order by updated_at desc, extracted_at desc, landed_on desc
    ) = 1
)

select * from final
) as landed
    on stored.store_id = landed.store_id
    when matched and (
        landed.updated_at > stored.updated_at
        or (landed.updated_at = stored.updated_at and landed.extracted_at >= stored.extracted_at)
    ) then update set
        store_id = landed.store_id, store_name = landed.store_name, channel = landed.channel, timezone = landed.timezone, city = landed.city, region = landed.region, country = landed.country, closed_on = landed.closed_on, is_open = landed.is_open, created_at = landed.created_at, updated_at = landed.updated_at, extracted_at = landed.extracted_at
    when not matched then insert (store_id, store_name, channel, timezone, city, region, country, closed_on, is_open, created_at, updated_at, extracted_at)
    values (landed.store_id, landed.store_name, landed.channel, landed.timezone, landed.city, landed.region, landed.country, landed.closed_on, landed.is_open, landed.created_at, landed.updated_at, landed.extracted_at);

-- intermediate/int_customers__affected
insert overwrite into OMS.intermediate.int_customers__affected (customer_id, cohort_month_before)
select customer_id, cohort_month_before
from (

with affected as (
    select * from OMS.intermediate.int_orders__affected
),

customers as (
    select customer_id from OMS.staging.stg_oms__customers
    union
    select customer_id from OMS.intermediate.int_orders__current
    where order_id in (select order_id from affected)
    union
    select customer_id from "OMS"."MARTS"."FCT_ORDERS"
    where order_id in (select order_id from affected)
),

final as (
    select
        customers.customer_id,
        previous.cohort_month as cohort_month_before
    from customers
    left join "OMS"."INTERMEDIATE"."INT_CUSTOMERS__ORDERS" as previous
        on customers.customer_id = previous.customer_id
    where customers.customer_id is not null
)

select * from final
) as made;

-- intermediate/int_days__before
insert overwrite into OMS.intermediate.int_days__before (business_day)
select business_day
from (

-- Reads the facts as last committed: they run after this model.

select business_day
    from (select cast(null as date) as business_day) as none_yet
    where business_day is not null
    union
    select business_day as business_day
    from "OMS"."MARTS"."FCT_ORDERS"
    where business_day is not null and order_id in (select order_id from OMS.intermediate.int_orders__affected)
    union
    select due_day as business_day
    from "OMS"."MARTS"."FCT_ORDERS"
    where due_day is not null and order_id in (select order_id from OMS.intermediate.int_orders__affected)
    union
    select business_day as business_day
    from "OMS"."MARTS"."FCT_PAYMENTS"
    where business_day is not null and order_id in (select order_id from OMS.intermediate.int_orders__affected)
    union
    select business_day as business_day
    from "OMS"."MARTS"."FCT_SHIPMENTS"
    where business_day is not null and order_id in (select order_id from OMS.intermediate.int_orders__affected)
    union
    select due_day as business_day
    from "OMS"."MARTS"."FCT_SHIPMENTS"
    where due_day is not null and order_id in (select order_id from OMS.intermediate.int_orders__affected)
    union
    select business_day as business_day
    from "OMS"."MARTS"."FCT_RETURNS"
    where business_day is not null and order_id in (select order_id from OMS.intermediate.int_orders__affected)
    union
    select ship_cohort_day as business_day
    from "OMS"."MARTS"."FCT_RETURNS"
    where ship_cohort_day is not null and order_id in (select order_id from OMS.intermediate.int_orders__affected)

) as made;

-- marts/fct_payments
merge into OMS.marts.fct_payments as stored
    using (
        with made as (

-- depends_on: OMS.intermediate.int_days__before

with orders as (
    select * from OMS.intermediate.int_orders__placed
    where order_id in (select order_id from OMS.intermediate.int_orders__affected)
),

payments as (
    select * from OMS.intermediate.int_payments__current
    where order_id in (select order_id from OMS.intermediate.int_orders__affected)
),

returns as (
    select * from OMS.intermediate.int_returns__current
    where order_id in (select order_id from OMS.intermediate.int_orders__affected)
),

refunds_of_returns as (
    select distinct order_id, refund_payment_id as payment_id
    from returns
    where refund_payment_id is not null
),

joined as (
    select
        payments.*,
        orders.store_id,
        orders.is_cancelled as is_order_cancelled,
        case
            when payments.status <> 'captured' then 0
            when payments.kind = 'charge' then payments.amount
            else -payments.amount
        end as captured_amount,
        cast(convert_timezone('UTC', orders.timezone, payments.occurred_at) as date) as business_day,
        refunds_of_returns.payment_id is not null as is_return_refund,
        payments.currency = orders.currency as is_order_currency
    from payments
    inner join orders on payments.order_id = orders.order_id
    left join refunds_of_returns
        on payments.order_id = refunds_of_returns.order_id
        and payments.payment_id = refunds_of_returns.payment_id
),

final as (
    select
        payment_id,
        order_id,
        store_id,
        kind,
        method,
        status,
        cast(amount as decimal(18, 2)) as amount,
        cast(captured_amount as decimal(18, 2)) as captured_amount,
        cast(
            case
                when kind = 'refund' and is_order_currency and not is_return_refund and not is_order_cancelled
                    then -captured_amount
                else 0
            end as decimal(18, 2)
        ) as shipping_refunded,
        currency,
        is_order_currency,
        parent_payment_id,
        occurred_at,
        business_day,
        is_return_refund,
        updated_at
    from joined
)

select * from final
)

        select payment_id, order_id, store_id, kind, method, status, amount, captured_amount, shipping_refunded, currency, is_order_currency, parent_payment_id, occurred_at, business_day, is_return_refund, updated_at, false as is_gone
        from made
        union all
        select payment_id, order_id, store_id, kind, method, status, amount, captured_amount, shipping_refunded, currency, is_order_currency, parent_payment_id, occurred_at, business_day, is_return_refund, updated_at, true as is_gone
        from OMS.marts.fct_payments as stored
        where stored.order_id in (select order_id from OMS.intermediate.int_orders__affected)
            and not exists (select 1 from made where stored.payment_id = made.payment_id)
    ) as made
    on stored.payment_id = made.payment_id
    when matched and made.is_gone then delete
    when matched then update set
        payment_id = made.payment_id, order_id = made.order_id, store_id = made.store_id, kind = made.kind, method = made.method, status = made.status, amount = made.amount, captured_amount = made.captured_amount, shipping_refunded = made.shipping_refunded, currency = made.currency, is_order_currency = made.is_order_currency, parent_payment_id = made.parent_payment_id, occurred_at = made.occurred_at, business_day = made.business_day, is_return_refund = made.is_return_refund, updated_at = made.updated_at
    when not matched then insert (payment_id, order_id, store_id, kind, method, status, amount, captured_amount, shipping_refunded, currency, is_order_currency, parent_payment_id, occurred_at, business_day, is_return_refund, updated_at)
    values (made.payment_id, made.order_id, made.store_id, made.kind, made.method, made.status, made.amount, made.captured_amount, made.shipping_refunded, made.currency, made.is_order_currency, made.parent_payment_id, made.occurred_at, made.business_day, made.is_return_refund, made.updated_at);

-- marts/fct_shipments
merge into OMS.marts.fct_shipments as stored
    using (
        with made as (

-- depends_on: OMS.intermediate.int_days__before

with orders as (
    select * from OMS.intermediate.int_orders__placed
    where order_id in (select order_id from OMS.intermediate.int_orders__affected)
),

shipments as (
    select * from OMS.intermediate.int_shipments__current
    where order_id in (select order_id from OMS.intermediate.int_orders__affected)
),

items as (
    select shipment_id, order_id, sum(quantity) as units
    from OMS.intermediate.int_shipment_items__current
    where order_id in (select order_id from OMS.intermediate.int_orders__affected)
    group by shipment_id, order_id
),

stores as (
    select store_id, timezone from OMS.marts.dim_stores
),

joined as (
    select
        shipments.*,
        orders.currency,
        orders.promised_ship_by,
        coalesce(items.units, 0) as units,
        cast(convert_timezone('UTC', stores.timezone, shipments.shipped_at) as date) as business_day,
        cast(convert_timezone('UTC', stores.timezone, orders.promised_ship_by) as date) as due_day,
        cast(convert_timezone('UTC', stores.timezone, shipments.delivered_at) as date) as delivered_on
    from shipments
    inner join orders on shipments.order_id = orders.order_id
    left join items on shipments.shipment_id = items.shipment_id and shipments.order_id = items.order_id
    left join stores on shipments.store_id = stores.store_id
),

final as (
    select
        shipment_id,
        order_id,
        store_id,
        carrier,
        tracking_no,
        status,
        currency,
        cast(cost as decimal(18, 2)) as cost,
        cast(units as bigint) as units,
        shipped_at,
        business_day,
        promised_ship_by,
        due_day,
        due_day is not null and status <> 'cancelled' as is_due,
        coalesce(shipped_at <= promised_ship_by, false) as is_on_time,
        promised_delivery_on,
        delivered_at,
        delivered_on <= promised_delivery_on as is_delivered_on_time,
        updated_at
    from joined
)

select * from final
)

        select shipment_id, order_id, store_id, carrier, tracking_no, status, currency, cost, units, shipped_at, business_day, promised_ship_by, due_day, is_due, is_on_time, promised_delivery_on, delivered_at, is_delivered_on_time, updated_at, false as is_gone
        from made
        union all
        select shipment_id, order_id, store_id, carrier, tracking_no, status, currency, cost, units, shipped_at, business_day, promised_ship_by, due_day, is_due, is_on_time, promised_delivery_on, delivered_at, is_delivered_on_time, updated_at, true as is_gone
        from OMS.marts.fct_shipments as stored
        where stored.order_id in (select order_id from OMS.intermediate.int_orders__affected)
            and not exists (select 1 from made where stored.shipment_id = made.shipment_id)
    ) as made
    on stored.shipment_id = made.shipment_id
    when matched and made.is_gone then delete
    when matched then update set
        shipment_id = made.shipment_id, order_id = made.order_id, store_id = made.store_id, carrier = made.carrier, tracking_no = made.tracking_no, status = made.status, currency = made.currency, cost = made.cost, units = made.units, shipped_at = made.shipped_at, business_day = made.business_day, promised_ship_by = made.promised_ship_by, due_day = made.due_day, is_due = made.is_due, is_on_time = made.is_on_time, promised_delivery_on = made.promised_delivery_on, delivered_at = made.delivered_at, is_delivered_on_time = made.is_delivered_on_time, updated_at = made.updated_at
    when not matched then insert (shipment_id, order_id, store_id, carrier, tracking_no, status, currency, cost, units, shipped_at, business_day, promised_ship_by, due_day, is_due, is_on_time, promised_delivery_on, delivered_at, is_delivered_on_time, updated_at)
    values (made.shipment_id, made.order_id, made.store_id, made.carrier, made.tracking_no, made.status, made.currency, made.cost, made.units, made.shipped_at, made.business_day, made.promised_ship_by, made.due_day, made.is_due, made.is_on_time, made.promised_delivery_on, made.delivered_at, made.is_delivered_on_time, made.updated_at);

-- marts/fct_returns
merge into OMS.marts.fct_returns as stored
    using (
        with made as (

-- depends_on: OMS.intermediate.int_days__before

with orders as (
    select * from OMS.intermediate.int_orders__placed
    where order_id in (select order_id from OMS.intermediate.int_orders__affected)
),

returns as (
    select * from OMS.intermediate.int_returns__current
    where order_id in (select order_id from OMS.intermediate.int_orders__affected)
),

payments as (
    select * from OMS.intermediate.int_payments__current
    where order_id in (select order_id from OMS.intermediate.int_orders__affected)
),

items as (
    select * from OMS.intermediate.int_order_items__current
    where order_id in (select order_id from OMS.intermediate.int_orders__affected)
),

shipments as (
    select * from OMS.marts.fct_shipments
    where order_id in (select order_id from OMS.intermediate.int_orders__affected)
),

shipment_items as (
    select * from OMS.intermediate.int_shipment_items__current
    where order_id in (select order_id from OMS.intermediate.int_orders__affected)
),

first_shipments as (
    select
        shipment_items.order_id,
        shipment_items.line_no,
        shipments.business_day as first_shipped_day,
        shipments.store_id as first_shipped_store_id
    from shipment_items
    inner join shipments
        on shipment_items.shipment_id = shipments.shipment_id
        and shipment_items.order_id = shipments.order_id
    where shipments.shipped_at is not null and shipments.status <> 'cancelled'
    qualify row_number() over (
        partition by shipment_items.order_id, shipment_items.line_no
        order by shipments.shipped_at, shipments.shipment_id
    ) = 1
),

joined as (
    select
        returns.*,
        orders.store_id,
        orders.customer_id,
        orders.currency,
        orders.timezone,
        items.product_id,
        first_shipments.first_shipped_day as ship_cohort_day,
        first_shipments.first_shipped_store_id as ship_cohort_store_id,
        case
            when returns.status = 'refunded'
                then coalesce(payments.occurred_at, returns.received_at, returns.requested_at)
        end as refunded_at
    from returns
    inner join orders on returns.order_id = orders.order_id
    left join payments on returns.order_id = payments.order_id and returns.refund_payment_id = payments.payment_id
    left join items on returns.order_id = items.order_id and returns.line_no = items.line_no
    left join first_shipments
        on returns.order_id = first_shipments.order_id and returns.line_no = first_shipments.line_no
),

final as (
    select
        return_id,
        order_id,
        line_no,
        product_id,
        store_id,
        customer_id,
        currency,
        cast(quantity as bigint) as quantity,
        reason,
        status,
        requested_at,
        received_at,
        refunded_at,
        cast(convert_timezone('UTC', timezone, refunded_at) as date) as business_day,
        ship_cohort_day,
        ship_cohort_store_id,
        cast(refund_amount as decimal(18, 2)) as refund_amount,
        refund_payment_id,
        restocked,
        status in ('received', 'refunded') as is_received,
        status = 'refunded' as is_refunded,
        updated_at
    from joined
)

select * from final
)

        select return_id, order_id, line_no, product_id, store_id, customer_id, currency, quantity, reason, status, requested_at, received_at, refunded_at, business_day, ship_cohort_day, ship_cohort_store_id, refund_amount, refund_payment_id, restocked, is_received, is_refunded, updated_at, false as is_gone
        from made
        union all
        select return_id, order_id, line_no, product_id, store_id, customer_id, currency, quantity, reason, status, requested_at, received_at, refunded_at, business_day, ship_cohort_day, ship_cohort_store_id, refund_amount, refund_payment_id, restocked, is_received, is_refunded, updated_at, true as is_gone
        from OMS.marts.fct_returns as stored
        where stored.order_id in (select order_id from OMS.intermediate.int_orders__affected)
            and not exists (select 1 from made where stored.return_id = made.return_id)
    ) as made
    on stored.return_id = made.return_id
    when matched and made.is_gone then delete
    when matched then update set
        return_id = made.return_id, order_id = made.order_id, line_no = made.line_no, product_id = made.product_id, store_id = made.store_id, customer_id = made.customer_id, currency = made.currency, quantity = made.quantity, reason = made.reason, status = made.status, requested_at = made.requested_at, received_at = made.received_at, refunded_at = made.refunded_at, business_day = made.business_day, ship_cohort_day = made.ship_cohort_day, ship_cohort_store_id = made.ship_cohort_store_id, refund_amount = made.refund_amount, refund_payment_id = made.refund_payment_id, restocked = made.restocked, is_received = made.is_received, is_refunded = made.is_refunded, updated_at = made.updated_at
    when not matched then insert (return_id, order_id, line_no, product_id, store_id, customer_id, currency, quantity, reason, status, requested_at, received_at, refunded_at, business_day, ship_cohort_day, ship_cohort_store_id, refund_amount, refund_payment_id, restocked, is_received, is_refunded, updated_at)
    values (made.return_id, made.order_id, made.line_no, made.product_id, made.store_id, made.customer_id, made.currency, made.quantity, made.reason, made.status, made.requested_at, made.received_at, made.refunded_at, made.business_day, made.ship_cohort_day, made.ship_cohort_store_id, made.refund_amount, made.refund_payment_id, made.restocked, made.is_received, made.is_refunded, made.updated_at);

-- marts/fct_order_lines
merge into OMS.marts.fct_order_lines as stored
    using (
        with made as (

-- depends_on: OMS.intermediate.int_days__before

with orders as (
    select * from OMS.intermediate.int_orders__placed
    where order_id in (select order_id from OMS.intermediate.int_orders__affected)
),

items as (
    select * from OMS.intermediate.int_order_items__current
    where order_id in (select order_id from OMS.intermediate.int_orders__affected)
),

refunded_returns as (
    select
        order_id,
        line_no,
        sum(quantity) as returned_quantity,
        sum(coalesce(refund_amount, 0)) as returns_value
    from OMS.marts.fct_returns
    where is_refunded and order_id in (select order_id from OMS.intermediate.int_orders__affected)
    group by order_id, line_no
),

shipments as (
    select * from OMS.marts.fct_shipments
    where order_id in (select order_id from OMS.intermediate.int_orders__affected)
),

shipment_items as (
    select * from OMS.intermediate.int_shipment_items__current
    where order_id in (select order_id from OMS.intermediate.int_orders__affected)
),

first_shipments as (
    select
        shipment_items.order_id,
        shipment_items.line_no,
        shipments.business_day as first_shipped_day,
        shipments.store_id as first_shipped_store_id
    from shipment_items
    inner join shipments
        on shipment_items.shipment_id = shipments.shipment_id
        and shipment_items.order_id = shipments.order_id
    where shipments.shipped_at is not null and shipments.status <> 'cancelled'
    qualify row_number() over (
        partition by shipment_items.order_id, shipment_items.line_no
        order by shipments.shipped_at, shipments.shipment_id
    ) = 1
),

valued as (
    select
        items.*,
        case when orders.is_cancelled then 0 else items.quantity - items.cancelled_quantity end as kept_quantity,
        orders.business_day,
        orders.placed_at,
        orders.store_id,
        orders.customer_id,
        orders.currency,
        orders.is_cancelled,
        coalesce(refunded_returns.returned_quantity, 0) as returned_quantity,
        coalesce(refunded_returns.returns_value, 0) as returns_value,
        first_shipments.first_shipped_day,
        first_shipments.first_shipped_store_id
    from items
    inner join orders on items.order_id = orders.order_id
    left join refunded_returns
        on items.order_id = refunded_returns.order_id and items.line_no = refunded_returns.line_no
    left join first_shipments
        on items.order_id = first_shipments.order_id and items.line_no = first_shipments.line_no
),

measured as (
    select
        *,
        quantity * unit_price as gmv,
        (quantity - kept_quantity) * unit_price as cancelled_value,
        case when kept_quantity = 0 then 0 else discount_amount end as discounts
    from valued
),

final as (
    select
        order_id,
        line_no,
        business_day,
        placed_at,
        store_id,
        customer_id,
        product_id,
        currency,
        is_cancelled,
        cast(quantity as bigint) as quantity,
        cast(quantity - kept_quantity as bigint) as cancelled_quantity,
        cast(unit_price as decimal(14, 2)) as unit_price,
        cast(unit_cost as decimal(14, 4)) as unit_cost,
        cast(gmv as decimal(18, 2)) as gmv,
        cast(cancelled_value as decimal(18, 2)) as cancelled_value,
        cast(discounts as decimal(18, 2)) as discounts,
        cast(tax_amount as decimal(18, 2)) as tax_amount,
        cast(returned_quantity as bigint) as returned_quantity,
        cast(returns_value as decimal(18, 2)) as returns_value,
        cast(gmv - cancelled_value - discounts - returns_value as decimal(18, 2)) as net_sales,
        cast(kept_quantity - returned_quantity as bigint) as net_units,
        first_shipped_day,
        first_shipped_store_id,
        updated_at
    from measured
)

select * from final
)

        select order_id, line_no, business_day, placed_at, store_id, customer_id, product_id, currency, is_cancelled, quantity, cancelled_quantity, unit_price, unit_cost, gmv, cancelled_value, discounts, tax_amount, returned_quantity, returns_value, net_sales, net_units, first_shipped_day, first_shipped_store_id, updated_at, false as is_gone
        from made
        union all
        select order_id, line_no, business_day, placed_at, store_id, customer_id, product_id, currency, is_cancelled, quantity, cancelled_quantity, unit_price, unit_cost, gmv, cancelled_value, discounts, tax_amount, returned_quantity, returns_value, net_sales, net_units, first_shipped_day, first_shipped_store_id, updated_at, true as is_gone
        from OMS.marts.fct_order_lines as stored
        where stored.order_id in (select order_id from OMS.intermediate.int_orders__affected)
            and not exists (select 1 from made where stored.order_id = made.order_id and stored.line_no = made.line_no)
    ) as made
    on stored.order_id = made.order_id and stored.line_no = made.line_no
    when matched and made.is_gone then delete
    when matched then update set
        order_id = made.order_id, line_no = made.line_no, business_day = made.business_day, placed_at = made.placed_at, store_id = made.store_id, customer_id = made.customer_id, product_id = made.product_id, currency = made.currency, is_cancelled = made.is_cancelled, quantity = made.quantity, cancelled_quantity = made.cancelled_quantity, unit_price = made.unit_price, unit_cost = made.unit_cost, gmv = made.gmv, cancelled_value = made.cancelled_value, discounts = made.discounts, tax_amount = made.tax_amount, returned_quantity = made.returned_quantity, returns_value = made.returns_value, net_sales = made.net_sales, net_units = made.net_units, first_shipped_day = made.first_shipped_day, first_shipped_store_id = made.first_shipped_store_id, updated_at = made.updated_at
    when not matched then insert (order_id, line_no, business_day, placed_at, store_id, customer_id, product_id, currency, is_cancelled, quantity, cancelled_quantity, unit_price, unit_cost, gmv, cancelled_value, discounts, tax_amount, returned_quantity, returns_value, net_sales, net_units, first_shipped_day, first_shipped_store_id, updated_at)
    values (made.order_id, made.line_no, made.business_day, made.placed_at, made.store_id, made.customer_id, made.product_id, made.currency, made.is_cancelled, made.quantity, made.cancelled_quantity, made.unit_price, made.unit_cost, made.gmv, made.cancelled_value, made.discounts, made.tax_amount, made.returned_quantity, made.returns_value, made.net_sales, made.net_units, made.first_shipped_day, made.first_shipped_store_id, made.updated_at);

-- marts/fct_orders
merge into OMS.marts.fct_orders as stored
    using (
        with made as (

-- depends_on: OMS.intermediate.int_days__before
-- depends_on: OMS.intermediate.int_customers__affected

with orders as (
    select * from OMS.intermediate.int_orders__placed
    where order_id in (select order_id from OMS.intermediate.int_orders__affected)
),

lines as (
    select
        order_id,
        count(*) as line_count,
        sum(quantity) as units_ordered,
        sum(cancelled_quantity) as units_cancelled,
        sum(gmv) as gmv,
        sum(cancelled_value) as cancelled_value,
        sum(discounts) as discounts
    from OMS.marts.fct_order_lines
    where order_id in (select order_id from OMS.intermediate.int_orders__affected)
    group by order_id
),

-- From the returns, not from the lines: a line may be deleted after its return.
returns as (
    select order_id, sum(refund_amount) as returns_value
    from OMS.marts.fct_returns
    where is_refunded and order_id in (select order_id from OMS.intermediate.int_orders__affected)
    group by order_id
),

payments as (
    select order_id, sum(shipping_refunded) as shipping_refunded
    from OMS.marts.fct_payments
    where order_id in (select order_id from OMS.intermediate.int_orders__affected)
    group by order_id
),

shipments as (
    select
        order_id,
        sum(units) as units_shipped,
        sum(case when is_on_time then units else 0 end) as units_shipped_on_time,
        min(shipped_at) as first_shipped_at,
        max(delivered_at) as last_delivered_at
    from OMS.marts.fct_shipments
    where shipped_at is not null
        and status <> 'cancelled'
        and order_id in (select order_id from OMS.intermediate.int_orders__affected)
    group by order_id
),

joined as (
    select
        orders.*,
        coalesce(lines.line_count, 0) as line_count,
        coalesce(lines.units_ordered, 0) as units_ordered,
        coalesce(lines.units_cancelled, 0) as units_cancelled,
        coalesce(lines.gmv, 0) as gmv,
        coalesce(lines.cancelled_value, 0) as cancelled_value,
        coalesce(lines.discounts, 0) as discounts,
        coalesce(returns.returns_value, 0) as returns_value,
        case when orders.is_cancelled then 0 else orders.shipping_total end as shipping_charged,
        coalesce(payments.shipping_refunded, 0) as shipping_refunded,
        coalesce(shipments.units_shipped, 0) as units_shipped,
        coalesce(shipments.units_shipped_on_time, 0) as units_shipped_on_time,
        shipments.first_shipped_at,
        shipments.last_delivered_at
    from orders
    left join lines on orders.order_id = lines.order_id
    left join returns on orders.order_id = returns.order_id
    left join payments on orders.order_id = payments.order_id
    left join shipments on orders.order_id = shipments.order_id
),

measured as (
    select
        *,
        gmv - cancelled_value - discounts - returns_value as net_sales
    from joined
),

final as (
    select
        order_id,
        order_number,
        customer_id,
        store_id,
        employee_id,
        currency,
        status,
        business_day,
        placed_at,
        paid_at,
        promised_ship_by,
        due_day,
        cancelled_at,
        cancel_reason,
        is_cancelled,
        customer_id is null as is_guest,
        cast(line_count as bigint) as line_count,
        cast(units_ordered as bigint) as units_ordered,
        cast(units_cancelled as bigint) as units_cancelled,
        cast(gmv as decimal(18, 2)) as gmv,
        cast(cancelled_value as decimal(18, 2)) as cancelled_value,
        cast(discounts as decimal(18, 2)) as discounts,
        cast(returns_value as decimal(18, 2)) as returns_value,
        cast(net_sales as decimal(18, 2)) as net_sales,
        cast(shipping_charged as decimal(18, 2)) as shipping_charged,
        cast(shipping_refunded as decimal(18, 2)) as shipping_refunded,
        cast(net_sales + shipping_charged - shipping_refunded as decimal(18, 2)) as net_revenue,
        cast(tax_total as decimal(18, 2)) as tax_total,
        cast(grand_total as decimal(18, 2)) as grand_total,
        cast(units_shipped as bigint) as units_shipped,
        cast(units_shipped_on_time as bigint) as units_shipped_on_time,
        first_shipped_at,
        last_delivered_at,
        updated_at
    from measured
)

select * from final
)

        select order_id, order_number, customer_id, store_id, employee_id, currency, status, business_day, placed_at, paid_at, promised_ship_by, due_day, cancelled_at, cancel_reason, is_cancelled, is_guest, line_count, units_ordered, units_cancelled, gmv, cancelled_value, discounts, returns_value, net_sales, shipping_charged, shipping_refunded, net_revenue, tax_total, grand_total, units_shipped, units_shipped_on_time, first_shipped_at, last_delivered_at, updated_at, false as is_gone
        from made
        union all
        select order_id, order_number, customer_id, store_id, employee_id, currency, status, business_day, placed_at, paid_at, promised_ship_by, due_day, cancelled_at, cancel_reason, is_cancelled, is_guest, line_count, units_ordered, units_cancelled, gmv, cancelled_value, discounts, returns_value, net_sales, shipping_charged, shipping_refunded, net_revenue, tax_total, grand_total, units_shipped, units_shipped_on_time, first_shipped_at, last_delivered_at, updated_at, true as is_gone
        from OMS.marts.fct_orders as stored
        where stored.order_id in (select order_id from OMS.intermediate.int_orders__affected)
            and not exists (select 1 from made where stored.order_id = made.order_id)
    ) as made
    on stored.order_id = made.order_id
    when matched and made.is_gone then delete
    when matched then update set
        order_id = made.order_id, order_number = made.order_number, customer_id = made.customer_id, store_id = made.store_id, employee_id = made.employee_id, currency = made.currency, status = made.status, business_day = made.business_day, placed_at = made.placed_at, paid_at = made.paid_at, promised_ship_by = made.promised_ship_by, due_day = made.due_day, cancelled_at = made.cancelled_at, cancel_reason = made.cancel_reason, is_cancelled = made.is_cancelled, is_guest = made.is_guest, line_count = made.line_count, units_ordered = made.units_ordered, units_cancelled = made.units_cancelled, gmv = made.gmv, cancelled_value = made.cancelled_value, discounts = made.discounts, returns_value = made.returns_value, net_sales = made.net_sales, shipping_charged = made.shipping_charged, shipping_refunded = made.shipping_refunded, net_revenue = made.net_revenue, tax_total = made.tax_total, grand_total = made.grand_total, units_shipped = made.units_shipped, units_shipped_on_time = made.units_shipped_on_time, first_shipped_at = made.first_shipped_at, last_delivered_at = made.last_delivered_at, updated_at = made.updated_at
    when not matched then insert (order_id, order_number, customer_id, store_id, employee_id, currency, status, business_day, placed_at, paid_at, promised_ship_by, due_day, cancelled_at, cancel_reason, is_cancelled, is_guest, line_count, units_ordered, units_cancelled, gmv, cancelled_value, discounts, returns_value, net_sales, shipping_charged, shipping_refunded, net_revenue, tax_total, grand_total, units_shipped, units_shipped_on_time, first_shipped_at, last_delivered_at, updated_at)
    values (made.order_id, made.order_number, made.customer_id, made.store_id, made.employee_id, made.currency, made.status, made.business_day, made.placed_at, made.paid_at, made.promised_ship_by, made.due_day, made.cancelled_at, made.cancel_reason, made.is_cancelled, made.is_guest, made.line_count, made.units_ordered, made.units_cancelled, made.gmv, made.cancelled_value, made.discounts, made.returns_value, made.net_sales, made.shipping_charged, made.shipping_refunded, made.net_revenue, made.tax_total, made.grand_total, made.units_shipped, made.units_shipped_on_time, made.first_shipped_at, made.last_delivered_at, made.updated_at);

-- intermediate/int_customers__orders
merge into OMS.intermediate.int_customers__orders as stored
    using (
        with made as (

with orders as (
    select customer_id, business_day
    from OMS.marts.fct_orders
    where not is_cancelled
        and customer_id is not null
        and business_day is not null
        and customer_id in (select customer_id from OMS.intermediate.int_customers__affected)
),

final as (
    select
        customer_id,
        min(business_day) as first_order_day,
        max(business_day) as last_order_day,
        count(*) as orders,
        cast(date_trunc('month', min(business_day)) as date) as cohort_month
    from orders
    group by customer_id
)

select * from final
)

        select customer_id, first_order_day, last_order_day, orders, cohort_month, false as is_gone
        from made
        union all
        select customer_id, first_order_day, last_order_day, orders, cohort_month, true as is_gone
        from OMS.intermediate.int_customers__orders as stored
        where stored.customer_id in (select customer_id from OMS.intermediate.int_customers__affected)
            and not exists (select 1 from made where stored.customer_id = made.customer_id)
    ) as made
    on stored.customer_id = made.customer_id
    when matched and made.is_gone then delete
    when matched then update set
        customer_id = made.customer_id, first_order_day = made.first_order_day, last_order_day = made.last_order_day, orders = made.orders, cohort_month = made.cohort_month
    when not matched then insert (customer_id, first_order_day, last_order_day, orders, cohort_month)
    values (made.customer_id, made.first_order_day, made.last_order_day, made.orders, made.cohort_month);

-- intermediate/int_days__affected
insert overwrite into OMS.intermediate.int_days__affected (business_day)
select business_day
from (

select business_day from OMS.intermediate.int_days__before

union

select business_day
    from (select cast(null as date) as business_day) as none_yet
    where business_day is not null
    union
    select business_day as business_day
    from OMS.marts.fct_orders
    where business_day is not null and order_id in (select order_id from OMS.intermediate.int_orders__affected)
    union
    select due_day as business_day
    from OMS.marts.fct_orders
    where due_day is not null and order_id in (select order_id from OMS.intermediate.int_orders__affected)
    union
    select business_day as business_day
    from OMS.marts.fct_payments
    where business_day is not null and order_id in (select order_id from OMS.intermediate.int_orders__affected)
    union
    select business_day as business_day
    from OMS.marts.fct_shipments
    where business_day is not null and order_id in (select order_id from OMS.intermediate.int_orders__affected)
    union
    select due_day as business_day
    from OMS.marts.fct_shipments
    where due_day is not null and order_id in (select order_id from OMS.intermediate.int_orders__affected)
    union
    select business_day as business_day
    from OMS.marts.fct_returns
    where business_day is not null and order_id in (select order_id from OMS.intermediate.int_orders__affected)
    union
    select ship_cohort_day as business_day
    from OMS.marts.fct_returns
    where ship_cohort_day is not null and order_id in (select order_id from OMS.intermediate.int_orders__affected)

) as made;

-- marts/payment_reconciliation
merge into OMS.marts.payment_reconciliation as stored
    using (
        with made as (

with orders as (
    select * from OMS.marts.fct_orders
    where order_id in (select order_id from OMS.intermediate.int_orders__affected)
),

payments as (
    select
        order_id,
        sum(case when is_order_currency and kind = 'charge' then captured_amount else 0 end) as charged,
        sum(case when is_order_currency and kind = 'refund' then -captured_amount else 0 end) as refunded,
        max(case when not is_order_currency and captured_amount <> 0 then 1 else 0 end) as has_other_currency
    from OMS.marts.fct_payments
    where order_id in (select order_id from OMS.intermediate.int_orders__affected)
    group by order_id
),

joined as (
    select
        orders.*,
        case when orders.is_cancelled then 0 else orders.grand_total end as amount_due,
        coalesce(payments.charged, 0) as charged,
        coalesce(payments.refunded, 0) as refunded,
        coalesce(payments.has_other_currency, 0) = 1 as has_other_currency
    from orders
    left join payments on orders.order_id = payments.order_id
),

final as (
    select
        order_id,
        business_day,
        store_id,
        currency,
        is_cancelled,
        grand_total,
        cast(amount_due as decimal(18, 2)) as amount_due,
        cast(charged as decimal(18, 2)) as charged,
        cast(refunded as decimal(18, 2)) as refunded,
        cast(charged - refunded as decimal(18, 2)) as net_paid,
        returns_value,
        cast(
            case when is_cancelled then charged - refunded else charged - amount_due end as decimal(18, 2)
        ) as difference,
        case
            when has_other_currency then 'other_currency'
            when refunded > charged then 'over_refunded'
            when is_cancelled and charged = refunded then 'balanced'
            when is_cancelled then 'refund_missing'
            when charged = 0 and amount_due > 0 then 'unpaid'
            when charged < amount_due then 'underpaid'
            when charged > amount_due then 'overpaid'
            else 'balanced'
        end as state
    from joined
)

select * from final
)

        select order_id, business_day, store_id, currency, is_cancelled, grand_total, amount_due, charged, refunded, net_paid, returns_value, difference, state, false as is_gone
        from made
        union all
        select order_id, business_day, store_id, currency, is_cancelled, grand_total, amount_due, charged, refunded, net_paid, returns_value, difference, state, true as is_gone
        from OMS.marts.payment_reconciliation as stored
        where stored.order_id in (select order_id from OMS.intermediate.int_orders__affected)
            and not exists (select 1 from made where stored.order_id = made.order_id)
    ) as made
    on stored.order_id = made.order_id
    when matched and made.is_gone then delete
    when matched then update set
        order_id = made.order_id, business_day = made.business_day, store_id = made.store_id, currency = made.currency, is_cancelled = made.is_cancelled, grand_total = made.grand_total, amount_due = made.amount_due, charged = made.charged, refunded = made.refunded, net_paid = made.net_paid, returns_value = made.returns_value, difference = made.difference, state = made.state
    when not matched then insert (order_id, business_day, store_id, currency, is_cancelled, grand_total, amount_due, charged, refunded, net_paid, returns_value, difference, state)
    values (made.order_id, made.business_day, made.store_id, made.currency, made.is_cancelled, made.grand_total, made.amount_due, made.charged, made.refunded, made.net_paid, made.returns_value, made.difference, made.state);

-- marts/dim_customers
merge into OMS.marts.dim_customers as stored
    using (
        with made as (

with

-- The row as committed stands for all versions landed before.
versions as (
    select
        customer_id, email, full_name, phone, city, region, country, marketing_opt_in, deleted_at, created_at,
        updated_at, extracted_at
    from OMS.staging.stg_oms__customers

    union all

    select
        customer_id, email, full_name, phone, city, region, country, marketing_opt_in, deleted_at, created_at,
        updated_at, extracted_at
    from OMS.marts.dim_customers
    where customer_id in (select customer_id from OMS.intermediate.int_customers__affected)
),

newest as (
    select *
    from versions
    qualify row_number() over (partition by customer_id order by updated_at desc, extracted_at desc) = 1
),

orders as (
    select * from OMS.intermediate.int_customers__orders
    where customer_id in (select customer_id from OMS.intermediate.int_customers__affected)
),

final as (
    select
        newest.customer_id,
        newest.email,
        newest.full_name,
        newest.phone,
        newest.city,
        newest.region,
        newest.country,
        newest.marketing_opt_in,
        newest.deleted_at,
        newest.deleted_at is not null as is_deleted,
        orders.first_order_day,
        orders.last_order_day,
        coalesce(orders.orders, 0) as orders,
        newest.created_at,
        newest.updated_at,
        newest.extracted_at
    from newest
    left join orders on newest.customer_id = orders.customer_id
)

select * from final
)

        select customer_id, email, full_name, phone, city, region, country, marketing_opt_in, deleted_at, is_deleted, first_order_day, last_order_day, orders, created_at, updated_at, extracted_at, false as is_gone
        from made
        union all
        select customer_id, email, full_name, phone, city, region, country, marketing_opt_in, deleted_at, is_deleted, first_order_day, last_order_day, orders, created_at, updated_at, extracted_at, true as is_gone
        from OMS.marts.dim_customers as stored
        where stored.customer_id in (select customer_id from OMS.intermediate.int_customers__affected)
            and not exists (select 1 from made where stored.customer_id = made.customer_id)
    ) as made
    on stored.customer_id = made.customer_id
    when matched and made.is_gone then delete
    when matched then update set
        customer_id = made.customer_id, email = made.email, full_name = made.full_name, phone = made.phone, city = made.city, region = made.region, country = made.country, marketing_opt_in = made.marketing_opt_in, deleted_at = made.deleted_at, is_deleted = made.is_deleted, first_order_day = made.first_order_day, last_order_day = made.last_order_day, orders = made.orders, created_at = made.created_at, updated_at = made.updated_at, extracted_at = made.extracted_at
    when not matched then insert (customer_id, email, full_name, phone, city, region, country, marketing_opt_in, deleted_at, is_deleted, first_order_day, last_order_day, orders, created_at, updated_at, extracted_at)
    values (made.customer_id, made.email, made.full_name, made.phone, made.city, made.region, made.country, made.marketing_opt_in, made.deleted_at, made.is_deleted, made.first_order_day, made.last_order_day, made.orders, made.created_at, made.updated_at, made.extracted_at);

-- marts/daily_sales
merge into OMS.marts.daily_sales as stored
    using (
        with made as (

with orders as (
    select
        business_day,
        store_id,
        currency,
        count(*) as orders,
        sum(case when is_cancelled then 1 else 0 end) as cancelled_orders,
        sum(units_ordered) as units_ordered,
        sum(gmv) as gmv,
        sum(cancelled_value) as cancelled_value,
        sum(discounts) as discounts,
        0 as returns_value,
        sum(shipping_charged) as shipping_charged,
        0 as shipping_refunded,
        sum(case when is_cancelled then 0 else tax_total end) as tax_total
    from OMS.marts.fct_orders
    where business_day is not null and business_day in (select business_day from OMS.intermediate.int_days__affected)
    group by business_day, store_id, currency
),

returns as (
    select
        business_day,
        store_id,
        currency,
        0 as orders,
        0 as cancelled_orders,
        0 as units_ordered,
        0 as gmv,
        0 as cancelled_value,
        0 as discounts,
        coalesce(sum(refund_amount), 0) as returns_value,
        0 as shipping_charged,
        0 as shipping_refunded,
        0 as tax_total
    from OMS.marts.fct_returns
    where is_refunded
        and business_day is not null
        and business_day in (select business_day from OMS.intermediate.int_days__affected)
    group by business_day, store_id, currency
),

shipping_refunds as (
    select
        business_day,
        store_id,
        currency,
        0 as orders,
        0 as cancelled_orders,
        0 as units_ordered,
        0 as gmv,
        0 as cancelled_value,
        0 as discounts,
        0 as returns_value,
        0 as shipping_charged,
        sum(shipping_refunded) as shipping_refunded,
        0 as tax_total
    from OMS.marts.fct_payments
    where shipping_refunded <> 0
        and business_day is not null
        and business_day in (select business_day from OMS.intermediate.int_days__affected)
    group by business_day, store_id, currency
),

movements as (
    select * from orders
    union all
    select * from returns
    union all
    select * from shipping_refunds
),

summed as (
    select
        business_day,
        store_id,
        currency,
        sum(orders) as orders,
        sum(cancelled_orders) as cancelled_orders,
        sum(units_ordered) as units_ordered,
        sum(gmv) as gmv,
        sum(cancelled_value) as cancelled_value,
        sum(discounts) as discounts,
        sum(returns_value) as returns_value,
        sum(gmv) - sum(cancelled_value) - sum(discounts) - sum(returns_value) as net_sales,
        sum(shipping_charged) as shipping_charged,
        sum(shipping_refunded) as shipping_refunded,
        sum(tax_total) as tax_total
    from movements
    group by business_day, store_id, currency
),

final as (
    select
        business_day,
        store_id,
        currency,
        cast(orders as bigint) as orders,
        cast(cancelled_orders as bigint) as cancelled_orders,
        cast(units_ordered as bigint) as units_ordered,
        cast(gmv as decimal(18, 2)) as gmv,
        cast(cancelled_value as decimal(18, 2)) as cancelled_value,
        cast(discounts as decimal(18, 2)) as discounts,
        cast(returns_value as decimal(18, 2)) as returns_value,
        cast(net_sales as decimal(18, 2)) as net_sales,
        cast(shipping_charged as decimal(18, 2)) as shipping_charged,
        cast(shipping_refunded as decimal(18, 2)) as shipping_refunded,
        cast(net_sales + shipping_charged - shipping_refunded as decimal(18, 2)) as net_revenue,
        cast(tax_total as decimal(18, 2)) as tax_total,
        case when cast(orders - cancelled_orders as bigint) > 0 then
        cast(
            cast(sign(cast((gmv - cancelled_value - discounts) * 100 as bigint)) * ((2 * abs(cast((gmv - cancelled_value - discounts) * 100 as bigint)) + cast(orders - cancelled_orders as bigint)) - mod(2 * abs(cast((gmv - cancelled_value - discounts) * 100 as bigint)) + cast(orders - cancelled_orders as bigint), 2 * cast(orders - cancelled_orders as bigint))) / (2 * cast(orders - cancelled_orders as bigint)) as decimal(18, 0))
            * cast(0.01 as decimal(3, 2))
            as decimal(18, 2)
        )
    end as aov,
        case when cast(orders as bigint) > 0 then
        cast(
            cast(sign(cast((cancelled_orders) * 10000 as bigint)) * ((2 * abs(cast((cancelled_orders) * 10000 as bigint)) + cast(orders as bigint)) - mod(2 * abs(cast((cancelled_orders) * 10000 as bigint)) + cast(orders as bigint), 2 * cast(orders as bigint))) / (2 * cast(orders as bigint)) as decimal(18, 0))
            * cast(0.0001 as decimal(5, 4))
            as decimal(9, 4)
        )
    end as cancellation_rate
    from summed
)

select * from final
)

        select business_day, store_id, currency, orders, cancelled_orders, units_ordered, gmv, cancelled_value, discounts, returns_value, net_sales, shipping_charged, shipping_refunded, net_revenue, tax_total, aov, cancellation_rate, false as is_gone
        from made
        union all
        select business_day, store_id, currency, orders, cancelled_orders, units_ordered, gmv, cancelled_value, discounts, returns_value, net_sales, shipping_charged, shipping_refunded, net_revenue, tax_total, aov, cancellation_rate, true as is_gone
        from OMS.marts.daily_sales as stored
        where stored.business_day in (select business_day from OMS.intermediate.int_days__affected)
            and not exists (select 1 from made where stored.business_day = made.business_day and stored.store_id = made.store_id and stored.currency = made.currency)
    ) as made
    on stored.business_day = made.business_day and stored.store_id = made.store_id and stored.currency = made.currency
    when matched and made.is_gone then delete
    when matched then update set
        business_day = made.business_day, store_id = made.store_id, currency = made.currency, orders = made.orders, cancelled_orders = made.cancelled_orders, units_ordered = made.units_ordered, gmv = made.gmv, cancelled_value = made.cancelled_value, discounts = made.discounts, returns_value = made.returns_value, net_sales = made.net_sales, shipping_charged = made.shipping_charged, shipping_refunded = made.shipping_refunded, net_revenue = made.net_revenue, tax_total = made.tax_total, aov = made.aov, cancellation_rate = made.cancellation_rate
    when not matched then insert (business_day, store_id, currency, orders, cancelled_orders, units_ordered, gmv, cancelled_value, discounts, returns_value, net_sales, shipping_charged, shipping_refunded, net_revenue, tax_total, aov, cancellation_rate)
    values (made.business_day, made.store_id, made.currency, made.orders, made.cancelled_orders, made.units_ordered, made.gmv, made.cancelled_value, made.discounts, made.returns_value, made.net_sales, made.shipping_charged, made.shipping_refunded, made.net_revenue, made.tax_total, made.aov, made.cancellation_rate);

-- marts/fulfilment_daily
merge into OMS.marts.fulfilment_daily as stored
    using (
        with made as (

with orders_due as (
    select
        due_day as business_day,
        store_id,
        units_ordered,
        units_shipped_on_time,
        0 as shipments_due,
        0 as shipments_on_time,
        0 as units_shipped,
        0 as units_returned
    from OMS.marts.fct_orders
    where due_day is not null
),

shipments_due as (
    select
        due_day as business_day,
        store_id,
        0 as units_ordered,
        0 as units_shipped_on_time,
        1 as shipments_due,
        case when is_on_time then 1 else 0 end as shipments_on_time,
        0 as units_shipped,
        0 as units_returned
    from OMS.marts.fct_shipments
    where is_due
),

shipments_shipped as (
    select
        business_day,
        store_id,
        0 as units_ordered,
        0 as units_shipped_on_time,
        0 as shipments_due,
        0 as shipments_on_time,
        units as units_shipped,
        0 as units_returned
    from OMS.marts.fct_shipments
    where business_day is not null and status <> 'cancelled'
),

returns_received as (
    select
        ship_cohort_day as business_day,
        ship_cohort_store_id as store_id,
        0 as units_ordered,
        0 as units_shipped_on_time,
        0 as shipments_due,
        0 as shipments_on_time,
        0 as units_shipped,
        quantity as units_returned
    from OMS.marts.fct_returns
    where is_received and ship_cohort_day is not null
),

movements as (
    select * from orders_due
    where business_day in (select business_day from OMS.intermediate.int_days__affected)
    union all
    select * from shipments_due
    where business_day in (select business_day from OMS.intermediate.int_days__affected)
    union all
    select * from shipments_shipped
    where business_day in (select business_day from OMS.intermediate.int_days__affected)
    union all
    select * from returns_received
    where business_day in (select business_day from OMS.intermediate.int_days__affected)
),

summed as (
    select
        business_day,
        store_id,
        sum(units_ordered) as units_ordered,
        sum(units_shipped_on_time) as units_shipped_on_time,
        sum(shipments_due) as shipments_due,
        sum(shipments_on_time) as shipments_on_time,
        sum(units_shipped) as units_shipped,
        sum(units_returned) as units_returned
    from movements
    group by business_day, store_id
),

final as (
    select
        business_day,
        store_id,
        cast(units_ordered as bigint) as units_ordered,
        cast(units_shipped_on_time as bigint) as units_shipped_on_time,
        case when cast(units_ordered as bigint) > 0 then
        cast(
            cast(sign(cast((units_shipped_on_time) * 10000 as bigint)) * ((2 * abs(cast((units_shipped_on_time) * 10000 as bigint)) + cast(units_ordered as bigint)) - mod(2 * abs(cast((units_shipped_on_time) * 10000 as bigint)) + cast(units_ordered as bigint), 2 * cast(units_ordered as bigint))) / (2 * cast(units_ordered as bigint)) as decimal(18, 0))
            * cast(0.0001 as decimal(5, 4))
            as decimal(9, 4)
        )
    end as fill_rate,
        cast(shipments_due as bigint) as shipments_due,
        cast(shipments_on_time as bigint) as shipments_on_time,
        case when cast(shipments_due as bigint) > 0 then
        cast(
            cast(sign(cast((shipments_on_time) * 10000 as bigint)) * ((2 * abs(cast((shipments_on_time) * 10000 as bigint)) + cast(shipments_due as bigint)) - mod(2 * abs(cast((shipments_on_time) * 10000 as bigint)) + cast(shipments_due as bigint), 2 * cast(shipments_due as bigint))) / (2 * cast(shipments_due as bigint)) as decimal(18, 0))
            * cast(0.0001 as decimal(5, 4))
            as decimal(9, 4)
        )
    end as on_time_rate,
        cast(units_shipped as bigint) as units_shipped,
        cast(units_returned as bigint) as units_returned,
        case when cast(units_shipped as bigint) > 0 then
        cast(
            cast(sign(cast((units_returned) * 10000 as bigint)) * ((2 * abs(cast((units_returned) * 10000 as bigint)) + cast(units_shipped as bigint)) - mod(2 * abs(cast((units_returned) * 10000 as bigint)) + cast(units_shipped as bigint), 2 * cast(units_shipped as bigint))) / (2 * cast(units_shipped as bigint)) as decimal(18, 0))
            * cast(0.0001 as decimal(5, 4))
            as decimal(9, 4)
        )
    end as return_rate
    from summed
)

select * from final
)

        select business_day, store_id, units_ordered, units_shipped_on_time, fill_rate, shipments_due, shipments_on_time, on_time_rate, units_shipped, units_returned, return_rate, false as is_gone
        from made
        union all
        select business_day, store_id, units_ordered, units_shipped_on_time, fill_rate, shipments_due, shipments_on_time, on_time_rate, units_shipped, units_returned, return_rate, true as is_gone
        from OMS.marts.fulfilment_daily as stored
        where stored.business_day in (select business_day from OMS.intermediate.int_days__affected)
            and not exists (select 1 from made where stored.business_day = made.business_day and stored.store_id = made.store_id)
    ) as made
    on stored.business_day = made.business_day and stored.store_id = made.store_id
    when matched and made.is_gone then delete
    when matched then update set
        business_day = made.business_day, store_id = made.store_id, units_ordered = made.units_ordered, units_shipped_on_time = made.units_shipped_on_time, fill_rate = made.fill_rate, shipments_due = made.shipments_due, shipments_on_time = made.shipments_on_time, on_time_rate = made.on_time_rate, units_shipped = made.units_shipped, units_returned = made.units_returned, return_rate = made.return_rate
    when not matched then insert (business_day, store_id, units_ordered, units_shipped_on_time, fill_rate, shipments_due, shipments_on_time, on_time_rate, units_shipped, units_returned, return_rate)
    values (made.business_day, made.store_id, made.units_ordered, made.units_shipped_on_time, made.fill_rate, made.shipments_due, made.shipments_on_time, made.on_time_rate, made.units_shipped, made.units_returned, made.return_rate);

-- intermediate/int_cohort_months__affected
insert overwrite into OMS.intermediate.int_cohort_months__affected (activity_month)
select activity_month
from (

with customers_affected as (
    select * from OMS.intermediate.int_customers__affected
),

customers_now as (
    select customer_id, cohort_month from OMS.intermediate.int_customers__orders
),

-- Whoever changes cohort takes along all months of activity.
customers_moved as (
    select customers_affected.customer_id
    from customers_affected
    left join customers_now on customers_affected.customer_id = customers_now.customer_id
    where customers_affected.cohort_month_before is distinct from customers_now.cohort_month
),

days as (
    select business_day from OMS.intermediate.int_days__affected

    union all

    select business_day
    from OMS.marts.fct_orders
    where customer_id in (select customer_id from customers_moved)

    union all

    select business_day
    from OMS.marts.fct_returns
    where customer_id in (select customer_id from customers_moved)
),

final as (
    select distinct cast(date_trunc('month', business_day) as date) as activity_month
    from days
    where business_day is not null
)

select * from final
) as made;

-- intermediate/int_cohort_activity
merge into OMS.intermediate.int_cohort_activity as stored
    using (
        with made as (

-- depends_on: OMS.intermediate.int_cohort_months__affected

with

-- Joined on single days, not on months, so that the warehouse skips the blocks of all other days.
days as (
    select date_day, month_start as activity_month
    from OMS.marts.dim_dates
    where month_start in (select activity_month from OMS.intermediate.int_cohort_months__affected)
),

customers as (
    select customer_id, cohort_month from OMS.intermediate.int_customers__orders
),

activity as (
    select
        customer_id,
        customer_id as active_customer_id,
        business_day,
        currency,
        gmv - cancelled_value - discounts as net_sales
    from OMS.marts.fct_orders
    where not is_cancelled

    union all

    select
        customer_id,
        null as active_customer_id,
        business_day,
        currency,
        -refund_amount as net_sales
    from OMS.marts.fct_returns
    where is_refunded
),

dated as (
    select
        customers.cohort_month,
        days.activity_month,
        activity.active_customer_id,
        activity.currency,
        activity.net_sales,
        min(case when activity.active_customer_id is not null then activity.currency end) over (
            partition by activity.customer_id, days.activity_month
        ) as first_currency
    from activity
    inner join days on activity.business_day = days.date_day
    inner join customers on activity.customer_id = customers.customer_id
),

final as (
    select
        cohort_month,
        activity_month,
        currency,
        count(distinct active_customer_id) as active_customers,
        count(distinct case when currency = first_currency then active_customer_id end) as retained_customers,
        cast(coalesce(sum(net_sales), 0) as decimal(18, 2)) as net_sales
    from dated
    group by cohort_month, activity_month, currency
)

select * from final
)

        select cohort_month, activity_month, currency, active_customers, retained_customers, net_sales, false as is_gone
        from made
        union all
        select cohort_month, activity_month, currency, active_customers, retained_customers, net_sales, true as is_gone
        from OMS.intermediate.int_cohort_activity as stored
        where stored.activity_month in (select activity_month from OMS.intermediate.int_cohort_months__affected)
            and not exists (select 1 from made where stored.cohort_month = made.cohort_month and stored.activity_month = made.activity_month and stored.currency = made.currency)
    ) as made
    on stored.cohort_month = made.cohort_month and stored.activity_month = made.activity_month and stored.currency = made.currency
    when matched and made.is_gone then delete
    when matched then update set
        cohort_month = made.cohort_month, activity_month = made.activity_month, currency = made.currency, active_customers = made.active_customers, retained_customers = made.retained_customers, net_sales = made.net_sales
    when not matched then insert (cohort_month, activity_month, currency, active_customers, retained_customers, net_sales)
    values (made.cohort_month, made.activity_month, made.currency, made.active_customers, made.retained_customers, made.net_sales);

-- marts/customer_cohorts
insert overwrite into OMS.marts.customer_cohorts (cohort_month, months_since_first, currency, cohort_customers, active_customers, retained_customers, retention, net_sales, cumulative_net_sales, ltv)
select cohort_month, months_since_first, currency, cohort_customers, active_customers, retained_customers, retention, net_sales, cumulative_net_sales, ltv
from (

with activity as (
    select * from OMS.intermediate.int_cohort_activity
),

cohorts as (
    select cohort_month, count(*) as cohort_customers
    from OMS.intermediate.int_customers__orders
    group by cohort_month
),

cumulated as (
    select
        activity.*,
        cohorts.cohort_customers,
        sum(activity.net_sales) over (
            partition by activity.cohort_month, activity.currency
            order by activity.activity_month
            rows between unbounded preceding and current row
        ) as cumulative_net_sales
    from activity
    inner join cohorts on activity.cohort_month = cohorts.cohort_month
),

final as (
    select
        cohort_month,
        cast(
            (extract(year from activity_month) - extract(year from cohort_month)) * 12
            + extract(month from activity_month) - extract(month from cohort_month) as integer
        ) as months_since_first,
        currency,
        cast(cohort_customers as bigint) as cohort_customers,
        cast(active_customers as bigint) as active_customers,
        cast(retained_customers as bigint) as retained_customers,
        case when cast(cohort_customers as bigint) > 0 then
        cast(
            cast(sign(cast((active_customers) * 10000 as bigint)) * ((2 * abs(cast((active_customers) * 10000 as bigint)) + cast(cohort_customers as bigint)) - mod(2 * abs(cast((active_customers) * 10000 as bigint)) + cast(cohort_customers as bigint), 2 * cast(cohort_customers as bigint))) / (2 * cast(cohort_customers as bigint)) as decimal(18, 0))
            * cast(0.0001 as decimal(5, 4))
            as decimal(9, 4)
        )
    end as retention,
        cast(net_sales as decimal(18, 2)) as net_sales,
        cast(cumulative_net_sales as decimal(18, 2)) as cumulative_net_sales,
        case when cast(cohort_customers as bigint) > 0 then
        cast(
            cast(sign(cast((cumulative_net_sales) * 100 as bigint)) * ((2 * abs(cast((cumulative_net_sales) * 100 as bigint)) + cast(cohort_customers as bigint)) - mod(2 * abs(cast((cumulative_net_sales) * 100 as bigint)) + cast(cohort_customers as bigint), 2 * cast(cohort_customers as bigint))) / (2 * cast(cohort_customers as bigint)) as decimal(18, 0))
            * cast(0.01 as decimal(3, 2))
            as decimal(18, 2)
        )
    end as ltv
    from cumulated
)

select * from final
) as made;

-- transform
select 'test.oms.grain_customer_cohorts_cohort_month__months_since_first__currency.d0df5fbe62' as test, count(*) as failures from (

        select cohort_month, months_since_first, currency, count(*) as row_count
        from OMS.marts.customer_cohorts
        group by cohort_month, months_since_first, currency
        having count(*) > 1 or cohort_month is null or months_since_first is null or currency is null

) as failing
union all
select 'test.oms.grain_daily_sales_business_day__store_id__currency.83f2c815c2' as test, count(*) as failures from (

        select business_day, store_id, currency, count(*) as row_count
        from OMS.marts.daily_sales
        where business_day in (select business_day from OMS.intermediate.int_days__affected)
        group by business_day, store_id, currency
        having count(*) > 1 or business_day is null or store_id is null or currency is null

) as failing
union all
select 'test.oms.grain_dim_customers_customer_id.1f6aa43de1' as test, count(*) as failures from (

        select customer_id, count(*) as row_count
        from OMS.marts.dim_customers
        where customer_id in (select customer_id from OMS.intermediate.int_customers__affected)
        group by customer_id
        having count(*) > 1 or customer_id is null

) as failing
union all
select 'test.oms.grain_dim_employees_employee_id.0e2b2c5298' as test, count(*) as failures from (

        select employee_id, count(*) as row_count
        from OMS.marts.dim_employees
        group by employee_id
        having count(*) > 1 or employee_id is null

) as failing
union all
select 'test.oms.grain_dim_products_product_id.123716b5fd' as test, count(*) as failures from (

        select product_id, count(*) as row_count
        from OMS.marts.dim_products
        group by product_id
        having count(*) > 1 or product_id is null

) as failing
union all
select 'test.oms.grain_dim_stores_store_id.e78d4eec12' as test, count(*) as failures from (

        select store_id, count(*) as row_count
        from OMS.marts.dim_stores
        group by store_id
        having count(*) > 1 or store_id is null

) as failing
union all
select 'test.oms.grain_dim_suppliers_supplier_id.ebd2cbddc5' as test, count(*) as failures from (

        select supplier_id, count(*) as row_count
        from OMS.marts.dim_suppliers
        group by supplier_id
        having count(*) > 1 or supplier_id is null

) as failing
union all
select 'test.oms.grain_fct_order_lines_order_id__line_no.5e3dac0eb2' as test, count(*) as failures from (

        select order_id, line_no, count(*) as row_count
        from OMS.marts.fct_order_lines
        where order_id in (select order_id from OMS.intermediate.int_orders__affected)
        group by order_id, line_no
        having count(*) > 1 or order_id is null or line_no is null

) as failing
union all
select 'test.oms.grain_fct_orders_order_id.eec32feac9' as test, count(*) as failures from (

        select order_id, count(*) as row_count
        from OMS.marts.fct_orders
        where order_id in (select order_id from OMS.intermediate.int_orders__affected)
        group by order_id
        having count(*) > 1 or order_id is null

) as failing
union all
select 'test.oms.grain_fct_payments_payment_id.fe459dadfa' as test, count(*) as failures from (

        select payment_id, count(*) as row_count
        from OMS.marts.fct_payments
        where order_id in (select order_id from OMS.intermediate.int_orders__affected)
        group by payment_id
        having count(*) > 1 or payment_id is null

) as failing
union all
select 'test.oms.grain_fct_returns_return_id.73791d2334' as test, count(*) as failures from (

        select return_id, count(*) as row_count
        from OMS.marts.fct_returns
        where order_id in (select order_id from OMS.intermediate.int_orders__affected)
        group by return_id
        having count(*) > 1 or return_id is null

) as failing
union all
select 'test.oms.grain_fct_shipments_shipment_id.2676023d7a' as test, count(*) as failures from (

        select shipment_id, count(*) as row_count
        from OMS.marts.fct_shipments
        where order_id in (select order_id from OMS.intermediate.int_orders__affected)
        group by shipment_id
        having count(*) > 1 or shipment_id is null

) as failing
union all
select 'test.oms.grain_fulfilment_daily_business_day__store_id.7a9426729b' as test, count(*) as failures from (

        select business_day, store_id, count(*) as row_count
        from OMS.marts.fulfilment_daily
        where business_day in (select business_day from OMS.intermediate.int_days__affected)
        group by business_day, store_id
        having count(*) > 1 or business_day is null or store_id is null

) as failing
union all
select 'test.oms.grain_int_inventory__snapshots_landed_on__store_id__product_id.b21e596592' as test, count(*) as failures from (

        select landed_on, store_id, product_id, count(*) as row_count
        from OMS.intermediate.int_inventory__snapshots
        where landed_on in (select landed_on from OMS.staging.stg_oms__inventory)
        group by landed_on, store_id, product_id
        having count(*) > 1 or landed_on is null or store_id is null or product_id is null

) as failing
union all
select 'test.oms.grain_payment_reconciliation_order_id.5bed8dab12' as test, count(*) as failures from (

        select order_id, count(*) as row_count
        from OMS.marts.payment_reconciliation
        where order_id in (select order_id from OMS.intermediate.int_orders__affected)
        group by order_id
        having count(*) > 1 or order_id is null

) as failing
union all
select 'test.oms.matches_contract_stg_oms__customers_.600862c66e' as test, count(*) as failures from (

        with rows_checked as (
            select
                case
                    when customer_id is null then 'customer_id is null'
                    when country is null then 'country is null'
                    when marketing_opt_in is null then 'marketing_opt_in is null'
                    when created_at is null then 'created_at is null'
                    when updated_at is null then 'updated_at is null'
                    when extracted_at is null then 'extracted_at is null'
                    when landed_on is null then 'landed_on is null'
                end as violation
            from OMS.staging.stg_oms__customers
        ),

        keys_checked as (
            select 'the same key twice in a landed day' as violation
            from OMS.staging.stg_oms__customers
            group by landed_on, customer_id
            having count(*) > 1
        )

        select violation, count(*) as row_count from rows_checked where violation is not null group by violation
        union all
        select violation, count(*) as row_count from keys_checked group by violation

) as failing
union all
select 'test.oms.matches_contract_stg_oms__employees_.86c834fefe' as test, count(*) as failures from (

        with rows_checked as (
            select
                case
                    when employee_id is null then 'employee_id is null'
                    when full_name is null then 'full_name is null'
                    when job_title is null then 'job_title is null'
                    when hired_on is null then 'hired_on is null'
                    when created_at is null then 'created_at is null'
                    when updated_at is null then 'updated_at is null'
                    when extracted_at is null then 'extracted_at is null'
                    when landed_on is null then 'landed_on is null'
                end as violation
            from OMS.staging.stg_oms__employees
        ),

        keys_checked as (
            select 'the same key twice in a landed day' as violation
            from OMS.staging.stg_oms__employees
            group by landed_on, employee_id
            having count(*) > 1
        )

        select violation, count(*) as row_count from rows_checked where violation is not null group by violation
        union all
        select violation, count(*) as row_count from keys_checked group by violation

) as failing
union all
select 'test.oms.matches_contract_stg_oms__inventory_.3c9b7acc19' as test, count(*) as failures from (

        with rows_checked as (
            select
                case
                    when store_id is null then 'store_id is null'
                    when product_id is null then 'product_id is null'
                    when on_hand is null then 'on_hand is null'
                    when reserved is null then 'reserved is null'
                    when reorder_point is null then 'reorder_point is null'
                    when created_at is null then 'created_at is null'
                    when updated_at is null then 'updated_at is null'
                    when extracted_at is null then 'extracted_at is null'
                    when landed_on is null then 'landed_on is null'
                end as violation
            from OMS.staging.stg_oms__inventory
        ),

        keys_checked as (
            select 'the same key twice in a landed day' as violation
            from OMS.staging.stg_oms__inventory
            group by landed_on, store_id, product_id
            having count(*) > 1
        )

        select violation, count(*) as row_count from rows_checked where violation is not null group by violation
        union all
        select violation, count(*) as row_count from keys_checked group by violation

) as failing
union all
select 'test.oms.matches_contract_stg_oms__order_items_.8e1011d905' as test, count(*) as failures from (

        with rows_checked as (
            select
                case
                    when order_id is null then 'order_id is null'
                    when line_no is null then 'line_no is null'
                    when product_id is null then 'product_id is null'
                    when quantity is null then 'quantity is null'
                    when cancelled_quantity is null then 'cancelled_quantity is null'
                    when unit_price is null then 'unit_price is null'
                    when unit_cost is null then 'unit_cost is null'
                    when discount_amount is null then 'discount_amount is null'
                    when tax_amount is null then 'tax_amount is null'
                    when created_at is null then 'created_at is null'
                    when updated_at is null then 'updated_at is null'
                    when parent_updated_at is null then 'parent_updated_at is null'
                    when extracted_at is null then 'extracted_at is null'
                    when landed_on is null then 'landed_on is null'
                end as violation
            from OMS.staging.stg_oms__order_items
        ),

        keys_checked as (
            select 'the same key twice in a landed day' as violation
            from OMS.staging.stg_oms__order_items
            group by landed_on, order_id, line_no
            having count(*) > 1
        )

        select violation, count(*) as row_count from rows_checked where violation is not null group by violation
        union all
        select violation, count(*) as row_count from keys_checked group by violation

) as failing
union all
select 'test.oms.matches_contract_stg_oms__orders_.4fd1dc3dfb' as test, count(*) as failures from (

        with rows_checked as (
            select
                case
                    when order_id is null then 'order_id is null'
                    when order_number is null then 'order_number is null'
                    when store_id is null then 'store_id is null'
                    when currency is null then 'currency is null'
                    when status is null then 'status is null'
                    when status not in ('draft', 'placed', 'paid', 'processing', 'partially_shipped', 'shipped', 'delivered', 'cancelled')
                        then 'status has a value that is not accepted'
                    when discount_total is null then 'discount_total is null'
                    when shipping_total is null then 'shipping_total is null'
                    when tax_total is null then 'tax_total is null'
                    when grand_total is null then 'grand_total is null'
                    when version is null then 'version is null'
                    when is_test is null then 'is_test is null'
                    when created_at is null then 'created_at is null'
                    when updated_at is null then 'updated_at is null'
                    when extracted_at is null then 'extracted_at is null'
                    when landed_on is null then 'landed_on is null'
                end as violation
            from OMS.staging.stg_oms__orders
        ),

        keys_checked as (
            select 'the same key twice in a landed day' as violation
            from OMS.staging.stg_oms__orders
            group by landed_on, order_id
            having count(*) > 1
        )

        select violation, count(*) as row_count from rows_checked where violation is not null group by violation
        union all
        select violation, count(*) as row_count from keys_checked group by violation

) as failing
union all
select 'test.oms.matches_contract_stg_oms__payments_.216051712d' as test, count(*) as failures from (

        with rows_checked as (
            select
                case
                    when payment_id is null then 'payment_id is null'
                    when order_id is null then 'order_id is null'
                    when kind is null then 'kind is null'
                    when kind not in ('charge', 'refund')
                        then 'kind has a value that is not accepted'
                    when method is null then 'method is null'
                    when status is null then 'status is null'
                    when status not in ('pending', 'authorized', 'captured', 'failed', 'voided')
                        then 'status has a value that is not accepted'
                    when amount is null then 'amount is null'
                    when currency is null then 'currency is null'
                    when created_at is null then 'created_at is null'
                    when updated_at is null then 'updated_at is null'
                    when extracted_at is null then 'extracted_at is null'
                    when landed_on is null then 'landed_on is null'
                end as violation
            from OMS.staging.stg_oms__payments
        ),

        keys_checked as (
            select 'the same key twice in a landed day' as violation
            from OMS.staging.stg_oms__payments
            group by landed_on, payment_id
            having count(*) > 1
        )

        select violation, count(*) as row_count from rows_checked where violation is not null group by violation
        union all
        select violation, count(*) as row_count from keys_checked group by violation

) as failing
union all
select 'test.oms.matches_contract_stg_oms__products_.3dd5d5958e' as test, count(*) as failures from (

        with rows_checked as (
            select
                case
                    when product_id is null then 'product_id is null'
                    when sku is null then 'sku is null'
                    when product_name is null then 'product_name is null'
                    when category is null then 'category is null'
                    when retail_price is null then 'retail_price is null'
                    when unit_cost is null then 'unit_cost is null'
                    when currency is null then 'currency is null'
                    when created_at is null then 'created_at is null'
                    when updated_at is null then 'updated_at is null'
                    when extracted_at is null then 'extracted_at is null'
                    when landed_on is null then 'landed_on is null'
                end as violation
            from OMS.staging.stg_oms__products
        ),

        keys_checked as (
            select 'the same key twice in a landed day' as violation
            from OMS.staging.stg_oms__products
            group by landed_on, product_id
            having count(*) > 1
        )

        select violation, count(*) as row_count from rows_checked where violation is not null group by violation
        union all
        select violation, count(*) as row_count from keys_checked group by violation

) as failing
union all
select 'test.oms.matches_contract_stg_oms__returns_.fa3ebd9588' as test, count(*) as failures from (

        with rows_checked as (
            select
                case
                    when return_id is null then 'return_id is null'
                    when order_id is null then 'order_id is null'
                    when line_no is null then 'line_no is null'
                    when quantity is null then 'quantity is null'
                    when reason is null then 'reason is null'
                    when status is null then 'status is null'
                    when status not in ('requested', 'approved', 'received', 'refunded', 'rejected')
                        then 'status has a value that is not accepted'
                    when requested_at is null then 'requested_at is null'
                    when restocked is null then 'restocked is null'
                    when created_at is null then 'created_at is null'
                    when updated_at is null then 'updated_at is null'
                    when extracted_at is null then 'extracted_at is null'
                    when landed_on is null then 'landed_on is null'
                end as violation
            from OMS.staging.stg_oms__returns
        ),

        keys_checked as (
            select 'the same key twice in a landed day' as violation
            from OMS.staging.stg_oms__returns
            group by landed_on, return_id
            having count(*) > 1
        )

        select violation, count(*) as row_count from rows_checked where violation is not null group by violation
        union all
        select violation, count(*) as row_count from keys_checked group by violation

) as failing
union all
select 'test.oms.matches_contract_stg_oms__shipment_items_.5a38a28a7f' as test, count(*) as failures from (

        with rows_checked as (
            select
                case
                    when shipment_id is null then 'shipment_id is null'
                    when order_id is null then 'order_id is null'
                    when line_no is null then 'line_no is null'
                    when quantity is null then 'quantity is null'
                    when created_at is null then 'created_at is null'
                    when updated_at is null then 'updated_at is null'
                    when parent_updated_at is null then 'parent_updated_at is null'
                    when extracted_at is null then 'extracted_at is null'
                    when landed_on is null then 'landed_on is null'
                end as violation
            from OMS.staging.stg_oms__shipment_items
        ),

        keys_checked as (
            select 'the same key twice in a landed day' as violation
            from OMS.staging.stg_oms__shipment_items
            group by landed_on, shipment_id, order_id, line_no
            having count(*) > 1
        )

        select violation, count(*) as row_count from rows_checked where violation is not null group by violation
        union all
        select violation, count(*) as row_count from keys_checked group by violation

) as failing
union all
select 'test.oms.matches_contract_stg_oms__shipments_.9876b93aaf' as test, count(*) as failures from (

        with rows_checked as (
            select
                case
                    when shipment_id is null then 'shipment_id is null'
                    when order_id is null then 'order_id is null'
                    when store_id is null then 'store_id is null'
                    when carrier is null then 'carrier is null'
                    when status is null then 'status is null'
                    when status not in ('pending', 'ready', 'shipped', 'in_transit', 'delivered', 'lost', 'cancelled')
                        then 'status has a value that is not accepted'
                    when cost is null then 'cost is null'
                    when created_at is null then 'created_at is null'
                    when updated_at is null then 'updated_at is null'
                    when extracted_at is null then 'extracted_at is null'
                    when landed_on is null then 'landed_on is null'
                end as violation
            from OMS.staging.stg_oms__shipments
        ),

        keys_checked as (
            select 'the same key twice in a landed day' as violation
            from OMS.staging.stg_oms__shipments
            group by landed_on, shipment_id
            having count(*) > 1
        )

        select violation, count(*) as row_count from rows_checked where violation is not null group by violation
        union all
        select violation, count(*) as row_count from keys_checked group by violation

) as failing
union all
select 'test.oms.matches_contract_stg_oms__stores_.a8abfac732' as test, count(*) as failures from (

        with rows_checked as (
            select
                case
                    when store_id is null then 'store_id is null'
                    when store_name is null then 'store_name is null'
                    when channel is null then 'channel is null'
                    when channel not in ('online', 'in_store', 'marketplace')
                        then 'channel has a value that is not accepted'
                    when timezone is null then 'timezone is null'
                    when city is null then 'city is null'
                    when country is null then 'country is null'
                    when created_at is null then 'created_at is null'
                    when updated_at is null then 'updated_at is null'
                    when extracted_at is null then 'extracted_at is null'
                    when landed_on is null then 'landed_on is null'
                end as violation
            from OMS.staging.stg_oms__stores
        ),

        keys_checked as (
            select 'the same key twice in a landed day' as violation
            from OMS.staging.stg_oms__stores
            group by landed_on, store_id
            having count(*) > 1
        )

        select violation, count(*) as row_count from rows_checked where violation is not null group by violation
        union all
        select violation, count(*) as row_count from keys_checked group by violation

) as failing
union all
select 'test.oms.matches_contract_stg_oms__suppliers_.0551777f84' as test, count(*) as failures from (

        with rows_checked as (
            select
                case
                    when supplier_id is null then 'supplier_id is null'
                    when supplier_name is null then 'supplier_name is null'
                    when email is null then 'email is null'
                    when lead_time_days is null then 'lead_time_days is null'
                    when created_at is null then 'created_at is null'
                    when updated_at is null then 'updated_at is null'
                    when extracted_at is null then 'extracted_at is null'
                    when landed_on is null then 'landed_on is null'
                end as violation
            from OMS.staging.stg_oms__suppliers
        ),

        keys_checked as (
            select 'the same key twice in a landed day' as violation
            from OMS.staging.stg_oms__suppliers
            group by landed_on, supplier_id
            having count(*) > 1
        )

        select violation, count(*) as row_count from rows_checked where violation is not null group by violation
        union all
        select violation, count(*) as row_count from keys_checked group by violation

) as failing;

-- transform
select * from (select 'marts.customer_cohorts' as relation, (select count(*) from marts.customer_cohorts) as row_count, cast(cohort_month as varchar) as c0, cast(months_since_first as varchar) as c1, cast(currency as varchar) as c2, cast(cohort_customers as varchar) as c3, cast(active_customers as varchar) as c4, cast(retained_customers as varchar) as c5, cast(retention as varchar) as c6, cast(net_sales as varchar) as c7, cast(cumulative_net_sales as varchar) as c8, cast(ltv as varchar) as c9, null as c10, null as c11, null as c12, null as c13, null as c14, null as c15, null as c16, null as c17, null as c18, null as c19, null as c20, null as c21, null as c22, null as c23, null as c24, null as c25, null as c26, null as c27, null as c28, null as c29, null as c30, null as c31, null as c32, null as c33 from marts.customer_cohorts where true limit 5)
union all
select * from (select 'marts.daily_sales' as relation, (select count(*) from marts.daily_sales) as row_count, cast(business_day as varchar) as c0, cast(store_id as varchar) as c1, cast(currency as varchar) as c2, cast(orders as varchar) as c3, cast(cancelled_orders as varchar) as c4, cast(units_ordered as varchar) as c5, cast(gmv as varchar) as c6, cast(cancelled_value as varchar) as c7, cast(discounts as varchar) as c8, cast(returns_value as varchar) as c9, cast(net_sales as varchar) as c10, cast(shipping_charged as varchar) as c11, cast(shipping_refunded as varchar) as c12, cast(net_revenue as varchar) as c13, cast(tax_total as varchar) as c14, cast(aov as varchar) as c15, cast(cancellation_rate as varchar) as c16, null as c17, null as c18, null as c19, null as c20, null as c21, null as c22, null as c23, null as c24, null as c25, null as c26, null as c27, null as c28, null as c29, null as c30, null as c31, null as c32, null as c33 from marts.daily_sales where true limit 5)
union all
select * from (select 'marts.dim_customers' as relation, (select count(*) from marts.dim_customers) as row_count, cast(customer_id as varchar) as c0, cast(email as varchar) as c1, cast(full_name as varchar) as c2, cast(phone as varchar) as c3, cast(city as varchar) as c4, cast(region as varchar) as c5, cast(country as varchar) as c6, cast(marketing_opt_in as varchar) as c7, cast(deleted_at as varchar) as c8, cast(is_deleted as varchar) as c9, cast(first_order_day as varchar) as c10, cast(last_order_day as varchar) as c11, cast(orders as varchar) as c12, cast(created_at as varchar) as c13, cast(updated_at as varchar) as c14, cast(extracted_at as varchar) as c15, null as c16, null as c17, null as c18, null as c19, null as c20, null as c21, null as c22, null as c23, null as c24, null as c25, null as c26, null as c27, null as c28, null as c29, null as c30, null as c31, null as c32, null as c33 from marts.dim_customers where true limit 5)
union all
select * from (select 'marts.dim_dates' as relation, null as row_count, cast(date_day as varchar) as c0, cast(year as varchar) as c1, cast(quarter as varchar) as c2, cast(month as varchar) as c3, cast(month_start as varchar) as c4, cast(month_name as varchar) as c5, cast(iso_week as varchar) as c6, cast(day_of_month as varchar) as c7, cast(iso_weekday as varchar) as c8, cast(weekday_name as varchar) as c9, cast(is_weekend as varchar) as c10, null as c11, null as c12, null as c13, null as c14, null as c15, null as c16, null as c17, null as c18, null as c19, null as c20, null as c21, null as c22, null as c23, null as c24, null as c25, null as c26, null as c27, null as c28, null as c29, null as c30, null as c31, null as c32, null as c33 from marts.dim_dates where true limit 5)
union all
select * from (select 'marts.dim_employees' as relation, (select count(*) from marts.dim_employees) as row_count, cast(employee_id as varchar) as c0, cast(full_name as varchar) as c1, cast(job_title as varchar) as c2, cast(manager_id as varchar) as c3, cast(store_id as varchar) as c4, cast(hired_on as varchar) as c5, cast(left_on as varchar) as c6, cast(is_employed as varchar) as c7, cast(created_at as varchar) as c8, cast(updated_at as varchar) as c9, cast(extracted_at as varchar) as c10, null as c11, null as c12, null as c13, null as c14, null as c15, null as c16, null as c17, null as c18, null as c19, null as c20, null as c21, null as c22, null as c23, null as c24, null as c25, null as c26, null as c27, null as c28, null as c29, null as c30, null as c31, null as c32, null as c33 from marts.dim_employees where true limit 5)
union all
select * from (select 'marts.dim_products' as relation, (select count(*) from marts.dim_products) as row_count, cast(product_id as varchar) as c0, cast(sku as varchar) as c1, cast(product_name as varchar) as c2, cast(category as varchar) as c3, cast(supplier_id as varchar) as c4, cast(retail_price as varchar) as c5, cast(unit_cost as varchar) as c6, cast(currency as varchar) as c7, cast(discontinued_at as varchar) as c8, cast(deleted_at as varchar) as c9, cast(is_active as varchar) as c10, cast(created_at as varchar) as c11, cast(updated_at as varchar) as c12, cast(extracted_at as varchar) as c13, null as c14, null as c15, null as c16, null as c17, null as c18, null as c19, null as c20, null as c21, null as c22, null as c23, null as c24, null as c25, null as c26, null as c27, null as c28, null as c29, null as c30, null as c31, null as c32, null as c33 from marts.dim_products where true limit 5)
union all
select * from (select 'marts.dim_stores' as relation, (select count(*) from marts.dim_stores) as row_count, cast(store_id as varchar) as c0, cast(store_name as varchar) as c1, cast(channel as varchar) as c2, cast(timezone as varchar) as c3, cast(city as varchar) as c4, cast(region as varchar) as c5, cast(country as varchar) as c6, cast(closed_on as varchar) as c7, cast(is_open as varchar) as c8, cast(created_at as varchar) as c9, cast(updated_at as varchar) as c10, cast(extracted_at as varchar) as c11, null as c12, null as c13, null as c14, null as c15, null as c16, null as c17, null as c18, null as c19, null as c20, null as c21, null as c22, null as c23, null as c24, null as c25, null as c26, null as c27, null as c28, null as c29, null as c30, null as c31, null as c32, null as c33 from marts.dim_stores where true limit 5)
union all
select * from (select 'marts.dim_suppliers' as relation, (select count(*) from marts.dim_suppliers) as row_count, cast(supplier_id as varchar) as c0, cast(supplier_name as varchar) as c1, cast(email as varchar) as c2, cast(lead_time_days as varchar) as c3, cast(deleted_at as varchar) as c4, cast(is_active as varchar) as c5, cast(created_at as varchar) as c6, cast(updated_at as varchar) as c7, cast(extracted_at as varchar) as c8, null as c9, null as c10, null as c11, null as c12, null as c13, null as c14, null as c15, null as c16, null as c17, null as c18, null as c19, null as c20, null as c21, null as c22, null as c23, null as c24, null as c25, null as c26, null as c27, null as c28, null as c29, null as c30, null as c31, null as c32, null as c33 from marts.dim_suppliers where true limit 5)
union all
select * from (select 'marts.fct_inventory_daily' as relation, null as row_count, cast(business_day as varchar) as c0, cast(store_id as varchar) as c1, cast(product_id as varchar) as c2, cast(on_hand as varchar) as c3, cast(reserved as varchar) as c4, cast(available as varchar) as c5, cast(reorder_point as varchar) as c6, cast(is_below_reorder_point as varchar) as c7, cast(net_units_28d as varchar) as c8, cast(inventory_cover_days as varchar) as c9, cast(snapshot_taken_at as varchar) as c10, null as c11, null as c12, null as c13, null as c14, null as c15, null as c16, null as c17, null as c18, null as c19, null as c20, null as c21, null as c22, null as c23, null as c24, null as c25, null as c26, null as c27, null as c28, null as c29, null as c30, null as c31, null as c32, null as c33 from marts.fct_inventory_daily where business_day = date '2026-03-07' limit 5)
union all
select * from (select 'marts.fct_order_lines' as relation, (select count(*) from marts.fct_order_lines) as row_count, cast(order_id as varchar) as c0, cast(line_no as varchar) as c1, cast(business_day as varchar) as c2, cast(placed_at as varchar) as c3, cast(store_id as varchar) as c4, cast(customer_id as varchar) as c5, cast(product_id as varchar) as c6, cast(currency as varchar) as c7, cast(is_cancelled as varchar) as c8, cast(quantity as varchar) as c9, cast(cancelled_quantity as varchar) as c10, cast(unit_price as varchar) as c11, cast(unit_cost as varchar) as c12, cast(gmv as varchar) as c13, cast(cancelled_value as varchar) as c14, cast(discounts as varchar) as c15, cast(tax_amount as varchar) as c16, cast(returned_quantity as varchar) as c17, cast(returns_value as varchar) as c18, cast(net_sales as varchar) as c19, cast(net_units as varchar) as c20, cast(first_shipped_day as varchar) as c21, cast(first_shipped_store_id as varchar) as c22, cast(updated_at as varchar) as c23, null as c24, null as c25, null as c26, null as c27, null as c28, null as c29, null as c30, null as c31, null as c32, null as c33 from marts.fct_order_lines where true limit 5)
union all
select * from (select 'marts.fct_orders' as relation, (select count(*) from marts.fct_orders) as row_count, cast(order_id as varchar) as c0, cast(order_number as varchar) as c1, cast(customer_id as varchar) as c2, cast(store_id as varchar) as c3, cast(employee_id as varchar) as c4, cast(currency as varchar) as c5, cast(status as varchar) as c6, cast(business_day as varchar) as c7, cast(placed_at as varchar) as c8, cast(paid_at as varchar) as c9, cast(promised_ship_by as varchar) as c10, cast(due_day as varchar) as c11, cast(cancelled_at as varchar) as c12, cast(cancel_reason as varchar) as c13, cast(is_cancelled as varchar) as c14, cast(is_guest as varchar) as c15, cast(line_count as varchar) as c16, cast(units_ordered as varchar) as c17, cast(units_cancelled as varchar) as c18, cast(gmv as varchar) as c19, cast(cancelled_value as varchar) as c20, cast(discounts as varchar) as c21, cast(returns_value as varchar) as c22, cast(net_sales as varchar) as c23, cast(shipping_charged as varchar) as c24, cast(shipping_refunded as varchar) as c25, cast(net_revenue as varchar) as c26, cast(tax_total as varchar) as c27, cast(grand_total as varchar) as c28, cast(units_shipped as varchar) as c29, cast(units_shipped_on_time as varchar) as c30, cast(first_shipped_at as varchar) as c31, cast(last_delivered_at as varchar) as c32, cast(updated_at as varchar) as c33 from marts.fct_orders where true limit 5)
union all
select * from (select 'marts.fct_payments' as relation, (select count(*) from marts.fct_payments) as row_count, cast(payment_id as varchar) as c0, cast(order_id as varchar) as c1, cast(store_id as varchar) as c2, cast(kind as varchar) as c3, cast(method as varchar) as c4, cast(status as varchar) as c5, cast(amount as varchar) as c6, cast(captured_amount as varchar) as c7, cast(shipping_refunded as varchar) as c8, cast(currency as varchar) as c9, cast(is_order_currency as varchar) as c10, cast(parent_payment_id as varchar) as c11, cast(occurred_at as varchar) as c12, cast(business_day as varchar) as c13, cast(is_return_refund as varchar) as c14, cast(updated_at as varchar) as c15, null as c16, null as c17, null as c18, null as c19, null as c20, null as c21, null as c22, null as c23, null as c24, null as c25, null as c26, null as c27, null as c28, null as c29, null as c30, null as c31, null as c32, null as c33 from marts.fct_payments where true limit 5)
union all
select * from (select 'marts.fct_returns' as relation, (select count(*) from marts.fct_returns) as row_count, cast(return_id as varchar) as c0, cast(order_id as varchar) as c1, cast(line_no as varchar) as c2, cast(product_id as varchar) as c3, cast(store_id as varchar) as c4, cast(customer_id as varchar) as c5, cast(currency as varchar) as c6, cast(quantity as varchar) as c7, cast(reason as varchar) as c8, cast(status as varchar) as c9, cast(requested_at as varchar) as c10, cast(received_at as varchar) as c11, cast(refunded_at as varchar) as c12, cast(business_day as varchar) as c13, cast(ship_cohort_day as varchar) as c14, cast(ship_cohort_store_id as varchar) as c15, cast(refund_amount as varchar) as c16, cast(refund_payment_id as varchar) as c17, cast(restocked as varchar) as c18, cast(is_received as varchar) as c19, cast(is_refunded as varchar) as c20, cast(updated_at as varchar) as c21, null as c22, null as c23, null as c24, null as c25, null as c26, null as c27, null as c28, null as c29, null as c30, null as c31, null as c32, null as c33 from marts.fct_returns where true limit 5)
union all
select * from (select 'marts.fct_shipments' as relation, (select count(*) from marts.fct_shipments) as row_count, cast(shipment_id as varchar) as c0, cast(order_id as varchar) as c1, cast(store_id as varchar) as c2, cast(carrier as varchar) as c3, cast(tracking_no as varchar) as c4, cast(status as varchar) as c5, cast(currency as varchar) as c6, cast(cost as varchar) as c7, cast(units as varchar) as c8, cast(shipped_at as varchar) as c9, cast(business_day as varchar) as c10, cast(promised_ship_by as varchar) as c11, cast(due_day as varchar) as c12, cast(is_due as varchar) as c13, cast(is_on_time as varchar) as c14, cast(promised_delivery_on as varchar) as c15, cast(delivered_at as varchar) as c16, cast(is_delivered_on_time as varchar) as c17, cast(updated_at as varchar) as c18, null as c19, null as c20, null as c21, null as c22, null as c23, null as c24, null as c25, null as c26, null as c27, null as c28, null as c29, null as c30, null as c31, null as c32, null as c33 from marts.fct_shipments where true limit 5)
union all
select * from (select 'marts.fulfilment_daily' as relation, (select count(*) from marts.fulfilment_daily) as row_count, cast(business_day as varchar) as c0, cast(store_id as varchar) as c1, cast(units_ordered as varchar) as c2, cast(units_shipped_on_time as varchar) as c3, cast(fill_rate as varchar) as c4, cast(shipments_due as varchar) as c5, cast(shipments_on_time as varchar) as c6, cast(on_time_rate as varchar) as c7, cast(units_shipped as varchar) as c8, cast(units_returned as varchar) as c9, cast(return_rate as varchar) as c10, null as c11, null as c12, null as c13, null as c14, null as c15, null as c16, null as c17, null as c18, null as c19, null as c20, null as c21, null as c22, null as c23, null as c24, null as c25, null as c26, null as c27, null as c28, null as c29, null as c30, null as c31, null as c32, null as c33 from marts.fulfilment_daily where true limit 5)
union all
select * from (select 'intermediate.int_cohort_activity' as relation, (select count(*) from intermediate.int_cohort_activity) as row_count, cast(cohort_month as varchar) as c0, cast(activity_month as varchar) as c1, cast(currency as varchar) as c2, cast(active_customers as varchar) as c3, cast(retained_customers as varchar) as c4, cast(net_sales as varchar) as c5, null as c6, null as c7, null as c8, null as c9, null as c10, null as c11, null as c12, null as c13, null as c14, null as c15, null as c16, null as c17, null as c18, null as c19, null as c20, null as c21, null as c22, null as c23, null as c24, null as c25, null as c26, null as c27, null as c28, null as c29, null as c30, null as c31, null as c32, null as c33 from intermediate.int_cohort_activity where true limit 5)
union all
select * from (select 'intermediate.int_cohort_months__affected' as relation, (select count(*) from intermediate.int_cohort_months__affected) as row_count, cast(activity_month as varchar) as c0, null as c1, null as c2, null as c3, null as c4, null as c5, null as c6, null as c7, null as c8, null as c9, null as c10, null as c11, null as c12, null as c13, null as c14, null as c15, null as c16, null as c17, null as c18, null as c19, null as c20, null as c21, null as c22, null as c23, null as c24, null as c25, null as c26, null as c27, null as c28, null as c29, null as c30, null as c31, null as c32, null as c33 from intermediate.int_cohort_months__affected where true limit 5)
union all
select * from (select 'intermediate.int_customers__affected' as relation, (select count(*) from intermediate.int_customers__affected) as row_count, cast(customer_id as varchar) as c0, cast(cohort_month_before as varchar) as c1, null as c2, null as c3, null as c4, null as c5, null as c6, null as c7, null as c8, null as c9, null as c10, null as c11, null as c12, null as c13, null as c14, null as c15, null as c16, null as c17, null as c18, null as c19, null as c20, null as c21, null as c22, null as c23, null as c24, null as c25, null as c26, null as c27, null as c28, null as c29, null as c30, null as c31, null as c32, null as c33 from intermediate.int_customers__affected where true limit 5)
union all
select * from (select 'intermediate.int_customers__orders' as relation, (select count(*) from intermediate.int_customers__orders) as row_count, cast(customer_id as varchar) as c0, cast(first_order_day as varchar) as c1, cast(last_order_day as varchar) as c2, cast(orders as varchar) as c3, cast(cohort_month as varchar) as c4, null as c5, null as c6, null as c7, null as c8, null as c9, null as c10, null as c11, null as c12, null as c13, null as c14, null as c15, null as c16, null as c17, null as c18, null as c19, null as c20, null as c21, null as c22, null as c23, null as c24, null as c25, null as c26, null as c27, null as c28, null as c29, null as c30, null as c31, null as c32, null as c33 from intermediate.int_customers__orders where true limit 5)
union all
select * from (select 'intermediate.int_days__affected' as relation, (select count(*) from intermediate.int_days__affected) as row_count, cast(business_day as varchar) as c0, null as c1, null as c2, null as c3, null as c4, null as c5, null as c6, null as c7, null as c8, null as c9, null as c10, null as c11, null as c12, null as c13, null as c14, null as c15, null as c16, null as c17, null as c18, null as c19, null as c20, null as c21, null as c22, null as c23, null as c24, null as c25, null as c26, null as c27, null as c28, null as c29, null as c30, null as c31, null as c32, null as c33 from intermediate.int_days__affected where true limit 5)
union all
select * from (select 'intermediate.int_days__before' as relation, (select count(*) from intermediate.int_days__before) as row_count, cast(business_day as varchar) as c0, null as c1, null as c2, null as c3, null as c4, null as c5, null as c6, null as c7, null as c8, null as c9, null as c10, null as c11, null as c12, null as c13, null as c14, null as c15, null as c16, null as c17, null as c18, null as c19, null as c20, null as c21, null as c22, null as c23, null as c24, null as c25, null as c26, null as c27, null as c28, null as c29, null as c30, null as c31, null as c32, null as c33 from intermediate.int_days__before where true limit 5)
union all
select * from (select 'intermediate.int_inventory__snapshots' as relation, (select count(*) from intermediate.int_inventory__snapshots) as row_count, cast(landed_on as varchar) as c0, cast(store_id as varchar) as c1, cast(product_id as varchar) as c2, cast(on_hand as varchar) as c3, cast(reserved as varchar) as c4, cast(reorder_point as varchar) as c5, cast(extracted_at as varchar) as c6, null as c7, null as c8, null as c9, null as c10, null as c11, null as c12, null as c13, null as c14, null as c15, null as c16, null as c17, null as c18, null as c19, null as c20, null as c21, null as c22, null as c23, null as c24, null as c25, null as c26, null as c27, null as c28, null as c29, null as c30, null as c31, null as c32, null as c33 from intermediate.int_inventory__snapshots where true limit 5)
union all
select * from (select 'intermediate.int_order_items__current' as relation, (select count(*) from intermediate.int_order_items__current) as row_count, cast(order_id as varchar) as c0, cast(line_no as varchar) as c1, cast(product_id as varchar) as c2, cast(quantity as varchar) as c3, cast(cancelled_quantity as varchar) as c4, cast(unit_price as varchar) as c5, cast(unit_cost as varchar) as c6, cast(discount_amount as varchar) as c7, cast(tax_amount as varchar) as c8, cast(created_at as varchar) as c9, cast(updated_at as varchar) as c10, cast(parent_updated_at as varchar) as c11, cast(extracted_at as varchar) as c12, null as c13, null as c14, null as c15, null as c16, null as c17, null as c18, null as c19, null as c20, null as c21, null as c22, null as c23, null as c24, null as c25, null as c26, null as c27, null as c28, null as c29, null as c30, null as c31, null as c32, null as c33 from intermediate.int_order_items__current where true limit 5)
union all
select * from (select 'intermediate.int_orders__affected' as relation, (select count(*) from intermediate.int_orders__affected) as row_count, cast(order_id as varchar) as c0, null as c1, null as c2, null as c3, null as c4, null as c5, null as c6, null as c7, null as c8, null as c9, null as c10, null as c11, null as c12, null as c13, null as c14, null as c15, null as c16, null as c17, null as c18, null as c19, null as c20, null as c21, null as c22, null as c23, null as c24, null as c25, null as c26, null as c27, null as c28, null as c29, null as c30, null as c31, null as c32, null as c33 from intermediate.int_orders__affected where true limit 5)
union all
select * from (select 'intermediate.int_orders__current' as relation, (select count(*) from intermediate.int_orders__current) as row_count, cast(order_id as varchar) as c0, cast(order_number as varchar) as c1, cast(customer_id as varchar) as c2, cast(store_id as varchar) as c3, cast(employee_id as varchar) as c4, cast(currency as varchar) as c5, cast(status as varchar) as c6, cast(placed_at as varchar) as c7, cast(paid_at as varchar) as c8, cast(promised_ship_by as varchar) as c9, cast(cancelled_at as varchar) as c10, cast(cancel_reason as varchar) as c11, cast(discount_total as varchar) as c12, cast(shipping_total as varchar) as c13, cast(tax_total as varchar) as c14, cast(grand_total as varchar) as c15, cast(version as varchar) as c16, cast(is_test as varchar) as c17, cast(created_at as varchar) as c18, cast(updated_at as varchar) as c19, cast(extracted_at as varchar) as c20, null as c21, null as c22, null as c23, null as c24, null as c25, null as c26, null as c27, null as c28, null as c29, null as c30, null as c31, null as c32, null as c33 from intermediate.int_orders__current where true limit 5)
union all
select * from (select 'intermediate.int_orders__placed' as relation, null as row_count, cast(order_id as varchar) as c0, cast(order_number as varchar) as c1, cast(customer_id as varchar) as c2, cast(store_id as varchar) as c3, cast(employee_id as varchar) as c4, cast(currency as varchar) as c5, cast(status as varchar) as c6, cast(placed_at as varchar) as c7, cast(paid_at as varchar) as c8, cast(promised_ship_by as varchar) as c9, cast(cancelled_at as varchar) as c10, cast(cancel_reason as varchar) as c11, cast(discount_total as varchar) as c12, cast(shipping_total as varchar) as c13, cast(tax_total as varchar) as c14, cast(grand_total as varchar) as c15, cast(version as varchar) as c16, cast(is_test as varchar) as c17, cast(created_at as varchar) as c18, cast(updated_at as varchar) as c19, cast(extracted_at as varchar) as c20, cast(is_cancelled as varchar) as c21, cast(business_day as varchar) as c22, cast(due_day as varchar) as c23, cast(timezone as varchar) as c24, null as c25, null as c26, null as c27, null as c28, null as c29, null as c30, null as c31, null as c32, null as c33 from intermediate.int_orders__placed where true limit 5)
union all
select * from (select 'intermediate.int_payments__current' as relation, (select count(*) from intermediate.int_payments__current) as row_count, cast(payment_id as varchar) as c0, cast(order_id as varchar) as c1, cast(kind as varchar) as c2, cast(method as varchar) as c3, cast(status as varchar) as c4, cast(amount as varchar) as c5, cast(currency as varchar) as c6, cast(parent_payment_id as varchar) as c7, cast(occurred_at as varchar) as c8, cast(created_at as varchar) as c9, cast(updated_at as varchar) as c10, cast(extracted_at as varchar) as c11, null as c12, null as c13, null as c14, null as c15, null as c16, null as c17, null as c18, null as c19, null as c20, null as c21, null as c22, null as c23, null as c24, null as c25, null as c26, null as c27, null as c28, null as c29, null as c30, null as c31, null as c32, null as c33 from intermediate.int_payments__current where true limit 5)
union all
select * from (select 'intermediate.int_returns__current' as relation, (select count(*) from intermediate.int_returns__current) as row_count, cast(return_id as varchar) as c0, cast(order_id as varchar) as c1, cast(line_no as varchar) as c2, cast(quantity as varchar) as c3, cast(reason as varchar) as c4, cast(status as varchar) as c5, cast(requested_at as varchar) as c6, cast(received_at as varchar) as c7, cast(refund_amount as varchar) as c8, cast(refund_payment_id as varchar) as c9, cast(restocked as varchar) as c10, cast(created_at as varchar) as c11, cast(updated_at as varchar) as c12, cast(extracted_at as varchar) as c13, null as c14, null as c15, null as c16, null as c17, null as c18, null as c19, null as c20, null as c21, null as c22, null as c23, null as c24, null as c25, null as c26, null as c27, null as c28, null as c29, null as c30, null as c31, null as c32, null as c33 from intermediate.int_returns__current where true limit 5)
union all
select * from (select 'intermediate.int_shipment_items__current' as relation, (select count(*) from intermediate.int_shipment_items__current) as row_count, cast(shipment_id as varchar) as c0, cast(order_id as varchar) as c1, cast(line_no as varchar) as c2, cast(quantity as varchar) as c3, cast(created_at as varchar) as c4, cast(updated_at as varchar) as c5, cast(parent_updated_at as varchar) as c6, cast(extracted_at as varchar) as c7, null as c8, null as c9, null as c10, null as c11, null as c12, null as c13, null as c14, null as c15, null as c16, null as c17, null as c18, null as c19, null as c20, null as c21, null as c22, null as c23, null as c24, null as c25, null as c26, null as c27, null as c28, null as c29, null as c30, null as c31, null as c32, null as c33 from intermediate.int_shipment_items__current where true limit 5)
union all
select * from (select 'intermediate.int_shipments__current' as relation, (select count(*) from intermediate.int_shipments__current) as row_count, cast(shipment_id as varchar) as c0, cast(order_id as varchar) as c1, cast(store_id as varchar) as c2, cast(carrier as varchar) as c3, cast(tracking_no as varchar) as c4, cast(status as varchar) as c5, cast(cost as varchar) as c6, cast(shipped_at as varchar) as c7, cast(promised_delivery_on as varchar) as c8, cast(delivered_at as varchar) as c9, cast(created_at as varchar) as c10, cast(updated_at as varchar) as c11, cast(extracted_at as varchar) as c12, null as c13, null as c14, null as c15, null as c16, null as c17, null as c18, null as c19, null as c20, null as c21, null as c22, null as c23, null as c24, null as c25, null as c26, null as c27, null as c28, null as c29, null as c30, null as c31, null as c32, null as c33 from intermediate.int_shipments__current where true limit 5)
union all
select * from (select 'marts.payment_reconciliation' as relation, (select count(*) from marts.payment_reconciliation) as row_count, cast(order_id as varchar) as c0, cast(business_day as varchar) as c1, cast(store_id as varchar) as c2, cast(currency as varchar) as c3, cast(is_cancelled as varchar) as c4, cast(grand_total as varchar) as c5, cast(amount_due as varchar) as c6, cast(charged as varchar) as c7, cast(refunded as varchar) as c8, cast(net_paid as varchar) as c9, cast(returns_value as varchar) as c10, cast(difference as varchar) as c11, cast(state as varchar) as c12, null as c13, null as c14, null as c15, null as c16, null as c17, null as c18, null as c19, null as c20, null as c21, null as c22, null as c23, null as c24, null as c25, null as c26, null as c27, null as c28, null as c29, null as c30, null as c31, null as c32, null as c33 from marts.payment_reconciliation where true limit 5)
union all
select * from (select 'staging.stg_oms__customers' as relation, (select count(*) from staging.stg_oms__customers) as row_count, cast(customer_id as varchar) as c0, cast(email as varchar) as c1, cast(full_name as varchar) as c2, cast(phone as varchar) as c3, cast(city as varchar) as c4, cast(region as varchar) as c5, cast(country as varchar) as c6, cast(marketing_opt_in as varchar) as c7, cast(deleted_at as varchar) as c8, cast(created_at as varchar) as c9, cast(updated_at as varchar) as c10, cast(extracted_at as varchar) as c11, cast(landed_on as varchar) as c12, null as c13, null as c14, null as c15, null as c16, null as c17, null as c18, null as c19, null as c20, null as c21, null as c22, null as c23, null as c24, null as c25, null as c26, null as c27, null as c28, null as c29, null as c30, null as c31, null as c32, null as c33 from staging.stg_oms__customers where true limit 5)
union all
select * from (select 'staging.stg_oms__employees' as relation, (select count(*) from staging.stg_oms__employees) as row_count, cast(employee_id as varchar) as c0, cast(full_name as varchar) as c1, cast(job_title as varchar) as c2, cast(manager_id as varchar) as c3, cast(store_id as varchar) as c4, cast(hired_on as varchar) as c5, cast(left_on as varchar) as c6, cast(created_at as varchar) as c7, cast(updated_at as varchar) as c8, cast(extracted_at as varchar) as c9, cast(landed_on as varchar) as c10, null as c11, null as c12, null as c13, null as c14, null as c15, null as c16, null as c17, null as c18, null as c19, null as c20, null as c21, null as c22, null as c23, null as c24, null as c25, null as c26, null as c27, null as c28, null as c29, null as c30, null as c31, null as c32, null as c33 from staging.stg_oms__employees where true limit 5)
union all
select * from (select 'staging.stg_oms__inventory' as relation, (select count(*) from staging.stg_oms__inventory) as row_count, cast(store_id as varchar) as c0, cast(product_id as varchar) as c1, cast(on_hand as varchar) as c2, cast(reserved as varchar) as c3, cast(reorder_point as varchar) as c4, cast(created_at as varchar) as c5, cast(updated_at as varchar) as c6, cast(extracted_at as varchar) as c7, cast(landed_on as varchar) as c8, null as c9, null as c10, null as c11, null as c12, null as c13, null as c14, null as c15, null as c16, null as c17, null as c18, null as c19, null as c20, null as c21, null as c22, null as c23, null as c24, null as c25, null as c26, null as c27, null as c28, null as c29, null as c30, null as c31, null as c32, null as c33 from staging.stg_oms__inventory where true limit 5)
union all
select * from (select 'staging.stg_oms__order_items' as relation, (select count(*) from staging.stg_oms__order_items) as row_count, cast(order_id as varchar) as c0, cast(line_no as varchar) as c1, cast(product_id as varchar) as c2, cast(quantity as varchar) as c3, cast(cancelled_quantity as varchar) as c4, cast(unit_price as varchar) as c5, cast(unit_cost as varchar) as c6, cast(discount_amount as varchar) as c7, cast(tax_amount as varchar) as c8, cast(created_at as varchar) as c9, cast(updated_at as varchar) as c10, cast(parent_updated_at as varchar) as c11, cast(extracted_at as varchar) as c12, cast(landed_on as varchar) as c13, null as c14, null as c15, null as c16, null as c17, null as c18, null as c19, null as c20, null as c21, null as c22, null as c23, null as c24, null as c25, null as c26, null as c27, null as c28, null as c29, null as c30, null as c31, null as c32, null as c33 from staging.stg_oms__order_items where true limit 5)
union all
select * from (select 'staging.stg_oms__orders' as relation, (select count(*) from staging.stg_oms__orders) as row_count, cast(order_id as varchar) as c0, cast(order_number as varchar) as c1, cast(customer_id as varchar) as c2, cast(store_id as varchar) as c3, cast(employee_id as varchar) as c4, cast(currency as varchar) as c5, cast(status as varchar) as c6, cast(placed_at as varchar) as c7, cast(paid_at as varchar) as c8, cast(promised_ship_by as varchar) as c9, cast(cancelled_at as varchar) as c10, cast(cancel_reason as varchar) as c11, cast(discount_total as varchar) as c12, cast(shipping_total as varchar) as c13, cast(tax_total as varchar) as c14, cast(grand_total as varchar) as c15, cast(version as varchar) as c16, cast(is_test as varchar) as c17, cast(created_at as varchar) as c18, cast(updated_at as varchar) as c19, cast(extracted_at as varchar) as c20, cast(landed_on as varchar) as c21, null as c22, null as c23, null as c24, null as c25, null as c26, null as c27, null as c28, null as c29, null as c30, null as c31, null as c32, null as c33 from staging.stg_oms__orders where true limit 5)
union all
select * from (select 'staging.stg_oms__payments' as relation, (select count(*) from staging.stg_oms__payments) as row_count, cast(payment_id as varchar) as c0, cast(order_id as varchar) as c1, cast(kind as varchar) as c2, cast(method as varchar) as c3, cast(status as varchar) as c4, cast(amount as varchar) as c5, cast(currency as varchar) as c6, cast(parent_payment_id as varchar) as c7, cast(occurred_at as varchar) as c8, cast(created_at as varchar) as c9, cast(updated_at as varchar) as c10, cast(extracted_at as varchar) as c11, cast(landed_on as varchar) as c12, null as c13, null as c14, null as c15, null as c16, null as c17, null as c18, null as c19, null as c20, null as c21, null as c22, null as c23, null as c24, null as c25, null as c26, null as c27, null as c28, null as c29, null as c30, null as c31, null as c32, null as c33 from staging.stg_oms__payments where true limit 5)
union all
select * from (select 'staging.stg_oms__products' as relation, (select count(*) from staging.stg_oms__products) as row_count, cast(product_id as varchar) as c0, cast(sku as varchar) as c1, cast(product_name as varchar) as c2, cast(category as varchar) as c3, cast(supplier_id as varchar) as c4, cast(retail_price as varchar) as c5, cast(unit_cost as varchar) as c6, cast(currency as varchar) as c7, cast(discontinued_at as varchar) as c8, cast(deleted_at as varchar) as c9, cast(created_at as varchar) as c10, cast(updated_at as varchar) as c11, cast(extracted_at as varchar) as c12, cast(landed_on as varchar) as c13, null as c14, null as c15, null as c16, null as c17, null as c18, null as c19, null as c20, null as c21, null as c22, null as c23, null as c24, null as c25, null as c26, null as c27, null as c28, null as c29, null as c30, null as c31, null as c32, null as c33 from staging.stg_oms__products where true limit 5)
union all
select * from (select 'staging.stg_oms__returns' as relation, (select count(*) from staging.stg_oms__returns) as row_count, cast(return_id as varchar) as c0, cast(order_id as varchar) as c1, cast(line_no as varchar) as c2, cast(quantity as varchar) as c3, cast(reason as varchar) as c4, cast(status as varchar) as c5, cast(requested_at as varchar) as c6, cast(received_at as varchar) as c7, cast(refund_amount as varchar) as c8, cast(refund_payment_id as varchar) as c9, cast(restocked as varchar) as c10, cast(created_at as varchar) as c11, cast(updated_at as varchar) as c12, cast(extracted_at as varchar) as c13, cast(landed_on as varchar) as c14, null as c15, null as c16, null as c17, null as c18, null as c19, null as c20, null as c21, null as c22, null as c23, null as c24, null as c25, null as c26, null as c27, null as c28, null as c29, null as c30, null as c31, null as c32, null as c33 from staging.stg_oms__returns where true limit 5)
union all
select * from (select 'staging.stg_oms__shipment_items' as relation, (select count(*) from staging.stg_oms__shipment_items) as row_count, cast(shipment_id as varchar) as c0, cast(order_id as varchar) as c1, cast(line_no as varchar) as c2, cast(quantity as varchar) as c3, cast(created_at as varchar) as c4, cast(updated_at as varchar) as c5, cast(parent_updated_at as varchar) as c6, cast(extracted_at as varchar) as c7, cast(landed_on as varchar) as c8, null as c9, null as c10, null as c11, null as c12, null as c13, null as c14, null as c15, null as c16, null as c17, null as c18, null as c19, null as c20, null as c21, null as c22, null as c23, null as c24, null as c25, null as c26, null as c27, null as c28, null as c29, null as c30, null as c31, null as c32, null as c33 from staging.stg_oms__shipment_items where true limit 5)
union all
select * from (select 'staging.stg_oms__shipments' as relation, (select count(*) from staging.stg_oms__shipments) as row_count, cast(shipment_id as varchar) as c0, cast(order_id as varchar) as c1, cast(store_id as varchar) as c2, cast(carrier as varchar) as c3, cast(tracking_no as varchar) as c4, cast(status as varchar) as c5, cast(cost as varchar) as c6, cast(shipped_at as varchar) as c7, cast(promised_delivery_on as varchar) as c8, cast(delivered_at as varchar) as c9, cast(created_at as varchar) as c10, cast(updated_at as varchar) as c11, cast(extracted_at as varchar) as c12, cast(landed_on as varchar) as c13, null as c14, null as c15, null as c16, null as c17, null as c18, null as c19, null as c20, null as c21, null as c22, null as c23, null as c24, null as c25, null as c26, null as c27, null as c28, null as c29, null as c30, null as c31, null as c32, null as c33 from staging.stg_oms__shipments where true limit 5)
union all
select * from (select 'staging.stg_oms__stores' as relation, (select count(*) from staging.stg_oms__stores) as row_count, cast(store_id as varchar) as c0, cast(store_name as varchar) as c1, cast(channel as varchar) as c2, cast(timezone as varchar) as c3, cast(city as varchar) as c4, cast(region as varchar) as c5, cast(country as varchar) as c6, cast(closed_on as varchar) as c7, cast(created_at as varchar) as c8, cast(updated_at as varchar) as c9, cast(extracted_at as varchar) as c10, cast(landed_on as varchar) as c11, null as c12, null as c13, null as c14, null as c15, null as c16, null as c17, null as c18, null as c19, null as c20, null as c21, null as c22, null as c23, null as c24, null as c25, null as c26, null as c27, null as c28, null as c29, null as c30, null as c31, null as c32, null as c33 from staging.stg_oms__stores where true limit 5)
union all
select * from (select 'staging.stg_oms__suppliers' as relation, (select count(*) from staging.stg_oms__suppliers) as row_count, cast(supplier_id as varchar) as c0, cast(supplier_name as varchar) as c1, cast(email as varchar) as c2, cast(lead_time_days as varchar) as c3, cast(deleted_at as varchar) as c4, cast(created_at as varchar) as c5, cast(updated_at as varchar) as c6, cast(extracted_at as varchar) as c7, cast(landed_on as varchar) as c8, null as c9, null as c10, null as c11, null as c12, null as c13, null as c14, null as c15, null as c16, null as c17, null as c18, null as c19, null as c20, null as c21, null as c22, null as c23, null as c24, null as c25, null as c26, null as c27, null as c28, null as c29, null as c30, null as c31, null as c32, null as c33 from staging.stg_oms__suppliers where true limit 5)
union all
select 'external.held_windows', count(*), null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null from external.held_windows where relation = 'marts' and held = current_session();

-- transform
commit;

-- ops/pipeline_runs
insert into ops.pipeline_runs (run_id, job, first_day, last_day, layer, row_count, seconds, started_at, finished_at)
select run_id, job, first_day, last_day, layer, row_count, seconds, started_at, finished_at from (
    select 'this run' as run_id, 'daily_oms' as job, date '2026-03-07' as first_day, date '2026-03-07' as last_day, 'raw' as layer, 2411 as row_count, cast(1.5 as double) as seconds, timestamp '2026-03-08 02:00:00' as started_at, timestamp '2026-03-08 02:00:00' as finished_at
    union all select 'this run' as run_id, 'daily_oms' as job, date '2026-03-07' as first_day, date '2026-03-07' as last_day, 'external' as layer, 2411 as row_count, cast(1.5 as double) as seconds, timestamp '2026-03-08 02:00:00' as started_at, timestamp '2026-03-08 02:00:00' as finished_at
    union all select 'this run' as run_id, 'daily_oms' as job, date '2026-03-07' as first_day, date '2026-03-07' as last_day, 'staging' as layer, 2411 as row_count, cast(1.5 as double) as seconds, timestamp '2026-03-08 02:00:00' as started_at, timestamp '2026-03-08 02:00:00' as finished_at
    union all select 'this run' as run_id, 'daily_oms' as job, date '2026-03-07' as first_day, date '2026-03-07' as last_day, 'intermediate' as layer, 4556 as row_count, cast(1.5 as double) as seconds, timestamp '2026-03-08 02:00:00' as started_at, timestamp '2026-03-08 02:00:00' as finished_at
    union all select 'this run' as run_id, 'daily_oms' as job, date '2026-03-07' as first_day, date '2026-03-07' as last_day, 'marts' as layer, 984 as row_count, cast(1.5 as double) as seconds, timestamp '2026-03-08 02:00:00' as started_at, timestamp '2026-03-08 02:00:00' as finished_at
) as done
where layer not in (select layer from ops.pipeline_runs where run_id = 'this run');

-- ops/pipeline_runs
commit;

-- ops/warehouse_cost
select spent_on, coalesce(asset, '(untagged on ' || lower(warehouse_name) || ')') as asset, sum(queries) as queries, sum(credits) as credits from oms.ops.query_credits where spent_on >= '2026-03-06'::date and spent_on < '2026-03-08'::date group by 1, 2;

-- ops/warehouse_cost
select spent_on, sum(compute_credits) as compute_credits, sum(cloud_services_credits) as cloud_services_credits from oms.ops.warehouse_credits where spent_on >= '2026-03-06'::date and spent_on < '2026-03-08'::date group by 1;

-- dashboards
select max(last_day) as through, max(finished_at) as loaded_at from ops.pipeline_runs;

-- dashboards
select currency from marts.daily_sales group by currency order by sum(orders) desc, currency limit 1;

-- dashboards
select business_day, store, channel, currency, sum(net_sales) as net_sales, sum(orders) as orders, sum(kept_value) as kept_value, sum(kept_orders) as kept_orders, sum(cancelled_orders) as cancelled_orders, sum(gmv) as gmv, sum(discounts) as discounts, sum(returns_value) as returns_value, sum(net_revenue) as net_revenue
from (
    select
        sales.business_day,
        stores.store_name as store,
        stores.channel,
        sales.currency,
        sales.orders,
        sales.cancelled_orders,
        sales.orders - sales.cancelled_orders as kept_orders,
        sales.gmv,
        sales.gmv - sales.cancelled_value - sales.discounts as kept_value,
        sales.discounts,
        sales.returns_value,
        sales.net_sales,
        sales.net_revenue
    from marts.daily_sales as sales
    inner join marts.dim_stores as stores on sales.store_id = stores.store_id
) as sales
where business_day >= date '2025-12-07' and business_day <= date '2026-03-07'
group by business_day, store, channel, currency
order by business_day desc, store, channel, currency
limit 20001;

-- dashboards
select business_day, store, channel, currency, category, sum(net_sales) as net_sales
from (
    select
        lines.business_day,
        stores.store_name as store,
        stores.channel,
        lines.currency,
        products.category,
        lines.net_sales
    from marts.fct_order_lines as lines
    inner join marts.dim_stores as stores on lines.store_id = stores.store_id
    inner join marts.dim_products as products on lines.product_id = products.product_id
) as lines
where business_day >= date '2025-12-07' and business_day <= date '2026-03-07'
group by business_day, store, channel, currency, category
order by business_day desc, store, channel, currency, category
limit 20001;

-- dashboards
select business_day, store, channel, currency, state, sum(orders) as orders, sum(difference) as difference
from (
    select
        payments.business_day,
        stores.store_name as store,
        stores.channel,
        payments.currency,
        payments.state,
        1 as orders,
        payments.difference
    from marts.payment_reconciliation as payments
    inner join marts.dim_stores as stores on payments.store_id = stores.store_id
    where payments.state <> 'balanced'
) as payments
where business_day >= date '2025-12-07' and business_day <= date '2026-03-07'
group by business_day, store, channel, currency, state
order by business_day desc, store, channel, currency, state
limit 20001;

-- dashboards
select business_day, store, channel, sum(shipments_on_time) as shipments_on_time, sum(shipments_due) as shipments_due, sum(units_shipped_on_time) as units_shipped_on_time, sum(units_ordered) as units_ordered, sum(shipments_late) as shipments_late, sum(units_shipped) as units_shipped
from (
    select
        days.business_day,
        stores.store_name as store,
        stores.channel,
        days.units_ordered,
        days.units_shipped_on_time,
        days.shipments_due,
        days.shipments_on_time,
        days.shipments_due - days.shipments_on_time as shipments_late,
        days.units_shipped
    from marts.fulfilment_daily as days
    inner join marts.dim_stores as stores on days.store_id = stores.store_id
    where exists (select 1 from ops.pipeline_runs as runs where runs.last_day >= days.business_day)
) as fulfilment
where business_day >= date '2025-12-07' and business_day <= date '2026-03-07'
group by business_day, store, channel
order by business_day desc, store, channel
limit 20001;

-- dashboards
select business_day, store, channel, carrier, sum(delivered_on_time) as delivered_on_time, sum(delivered) as delivered
from (
    select
        shipments.business_day,
        stores.store_name as store,
        stores.channel,
        shipments.carrier,
        1 as delivered,
        case when shipments.is_delivered_on_time then 1 else 0 end as delivered_on_time
    from marts.fct_shipments as shipments
    inner join marts.dim_stores as stores on shipments.store_id = stores.store_id
    where shipments.is_delivered_on_time is not null
) as deliveries
where business_day >= date '2025-12-07' and business_day <= date '2026-03-07'
group by business_day, store, channel, carrier
order by business_day desc, store, channel, carrier
limit 20001;

-- dashboards
select business_day, store, channel, currency, buyers, sum(orders) as orders, sum(net_sales) as net_sales
from (
    select
        orders.business_day,
        stores.store_name as store,
        stores.channel,
        orders.currency,
        case
            when orders.is_guest then 'Guests'
            when orders.business_day = customers.first_order_day then 'New customers'
            else 'Returning customers'
        end as buyers,
        1 as orders,
        orders.net_sales
    from marts.fct_orders as orders
    inner join marts.dim_stores as stores on orders.store_id = stores.store_id
    left join marts.dim_customers as customers on orders.customer_id = customers.customer_id
    where not orders.is_cancelled
) as orders
where business_day >= date '2025-12-07' and business_day <= date '2026-03-07'
group by business_day, store, channel, currency, buyers
order by business_day desc, store, channel, currency, buyers
limit 20001;

-- dashboards
select cohort_month, months_since_first, sum(retained_customers) as retained_customers, sum(cohort_customers) as cohort_customers
from (
    select
        cohorts.cohort_month,
        cohorts.months_since_first,
        max(cohorts.cohort_customers) as cohort_customers,
        sum(cohorts.retained_customers) as retained_customers
    from marts.customer_cohorts as cohorts
    where
        cohorts.months_since_first >= 0
        and not exists (select 1 from ops.pipeline_runs as runs where runs.last_day > cohorts.cohort_month + 400)
    group by cohorts.cohort_month, cohorts.months_since_first
) as retention
group by cohort_month, months_since_first
order by cohort_month, months_since_first
limit 20001;

-- dashboards
select currency, cohort_month, months_since_first, sum(cumulative_net_sales) as cumulative_net_sales, sum(cohort_customers) as cohort_customers
from (
    select
        cohorts.cohort_month,
        cohorts.months_since_first,
        cohorts.currency,
        cohorts.cohort_customers,
        cohorts.cumulative_net_sales
    from marts.customer_cohorts as cohorts
    where
        cohorts.months_since_first >= 0
        and not exists (select 1 from ops.pipeline_runs as runs where runs.last_day > cohorts.cohort_month + 400)
) as lifetime
group by currency, cohort_month, months_since_first
order by currency, cohort_month, months_since_first
limit 20001;

-- dashboards
select cohort_month, sum(cohort_customers) as cohort_customers
from (
    select distinct
        cohorts.cohort_month,
        cohorts.cohort_customers
    from marts.customer_cohorts as cohorts
    where not exists (select 1 from ops.pipeline_runs as runs where runs.last_day > cohorts.cohort_month + 400)
) as cohorts
group by cohort_month
order by cohort_month
limit 20001;

-- dashboards
select business_day, store, channel, currency, reason, category, sum(refund_amount) as refund_amount, sum(quantity) as quantity, sum(restocked_quantity) as restocked_quantity
from (
    select
        returns.business_day,
        stores.store_name as store,
        stores.channel,
        returns.currency,
        returns.reason,
        coalesce(products.category, 'Line deleted since') as category,
        returns.quantity,
        coalesce(returns.refund_amount, 0) as refund_amount,
        case when returns.restocked then returns.quantity else 0 end as restocked_quantity
    from marts.fct_returns as returns
    inner join marts.dim_stores as stores on returns.store_id = stores.store_id
    left join marts.dim_products as products on returns.product_id = products.product_id
    where returns.is_refunded
) as refunds
where business_day >= date '2025-12-07' and business_day <= date '2026-03-07'
group by business_day, store, channel, currency, reason, category
order by business_day desc, store, channel, currency, reason, category
limit 20001;

-- dashboards
select business_day, store, channel, sum(units_returned) as units_returned, sum(units_shipped) as units_shipped
from (
    select
        days.business_day,
        stores.store_name as store,
        stores.channel,
        days.units_shipped,
        days.units_returned
    from marts.fulfilment_daily as days
    inner join marts.dim_stores as stores on days.store_id = stores.store_id
    where exists (select 1 from ops.pipeline_runs as runs where runs.last_day >= days.business_day)
) as shipped
where business_day >= date '2025-12-07' and business_day <= date '2026-03-07'
group by business_day, store, channel
order by business_day desc, store, channel
limit 20001;

-- dashboards
select store, channel, category, currency, sum(available) as available, sum(available_28_days) as available_28_days, sum(net_units_28d) as net_units_28d, sum(below_reorder_point) as below_reorder_point, sum(out_of_stock) as out_of_stock, sum(stock_value) as stock_value, sum(on_hand) as on_hand
from (
    select
        stores.store_name as store,
        stores.channel,
        products.category,
        products.currency,
        stock.on_hand,
        stock.reserved,
        stock.available,
        stock.available * 28 as available_28_days,
        stock.net_units_28d,
        case when stock.is_below_reorder_point then 1 else 0 end as below_reorder_point,
        case when stock.available <= 0 then 1 else 0 end as out_of_stock,
        cast(stock.on_hand * products.unit_cost as decimal(18, 2)) as stock_value
    from marts.fct_inventory_daily as stock
    inner join marts.dim_stores as stores on stock.store_id = stores.store_id
    inner join marts.dim_products as products on stock.product_id = products.product_id
    where stock.business_day in (select max(last_day) from ops.pipeline_runs)
) as stock
group by store, channel, category, currency
order by below_reorder_point desc nulls last, store, channel, category, currency
limit 20001;

-- dashboards
select store, channel, product, sku, sum(short) as short, sum(available) as available, sum(reorder_point) as reorder_point, sum(available_28_days) as available_28_days, sum(net_units_28d) as net_units_28d
from (
    select
        stores.store_name as store,
        stores.channel,
        products.product_name as product,
        products.sku,
        stock.available,
        stock.reorder_point,
        stock.reorder_point - stock.available as short,
        stock.available * 28 as available_28_days,
        stock.net_units_28d
    from marts.fct_inventory_daily as stock
    inner join marts.dim_stores as stores on stock.store_id = stores.store_id
    inner join marts.dim_products as products on stock.product_id = products.product_id
    where
        stock.is_below_reorder_point
        and products.is_active
        and stock.business_day in (select max(last_day) from ops.pipeline_runs)
) as reorder
group by store, channel, product, sku
order by short desc nulls last, store, channel, product, sku
limit 20001;

-- dashboards
select sum(days_behind) as days_behind
from (
    select current_date - max(runs.last_day) as days_behind
    from ops.pipeline_runs as runs
) as freshness;

-- dashboards
select last_day, layer, finished_at, first_day, sum(runs) as runs, sum(rows_landed) as rows_landed, sum(seconds) as seconds, sum(row_count) as row_count
from (
    select
        runs.finished_at,
        runs.first_day,
        runs.last_day,
        runs.layer,
        case when runs.layer = 'raw' then runs.row_count else 0 end as rows_landed,
        case when runs.layer = 'marts' then 1 else 0 end as runs,
        runs.row_count,
        runs.seconds
    from ops.pipeline_runs as runs
) as runs
where last_day >= date '2025-12-07' and last_day <= date '2026-03-07'
group by last_day, layer, finished_at, first_day
order by last_day desc, layer, finished_at, first_day
limit 20001;

-- dashboards
select spent_on, spent_for, sum(credits) as credits
from (
    select costs.spent_on, costs.spent_for, costs.credits
    from ops.warehouse_cost as costs
) as cost
where spent_on >= date '2025-12-07' and spent_on <= date '2026-03-07'
group by spent_on, spent_for
order by spent_on desc, spent_for
limit 20001;

-- dashboards
select 0 as card, 'net_sales' as measure, date '2026-03-07' as business_day, cast(currency as varchar) as currency, cast(net_sales as decimal(38, 8)) as figure
from (
select
    currency,
    sum(net_sales) as net_sales
from (
    select
        sales.business_day,
        stores.store_name as store,
        stores.channel,
        sales.currency,
        sales.orders,
        sales.cancelled_orders,
        sales.orders - sales.cancelled_orders as kept_orders,
        sales.gmv,
        sales.gmv - sales.cancelled_value - sales.discounts as kept_value,
        sales.discounts,
        sales.returns_value,
        sales.net_sales,
        sales.net_revenue
    from marts.daily_sales as sales
    inner join marts.dim_stores as stores on sales.store_id = stores.store_id
) as sales
where true
    and business_day = date '2026-03-07'
group by currency
order by currency
) as card_0
union all
select 0 as card, 'net_sales' as measure, date '2026-02-28' as business_day, cast(currency as varchar) as currency, cast(net_sales as decimal(38, 8)) as figure
from (
select
    currency,
    sum(net_sales) as net_sales
from (
    select
        sales.business_day,
        stores.store_name as store,
        stores.channel,
        sales.currency,
        sales.orders,
        sales.cancelled_orders,
        sales.orders - sales.cancelled_orders as kept_orders,
        sales.gmv,
        sales.gmv - sales.cancelled_value - sales.discounts as kept_value,
        sales.discounts,
        sales.returns_value,
        sales.net_sales,
        sales.net_revenue
    from marts.daily_sales as sales
    inner join marts.dim_stores as stores on sales.store_id = stores.store_id
) as sales
where true
    and business_day = date '2026-02-28'
group by currency
order by currency
) as card_0
union all
select 1 as card, 'orders' as measure, date '2026-03-07' as business_day, cast(null as varchar) as currency, cast(orders as decimal(38, 8)) as figure
from (
select
    sum(orders) as orders
from (
    select
        sales.business_day,
        stores.store_name as store,
        stores.channel,
        sales.currency,
        sales.orders,
        sales.cancelled_orders,
        sales.orders - sales.cancelled_orders as kept_orders,
        sales.gmv,
        sales.gmv - sales.cancelled_value - sales.discounts as kept_value,
        sales.discounts,
        sales.returns_value,
        sales.net_sales,
        sales.net_revenue
    from marts.daily_sales as sales
    inner join marts.dim_stores as stores on sales.store_id = stores.store_id
) as sales
where true
    and business_day = date '2026-03-07'
) as card_1
union all
select 1 as card, 'orders' as measure, date '2026-02-28' as business_day, cast(null as varchar) as currency, cast(orders as decimal(38, 8)) as figure
from (
select
    sum(orders) as orders
from (
    select
        sales.business_day,
        stores.store_name as store,
        stores.channel,
        sales.currency,
        sales.orders,
        sales.cancelled_orders,
        sales.orders - sales.cancelled_orders as kept_orders,
        sales.gmv,
        sales.gmv - sales.cancelled_value - sales.discounts as kept_value,
        sales.discounts,
        sales.returns_value,
        sales.net_sales,
        sales.net_revenue
    from marts.daily_sales as sales
    inner join marts.dim_stores as stores on sales.store_id = stores.store_id
) as sales
where true
    and business_day = date '2026-02-28'
) as card_1
union all
select 2 as card, 'aov' as measure, date '2026-03-07' as business_day, cast(currency as varchar) as currency, cast(aov as decimal(38, 8)) as figure
from (
select
    currency,
    1.0 * sum(kept_value) / case when sum(kept_orders) > 0 then sum(kept_orders) end as aov
from (
    select
        sales.business_day,
        stores.store_name as store,
        stores.channel,
        sales.currency,
        sales.orders,
        sales.cancelled_orders,
        sales.orders - sales.cancelled_orders as kept_orders,
        sales.gmv,
        sales.gmv - sales.cancelled_value - sales.discounts as kept_value,
        sales.discounts,
        sales.returns_value,
        sales.net_sales,
        sales.net_revenue
    from marts.daily_sales as sales
    inner join marts.dim_stores as stores on sales.store_id = stores.store_id
) as sales
where true
    and business_day = date '2026-03-07'
group by currency
order by currency
) as card_2
union all
select 2 as card, 'aov' as measure, date '2026-02-28' as business_day, cast(currency as varchar) as currency, cast(aov as decimal(38, 8)) as figure
from (
select
    currency,
    1.0 * sum(kept_value) / case when sum(kept_orders) > 0 then sum(kept_orders) end as aov
from (
    select
        sales.business_day,
        stores.store_name as store,
        stores.channel,
        sales.currency,
        sales.orders,
        sales.cancelled_orders,
        sales.orders - sales.cancelled_orders as kept_orders,
        sales.gmv,
        sales.gmv - sales.cancelled_value - sales.discounts as kept_value,
        sales.discounts,
        sales.returns_value,
        sales.net_sales,
        sales.net_revenue
    from marts.daily_sales as sales
    inner join marts.dim_stores as stores on sales.store_id = stores.store_id
) as sales
where true
    and business_day = date '2026-02-28'
group by currency
order by currency
) as card_2
union all
select 3 as card, 'cancellation_rate' as measure, date '2026-03-07' as business_day, cast(null as varchar) as currency, cast(cancellation_rate as decimal(38, 8)) as figure
from (
select
    1.0 * sum(cancelled_orders) / case when sum(orders) > 0 then sum(orders) end as cancellation_rate
from (
    select
        sales.business_day,
        stores.store_name as store,
        stores.channel,
        sales.currency,
        sales.orders,
        sales.cancelled_orders,
        sales.orders - sales.cancelled_orders as kept_orders,
        sales.gmv,
        sales.gmv - sales.cancelled_value - sales.discounts as kept_value,
        sales.discounts,
        sales.returns_value,
        sales.net_sales,
        sales.net_revenue
    from marts.daily_sales as sales
    inner join marts.dim_stores as stores on sales.store_id = stores.store_id
) as sales
where true
    and business_day = date '2026-03-07'
) as card_3
union all
select 3 as card, 'cancellation_rate' as measure, date '2026-02-28' as business_day, cast(null as varchar) as currency, cast(cancellation_rate as decimal(38, 8)) as figure
from (
select
    1.0 * sum(cancelled_orders) / case when sum(orders) > 0 then sum(orders) end as cancellation_rate
from (
    select
        sales.business_day,
        stores.store_name as store,
        stores.channel,
        sales.currency,
        sales.orders,
        sales.cancelled_orders,
        sales.orders - sales.cancelled_orders as kept_orders,
        sales.gmv,
        sales.gmv - sales.cancelled_value - sales.discounts as kept_value,
        sales.discounts,
        sales.returns_value,
        sales.net_sales,
        sales.net_revenue
    from marts.daily_sales as sales
    inner join marts.dim_stores as stores on sales.store_id = stores.store_id
) as sales
where true
    and business_day = date '2026-02-28'
) as card_3
union all
select 4 as card, 'on_time_rate' as measure, date '2026-03-07' as business_day, cast(null as varchar) as currency, cast(on_time_rate as decimal(38, 8)) as figure
from (
select
    1.0 * sum(shipments_on_time) / case when sum(shipments_due) > 0 then sum(shipments_due) end as on_time_rate
from (
    select
        days.business_day,
        stores.store_name as store,
        stores.channel,
        days.units_ordered,
        days.units_shipped_on_time,
        days.shipments_due,
        days.shipments_on_time,
        days.shipments_due - days.shipments_on_time as shipments_late,
        days.units_shipped
    from marts.fulfilment_daily as days
    inner join marts.dim_stores as stores on days.store_id = stores.store_id
    where exists (select 1 from ops.pipeline_runs as runs where runs.last_day >= days.business_day)
) as fulfilment
where true
    and business_day = date '2026-03-07'
) as card_4
union all
select 4 as card, 'on_time_rate' as measure, date '2026-02-28' as business_day, cast(null as varchar) as currency, cast(on_time_rate as decimal(38, 8)) as figure
from (
select
    1.0 * sum(shipments_on_time) / case when sum(shipments_due) > 0 then sum(shipments_due) end as on_time_rate
from (
    select
        days.business_day,
        stores.store_name as store,
        stores.channel,
        days.units_ordered,
        days.units_shipped_on_time,
        days.shipments_due,
        days.shipments_on_time,
        days.shipments_due - days.shipments_on_time as shipments_late,
        days.units_shipped
    from marts.fulfilment_daily as days
    inner join marts.dim_stores as stores on days.store_id = stores.store_id
    where exists (select 1 from ops.pipeline_runs as runs where runs.last_day >= days.business_day)
) as fulfilment
where true
    and business_day = date '2026-02-28'
) as card_4
union all
select 5 as card, 'fill_rate' as measure, date '2026-03-07' as business_day, cast(null as varchar) as currency, cast(fill_rate as decimal(38, 8)) as figure
from (
select
    1.0 * sum(units_shipped_on_time) / case when sum(units_ordered) > 0 then sum(units_ordered) end as fill_rate
from (
    select
        days.business_day,
        stores.store_name as store,
        stores.channel,
        days.units_ordered,
        days.units_shipped_on_time,
        days.shipments_due,
        days.shipments_on_time,
        days.shipments_due - days.shipments_on_time as shipments_late,
        days.units_shipped
    from marts.fulfilment_daily as days
    inner join marts.dim_stores as stores on days.store_id = stores.store_id
    where exists (select 1 from ops.pipeline_runs as runs where runs.last_day >= days.business_day)
) as fulfilment
where true
    and business_day = date '2026-03-07'
) as card_5
union all
select 5 as card, 'fill_rate' as measure, date '2026-02-28' as business_day, cast(null as varchar) as currency, cast(fill_rate as decimal(38, 8)) as figure
from (
select
    1.0 * sum(units_shipped_on_time) / case when sum(units_ordered) > 0 then sum(units_ordered) end as fill_rate
from (
    select
        days.business_day,
        stores.store_name as store,
        stores.channel,
        days.units_ordered,
        days.units_shipped_on_time,
        days.shipments_due,
        days.shipments_on_time,
        days.shipments_due - days.shipments_on_time as shipments_late,
        days.units_shipped
    from marts.fulfilment_daily as days
    inner join marts.dim_stores as stores on days.store_id = stores.store_id
    where exists (select 1 from ops.pipeline_runs as runs where runs.last_day >= days.business_day)
) as fulfilment
where true
    and business_day = date '2026-02-28'
) as card_5
union all
select 6 as card, 'refunds' as measure, date '2026-03-07' as business_day, cast(currency as varchar) as currency, cast(refunds as decimal(38, 8)) as figure
from (
select
    currency,
    sum(refund_amount) as refunds
from (
    select
        returns.business_day,
        stores.store_name as store,
        stores.channel,
        returns.currency,
        returns.reason,
        coalesce(products.category, 'Line deleted since') as category,
        returns.quantity,
        coalesce(returns.refund_amount, 0) as refund_amount,
        case when returns.restocked then returns.quantity else 0 end as restocked_quantity
    from marts.fct_returns as returns
    inner join marts.dim_stores as stores on returns.store_id = stores.store_id
    left join marts.dim_products as products on returns.product_id = products.product_id
    where returns.is_refunded
) as refunds
where true
    and business_day = date '2026-03-07'
group by currency
order by currency
) as card_6
union all
select 6 as card, 'refunds' as measure, date '2026-02-28' as business_day, cast(currency as varchar) as currency, cast(refunds as decimal(38, 8)) as figure
from (
select
    currency,
    sum(refund_amount) as refunds
from (
    select
        returns.business_day,
        stores.store_name as store,
        stores.channel,
        returns.currency,
        returns.reason,
        coalesce(products.category, 'Line deleted since') as category,
        returns.quantity,
        coalesce(returns.refund_amount, 0) as refund_amount,
        case when returns.restocked then returns.quantity else 0 end as restocked_quantity
    from marts.fct_returns as returns
    inner join marts.dim_stores as stores on returns.store_id = stores.store_id
    left join marts.dim_products as products on returns.product_id = products.product_id
    where returns.is_refunded
) as refunds
where true
    and business_day = date '2026-02-28'
group by currency
order by currency
) as card_6;

-- dashboards
select currency from marts.daily_sales group by currency order by sum(orders) desc, currency limit 1;

-- dashboards
select
    business_day,
    channel,
    currency,
    sum(net_sales) as net_sales
from (
    select
        sales.business_day,
        stores.store_name as store,
        stores.channel,
        sales.currency,
        sales.orders,
        sales.cancelled_orders,
        sales.orders - sales.cancelled_orders as kept_orders,
        sales.gmv,
        sales.gmv - sales.cancelled_value - sales.discounts as kept_value,
        sales.discounts,
        sales.returns_value,
        sales.net_sales,
        sales.net_revenue
    from marts.daily_sales as sales
    inner join marts.dim_stores as stores on sales.store_id = stores.store_id
) as sales
where true
    and business_day >= date '2026-02-08' and business_day <= date '2026-03-07'
    and currency = 'USD'
group by business_day, channel, currency
order by business_day, channel, currency;
