"""A tiny OMS whose orders go through everything that is easily done wrong, one case to an order, and its landed days."""

import datetime as dt

import pyarrow as pa

from oms_pipeline_tests.graph.pipeline import Pipeline

# In New York, 2 November 2025 has 25 hours and 8 March 2026 has 23.
FIRST_DAY = dt.date(2025, 11, 1)
SECOND_DAY = dt.date(2025, 11, 2)
THIRD_DAY = dt.date(2025, 11, 3)
FORTY_DAYS_LATER = dt.date(2025, 12, 12)
SPRING = (dt.date(2026, 3, 7), dt.date(2026, 3, 9))
LOADS = ((FIRST_DAY, FIRST_DAY), (SECOND_DAY, SECOND_DAY), (THIRD_DAY, THIRD_DAY), (FORTY_DAYS_LATER,) * 2, SPRING)
NEW_YORK, BERLIN, TOKYO, MOVING_STORE = 1, 2, 3, 4

MASTER_DATA = """
insert into stores (store_id, store_name, channel, timezone, city, country) values
(1, 'Store 1', 'in_store', 'America/New_York', 'New York', 'US'),
(2, 'Store 2', 'online', 'Europe/Berlin', 'Berlin', 'DE'),
(3, 'Store 3', 'online', 'Asia/Tokyo', 'Tokyo', 'JP'),
(4, 'Store 4', 'marketplace', 'Europe/Berlin', 'Berlin', 'DE');
insert into suppliers (supplier_id, supplier_name, email, lead_time_days) values
(1, 'Supplier 1', 'supplier1@example.com', 7);
insert into employees (employee_id, full_name, job_title, store_id, hired_on) values
(1, 'Employee 1', 'clerk', 1, '2020-01-01');
insert into products (product_id, sku, product_name, category, supplier_id, retail_price, unit_cost, currency) values
(1, 'SKU-1', 'Product 1', 'small', 1, 10.00, 4.1234, 'USD'),
(2, 'SKU-2', 'Product 2', 'large', null, 25.00, 12.0000, 'USD');
insert into customers (customer_id, email, full_name, phone, city, country)
select n, 'customer' || n || '@example.com', 'Customer ' || n, n, 'City 1', 'US' from generate_series(1, 6) as n;
insert into inventory (store_id, product_id, on_hand, reserved, reorder_point) values (1, 1, 12, 2, 10), (3, 2, 5, 7, 0)
"""

EDITED = 10
LINE_DELETED = 11
EMPTIED = 12
WITHOUT_ITEMS = 13
OF_A_GUEST = 14
TEST_FOR_A_DAY = 15
MOVED = 16
REFUNDED_LATE = 17
IN_YEN = 18
OF_THE_MOVING_STORE = 19
SHIPPED_BY_THE_MOVING_STORE = 20
OF_WHO_LEFT = 27
DRAFT = 28
RETURNED_AND_DELETED = 29
CANCELLED = 30
LINE_COMES_BACK = 31
BOOKED_WRONG, BOOKED_RIGHT = 32, 33
PAID_IN_EUROS = 34


def order(
    order_id: int,
    placed_at: str | None,
    *lines: tuple[int, str],
    store_id: int = NEW_YORK,
    customer_id: int | str = 1,
    currency: str = "USD",
    status: str = "paid",
) -> str:
    """SQL that inserts an order with lines of (quantity, unit price) of product 1, 2, 1, 2 …"""
    total = " + ".join(["0", *(f"{quantity} * {price}" for quantity, price in lines)])
    placed = f"'{placed_at}+00'" if placed_at else "null"
    statements = [
        "insert into orders (order_id, order_number, customer_id, store_id, currency, status, placed_at,"
        f" promised_ship_by, grand_total) values ({order_id}, 'N{order_id}', {customer_id}, {store_id}, '{currency}',"
        f" '{status}', {placed}, cast({placed} as timestamptz) + interval '2 days', {total})"
    ]
    statements += [
        "insert into order_items (order_id, line_no, product_id, quantity, unit_price, unit_cost)"
        f" values ({order_id}, {n}, {2 - n % 2}, {quantity}, {price}, 4)"
        for n, (quantity, price) in enumerate(lines, 1)
    ]
    return "; ".join(statements)


def touch(order_id: int, assignment: str = "version = version + 1") -> str:
    return f"update orders set {assignment} where order_id = {order_id}"


def payment(payment_id: int, order_id: int, kind: str, amount: str, occurred_at: str, currency: str = "USD") -> str:
    return (
        "insert into payments (payment_id, order_id, kind, method, status, amount, currency, occurred_at)"
        f" values ({payment_id}, {order_id}, '{kind}', 'card', 'captured', {amount}, '{currency}', '{occurred_at}+00')"
    )


def shipment(
    shipment_id: int, order_id: int, shipped_at: str, *lines: tuple[int, int], store_id: int = NEW_YORK
) -> str:
    """SQL that inserts a shipment of (line, quantity)."""
    items = ", ".join(f"({shipment_id}, {order_id}, {line_no}, {quantity})" for line_no, quantity in lines)
    return (
        "insert into shipments (shipment_id, order_id, store_id, carrier, status, cost, shipped_at) values"
        f" ({shipment_id}, {order_id}, {store_id}, 'Carrier 1', 'shipped', 4, '{shipped_at}+00');"
        f" insert into shipment_items (shipment_id, order_id, line_no, quantity) values {items}"
    )


def refunded_return(return_id: int, order_id: int, line_no: int, amount: str, payment_id: int, at: str) -> str:
    return (
        "insert into returns (return_id, order_id, line_no, quantity, reason, status, requested_at, received_at,"
        f" refund_amount, refund_payment_id) values ({return_id}, {order_id}, {line_no}, 1, 'unwanted', 'refunded',"
        f" '{at}+00', '{at}+00', {amount}, {payment_id})"
    )


def first_day(oms: Pipeline) -> None:
    oms.edit("2025-10-30 12:00", MASTER_DATA)
    oms.edit(
        "2025-11-01 20:00",
        order(EDITED, "2025-11-01 15:00", (2, "10.00"), (1, "25.00")),
        order(LINE_DELETED, "2025-11-01 15:00", (2, "10.00"), (1, "25.00")),
        order(EMPTIED, "2025-11-01 15:00", (2, "10.00"), (1, "25.00")),
        order(WITHOUT_ITEMS, "2025-11-01 15:00"),
        order(OF_A_GUEST, "2025-11-01 15:00", (1, "10.00"), customer_id="null"),
        order(TEST_FOR_A_DAY, "2025-11-01 15:00", (3, "10.00"), customer_id=2),
        # Eleven in the evening in Berlin, six in New York; customer 3 has no other order.
        order(MOVED, "2025-11-01 23:30", (1, "10.00"), customer_id=3),
        order(REFUNDED_LATE, "2025-11-01 16:00", (2, "10.00"), customer_id=4),
        payment(170, REFUNDED_LATE, "charge", "20.00", "2025-11-01 16:00"),
        order(IN_YEN, "2025-11-01 16:00", (1, "1980"), store_id=TOKYO, currency="JPY"),
        order(OF_THE_MOVING_STORE, "2025-11-01 19:00", (1, "9.50"), store_id=MOVING_STORE, currency="EUR"),
        order(SHIPPED_BY_THE_MOVING_STORE, "2025-11-01 16:00", (1, "10.00")),
        order(OF_WHO_LEFT, "2025-11-01 16:00", (1, "10.00"), customer_id=5),
        order(DRAFT, None, (9, "10.00"), status="draft"),
        order(RETURNED_AND_DELETED, "2025-11-01 16:00", (1, "10.00"), (1, "12.50"), customer_id=4),
        shipment(29, RETURNED_AND_DELETED, "2025-11-01 18:00", (1, 1), (2, 1)),
        order(CANCELLED, "2025-11-01 16:00", (1, "10.00"), customer_id=6),
        payment(300, CANCELLED, "charge", "10.00", "2025-11-01 16:00"),
        order(LINE_COMES_BACK, "2025-11-01 16:00", (1, "10.00"), (1, "25.00")),
        order(BOOKED_WRONG, "2025-11-01 16:00", (1, "10.00"), store_id=BERLIN, currency="EUR"),
        order(BOOKED_RIGHT, "2025-11-01 16:00", (1, "10.00"), store_id=BERLIN, currency="EUR"),
        payment(320, BOOKED_WRONG, "charge", "10.00", "2025-11-01 16:00", currency="EUR"),
        payment(321, BOOKED_WRONG, "refund", "10.00", "2025-11-01 19:00", currency="EUR"),
        shipment(32, BOOKED_WRONG, "2025-11-01 18:00", (1, 1), store_id=BERLIN),
        refunded_return(32, BOOKED_WRONG, 1, "10.00", 321, "2025-11-01 19:00"),
        order(PAID_IN_EUROS, "2025-11-01 16:00", (1, "10.00")),
        payment(340, PAID_IN_EUROS, "charge", "10.00", "2025-11-01 16:00"),
        payment(341, PAID_IN_EUROS, "charge", "9.00", "2025-11-01 16:00", currency="EUR"),
        payment(342, PAID_IN_EUROS, "refund", "4.00", "2025-11-01 17:00", currency="EUR"),
    )
    # The last second of 1 November in New York.
    oms.edit("2025-11-02 03:59:59", order(21, "2025-11-02 03:59:59", (1, "10.00")))


def second_day(oms: Pipeline) -> None:
    oms.edit("2025-11-02 04:00", order(22, "2025-11-02 04:00", (1, "10.00")))
    # Half past one, twice.
    oms.edit("2025-11-02 05:30", order(23, "2025-11-02 05:30", (1, "10.00")))
    oms.edit("2025-11-02 06:30", order(24, "2025-11-02 06:30", (1, "10.00")))
    oms.edit(
        "2025-11-02 14:00",
        f"update order_items set quantity = 5 where order_id = {EDITED} and line_no = 1",
        touch(EDITED),
        f"delete from order_items where order_id in ({LINE_DELETED}, {LINE_COMES_BACK}) and line_no = 2",
        touch(LINE_DELETED),
        touch(LINE_COMES_BACK),
        f"delete from order_items where order_id = {EMPTIED}",
        touch(EMPTIED, "version = version + 1, grand_total = 0"),
        touch(TEST_FOR_A_DAY, "is_test = true"),
        touch(MOVED, f"store_id = {BERLIN}, customer_id = 2"),
        "update customers set email = null, full_name = null, phone = null, city = null, deleted_at = now()"
        " where customer_id = 5",
        f"delete from order_items where order_id = {DRAFT}",
        f"delete from orders where order_id = {DRAFT}",
        # Five in the afternoon in Berlin, one in the morning of the next day in Tokyo.
        shipment(20, SHIPPED_BY_THE_MOVING_STORE, "2025-11-02 16:00", (1, 1), store_id=MOVING_STORE),
        shipment(17, REFUNDED_LATE, "2025-11-02 13:30", (1, 2)),
        touch(CANCELLED, "status = 'cancelled', cancelled_at = now()"),
        payment(301, CANCELLED, "refund", "10.00", "2025-11-02 14:00"),
    )
    # The last second of 2 November in New York, the 25th hour.
    oms.edit("2025-11-03 04:59:59", order(25, "2025-11-03 04:59:59", (1, "10.00")))


def third_day(oms: Pipeline) -> None:
    oms.edit(
        "2025-11-03 05:00",
        order(26, "2025-11-03 05:00", (1, "10.00")),
        touch(TEST_FOR_A_DAY, "is_test = false"),
        "insert into order_items (order_id, line_no, product_id, quantity, unit_price, unit_cost)"
        f" values ({LINE_COMES_BACK}, 2, 1, 4, 10.00, 4)",
        touch(LINE_COMES_BACK),
        payment(290, RETURNED_AND_DELETED, "refund", "13.50", "2025-11-03 05:00"),
        refunded_return(29, RETURNED_AND_DELETED, 2, "12.50", 290, "2025-11-03 05:00"),
        f"delete from order_items where order_id = {RETURNED_AND_DELETED} and line_no = 2",
        touch(RETURNED_AND_DELETED),
        # All but the order's own row.
        *(
            f"update {table} set order_id = {BOOKED_RIGHT} where order_id = {BOOKED_WRONG}"
            for table in ("payments", "shipments", "shipment_items", "returns")
        ),
    )


def forty_days_later(oms: Pipeline) -> None:
    oms.edit(
        "2025-12-12 12:00",
        payment(171, REFUNDED_LATE, "refund", "10.80", "2025-12-12 11:00"),
        refunded_return(17, REFUNDED_LATE, 1, "10.00", 171, "2025-12-11 11:00"),
        f"update stores set timezone = 'Asia/Tokyo' where store_id = {MOVING_STORE}",
    )


def spring(oms: Pipeline) -> None:
    oms.edit("2026-03-08 04:59:59", order(41, "2026-03-08 04:59:59", (1, "10.00")))
    oms.edit("2026-03-08 05:00", order(42, "2026-03-08 05:00", (1, "10.00")))
    oms.edit("2026-03-09 03:59:59", order(43, "2026-03-09 03:59:59", (1, "10.00")))
    oms.edit("2026-03-09 04:00", order(44, "2026-03-09 04:00", (1, "10.00")))


EDITS = (first_day, second_day, third_day, forty_days_later, spring)


class Handmade:
    """The tiny OMS, and its marts as each load left them.

    Attributes:
        pipeline: As the last load left it.
        differences: Last loaded day → differences from the oracle.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.differences: dict[dt.date, list[str]] = {}
        self._marts: dict[dt.date, dict[str, pa.Table]] = {}
        for edit, (first, last) in zip(EDITS, LOADS, strict=True):
            edit(pipeline)
            pipeline.load(first, last)
            self.differences[last] = pipeline.differences(last)
            self._marts[last] = pipeline.marts(last)

    def rows(self, mart: str, columns: str, loaded: dt.date, **where: object) -> list[tuple[object, ...]]:
        """Rows of a mart as they were after a day was loaded, as tuples of some columns."""
        rows = self._marts[loaded][mart].to_pylist()
        return [
            tuple(row[column] for column in columns.split())
            for row in rows
            if all(row[name] == value for name, value in where.items())
        ]
