"""Holds what was registered and staged against what was landed. Pure."""

import datetime as dt
from collections import Counter
from collections.abc import Mapping

from oms_pipeline.errors import WarehouseError


def check_registered(
    landed: Mapping[tuple[str, dt.date], int], registered: Mapping[tuple[str, dt.date], int], window: str
) -> None:
    """Every landed file must be registered with the rows it was landed with.

    Raises:
        WarehouseError: They differ; the text names the first difference and the next step.
    """
    for table, day in sorted(landed.keys() | registered.keys()):
        expected, found = landed.get((table, day)), registered.get((table, day))
        if expected != found:
            raise WarehouseError(
                f"external.{table} has {_rows(found)} registered for {day}, {_rows(expected)} landed. "
                f"Register it again: materialise the external layer for {window}."
            )


def check_staged(landed: Mapping[tuple[str, dt.date], int], staged: Mapping[str, int]) -> None:
    """Every landed row must be staged, before anything is deduplicated.

    Raises:
        WarehouseError: They differ; names table, expected and found.
    """
    expected: Counter[str] = Counter()
    for (table, _), rows in landed.items():
        expected[table] += rows
    for table, found in staged.items():
        if found != expected[table]:
            raise WarehouseError(
                f"staging.stg_oms__{table} holds {found} rows, {expected[table]} were landed. Nothing was changed; "
                "check the staging model for a filter or join, then run the day again."
            )


def _rows(count: int | None) -> str:
    return "nothing" if count is None else f"{count} rows"
