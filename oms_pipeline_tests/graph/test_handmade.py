"""What is easily done wrong, one case at a time, in figures worked out by hand; and the whole of it by the oracle."""

import datetime as dt
from decimal import Decimal

from oms_pipeline_tests.graph import handmade as case
from oms_pipeline_tests.graph.handmade import FIRST_DAY, FORTY_DAYS_LATER, SECOND_DAY, SPRING, THIRD_DAY, Handmade


def test_after_every_load_every_mart_equals_the_oracle(handmade: Handmade) -> None:
    assert handmade.differences == {last: [] for _, last in case.LOADS}


def test_an_edited_line_counts_as_it_is_now(handmade: Handmade) -> None:
    def gmv(loaded: dt.date) -> list[tuple[object, ...]]:
        return handmade.rows("fct_orders", "units_ordered gmv", loaded, order_id=case.EDITED)

    assert gmv(FIRST_DAY) == [(3, Decimal("45.00"))]
    assert gmv(SECOND_DAY) == [(6, Decimal("75.00"))]


def test_a_deleted_line_is_gone_and_may_come_back_as_another(handmade: Handmade) -> None:
    def lines(order_id: int, loaded: dt.date) -> list[tuple[object, ...]]:
        return handmade.rows("fct_order_lines", "line_no quantity gmv", loaded, order_id=order_id)

    first = (1, 2, Decimal("20.00"))
    assert lines(case.LINE_DELETED, FIRST_DAY) == [first, (2, 1, Decimal("25.00"))]
    assert lines(case.LINE_DELETED, SECOND_DAY) == [first]
    assert handmade.rows("fct_orders", "line_count gmv", SECOND_DAY, order_id=case.LINE_DELETED) == [
        (1, Decimal("20.00"))
    ]
    assert [len(lines(case.LINE_COMES_BACK, day)) for day in (FIRST_DAY, SECOND_DAY, THIRD_DAY)] == [2, 1, 2]
    assert lines(case.LINE_COMES_BACK, THIRD_DAY)[1] == (2, 4, Decimal("40.00"))


def test_an_order_emptied_of_its_lines_and_one_that_never_had_any_are_rows_of_zeros(handmade: Handmade) -> None:
    assert handmade.rows("fct_order_lines", "line_no", FIRST_DAY, order_id=case.EMPTIED) == [(1,), (2,)]
    for order_id in (case.EMPTIED, case.WITHOUT_ITEMS):
        assert handmade.rows("fct_order_lines", "line_no", SECOND_DAY, order_id=order_id) == []
        assert handmade.rows("fct_orders", "line_count gmv net_revenue", SECOND_DAY, order_id=order_id) == [
            (0, Decimal(0), Decimal(0))
        ]


def test_a_guests_order_counts_as_a_sale_and_belongs_to_no_cohort(handmade: Handmade) -> None:
    assert handmade.rows("fct_orders", "customer_id is_guest gmv", FIRST_DAY, order_id=case.OF_A_GUEST) == [
        (None, True, Decimal("10.00"))
    ]
    # Customers 1 to 6 have ordered on the first day, whatever the currency.
    assert set(handmade.rows("customer_cohorts", "cohort_month cohort_customers", FIRST_DAY)) == {
        (dt.date(2025, 11, 1), 6)
    }


def test_an_order_marked_as_a_test_leaves_every_mart_and_comes_back_when_unmarked(handmade: Handmade) -> None:
    for mart in ("fct_orders", "fct_order_lines", "payment_reconciliation"):
        found = [
            len(handmade.rows(mart, "order_id", day, order_id=case.TEST_FOR_A_DAY))
            for day in (FIRST_DAY, SECOND_DAY, THIRD_DAY)
        ]
        assert found == [1, 0, 1], mart


def test_an_order_moved_to_another_store_and_customer_leaves_nothing_behind(handmade: Handmade) -> None:
    # Half past eleven at night in UTC: still 1 November in New York, already 2 November in Berlin.
    moved = "store_id customer_id business_day"
    assert handmade.rows("fct_orders", moved, FIRST_DAY, order_id=case.MOVED) == [(1, 3, dt.date(2025, 11, 1))]
    assert handmade.rows("fct_orders", moved, SECOND_DAY, order_id=case.MOVED) == [(2, 2, dt.date(2025, 11, 2))]
    assert handmade.rows("dim_customers", "orders first_order_day", FIRST_DAY, customer_id=3) == [
        (1, dt.date(2025, 11, 1))
    ]
    assert handmade.rows("dim_customers", "orders first_order_day", SECOND_DAY, customer_id=3) == [(0, None)]
    # Customers 3 (order moved away), 6 (order cancelled) are no longer in the cohort.
    assert set(handmade.rows("customer_cohorts", "cohort_customers", SECOND_DAY)) == {(4,)}


def test_a_refund_forty_days_later_counts_on_its_own_day(handmade: Handmade) -> None:
    by_day = "returns_value net_sales orders"
    assert handmade.rows("daily_sales", by_day, THIRD_DAY, business_day=FORTY_DAYS_LATER) == []
    assert handmade.rows("daily_sales", by_day, FORTY_DAYS_LATER, business_day=FORTY_DAYS_LATER) == [
        (Decimal("10.00"), Decimal("-10.00"), 0)
    ]
    assert handmade.rows("fct_orders", "business_day returns_value", FORTY_DAYS_LATER, order_id=case.REFUNDED_LATE) == [
        (FIRST_DAY, Decimal("10.00"))
    ]
    # Received in December, it counts against the day the unit was shipped.
    shipped = {"business_day": SECOND_DAY, "store_id": case.NEW_YORK}
    assert handmade.rows("fulfilment_daily", "units_shipped units_returned", THIRD_DAY, **shipped) == [(2, 0)]
    assert handmade.rows("fulfilment_daily", "units_shipped units_returned", FORTY_DAYS_LATER, **shipped) == [(2, 1)]


def test_a_line_deleted_after_its_return_keeps_the_returns_value(handmade: Handmade) -> None:
    assert handmade.rows(
        "fct_orders", "line_count gmv returns_value", THIRD_DAY, order_id=case.RETURNED_AND_DELETED
    ) == [(1, Decimal("10.00"), Decimal("12.50"))]
    assert handmade.rows("fct_returns", "product_id ship_cohort_day", THIRD_DAY, return_id=29) == [(None, FIRST_DAY)]


def test_a_store_that_moves_to_another_time_zone_moves_all_its_days(handmade: Handmade) -> None:
    def days(loaded: dt.date) -> list[object]:
        sold = handmade.rows("fct_orders", "business_day", loaded, order_id=case.OF_THE_MOVING_STORE)
        shipped = handmade.rows("fct_shipments", "business_day", loaded, shipment_id=20)
        booked = handmade.rows("daily_sales", "business_day", loaded, store_id=case.MOVING_STORE)
        left = handmade.rows("fulfilment_daily", "business_day", loaded, store_id=case.MOVING_STORE, units_shipped=1)
        return [sold, booked, shipped, left]

    assert days(THIRD_DAY) == [[(FIRST_DAY,)], [(FIRST_DAY,)], [(SECOND_DAY,)], [(SECOND_DAY,)]]
    assert days(FORTY_DAYS_LATER) == [[(SECOND_DAY,)], [(SECOND_DAY,)], [(THIRD_DAY,)], [(THIRD_DAY,)]]


def test_a_store_in_new_york_changes_day_at_its_own_midnight_also_on_the_days_of_25_and_23_hours(
    handmade: Handmade,
) -> None:
    def day_of(order_id: int) -> object:
        return handmade.rows("fct_orders", "business_day", SPRING[1], order_id=order_id)[0][0]

    november = [day_of(order_id) for order_id in (21, 22, 23, 24, 25, 26)]
    assert november == [dt.date(2025, 11, day) for day in (1, 2, 2, 2, 2, 3)]
    march = [day_of(order_id) for order_id in (41, 42, 43, 44)]
    assert march == [dt.date(2026, 3, day) for day in (7, 8, 8, 9)]


def test_yen_have_no_cents_and_are_never_added_to_dollars(handmade: Handmade) -> None:
    # An hour past midnight in Tokyo.
    assert handmade.rows("daily_sales", "business_day gmv aov", FIRST_DAY, currency="JPY") == [
        (SECOND_DAY, Decimal("1980.00"), Decimal("1980.00"))
    ]
    assert set(handmade.rows("daily_sales", "store_id", FIRST_DAY, currency="JPY")) == {(case.TOKYO,)}


def test_an_anonymised_customer_keeps_nothing_personal_and_stays_in_the_cohort(handmade: Handmade) -> None:
    columns = "email full_name phone city is_deleted orders"
    assert handmade.rows("dim_customers", columns, FIRST_DAY, customer_id=5) == [
        ("customer5@example.com", "Customer 5", "5", "City 1", False, 1)
    ]
    assert handmade.rows("dim_customers", columns, SECOND_DAY, customer_id=5) == [(None, None, None, None, True, 1)]


def test_a_draft_is_in_no_mart_even_after_it_was_deleted_at_the_source(handmade: Handmade) -> None:
    for day in (FIRST_DAY, SECOND_DAY):
        for mart in ("fct_orders", "fct_order_lines"):
            assert handmade.rows(mart, "order_id", day, order_id=case.DRAFT) == []


def test_a_cancelled_order_sells_nothing_and_owes_its_refund(handmade: Handmade) -> None:
    columns = "is_cancelled gmv cancelled_value net_sales"
    assert handmade.rows("fct_orders", columns, SECOND_DAY, order_id=case.CANCELLED) == [
        (True, Decimal("10.00"), Decimal("10.00"), Decimal(0))
    ]
    assert handmade.rows("payment_reconciliation", "charged refunded state", SECOND_DAY, order_id=case.CANCELLED) == [
        (Decimal("10.00"), Decimal("10.00"), "balanced")
    ]


def test_what_moves_to_another_order_leaves_nothing_with_the_one_it_leaves(handmade: Handmade) -> None:
    def booked(loaded: dt.date, order_id: int) -> list[list[tuple[object, ...]]]:
        return [
            handmade.rows(mart, columns, loaded, order_id=order_id)
            for mart, columns in (
                ("fct_payments", "payment_id"),
                ("fct_shipments", "shipment_id"),
                ("fct_returns", "return_id"),
                ("fct_orders", "units_shipped returns_value"),
                ("payment_reconciliation", "charged refunded state"),
            )
        ]

    ten, nothing = Decimal("10.00"), Decimal(0)
    full = [[(320,), (321,)], [(32,)], [(32,)], [(1, ten)], [(ten, ten, "balanced")]]
    empty = [[], [], [], [(0, nothing)], [(nothing, nothing, "unpaid")]]
    assert [booked(SECOND_DAY, order_id) for order_id in (case.BOOKED_WRONG, case.BOOKED_RIGHT)] == [full, empty]
    assert [booked(THIRD_DAY, order_id) for order_id in (case.BOOKED_WRONG, case.BOOKED_RIGHT)] == [empty, full]


def test_money_in_another_currency_than_the_orders_is_told_and_never_added_up(handmade: Handmade) -> None:
    assert handmade.rows(
        "fct_orders", "currency shipping_refunded net_revenue", FIRST_DAY, order_id=case.PAID_IN_EUROS
    ) == [("USD", Decimal(0), Decimal("10.00"))]
    columns = "charged refunded difference state"
    assert handmade.rows("payment_reconciliation", columns, FIRST_DAY, order_id=case.PAID_IN_EUROS) == [
        (Decimal("10.00"), Decimal(0), Decimal(0), "other_currency")
    ]
    sold = {"business_day": FIRST_DAY, "store_id": case.NEW_YORK}
    assert handmade.rows("daily_sales", "currency shipping_refunded", FIRST_DAY, **sold) == [("USD", Decimal(0))]
