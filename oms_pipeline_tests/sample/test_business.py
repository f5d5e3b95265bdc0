"""The simulated business: its clock, its data, its behaviour."""

import datetime as dt
from collections.abc import Callable
from zoneinfo import ZoneInfo

import pytest

from oms_pipeline import sample
from oms_pipeline.contract import load_contract

from .conftest import DAYS, FIRST_DAY, Writes, rows

NEW_YORK = ZoneInfo("America/New_York")
DAY = dt.timedelta(days=1)

# When each order was placed, when its row last changed, and when it or a row that belongs to it did.
CHANGES = """
    select o.order_id, o.placed_at, o.updated_at as row_changed_at,
        greatest(o.updated_at, max(p.updated_at), max(s.updated_at), max(r.updated_at)) as changed_at,
        ((o.placed_at at time zone 'America/New_York')::date + 1)::timestamp at time zone 'America/New_York' as next_day
    from orders as o
    left join payments as p using (order_id)
    left join shipments as s using (order_id)
    left join returns as r using (order_id)
    where o.placed_at < '2026-02-14'
    group by o.order_id
"""


def fingerprint(dsn: str) -> dict[str, str]:
    return {
        table: rows(
            dsn, f"select count(*) || md5(coalesce(string_agg(t::text, '|' order by t::text), '')) from {table} as t"
        )[0][0]
        for table in [*load_contract(), "oms_sample.agenda", "oms_sample.clock"]
    }


def test_the_same_seed_lives_the_same_life(new_database: Callable[[], str]) -> None:
    lives = []
    for steps in [(18,), (1, 7, 10)]:
        dsn = new_database()
        sample.open_business(dsn, "oms", dt.date(2025, 3, 10), orders_per_day=20, seed=11)
        for days in steps:
            sample.simulate(dsn, days)
        lives.append(fingerprint(dsn))
    assert lives[0] == lives[1]


def test_another_seed_lives_another_life(new_database: Callable[[], str]) -> None:
    lives = []
    for seed in (1, 2):
        dsn = new_database()
        sample.open_business(dsn, "oms", dt.date(2025, 3, 10), orders_per_day=20, seed=seed)
        lives.append(fingerprint(dsn))
    assert lives[0]["products"] != lives[1]["products"]


def test_the_clock_stands_on_the_day_after_the_last(lived: str) -> None:
    business = sample.state(lived)
    assert business == sample.Business("oms", 7, "America/New_York", 100, FIRST_DAY, FIRST_DAY + DAYS * DAY)


def test_a_database_without_a_business_has_no_state_and_cannot_be_simulated(empty: str) -> None:
    assert sample.state(empty) is None
    with pytest.raises(ValueError, match="open one with open_business"):
        sample.simulate(empty, 1)


def test_a_second_business_is_refused(lived: str) -> None:
    with pytest.raises(ValueError, match="simulate\\(\\) continues it"):
        sample.open_business(lived, "oms", FIRST_DAY)


def test_every_write_of_a_day_is_dated_within_the_day(life: tuple[str, list[Writes]]) -> None:
    _, writes = life
    assert {written.table for written in writes} == set(load_contract())
    assert len({written.day for written in writes}) == DAYS
    for written in writes:
        start, end = (dt.datetime.combine(date, dt.time(), NEW_YORK) for date in (written.day, written.day + DAY))
        assert start <= written.first_update, written
        assert written.last_update < end, written
        assert written.last_creation < end, written
        assert not written.is_created_after_update, written


def test_days_follow_each_other_without_a_gap(lived: str) -> None:
    days = [
        day
        for (day,) in rows(
            lived, "select distinct (created_at at time zone 'America/New_York')::date from orders order by 1"
        )
    ]
    assert days == [FIRST_DAY + n * DAY for n in range(DAYS)]


def test_some_writes_fall_in_the_first_and_the_last_second_of_a_day(lived: str) -> None:
    local = "(created_at at time zone 'America/New_York')::time"
    first, last, midnight = rows(
        lived,
        f"""
        select count(*) filter (where {local} < '00:00:01'), count(*) filter (where {local} >= '23:59:59'),
            (select count(*) from shipments where {local} = '00:00:00') from orders
    """,
    )[0]
    assert min(first, last, midnight) > 0


def test_stored_totals_follow_from_the_lines(lived: str) -> None:
    assert (
        rows(
            lived,
            """
        select o.order_id
        from orders as o left join order_items as i using (order_id)
        group by o.order_id
        having o.discount_total <> coalesce(sum(i.discount_amount), 0)
            or o.tax_total <> coalesce(sum(i.tax_amount), 0)
            or o.grand_total <> coalesce(sum((i.quantity - i.cancelled_quantity) * i.unit_price), 0)
                - o.discount_total + o.shipping_total + o.tax_total
            or o.grand_total < 0
            or bool_or(i.cancelled_quantity < 0 or i.cancelled_quantity > i.quantity)
            or bool_or(i.quantity = i.cancelled_quantity and (i.discount_amount <> 0 or i.tax_amount <> 0))
    """,
        )
        == []
    )


def test_most_orders_change_after_their_day_and_some_much_later(lived: str) -> None:
    orders, row_later, later, median, tail = rows(
        lived,
        f"""
        select count(*), avg((row_changed_at >= next_day)::int)::float8, avg((changed_at >= next_day)::int)::float8,
            percentile_cont(0.5) within group (order by extract(epoch from row_changed_at - placed_at) / 86400),
            percentile_cont(0.99) within group (order by extract(epoch from changed_at - placed_at) / 86400)
        from ({CHANGES})
    """,
    )[0]
    assert orders > 1000
    assert 0.975 < row_later <= later < 1
    assert 9 < median < 11
    assert 38 < tail < 52


def test_every_status_of_the_contract_occurs(lived: str) -> None:
    for table, statuses in {
        "orders": {"draft", "placed", "paid", "processing", "partially_shipped", "shipped", "delivered", "cancelled"},
        "payments": {"pending", "authorized", "captured", "failed", "voided"},
        "shipments": {"pending", "ready", "shipped", "in_transit", "delivered", "lost", "cancelled"},
        "returns": {"requested", "approved", "received", "refunded", "rejected"},
    }.items():
        assert {status for (status,) in rows(lived, f"select distinct status from {table}")} == statuses


@pytest.mark.parametrize(
    "behaviour",
    [
        "select count(*) from orders where customer_id is null",
        "select count(*) from orders where is_test",
        "select count(*) from orders where version > 1 and placed_at::date > created_at::date",
        "select max(order_id) - count(*) from orders",
        "select count(*) from orders where order_id not in (select order_id from order_items)",
        "select count(*) from order_items where cancelled_quantity > 0",
        "select count(*) from (select max(line_no) - count(*) as gap from order_items group by order_id) where gap > 0",
        "select count(*) from order_items i inner join orders o using (order_id) where i.created_at > o.placed_at",
        "select count(*) from (select from shipments group by order_id having count(distinct store_id) > 1)",
        "select count(*) from shipments where updated_at - delivered_at > interval '24 hours'",
        "select count(*) from payments left join returns on refund_payment_id = payment_id "
        "where kind = 'refund' and return_id is null",
        "select count(*) from returns where status = 'refunded' and refund_payment_id is null",
        "select count(*) from returns where status = 'refunded' and received_at is null",
        "select count(*) from customers where deleted_at is not null and email is not null",
        "select count(*) from customers where deleted_at is not null and email is null",
        "select count(*) from products where discontinued_at is not null and deleted_at is null",
        "select count(*) from products where discontinued_at is not null and deleted_at is not null",
        "select count(*) from products where retail_price * 100 % 50 <> 49",
        "select count(*) from employees where left_on is not null",
        "select count(*) from inventory where updated_at > '2026-03-31'",
        "select count(*) from stores where updated_at > created_at and timezone = 'America/Chicago'",
    ],
)
def test_the_business_behaves_as_real_ones_do(lived: str, behaviour: str) -> None:
    assert rows(lived, behaviour)[0][0] > 0


def test_money_comes_and_goes_consistently(lived: str) -> None:
    overpaid, refunded_unpaid, sen, unpaid = rows(
        lived,
        """
        select
            avg((charged > grand_total)::int) filter (where status not in ('draft', 'placed', 'cancelled'))::float8,
            count(*) filter (where charged = 0 and refunded > 0),
            count(*) filter (where currency = 'JPY' and (grand_total % 1 <> 0 or charged % 1 <> 0)),
            count(*) filter (where charged < grand_total and status not in ('draft', 'placed', 'cancelled'))
        from (
            select o.order_id, o.status, o.currency, o.grand_total,
                coalesce(sum(p.amount) filter (where p.kind = 'charge'), 0) as charged,
                coalesce(sum(p.amount) filter (where p.kind = 'refund'), 0) as refunded
            from orders as o left join payments as p on p.order_id = o.order_id and p.status = 'captured'
            group by o.order_id
        )
    """,
    )[0]
    assert 0 < overpaid < 0.01
    assert (refunded_unpaid, sen, unpaid) == (0, 0, 0)


def test_no_more_is_shipped_or_returned_than_was_kept(lived: str) -> None:
    assert (
        rows(
            lived,
            """
        select order_id, line_no
        from order_items as i
        where i.quantity - i.cancelled_quantity < (
            select sum(s.quantity) from shipment_items as s where s.order_id = i.order_id and s.line_no = i.line_no
        ) or i.quantity - i.cancelled_quantity < (
            select sum(r.quantity) from returns as r where r.order_id = i.order_id and r.line_no = i.line_no
        )
    """,
        )
        == []
    )


def test_no_row_refers_to_one_that_is_gone(lived: str) -> None:
    references = rows(
        lived,
        """
        select c.conrelid::regclass::text, a.attname::text, c.confrelid::regclass::text, f.attname::text
        from pg_constraint as c
        inner join pg_attribute as a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
        inner join pg_attribute as f on f.attrelid = c.confrelid and f.attnum = c.confkey[1]
        where c.contype = 'f' and c.connamespace = 'oms'::regnamespace
    """,
    )
    assert len(references) > 15
    for table, column, parent, key in references:
        assert (
            rows(
                lived,
                f"select 1 from {table} where {column} is not null and {column} not in (select {key} from {parent})",
            )
            == []
        )


def test_a_days_work_does_not_grow_with_history(lived: str) -> None:
    due, waiting = rows(
        lived,
        """
        select count(*) filter (where due_at < t.ends), count(*) from oms_sample.agenda, oms_sample.today as t
    """,
    )[0]
    assert 0 < due < 100 * 15
    assert waiting < 100 * 40


def test_a_fat_day_has_its_lines_within_the_day(lived: str) -> None:
    day = FIRST_DAY - 100 * DAY
    start, end = (dt.datetime.combine(date, dt.time(), NEW_YORK) for date in (day, day + DAY))
    sample.fat_day(lived, day, 3_000)
    lines, orders, settled = rows(
        lived,
        f"""
        select
            (select count(*) from order_items where created_at >= '{start}' and created_at < '{end}'),
            count(*),
            count(*) filter (where o.updated_at = o.created_at and o.grand_total = p.amount and o.grand_total > 0)
        from orders as o inner join payments as p using (order_id)
        where o.created_at >= '{start}' and o.created_at < '{end}'
    """,
    )[0]
    assert (lines, orders, settled) == (3_000, 1_000, 1_000)
