"""What the pipeline costs in Snowflake: credits per asset and day. Reads the two views of `ops`, and nothing else.

Every statement carries a tag that names its asset; the views (deploy/snowflake) hold credits by tag, and by warehouse.
What a warehouse was billed beyond its statements is idle time: it runs on for a minute after the last of them.
"""

import base64
import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final

from oms_pipeline.errors import CalendarError
from oms_pipeline.settings import SnowflakeLogin
from oms_pipeline.warehouse.base import LAYERS, WAREHOUSE_COST, WAREHOUSE_COST_COLUMNS
from oms_pipeline.warehouse.snowflake_login import connect

LATENCY: Final = "Snowflake tells credits up to eight hours late, so that the newest figures may still grow."
LATE: Final = dt.timedelta(days=1)
"""How much later than a day its credits are all told."""
_DASHBOARDS: Final = ("dashboards", "metabase", "report", "(untagged on oms_dashboards)")
_CHART_WIDTH: Final = 720
_LABEL_WIDTH: Final = 260
_BAR_HEIGHT: Final = 22


@dataclass(frozen=True)
class AssetCost:
    """Credits of one asset on one day.

    Attributes:
        day: The day they were spent, in UTC.
        asset: Asset key such as `marts/fct_orders`; in parentheses what has no tag.
        queries: Statements that used the warehouse.
        credits: Credits for running them.
    """

    day: dt.date
    asset: str
    queries: int
    credits: float


@dataclass(frozen=True)
class DayCost:
    """What the warehouses were billed for one day, in UTC.

    Attributes:
        day: The day.
        billed: Credits for the time they ran.
        cloud_services: Credits for cloud services; billed only beyond a tenth of the account's compute of the day.
        idle: Credits of `billed` in which no statement ran.
    """

    day: dt.date
    billed: float
    cloud_services: float
    idle: float


@dataclass(frozen=True)
class CostReport:
    """Credits of a range of days.

    Attributes:
        assets: By day, then the most expensive first.
        days: By day.
    """

    assets: Sequence[AssetCost]
    days: Sequence[DayCost]

    @property
    def billed(self) -> float:
        """Credits billed for warehouses."""
        return sum(day.billed for day in self.days)

    @property
    def idle(self) -> float:
        """Credits billed while no statement ran."""
        return sum(day.idle for day in self.days)

    def by_asset(self) -> list[tuple[str, float]]:
        """(Asset, credits) over all days, the most expensive first."""
        credits: dict[str, float] = {}
        for cost in self.assets:
            credits[cost.asset] = credits.get(cost.asset, 0.0) + cost.credits
        return sorted(credits.items(), key=lambda item: (-item[1], item[0]))

    def since(self, first: dt.date) -> "CostReport":
        """The same of `first` and later days."""
        return CostReport(
            [cost for cost in self.assets if cost.day >= first], [cost for cost in self.days if cost.day >= first]
        )

    def by_purpose(self) -> dict[tuple[dt.date, str], float]:
        """(Day, what for) → credits: a layer, `dashboards`, `other`, or `idle`; only where there are some."""
        spent: dict[tuple[dt.date, str], float] = {}
        idle = [(day.day, "idle", day.idle) for day in self.days]
        for day, purpose, credits in [*((a.day, _purpose(a.asset), a.credits) for a in self.assets), *idle]:
            spent[day, purpose] = spent.get((day, purpose), 0.0) + credits
        return {key: credits for key, credits in sorted(spent.items()) if round(credits, 6) > 0}

    def markdown(self) -> str:
        """The same as Markdown tables."""
        assets = [f"| {a.day} | {a.asset} | {a.queries} | {a.credits:.4f} |" for a in self.assets]
        days = [f"| {d.day} | {d.billed:.4f} | {d.idle:.4f} | {d.cloud_services:.4f} |" for d in self.days]
        return "\n".join(
            [
                "| day (UTC) | asset | statements | credits |",
                "| --- | --- | ---: | ---: |",
                *assets,
                "",
                "| day (UTC) | billed | of it idle | cloud services |",
                "| --- | ---: | ---: | ---: |",
                *days,
            ]
        )


def query_credits_sql(database: str, first: dt.date, last: dt.date) -> str:
    """Columns SPENT_ON, ASSET, QUERIES, CREDITS; one row per day and asset."""
    return (
        "select spent_on, coalesce(asset, '(untagged on ' || lower(warehouse_name) || ')') as asset, "
        "sum(queries) as queries, sum(credits) as credits "
        f"from {database.lower()}.ops.query_credits where {_spent_between(first, last)} group by 1, 2"
    )


def warehouse_credits_sql(database: str, first: dt.date, last: dt.date) -> str:
    """Columns SPENT_ON, COMPUTE_CREDITS, CLOUD_SERVICES_CREDITS; one row per day."""
    return (
        "select spent_on, sum(compute_credits) as compute_credits, "
        "sum(cloud_services_credits) as cloud_services_credits "
        f"from {database.lower()}.ops.warehouse_credits where {_spent_between(first, last)} group by 1"
    )


def cost_report(
    query_credits: Sequence[Mapping[str, Any]], warehouse_credits: Sequence[Mapping[str, Any]]
) -> CostReport:
    """Credits by asset and by day.

    Args:
        query_credits: Rows of `query_credits_sql`.
        warehouse_credits: Rows of `warehouse_credits_sql`.
    """
    costs = [
        AssetCost(
            day=row["SPENT_ON"],
            asset=row["ASSET"],
            queries=int(row["QUERIES"]),
            credits=float(row["CREDITS"] or 0),
        )
        for row in query_credits
    ]
    by_day = {cost.day: 0.0 for cost in costs} | {row["SPENT_ON"]: 0.0 for row in warehouse_credits}
    attributed, billed, services = dict(by_day), dict(by_day), dict(by_day)
    for cost in costs:
        attributed[cost.day] += cost.credits
    for row in warehouse_credits:
        billed[row["SPENT_ON"]] += float(row["COMPUTE_CREDITS"] or 0)
        services[row["SPENT_ON"]] += float(row["CLOUD_SERVICES_CREDITS"] or 0)
    return CostReport(
        assets=sorted(costs, key=lambda cost: (cost.day, -cost.credits, cost.asset)),
        # The two views are late by different times, so that for a while more may be attributed than is billed.
        days=[
            DayCost(day, billed[day], services[day], max(0.0, billed[day] - attributed[day])) for day in sorted(by_day)
        ],
    )


def read_cost(login: SnowflakeLogin, first: dt.date, last: dt.date, run_id: str = "") -> CostReport:
    """The credits spent from `first` to `last`, included.

    Raises:
        CalendarError: `last` is before `first`.
        WarehouseError: Snowflake cannot be read.
    """
    if last < first:
        raise CalendarError(f"The range starts on {first} and ends on {last}. Put the earlier day first.")
    from snowflake.connector import DictCursor

    tag = json.dumps({"run_id": run_id, "asset": "ops/warehouse_cost", "day": str(last)})
    tables: list[list[dict[str, Any]]] = []
    with connect(login) as connection, connection.cursor(DictCursor) as cursor:
        for sql in (query_credits_sql(login.database, first, last), warehouse_credits_sql(login.database, first, last)):
            cursor.execute(sql, _statement_params={"QUERY_TAG": tag})
            tables.append([dict(row) for row in cursor.fetchall()])
    return cost_report(*tables)


def record_cost_sql(report: CostReport) -> list[str]:
    """Statements that put a report's days into `WAREHOUSE_COST`, in place of what was told of them before.

    Args:
        report: What was spent; a day of which nothing is told stays as it is.
    """
    spent = report.by_purpose()
    if not spent:
        return []
    days = ", ".join(f"date '{day}'" for day in sorted({day for day, _ in spent}))
    rows = ", ".join(f"(date '{day}', '{purpose}', {credits:.6f})" for (day, purpose), credits in spent.items())
    return [
        f"delete from {WAREHOUSE_COST} where spent_on in ({days})",
        f"insert into {WAREHOUSE_COST} ({', '.join(WAREHOUSE_COST_COLUMNS)}) values {rows}",
    ]


def chart(report: CostReport) -> str:
    """Bars of credits per asset, as a Markdown image with the picture in it; empty where nothing was spent."""
    bars = report.by_asset()
    if report.idle:
        bars.append(("(idle)", report.idle))
    if not bars:
        return ""
    highest = max(credits for _, credits in bars) or 1.0
    space = _CHART_WIDTH - _LABEL_WIDTH - 90
    rows = []
    for number, (label, credits) in enumerate(bars):
        top, width = number * _BAR_HEIGHT, max(1.0, space * credits / highest)
        text = f'y="{top + 15}" font-family="sans-serif" font-size="12" fill="#5f6b7a"'
        rows.append(
            f'<text x="{_LABEL_WIDTH - 8}" {text} text-anchor="end">{escape(label)}</text>'
            f'<rect x="{_LABEL_WIDTH}" y="{top + 3}" width="{width:.1f}" height="{_BAR_HEIGHT - 6}" fill="#4f43dd"/>'
            f'<text x="{_LABEL_WIDTH + width + 6:.1f}" {text}>{credits:.4f}</text>'
        )
    height = len(bars) * _BAR_HEIGHT
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_CHART_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_CHART_WIDTH} {height}">{"".join(rows)}</svg>'
    )
    return f"![credits per asset](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"


def _purpose(asset: str) -> str:
    layer = asset.partition("/")[0]
    if layer in _DASHBOARDS:
        return "dashboards"
    return layer if layer in LAYERS else "other"


def _spent_between(first: dt.date, last: dt.date) -> str:
    return f"spent_on >= '{first}'::date and spent_on < '{last + dt.timedelta(days=1)}'::date"
