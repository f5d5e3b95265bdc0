"""The same day on a short and on a long history: what a day costs must not grow with the years before it."""

import datetime as dt
from collections.abc import Callable, Mapping
from pathlib import Path

import duckdb

from oms_pipeline_tests.bench.business import FIRST_DAY, Home, Source, live, open_source
from oms_pipeline_tests.bench.day import day_piece
from oms_pipeline_tests.bench.measure import Sample, ratio, take_turns
from oms_pipeline_tests.bench.report import Comparison, Report

ORDERS_PER_DAY = 1_000
LONG, SHORT = 365, 22
STEPS = ("raw", "external", "staging", "intermediate", "marts", "tests")
CHILDREN = ("returns", "shipment_items", "shipments", "payments", "order_items")


def measure(cache: Path, runs: int, scale: float, tell: Callable[[str], None]) -> Report:
    """Measures the section."""
    orders, days, few = (max(round(n * scale), 4) for n in (ORDERS_PER_DAY, LONG, SHORT))
    day = FIRST_DAY + dt.timedelta(days=days)
    short_start = day - dt.timedelta(days=few)

    def build(source: Source) -> None:
        live(source, orders, days=days + 1, tell=tell)
        tell(f"forgetting what did not change in the last {few} days")
        _copy_without_history(source, short_start)

    source = open_source(cache / f"history-{orders}x{days}", build)
    long, short = Home(source, "long", FIRST_DAY), Home(source.database("short"), "short", short_start)
    for home in (long, short):

        def load(home: Home = home) -> None:
            last = f"{day - dt.timedelta(days=1)}"
            tell(f"loading {home.first_day} to {last}")
            home.do("land_days", first=f"{home.first_day}", last=last)
            home.do("run_oms", arguments=["backfill", "--from", f"{home.first_day}", "--to", last])

        home.keep("before", load)
    names = {short.name: f"after {few} days", long.name: f"after {days} days"}
    samples = take_turns([day_piece(home, names[home.name], day) for home in (short, long)], runs, tell)

    def compared(step: str) -> Comparison:
        return Comparison(
            step,
            ratio(samples, lambda s: _step(s[names["long"]], step), lambda s: _step(s[names["short"]], step)),
            "×",
            1.2,
        )

    rows = {home.name: _rows(home) for home in (short, long)}
    return Report(
        "history",
        f"history: one day of {orders:,} orders after {few} and after {days} days",
        samples,
        [
            Comparison("orders in the marts, long : short", rows["long"] / rows["short"], "×", 10, at_least=True),
            *(compared(step) for step in STEPS),
        ],
        breakdown={
            f"{name}, {step}": sorted(_step(sample, step) for sample in samples[name])[runs // 2]
            for step in STEPS
            for name in names.values()
        },
    )


def _step(sample: Sample, step: str) -> float:
    seconds: Mapping[str, float] = sample.facts["steps"] | sample.facts["layers"]
    return seconds[step]


def _rows(home: Home) -> int:
    with duckdb.connect(str(home.database), read_only=True) as warehouse:
        counted = warehouse.execute(
            "select estimated_size from duckdb_tables() where schema_name = 'marts' and table_name = 'fct_orders'"
        ).fetchall()
    return int(counted[0][0])


def _copy_without_history(source: Source, start: dt.date) -> None:
    """Makes the database `short`: the same, without the orders of which nothing changed since `start`."""
    source.database("template1").execute("create database short template postgres")
    alive = " union ".join(
        f"select order_id from {table} where updated_at >= timestamptz '{start} 00:00+00'"
        for table in ("orders", "order_items", "payments", "shipments", "returns")
    )
    source.database("short").execute(
        f"create table alive as {alive}",
        *(f"delete from {table} where order_id not in (select order_id from alive)" for table in (*CHILDREN, "orders")),
        "delete from customers where customer_id not in (select customer_id from orders where customer_id is not null)",
        "drop table alive",
        "vacuum (full, analyze)",
    )
