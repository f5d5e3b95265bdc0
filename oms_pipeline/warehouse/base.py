"""What the pipeline asks of a warehouse, and nothing more. One file implements it for each profile."""

import datetime as dt
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from oms_pipeline.calendar import Window
from oms_pipeline.contract import Table
from oms_pipeline.raw import Manifest

LAYERS = ("external", "staging", "intermediate", "marts")


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


class Warehouse(Protocol):
    """A place with the schemas `external`, `staging`, `intermediate` and `marts`."""

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

    def registered_days(self, contract: Mapping[str, Table]) -> dict[dt.date, int]:
        """Day → rows in its registered files, without holding the warehouse."""

    def layer_rows(self) -> dict[str, int]:
        """Layer → rows in its tables, without holding the warehouse."""

    def dbt_environment(self) -> Mapping[str, str]:
        """Environment variables that lead dbt's profile to this warehouse."""
