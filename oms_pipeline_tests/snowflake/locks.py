"""Sessions, their transactions, and the locks of tables that open transactions have changed."""

import threading
import time
from dataclasses import dataclass, field
from typing import Any

from oms_pipeline_tests.snowflake.errors import SqlError

_DEFAULT_TIMEOUT = 172_800.0


@dataclass(eq=False)
class Session:
    """One login.

    Attributes:
        number: Counts from 1 in the order of logins.
        conn: fakesnow's connection, with a DuckDB connection of its own.
        user: User name.
        role: Current role.
        warehouse: Current warehouse, or None.
        parameters: Session parameters, names in upper case.
        statement_parameters: Those that came with the running statement, for it alone.
        transaction: Whether a transaction is open to the client.
        writing: Whether DuckDB's transaction is open too.
        temporary: What to DROP at the end: `table if exists <name>`.
        cancelled: Set by an abort request for the running statement.
    """

    number: int
    conn: Any
    user: str
    role: str
    warehouse: str | None
    parameters: dict[str, str] = field(default_factory=dict)
    statement_parameters: dict[str, str] = field(default_factory=dict)
    transaction: bool = False
    writing: bool = False
    temporary: set[str] = field(default_factory=set)
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def autocommit(self) -> bool:
        """Whether a statement outside BEGIN is a transaction of its own."""
        return self.parameters.get("AUTOCOMMIT", "TRUE").upper() != "FALSE"

    def duck(self, sql: str) -> list[tuple[Any, ...]]:
        """Runs DuckDB's SQL on this session's connection."""
        return self.conn._duck_conn.execute(sql).fetchall()


class Locks:
    """Who has changed which table and not yet committed."""

    def __init__(self) -> None:
        self._owners: dict[str, Session] = {}
        self._changed = threading.Condition()

    def write(self, session: Session, table: str | None) -> None:
        """Waits for a table's lock, then opens DuckDB's transaction if it is not open yet.

        In this order, because a DuckDB transaction sees the state of its start, and must see what it waited for.

        Args:
            session: Who writes.
            table: Full name; None for an insert, which needs no lock.

        Raises:
            SqlError: 000630, the statement's timeout is over; 000625, the lock's; 000604, the client gave up.
        """
        if table is not None:
            self._wait(session, table)
        if not session.writing:
            session.duck("BEGIN TRANSACTION")
            session.writing = True

    def end(self, session: Session, commit: bool) -> None:
        """Ends a session's transaction, if there is one, and lets go of its locks."""
        try:
            if session.writing:
                session.duck("COMMIT" if commit else "ROLLBACK")
        finally:
            session.transaction = session.writing = False
            with self._changed:
                self._owners = {table: owner for table, owner in self._owners.items() if owner is not session}
                self._changed.notify_all()

    def abort(self, number: int) -> str:
        """Rolls back what a session has written, from outside; its next write begins another transaction.

        Raises:
            SqlError: No transaction has this number.
        """
        with self._changed:
            found = next((owner for owner in self._owners.values() if owner.number == number), None)
        if found is None:
            raise SqlError(f"Transaction {number} does not exist.", 90106, "22000")
        self.end(found, commit=False)
        return "Aborted transaction id: " + str(number)

    def _wait(self, session: Session, table: str) -> None:
        parameters = {**session.parameters, **session.statement_parameters}
        limits = {
            name: float(parameters.get(name) or 0) or _DEFAULT_TIMEOUT
            for name in ("STATEMENT_TIMEOUT_IN_SECONDS", "LOCK_TIMEOUT")
        }
        started = time.monotonic()
        with self._changed:
            while self._owners.get(table, session) is not session:
                waited = time.monotonic() - started
                if session.cancelled.is_set():
                    raise SqlError("SQL execution canceled", 604, "57014")
                if waited >= (limit := limits["STATEMENT_TIMEOUT_IN_SECONDS"]):
                    raise SqlError(
                        f"Statement reached its statement or warehouse timeout of {limit:.0f} second(s) and was canceled.",
                        630,
                        "57014",
                    )
                if waited >= limits["LOCK_TIMEOUT"]:
                    raise SqlError(
                        f"Statement has waited for the lock on table '{table}', which another transaction holds, and was "
                        f"aborted after the lock timeout.",
                        625,
                        "57014",
                    )
                self._changed.wait(0.1)
            self._owners[table] = session
