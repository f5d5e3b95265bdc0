"""Holds what was registered and staged against what was landed. Pure."""

import datetime as dt
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from oms_pipeline.errors import RowCountError


def check_registered(
    landed: Mapping[tuple[str, dt.date], int], registered: Mapping[tuple[str, dt.date], int], window: str
) -> None:
    """Every landed file must be registered with the rows it was landed with.

    Raises:
        RowCountError: They differ; the text names the first difference and the next step.
    """
    for table, day in sorted(landed.keys() | registered.keys()):
        expected, found = landed.get((table, day)), registered.get((table, day))
        if expected != found:
            raise RowCountError(
                f"external.{table} has {_rows(found)} registered for {day}, {_rows(expected)} landed. "
                f"Register it again: materialise the external layer for {window}.",
                table,
                expected or 0,
                found or 0,
            )


@dataclass(frozen=True)
class Staged:
    """A staged table that holds what was landed of it.

    Attributes:
        table: Table name.
        expected: Rows landed.
        found: Rows staged.
        files: Landed files they come from.
    """

    table: str
    expected: int
    found: int
    files: int


def check_staged(landed: Mapping[tuple[str, dt.date], int], staged: Mapping[str, int]) -> list[Staged]:
    """Every landed row must be staged, before anything is deduplicated.

    Raises:
        RowCountError: They differ; names table, expected and found.
    """
    expected: Counter[str] = Counter()
    files: Counter[str] = Counter()
    for (table, _), rows in landed.items():
        expected[table] += rows
        files[table] += 1
    for table, found in staged.items():
        if found != expected[table]:
            raise RowCountError(
                f"staging.stg_oms__{table} holds {found} rows, {expected[table]} were landed. Nothing was changed; "
                "check the staging model for a filter or join, then run the day again.",
                table,
                expected[table],
                found,
            )
    return [Staged(table, expected[table], found, files[table]) for table, found in staged.items()]


def _rows(count: int | None) -> str:
    return "nothing" if count is None else f"{count} rows"
