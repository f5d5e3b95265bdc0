"""What the pipeline asks of a warehouse, and nothing more. One file implements it for each profile."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from oms_pipeline.calendar import Window
from oms_pipeline.contract import Table
from oms_pipeline.raw import Manifest

LAYERS = ("external", "staging", "intermediate", "marts")
PIPELINE_RUNS = "ops.pipeline_runs"
"""What each run did, for whoever looks at the pipeline itself: one row per run and layer."""
PIPELINE_RUNS_COLUMNS = {
    "run_id": "varchar",
    "job": "varchar",
    "first_day": "date",
    "last_day": "date",
    "layer": "varchar",
    "row_count": "bigint",
    "seconds": "double",
    "started_at": "timestamp",
    "finished_at": "timestamp",
}
"""Its columns and types, none of them null; instants in UTC."""
WAREHOUSE_COST = "ops.warehouse_cost"
"""What Snowflake has billed: one row per UTC day and what it was for. Stays empty where nobody sends a bill."""
WAREHOUSE_COST_COLUMNS = {"spent_on": "date", "spent_for": "varchar", "credits": "decimal(18, 6)"}
"""Its columns and types, none of them null."""

LOAD_A_DAY = (
    "Load a day: oms run --day D. "
    "If the marts are older than this version of the project, build them anew first: oms rebuild"
)
"""What to do where a table that runs make is missing."""


@dataclass(frozen=True)
class Purpose:
    """What a session is for: others that wait are told, and its cost is charged to it.

    Attributes:
        task: A verb, such as `register` or `transform`.
        window: The days it works on, if it works on any.
        run_id: Dagster's name of the run, or "".
    """

    task: str
    window: Window | None = None
    run_id: str = ""

    def __str__(self) -> str:
        return f"{self.task} {self.window}" if self.window else self.task


@dataclass(frozen=True)
class Shown:
    """What to show of a relation.

    Attributes:
        columns: Its columns, in order.
        is_view: Whether counting its rows would compute them.
        condition: Which rows to preview, as SQL.
    """

    columns: tuple[str, ...]
    is_view: bool = False
    condition: str = "true"


@dataclass(frozen=True)
class RegisteredDay:
    """What the warehouse has registered of one table and day.

    Attributes:
        table: Table name.
        day: The landed day.
        rows: Rows the warehouse itself finds in the registered files.
    """

    table: str
    day: dt.date
    rows: int


@dataclass(frozen=True)
class RelationFacts:
    """What is worth showing of a table.

    Attributes:
        rows: Row count, or None for a view.
        preview: The first few rows.
    """

    rows: int | None
    preview: pa.Table


@dataclass(frozen=True)
class LayerRun:
    """What a run did in one layer; a row of `PIPELINE_RUNS` beside the run itself.

    Attributes:
        layer: `raw`, `external`, `staging`, `intermediate` or `marts`.
        rows: Rows of its tables.
        seconds: Time spent on it.
    """

    layer: str
    rows: int
    seconds: float


def record_run_sql(
    run_id: str, job: str, window: Window, started_at: dt.datetime, finished_at: dt.datetime, layers: Sequence[LayerRun]
) -> str:
    """One INSERT into `PIPELINE_RUNS`; a layer that the run has recorded already stays as it is.

    Args:
        run_id: Dagster's name of the run.
        job: The job's name.
        window: Its days.
        started_at: When it began, UTC.
        finished_at: When the layers were done, UTC.
        layers: What it did, at least one.
    """
    began, ended = (at.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M:%S") for at in (started_at, finished_at))
    rows = "\n    union all ".join(
        f"select '{run_id}' as run_id, '{job}' as job, date '{window.first}' as first_day, "
        f"date '{window.last}' as last_day, '{done.layer}' as layer, {done.rows} as row_count, "
        f"cast({done.seconds:.3f} as double) as seconds, timestamp '{began}' as started_at, "
        f"timestamp '{ended}' as finished_at"
        for done in layers
    )
    columns = ", ".join(PIPELINE_RUNS_COLUMNS)
    return (
        f"insert into {PIPELINE_RUNS} ({columns})\nselect {columns} from (\n    {rows}\n) as done\n"
        f"where layer not in (select layer from {PIPELINE_RUNS} where run_id = '{run_id}')"
    )


class WarehouseSession(Protocol):
    """The open warehouse. Inside `transaction` no other run writes to it; a file is held from the start."""

    def register(self, manifests: Sequence[Manifest], contract: Mapping[str, Table]) -> list[RegisteredDay]:
        """Makes landed days queryable as `external.<table>`, replacing what was registered for those days."""

    def registered_rows(self, window: Window, contract: Mapping[str, Table]) -> dict[tuple[str, dt.date], int]:
        """(Table, day) → rows registered, for the contract's tables and the days of a window."""

    def transaction(self) -> AbstractContextManager[None]:
        """Everything done inside, dbt's work included, appears at once at the end, or not at all."""

    def facts(self, relations: Mapping[str, Shown]) -> dict[str, RelationFacts]:
        """Row counts and first rows of relations, by `schema.name`."""

    def query(self, sql: str) -> pa.Table:
        """Runs one SELECT."""

    def execute(self, sql: str) -> None:
        """Runs one statement of another kind, whose answer is of no interest."""


class Warehouse(Protocol):
    """A place with the schemas `external`, `staging`, `intermediate`, `marts` and `ops`."""

    @property
    def kind(self) -> str:
        """Its name among Dagster's kinds."""

    @property
    def ddl_commits(self) -> bool:
        """Whether DDL ends the open transaction, and a statement costs more than the work in it.

        Then relations are made before the transaction begins, and a run's tests are one query.
        """

    def open(self, purpose: Purpose) -> AbstractContextManager[WarehouseSession]:
        """Waits until no other run holds the warehouse, then holds it.

        Raises:
            WarehouseError: It cannot be reached, or stays held for too long; the text says by whom.
        """

    def check(self) -> str:
        """Tries what a run needs of it, changes nothing, and says what answered.

        Raises:
            WarehouseError: Something is missing; the text has the remedy.
        """

    def read(self, sql: str) -> list[dict[str, Any]]:
        """Rows of one SELECT, without holding the warehouse; empty where its tables do not exist yet."""

    def reading(self, purpose: Purpose) -> AbstractContextManager[Callable[[str], pa.Table]]:
        """What runs one SELECT after another, without holding the warehouse; names in lower case.

        Raises:
            WarehouseError: It cannot be reached, or one of them fails.
        """

    def registered_days(self, contract: Mapping[str, Table]) -> dict[dt.date, int]:
        """Day → rows in its registered files, without holding the warehouse."""

    def layer_rows(self) -> dict[str, int]:
        """Layer → rows in its tables, without holding the warehouse."""

    def dbt_environment(self) -> Mapping[str, str]:
        """Environment variables that lead dbt's profile to this warehouse."""
