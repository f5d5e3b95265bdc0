"""Which rows a day holds: half-open windows, whole sets of children, everything at the first landing."""

from zoneinfo import ZoneInfo

import pytest

from oms_pipeline_tests.source.real_oms import Oms, day, read


def orders(oms: Oms, *args: object, **kwargs: object) -> list[int]:
    return sorted(row["order_id"] for row in read(oms, "orders", *args, **kwargs))  # type: ignore[arg-type]


def lines(oms: Oms, text: str) -> list[tuple[int, int]]:
    return sorted((row["order_id"], row["line_no"]) for row in read(oms, "order_items", day(text)))


def test_a_window_holds_its_first_instant_and_not_its_last(oms: Oms) -> None:
    oms.order(1, "2026-03-01 23:59:59.999999+00")
    oms.order(2, "2026-03-02 00:00:00+00")
    oms.order(3, "2026-03-02 23:59:59.999999+00")
    oms.order(4, "2026-03-03 00:00:00+00")
    assert orders(oms, day("2026-03-02")) == [2, 3]
    assert orders(oms, day("2026-03-03")) == [4]


def test_an_open_window_has_no_start_but_the_same_end(oms: Oms) -> None:
    oms.order(1, "1999-01-01 00:00+00")
    oms.order(2, "2026-03-02 23:59:59.999999+00")
    oms.order(3, "2026-03-03 00:00+00")
    assert orders(oms, day("2026-03-02"), open_to_the_past=True) == [1, 2]


def test_an_unsettled_window_is_read_with_the_overlap(oms: Oms) -> None:
    oms.order(1, "2026-03-01 22:59:59+00")
    oms.order(2, "2026-03-01 23:00+00")
    oms.order(3, "2026-03-02 12:00+00")
    assert orders(oms, day("2026-03-02"), settled=False) == [2, 3]


@pytest.mark.parametrize(
    ("zone", "changes_on", "first", "end"),
    [
        ("America/New_York", "2026-03-08", "2026-03-08 05:00+00", "2026-03-09 04:00+00"),  # 23 hours
        ("America/New_York", "2026-11-01", "2026-11-01 04:00+00", "2026-11-02 05:00+00"),  # 25 hours
        ("Europe/Berlin", "2026-03-29", "2026-03-28 23:00+00", "2026-03-29 22:00+00"),
        ("Europe/Berlin", "2026-10-25", "2026-10-24 22:00+00", "2026-10-25 23:00+00"),
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04 03:00+00", "2018-11-05 02:00+00"),  # no midnight
        ("Asia/Beirut", "2022-03-27", "2022-03-26 22:00+00", "2022-03-27 21:00+00"),  # no midnight
    ],
)
def test_a_day_of_23_or_25_hours_holds_what_changed_in_them(
    oms: Oms, zone: str, changes_on: str, first: str, end: str
) -> None:
    oms.execute(f"""
        insert into orders (order_id, order_number, store_id, currency, status, updated_at)
        select n, '', 1, 'EUR', 'placed', at from (values
            (1, timestamptz '{first}'),
            (2, timestamptz '{first}' - interval '1 microsecond'),
            (3, timestamptz '{end}' - interval '1 microsecond'),
            (4, timestamptz '{end}')) as v (n, at)
    """)
    assert orders(oms, day(changes_on, ZoneInfo(zone))) == [1, 3]


def test_a_day_brings_all_lines_of_every_order_that_changed_and_none_of_the_others(oms: Oms) -> None:
    oms.order(1, "2026-03-01 10:00+00", lines=3)
    oms.order(2, "2026-03-01 10:00+00", lines=2)
    oms.execute("update orders set version = 2, updated_at = '2026-03-02 10:00+00' where order_id = 1")
    assert lines(oms, "2026-03-02") == [(1, 1), (1, 2), (1, 3)]


def test_a_deleted_line_is_missing_from_its_orders_set_and_an_edited_one_is_as_it_is_now(oms: Oms) -> None:
    oms.order(1, "2026-03-01 10:00+00", lines=3)
    oms.execute("""
        delete from order_items where line_no = 2;
        update order_items set quantity = 7, updated_at = '2026-03-02 10:00+00' where line_no = 3;
        update orders set version = 2, updated_at = '2026-03-02 10:00+00'
    """)
    rows = read(oms, "order_items", day("2026-03-02"))
    assert sorted((row["line_no"], row["quantity"]) for row in rows) == [(1, 1), (3, 7)]


def test_a_line_that_changed_without_its_order_brings_the_whole_set_once(oms: Oms) -> None:
    oms.order(1, "2026-03-01 10:00+00", lines=3)
    oms.execute("update order_items set quantity = 2, updated_at = '2026-03-02 10:00+00' where line_no >= 2")
    assert lines(oms, "2026-03-02") == [(1, 1), (1, 2), (1, 3)]


def test_an_order_without_lines_brings_none(oms: Oms) -> None:
    oms.order(1, "2026-03-02 10:00+00")
    assert orders(oms, day("2026-03-02")) == [1]
    assert lines(oms, "2026-03-02") == []


def test_each_line_says_which_version_of_its_order_it_belongs_to(oms: Oms) -> None:
    oms.order(1, "2026-03-01 10:00+00", lines=2)
    oms.execute("update orders set updated_at = '2026-03-02 10:00:00.123456+00'")
    versions = {row["_parent_updated_at"].isoformat() for row in read(oms, "order_items", day("2026-03-02"))}
    assert versions == {"2026-03-02T10:00:00.123456+00:00"}


def test_lines_of_a_parcel_come_with_the_parcel_and_not_with_the_order(oms: Oms) -> None:
    oms.order(1, "2026-03-01 10:00+00", lines=2)
    oms.execute("""
        insert into shipments (shipment_id, order_id, store_id, carrier, status, cost, created_at, updated_at)
        select n, 1, 1, 'Carrier 1', 'ready', 1, '2026-03-01', '2026-03-01' from generate_series(1, 2) as n;
        insert into shipment_items (shipment_id, order_id, line_no, quantity, created_at, updated_at)
        select s, 1, n, 1, '2026-03-01', '2026-03-01' from generate_series(1, 2) as s, generate_series(1, 2) as n;
        update orders set updated_at = '2026-03-02 10:00+00';
        update shipments set updated_at = '2026-03-02 10:00+00' where shipment_id = 2
    """)
    rows = read(oms, "shipment_items", day("2026-03-02"))
    assert sorted((row["shipment_id"], row["line_no"]) for row in rows) == [(2, 1), (2, 2)]


def test_a_snapshot_is_the_whole_table_whatever_the_window(oms: Oms) -> None:
    assert len(read(oms, "inventory", day("2020-01-01"))) == 16
