"""A year in one run, against one day and the year's bare SQL; and whether memory grows with the days."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

from oms_pipeline_tests.bench.business import FIRST_DAY, Home, live, open_source
from oms_pipeline_tests.bench.day import breakdown, day_piece, keep_registered, sql_piece
from oms_pipeline_tests.bench.measure import Piece, Sample, middle, ratio, take_turns
from oms_pipeline_tests.bench.report import Comparison, Report

ORDERS_PER_DAY = 100
DAYS, FEW_DAYS = 365, 36


def measure(cache: Path, runs: int, scale: float, tell: Callable[[str], None]) -> Report:
    """Measures the section."""
    orders, days, few = (max(round(n * scale), 4) for n in (ORDERS_PER_DAY, DAYS, FEW_DAYS))
    source = open_source(
        cache / f"backfill-{orders}x{days}", lambda source: live(source, orders, days=days + 1, tell=tell)
    )
    last, day_after = FIRST_DAY + dt.timedelta(days=days - 1), FIRST_DAY + dt.timedelta(days=days)
    empty, loaded = Home(source, "empty", FIRST_DAY), Home(source, "loaded", FIRST_DAY)
    command = ["backfill", "--from", f"{FIRST_DAY}", "--to", f"{last}"]
    empty.keep("before", lambda: empty.do("parse_project"))
    keep_registered(empty, "before", FIRST_DAY, last, command, tell)

    def load() -> None:
        tell(f"loading {FIRST_DAY} to {last}")
        loaded.do("parse_project")
        loaded.do("run_oms", arguments=command)

    loaded.keep("before", load)

    def backfill(name: str, to: dt.date) -> Piece:
        return empty.piece(name, "before", "run_oms", arguments=["backfill", "--from", f"{FIRST_DAY}", "--to", f"{to}"])

    whole, part, sql, day = f"{days} days", f"{few} days", f"SQL of {days} days", "the next day"
    pieces = [
        backfill(whole, last),
        backfill(part, FIRST_DAY + dt.timedelta(days=few - 1)),
        day_piece(loaded, day, day_after),
        sql_piece(empty, sql),
    ]
    samples = take_turns(pieces, runs, tell)

    def peak(sample: Sample) -> float:
        return sample.peak_mb

    return Report(
        "backfill",
        f"backfill: {days} days of {orders} orders in one run",
        samples,
        [
            Comparison(
                f"{whole} : 10 × one day + SQL",
                ratio(samples, lambda s: s[whole].seconds, lambda s: 10 * s[day].seconds + s[sql].seconds),
                "×",
                1,
            ),
            Comparison(
                f"peak memory, {whole} : {part}", middle(samples[whole], peak) / middle(samples[part], peak), "×", 1.2
            ),
        ],
        breakdown=breakdown(samples[whole]),
    )
