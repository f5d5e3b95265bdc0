"""Lets dbt work on a Snowflake connection that somebody else has opened, inside that somebody's transaction.

dbt-snowflake logs in anew for each thread and lets every statement commit itself: a day would cost a login more, and a
failed test would come too late to keep the marts as they were.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Run = Callable[[Any, str, str, Any], Any]
"""Runs a statement: (cursor, SQL, dbt's unique id of the node or "", values to bind) → the cursor."""


@contextmanager
def on_connection(connection: Any, run: Run) -> Iterator[None]:
    """Makes dbt-snowflake use `connection` while the block runs, each statement through `run`.

    The profile must have one thread.
    """
    from dbt.adapters.contracts.connection import ConnectionState
    from dbt.adapters.snowflake.connections import SnowflakeConnectionManager

    original = SnowflakeConnectionManager.__dict__["open"]
    shown: dict[str, Answer] = {}

    def open_shared(_: Any, dbt_connection: Any) -> Any:
        dbt_connection.handle = SharedHandle(connection, run, shown)
        dbt_connection.state = ConnectionState.OPEN
        return dbt_connection

    SnowflakeConnectionManager.open = classmethod(open_shared)
    try:
        yield
    finally:
        SnowflakeConnectionManager.open = original


class SharedHandle:
    """The one connection as dbt sees it; its transaction and its end belong to whoever opened it."""

    def __init__(self, connection: Any, run: Run, shown: "dict[str, Answer]") -> None:
        self._connection = connection
        self._run = run
        self._shown = shown

    def cursor(self) -> "SharedCursor":
        """A cursor of the connection."""
        return SharedCursor(self._connection.cursor(), self._run, self._shown)

    def rollback(self) -> None:
        """Does nothing: the owner rolls back."""

    def close(self) -> None:
        """Does nothing: the owner closes the connection."""

    def is_closed(self) -> bool:
        """Whether the owner has closed it."""
        return bool(self._connection.is_closed())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class SharedCursor:
    """A cursor whose statements are run by the owner, who knows what they belong to."""

    def __init__(self, cursor: Any, run: Run, shown: "dict[str, Answer]") -> None:
        self._cursor = cursor
        self._run = run
        self._shown = shown

    def execute(self, sql: str, bindings: Any = None) -> Any:
        """Runs one statement, unless it would begin or end a transaction, or asks again what is there."""
        comment = re.search(r"/\* (\{.*\}) \*/\s*;?\s*$", sql)
        statement = sql[: comment.start()].strip() if comment else sql.strip()
        if statement.strip(" ;").upper() in ("BEGIN", "COMMIT", "ROLLBACK"):
            return self
        if statement in self._shown:
            self._cursor = self._shown[statement]
            return self
        node = json.loads(comment[1]).get("node_id", "") if comment else ""
        self._run(self._cursor, statement, node, bindings)
        if statement.lower().startswith("show "):
            # dbt asks once per schema and once per invocation. Nothing but its own models changes what is there.
            self._shown[statement] = self._cursor = Answer(self._cursor)
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


class Answer:
    """What a statement has answered, to be read more than once."""

    def __init__(self, cursor: Any) -> None:
        self.description = cursor.description
        self.sfqid, self.sqlstate, self.rowcount, self.stats = cursor.sfqid, cursor.sqlstate, cursor.rowcount, None
        self._rows = cursor.fetchall()

    def fetchall(self) -> list[Any]:
        """All rows."""
        return list(self._rows)

    def fetchmany(self, size: int) -> list[Any]:
        """The first rows."""
        return list(self._rows[:size])
