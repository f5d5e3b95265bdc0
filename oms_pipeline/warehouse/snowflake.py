"""The `snowflake` profile's warehouse: external tables over the raw zone, and one transaction around a day's models."""

import datetime as dt
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import pyarrow as pa

from oms_pipeline.calendar import Window
from oms_pipeline.contract import Table
from oms_pipeline.errors import WarehouseError
from oms_pipeline.presentation import PREVIEW_ROWS
from oms_pipeline.raw import Manifest, RawZone
from oms_pipeline.raw.manifest import day_prefix
from oms_pipeline.settings import SnowflakeLogin
from oms_pipeline.warehouse.base import LAYERS, LOAD_A_DAY, Purpose, RegisteredDay, RelationFacts, Shown
from oms_pipeline.warehouse.dbt_snowflake import on_connection
from oms_pipeline.warehouse.snowflake_external import (
    STAGE,
    STAGE_URL,
    counts_sql,
    definition_mark,
    definitions_sql,
    external_table,
    refresh_paths,
)
from oms_pipeline.warehouse.snowflake_login import connect, statement_error

_DOES_NOT_EXIST: Final = 2003
_HELD: Final = "external.held_windows"
_LAYER_OF_PREFIX: Final = {"stg": "staging", "int": "intermediate"}


@dataclass(frozen=True)
class SnowflakeWarehouse:
    """A Snowflake database whose external stage is the raw zone.

    Attributes:
        login: Account, user, role, virtual warehouse and database.
        zone: The raw zone, on the stage's bucket.
        lock_timeout: How long to wait at the first write for another run to end.
    """

    login: SnowflakeLogin
    zone: RawZone
    lock_timeout: dt.timedelta
    kind: ClassVar[str] = "snowflake"
    ddl_commits: ClassVar[bool] = True
    _counted: dict[tuple[str, dt.date], int] = field(default_factory=dict, repr=False, compare=False)
    """What this process has counted in the external tables: a run registers and transforms, and counts once."""

    @contextmanager
    def open(self, purpose: Purpose) -> Iterator["SnowflakeSession"]:
        """A session. Runs wait for each other inside its transaction, where they write, not here.

        Raises:
            WarehouseError: Snowflake cannot be reached, or refuses the login.
        """
        with connect(self.login, autocommit=False, lock_timeout=self.lock_timeout) as connection:
            yield SnowflakeSession(self, connection, purpose)

    def check(self) -> str:
        """Logs in, wakes the virtual warehouse, lists the stage and looks at what bootstrap makes."""
        with self.open(Purpose("check")) as session:
            (answer,) = session.query(
                "select current_role() as role, current_warehouse() as warehouse, max(stage_url) as stage_url"
                f" from ({STAGE_URL}) as stage left join {_HELD} on true"
            ).to_pylist()
            if answer["warehouse"] is None:
                raise WarehouseError(
                    f"There is no warehouse {self.login.warehouse} for role {self.login.role}. "
                    "Make it and its grants: oms snowflake bootstrap"
                )
            self.refuse_other_stage(answer["stage_url"])
            # A path that no day has: the permission is tried, and nothing is listed.
            session.execute(f"list {STAGE}/year=0000/")
        return f"snowflake answers role {answer['role']} on {answer['warehouse']}, and lists {self.zone.store.url('')}"

    def refuse_other_stage(self, stage_url: str | None) -> None:
        """Refuses a stage that is not the raw zone.

        Raises:
            WarehouseError: It is missing, or reads another place; the text says which.
        """
        if stage_url is None:
            raise WarehouseError(
                f"There is no stage external.raw for role {self.login.role}. Make it and its grants: "
                "oms snowflake bootstrap"
            )
        url = self.zone.store.url("")
        if stage_url.rstrip("/") != url.rstrip("/"):
            raise WarehouseError(
                f"The stage external.raw reads {stage_url}, and OMS_RAW_URL is {url}. Set OMS_RAW_URL back, or let the "
                "stage follow: oms snowflake bootstrap --only integration --only stage --aws-role-arn ARN"
            )

    def read(self, sql: str) -> list[dict[str, Any]]:
        """Rows of one SELECT, names in lower case; empty where its tables do not exist yet."""
        import snowflake.connector.errors as connector

        with connect(self.login) as connection:
            try:
                return _rows(connection.cursor().execute(sql))
            except connector.ProgrammingError as error:
                if error.errno == _DOES_NOT_EXIST:
                    return []
                raise

    @contextmanager
    def reading(self, purpose: Purpose) -> Iterator[Callable[[str], pa.Table]]:
        """One login; what is asked is tagged with the purpose."""
        with connect(self.login) as connection:
            session = SnowflakeSession(self, connection, purpose)

            def query(sql: str) -> pa.Table:
                try:
                    return session.query(sql)
                except WarehouseError as error:
                    cause = error.__cause__
                    if cause is None or getattr(cause, "errno", None) != _DOES_NOT_EXIST:
                        raise
                    # Bootstrap makes schemas and grants; what is read here is made by runs.
                    raise statement_error(cause, LOAD_A_DAY) from cause

            yield query

    def layer_rows(self) -> dict[str, int]:
        """Layer → rows in its tables, from the metadata that Snowflake keeps."""
        rows = self.read(
            "select lower(table_schema) as layer, sum(row_count) as row_count from information_schema.tables"
            " where table_type = 'BASE TABLE' group by 1"
        )
        return {row["layer"]: int(row["row_count"] or 0) for row in rows if row["layer"] in LAYERS[1:]}

    def registered_days(self, contract: Mapping[str, Table]) -> dict[dt.date, int]:
        """Day → rows landed in its registered files. The list of files is metadata, so nothing is scanned."""
        there = self.read(
            "select lower(table_name) as name from information_schema.tables where table_schema = 'EXTERNAL'"
        )
        tables = sorted({row["name"] for row in there} & contract.keys())
        if not tables:
            return {}
        files = self.read(
            "\nunion all\n".join(
                "select file_name from table(information_schema.external_table_files("
                f"table_name => 'external.{table}'))"
                for table in tables
            )
        )
        registered = {file["file_name"][file["file_name"].index("year=") :] for file in files}
        days: dict[dt.date, int] = {}
        for day in self.zone.days():
            manifest = self.zone.manifest(day)
            for file in manifest.files.values() if manifest is not None else ():
                if file.path in registered:
                    days[day] = days.get(day, 0) + file.rows
        return days

    def dbt_environment(self) -> Mapping[str, str]:
        """Where dbt works; the key stays here."""
        return {
            "SNOWFLAKE_ACCOUNT": self.login.account,
            "SNOWFLAKE_USER": self.login.user,
            "SNOWFLAKE_ROLE": self.login.role,
            "SNOWFLAKE_WAREHOUSE": self.login.warehouse,
            "SNOWFLAKE_DATABASE": self.login.database,
        }


class SnowflakeSession:
    """A logged-in session; what it runs is tagged with run, asset and day."""

    def __init__(self, warehouse: SnowflakeWarehouse, connection: Any, purpose: Purpose) -> None:
        self._warehouse = warehouse
        self._connection = connection
        self._purpose = purpose

    def register(self, manifests: Sequence[Manifest], contract: Mapping[str, Table]) -> list[RegisteredDay]:
        """Registers the files of landed days, by the path of each day, and counts what the tables show of them.

        Snowflake leaves out a file it cannot read, without a word, so rows are counted where they are read, in one
        query over all tables and days.

        Args:
            manifests: Landed days.
            contract: The tables; a file of a table that is no longer in it is left out.

        Returns:
            What the warehouse finds, one entry per landed table and day.

        Raises:
            WarehouseError: The stage cannot be listed, or a table has files that no manifest names.
        """
        days = sorted(manifest.day for manifest in manifests)
        self._refresh(contract.values(), days)
        found = self._found(contract, days)
        registered = []
        for manifest in manifests:
            for file in manifest.files.values():
                if file.table not in contract:
                    continue
                files, rows = found.get((file.table, manifest.day), (0, 0))
                if files > 1:
                    raise WarehouseError(
                        f"external.{file.table} has {files} files for {manifest.day}, its manifest names one. "
                        f"Delete the others from {self._warehouse.zone.store.url(day_prefix(manifest.day))}"
                    )
                registered.append(RegisteredDay(file.table, manifest.day, rows))
        self._warehouse._counted.update({(found.table, found.day): found.rows for found in registered})
        return registered

    def registered_rows(self, window: Window, contract: Mapping[str, Table]) -> dict[tuple[str, dt.date], int]:
        """(Table, day) → rows registered; counted anew only if this process has not yet."""
        days = set(window.days)
        counted = {key: n for key, n in self._warehouse._counted.items() if key[1] in days and key[0] in contract}
        if {day for _, day in counted} != days:
            manifests = [
                manifest for day in window.days if (manifest := self._warehouse.zone.manifest(day)) is not None
            ]
            found = self._found(contract, sorted(days))
            counted = {
                (file.table, manifest.day): found.get((file.table, manifest.day), (0, 0))[1]
                for manifest in manifests
                for file in manifest.files.values()
                if file.table in contract
            }
        return counted

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One transaction around everything inside, dbt's work included, as long as it is DML.

        Another run's transaction waits at its first write until this one has ended.
        """
        try:
            with on_connection(self._connection, self._run_for_dbt):
                yield
        except BaseException:
            with suppress(WarehouseError):  # without a connection there is nothing to roll back, and the cause to tell
                self._run("rollback", self._purpose.task)
            raise
        self._run("commit", self._purpose.task)

    def facts(self, relations: Mapping[str, Shown]) -> dict[str, RelationFacts]:
        """Row counts (of tables; counting a view would run it) and the first rows, as text, in one query.

        Raises:
            WarehouseError: What was written is gone: the transaction has ended without its run.
        """
        width = max(len(shown.columns) for shown in relations.values())
        selects = []
        for relation, shown in relations.items():
            columns = [*(f"cast({column} as varchar)" for column in shown.columns), *["null"] * width][:width]
            named = ", ".join(f"{column} as c{number}" for number, column in enumerate(columns))
            rows = "null" if shown.is_view else f"(select count(*) from {relation})"
            selects.append(
                f"select * from (select '{relation}' as relation, {rows} as row_count, {named}"
                f" from {relation} where {shown.condition} limit {PREVIEW_ROWS})"
            )
        selects.append(
            f"select '{_HELD}', count(*), {', '.join(['null'] * width)}"
            f" from {_HELD} where relation = 'marts' and held = current_session()"
        )
        result = _rows(self._run("\nunion all\n".join(selects), "transform"))
        if not any(row["row_count"] for row in result if row["relation"] == _HELD):
            # What came after it is in another transaction, which the next statement has begun by itself.
            raise WarehouseError(
                "Snowflake has ended this run's transaction: it stood still for minutes while another run waited, or "
                "somebody aborted it. Nothing was changed; run it again."
            )
        facts = {}
        for relation, shown in relations.items():
            found = [row for row in result if row["relation"] == relation]
            count = None if shown.is_view else int(found[0]["row_count"]) if found else 0
            preview = {name: [row[f"c{number}"] for row in found] for number, name in enumerate(shown.columns)}
            facts[relation] = RelationFacts(count, pa.table(preview))
        return facts

    def query(self, sql: str) -> pa.Table:
        """Runs one SELECT; names in lower case."""
        cursor = self._run(sql, self._purpose.task)
        names = [column.name.lower() for column in cursor.description]
        # Not the connector's own Arrow table: its parts can differ in the width of their integers.
        columns = list(zip(*cursor.fetchall(), strict=True)) or [()] * len(names)
        return pa.table(dict(zip(names, map(list, columns), strict=True)))

    def execute(self, sql: str) -> None:
        """Runs one statement of another kind, whose answer is of no interest."""
        self._run(sql, self._purpose.task)

    def _found(
        self, contract: Mapping[str, Table], days: Sequence[dt.date]
    ) -> dict[tuple[str, dt.date], tuple[int, int]]:
        """(Table, day) → (files, rows) as scanned, once every table is there as the contract has it."""
        url = self._warehouse.zone.store.url("")
        found, definitions = self._count(contract, days)
        self._warehouse.refuse_other_stage(definitions.get(STAGE))
        outdated = [table for table in contract.values() if definitions.get(table.name) != definition_mark(table, url)]
        if outdated:
            self._make(outdated)
            found, _ = self._count(contract, days)
        return found

    def _refresh(self, tables: Iterable[Table], days: Sequence[dt.date]) -> None:
        """Has Snowflake list the paths of the days; a table that does not exist is left for later."""
        for table in tables:
            for path in refresh_paths(days, table.name):
                try:
                    self._run(f"alter external table external.{table.name} refresh '{path}'", f"external/{table.name}")
                except WarehouseError as error:
                    if getattr(error.__cause__, "errno", None) != _DOES_NOT_EXIST:
                        raise
                    break

    def _make(self, tables: Iterable[Table]) -> None:
        """Makes tables that are missing or whose contract has changed, and registers every landed day in them."""
        days = self._warehouse.zone.days()
        for table in tables:
            self._run(external_table(table), f"external/{table.name}")
            self._refresh([table], days)
            # Last, so that a table that was left without its history is made again.
            mark = definition_mark(table, self._warehouse.zone.store.url(""))
            self._run(f"alter table external.{table.name} set comment = '{mark}'", f"external/{table.name}")

    def _count(
        self, contract: Mapping[str, Table], days: Sequence[dt.date]
    ) -> tuple[dict[tuple[str, dt.date], tuple[int, int]], dict[str, str]]:
        """(Table, day) → (files, rows), and table → its definition's mark; no counts if a table is missing."""
        try:
            rows = _rows(self._run(counts_sql(contract, days), "external"))
        except WarehouseError as error:
            if getattr(error.__cause__, "errno", None) != _DOES_NOT_EXIST:
                raise
            rows = _rows(self._run(definitions_sql(), "external"))
        return (
            {
                (row["table_name"], row["landed_on"]): (int(row["files"]), int(row["row_count"]))
                for row in rows
                if row["landed_on"] is not None
            },
            {row["table_name"]: row["definition"] for row in rows if row["landed_on"] is None},
        )

    def _run_for_dbt(self, cursor: Any, sql: str, node: str, bindings: Any) -> Any:
        import snowflake.connector.errors as connector

        asset = "transform"
        if node:
            name = node.split(".")[2]
            asset = f"{_LAYER_OF_PREFIX.get(name.split('_')[0], 'marts')}/{name}"
        try:
            return self._execute(cursor, sql, asset, bindings)
        except connector.Error as error:
            # dbt shows the text of an error, and does not know the next step.
            error.msg = str(statement_error(error))
            raise

    def _run(self, sql: str, asset: str) -> Any:
        import snowflake.connector.errors as connector

        try:
            return self._execute(self._connection.cursor(), sql, asset)
        except connector.Error as error:
            raise statement_error(error) from error

    def _execute(self, cursor: Any, sql: str, asset: str, bindings: Any = None) -> Any:
        tag = {"run_id": self._purpose.run_id, "asset": asset, "day": str(self._purpose.window)}
        return cursor.execute(sql, bindings, _statement_params={"QUERY_TAG": json.dumps(tag)})


def _rows(cursor: Any) -> list[dict[str, Any]]:
    names = [column.name.lower() for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
