"""Every card's figures, over the marts that a pipeline has built, are those of other SQL over the source.

The rows behind the cards are written a second time here, over the oracle's marts, which PostgreSQL computes from the
OMS tables alone, and where there is one, by another way to the same number. Python adds them up exactly.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

import duckdb
import pytest

from oms_pipeline import sample
from oms_pipeline.dashboards import Card, Chart, Filter, Format, headlines, load_dashboards
from oms_pipeline.dashboards.data import columns_of, encoded, read_rows, read_scope
from oms_pipeline.warehouse import LayerRun, Purpose, record_run_sql
from oms_pipeline_tests.graph.pipeline import Pipeline
from oms_pipeline_tests.oracle import GRAIN, expected
from oms_pipeline_tests.source.real_oms import SCHEMA

FIRST_DAY: Final = dt.date(2026, 2, 9)
DAYS: Final = 56
LAST: Final = FIRST_DAY + dt.timedelta(days=DAYS - 1)
STORES: Final = "join dim_stores as s on s.store_id = x.store_id"
LAST_DAY: Final = "(select max(business_day) from fct_inventory_daily)"

# An order's amounts on the day it was placed, refunds on the day of the refund: the way round by single orders.
BOOKED: Final = """
    select business_day, store_id, currency, 1 as orders, is_cancelled::int as cancelled_orders, gmv,
        gmv - cancelled_value - discounts as kept_value, discounts, 0 as returns_value, shipping_charged as shipping
    from fct_orders
    union all
    select business_day, store_id, currency, 0, 0, 0, 0, 0, coalesce(refund_amount, 0), 0
    from fct_returns where is_refunded
    union all
    select p.business_day, p.store_id, p.currency, 0, 0, 0, 0, 0, 0, p.captured_amount
    from fct_payments as p join fct_orders as o using (order_id)
    where p.kind = 'refund' and not p.is_return_refund and not o.is_cancelled
"""
FIRST_DAYS: Final = """
    select customer_id, min(business_day) as first_day, date_trunc('month', min(business_day))::date as cohort_month
    from fct_orders where not is_cancelled and customer_id is not null group by customer_id
"""
MONTHS: Final = "datediff('month', f.cohort_month, x.business_day)"

ROWS: Final[Mapping[str, str]] = {
    "sales.sales": f"""
        select x.*, s.store_name as store, s.channel, orders - cancelled_orders as kept_orders,
            kept_value - returns_value as net_sales, kept_value - returns_value + shipping as net_revenue
        from ({BOOKED}) as x {STORES}
    """,
    "sales.lines": f"""
        select x.*, s.store_name as store, s.channel, p.category
        from fct_order_lines as x {STORES} join dim_products as p using (product_id)
    """,
    "sales.payments": f"""
        select x.*, s.store_name as store, s.channel, 1 as orders
        from payment_reconciliation as x {STORES} where difference <> 0 or refunded > charged
    """,
    "fulfilment.fulfilment": f"""
        select x.*, s.store_name as store, s.channel from (
            select due_day as business_day, store_id, units_ordered, units_shipped_on_time,
                0 as shipments_due, 0 as shipments_on_time, 0 as shipments_late, 0 as units_shipped
            from fct_orders where due_day is not null
            union all
            select due_day, store_id, 0, 0, 1, is_on_time::int, (not is_on_time)::int, 0
            from fct_shipments where is_due
            union all
            select business_day, store_id, 0, 0, 0, 0, 0, units
            from fct_shipments where business_day is not null and status <> 'cancelled'
        ) as x {STORES}
        where business_day <= {LAST_DAY}
    """,
    "fulfilment.deliveries": f"""
        select x.*, s.store_name as store, s.channel, 1 as delivered, x.is_delivered_on_time::int as delivered_on_time
        from fct_shipments as x {STORES} where x.delivered_at is not null and x.promised_delivery_on is not null
    """,
    "customers.orders": f"""
        select x.*, s.store_name as store, s.channel, 1 as orders,
            case when x.customer_id is null then 'Guests'
                when x.business_day > f.first_day then 'Returning customers' else 'New customers' end as buyers
        from fct_orders as x {STORES} left join ({FIRST_DAYS}) as f using (customer_id) where x.status <> 'cancelled'
    """,
    "customers.retention": f"""
        select f.cohort_month, {MONTHS} as months_since_first, count(distinct x.customer_id) as retained_customers,
            (select count(*) from ({FIRST_DAYS}) as g where g.cohort_month = f.cohort_month) as cohort_customers
        from fct_orders as x join ({FIRST_DAYS}) as f using (customer_id) where not x.is_cancelled group by all
    """,
    "customers.lifetime": f"""
        with spent as (
            select f.cohort_month, {MONTHS} as months, x.currency, sum(x.net_sales) as net_sales from (
                select customer_id, business_day, currency, gmv - cancelled_value - discounts as net_sales
                from fct_orders where not is_cancelled
                union all
                select o.customer_id, r.business_day, r.currency, -coalesce(r.refund_amount, 0)
                from fct_returns as r join fct_orders as o using (order_id) where r.is_refunded
            ) as x join ({FIRST_DAYS}) as f using (customer_id) group by all
        )
        select here.cohort_month, here.months as months_since_first, here.currency,
            (select count(*) from ({FIRST_DAYS}) as g where g.cohort_month = here.cohort_month) as cohort_customers,
            (select sum(net_sales) from spent as b where b.cohort_month = here.cohort_month
                and b.currency = here.currency and b.months <= here.months) as cumulative_net_sales
        from spent as here where months >= 0
    """,
    "customers.cohorts": f"select cohort_month, count(*) as cohort_customers from ({FIRST_DAYS}) group by all",
    "returns.refunds": f"""
        select x.*, s.store_name as store, s.channel, coalesce(p.category, 'Line deleted since') as category,
            if(x.restocked, x.quantity, 0) as restocked_quantity
        from (select * replace (coalesce(refund_amount, 0) as refund_amount) from fct_returns) as x {STORES}
        left join dim_products as p using (product_id) where x.status = 'refunded'
    """,
    "returns.shipped": f"""
        select x.*, s.store_name as store, s.channel, units_shipped, units_returned
        from fulfilment_daily as x {STORES} where business_day <= {LAST_DAY}
    """,
    "inventory.stock": f"""
        select x.on_hand, x.reserved, x.on_hand - x.reserved as available, x.net_units_28d,
            (x.on_hand - x.reserved) * 28 as available_28_days, s.store_name as store, s.channel, p.category, p.currency,
            (x.on_hand - x.reserved < x.reorder_point)::int as below_reorder_point,
            (x.on_hand <= x.reserved)::int as out_of_stock, (x.on_hand * p.unit_cost)::decimal(18, 2) as stock_value
        from fct_inventory_daily as x {STORES} join dim_products as p using (product_id)
    """,
    "inventory.reorder": f"""
        select s.store_name as store, s.channel, p.product_name as product, p.sku, x.available, x.reorder_point,
            x.reorder_point - x.available as short, x.available * 28 as available_28_days, x.net_units_28d
        from fct_inventory_daily as x {STORES} join dim_products as p using (product_id)
        where x.available < x.reorder_point and p.discontinued_at is null and p.deleted_at is null
    """,
}  # fmt: skip


@dataclass(frozen=True)
class Run:
    """A run as it is recorded: layer → rows and seconds."""

    name: str
    first: dt.date
    last: dt.date
    done_at: dt.datetime
    layers: Mapping[str, tuple[int, float]]


# A backfill, a day, the same day again, and a run by hand that touched no mart: seconds that are exact as doubles.
RUNS: Final = [
    Run("a", FIRST_DAY, LAST - dt.timedelta(days=1), dt.datetime(2026, 4, 5, 2, tzinfo=dt.UTC),
        {"raw": (7000, 1.5), "external": (7000, 0.25), "staging": (7000, 4.0), "marts": (900, 32.5)}),
    Run("b", LAST, LAST, dt.datetime(2026, 4, 6, 2, tzinfo=dt.UTC), {"raw": (70, 0.5), "marts": (910, 2.25)}),
    Run("c", LAST, LAST, dt.datetime(2026, 4, 6, 9, 30, tzinfo=dt.UTC), {"raw": (71, 0.75), "marts": (911, 2.0)}),
    Run("d", LAST, LAST, dt.datetime(2026, 4, 6, 10, tzinfo=dt.UTC), {"staging": (71, 1.0)}),
]  # fmt: skip
COSTS: Final = [
    (LAST - dt.timedelta(days=9), "marts", Decimal("0.004600")),
    (LAST, "marts", Decimal("0.044444")),
    (LAST, "idle", Decimal("0.016666")),
]


def of_the_pipeline() -> dict[str, list[dict[str, Any]]]:
    """The rows of Pipeline health: what was recorded, not how the data sets ask for it."""
    return {
        "pipeline_health.freshness": [{"days_behind": (dt.datetime.now(dt.UTC).date() - LAST).days}],
        "pipeline_health.runs": [
            {
                "finished_at": run.done_at.replace(tzinfo=None), "first_day": run.first, "last_day": run.last,
                "layer": layer, "row_count": rows, "seconds": seconds,
                "rows_landed": rows if layer == "raw" else 0, "runs": int(layer == "marts"),
            }
            for run in RUNS for layer, (rows, seconds) in run.layers.items()
        ],
        "pipeline_health.cost": [
            {"spent_on": day, "spent_for": purpose, "credits": credits} for day, purpose, credits in COSTS
        ],
    }  # fmt: skip


CARDS: Final = [
    pytest.param(f"{dashboard.name}.{card.dataset.name}", card, id=f"{dashboard.name}-{card.name}")
    for dashboard in load_dashboards()
    for card in dashboard.cards
]

Figures = dict[tuple[Any, ...], list[Fraction | None]]


@pytest.fixture(scope="module")
def business(new_pipeline: Callable[..., Pipeline]) -> Pipeline:
    """Eight weeks in one run: refunds come weeks after the order."""
    pipeline = new_pipeline(FIRST_DAY)
    sample.open_business(pipeline.oms.dsn, SCHEMA, FIRST_DAY, 30, 7, pipeline.timezone)
    pipeline.oms.execute(f"update {SCHEMA}.stores set store_name = 'Joe''s' where store_id = 3")
    last = pipeline.simulate(DAYS)
    assert last == LAST
    pipeline.load(FIRST_DAY, last)
    with pipeline.warehouse.open(Purpose("test")) as session:
        for run in RUNS:
            window = pipeline.window(run.first, run.last)
            layers = [LayerRun(layer, *done) for layer, done in run.layers.items()]
            session.execute(record_run_sql(run.name, "daily_oms", window, run.done_at, run.done_at, layers))
        for cost in COSTS:
            session.execute(f"insert into ops.warehouse_cost values (date '{cost[0]}', '{cost[1]}', {cost[2]})")
    return pipeline


@pytest.fixture(scope="module")
def last_day() -> dt.date:
    return LAST


@pytest.fixture(scope="module")
def rows(business: Pipeline, last_day: dt.date) -> dict[str, list[dict[str, Any]]]:
    """Data set → its rows, from the source."""
    with duckdb.connect() as connection:
        for mart in GRAIN:
            connection.register("rows", expected(business.oms.dsn, mart, SCHEMA, last_day))
            connection.execute(f"create table {mart} as from rows")
        of_the_business = {name: connection.sql(sql).to_arrow_table().to_pylist() for name, sql in ROWS.items()}
    return {**of_the_business, **of_the_pipeline()}


@pytest.fixture(scope="module")
def query(business: Pipeline) -> Iterator[Any]:
    with business.warehouse.reading(Purpose("test")) as query:
        yield query


def added_up(card: Card, rows: list[dict[str, Any]], chosen: Mapping[str, Any]) -> Figures:
    """The card's figures by group, of the rows that the choice lets through, exactly."""
    figures: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        if all(
            card.dataset.filters[name] is None or lets(row[card.dataset.filters[name]]) for name, lets in chosen.items()
        ):
            figures.setdefault(tuple(row[column] for column in card.group_by), []).append(row)
    if not card.group_by:
        figures.setdefault((), [])

    def total(group: list[dict[str, Any]], column: str) -> Fraction | None:
        values = [Fraction(row[column]) for row in group if row[column] is not None]
        return sum(values, Fraction()) if values else None

    def figure(group: list[dict[str, Any]], numerator: str, denominator: str | None) -> Fraction | None:
        top = total(group, numerator)
        if denominator is None or top is None:
            return top
        over = total(group, denominator)
        return top / over if over is not None and over > 0 else None

    return {key: [figure(group, m.numerator, m.denominator) for m in card.measures] for key, group in figures.items()}


def assert_same(card: Card, found: Figures, wanted: Figures) -> None:
    """Sums to the last digit; a quotient, which DuckDB computes as a double, to twelve."""
    assert found.keys() == wanted.keys()
    for key, figures in wanted.items():
        for measure, one, other in zip(card.measures, found[key], figures, strict=True):
            if measure.denominator is None or one is None or other is None:
                assert one == other, (key, measure.name)
            else:
                assert abs(one - other) <= abs(other) / 10**12, (key, measure.name)


def answered(card: Card, query: Any, chosen: Mapping[str, str]) -> list[tuple[tuple[Any, ...], list[Fraction | None]]]:
    """Groups and figures of the card's own SQL, in its order; `chosen` has a condition per filter."""

    def clause(each: Filter, column: str) -> str:
        return f"and {column} {chosen[each.name]}" if each.name in chosen else ""

    return [
        (
            tuple(row[column] for column in card.group_by),
            [None if row[m.name] is None else Fraction(row[m.name]) for m in card.measures],
        )
        for row in query(card.sql(clause)).to_pylist()
    ]


@pytest.mark.parametrize(("dataset", "card"), CARDS)
def test_a_cards_figures_are_those_of_the_source(
    query: Any, rows: dict[str, list[dict[str, Any]]], last_day: dt.date, dataset: str, card: Card
) -> None:
    half = last_day - dt.timedelta(days=6)
    choices: list[tuple[dict[str, str], dict[str, Any]]] = [
        ({}, {}),
        (
            {"period": f">= date '{half}'", "channel": "= 'online'", "currency": "= 'EUR'"},
            {"period": lambda on: on >= half, "channel": lambda name: name == "online", "currency": lambda code: code == "EUR"},
        ),
        ({"store": "= 'Joe''s'"}, {"store": lambda name: name == "Joe's"}),
    ]  # fmt: skip
    for conditions, lets in choices:
        wanted = added_up(
            card, rows[dataset], {name: let for name, let in lets.items() if name in card.dataset.filters}
        )
        found = answered(card, query, conditions)
        if card.limit is not None:
            assert len(found) == min(card.limit, len(wanted))
            wanted = {key: wanted[key] for key, _ in found}
        assert_same(card, dict(found), wanted)
    assert any(value is not None for figures in added_up(card, rows[dataset], {}).values() for value in figures)
    if (store := card.dataset.filters.get("store")) is not None:
        assert "Joe's" in {row[store] for row in rows[dataset]}


@pytest.mark.parametrize(
    ("dataset", "card"),
    [
        card
        for card in CARDS
        if card.values[1].chart in (Chart.RANKING, Chart.TABLE) and not card.values[1].newest_first
    ],
)
def test_the_largest_come_first(query: Any, rows: dict[str, list[dict[str, Any]]], dataset: str, card: Card) -> None:
    figures = [values[0] for _, values in answered(card, query, {})]
    known = [figure for figure in figures if figure is not None]
    assert known == sorted(known, reverse=True)
    assert figures[: len(known)] == known
    everything = [values[0] for values in added_up(card, rows[dataset], {}).values() if values[0] is not None]
    assert known[:1] == [pytest.approx(max(everything), rel=1e-12)]


def test_the_newest_run_comes_first(query: Any) -> None:
    (card,) = [param.values[1] for param in CARDS if param.id == "pipeline_health-latest_runs"]
    finished = [key[0] for key, _ in answered(card, query, {})]
    assert finished == sorted(finished, reverse=True)
    assert finished[0] == dt.datetime(2026, 4, 6, 10)


def test_the_cover_of_a_product_in_a_store_is_the_marts(query: Any, last_day: dt.date) -> None:
    (card,) = [param.values[1] for param in CARDS if param.id == "inventory-reorder"]
    at = [measure.name for measure in card.measures].index("cover")
    found = {key: figures[at] for key, figures in answered(replace(card, limit=None), query, {})}
    rows = query(
        "select product_name, sku, store_name, inventory_cover_days from marts.fct_inventory_daily"
        " join marts.dim_stores using (store_id) join marts.dim_products using (product_id)"
        f" where is_below_reorder_point and is_active and business_day = date '{last_day}'"
    ).to_pylist()
    wanted = {(row["product_name"], row["sku"], row["store_name"]): row["inventory_cover_days"] for row in rows}
    assert found.keys() == wanted.keys()
    for key, days in wanted.items():
        one = found[key]
        assert (one is None) == (days is None), key
        assert one is None or abs(one - Fraction(days)) <= Fraction("0.005"), key


def test_what_the_page_carries_adds_up_to_every_cards_figures(query: Any, last_day: dt.date) -> None:
    for dashboard in load_dashboards():
        read = read_rows(dashboard, query, last_day)
        for card in dashboard.cards:
            carried = read[card.dataset.name]
            added = columns_of(dashboard, card.dataset)[1]
            columns = encoded(carried, added)["columns"]
            plain = [
                {
                    name: column["distinct"][column["codes"][number]] if "codes" in column
                    else None if column["values"][number] is None else Fraction(column["values"][number], 10 ** column["scale"])
                    for name, column in columns.items()
                }
                for number in range(carried.table.num_rows)
            ]  # fmt: skip
            found = {
                tuple(map(as_text, key)): values
                for key, values in answered(card, query, {"period": f"<= date '{last_day}'"})
            }
            wanted = {tuple(map(as_text, key)): values for key, values in added_up(card, plain, {}).items()}
            if card.limit is not None:
                wanted = {key: wanted[key] for key in found}
            assert_same(card, found, wanted)


def as_text(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return value.isoformat(" ", timespec="seconds")
    return value.isoformat() if isinstance(value, dt.date) else value


def test_the_scope_is_the_newest_day_and_the_currency_of_most_orders(
    business: Pipeline, query: Any, last_day: dt.date
) -> None:
    scope = read_scope(query)
    assert scope.through == last_day
    with business.oms.connection() as connection, connection.cursor() as cursor:
        cursor.execute(
            f"select currency from {SCHEMA}.orders where status <> 'draft' and not is_test group by 1 order by count(*) desc"
        )
        assert scope.currency == cursor.fetchone()[0]


def test_headlines_compare_a_day_with_the_same_weekday_before(
    query: Any, rows: dict[str, list[dict[str, Any]]], last_day: dt.date
) -> None:
    found = headlines(query, last_day)
    week_before = last_day - dt.timedelta(days=7)
    for number in [each for each in found if each.label == "Net sales"]:
        for value, on in ((number.value, last_day), (number.before, week_before)):
            of_day = [r for r in rows["sales.sales"] if r["business_day"] == on and r["currency"] == number.currency]
            assert value == (sum(row["net_sales"] for row in of_day) if of_day else None)
    assert {each.currency for each in found if each.format is Format.MONEY} == {"EUR", "GBP", "JPY", "USD"}
    (orders,) = [each for each in found if each.label == "Orders"]
    assert orders.value == sum(row["orders"] for row in rows["sales.sales"] if row["business_day"] == last_day)
