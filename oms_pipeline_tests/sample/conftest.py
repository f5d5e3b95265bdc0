"""One server for all tests of the sample OMS; each business in a database of its own."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from adbc_driver_postgresql import dbapi

from oms_pipeline import sample
from oms_pipeline.contract import load_contract

FIRST_DAY = dt.date(2026, 2, 1)
DAYS = 60


def execute(dsn: str, *statements: str) -> None:
    with dbapi.connect(dsn, autocommit=True) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def rows(dsn: str, query: str) -> list[tuple[Any, ...]]:
    with dbapi.connect(dsn, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("set search_path to oms")
        cursor.execute(query)
        return cursor.fetchall()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> str:
    return sample.start(tmp_path_factory.mktemp("sample") / "postgres")


@pytest.fixture(scope="session")
def new_database(server: str) -> Callable[[], str]:
    made = iter(range(100))

    def make() -> str:
        name = f"business_{next(made)}"
        execute(server, f"create database {name}")
        return server.replace("/postgres?", f"/{name}?")

    return make


@dataclass(frozen=True)
class Writes:
    """What one simulated day wrote to a table: the extremes of its rows' dates."""

    day: dt.date
    table: str
    first_update: dt.datetime
    last_update: dt.datetime
    last_creation: dt.datetime
    is_created_after_update: bool


@pytest.fixture(scope="session")
def life(new_database: Callable[[], str]) -> tuple[str, list[Writes]]:
    """A business of New York after 60 days (one of 23 hours) at 100 orders a day, and what each day wrote."""
    dsn = new_database()
    writes: list[Writes] = []
    # A day is one transaction, and the clock's row is written by each.
    written = " union all ".join(
        f"""select '{table}', min(updated_at), max(updated_at), max(created_at), bool_or(created_at > updated_at)
            from {table} where xmin = (select xmin from oms_sample.clock) having count(*) > 0"""
        for table in load_contract()
    )

    def watch(day: dt.date) -> None:
        writes.extend(Writes(day, *found) for found in rows(dsn, written))

    sample.open_business(dsn, "oms", FIRST_DAY, orders_per_day=100, timezone="America/New_York")
    sample.simulate(dsn, DAYS, watch)
    return dsn, writes


@pytest.fixture(scope="session")
def lived(life: tuple[str, list[Writes]]) -> str:
    return life[0]


@pytest.fixture
def empty(new_database: Callable[[], str]) -> str:
    """The OMS's tables without a row."""
    dsn = new_database()
    sample.create_schema(dsn, "oms")
    return dsn
