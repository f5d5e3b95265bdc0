"""The oracle itself: its figures for `handmade.sql` written by hand, its marts in agreement, its comparison exact."""

import datetime as dt
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from adbc_driver_postgresql import dbapi

from oms_pipeline.sample import create_schema, open_business, simulate, start
from oms_pipeline_tests.oracle import GRAIN, differences, expected

SIMULATED_FROM = dt.date(2026, 2, 1)
SIMULATED_DAYS = 60


@pytest.fixture(scope="module")
def dsn(tmp_path_factory: pytest.TempPathFactory) -> str:
    return start(tmp_path_factory.mktemp("oracle") / "server")


@pytest.fixture(scope="module")
def handmade_schema(dsn: str) -> str:
    create_schema(dsn, "handmade")
    with dbapi.connect(dsn) as connection, connection.cursor() as cursor:
        statements = (Path(__file__).parent / "handmade.sql").read_text(encoding="utf-8")
        # A cursor's execute() prepares, which PostgreSQL does for a single statement only.
        cursor.adbc_statement.set_sql_query(f"set search_path to handmade; {statements}")
        cursor.adbc_statement.execute_update()
        connection.commit()
    return "handmade"


@pytest.fixture(scope="module")
def simulated_schema(dsn: str) -> str:
    open_business(dsn, "simulated", SIMULATED_FROM, orders_per_day=60)
    simulate(dsn, SIMULATED_DAYS)
    return "simulated"


@pytest.fixture(scope="module", params=["handmade_schema", "simulated_schema"])
def marts(dsn: str, request: pytest.FixtureRequest) -> Iterator[duckdb.DuckDBPyConnection]:
    """All marts of one business, as DuckDB tables."""
    schema = request.getfixturevalue(request.param)
    with duckdb.connect() as connection:
        for mart in GRAIN:
            connection.register("rows", expected(dsn, mart, schema, SIMULATED_FROM + dt.timedelta(SIMULATED_DAYS)))
            connection.execute(f"create table {mart} as from rows")
        yield connection


def by_hand(text: str) -> list[list[str]]:
    return [line.split() for line in text.strip().splitlines()]


def shown(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, dt.datetime):
        return value.isoformat(timespec="seconds")
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


@pytest.fixture
def handmade(dsn: str, handmade_schema: str) -> Callable[..., list[list[str]]]:
    """Reads a mart of the handmade business, in the columns asked for, as words."""

    def rows(mart: str, columns: str, day: dt.date = dt.date(2026, 4, 3)) -> list[list[str]]:
        table = expected(dsn, mart, handmade_schema, day).select(columns.split())
        return [[shown(value) for value in row.values()] for row in table.to_pylist()]

    return rows


def test_gmv_counts_every_placed_order_and_net_sales_what_was_kept(handmade):
    assert handmade(
        "fct_orders",
        "order_id status is_cancelled is_guest line_count units_ordered units_cancelled "
        "gmv cancelled_value discounts returns_value net_sales",
    ) == by_hand("""
        1  shipped   no  no  2 4 1 55.00 10.00 2.00  9.00  34.00
        2  placed    no  yes 1 1 0 10.01  0.00 0.00  0.00  10.01
        3  placed    no  no  0 0 0  0.00  0.00 0.00  0.00   0.00
        4  cancelled yes no  1 2 2 50.00 50.00 0.00  0.00   0.00
        5  cancelled yes no  1 1 1 10.00 10.00 0.00  0.00   0.00
        8  shipped   no  no  1 2 0 40.00  0.00 4.00  0.00  36.00
        9  shipped   no  no  1 3 0 30.00  0.00 0.00 12.50  17.50
        10 paid      no  no  1 1 0 10.00  0.00 0.00  0.00  10.00
        11 paid      no  no  1 2 1 20.00 10.00 0.00 10.00   0.00
    """)


def test_net_revenue_adds_shipping_and_takes_off_what_was_given_back_without_a_return(handmade):
    assert handmade(
        "fct_orders", "order_id net_sales shipping_charged shipping_refunded net_revenue tax_total grand_total"
    ) == by_hand("""
        1  34.00 5.00  3.00 36.00 3.60 51.60
        2  10.01 0.00  0.00 10.01 0.80 10.81
        3   0.00 0.00  0.00  0.00 0.00  0.00
        4   0.00 0.00  0.00  0.00 4.00 56.00
        5   0.00 0.00  0.00  0.00 0.80 10.80
        8  36.00 6.00  6.00 36.00 0.00 42.00
        9  17.50 0.00  0.00 17.50 0.00 30.00
        10 10.00 0.00 12.00 -2.00 0.00 10.00
        11  0.00 0.00  0.00  0.00 0.00 10.00
    """)


def test_business_days_follow_the_stores_clock_around_midnight_and_the_change_to_summer_time(handmade):
    assert handmade("fct_orders", "order_id placed_at business_day due_day") == by_hand("""
        1  2026-03-08T04:59:59 2026-03-07 2026-03-09
        2  2026-03-08T05:00:00 2026-03-08 2026-03-10
        3  2026-03-09T03:59:59 2026-03-08 -
        4  2026-03-09T04:00:00 2026-03-09 2026-03-10
        5  2026-03-08T18:00:00 2026-03-08 -
        8  2026-03-31T22:30:00 2026-04-01 2026-04-02
        9  2026-04-16T01:00:00 2026-04-15 2026-04-16
        10 2026-05-05T15:00:00 2026-05-05 -
        11 2026-04-15T16:00:00 2026-04-15 -
    """)


def test_an_order_counts_parcels_that_left_and_were_not_cancelled(handmade):
    assert handmade(
        "fct_orders", "order_id units_shipped units_shipped_on_time first_shipped_at last_delivered_at"
    ) == by_hand("""
        1  3 1 2026-03-09T04:30:00 2026-03-13T23:00:00
        2  0 0 -                   -
        3  0 0 -                   -
        4  0 0 -                   -
        5  0 0 -                   -
        8  2 2 2026-04-01T22:30:00 -
        9  3 0 2026-04-16T15:00:00 -
        10 0 0 -                   -
        11 0 0 -                   -
    """)


def test_order_lines_carry_their_own_cancellations_and_returns(handmade):
    assert handmade(
        "fct_order_lines",
        "order_id line_no product_id business_day quantity cancelled_quantity unit_price unit_cost gmv cancelled_value "
        "discounts tax_amount returned_quantity returns_value net_sales net_units first_shipped_day",
    ) == by_hand("""
        1  1 1 2026-03-07 3 1 10.00  4.1234 30.00 10.00 2.00 1.60 1 9.00  9.00 1 2026-03-09
        1  2 2 2026-03-07 1 0 25.00 12.0000 25.00  0.00 0.00 2.00 0 0.00 25.00 1 2026-03-11
        2  1 1 2026-03-08 1 0 10.01  4.1234 10.01  0.00 0.00 0.80 0 0.00 10.01 1 -
        4  1 2 2026-03-09 2 2 25.00 12.0000 50.00 50.00 0.00 4.00 0 0.00  0.00 0 -
        5  1 1 2026-03-08 1 1 10.00  4.1234 10.00 10.00 0.00 0.80 0 0.00  0.00 0 -
        8  1 2 2026-04-01 2 0 20.00 12.0000 40.00  0.00 4.00 0.00 1 0.00 36.00 1 2026-04-02
        9  1 1 2026-04-15 3 0 10.00  4.1234 30.00  0.00 0.00 0.00 0 0.00 30.00 3 2026-04-16
        10 1 1 2026-05-05 1 0 10.00  4.1234 10.00  0.00 0.00 0.00 0 0.00 10.00 1 -
        11 1 3 2026-04-15 2 1 10.00 50.0000 20.00 10.00 0.00 0.00 2 10.00 0.00 -1 -
    """)


def test_payments_count_once_captured_on_the_day_the_money_moved(handmade):
    assert handmade(
        "fct_payments", "payment_id order_id kind amount captured_amount business_day is_return_refund"
    ) == by_hand("""
        101  1  charge 51.60  51.60 2026-03-08 no
        102  1  refund  9.72  -9.72 2026-04-17 yes
        103  1  refund  3.00  -3.00 2026-03-20 no
        104  1  refund 25.00   0.00 -          yes
        201  2  charge 10.81   0.00 -          no
        401  4  charge 56.00  56.00 2026-03-09 no
        402  4  refund 56.00 -56.00 2026-03-10 no
        501  5  charge 10.80  10.80 2026-03-08 no
        502  5  refund 10.80   0.00 -          no
        801  8  charge 40.00  40.00 2026-04-01 no
        802  8  refund  6.00  -6.00 2026-04-02 no
        901  9  charge 35.00  35.00 2026-04-15 no
        1001 10 charge 10.00   0.00 2026-05-05 no
        1002 10 charge 10.00  10.00 2026-05-05 no
        1003 10 refund  3.00   0.00 2026-05-06 no
        1004 10 refund 12.00 -12.00 2026-05-06 no
        1101 11 charge 10.00  10.00 2026-04-15 no
        1102 11 refund 10.00 -10.00 2026-04-28 yes
    """)


def test_a_shipment_is_on_time_up_to_the_very_moment_promised(handmade):
    assert handmade(
        "fct_shipments",
        "shipment_id order_id store_id currency units business_day due_day is_due is_on_time is_delivered_on_time",
    ) == by_hand("""
        11  1  1 USD 1 2026-03-09 2026-03-09 yes yes yes
        12  1  2 USD 2 2026-03-11 2026-03-09 yes no  no
        13  1  1 USD 1 2026-03-08 2026-03-09 no  yes -
        21  2  1 USD 1 -          2026-03-10 yes no  -
        41  4  1 USD 0 -          2026-03-10 no  no  -
        81  8  2 EUR 2 2026-04-02 2026-04-02 yes yes -
        91  9  1 USD 3 2026-04-16 2026-04-16 yes no  -
        101 10 2 USD 0 -          -          no  no  -
    """)


def test_a_return_belongs_to_the_day_the_money_went_back_and_to_the_day_its_line_first_shipped(handmade):
    assert handmade(
        "fct_returns",
        "return_id order_id line_no product_id currency is_received is_refunded refunded_at business_day "
        "ship_cohort_day refund_amount",
    ) == by_hand("""
        1 1 1 1 USD yes yes 2026-04-18T03:30:00 2026-04-17 2026-03-09  9.00
        2 9 2 - USD yes yes 2026-04-20T12:00:00 2026-04-20 2026-04-16 12.50
        3 9 1 1 USD yes no  -                   -          2026-04-16 10.00
        4 8 1 2 EUR yes yes 2026-05-31T22:00:00 2026-06-01 2026-04-02 -
        5 1 2 2 USD no  no  -                   -          2026-03-11 25.00
        7 11 1 3 USD yes yes 2026-04-28T15:00:00 2026-04-28 -         10.00
    """)


def test_daily_sales_books_orders_when_placed_and_refunds_when_given(handmade):
    assert handmade(
        "daily_sales",
        "business_day store_id currency orders cancelled_orders units_ordered gmv cancelled_value discounts "
        "returns_value net_sales shipping_charged shipping_refunded net_revenue tax_total",
    ) == by_hand("""
        2026-03-07 1 USD 1 0 4 55.00 10.00 2.00  0.00  43.00 5.00  0.00  48.00 3.60
        2026-03-08 1 USD 3 1 2 20.01 10.00 0.00  0.00  10.01 0.00  0.00  10.01 0.80
        2026-03-09 1 USD 1 1 2 50.00 50.00 0.00  0.00   0.00 0.00  0.00   0.00 0.00
        2026-03-20 1 USD 0 0 0  0.00  0.00 0.00  0.00   0.00 0.00  3.00  -3.00 0.00
        2026-04-01 2 EUR 1 0 2 40.00  0.00 4.00  0.00  36.00 6.00  0.00  42.00 0.00
        2026-04-02 2 EUR 0 0 0  0.00  0.00 0.00  0.00   0.00 0.00  6.00  -6.00 0.00
        2026-04-15 1 USD 2 0 5 50.00 10.00 0.00  0.00  40.00 0.00  0.00  40.00 0.00
        2026-04-17 1 USD 0 0 0  0.00  0.00 0.00  9.00  -9.00 0.00  0.00  -9.00 0.00
        2026-04-20 1 USD 0 0 0  0.00  0.00 0.00 12.50 -12.50 0.00  0.00 -12.50 0.00
        2026-04-28 1 USD 0 0 0  0.00  0.00 0.00 10.00 -10.00 0.00  0.00 -10.00 0.00
        2026-05-05 1 USD 1 0 1 10.00  0.00 0.00  0.00  10.00 0.00  0.00  10.00 0.00
        2026-05-06 1 USD 0 0 0  0.00  0.00 0.00  0.00   0.00 0.00 12.00 -12.00 0.00
        2026-06-01 2 EUR 0 0 0  0.00  0.00 0.00  0.00   0.00 0.00  0.00   0.00 0.00
    """)


def test_aov_and_cancellation_rate_round_the_exact_quotient_half_up_and_are_null_over_nothing(handmade):
    assert handmade("daily_sales", "business_day aov cancellation_rate") == by_hand("""
        2026-03-07 43.00 0.0000
        2026-03-08  5.01 0.3333
        2026-03-09 -     1.0000
        2026-03-20 -     -
        2026-04-01 36.00 0.0000
        2026-04-02 -     -
        2026-04-15 20.00 0.0000
        2026-04-17 -     -
        2026-04-20 -     -
        2026-04-28 -     -
        2026-05-05 10.00 0.0000
        2026-05-06 -     -
        2026-06-01 -     -
    """)


def test_fill_rate_on_time_rate_and_return_rate(handmade):
    assert handmade(
        "fulfilment_daily",
        "business_day store_id units_ordered units_shipped_on_time fill_rate shipments_due shipments_on_time "
        "on_time_rate units_shipped units_returned return_rate",
    ) == by_hand("""
        2026-03-09 1 4 1 0.2500 1 1 1.0000 1 1 1.0000
        2026-03-09 2 0 0 -      1 0 0.0000 0 0 -
        2026-03-10 1 3 0 0.0000 1 0 0.0000 0 0 -
        2026-03-11 2 0 0 -      0 0 -      2 0 0.0000
        2026-04-02 2 2 2 1.0000 1 1 1.0000 2 1 0.5000
        2026-04-16 1 3 0 0.0000 1 0 0.0000 3 2 0.6667
    """)


def test_retention_and_lifetime_value_of_a_cohort(handmade):
    assert handmade(
        "customer_cohorts",
        "cohort_month months_since_first currency cohort_customers active_customers retention net_sales "
        "cumulative_net_sales ltv",
    ) == by_hand("""
        2026-03-01 0 USD 2 2 1.0000 43.00 43.00 21.50
        2026-03-01 1 EUR 2 1 0.5000 36.00 36.00 18.00
        2026-03-01 1 USD 2 1 0.5000  8.50 51.50 25.75
        2026-03-01 3 EUR 2 0 0.0000  0.00 36.00 18.00
        2026-05-01 0 USD 1 1 1.0000 10.00 10.00 10.00
    """)


@pytest.mark.parametrize(
    ("day", "cover"),
    [
        # Orders of the last 28 days, the day included: order 1 of 7 March counts up to 3 April, order 9 from 15 April.
        ("2026-04-03", ["1 1 2 140.00", "1 2 1 252.00", "1 3 0 -", "2 2 1 -56.00"]),
        ("2026-04-04", ["1 1 1 280.00", "1 2 0 -", "1 3 0 -", "2 2 1 -56.00"]),
        ("2026-04-15", ["1 1 3 93.33", "1 2 0 -", "1 3 -1 -", "2 2 1 -56.00"]),
        ("2026-04-28", ["1 1 3 93.33", "1 2 0 -", "1 3 -1 -", "2 2 1 -56.00"]),
        ("2026-04-29", ["1 1 3 93.33", "1 2 0 -", "1 3 -1 -", "2 2 0 -"]),
    ],
)
def test_inventory_cover_divides_what_is_available_by_28_days_of_net_demand(handmade, day, cover):
    columns = "store_id product_id net_units_28d inventory_cover_days"
    assert handmade("fct_inventory_daily", columns, dt.date.fromisoformat(day)) == by_hand("\n".join(cover))


def test_stock_is_below_the_reorder_point_only_when_less_is_available(handmade):
    columns = "business_day store_id product_id on_hand reserved available reorder_point is_below_reorder_point"
    assert handmade("fct_inventory_daily", columns) == by_hand("""
        2026-04-03 1 1 12 2 10 10 no
        2026-04-03 1 2  9 0  9 10 yes
        2026-04-03 1 3  4 0  4  0 no
        2026-04-03 2 2  5 7 -2  0 yes
    """)


def test_payments_reconcile_to_a_state(handmade):
    assert handmade(
        "payment_reconciliation",
        "order_id grand_total amount_due charged refunded net_paid returns_value difference state",
    ) == by_hand("""
        1  51.60 51.60 51.60 12.72  38.88  9.00   0.00 balanced
        2  10.81 10.81  0.00  0.00   0.00  0.00 -10.81 unpaid
        3   0.00  0.00  0.00  0.00   0.00  0.00   0.00 balanced
        4  56.00  0.00 56.00 56.00   0.00  0.00   0.00 balanced
        5  10.80  0.00 10.80  0.00  10.80  0.00  10.80 refund_missing
        8  42.00 42.00 40.00  6.00  34.00  0.00  -2.00 underpaid
        9  30.00 30.00 35.00  0.00  35.00 12.50   5.00 overpaid
        10 10.00 10.00 10.00 12.00  -2.00  0.00   0.00 over_refunded
        11 10.00 10.00 10.00 10.00   0.00 10.00   0.00 balanced
    """)


def test_a_customer_has_the_orders_that_count(handmade):
    assert handmade("dim_customers", "customer_id is_deleted first_order_day last_order_day orders") == by_hand("""
        1 no  2026-03-07 2026-04-01 2
        2 no  2026-03-08 2026-04-15 3
        3 no  2026-05-05 2026-05-05 1
        4 yes -          -          0
    """)


def test_what_has_ended_is_not_active(handmade):
    assert handmade("dim_products", "product_id is_active") == by_hand("1 yes\n2 no\n3 no")
    assert handmade("dim_stores", "store_id is_open") == by_hand("1 yes\n2 no")
    assert handmade("dim_employees", "employee_id is_employed") == by_hand("1 yes\n2 no")
    assert handmade("dim_suppliers", "supplier_id is_active") == by_hand("1 yes\n2 no")


def test_the_calendar_is_whole_and_knows_iso_weeks(handmade):
    days = handmade(
        "dim_dates",
        "date_day year quarter month month_start month_name iso_week day_of_month iso_weekday weekday_name is_weekend",
    )
    assert (days[0][0], days[-1][0], len(days)) == ("1970-01-01", "2069-12-31", 100 * 365 + 25)
    assert [day for day in days if day[0] in {"2026-08-30", "2027-01-01"}] == by_hand("""
        2026-08-30 2026 3 8 2026-08-01 August  35 30 7 Sunday yes
        2027-01-01 2027 1 1 2027-01-01 January 53  1 5 Friday no
    """)


@pytest.mark.parametrize("mart", GRAIN)
def test_every_mart_has_its_grain_as_a_key_and_in_order(marts, mart):
    rows, keys, unknown = marts.sql(f"""
        select count(*), count(distinct ({", ".join(GRAIN[mart])})),
            count(*) filter (where {" or ".join(f"{column} is null" for column in GRAIN[mart])}) from {mart}
    """).fetchall()[0]
    assert rows == keys > 0
    assert unknown == 0
    key = marts.sql(f"select {', '.join(GRAIN[mart])} from {mart}").fetchall()
    assert key == sorted(key)


ORDERS = "select currency, {} from fct_orders group by all"
MONEY = "sum(gmv), sum(cancelled_value), sum(discounts), sum(returns_value), sum(net_sales)"
SHIPPING = "sum(shipping_charged), sum(shipping_refunded), sum(net_revenue)"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(
            ORDERS.format(f"count(*), sum(is_cancelled::int), sum(units_ordered), {MONEY}, {SHIPPING}"),
            f"select currency, sum(orders), sum(cancelled_orders), sum(units_ordered), {MONEY}, {SHIPPING} "
            "from daily_sales group by all",
            id="daily_sales are the orders, each amount on its day",
        ),
        pytest.param(
            ORDERS.format("sum(tax_total) filter (where not is_cancelled)"),
            "select currency, sum(tax_total) from daily_sales group by all",
            id="daily tax is that of the orders not cancelled",
        ),
        pytest.param(
            "select order_id, line_count, units_ordered, units_cancelled, gmv, cancelled_value, discounts "
            "from fct_orders where line_count > 0",
            "select order_id, count(*), sum(quantity), sum(cancelled_quantity), sum(gmv), sum(cancelled_value), "
            "sum(discounts) from fct_order_lines group by all",
            id="an order is its lines",
        ),
        pytest.param(
            "select order_id, returns_value from fct_orders where returns_value <> 0",
            "select order_id, sum(refund_amount) from fct_returns where is_refunded group by all "
            "having sum(refund_amount) <> 0",
            id="an order's returns value is its returns, those of lost lines too",
        ),
        pytest.param(
            "select order_id, line_no, returned_quantity, returns_value from fct_order_lines "
            "where returned_quantity > 0",
            "select order_id, line_no, sum(quantity), sum(coalesce(refund_amount, 0)) from fct_returns "
            "where is_refunded and product_id is not null group by all",
            id="a line's returns are its returns",
        ),
        pytest.param(
            "select order_id, shipping_refunded from fct_orders where shipping_refunded <> 0",
            "select order_id, -sum(captured_amount) from fct_payments join fct_orders using (order_id) "
            "where kind = 'refund' and not is_return_refund and not is_cancelled group by all "
            "having sum(captured_amount) <> 0",
            id="shipping refunded is every captured refund without a return",
        ),
        pytest.param(
            "select order_id, units_shipped, units_shipped_on_time from fct_orders where units_shipped > 0",
            "select order_id, sum(units), coalesce(sum(units) filter (where is_on_time), 0) from fct_shipments "
            "where shipped_at is not null and status <> 'cancelled' group by all having sum(units) > 0",
            id="an order's shipped units are those of its shipments",
        ),
        pytest.param(
            "select business_day, store_id, shipments_due, shipments_on_time from fulfilment_daily "
            "where shipments_due > 0",
            "select due_day, store_id, count(*), count(*) filter (where is_on_time) from fct_shipments where is_due "
            "group by all",
            id="shipments due are the shipments of that day",
        ),
        pytest.param(
            "select business_day, store_id, units_shipped from fulfilment_daily where units_shipped > 0",
            "select business_day, store_id, sum(units) from fct_shipments "
            "where shipped_at is not null and status <> 'cancelled' group by all having sum(units) > 0",
            id="units shipped are those of that day's parcels",
        ),
        pytest.param(
            "select business_day, store_id, units_ordered, units_shipped_on_time from fulfilment_daily "
            "where units_ordered > 0",
            "select due_day, store_id, sum(units_ordered), sum(units_shipped_on_time) from fct_orders "
            "where due_day is not null group by all having sum(units_ordered) > 0",
            id="units ordered are those of the orders due",
        ),
        pytest.param(
            "select business_day, sum(units_returned) from fulfilment_daily group by all "
            "having sum(units_returned) > 0",
            "select ship_cohort_day, sum(quantity) from fct_returns where is_received and ship_cohort_day is not null "
            "group by all",
            id="units returned are those of the ship cohort",
        ),
        pytest.param(
            "select currency, sum(net_sales) from customer_cohorts group by all",
            "select o.currency, sum(o.net_sales) from fct_orders as o join dim_customers as c using (customer_id) "
            "where c.orders > 0 group by all",
            id="cohorts bring in the net sales of the customers who ever ordered",
        ),
        pytest.param(
            "select sum(cohort_customers) from (select distinct cohort_month, cohort_customers from customer_cohorts)",
            "select count(*) from dim_customers where orders > 0",
            id="every customer who ever ordered is in one cohort",
        ),
        pytest.param(
            "select order_id, net_paid from payment_reconciliation where net_paid <> 0",
            "select order_id, sum(captured_amount) from fct_payments group by all having sum(captured_amount) <> 0",
            id="what an order was paid is its captured payments",
        ),
    ],
)
def test_marts_agree(marts, one, other):
    left, right = marts.sql(f"{one} order by all").fetchall(), marts.sql(f"{other} order by all").fetchall()
    assert left
    assert left == right


@pytest.mark.parametrize("mart", GRAIN)
def test_no_mart_holds_a_float_or_a_timestamp_with_a_zone(marts, mart):
    types = {row[1] for row in marts.sql(f"describe {mart}").fetchall()}
    assert not types & {"DOUBLE", "FLOAT", "TIMESTAMP WITH TIME ZONE"}


AT = dt.datetime(2026, 3, 8, 4, 59, 59, 999_999)


@pytest.fixture
def table() -> pa.Table:
    return pa.table(
        {
            "order_id": pa.array([1, 1, 2]),
            "line_no": pa.array([1, 2, 1], pa.int32()),
            "net_sales": pa.array([Decimal("0.10"), Decimal("99999999999999.99"), None], pa.decimal128(18, 2)),
            "status": ["paid", "", None],
            "placed_at": pa.array([AT, AT, None], pa.timestamp("us")),
        },
        metadata={"grain": "order_id,line_no"},
    )


def changed(table: pa.Table, column: str, values: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(column), column, values)


def test_equal_rows_have_no_differences_in_any_order_of_rows_and_columns_or_width_of_numbers(table):
    assert differences(table, table.take([2, 0, 1]).select(table.column_names[::-1])) == []
    wide = changed(table, "net_sales", table["net_sales"].cast(pa.decimal128(38, 4)))
    assert differences(table, changed(wide, "line_no", table["line_no"].cast(pa.int64()))) == []


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        (
            "net_sales",
            pa.array([Decimal("0.11"), Decimal("99999999999999.98"), Decimal(0)], pa.decimal128(18, 2)),
            "net_sales differs (3 rows): order_id=1, line_no=1 expected 0.10 found 0.11; order_id=1, line_no=2 "
            "expected 99999999999999.99 found 99999999999999.98; order_id=2, line_no=1 expected null found 0.00",
        ),
        (
            "status",
            pa.array(["paid ", None, ""]),
            "status differs (3 rows): order_id=1, line_no=1 expected 'paid' found 'paid '; order_id=1, line_no=2 "
            "expected '' found null; order_id=2, line_no=1 expected null found ''",
        ),
        (
            "placed_at",
            pa.array([AT, AT - dt.timedelta(microseconds=1), None], pa.timestamp("us")),
            "placed_at differs (1 rows): order_id=1, line_no=2 expected 2026-03-08 04:59:59.999999 found "
            "2026-03-08 04:59:59.999998",
        ),
        ("net_sales", pa.array([0.10, 1.0, None]), "column net_sales is double, expected exact number"),
        (
            "placed_at",
            pa.nulls(3, pa.timestamp("us", "UTC")),
            "column placed_at is timestamp with time zone, expected timestamp",
        ),
    ],
)
def test_a_changed_value_is_named_with_its_row(table, column, values, message):
    assert differences(table, changed(table, column, values)) == [message]


def test_missing_extra_and_repeated_rows_are_named(table):
    assert differences(table, table.slice(1)) == ["missing (1 rows): order_id=1, line_no=1"]
    assert differences(table.slice(1), table) == ["not expected (1 rows): order_id=1, line_no=1"]
    assert differences(table, pa.concat_tables([table, table.slice(2)])) == [
        "found more than once (1 rows): order_id=2, line_no=1"
    ]


def test_missing_and_extra_columns_are_named_also_when_the_key_is_among_them(table):
    assert differences(table, table.drop_columns("status").append_column("note", pa.nulls(3))) == [
        "column status is missing",
        "column note is not expected",
    ]
    assert differences(table, table.drop_columns("line_no")) == ["column line_no is missing"]


def test_many_differences_are_counted_and_only_the_first_named():
    rows = pa.table({"order_id": range(200_000)}, metadata={"grain": "order_id"})
    assert differences(rows, rows.filter(pc.greater_equal(rows["order_id"], 1000))) == [
        "missing (1000 rows): order_id=0; order_id=1; order_id=2; order_id=3; order_id=4"
    ]
