"""One reader of a PostgreSQL OMS: one connection, one read-only REPEATABLE READ transaction per day."""

import datetime as dt
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import adbc_driver_manager
import pyarrow as pa
from adbc_driver_postgresql import dbapi

from oms_pipeline.calendar import Window
from oms_pipeline.contract import Extract, Table
from oms_pipeline.errors import SourceError, TransientSourceError, server_sentence
from oms_pipeline.settings import describe_dsn, unreadable_dsn
from oms_pipeline.source import queries
from oms_pipeline.source.drift import check_columns

log = logging.getLogger(__name__)

CONNECT: Final = "connect"
SETTLE_POLL_SECONDS: Final = 0.2
# Whoever waits for a lock makes all later comers wait too: better to come again.
LOCK_SECONDS: Final = 10
# As on a disk without moving parts.
RANDOM_PAGE_COST: Final = 1.1
# Batches of this many bytes keep a streamed day at a few hundred megabytes whatever its size.
BATCH_BYTES: Final = 8 * 1024 * 1024
# Connection lost, server starting or shutting down, out of resources, serialisation: the same call may succeed later.
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_TRANSIENT: Final = ("08", "40", "53", "57P", "58")
# The server's refusals, which come without a code while connecting; it also says FATAL when it is merely starting.
_REFUSED: Final = (
    "authentication failed",
    "does not exist",
    "pg_hba.conf",
    "no password supplied",
    "not permitted to log in",
    "permission denied for database",
)


@dataclass(frozen=True)
class PostgresSource:
    """An OMS on PostgreSQL.

    Attributes:
        dsn: Any PostgreSQL DSN. Never shown.
        schema: Schema of the OMS tables.
        statement_timeout: Limit for one statement, and for waiting for older transactions.
        overlap: How far a window is re-read to the left where running transactions cannot be seen.
    """

    dsn: str = field(repr=False)
    schema: str
    statement_timeout: dt.timedelta
    overlap: dt.timedelta

    @contextmanager
    def connect(self) -> Iterator["SourceSession"]:
        """A read-only session; the server refuses to write through it.

        Raises:
            TransientSourceError: The server does not answer.
            SourceError: It refuses the login.
        """
        with self._errors(CONNECT):
            connection = dbapi.connect(self.dsn, autocommit=True)
        try:
            session = SourceSession(self, connection)
            session.execute(
                "select set_config('default_transaction_read_only', 'on', false),"
                " set_config('application_name', 'oms-pipeline', false),"
                f" set_config('statement_timeout', '{_milliseconds(self.statement_timeout)}', false),"
                f" set_config('idle_in_transaction_session_timeout', '{_milliseconds(self.statement_timeout)}', false),"
                f" set_config('lock_timeout', '{LOCK_SECONDS}s', false),"
                " set_config('jit', 'off', false)"
            )
            yield session
        finally:
            connection.close()

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        """Turns the driver's errors into one line with the next step; the DSN is never part of it."""
        try:
            yield
        except adbc_driver_manager.Error as error:
            raise self._explain(error, what) from None

    def _explain(self, error: adbc_driver_manager.Error, what: str) -> SourceError:
        state = error.sqlstate or ""
        place = describe_dsn(self.dsn)
        reason = server_sentence(str(error))
        if what == CONNECT and (unreadable := unreadable_dsn("OMS_SOURCE_URL", self.dsn, str(error))):
            return SourceError(unreadable)
        if state == "57014":
            return SourceError(
                f"The OMS at {place} took longer than {self.statement_timeout} to {what}. "
                "Check the indexes with: oms check; or raise OMS_SOURCE_STATEMENT_TIMEOUT."
            )
        if state.startswith("28") or (not state and any(refusal in reason for refusal in _REFUSED)):
            return SourceError(f"The OMS at {place} refused the login: {reason}. Correct OMS_SOURCE_URL.")
        if state == "55P03":
            return TransientSourceError(
                f"The OMS at {place} kept a lock for longer than {LOCK_SECONDS} s that is needed to {what}: {reason}. "
                "Wait until the change to its tables is done, and run the day again."
            )
        if state == "42501":
            return SourceError(f"The OMS at {place} does not let this role {what}: {reason}. Grant it SELECT.")
        if state.startswith(_TRANSIENT) or isinstance(error, adbc_driver_manager.OperationalError):
            return TransientSourceError(
                f"The OMS at {place} cannot be reached to {what}: {reason}. "
                "Check that the server runs and that OMS_SOURCE_URL names it."
            )
        return SourceError(f"The OMS at {place} failed to {what}: {reason}. Check it with: oms check")


class SourceSession:
    """An open session of a `PostgresSource`."""

    def __init__(self, source: PostgresSource, connection: Any) -> None:
        self._source = source
        self._connection = connection

    def execute(self, sql: str, what: str = "answer") -> list[dict[str, Any]]:
        """Runs one statement and returns its rows.

        Raises:
            SourceError: The server refused it; `what` says what was being done.
        """
        with self._source._errors(what), self._connection.cursor() as cursor:
            cursor.execute(sql)
            if cursor.description is None:
                return []
            rows: list[dict[str, Any]] = cursor.fetch_arrow_table().to_pylist()
            return rows

    def columns(self) -> dict[str, dict[str, str]]:
        """Table name → column name → PostgreSQL type, of every table in the OMS schema."""
        found: dict[str, dict[str, str]] = {}
        for row in self.execute(
            queries.COLUMNS.format(schema=queries.literal(self._source.schema)), "list its columns"
        ):
            found.setdefault(row["table_name"], {})[row["column_name"]] = row["data_type"]
        return found

    def missing_indexes(self, tables: Sequence[Table]) -> list[str]:
        """DDL of the cursor indexes that are not there; without them a day is read by sequential scans."""
        rows = self.execute(queries.INDEXED_COLUMNS.format(schema=queries.literal(self._source.schema)), "list indexes")
        indexed = {(row["table_name"], row["column_name"]) for row in rows}
        return [
            queries.create_index(table, self._source.schema)
            for table in tables
            if table.extract is not Extract.SNAPSHOT and (table.name, table.cursor) not in indexed
        ]

    def writable_tables(self) -> list[str]:
        """Tables this role could write to, if its session were not read-only."""
        rows = self.execute(queries.WRITABLE_TABLES.format(schema=queries.literal(self._source.schema)))
        return [row["table_name"] for row in rows]

    def settle(self, cut: dt.datetime, timeout: dt.timedelta | None = None) -> bool:
        """Waits until no transaction that began before `cut` is running: none can still commit rows older than it.

        The cut is one of the server's clock: as long as that has not passed it, any transaction may begin before it.
        A replica must have replayed what the OMS had committed by then.

        Args:
            cut: End of the window, UTC.
            timeout: How long to wait; the source's statement timeout if None.

        Returns:
            Whether that could be seen. False on a replica, or without the right to see other roles' transactions: the
            next window must then be read with an overlap.

        Raises:
            SourceError: An older transaction outlived the time limit, or a replica has not come so far by then; the
                text says which.
        """
        limit = self._source.statement_timeout if timeout is None else timeout
        sql = queries.OLDER_TRANSACTIONS.format(cut=queries.instant(cut))
        started = time.monotonic()
        told = False
        while True:
            row = self.execute(sql, "show its running transactions")[0]
            oldest = row["oldest"] or row["oldest_prepared"]
            if row["is_replica"] and not row["is_early"] and not row["is_behind"]:
                return False
            if not row["is_replica"] and not row["is_early"] and oldest is None:
                return bool(row["sees_all"])
            if time.monotonic() - started >= limit.total_seconds():
                if row["is_early"]:
                    raise SourceError(
                        f"By the OMS's own clock it is not yet {cut:%Y-%m-%d %H:%M %Z}, when the day ends. "
                        "Wait, or set that server's clock, and run the day again."
                    )
                if row["is_behind"]:
                    raise _behind(cut, row["replayed_to"], row["sees_all"])
                raise SourceError(
                    f"A transaction older than {cut:%Y-%m-%d %H:%M %Z} still runs on the OMS ({oldest}): what it "
                    "writes would be lost. End it, or raise OMS_SOURCE_STATEMENT_TIMEOUT, and run the day again."
                )
            if not told:
                why = "it has not come" if row["is_early"] else "the replica is behind" if row["is_behind"] else oldest
                log.info("Waiting until %s is settled: %s", cut, why)
                told = True
            time.sleep(SETTLE_POLL_SECONDS)

    @contextmanager
    def snapshot(
        self, window: Window, contract: Mapping[str, Table], settled: bool, previous_settled: bool = True
    ) -> Iterator["DaySnapshot"]:
        """One consistent view of all tables: everything read from it is of the same instant.

        Args:
            window: The day to read.
            contract: The tables.
            settled: What `settle` said of the window's end.
            previous_settled: What it said when the day before was read. If either is False, the day is read with the
                overlap: what was committed late is older than the window.

        Raises:
            SourceError: A column of the contract is missing or has another type. Nothing has been read then.
        """
        self.execute("begin transaction isolation level repeatable read read only")
        try:
            found = self.execute(queries.SNAPSHOT, "take a snapshot")[0]
            yield DaySnapshot(
                session=self,
                window=window,
                contract=contract,
                extra_columns=check_columns(contract, self.columns(), self._source.schema),
                snapshot_id=found["snapshot"],
                taken_at=found["taken_at"],
                settled=settled,
                read_from=window.starts_at - (dt.timedelta() if settled and previous_settled else self._source.overlap),
            )
        except BaseException:
            with suppress(SourceError):  # the first error is the one worth telling
                self.execute("rollback")
            raise
        self.execute("rollback")


@dataclass(frozen=True)
class DaySnapshot:
    """All tables as of one instant.

    Attributes:
        session: The session whose transaction holds the snapshot.
        window: The day.
        contract: The tables.
        extra_columns: Table name → columns the contract does not know yet, with the types they are read as.
        snapshot_id: PostgreSQL's name of the snapshot.
        taken_at: When it was taken, UTC.
        settled: Whether no older transaction was running at the window's end.
        read_from: Where the window is read from: its start, or earlier by the overlap.
    """

    session: SourceSession
    window: Window
    contract: Mapping[str, Table]
    extra_columns: Mapping[str, Mapping[str, str]]
    snapshot_id: str
    taken_at: dt.datetime
    settled: bool
    read_from: dt.datetime

    @contextmanager
    def read(self, table: Table, open_to_the_past: bool) -> Iterator[Iterator[pa.RecordBatch]]:
        """Streams one table's rows of the window.

        Args:
            table: A table of the contract.
            open_to_the_past: Whether the window has no start: for the first day, and for a table's first landing.

        Returns:
            Record batches of a few megabytes: the contract's columns, `_parent_updated_at` for `with_parent`, then
            columns the contract does not know. `numeric` comes as text, which is exact.

        Raises:
            SourceError: The server failed to read, or took too long.
        """
        sql = self.query(table, open_to_the_past)
        # A window is an index range whatever the planner's statistics say of the table; a whole table is not.
        bounded = table.extract is not Extract.SNAPSHOT and not open_to_the_past
        self.session.execute(f"set local enable_seqscan = {'off' if bounded else 'on'}")
        # At the default price of a random page it would rather read the whole index of a parent, with more processes,
        # than look up the few thousand that changed.
        self.session.execute(f"set local random_page_cost = {RANDOM_PAGE_COST if bounded else 4}")
        self.session.execute("set local max_parallel_workers_per_gather = 0")
        source = self.session._source
        with source._errors(f"read {table.name}"), self.session._connection.cursor() as cursor:
            cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(BATCH_BYTES)})
            cursor.execute(sql)
            # `fetch_record_batch()` gives Arrow's own reader, which turns the server's errors into bare OSErrors.
            yield iter(cursor._results.reader)

    def query(self, table: Table, open_to_the_past: bool) -> str:
        """The SELECT that `read` sends."""
        return queries.select_window(
            table,
            self.extra_columns.get(table.name, {}),
            self.session._source.schema,
            None if open_to_the_past else self.read_from,
            self.window.ends_at,
            self.contract[table.parent].cursor if table.parent else None,
        )


def _behind(cut: dt.datetime, replayed_to: dt.datetime | None, sees_all: bool) -> SourceError:
    how_far = "it has replayed no transaction yet"
    if replayed_to is not None:
        lag = dt.timedelta(seconds=round((cut - replayed_to).total_seconds()))
        how_far = f"its last transaction is of {replayed_to:%Y-%m-%d %H:%M:%S %Z}, {lag} short of it"
    return SourceError(
        f"The replica has not replayed the OMS up to {cut:%Y-%m-%d %H:%M %Z}, when the day ends: {how_far}. "
        + ("" if sees_all else "If the OMS is merely idle, grant pg_read_all_stats to this role, which then sees it. ")
        + "Mend its replication, or set OMS_SOURCE_URL to the primary, and run the day again."
    )


def _milliseconds(duration: dt.timedelta) -> int:
    return int(duration.total_seconds() * 1000)
