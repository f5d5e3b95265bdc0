"""A real OMS for the tests of the rooms that read one: one PostgreSQL server, a database for each test."""

import atexit
import datetime as dt
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from adbc_driver_postgresql import dbapi

from oms_pipeline import sample
from oms_pipeline.calendar import Window, day_window
from oms_pipeline.contract import Table, load_contract
from oms_pipeline.settings import Settings, read_settings
from oms_pipeline.source import PostgresSource

UTC = ZoneInfo("UTC")
SCHEMA = "oms"
FIRST_DAY = dt.date(2026, 3, 1)
LIFE_DAYS = 20

# What an order needs around it; customers and products are older than the first day.
MASTER_DATA = """
insert into stores (store_name, channel, timezone, city, country)
select 'Store ' || n, 'online', 'UTC', 'City 1', 'DE' from generate_series(1, 4) as n;
insert into employees (full_name, job_title, hired_on)
select 'Employee ' || n, 'Picker', '2025-06-01' from generate_series(1, 4) as n;
insert into suppliers (supplier_name, email, lead_time_days)
select 'Supplier ' || n, 'supplier' || n || '@example.com', 5 from generate_series(1, 4) as n;
insert into products (sku, product_name, category, retail_price, unit_cost, currency, updated_at)
select 'SKU-' || n, 'Product ' || n, 'Home', 10, 4, 'EUR', '2025-06-01' from generate_series(1, 4) as n;
insert into inventory (store_id, product_id, on_hand, reserved, reorder_point)
select s, p, 9, 1, 2 from generate_series(1, 4) as s, generate_series(1, 4) as p;
insert into customers (email, full_name, country, updated_at)
select 'customer' || n || '@example.com', 'Customer ' || n, 'DE', '2025-06-01' from generate_series(1, 4) as n
"""


@dataclass(frozen=True)
class Oms:
    """An OMS database, as its own application uses it."""

    dsn: str

    def execute(self, statements: str) -> None:
        """Runs statements, each committed by itself unless they say otherwise."""
        with self.connection() as connection:
            run(connection, statements)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.connection() as connection, connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()

    def value(self, query: str) -> Any:
        return self.rows(query)[0][0]

    @contextmanager
    def connection(self) -> Iterator[dbapi.Connection]:
        with dbapi.connect(self.dsn, autocommit=True) as connection:
            run(connection, f"set search_path to {SCHEMA}")
            yield connection

    def source(self, **changes: Any) -> PostgresSource:
        """The OMS as the pipeline reads it."""
        plain = PostgresSource(self.dsn, SCHEMA, dt.timedelta(minutes=1), dt.timedelta(hours=1))
        return replace(plain, **changes)

    def settings(self, folder: Path, start_date: dt.date = FIRST_DAY, timezone: dt.tzinfo = UTC) -> Settings:
        # A fixed offset stands in for a named zone where midnight has to be now.
        return replace(read_settings(self.environment(folder, start_date)), timezone=timezone)  # type: ignore[arg-type]

    def environment(self, folder: Path, start_date: dt.date = FIRST_DAY, **variables: str) -> Mapping[str, str]:
        """The variables that lead the pipeline to this OMS and keep all it writes below a folder."""
        return {
            "OMS_HOME": str(folder),
            "OMS_SOURCE_URL": self.dsn,
            "OMS_SOURCE_SCHEMA": SCHEMA,
            "OMS_START_DATE": start_date.isoformat(),
            **variables,
        }

    def order(self, order_id: int, updated_at: str, lines: int = 0) -> None:
        """Adds an order of some lines, all last changed at `updated_at`."""
        self.execute(f"""
            insert into orders (order_id, order_number, store_id, currency, status, updated_at)
            values ({order_id}, 'N-{order_id}', 1, 'EUR', 'placed', '{updated_at}');
            insert into order_items (order_id, line_no, product_id, quantity, unit_price, unit_cost, updated_at)
            select {order_id}, n, 1, 1, 10, 4, '{updated_at}' from generate_series(1, {lines}) as n
        """)


def run(connection: dbapi.Connection, statements: str) -> None:
    """Runs statements on an open connection; a cursor's own execute() takes one at a time, and only complete ones."""
    with connection.cursor() as cursor:
        cursor.adbc_statement.set_sql_query(statements)
        cursor.adbc_statement.execute_update()


def day(text: str, timezone: ZoneInfo = UTC) -> Window:
    """The window of one day."""
    return day_window(dt.date.fromisoformat(text), timezone)


def days(first: str, last: str) -> Window:
    """The window of a range of days."""
    return Window(dt.date.fromisoformat(first), dt.date.fromisoformat(last) + dt.timedelta(days=1), UTC)


def day_that_ends_at(instant: dt.datetime) -> Window:
    """The window of a day that ends at any instant: of a time zone in which that is midnight."""
    since_midnight = instant - instant.replace(hour=0, minute=0, second=0, microsecond=0)
    timezone = dt.timezone(-since_midnight)
    return day_window(instant.astimezone(timezone).date() - dt.timedelta(days=1), timezone)  # type: ignore[arg-type]


def read(
    oms: Oms, table: str, window: Window, *, settled: bool = True, open_to_the_past: bool = False
) -> list[dict[str, Any]]:
    """A table's rows of a window, as the pipeline reads them."""
    contract = load_contract()
    with (
        oms.source().connect() as session,
        session.snapshot(window, contract, settled) as snapshot,
        snapshot.read(contract[table], open_to_the_past) as batches,
    ):
        return rows_of(batches)


def rows_of(batches: Iterable[pa.RecordBatch]) -> list[dict[str, Any]]:
    return [row for batch in batches for row in batch.to_pylist()]


def windowed(contract: Mapping[str, Table]) -> list[Table]:
    """The tables that are read by window, not as a whole."""
    return [table for table in contract.values() if table.extract != "snapshot"]


@pytest.fixture(scope="session")
def server() -> str:
    """One server for all rooms that import this fixture: the second to ask joins the first."""
    # Not below pytest's own folder: each pytest that starts bars other users from it, and PostgreSQL is one.
    directory = Path(tempfile.gettempdir()) / f"oms-postgres-{os.getpid()}"
    if directory.exists():
        return sample.start(directory)
    atexit.register(shutil.rmtree, directory)  # runs after the server's own stop, which is registered later
    oms = Oms(sample.start(directory))
    for setting in ("max_prepared_transactions = 5", "fsync = off", "autovacuum = off"):
        oms.execute(f"alter system set {setting}")
    os.kill(int((directory / "postmaster.pid").read_text().split()[0]), signal.SIGINT)
    while (directory / "postmaster.pid").exists():
        time.sleep(0.02)
    return sample.start(directory)


@pytest.fixture(scope="session")
def new_database(server: str) -> Callable[[str], Oms]:
    """Makes a database: of a template, or of nothing."""
    oms = Oms(server)

    def make(template: str) -> Oms:
        name = f"oms_{oms.value('select count(*) from pg_database')}_{time.monotonic_ns()}"
        oms.execute(f"create database {name} template {template}")
        return Oms(server.replace("/postgres?", f"/{name}?"))

    return make


@pytest.fixture(scope="session")
def empty_template(server: str) -> str:
    """Name of a database with the tables and master data; nobody may stay connected to it."""
    name = "template_master_data"
    oms = Oms(server.replace("/postgres?", f"/{name}?"))
    if not Oms(server).rows(f"select from pg_database where datname = '{name}'"):
        Oms(server).execute(f"create database {name}")
        sample.create_schema(oms.dsn, SCHEMA)
        oms.execute(MASTER_DATA)
    return name


@pytest.fixture(scope="session")
def life_template(server: str) -> str:
    """Name of a database with 20 simulated days; nobody may stay connected to it."""
    name = "template_life"
    oms = Oms(server.replace("/postgres?", f"/{name}?"))
    if not Oms(server).rows(f"select from pg_database where datname = '{name}'"):
        Oms(server).execute(f"create database {name}")
        sample.open_business(oms.dsn, SCHEMA, FIRST_DAY, orders_per_day=50)
        sample.simulate(oms.dsn, LIFE_DAYS)
    return name


@pytest.fixture
def oms(new_database: Callable[[str], Oms], empty_template: str) -> Oms:
    """The OMS's tables with master data and no order."""
    return new_database(empty_template)


@pytest.fixture
def life(new_database: Callable[[str], Oms], life_template: str) -> Oms:
    """A business after 20 simulated days."""
    return new_database(life_template)
