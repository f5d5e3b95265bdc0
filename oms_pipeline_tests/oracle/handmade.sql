-- A tiny OMS in which every figure can be worked out by hand. Two stores: 1 in New York, 2 in Berlin.
-- 2026: New York's clocks go forward on 8 March (from UTC−5 to UTC−4), Berlin's on 29 March (from UTC+1 to UTC+2).
set time zone 'UTC';

insert into stores (store_id, store_name, channel, timezone, city, region, country, closed_on) values
(1, 'Store 1', 'in_store', 'America/New_York', 'New York', 'NY', 'US', null),
(2, 'Store 2', 'online', 'Europe/Berlin', 'Berlin', null, 'DE', '2026-06-30');

insert into suppliers (supplier_id, supplier_name, email, lead_time_days, deleted_at) values
(1, 'Supplier 1', 'supplier1@example.com', 7, null),
(2, 'Supplier 2', 'supplier2@example.com', 14, '2026-02-01 12:00');

insert into employees (employee_id, full_name, job_title, manager_id, store_id, hired_on, left_on) values
(1, 'Employee 1', 'manager', null, null, '2020-01-01', null),
(2, 'Employee 2', 'clerk', 1, 1, '2021-01-01', '2026-04-30');

insert into products (
    product_id, sku, product_name, category, supplier_id, retail_price, unit_cost, currency, discontinued_at, deleted_at
) values
(1, 'SKU-1', 'Product 1', 'small', 1, 10.00, 4.1234, 'USD', null, null),
(2, 'SKU-2', 'Product 2', 'large', 2, 25.00, 12.0000, 'USD', '2026-05-01 00:00', null),
(3, 'SKU-3', 'Product 3', 'large', null, 99.00, 50.0000, 'USD', null, '2026-05-01 00:00');

insert into customers (customer_id, email, full_name, phone, city, region, country, marketing_opt_in, deleted_at) values
(1, 'customer1@example.com', 'Customer 1', '1', 'New York', 'NY', 'US', true, null),
(2, 'customer2@example.com', 'Customer 2', null, 'Boston', 'MA', 'US', false, null),
(3, 'customer3@example.com', 'Customer 3', null, 'Boston', 'MA', 'US', false, null),
(4, null, null, null, null, null, 'US', false, '2026-01-10 12:00');

insert into inventory (store_id, product_id, on_hand, reserved, reorder_point) values
(1, 1, 12, 2, 10), -- 10 available: at the reorder point, not below it
(1, 2, 9, 0, 10),
(1, 3, 4, 0, 0), -- never sold
(2, 2, 5, 7, 0); -- promised more than there is

insert into orders (
    order_id, order_number, customer_id, store_id, employee_id, currency, status, placed_at, promised_ship_by,
    discount_total, shipping_total, tax_total, grand_total, is_test
) values
-- 1: a second before 8 March in New York. One unit of three cancelled, two parcels, a return 40 days later, goodwill.
(1, 'N1', 1, 1, 2, 'USD', 'shipped', '2026-03-08 04:59:59', '2026-03-09 04:30', 2, 5, 3.60, 51.60, false),
-- 2: a guest, at midnight as 8 March begins. Promised for the late evening of 10 March. Neither paid nor shipped.
(2, 'N2', null, 1, null, 'USD', 'placed', '2026-03-08 05:00:00', '2026-03-11 03:00', 0, 0, 0.80, 10.81, false),
-- 3: no lines, in the last second of 8 March, which has 23 hours.
(3, 'N3', 2, 1, null, 'USD', 'placed', '2026-03-09 03:59:59', null, 0, 0, 0, 0, false),
-- 4: cancelled as a whole and refunded, placed as 9 March begins. Its line was never marked as cancelled.
(4, 'N4', 2, 1, null, 'USD', 'cancelled', '2026-03-09 04:00:00', '2026-03-10 21:00', 5, 7, 4.00, 56.00, false),
-- 5: cancelled, the refund still pending. Customer 3's first order that counts is order 10.
(5, 'N5', 3, 1, null, 'USD', 'cancelled', '2026-03-08 18:00:00', null, 0, 0, 0.80, 10.80, false),
-- 6: a test order with everything an order can have.
(6, 'N6', 4, 1, 2, 'USD', 'delivered', '2026-03-08 18:00:00', '2026-03-10 21:00', 0, 9, 9, 118, true),
-- 7: a draft, also with everything, though it should not.
(7, 'N7', 4, 1, 2, 'USD', 'draft', null, '2026-03-10 21:00', 0, 0, 0, 100, false),
-- 8: customer 1 in Berlin, half past midnight on 1 April there. Paid too little, shipping refunded, lost on the way.
(8, 'B8', 1, 2, null, 'EUR', 'shipped', '2026-03-31 22:30:00', '2026-04-02 18:00', 4, 6, 0, 42.00, false),
-- 9: customer 2 a month later. Paid too much, shipped a minute late, a line deleted after it was shipped and refunded.
(9, 'N9', 2, 1, null, 'USD', 'shipped', '2026-04-16 01:00:00', '2026-04-16 14:59', 0, 0, 0, 30.00, false),
-- 10: refunded more than was paid.
(10, 'N10', 3, 1, null, 'USD', 'paid', '2026-05-05 15:00:00', null, 0, 0, 0, 10.00, false),
-- 11: customer 2 again in the same month. Two units come back, though one of them had been cancelled.
(11, 'N11', 2, 1, null, 'USD', 'paid', '2026-04-15 16:00:00', null, 0, 0, 0, 10.00, false);

insert into order_items (
    order_id, line_no, product_id, quantity, cancelled_quantity, unit_price, unit_cost, discount_amount, tax_amount
) values
(1, 1, 1, 3, 1, 10.00, 4.1234, 2.00, 1.60),
(1, 2, 2, 1, 0, 25.00, 12.0000, 0, 2.00),
(2, 1, 1, 1, 0, 10.01, 4.1234, 0, 0.80),
(4, 1, 2, 2, 0, 25.00, 12.0000, 5.00, 4.00),
(5, 1, 1, 1, 1, 10.00, 4.1234, 0, 0.80),
(6, 1, 1, 10, 0, 10.00, 4.1234, 0, 9.00),
(7, 1, 1, 10, 0, 10.00, 4.1234, 0, 0),
(8, 1, 2, 2, 0, 20.00, 12.0000, 4.00, 0),
(9, 1, 1, 3, 0, 10.00, 4.1234, 0, 0),
(10, 1, 1, 1, 0, 10.00, 4.1234, 0, 0),
(11, 1, 3, 2, 1, 10.00, 50.0000, 0, 0);

insert into payments (
    payment_id, order_id, kind, method, status, amount, currency, parent_payment_id, occurred_at
) values
(101, 1, 'charge', 'card', 'captured', 51.60, 'USD', null, '2026-03-08 05:00'), -- a second later, a day later
(102, 1, 'refund', 'card', 'captured', 9.72, 'USD', 101, '2026-04-18 03:30'), -- of return 1, 17 April in New York
(103, 1, 'refund', 'card', 'captured', 3.00, 'USD', 101, '2026-03-21 03:00'), -- goodwill, 20 March in New York
(104, 1, 'refund', 'card', 'pending', 25.00, 'USD', 101, null), -- of return 5
(201, 2, 'charge', 'card', 'pending', 10.81, 'USD', null, null),
(401, 4, 'charge', 'card', 'captured', 56.00, 'USD', null, '2026-03-09 04:00'),
(402, 4, 'refund', 'card', 'captured', 56.00, 'USD', 401, '2026-03-10 12:00'),
(501, 5, 'charge', 'card', 'captured', 10.80, 'USD', null, '2026-03-08 18:00'),
(502, 5, 'refund', 'card', 'pending', 10.80, 'USD', 501, null),
(601, 6, 'charge', 'card', 'captured', 118.00, 'USD', null, '2026-03-08 18:00'),
(602, 6, 'refund', 'card', 'captured', 20.00, 'USD', 601, '2026-03-12 18:00'),
(603, 6, 'refund', 'card', 'captured', 10.00, 'USD', 601, '2026-03-12 18:00'),
(701, 7, 'charge', 'card', 'captured', 7.00, 'USD', null, '2026-03-08 18:00'),
(801, 8, 'charge', 'transfer', 'captured', 40.00, 'EUR', null, '2026-04-01 10:00'),
(802, 8, 'refund', 'transfer', 'captured', 6.00, 'EUR', 801, '2026-04-02 10:00'), -- shipping
(901, 9, 'charge', 'card', 'captured', 35.00, 'USD', null, '2026-04-15 15:00'),
(1001, 10, 'charge', 'card', 'voided', 10.00, 'USD', null, '2026-05-05 15:00'),
(1002, 10, 'charge', 'card', 'captured', 10.00, 'USD', null, '2026-05-05 15:01'),
(1003, 10, 'refund', 'card', 'failed', 3.00, 'USD', 1002, '2026-05-06 15:00'),
(1004, 10, 'refund', 'card', 'captured', 12.00, 'USD', 1002, '2026-05-06 15:00'),
(1101, 11, 'charge', 'card', 'captured', 10.00, 'USD', null, '2026-04-15 16:00'),
(1102, 11, 'refund', 'card', 'captured', 10.00, 'USD', 1101, '2026-04-28 15:00');

insert into shipments (
    shipment_id, order_id, store_id, carrier, status, cost, shipped_at, promised_delivery_on, delivered_at
) values
(11, 1, 1, 'Carrier 1', 'delivered', 4.00, '2026-03-09 04:30', '2026-03-12', '2026-03-13 03:59'), -- just on time
(12, 1, 2, 'Carrier 1', 'delivered', 4.50, '2026-03-10 23:30', '2026-03-13', '2026-03-13 23:00'), -- late
(13, 1, 1, 'Carrier 1', 'cancelled', 0, '2026-03-08 06:00', null, null),
(21, 2, 1, 'Carrier 1', 'pending', 0, null, null, null),
(41, 4, 1, 'Carrier 1', 'cancelled', 0, null, null, null),
(61, 6, 1, 'Carrier 1', 'delivered', 4.00, '2026-03-09 12:00', null, '2026-03-10 12:00'),
(71, 7, 1, 'Carrier 1', 'shipped', 4.00, '2026-03-09 12:00', null, null),
(81, 8, 2, 'Carrier 2', 'lost', 6.00, '2026-04-01 22:30', '2026-04-05', null), -- left on 2 April in Berlin
(91, 9, 1, 'Carrier 1', 'in_transit', 4.00, '2026-04-16 15:00', null, null),
(101, 10, 2, 'Carrier 1', 'ready', 4.00, null, null, null); -- nothing was promised

insert into shipment_items (shipment_id, order_id, line_no, quantity) values
(11, 1, 1, 1),
(12, 1, 1, 1),
(12, 1, 2, 1),
(13, 1, 1, 1),
(21, 2, 1, 1),
(61, 6, 1, 10),
(71, 7, 1, 10),
(81, 8, 1, 2),
(91, 9, 1, 2),
(91, 9, 2, 1); -- of the line deleted since

insert into returns (
    return_id, order_id, line_no, quantity, reason, status, requested_at, received_at, refund_amount, refund_payment_id,
    restocked
) values
(1, 1, 1, 1, 'damaged', 'refunded', '2026-03-28 12:00', '2026-03-30 12:00', 9.00, 102, true), -- refunded in April
(2, 9, 2, 1, 'damaged', 'refunded', '2026-04-18 12:00', '2026-04-20 12:00', 12.50, null, false), -- its line is gone
(3, 9, 1, 1, 'unwanted', 'received', '2026-04-18 12:00', '2026-04-22 12:00', 10.00, null, true),
(4, 8, 1, 1, 'unwanted', 'refunded', '2026-05-31 22:00', null, null, null, false), -- 1 June in Berlin; amount unknown
(5, 1, 2, 1, 'unwanted', 'rejected', '2026-03-20 12:00', null, 25.00, 104, false),
(6, 6, 1, 2, 'unwanted', 'refunded', '2026-03-12 12:00', '2026-03-12 12:00', 20.00, 602, false),
(7, 11, 1, 2, 'damaged', 'refunded', '2026-04-20 12:00', '2026-04-27 12:00', 10.00, 1102, false),
(8, 7, 1, 2, 'unwanted', 'refunded', '2026-03-12 12:00', '2026-03-12 12:00', 20.00, null, false);
