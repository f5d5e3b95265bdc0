"""A dashboard's file means what it says, and every mistake in it is told in one line, with its place."""

from pathlib import Path

import duckdb
import pytest
from sqlfluff.core import FluffConfig, Linter

from oms_pipeline.dashboards import FILTERS, Card, Chart, load_dashboards
from oms_pipeline.dashboards.columns import check_columns
from oms_pipeline.dashboards.sources import known_columns, relations_of
from oms_pipeline.errors import DashboardError

SALES = """
title: Sales
question: How much?
position: 1
filters: [period, currency]
datasets:
  sales:
    sql: |
      select business_day, currency, orders, net_sales
      from marts.daily_sales
    filters: {period: business_day, currency: currency}
    measures:
      net_sales: {label: Net sales, sum: net_sales, format: money, description: All of it.}
      value: {label: Value, sum: net_sales, over: orders, format: money, description: Per order.}
      orders: {label: Orders, sum: orders, format: count, description: All of them.}
cards:
  - name: total
    title: Net sales
    question: How much?
    dataset: sales
    measures: [net_sales]
    chart: number
    place: {row: 0, column: 0, width: 12, height: 3}
  - name: by_day
    title: By day
    question: When?
    dataset: sales
    dimensions: [business_day]
    measures: [orders]
    chart: bar
    place: {row: 0, column: 12, width: 12, height: 3}
"""


def load(folder: Path, old: str = "", new: str = "") -> tuple[Card, ...]:
    assert old in SALES
    (folder / "sales.yml").write_text(SALES.replace(old, new, 1) if old else SALES, encoding="utf-8")
    dashboards = load_dashboards(folder)
    check_columns(dashboards)
    return dashboards[0].cards


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "marts.daily_sales",
            "marts.daily_sale",
            "sales.yml: datasets sales: there is no marts.daily_sale. Known are:",
        ),
        ("marts.daily_sales", "staging.stg_oms__orders", "datasets sales: there is no staging.stg_oms__orders"),
        ("from marts.daily_sales", "", "datasets sales: its sql reads no mart"),
        ("orders, net_sales\n", "orders, net_saless\n", "datasets sales: Column 'net_saless' could not be resolved"),
        ("orders, net_sales\n", "orders\n", "its sql gives no net_sales, which filters or cards need. Select it."),
        ("select business_day", "selec business_day", "sales.yml: datasets sales: "),
        ("currency: currency}", "currency: null}", "card total: it shows money: map the filter currency"),
        (", currency: currency}", "}", "datasets sales: filter currency has no column. Map it"),
        (
            "period: business_day,",
            "period: business_day, store: x,",
            "filter store is not among the dashboard's filters",
        ),
        ("[period, currency]", "[period, country]", "sales.yml: there is no filter country. Known are: period, store,"),
        ("chart: bar", "chart: pie", "card by_day: there is no chart pie. Known are: number, line,"),
        ("chart: bar", "chart: stacked_bar", "card by_day: a stacked_bar takes 2 dimensions, not 1"),
        ("format: count", "format: euro", "measures orders: there is no format euro"),
        ("measures: [orders]", "measures: [order]", "card by_day: there is no measure order. Known are: net_sales,"),
        (
            "measures: [orders]",
            "measures: [net_sales, value]",
            "card by_day: a bar with these dimensions takes one measure",
        ),
        ("dataset: sales", "dataset: sale", "card total: there is no data set sale"),
        ("name: by_day", "name: total", "card total: there is another card of this name"),
        ("name: by_day", "name: By day", "'By day' is no name"),
        ("column: 12,", "column: 11,", "card by_day: it overlaps total on the grid. Move one of them."),
        ("column: 12,", "column: 13,", "card by_day: it ends at column 25, the grid at 24. Make it narrower."),
        ("column: 12,", "column: -1,", "place has a row or column below 0"),
        ("height: 3}", "height: tall}", "place takes whole numbers"),
        ("    title: By day\n", "", "card by_day: title is missing. Add it."),
        ("    title: By day\n", "    titel: By day\n    title: By day\n", "titel is not known here. Take it out"),
        ("position: 1", "position: first", "sales.yml: position is to be a number"),
        ("title: Sales", "title: Sales\ntitle: Sold", "'title' is there twice"),
        ("title: Sales", "title: [", "sales.yml cannot be read"),
        (
            "from marts.daily_sales",
            "from marts.daily_sales, marts.nope",
            "datasets sales: there is no marts.nope. Known",
        ),
        ("marts.daily_sales", 'marts.daily_sales cross join "raw".orders', "there is no raw.orders. Known are:"),
        ("marts.daily_sales", "daily_sales", "datasets sales: there is no daily_sales. Known are:"),
        ("marts.daily_sales", "read_csv('/etc/passwd')", "datasets sales: there is no READ_CSV('/etc/passwd'). Known"),
        ("marts.daily_sales", "marts.daily_sales;", "datasets sales: its sql is to be one SELECT without a semicolon."),
        (
            "marts.daily_sales",
            "marts.daily_sales; select 1",
            "its sql is to be one SELECT without a semicolon. Take out",
        ),
        ("select business_day, currency, orders, net_sales\n     ", "delete", "its sql is to be one SELECT"),
        ("marts.daily_sales", "marts.daily_sales where (true", "its sql cannot be read: Expecting )"),
        (
            "select business_day",
            "select 'today' as business_day",
            "business_day is text, and the filter period compares",
        ),
        (
            "currency, orders",
            "currency, currency as orders",
            "orders is text, and a measure adds it up. Make it a number.",
        ),
        (
            "currency, orders",
            "currency, orders > 1 as orders",
            "orders is boolean, and a measure adds it up. Make it a",
        ),
        ("chart: bar", "chart: bar\n    limit: -1", "card by_day: limit is to be a whole number from 1."),
        ("chart: bar", "chart: bar\n    limit: 1.5", "card by_day: limit is to be a whole number from 1."),
        ("measures: [orders]", "measures: []", "card by_day: it has no measure. Name one of the data set's."),
        (
            "measures: [orders]",
            "measures: [orders, orders]",
            "card by_day: measures names orders twice. Once is enough.",
        ),
        ("[period, currency]", "[period, period]", "sales.yml: filters names period twice. Once is enough."),
        ("    measures:\n", "    days: 0\n    measures:\n", "datasets sales: days is not known here. Take it out"),
    ],
)
def test_a_mistake_is_told_in_one_line_with_its_place(tmp_path: Path, old: str, new: str, told: str) -> None:
    with pytest.raises(DashboardError) as error:
        load(tmp_path, old, new)
    assert told in str(error.value)
    assert "\n" not in str(error.value)
    assert str(error.value).endswith(".")


def test_a_data_set_that_no_card_uses_is_told_of(tmp_path: Path) -> None:
    unused = "  other:\n    sql: select 1 as one from marts.dim_dates\n    filters: {period: null, currency: null}\n    measures: {}\ncards:"
    with pytest.raises(DashboardError, match="no card uses data set other"):
        load(tmp_path, "cards:", unused)


def test_everything_that_a_select_reads_is_told_however_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "sales.yml").write_text(
        SALES.replace(
            "select business_day, currency, orders, net_sales\n      from marts.daily_sales",
            "with days as (select date_day from marts.dim_dates where extract(year from date_day) > 2000)\n"
            "      select business_day, currency, orders, net_sales from Marts.Daily_Sales as s, days\n"
            "      where store_id in (select store_id from marts.dim_stores) -- from marts.dim_products",
        ),
        encoding="utf-8",
    )
    assert load_dashboards(tmp_path)[0].relations == ("marts.daily_sales", "marts.dim_dates", "marts.dim_stores")


def test_personal_columns_are_not_there_to_be_shown(tmp_path: Path) -> None:
    assert "email" not in known_columns()["marts"]["dim_customers"]
    with pytest.raises(DashboardError, match="email"):
        load(
            tmp_path,
            "select business_day, currency, orders, net_sales\n      from marts.daily_sales",
            "select c.email, d.business_day, d.currency, d.orders, d.net_sales\n"
            "      from marts.daily_sales as d cross join marts.dim_customers as c",
        )


def test_an_amount_is_grouped_by_its_currency_and_a_number_of_things_is_not(tmp_path: Path) -> None:
    total, by_day = load(tmp_path)
    assert total.group_by == ("currency",)
    assert by_day.group_by == ("business_day",)


def test_a_card_becomes_one_select_with_the_filters_in_the_readers_syntax(tmp_path: Path) -> None:
    total, by_day = load(tmp_path)
    assert total.sql(lambda each, column: f"[[and {column} = {{{{{each.name}}}}}]]") == (
        "select\n    currency,\n    sum(net_sales) as net_sales\nfrom (\n"
        "    select business_day, currency, orders, net_sales\n    from marts.daily_sales\n) as sales\n"
        "where true\n    [[and business_day = {{period}}]]\n    [[and currency = {{currency}}]]\n"
        "group by currency\norder by currency"
    )
    assert by_day.sql().endswith("where true\ngroup by business_day\norder by business_day")


@pytest.mark.parametrize(("orders", "value"), [((1, 3), 5.0), ((1, -1), None), ((1, -2), None), ((None, None), None)])
def test_a_ratio_is_a_ratio_of_sums_and_nothing_unless_there_is_something_to_divide_by(
    tmp_path: Path, orders: tuple[int | None, ...], value: float | None
) -> None:
    total, _ = load(tmp_path, "measures: [net_sales]", "measures: [value]")
    with duckdb.connect() as connection:
        connection.execute("create schema marts")
        connection.execute(
            "create table marts.daily_sales (business_day date, currency varchar, orders integer, net_sales decimal(18, 2))"
        )
        for number in orders:
            connection.execute("insert into marts.daily_sales values (date '2026-03-01', 'EUR', ?, 10)", [number])
        assert connection.sql(total.sql()).fetchall() == [("EUR", value)]


@pytest.mark.parametrize("name", ["our-sales", "our sales", "Sales"])
def test_a_file_whose_name_could_not_be_told_again_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.yml").write_text(SALES, encoding="utf-8")
    with pytest.raises(DashboardError, match=f"{name}.yml: '{name}' is no name. Use lower case, digits and _"):
        load_dashboards(tmp_path)


def test_a_ranking_starts_with_the_largest_whoever_runs_it(tmp_path: Path) -> None:
    _, by_day = load(tmp_path, "chart: bar", "chart: ranking\n    limit: 3")
    assert by_day.sql().endswith("order by orders desc nulls last, business_day\nlimit 3")


def test_the_dashboards_of_the_project_are_sound_and_complete() -> None:
    dashboards = load_dashboards()
    check_columns(dashboards)
    assert [dashboard.title for dashboard in dashboards] == [
        "Sales", "Fulfilment", "Customers", "Returns", "Inventory", "Pipeline health"
    ]  # fmt: skip
    assert {each.name for dashboard in dashboards for each in dashboard.filters} == set(FILTERS)
    assert {card.chart for dashboard in dashboards for card in dashboard.cards} == set(Chart)


@pytest.mark.parametrize("dialect", ["snowflake", "postgres"])
def test_every_data_set_is_sql_that_the_others_know_too(dialect: str) -> None:
    linter = Linter(config=FluffConfig(overrides={"dialect": dialect}))
    for dashboard in load_dashboards():
        for card in {card.dataset.name: card for card in dashboard.cards}.values():
            sql = card.sql(lambda _, column: f"and {column} is not null")
            parsed = linter.parse_string(f"{sql};\n")
            assert parsed.violations == [], (dashboard.name, card.name)
            assert parsed.tree is not None
            assert not [*parsed.tree.recursive_crawl("unparsable")], (dashboard.name, card.name)


def test_what_a_data_set_names_itself_is_no_relation_however_it_is_spelled() -> None:
    sql = "with Costs as (select * from ops.warehouse_cost) select * from costs join Marts.Dim_Stores as s on true"
    assert relations_of(sql) == ("marts.dim_stores", "ops.warehouse_cost")
