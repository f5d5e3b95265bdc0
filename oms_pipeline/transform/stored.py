"""Holds the columns that a warehouse has stored against the columns that the models now have. Pure."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from oms_pipeline.errors import TransformError

STORED_COLUMNS: Final = (
    "select lower(table_schema) || '.' || lower(table_name) as relation, lower(column_name) as column_name,"
    " lower(data_type) as data_type, numeric_precision, numeric_scale"
    " from information_schema.columns where table_schema in ('STAGING', 'INTERMEDIATE', 'MARTS')"
)
_KINDS: Final = {
    "bigint": "number",
    "boolean": "boolean",
    "date": "date",
    "decimal": "number",
    "integer": "number",
    "timestamp": "timestamp_ntz",
    "varchar": "text",
}

Type = tuple[str, int, int]
"""Kind, precision and scale; the numbers are 0 for all kinds but `number`."""


def stored_columns(rows: pa.Table) -> dict[str, dict[str, Type]]:
    """`schema.name` → column → type, from the rows of `STORED_COLUMNS`."""
    columns: dict[str, dict[str, Type]] = {}
    for row in rows.to_pylist():
        is_number = row["data_type"] == "number"
        numbers = (int(row["numeric_precision"]), int(row["numeric_scale"])) if is_number else (0, 0)
        columns.setdefault(row["relation"], {})[row["column_name"]] = (row["data_type"], *numbers)
    return columns


def outdated(models: Sequence[Mapping[str, Any]], stored: Mapping[str, Mapping[str, Type]]) -> dict[str, list[str]]:
    """`schema.name` → what differs, of the stored relations that have other columns than their models."""
    differing = {
        relation: _differences({name: column["data_type"] for name, column in model["columns"].items()}, found)
        for model in models
        if (found := stored.get(relation := f"{model['schema']}.{model['name']}")) is not None
    }
    return {relation: differences for relation, differences in differing.items() if differences}


def refuse_outdated(differing: Mapping[str, Sequence[str]]) -> None:
    """Refuses to change relations that have other columns than their models.

    Raises:
        TransformError: There are some; the text names the first and its differences.
    """
    for relation, differences in differing.items():
        raise TransformError(
            f"{relation} is stored with other columns than the model now has: {', '.join(differences)}. "
            "Build it anew from the raw zone: oms rebuild"
        )


def _differences(declared: Mapping[str, str], stored: Mapping[str, Type]) -> list[str]:
    differing = [f"{name} is missing" for name in declared if name not in stored]
    differing += [f"{name} is no longer in the model" for name in stored if name not in declared]
    for name, text in declared.items():
        if name in stored and not _holds(stored[name], text):
            kind, precision, scale = stored[name]
            found = f"{kind}({precision},{scale})" if kind == "number" else kind
            differing.append(f"{name} is {found} instead of {text}")
    return differing


def _holds(stored: Type, declared: str) -> bool:
    """Whether a stored column takes every value of a type as it is. It may be wider, as Snowflake's sums are."""
    kind, precision, scale = stored
    match = re.fullmatch(r"(\w+)(?:\((\d+), ?(\d+)\))?", declared)
    if match is None or kind != _KINDS[match[1]]:
        return False
    return kind != "number" or (scale == int(match[3] or 0) and precision >= int(match[2] or 0))
