"""A fat day of order lines from PostgreSQL to Parquet: this project, pandas, dlt, and PostgreSQL's own limit."""

import datetime as dt
import re
import shutil
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

from oms_pipeline import sample
from oms_pipeline.calendar import day_window
from oms_pipeline.contract import load_contract
from oms_pipeline.source.queries import select_window
from oms_pipeline_tests.bench.business import FIRST_DAY, Source, live, open_source
from oms_pipeline_tests.bench.measure import Piece, middle, ratio, take_turns
from oms_pipeline_tests.bench.report import Comparison, Report

ORDER_LINES = 3_000_000
FAT_DAY = FIRST_DAY + dt.timedelta(days=2)
RELATION = "bench.order_items"
DECIMALS = ("unit_price", "unit_cost", "discount_amount", "tax_amount")
LIMIT, OURS, PANDAS, DLT = "COPY to nowhere", "oms", "pandas", ("dlt pyarrow", "dlt connectorx")


def measure(cache: Path, runs: int, scale: float, tell: Callable[[str], None]) -> Report:
    """Measures the section."""
    lines = max(round(ORDER_LINES * scale), 3_000)
    source = open_source(cache / f"extraction-{lines}", lambda source: _build(source, lines, tell))
    source.execute(f"create or replace view {RELATION} as {_plain_query()}")
    totals = source.execute(f"select count(*) as n, {_sums('::text')} from {RELATION}")[0]
    out = source.folder / "out"

    def emptied() -> None:
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()

    def piece(name: str, function: str, **arguments: Any) -> Piece:
        return Piece(
            name,
            function,
            {"dsn": source.dsn, **arguments},
            {"RUNTIME__DLTHUB_TELEMETRY": "false", "DLT_DATA_DIR": str(source.folder / "dlt")},
            prepare=emptied,
            examine=(lambda: {}) if name == LIMIT else lambda: _examine(out, totals),
            server=source.server,
        )

    pieces = [
        piece(LIMIT, "copy_to_nowhere", queries=[f"select * from {RELATION}"]),
        piece(OURS, "land_order_items", day=FAT_DAY.isoformat(), folder=str(out)),
        piece(PANDAS, "pandas_to_parquet", relation=RELATION, folder=str(out)),
        *(piece(name, "dlt_to_parquet", relation=RELATION, backend=name.split()[1], folder=str(out)) for name in DLT),
    ]
    samples = take_turns(pieces, runs, tell)

    def inexact(name: str) -> float:
        return float(max(sample.facts["inexact_columns"] for sample in samples[name]))

    return Report(
        "extraction",
        f"extraction: {lines:,} order lines of one day, PostgreSQL to Parquet",
        samples,
        [
            Comparison(
                "oms : COPY to nowhere", ratio(samples, lambda s: s[OURS].seconds, lambda s: s[LIMIT].seconds), "×", 1.5
            ),
            Comparison(
                "pandas : oms", ratio(samples, lambda s: s[PANDAS].seconds, lambda s: s[OURS].seconds), "×", 4, True
            ),
            Comparison(
                "best dlt : oms",
                ratio(samples, lambda s: min(s[name].seconds for name in DLT), lambda s: s[OURS].seconds),
                "×",
                1,
                at_least=True,
            ),
            Comparison("oms, peak memory", middle(samples[OURS], lambda sample: sample.peak_mb), "MB", 300),
            Comparison("oms, decimal columns that are not exact", inexact(OURS), "of 4", 0),
            *(Comparison(f"{name}, the same", inexact(name), "of 4", 0) for name in (PANDAS, *DLT)),
        ],
    )


def _build(source: Source, lines: int, tell: Callable[[str], None]) -> None:
    live(source, orders_per_day=100, days=(FAT_DAY - FIRST_DAY).days, tell=tell)
    tell(f"making a day of {lines:,} order lines")
    sample.fat_day(source.dsn, FAT_DAY, lines)
    # Everybody gets the plan that this project asks for.
    source.execute(
        "alter database postgres set enable_seqscan = off",
        "alter database postgres set jit = off",
        "create schema bench",
    )


def _plain_query() -> str:
    """The project's own query of the day's order lines, with numbers as the numbers they are."""
    contract = load_contract()
    window = day_window(FAT_DAY, ZoneInfo("UTC"))
    query = select_window(
        contract["order_items"], {}, "public", window.starts_at, window.ends_at, contract["orders"].cursor
    )
    return re.sub(r'::text as "\w+"', "", query)


def _sums(cast: str) -> str:
    return ", ".join(f"sum({column}){cast} as {column}" for column in DECIMALS)


def _examine(out: Path, totals: Mapping[str, Any]) -> Mapping[str, Any]:
    """Rows, size, and how many decimal columns do not hold the source's sums to the cent, as decimals.

    Raises:
        RuntimeError: Rows are missing.
    """
    files = [str(path) for path in out.rglob("*.parquet") if "state" not in path.parts]
    types = ", ".join(f"typeof(any_value({column})) as {column}_type" for column in DECIMALS)
    found = duckdb.sql(
        f"select count(*) as n, {_sums('::varchar')}, {types} from read_parquet({files})"
    ).to_arrow_table()
    row = found.to_pylist()[0]
    if row["n"] != totals["n"]:
        raise RuntimeError(f"{out} holds {row['n']} rows of {totals['n']}.")
    exact = [
        row[f"{column}_type"].startswith("DECIMAL") and Decimal(row[column]) == Decimal(totals[column])
        for column in DECIMALS
    ]
    return {"inexact_columns": exact.count(False), "megabytes": sum(Path(file).stat().st_size for file in files) / 1e6}
