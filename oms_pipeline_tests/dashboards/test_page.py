"""What the page carries: bounded, exact, and nothing that could be taken for a script."""

import datetime as dt
import json
import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from oms_pipeline.dashboards import Dashboard, Format, Headline, data, load_dashboards
from oms_pipeline.dashboards.charts import PAGE_COLOURS, Axis, axis_of, light_colours
from oms_pipeline.dashboards.data import MAX_ROWS, Rows, Scope, encoded, read_rows, read_scope, rows_sql
from oms_pipeline.dashboards.report import page, write_report
from oms_pipeline.dashboards.sources import known_columns
from oms_pipeline.errors import DashboardError

DAY = dt.date(2026, 3, 31)
# Fifty products, the more urgent the later in the alphabet.
STOCK = """
create schema marts; create schema ops;
create table ops.pipeline_runs as select date '2026-03-31' as last_day;
create table marts.dim_stores as select 1 as store_id, 'Store 1' as store_name, 'online' as channel;
create table marts.dim_products as
select
    n as product_id, 'Product ' || n as product_name, printf('SKU-%02d', n) as sku, 'Shoes' as category,
    'EUR' as currency, 1.5 as unit_cost, true as is_active
from range(1, 51) as t(n);
create table marts.fct_inventory_daily as
select
    date '2026-03-31' as business_day, 1 as store_id, n as product_id, 100 - n as on_hand, 0 as reserved,
    100 - n as available, 100 as reorder_point, true as is_below_reorder_point, 28 as net_units_28d
from range(1, 51) as t(n)
"""


def dashboard(name: str) -> Dashboard:
    return next(each for each in load_dashboards() if each.name == name)


def test_a_data_set_with_days_is_read_for_thirteen_weeks_up_to_the_newest_day() -> None:
    sales = dashboard("sales")
    sql = rows_sql(sales, sales.datasets[0], DAY)
    assert "where business_day >= date '2025-12-31' and business_day <= date '2026-03-31'" in sql
    assert sql.endswith(f"limit {MAX_ROWS + 1}")


def test_of_too_many_rows_the_oldest_days_are_left_out_whole() -> None:
    returns = dashboard("returns")
    per_day = MAX_ROWS // 3 - 1
    days = [DAY - dt.timedelta(days=number // per_day) for number in range(MAX_ROWS + 1)]

    def query(_: str) -> pa.Table:
        return pa.table({"business_day": days})

    read = read_rows(returns, query, DAY)["refunds"]
    assert read.is_cut
    assert read.first == DAY - dt.timedelta(days=2)
    assert set(read.table["business_day"].to_pylist()) == {DAY - dt.timedelta(days=number) for number in range(3)}
    assert read.table.num_rows == 3 * per_day


def test_of_too_many_products_to_order_the_most_urgent_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "MAX_ROWS", 3)
    with duckdb.connect() as connection:
        connection.execute(STOCK)
        read = read_rows(dashboard("inventory"), lambda sql: connection.sql(sql).to_arrow_table(), DAY)["reorder"]
    assert read.is_cut
    assert read.table["short"].to_pylist() == [50, 49, 48]


def test_amounts_travel_as_integers_and_texts_once() -> None:
    sales = dashboard("sales")
    table = pa.table(
        {
            "store": ["B", "A", "B", None],
            "business_day": [DAY, DAY, DAY, None],
            "net_sales": pa.array(
                [Decimal("99999999999999.99"), Decimal("-0.01"), None, Decimal(0)], pa.decimal128(38, 2)
            ),
            "orders": pa.array([1, 2, 3, None], pa.int64()),
            "seconds": [0.1, 0.2, 0.3, 1.0005],
        }
    )
    columns = encoded(Rows(sales.datasets[0], table, DAY, is_cut=False), ["net_sales", "orders", "seconds"])["columns"]
    assert columns["store"] == {"distinct": ["A", "B", None], "codes": [1, 0, 1, 2]}
    assert columns["business_day"]["distinct"] == ["2026-03-31", None]
    assert columns["net_sales"] == {"scale": 2, "values": [9999999999999999, -1, None, 0]}
    assert columns["orders"] == {"scale": 0, "values": [1, 2, 3, None]}
    assert columns["seconds"] == {"scale": 3, "values": [100, 200, 300, 1000]}


def test_the_page_has_its_data_in_one_piece_and_lets_no_other_script_run() -> None:
    returns = dashboard("returns")
    reason = "</script><script>alert(1)</script>{library}"

    def query(sql: str) -> pa.Table:
        names = re.findall(r"(\w+)(?:,|\n)", sql.removeprefix("select ").partition("from")[0] + "\n")
        values: dict[str, Any] = {
            "business_day": DAY,
            "reason": reason,
            "currency": "EUR",
            "store": "S",
            "channel": "c",
        }
        return pa.table({name: [values.get(name, Decimal("1.00") if name != "category" else "x")] for name in names})

    rows = {"returns": read_rows(returns, query, DAY)}
    scope = Scope(DAY, dt.datetime(2026, 4, 1, 1, 30), "EUR")
    html = page([returns], rows, scope, dt.datetime(2026, 4, 1, 1, 31, tzinfo=dt.UTC), "window.drawing = 1;")

    (data,) = re.findall(r'<script type="application/json" id="report-data">(.*?)</script>', html, re.DOTALL)
    content = json.loads(data)
    assert content["dashboards"][0]["datasets"]["refunds"]["columns"]["reason"]["distinct"] == [reason]
    assert html.count("<script") == 3
    assert html.count("window.drawing = 1;") == 1
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)
    assert policy is not None
    assert "default-src 'none'" in policy[1]
    assert "unsafe-eval" not in policy[1]
    assert policy[1].count("'sha256-") == 2
    assert not re.search(r'(?:src|href)="', html)


def test_a_column_that_is_not_there_is_told_before_the_warehouse_is_asked(tmp_path: Path) -> None:
    sales = dashboard("sales")
    first = replace(sales.datasets[0], sql="select nope from marts.daily_sales")

    def query(sql: str) -> pa.Table:
        raise AssertionError(sql)

    with pytest.raises(DashboardError, match=r"sales.yml: datasets sales: Column 'nope' could not be resolved"):
        write_report([replace(sales, datasets=(first,))], query, tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


def test_before_the_first_run_it_says_what_to_do() -> None:
    nothing = pa.table({"through": pa.array([None], pa.date32()), "loaded_at": pa.array([None], pa.timestamp("us"))})
    with pytest.raises(DashboardError, match="Load a day first: oms run --day D"):
        read_scope(lambda _: nothing)


@pytest.mark.parametrize(
    ("values", "axis"),
    [
        (["2026-03-01", "2026-03-02"], Axis.DAYS),
        (["2026-03-01", "2026-04-01"], Axis.MONTHS),
        (["2026-03-01"], Axis.DAYS),
        (["online", None], Axis.VALUES),
        ([0, 1], Axis.VALUES),
        ([], Axis.VALUES),
    ],
)
def test_a_dimensions_values_tell_what_it_is(values: list[Any], axis: Axis) -> None:
    assert axis_of(values) is axis


def test_pictures_have_the_pages_light_colours() -> None:
    assert light_colours().keys() == PAGE_COLOURS.keys()
    css = (Path(load_dashboards()[0].path).parent / "page.css").read_text(encoding="utf-8")
    for theme in (":root {", ':root[data-theme="dark"] {', ':root, :root[data-theme="dark"] {'):
        block = css.partition(theme)[2].partition("}")[0]
        assert set(re.findall(r"--([a-z0-9-]+):", block)) >= PAGE_COLOURS.keys(), theme


def test_no_data_set_selects_a_personal_column() -> None:
    known = known_columns()["marts"]
    assert {"email", "full_name", "phone", "city"}.isdisjoint(known["dim_customers"])
    assert "full_name" not in known["dim_employees"]


@pytest.mark.parametrize(
    ("form", "currency", "value", "before", "text", "change"),
    [
        (Format.MONEY, "EUR", "1234.5", "1000", "1,234.50 EUR", "+23.4 %"),
        (Format.MONEY, "JPY", "1234", "2468", "1,234 JPY", "−50.0 %"),
        (Format.MONEY, "KWD", "1234.5", "1234.5", "1,234.500 KWD", "+0.0 %"),
        (Format.CREDITS, None, "0.0046", "0.0023", "0.005", "+100.0 %"),
        (Format.MONEY, "EUR", "10", "-10", "10.00 EUR", "+200.0 %"),
        (Format.COUNT, None, "7", "0", "7", "–"),
        (Format.COUNT, None, "7", None, "7", "–"),
        (Format.PERCENT, None, "0.853", "0.85", "85.3 %", "+0.3 points"),
        (Format.DAYS, None, None, "3", "–", "–"),
        (Format.SECONDS, None, "61.25", "61.25", "61.2 s", "+0.0 %"),
    ],
)
def test_a_headline_reads_well(
    form: Format, currency: str | None, value: str | None, before: str | None, text: str, change: str
) -> None:
    number = Headline("Any", form, currency, *(None if each is None else Decimal(each) for each in (value, before)))
    assert (number.text, number.change) == (text, change)
