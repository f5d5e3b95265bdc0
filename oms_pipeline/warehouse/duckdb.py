"""The `local` profile's warehouse: a DuckDB file. Only one process can hold it, which is the critical section."""

import datetime as dt
import hashlib
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import duckdb
import pyarrow as pa

from oms_pipeline.calendar import Window
from oms_pipeline.contract import Table
from oms_pipeline.errors import WarehouseError
from oms_pipeline.presentation import PREVIEW_ROWS
from oms_pipeline.raw import Manifest, RawZone
from oms_pipeline.warehouse import dbt_duckdb
from oms_pipeline.warehouse.base import (
    LAYERS,
    LOAD_A_DAY,
    PIPELINE_RUNS,
    PIPELINE_RUNS_COLUMNS,
    WAREHOUSE_COST,
    WAREHOUSE_COST_COLUMNS,
    Purpose,
    RegisteredDay,
    RelationFacts,
    Shown,
)

log = logging.getLogger(__name__)

_POLL_SECONDS: Final = 0.1
_DUCKDB_TYPES: Final = {"text": "varchar"}

REGISTERED_FILES: Final = """
create table if not exists external.registered_files (
    table_name varchar not null,
    landed_on date not null,
    path varchar not null,
    row_count bigint not null,
    byte_count bigint not null,
    sha256 varchar not null,
    extracted_at timestamptz not null,
    registered_at timestamptz not null
)
"""
_MAKE_OPS_TABLES: Final = [
    f"create table if not exists {table} ({', '.join(f'{name} {kind} not null' for name, kind in columns.items())})"
    for table, columns in ((PIPELINE_RUNS, PIPELINE_RUNS_COLUMNS), (WAREHOUSE_COST, WAREHOUSE_COST_COLUMNS))
]


@dataclass(frozen=True)
class DuckDBWarehouse:
    """A DuckDB file over a raw zone.

    Attributes:
        path: The file; made when first opened.
        zone: The raw zone whose files it reads.
        lock_timeout: How long to wait for another process to let go of the file.
    """

    path: Path
    zone: RawZone
    lock_timeout: dt.timedelta
    kind: ClassVar[str] = "duckdb"
    ddl_commits: ClassVar[bool] = False

    @contextmanager
    def open(self, purpose: Purpose) -> Iterator["DuckDBSession"]:
        """Waits until no other process has the file open, then holds it.

        Raises:
            WarehouseError: Another process keeps it for longer than `lock_timeout`, or the file cannot be opened.
        """
        with self._connect(str(purpose), read_only=False) as connection:
            for schema in (*LAYERS, "ops"):
                connection.execute(f"create schema if not exists {schema}")
            connection.execute(REGISTERED_FILES)
            for statement in _MAKE_OPS_TABLES:
                connection.execute(statement)
            yield DuckDBSession(self, connection)

    def check(self) -> str:
        """Opens the file as a run does."""
        with self.open(Purpose("check")):
            return "duckdb answers"

    def read(self, sql: str) -> list[dict[str, Any]]:
        """Rows of one SELECT; empty where the file or the table does not exist yet."""
        if not self.path.exists():
            return []
        with self._connect("read", read_only=True) as connection:
            try:
                return _rows(connection.sql(sql).to_arrow_table())
            except duckdb.CatalogException:
                return []

    @contextmanager
    def reading(self, purpose: Purpose) -> Iterator[Callable[[str], pa.Table]]:
        """One read-only connection; waits as `open` does where another process writes."""
        if not self.path.exists():
            raise WarehouseError(f"There is no warehouse {self.path} yet. Load a day first: oms run --day D")

        def query(sql: str) -> pa.Table:
            try:
                return connection.sql(sql).to_arrow_table()
            except (duckdb.CatalogException, duckdb.BinderException) as error:
                raise WarehouseError(f"DuckDB says: {str(error).splitlines()[0].rstrip('.')}. {LOAD_A_DAY}") from error
            except duckdb.Error as error:
                raise WarehouseError(f"DuckDB says: {str(error).splitlines()[0]}") from error

        with self._connect(str(purpose), read_only=True) as connection:
            yield query

    def registered_days(self, contract: Mapping[str, Table]) -> dict[dt.date, int]:
        """Day → rows in its registered files, of any table."""
        days = self.read(
            "select landed_on, cast(sum(row_count) as bigint) as row_count"
            " from external.registered_files group by landed_on"
        )
        return {day["landed_on"]: day["row_count"] for day in days}

    def layer_rows(self) -> dict[str, int]:
        """Layer → rows in its tables; views hold none."""
        tables = self.read("select schema_name, table_name from duckdb_tables() order by all")
        counts = [
            f"select '{table['schema_name']}' as layer, count(*) as row_count"
            f" from {table['schema_name']}.{table['table_name']}"
            for table in tables
        ]
        rows: dict[str, int] = {}
        for row in self.read(" union all ".join(counts)) if counts else []:
            rows[row["layer"]] = rows.get(row["layer"], 0) + row["row_count"]
        return rows

    @contextmanager
    def snapshot(self) -> Iterator["DuckDBSnapshot"]:
        """Everything in the file as of one moment, to read from; runs wait until the block ends.

        Raises:
            WarehouseError: There is no file yet, or another process keeps it for longer than `lock_timeout`.
        """
        if not self.path.exists():
            raise WarehouseError(f"There is no warehouse {self.path} yet. Load a day first: oms run --day D")
        with self._connect("read", read_only=True) as connection:
            connection.execute("begin transaction")
            yield DuckDBSnapshot(connection)

    def dbt_environment(self) -> Mapping[str, str]:
        """The path, for dbt's profile."""
        return {"OMS_DUCKDB_PATH": str(self.path)}

    @contextmanager
    def _connect(self, purpose: str, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
        connection = self._wait_for_file(purpose, read_only)
        try:
            connection.execute("set TimeZone = 'UTC'")
            self._let_read_raw_zone(connection)
            yield connection
        finally:
            connection.close()

    def _let_read_raw_zone(self, connection: duckdb.DuckDBPyConnection) -> None:
        """DuckDB reads a bucket as the store does: no extension to download, the same credentials and retries."""
        filesystem = self.zone.store.filesystem()
        # Connections to one file share one database within a process, and what is registered in it.
        if filesystem is not None and not connection.filesystem_is_registered(filesystem.protocol):
            connection.register_filesystem(filesystem)

    def _wait_for_file(self, purpose: str, read_only: bool) -> duckdb.DuckDBPyConnection:
        started = time.monotonic()
        told = False
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unusable(str(error.strerror)) from error
        while True:
            try:
                return duckdb.connect(str(self.path), read_only=read_only)
            except duckdb.IOException as error:
                holder = re.search(r"Conflicting lock is held in (.*?\bPID \d+\)?)", str(error))
                if holder is None:
                    raise self._unusable(str(error).splitlines()[0]) from error
                if time.monotonic() - started >= self.lock_timeout.total_seconds():
                    raise WarehouseError(
                        f"{self.path} is held by {holder[1]}; waited {self.lock_timeout} to {purpose}. "
                        "Close that program, or wait for its run to end, and try again."
                    ) from error
                if not told:
                    log.info("Waiting to %s: %s is held by %s", purpose, self.path, holder[1])
                    told = True
                time.sleep(_POLL_SECONDS)
            except duckdb.Error as error:
                raise self._unusable(str(error).splitlines()[0]) from error

    def _unusable(self, reason: str) -> WarehouseError:
        return WarehouseError(
            f"The warehouse {self.path} cannot be opened: {reason}. "
            "Make it a writable DuckDB file, or set OMS_DUCKDB_PATH to another place."
        )


class DuckDBSession:
    """The open file."""

    def __init__(self, warehouse: DuckDBWarehouse, connection: duckdb.DuckDBPyConnection) -> None:
        self._warehouse = warehouse
        self._connection = connection

    def register(self, manifests: Sequence[Manifest], contract: Mapping[str, Table]) -> list[RegisteredDay]:
        """Registers the files of landed days, and makes the views over all registered files.

        Args:
            manifests: Landed days.
            contract: The tables; a file of a table that is no longer in it is left out.

        Returns:
            What the warehouse finds in the files, one entry per table and day.

        Raises:
            WarehouseError: A file cannot be read; nothing has been registered then.
        """
        zone = self._warehouse.zone
        files = [(manifest.day, file) for manifest in manifests for file in manifest.files.values()]
        files = [(day, file) for day, file in files if file.table in contract]
        registration = pa.table(
            {
                "table_name": [file.table for _, file in files],
                "landed_on": pa.array([day for day, _ in files], pa.date32()),
                "path": [zone.url(file) for _, file in files],
                "row_count": pa.array([file.rows for _, file in files], pa.int64()),
                "byte_count": pa.array([file.bytes for _, file in files], pa.int64()),
                "sha256": [file.sha256 for _, file in files],
                "extracted_at": pa.array([file.extracted_at for _, file in files], pa.timestamp("us", tz="UTC")),
            }
        )
        days = pa.table({"day": pa.array([manifest.day for manifest in manifests], pa.date32())})
        found = self._rows_in_files(registration)
        with self.transaction():
            self._connection.register("registration", registration)
            self._connection.register("landed_days", days)
            self._connection.execute(
                "delete from external.registered_files where landed_on in (select day from landed_days)"
            )
            self._connection.execute(
                "insert into external.registered_files by name"
                " select *, current_timestamp as registered_at from registration"
            )
            self._connection.unregister("registration")
            self._connection.unregister("landed_days")
            self._make_views({file.table for _, file in files}, contract)
        return found

    def registered_rows(self, window: Window, contract: Mapping[str, Table]) -> dict[tuple[str, dt.date], int]:
        """(Table, day) → rows registered, for the contract's tables and the days of a window."""
        result = self._connection.execute(
            "select table_name, landed_on, row_count from external.registered_files"
            " where landed_on >= ? and landed_on < ?",
            [window.first, window.end],
        )
        return {(table, day): rows for table, day, rows in result.fetchall() if table in contract}

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One transaction around everything inside, dbt's work included."""
        self._connection.execute("begin transaction")
        try:
            with dbt_duckdb.on_connection(self._connection):
                yield
        except BaseException:
            self._connection.rollback()
            raise
        self._connection.commit()

    def facts(self, relations: Mapping[str, Shown]) -> dict[str, RelationFacts]:
        """Row counts (of tables; counting a view would run it) and the first rows."""
        return {
            relation: RelationFacts(
                rows=None if shown.is_view else self._fetch(f"select count(*) from {relation}")[0][0],
                preview=self.query(f"select * from {relation} where {shown.condition} limit {PREVIEW_ROWS}"),
            )
            for relation, shown in relations.items()
        }

    def query(self, sql: str) -> pa.Table:
        """Runs one SELECT."""
        return self._connection.sql(sql).to_arrow_table()

    def execute(self, sql: str) -> None:
        """Runs one statement of another kind, whose answer is of no interest."""
        self._connection.execute(sql)

    def _fetch(self, sql: str) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self._connection.execute(sql).fetchall()
        return rows

    def _rows_in_files(self, registration: pa.Table) -> list[RegisteredDay]:
        paths = registration.column("path").to_pylist()
        if not paths:
            return []
        try:
            counted = dict(
                self._connection.execute("select file_name, num_rows from parquet_file_metadata(?)", [paths]).fetchall()
            )
        except duckdb.Error as error:
            raise WarehouseError(
                f"A landed file cannot be read: {_reason(error)}. "
                "Restore it from a backup, or read its day anew: oms run --day D --reextract"
            ) from error
        return [
            RegisteredDay(row["table_name"], row["landed_on"], counted[row["path"]]) for row in registration.to_pylist()
        ]

    def _make_views(self, tables: set[str], contract: Mapping[str, Table]) -> None:
        """Makes the views people query; making one reads a footer of every file, so only when its text has changed."""
        made = dict(self._fetch("select view_name, comment from duckdb_views() where schema_name = 'external'"))
        for name in sorted(tables):
            sql = external_view(contract[name], self._warehouse.zone.store.url(""))
            mark = f"Definition {hashlib.sha256(sql.encode()).hexdigest()[:16]}"
            if made.get(name) != mark:
                self._connection.execute(sql)
                self._connection.execute(f"comment on view external.{name} is '{mark}'")


class DuckDBSnapshot:
    """The tables of one moment: what is read first and last is of the same run."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def columns(self, schemas: Sequence[str]) -> dict[tuple[str, str], list[tuple[str, str]]]:
        """(Schema, table or view) → its columns in order, as (name, DuckDB type)."""
        columns: dict[tuple[str, str], list[tuple[str, str]]] = {}
        found = self._connection.execute(
            "select schema_name, table_name, column_name, data_type from duckdb_columns()"
            " where schema_name in (select unnest(?)) order by schema_name, table_name, column_index",
            [list(schemas)],
        )
        for schema, table, column, data_type in found.fetchall():
            columns.setdefault((schema, table), []).append((column, data_type))
        return columns

    def value(self, sql: str) -> Any:
        """The only value of one SELECT."""
        return self._connection.execute(sql).fetchall()[0][0]

    def stream(self, sql: str, batch_rows: int) -> pa.RecordBatchReader:
        """Runs one SELECT; its rows come in batches, so that memory is bounded. One stream at a time."""
        return self._connection.sql(sql).to_arrow_reader(batch_rows)


def external_view(table: Table, raw_root: str) -> str:
    """The view over all registered files of a table, pruned by a filter on `landed_on`.

    Columns are the contract's: a file that lacks one shows NULL, a column the contract does not know is not shown.
    """
    columns = [(column.name, _DUCKDB_TYPES.get(column.data_type, column.data_type)) for column in table.columns]
    typed = ", ".join(f'cast(null as {data_type}) as "{name}"' for name, data_type in columns)
    names = ", ".join(f'"{name}"' for name, _ in columns)
    glob = f"{raw_root.rstrip('/')}/year=*/month=*/day=*/{table.name}/*.parquet".replace("'", "''")
    return (
        f"create or replace view external.{table.name} as select {names}, _extracted_at, landed_on from ("
        f"select {typed}, cast(null as timestamptz) as _extracted_at, cast(null as date) as landed_on where false"
        " union all by name"
        " select * exclude (filename), make_date(year, month, day) as landed_on"
        f" from read_parquet('{glob}', union_by_name = true, filename = true, hive_partitioning = true,"
        " hive_types = {'year': integer, 'month': integer, 'day': integer})"
        " where filename in ("
        f"select path from external.registered_files where table_name = '{table.name}'))"
    )


def _reason(error: duckdb.Error) -> str:
    # Of an error in the store's file system, DuckDB tells the traceback; the store's own sentence is one line of it.
    sentences: list[str] = re.findall(r"^\S*RawZoneError: (.*?)\.?$", str(error), re.MULTILINE)
    return sentences[-1] if sentences else str(error).splitlines()[0]


def _rows(table: pa.Table) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows
