"""Lets dbt work on a DuckDB connection that somebody else has opened, inside that somebody's transaction.

dbt-duckdb opens one cursor per model, and a cursor is a transaction of its own: a run killed halfway, or one whose
last test fails, would leave half a day in the marts. With one connection for all models a day is one transaction.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb


@contextmanager
def on_connection(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Makes dbt-duckdb use `connection` while the block runs.

    dbt's profile must set `disable_transactions` (it then neither begins nor commits) and one thread.
    """
    from dbt.adapters.duckdb import environments
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    original = environments.create
    DuckDBConnectionManager._ENV = None
    environments.create = lambda credentials: _shared_environment(credentials, connection)
    try:
        yield
    finally:
        environments.create = original
        DuckDBConnectionManager._ENV = None


def _shared_environment(credentials: Any, connection: duckdb.DuckDBPyConnection) -> Any:
    from dbt.adapters.duckdb.environments.local import LocalEnvironment

    class SharedEnvironment(LocalEnvironment):
        def handle(self) -> "SharedHandle":
            return SharedHandle(connection)

        def close(self) -> None:
            self.conn = None

    return SharedEnvironment(credentials)


class SharedHandle:
    """The one connection as dbt sees it: closing it does nothing, and after a rollback it refuses to go on."""

    _failed: str | None = None
    _lock = threading.Lock()

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def cursor(self) -> "SharedHandle":
        """dbt's cursor: the connection itself."""
        return self

    def execute(self, sql: str, bindings: Any = None) -> Any:
        """Runs one statement."""
        return self._connection.execute(sql) if bindings is None else self._connection.execute(sql, bindings)

    def rollback(self) -> None:
        """Left to whoever began the transaction: DuckDB itself refuses every further statement after an error."""

    def close(self) -> None:
        """Left to whoever opened the connection."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)
