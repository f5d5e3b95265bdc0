"""Lets dbt work on a DuckDB connection that somebody else has opened, inside that somebody's transaction.

dbt-duckdb opens one cursor per model, and a cursor is a transaction of its own: a run killed halfway, or one whose
last test fails, would leave half a day in the marts. With one connection for all models a day is one transaction.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb


@contextmanager
def on_connection(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Makes dbt-duckdb use `connection` while the block runs. The profile must have one thread."""
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
    """The one connection as dbt sees it; its transaction and its end belong to whoever opened it."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def cursor(self) -> "SharedHandle":
        """What dbt executes on: the connection itself."""
        return self

    def execute(self, sql: str, bindings: Any = None) -> Any:
        """Runs one statement, unless it would begin or end a transaction."""
        if sql.strip().upper() in ("BEGIN", "COMMIT"):
            return self
        return self._connection.execute(sql) if bindings is None else self._connection.execute(sql, bindings)

    def rollback(self) -> None:
        """Does nothing: after an error DuckDB refuses every further statement until the owner rolls back."""

    def close(self) -> None:
        """Does nothing: the owner closes the connection."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)
