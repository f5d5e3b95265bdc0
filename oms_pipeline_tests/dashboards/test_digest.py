"""The small picture of a run: one bar per day, each in its place."""

import base64
import datetime as dt
import re

import duckdb

from oms_pipeline.dashboards.digest import DAYS, WIDTH, preview

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


def bars(*without: int) -> dict[int, float]:
    """Place of a bar → its height, for four weeks of sales but for some days of the month."""
    with duckdb.connect() as connection:
        connection.execute(SALES)
        for day in without:
            connection.execute(f"delete from marts.daily_sales where business_day = date '2026-03-{day:02}'")
        picture = preview(lambda sql: connection.sql(sql).to_arrow_table(), LAST)
    svg = base64.b64decode(picture.partition("base64,")[2].partition(")")[0]).decode()
    found = re.findall(r'<rect x="([\d.]+)" y="[\d.]+" width="[\d.]+" height="([\d.]+)"', svg)
    return {int(float(x) // (WIDTH / DAYS)): float(height) for x, height in found}


def test_a_day_without_sales_is_a_gap_and_moves_no_other_day() -> None:
    whole = bars()
    assert len(whole) == DAYS
    assert bars(1, 10) == {**whole, 0: 0.0, 9: 0.0}
