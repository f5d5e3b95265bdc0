"""dbt on a connection that somebody else has opened, inside that somebody's transaction."""

from contextlib import suppress

import duckdb
import pytest
from dbt.adapters.duckdb import environments
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.adapters.duckdb.credentials import DuckDBCredentials

from oms_pipeline.warehouse.dbt_duckdb import SharedHandle, on_connection


@pytest.mark.parametrize("statement", ["BEGIN", "commit", "\n  COMMIT  "])
def test_dbt_can_neither_begin_nor_commit(statement: str) -> None:
    with duckdb.connect() as connection:
        connection.execute("begin transaction")
        connection.execute("create table t as select 1 as n")

        SharedHandle(connection).execute(statement)

        connection.rollback()
        assert connection.execute("select count(*) from duckdb_tables()").fetchall() == [(0,)]


def test_dbts_cursors_closing_and_rolling_back_leave_the_transaction_open() -> None:
    with duckdb.connect() as connection:
        connection.execute("begin transaction")
        handle = SharedHandle(connection)

        cursor = handle.cursor()
        cursor.execute("create table t (n integer)")
        cursor.execute("insert into t values (?)", [7])
        cursor.close()
        handle.rollback()
        handle.close()

        assert cursor.execute("select n from t").fetchall() == [(7,)]
        connection.rollback()
        assert connection.execute("select count(*) from duckdb_tables()").fetchall() == [(0,)]


def test_dbt_uses_the_connection_inside_the_block_and_its_own_after_it() -> None:
    before = environments.create
    with duckdb.connect() as connection:
        with suppress(KeyboardInterrupt), on_connection(connection):
            connection.execute("create table mine as select 1 as n")
            made = environments.create(DuckDBCredentials(database="memory", schema="main", path=":memory:"))
            assert made.handle().cursor().execute("select n from mine").fetchall() == [(1,)]
            raise KeyboardInterrupt
        connection.execute("select 1")

    assert environments.create is before
    assert DuckDBConnectionManager._ENV is None
