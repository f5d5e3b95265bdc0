"""Compares the source's columns with the contract's. Reads no rows."""

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from oms_pipeline.contract import MAX_PRECISION, Table
from oms_pipeline.errors import DriftError

# PostgreSQL's own names of the contract's types, and the narrower types that fit into them without loss.
_FITS: Final[dict[str, tuple[str, ...]]] = {
    "bigint": ("bigint", "integer", "smallint"),
    "integer": ("integer", "smallint"),
    "text": ("text", "character varying", "character", "citext"),
    "boolean": ("boolean",),
    "date": ("date",),
    "timestamptz": ("timestamp with time zone",),
}
_NUMERIC: Final = re.compile(r"numeric\((\d+),\s*(\d+)\)")


def check_columns(
    contract: Mapping[str, Table], found: Mapping[str, Mapping[str, str]], schema: str
) -> dict[str, dict[str, str]]:
    """Holds the source's columns against the contract.

    Args:
        contract: Tables by name.
        found: Table name → column name → PostgreSQL type, as the source has them.
        schema: Schema of the OMS tables, for the message.

    Returns:
        Table name → new column → type it is read as, for tables with columns the contract does not know. What no
        type of a contract stands for is read as `text`.

    Raises:
        DriftError: A table or column is missing, or a type does not fit; all of them are named.
    """
    problems: dict[str, list[str]] = defaultdict(list)
    for table in contract.values():
        columns = found.get(table.name)
        if columns is None:
            problems[table.name].append(f"table {schema}.{table.name} is missing")
            continue
        for column in table.columns:
            if column.name not in columns:
                problems[table.name].append(f"{table.name}.{column.name} is missing, expected {column.data_type}")
            elif not fits(columns[column.name], column.data_type):
                is_now = columns[column.name]
                problems[table.name].append(f"{table.name}.{column.name} is {is_now}, expected {column.data_type}")
    if problems:
        tables = {name: "; ".join(found) for name, found in problems.items()}
        raise DriftError(
            f"The OMS does not match the contract: {'; '.join(tables.values())}. "
            "Correct OMS_SOURCE_SCHEMA, or change _oms__sources.yml and the staging model to what the OMS has now.",
            tables,
        )
    return {
        table.name: new
        for table in contract.values()
        if (new := _unknown(found[table.name], {column.name for column in table.columns}))
    }


def fits(found: str, expected: str) -> bool:
    """Whether values of PostgreSQL type `found` fit the contract's type `expected` without loss."""
    wanted, given = _NUMERIC.fullmatch(expected), _NUMERIC.fullmatch(found)
    if wanted is not None:
        if given is None:
            return False
        integer_digits = int(given[1]) - int(given[2])
        return int(given[2]) <= int(wanted[2]) and integer_digits <= int(wanted[1]) - int(wanted[2])
    return re.sub(r"\(\d+\)", "", found) in _FITS[expected]


def _unknown(columns: Mapping[str, str], known: set[str]) -> dict[str, str]:
    return {name: _contract_type(data_type) for name, data_type in columns.items() if name not in known}


def _contract_type(found: str) -> str:
    numeric = _NUMERIC.fullmatch(found)
    if numeric is not None and int(numeric[2]) <= int(numeric[1]) <= MAX_PRECISION:
        return found
    for expected in ("boolean", "date", "timestamptz", "integer", "bigint"):
        if fits(found, expected):
            return expected
    return "text"
