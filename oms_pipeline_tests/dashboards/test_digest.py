"""The small picture of a run: one bar per day, each in its place."""

import base64
import datetime as dt
import re

import duckdb
import pytest

from oms_pipeline.dashboards import digest
from oms_pipeline.dashboards.data import Query
from oms_pipeline.dashboards.digest import DAYS, WIDTH, _digest_cards, _drawn, pictures, preview

LAST = dt.date(2026, 3, 28)
SALES = """
create schema marts;
create table marts.dim_stores as select 1 as store_id, 'Store 1' as store_name, 'online' as channel;
create table marts.daily_sales as
select
    date '2026-03-01' + cast(n as integer) as business_day, 1 as store_id, 'EUR' as currency, 1 as orders,
    0 as cancelled_orders, 10 as gmv, 0 as cancelled_value, 0 as discounts, 0 as returns_value,
    10 * (n + 1) as net_sales, 10 as net_revenue
from range(28) as t(n)
"""


def asked(connection: duckdb.DuckDBPyConnection) -> Query:
    return lambda sql: connection.sql(sql).to_arrow_table()


def bars(*without: int) -> dict[int, float]:
    """Place of a bar → its height, for four weeks of sales but for some days of the month."""
    with duckdb.connect() as connection:
        connection.execute(SALES)
        for day in without:
            connection.execute(f"delete from marts.daily_sales where business_day = date '2026-03-{day:02}'")
        picture = preview(asked(connection), LAST)
    svg = base64.b64decode(picture.partition("base64,")[2].partition(")")[0]).decode()
    found = re.findall(r'<rect x="([\d.]+)" y="[\d.]+" width="[\d.]+" height="([\d.]+)"', svg)
    return {int(float(x) // (WIDTH / DAYS)): float(height) for x, height in found}


def test_a_day_without_sales_is_a_gap_and_moves_no_other_day() -> None:
    whole = bars()
    assert len(whole) == DAYS
    assert bars(1, 10) == {**whole, 0: 0.0, 9: 0.0}


def test_on_a_day_without_sales_the_area_goes_down_to_nothing() -> None:
    (card,) = [card for card in _digest_cards() if card.name == "net_sales_by_day"]
    with duckdb.connect() as connection:
        connection.execute(SALES)
        connection.execute("delete from marts.daily_sales where business_day in (date '2026-03-10', date '2026-03-11')")
        connection.execute("insert into marts.dim_stores values (2, 'Store 2', 'in_store')")
        connection.execute(
            "insert into marts.daily_sales by name select * replace (2 as store_id) from marts.daily_sales"
            " where business_day < date '2026-03-05'"
        )
        ((_, _, spec),) = _drawn(asked(connection), LAST, [card])
    points = {(point["x"], point["series"]): point["value"] for point in spec["data"]["values"]}
    assert [points[f"2026-03-{day:02}", "Online"] for day in (9, 10, 11, 12)] == [90, 0, 0, 120]
    assert [points[f"2026-03-{day:02}", "In store"] for day in (4, 5, 28)] == [40, 0, 0]
    assert len(points) == 2 * DAYS
    assert [point["x"] for point in spec["data"]["values"]] == sorted(x for x, _ in points)


def test_before_the_first_order_a_picture_is_named_without_a_currency(monkeypatch: pytest.MonkeyPatch) -> None:
    (card,) = [card for card in _digest_cards() if card.name == "net_sales_by_day"]
    monkeypatch.setattr(digest, "_digest_cards", lambda: [card])
    with duckdb.connect() as connection:
        connection.execute(SALES)
        connection.execute("delete from marts.daily_sales")
        assert [picture.title for picture in pictures(asked(connection), LAST)] == ["Net sales by day"]
