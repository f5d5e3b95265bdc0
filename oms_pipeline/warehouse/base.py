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
    """The warehouse, held by this process alone: no other run can change it while the session is open."""

    def register(self, manifests: Sequence[Manifest], contract: Mapping[str, Table]) -> list[RegisteredDay]:
        """Makes landed days queryable as `external.<table>`, replacing what was registered for those days."""

    def registered_rows(self, window: Window) -> dict[tuple[str, dt.date], int]:
        """(Table, day) → rows registered, for the days of a window."""

    def transaction(self) -> AbstractContextManager[None]:
        """Everything done inside, dbt's work included, appears at once at the end, or not at all."""

    def facts(self, relations: Mapping[str, str]) -> dict[str, RelationFacts]:
        """What is worth showing of each relation: `schema.name` → condition on the rows to preview."""

    def query(self, sql: str) -> pa.Table:
        """Runs one SELECT."""


class Warehouse(Protocol):
    """A place with the schemas `external`, `staging`, `intermediate` and `marts`."""

    @property
    def kind(self) -> str:
        """Its name among Dagster's kinds."""

    def open(self, purpose: str) -> AbstractContextManager[WarehouseSession]:
        """Waits until no other run holds the warehouse, then holds it.

        Raises:
            WarehouseError: It cannot be reached, or stays held for too long; the text says by whom.
        """

    def read(self, sql: str) -> list[dict[str, Any]]:
        """Rows of one SELECT, without holding the warehouse; empty where its tables do not exist yet."""

    def layer_rows(self) -> dict[str, int]:
        """Layer → rows in its tables, without holding the warehouse."""

    def dbt_environment(self) -> Mapping[str, str]:
        """Environment variables that lead dbt's profile to this warehouse."""
