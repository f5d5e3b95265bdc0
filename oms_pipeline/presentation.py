"""How assets show themselves in Dagster's UI: column schemas, row previews, counts. Reads no data itself."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import dagster as dg
import pyarrow as pa
from tabulate import tabulate

from oms_pipeline.contract import Table
from oms_pipeline.errors import RowCountError

OWNER: Final = "team:data"
TRANSFORM: Final = "transform"
RECONCILED: Final = "reconciled"
ON_TIME: Final = "on_time"
NEW_COLUMNS: Final = "new_columns"
CREDITS: Final = "credits"
PREVIEW_ROWS: Final = 5
HIDDEN: Final = "•••"


def column_schema(columns: Iterable[tuple[str, str, str]]) -> dg.TableSchema:
    """Columns as (name, type, description) for the UI."""
    return dg.TableSchema([dg.TableColumn(name, type=kind, description=about) for name, kind, about in columns])


def contract_schema(table: Table) -> dg.TableSchema:
    """The column schema of a raw or external table, from the contract."""
    return column_schema((column.name, column.data_type, column.description) for column in table.columns)


def preview(rows: pa.Table, hidden: Sequence[str] = ()) -> dg.MarkdownMetadataValue:
    """A few rows as a Markdown table.

    Args:
        rows: The rows, few.
        hidden: Columns whose values are personal: shown as dots.
    """
    shown = [
        [HIDDEN if column in hidden else "" if value is None else value for column, value in row.items()]
        for row in rows.to_pylist()
    ]
    return dg.MetadataValue.md(tabulate(shown, rows.column_names, tablefmt="pipe", disable_numparse=True))


def lineage_table(lineage: dg.TableColumnLineage) -> dg.MarkdownMetadataValue:
    """Each column and the upstream columns it is made of, to read: the open-source UI draws no column lineage."""
    lines = ["| column | made of |", "| --- | --- |"]
    for column, deps in lineage.deps_by_column.items():
        made_of = ", ".join(".".join([*dep.asset_key.path, dep.column_name]) for dep in deps)
        lines.append(f"| {column} | {made_of or '–'} |")
    return dg.MetadataValue.md("\n".join(lines))


def reconciled_spec(key: Sequence[str], hop: str) -> dg.AssetCheckSpec:
    """The blocking check that a hop lost no row.

    Args:
        key: The asset at its end.
        hop: Which rows equal which, as a sentence.
    """
    return dg.AssetCheckSpec(RECONCILED, asset=dg.AssetKey(key), blocking=True, description=hop)


def reconciled(key: Sequence[str], expected: int, found: int, files: int) -> dg.AssetCheckResult:
    """What came of the check that a hop lost no row."""
    return dg.AssetCheckResult(
        asset_key=dg.AssetKey(key),
        check_name=RECONCILED,
        passed=expected == found,
        metadata={"rows_expected": expected, "rows_found": found, "files": files},
    )


def not_reconciled(key: Sequence[str], error: RowCountError) -> dg.AssetCheckResult:
    """The check as it failed, to be yielded before the step does."""
    return dg.AssetCheckResult(
        asset_key=dg.AssetKey(key),
        check_name=RECONCILED,
        passed=False,
        metadata={"rows_expected": error.expected, "rows_found": error.found},
        description=str(error),
    )


def table_metadata(
    row_count: int | None, rows: pa.Table | None, hidden: Sequence[str] = (), **more: Any
) -> Mapping[str, Any]:
    """The metadata every materialisation carries: row count, a preview, and what else is worth seeing."""
    metadata: dict[str, Any] = {}
    if row_count is not None:
        metadata["dagster/row_count"] = row_count
    metadata.update(more)
    if rows is not None:
        metadata["preview"] = preview(rows, hidden)
    return metadata


def late_text(days: Sequence[dt.date]) -> str:
    """Which days are late and the command that loads them, as a sentence each.

    Args:
        days: The late days, in order; at least one.
    """
    first, last = days[0], days[-1]
    told = f"1 day is late: {first}" if len(days) == 1 else f"{len(days)} days are late: {first} to {last}"
    return f"{told}. Run: oms backfill --from {first} --to {last}"


def loads_marts(event: dg.DagsterEvent) -> bool:
    """Whether an event tells that the marts are loaded: what fails later in that run leaves them so."""
    return event.event_type == dg.DagsterEventType.STEP_SUCCESS and event.step_key == TRANSFORM


def step_error(event: dg.DagsterEvent, marts_are_loaded: bool) -> str:
    """Why a step failed: what it said itself, else the first cause; and first of all, whether the marts are loaded."""
    return f"The marts are loaded; a later step failed: {_cause(event)}" if marts_are_loaded else _cause(event)


def _cause(event: dg.DagsterEvent) -> str:
    data = event.step_failure_data
    if data.user_failure_data is not None and data.user_failure_data.description:
        return data.user_failure_data.description
    error = data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip() if error is not None else "The step failed."
