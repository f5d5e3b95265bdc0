"""Simulated businesses and what the pipeline has made of them, kept between runs. Measures nothing."""

import datetime as dt
import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from adbc_driver_postgresql import dbapi

from oms_pipeline import sample
from oms_pipeline.calendar import day_window
from oms_pipeline.contract import load_contract
from oms_pipeline.settings import PROJECT_DIR
from oms_pipeline.source.queries import select_window
from oms_pipeline_tests.bench.measure import Piece, run_piece

FIRST_DAY = dt.date(2025, 1, 1)


@dataclass(frozen=True)
class Source:
    """A database with a business that has lived some days.

    Attributes:
        folder: Where everything of it is kept.
        dsn: For any process of this machine, while this one runs.
        server: Process id of its postmaster.
    """

    folder: Path
    dsn: str
    server: int

    def execute(self, *statements: str) -> list[dict[str, Any]]:
        """Runs statements, each by itself; returns the rows of the last."""
        rows: list[dict[str, Any]] = []
        with dbapi.connect(self.dsn, autocommit=True) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
                rows = cursor.fetch_arrow_table().to_pylist() if cursor.description is not None else []
        return rows

    def database(self, name: str) -> "Source":
        """Another database of the same server."""
        return Source(self.folder, self.dsn.replace("/postgres?", f"/{name}?"), self.server)


def open_source(folder: Path, build: Callable[[Source], None]) -> Source:
    """Starts the database in a folder; the first time, `build` fills it."""
    ready = folder / "source-is-ready"
    if not ready.exists():
        shutil.rmtree(folder, ignore_errors=True)
    dsn = sample.start(folder / "postgres")
    server = int((folder / "postgres" / "postmaster.pid").read_text().split()[0])
    source = Source(folder, dsn, server)
    if not ready.exists():
        # Nothing but the piece itself may use the server while it is measured.
        source.execute("alter system set autovacuum = off", "select pg_reload_conf()")
        build(source)
        source.execute("vacuum (analyze)", "checkpoint")
        ready.touch()
    return source


def live(source: Source, orders_per_day: int, days: int, tell: Callable[[str], None]) -> None:
    """Lets a business open on `FIRST_DAY` and live."""
    sample.open_business(source.dsn, "public", FIRST_DAY, orders_per_day)
    sample.simulate(source.dsn, days, lambda day: tell(f"simulating {day}"))


@dataclass(frozen=True)
class Home:
    """An `OMS_HOME`, with states of it that can be brought back. Its path never changes: the warehouse knows its files.

    Attributes:
        source: The OMS.
        name: Tells the homes of one source apart.
        first_day: First day of the calendar.
    """

    source: Source
    name: str
    first_day: dt.date

    @property
    def folder(self) -> Path:
        """The home itself."""
        return self.source.folder / self.name / "home"

    @property
    def database(self) -> Path:
        """The warehouse file."""
        return self.folder / "oms.duckdb"

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables of a process that works in this home."""
        return {
            "OMS_PROFILE": "local",
            "OMS_HOME": str(self.folder),
            "OMS_SOURCE_URL": self.source.dsn,
            "OMS_SOURCE_SCHEMA": "public",
            "OMS_START_DATE": self.first_day.isoformat(),
            "OMS_TIMEZONE": "UTC",
            "OMS_RAW_URL": str(self.folder / "raw"),
            "OMS_DUCKDB_PATH": str(self.database),
            "DAGSTER_HOME": "",
        }

    def piece(self, name: str, state: str, function: str, **arguments: Any) -> Piece:
        """A piece that starts from a kept state."""
        return Piece(
            name,
            function,
            arguments,
            self.environment,
            prepare=lambda: self.restore(state),
            server=self.source.server,
        )

    def do(self, function: str, **arguments: Any) -> None:
        """Runs a piece without measuring it."""
        run_piece(Piece(function, function, arguments, self.environment))

    def keep(self, state: str, build: Callable[[], None]) -> None:
        """Makes sure that a state is kept; `build` makes it in the home, once for this text of the project."""
        kept = self._kept(state)
        if kept.exists():
            return
        build()
        for old in kept.parent.glob(f"{state}-*"):
            shutil.rmtree(old)
        shutil.copytree(self.folder, kept.with_suffix(".unfinished"), copy_function=_copy, dirs_exist_ok=True)
        kept.with_suffix(".unfinished").rename(kept)

    def restore(self, state: str) -> None:
        """Makes the home what it was."""
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self._kept(state), self.folder, copy_function=_copy)

    def _kept(self, state: str) -> Path:
        return self.folder.parent / f"{state}-{_project_text()}"


def day_queries(day: dt.date) -> list[str]:
    """The queries that read one day of every table."""
    contract = load_contract()
    window = day_window(day, ZoneInfo("UTC"))
    return [
        select_window(
            table,
            {},
            "public",
            window.starts_at,
            window.ends_at,
            contract[table.parent].cursor if table.parent else None,
        )
        for table in contract.values()
    ]


@cache
def _project_text() -> str:
    """Changes with every file that decides what is in a home."""
    digest = hashlib.sha256()
    for room in ("oms_pipeline", "oms_dbt"):
        for path in sorted((PROJECT_DIR / room).rglob("*")):
            if path.suffix in (".py", ".sql", ".yml"):
                digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _copy(source: str, target: str) -> None:
    """Landed files are never written to again, so a second name for them is copy enough."""
    (os.link if source.endswith(".parquet") else shutil.copy2)(source, target)
