"""Publishes tables of the DuckDB warehouse in PostgreSQL, all at once. Changes nothing in the warehouse.

The new tables are filled in a schema beside the old one, counted, and take its name in the transaction that made them.
Renaming a schema takes no lock that a query holds: readers never wait, and never see tables of two runs.
"""

import datetime as dt
import logging
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import adbc_driver_manager
from adbc_driver_postgresql import dbapi

from oms_pipeline.dashboards.handmade import MARK, keep_rights, refuse_handmade, rows_of, run_statement
from oms_pipeline.errors import PublicationError, RowCountError, server_sentence
from oms_pipeline.settings import describe_dsn, postgres_uri, unreadable_dsn
from oms_pipeline.warehouse import DuckDBSnapshot, DuckDBWarehouse

log = logging.getLogger(__name__)

# Small enough for a machine that also runs the warehouse, large enough that a batch costs nothing.
BATCH_ROWS: Final = 50_000
POLL_SECONDS: Final = 0.2
DROP_TIMEOUT: Final = "1s"
# Any number, the same for every publication: PostgreSQL's advisory locks are named by one.
_LOCK: Final = 6_577_903_211

_POSTGRES_TYPES: Final = {
    "BOOLEAN": "boolean",
    "TINYINT": "smallint",
    "SMALLINT": "smallint",
    "INTEGER": "integer",
    "BIGINT": "bigint",
    "HUGEINT": "numeric(38, 0)",
    "FLOAT": "real",
    "DOUBLE": "double precision",
    "VARCHAR": "text",
    "DATE": "date",
    "TIME": "time",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamptz",
}

_FOUND: Final = """
select coalesce(obj_description(oid, 'pg_namespace'), '') as mark
from pg_namespace
where nspname = '{schema}'
"""


@dataclass(frozen=True)
class PublishedTable:
    """A table as it was published.

    Attributes:
        schema: Its schema, of the same name on both sides.
        name: Its name.
        rows: Rows in the warehouse, and as many in PostgreSQL.
        columns: How many columns it has.
    """

    schema: str
    name: str
    rows: int
    columns: int


@dataclass(frozen=True)
class Newest:
    """The newest days of a table.

    Attributes:
        column: The column with the day.
        days: How many, the newest one included.
        last: A SELECT of the newest day, from a table: a view would have to compute all of its days to tell it.
    """

    column: str
    days: int
    last: str


@dataclass(frozen=True)
class Publication:
    """Where tables are published.

    Attributes:
        dsn: PostgreSQL DSN of a role that may create schemas. Never shown.
        reader: Role that may read everything published, besides whoever has been granted it there; None for nobody.
        lock_timeout: How long to wait for another publication to end.
    """

    dsn: str = field(repr=False)
    reader: str | None
    lock_timeout: dt.timedelta

    def publish(
        self, warehouse: DuckDBWarehouse, schemas: Sequence[str], newest: Mapping[str, Newest] | None = None
    ) -> list[PublishedTable]:
        """Replaces the published tables of some schemas by the warehouse's.

        Args:
            warehouse: Read in one transaction, so that all tables are of one run.
            schemas: Schemas to publish with every table and view in them; one that is not there is left out.
            newest: `schema.table` → which of its days to publish, where all of them would be too many.

        Returns:
            What was published, by schema and name.

        Raises:
            PublicationError: PostgreSQL refuses something. What was published before is unchanged.
            RowCountError: PostgreSQL holds other rows than were read. What was published before is unchanged.
            WarehouseError: The warehouse cannot be read.
        """
        with self._connect() as connection, warehouse.snapshot() as snapshot:
            self._wait_for_others(connection)
            columns = snapshot.columns(schemas)
            present = sorted({schema for schema, _ in columns})
            self._drop_leftovers(connection, present)
            replaced = [schema for schema in present if self._is_ours(connection, schema)]
            published = []
            for schema in present:
                tables = [table for of_schema, table in columns if of_schema == schema]
                run_statement(connection, f"create schema {_next(schema)}")
                run_statement(connection, f"comment on schema {_next(schema)} is '{MARK}{', '.join(tables)}'")
                published += [
                    _copy(
                        connection,
                        snapshot,
                        schema,
                        table,
                        columns[schema, table],
                        (newest or {}).get(f"{schema}.{table}"),
                    )
                    for table in tables
                ]
                names = {table: [name for name, _ in columns[schema, table]] for table in tables}
                keep_rights(connection, schema, _next(schema), names, self.reader)
            for schema in present:
                if schema in replaced:
                    run_statement(connection, f"alter schema {schema} rename to {_before(schema)}")
                run_statement(connection, f"alter schema {_next(schema)} rename to {schema}")
            connection.commit()
            self._drop_leftovers(connection, present)
        return published

    def check(self) -> str:
        """Connects, and says where.

        Raises:
            PublicationError: Nobody answers, or the role may not create schemas.
        """
        with self._connect() as connection:
            (row,) = rows_of(
                connection, "select has_database_privilege(current_database(), 'create') as may_create, current_user"
            )
            if not row["may_create"]:
                raise PublicationError(
                    f"The role of OMS_PUBLISH_URL may not create schemas in {describe_dsn(self.dsn)}. "
                    f"Grant it: grant create on database … to {row['current_user']}"
                )
        return f"{describe_dsn(self.dsn)} answers; marts are published there"

    @contextmanager
    def _connect(self) -> Iterator[dbapi.Connection]:
        where = describe_dsn(self.dsn)
        connected = False
        try:
            with dbapi.connect(self.dsn) as connection:
                connected = True
                yield connection
        except adbc_driver_manager.Error as error:
            if not connected and (unreadable := unreadable_dsn("OMS_PUBLISH_URL", self.dsn, str(error))):
                raise PublicationError(unreadable) from None
            if isinstance(error, adbc_driver_manager.OperationalError) or not error.sqlstate:
                step = "Check that it runs, and OMS_PUBLISH_URL"
            elif error.sqlstate.startswith("42501"):
                step = "Give the role of OMS_PUBLISH_URL the right: grant create on database … to …"
            else:
                step = "Mend that, and run the day again"
            raise PublicationError(
                f"The marts were not published to {where}: {server_sentence(str(error))}. {step}."
            ) from error

    def _wait_for_others(self, connection: dbapi.Connection) -> None:
        """One publication at a time. The lock ends with the connection, whatever becomes of this process."""
        started = time.monotonic()
        while not rows_of(connection, f"select pg_try_advisory_lock({_LOCK}) as held")[0]["held"]:
            if time.monotonic() - started >= self.lock_timeout.total_seconds():
                raise PublicationError(
                    f"Another publication to {describe_dsn(self.dsn)} is under way; waited {self.lock_timeout}. "
                    "Wait for its run to end, and run the day again."
                )
            time.sleep(POLL_SECONDS)

    def _drop_leftovers(self, connection: dbapi.Connection, schemas: Sequence[str]) -> None:
        """Drops what was published before, once nobody reads it any more; else the next publication will."""
        for schema in schemas:
            old = rows_of(
                connection,
                f"select nspname as name from pg_namespace where starts_with(nspname, '{schema}__before_') order by 1",
            )
            for name in [row["name"] for row in old]:
                try:
                    run_statement(connection, f"set local lock_timeout = '{DROP_TIMEOUT}'")
                    for row in rows_of(connection, f"select tablename from pg_tables where schemaname = '{name}'"):
                        run_statement(connection, f'drop table {name}."{row["tablename"]}"')
                    run_statement(connection, f"drop schema {name}")
                except adbc_driver_manager.Error as error:
                    connection.rollback()
                    log.info("%s is not dropped yet, each run tries again: %s", name, server_sentence(str(error)))
                else:
                    connection.commit()

    def _is_ours(self, connection: dbapi.Connection, schema: str) -> bool:
        """Whether there is a publication to replace, and nothing in it or made of it that somebody made by hand."""
        found = rows_of(connection, _FOUND.format(schema=schema))
        if not found:
            return False
        where = describe_dsn(self.dsn)
        if not found[0]["mark"].startswith(MARK):
            raise PublicationError(
                f"{where} has a schema {schema} that is not a publication, and would be replaced. "
                "Set OMS_PUBLISH_URL to another database, or rename that schema."
            )
        refuse_handmade(connection, schema, where, found[0]["mark"])
        return True


def create_table(relation: str, columns: Sequence[tuple[str, str]]) -> str:
    """The DDL of a published table.

    Args:
        relation: Its schema and name.
        columns: Names and DuckDB types, in order.

    Raises:
        PublicationError: A type has no counterpart that holds its values exactly.
    """
    lines = [f'    "{name}" {postgres_type(relation, name, data_type)}' for name, data_type in columns]
    return f"create table {relation} (\n" + ",\n".join(lines) + "\n)"


def postgres_type(relation: str, column: str, data_type: str) -> str:
    """The PostgreSQL type that holds a DuckDB column's values exactly.

    Raises:
        PublicationError: There is none.
    """
    decimal = re.fullmatch(r"DECIMAL\((\d+),\s*(\d+)\)", data_type)
    if decimal:
        return f"numeric({decimal[1]}, {decimal[2]})"
    if data_type not in _POSTGRES_TYPES:
        raise PublicationError(
            f"{relation} has a column {column} of type {data_type}, which is not published. "
            f"Cast it in the model to one of: {', '.join(sorted(_POSTGRES_TYPES)).lower()}, decimal."
        )
    return _POSTGRES_TYPES[data_type]


def reader_of(user: str | None, publisher: str) -> str | None:
    """The role that is to read what is published, if it is another than the publisher's own.

    Args:
        user: Who reads, or None.
        publisher: DSN of who publishes.
    """
    return user if user != postgres_uri(publisher).user else None


def _copy(
    connection: dbapi.Connection,
    snapshot: DuckDBSnapshot,
    schema: str,
    table: str,
    columns: Sequence[tuple[str, str]],
    newest: Newest | None,
) -> PublishedTable:
    relation = f'{schema}."{table}"'
    if newest is not None:
        # As a literal, so that a view computes no other day.
        last = snapshot.value(newest.last)
        relation += f" where {newest.column} > date '{last}' - {newest.days}" if last is not None else ""
    run_statement(connection, create_table(f'{_next(schema)}."{table}"', columns))
    expected = snapshot.value(f"select count(*) from {relation}")
    with connection.cursor() as cursor:
        rows = snapshot.stream(f"select * from {relation}", BATCH_ROWS)
        cursor.adbc_ingest(table, rows, mode="append", db_schema_name=_next(schema))
    run_statement(connection, f'analyze {_next(schema)}."{table}"')
    found = int(rows_of(connection, f'select count(*) as n from {_next(schema)}."{table}"')[0]["n"])
    if found != expected:
        raise RowCountError(
            f"{schema}.{table} has {expected} rows in the warehouse and {found} in PostgreSQL. "
            "What was published before is unchanged; run the day again.",
            table,
            expected,
            found,
        )
    return PublishedTable(schema, table, found, len(columns))


def _next(schema: str) -> str:
    return f"{schema}__next"


def _before(schema: str) -> str:
    return f"{schema}__before_{dt.datetime.now(dt.UTC):%Y%m%dt%H%M%S%f}"
