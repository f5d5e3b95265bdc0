"""Lets a simulated business work on its OMS, day after simulated day.

All data come from set-based SQL (`open.sql`, `day.sql`) and depend only on the seed, the first day and the scale: never
on the wall clock. Never reads or writes anything outside the database. What the simulator itself must remember (its
clock, what will happen to open orders) is in the schema `oms_sample`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from zoneinfo import ZoneInfo

from adbc_driver_postgresql import dbapi

# Share of the orders of an average day, Monday to Sunday.
_WEEKDAYS = (1.05, 0.95, 0.95, 1.0, 1.1, 1.15, 0.8)


@dataclass(frozen=True)
class Business:
    """The simulated business of a database and its clock: `next_day` is the day it will live next."""

    schema: str
    seed: int
    timezone: str
    orders_per_day: int
    opened_on: dt.date
    next_day: dt.date


def create_schema(dsn: str, schema: str) -> None:
    """Creates what is missing of the OMS's tables in `schema`, which is created too. Changes and drops nothing."""
    with _session(dsn, schema) as connection:
        _run(connection, f"create schema if not exists {_quoted(schema)}")
        _run(connection, _sql("schema.sql"))
        connection.commit()


def open_business(
    dsn: str, schema: str, first_day: dt.date, orders_per_day: int = 1000, seed: int = 7, timezone: str = "UTC"
) -> Business:
    """Creates the tables and the master data of a business whose first day will be `first_day`.

    Master data (8 stores in 5 time zones and 4 currencies, 60 employees, 20 suppliers, 250 products, stock, customers)
    are dated before `first_day`. `timezone` is the IANA zone whose midnights part the simulated days.

    Raises:
        ValueError: the database has a business already, or the time zone is unknown.
    """
    start, _ = _bounds(first_day, timezone)
    if business := state(dsn):
        raise ValueError(
            f"This database has a business already (schema {business.schema}, next day {business.next_day}): "
            "simulate() continues it; choose another database for a new one"
        )
    create_schema(dsn, schema)
    with _session(dsn, schema) as connection:
        _run(
            connection,
            _sql("open.sql").format(
                schema=schema,
                seed=int(seed),
                timezone=timezone,
                orders_per_day=int(orders_per_day),
                first_day=first_day,
                start=start,
            ),
        )
        connection.commit()
        _run(connection, "analyze")
        connection.commit()
    return Business(schema, seed, timezone, orders_per_day, first_day, first_day)


def state(dsn: str) -> Business | None:
    """The business of a database, or None where none was opened."""
    with dbapi.connect(dsn, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("select to_regclass('oms_sample.clock') is not null")
        if not cursor.fetchone()[0]:
            return None
        cursor.execute("select schema_name, seed, timezone, orders_per_day, opened_on, next_day from oms_sample.clock")
        return Business(*cursor.fetchone())


def simulate(dsn: str, days: int, progress: Callable[[dt.date], None] | None = None) -> dt.date:
    """Lets the business live its next `days` days, each in one transaction, and returns the day after them.

    The same life in one call or in several. Only an interrupted day leaves a trace: the numbers it took stay unused.

    Args:
        dsn: the database of `open_business`.
        days: how many days to live.
        progress: called with each day once it is committed.

    Raises:
        ValueError: the database has no business.
    """
    business = _opened(dsn)
    statements = _sql("day.sql")
    day = business.next_day
    with _session(dsn, business.schema) as connection:
        for _ in range(days):
            start, end = _bounds(day, business.timezone)
            ordinal = (day - dt.date(2000, 1, 1)).days
            # Two wobbling weeks of different length are noise enough, and the same in every run.
            wobble = 1 + 0.05 * ((ordinal * 7919 + business.seed * 104729) % 11 - 5) / 5
            orders = round(business.orders_per_day * _WEEKDAYS[day.weekday()] * wobble)
            _run(connection, f"select 1 from oms_sample.clock where next_day = date '{day}' for update")
            _run(connection, statements.format(day=day, key=ordinal * 100_000_000, start=start, end=end, orders=orders))
            connection.commit()
            lived = (day - business.opened_on).days + 1
            if lived & (lived - 1) == 0:
                # Whenever history has doubled: without statistics, plans read all of it to find the day's few rows.
                _run(connection, "analyze")
                connection.commit()
            if progress:
                progress(day)
            day += dt.timedelta(days=1)
    return day


def fat_day(dsn: str, day: dt.date, order_lines: int) -> None:
    """Adds about `order_lines` order lines (three to an order, each order paid) dated within one day; for benchmarks.

    The clock does not move, and nothing will happen to these orders.

    Raises:
        ValueError: the database has no business.
    """
    business = _opened(dsn)
    start, end = _bounds(day, business.timezone)
    with _session(dsn, business.schema) as connection:
        _run(connection, _sql("fat_day.sql").format(orders=-(-order_lines // 3), start=start, end=end))
        connection.commit()


def add_column(dsn: str, schema: str, table: str, column: str, data_type: str) -> None:
    """Adds a nullable column, as OMS developers do one day. Existing rows hold NULL and count as unchanged."""
    with _session(dsn, schema) as connection:
        _run(connection, f"alter table {_quoted(table)} add column {_quoted(column)} {data_type}")
        connection.commit()


def _opened(dsn: str) -> Business:
    if business := state(dsn):
        return business
    raise ValueError("This database has no business to simulate: open one with open_business()")


def _bounds(day: dt.date, timezone: str) -> tuple[dt.datetime, dt.datetime]:
    zone = ZoneInfo(timezone)
    return dt.datetime.combine(day, dt.time(), zone), dt.datetime.combine(day + dt.timedelta(days=1), dt.time(), zone)


@contextmanager
def _session(dsn: str, schema: str) -> Iterator[dbapi.Connection]:
    """A connection that writes fast.

    A crash of the machine may lose its last commits, never tear them. Foreign keys and triggers are not run: they cost
    a third of a day, the simulator refers only to rows it has just read, and it sets every updated_at itself.
    """
    with dbapi.connect(dsn) as connection:
        _run(
            connection,
            f"set search_path to {_quoted(schema)}; set timezone to 'UTC'; set client_min_messages to warning; "
            "set synchronous_commit to off; set session_replication_role to replica; "
            "set work_mem to '64MB'; set random_page_cost to 0.1; "
            "set jit to off; set max_parallel_workers_per_gather to 0",
        )
        connection.commit()
        yield connection


def _run(connection: dbapi.Connection, statements: str) -> None:
    # A cursor's execute() prepares, which PostgreSQL does for a single statement only.
    with connection.cursor() as cursor:
        cursor.adbc_statement.set_sql_query(statements)
        cursor.adbc_statement.execute_update()


def _sql(file: str) -> str:
    return resources.files(__package__).joinpath(file).read_text(encoding="utf-8")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
