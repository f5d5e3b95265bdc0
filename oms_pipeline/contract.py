"""The contract: the OMS tables as the project knows them, read from dbt's source file. Connects to nothing.

`oms_dbt/models/staging/_oms__sources.yml` is the only list of tables. Parquet schemas, the external tables' columns,
the columns shown in Dagster's UI and dbt's tests all follow from it.
"""

import datetime as dt
import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import yaml

from oms_pipeline.errors import ContractError
from oms_pipeline.settings import PROJECT_DIR

CONTRACT_FILE: Final = PROJECT_DIR / "oms_dbt" / "models" / "staging" / "_oms__sources.yml"

EXTRACTED_AT: Final = "_extracted_at"
PARENT_UPDATED_AT: Final = "_parent_updated_at"
TIMESTAMP: Final = pa.timestamp("us", tz="UTC")
DEFAULT_SHRINK_LIMIT: Final = 0.5
DEFAULT_VOLUME_LIMIT: Final = 3.0
MAX_PRECISION: Final = 38

_ARROW_TYPES: Final[dict[str, pa.DataType]] = {
    "bigint": pa.int64(),
    "integer": pa.int32(),
    "text": pa.string(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamptz": TIMESTAMP,
}


class Extract(StrEnum):
    """How a table is read each day."""

    CHANGES = "changes"
    """Rows whose cursor falls in the window."""
    SNAPSHOT = "snapshot"
    """The whole table: small, or overwritten in place."""
    WITH_PARENT = "with_parent"
    """All child rows of every parent that changed in the window, so that a deleted child disappears."""


@dataclass(frozen=True)
class Column:
    """One column: PostgreSQL type, meaning, whether it may be NULL, and whether it is personal (never previewed)."""

    name: str
    data_type: str
    description: str
    nullable: bool = True
    pii: bool = False

    @cached_property
    def arrow_type(self) -> pa.DataType:
        """The type in the landed Parquet file."""
        if self.data_type in _ARROW_TYPES:
            return _ARROW_TYPES[self.data_type]
        numeric = re.fullmatch(r"numeric\((\d+),\s*(\d+)\)", self.data_type)
        if numeric is None or not 1 <= int(numeric[1]) <= MAX_PRECISION:
            known = ", ".join([*_ARROW_TYPES, f"numeric(p,s) of up to {MAX_PRECISION} digits"])
            raise ContractError(f"{self.name} has type '{self.data_type}'. Use one of: {known}.")
        return pa.decimal128(int(numeric[1]), int(numeric[2]))


@dataclass(frozen=True)
class Table:
    """One OMS table.

    Attributes:
        name: Table name at the source, in the raw zone and in the `external` schema.
        description: What a row is.
        columns: In the source's order.
        primary_key: Column names.
        cursor: The column that tells when a row last changed.
        extract: How it is read.
        parent: The parent's table name, for `with_parent`.
        parent_key: The columns by which children refer to their parent.
        shrink_limit: A snapshot with fewer rows than this share of the last one stops the run.
        volume_limit: A day with more than this many times the usual rows, or fewer than that part of them, is odd.
    """

    name: str
    description: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    cursor: str
    extract: Extract
    parent: str | None
    parent_key: tuple[str, ...]
    shrink_limit: float
    volume_limit: float

    @cached_property
    def landed_schema(self) -> pa.Schema:
        """The Parquet schema: the contract's columns, then when (and with which parent version) they were read."""
        fields = [pa.field(column.name, column.arrow_type) for column in self.columns]
        fields.append(pa.field(EXTRACTED_AT, TIMESTAMP))
        if self.extract is Extract.WITH_PARENT:
            fields.append(pa.field(PARENT_UPDATED_AT, TIMESTAMP))
        return pa.schema(fields)


@cache
def load_contract(path: Path = CONTRACT_FILE) -> dict[str, Table]:
    """The contract's tables by name, in the file's order.

    Raises:
        ContractError: The file is missing, or an entry lacks something; the text names table and key.
    """
    entries = {entry["name"]: entry for source in _sources(path) for entry in source["tables"]}
    return {name: _table(name, entry, entries) for name, entry in entries.items()}


@cache
def load_deadline(path: Path = CONTRACT_FILE) -> dt.time:
    """The local time by which yesterday is to be in the marts.

    Raises:
        ContractError: The file is missing, or has no such time.
    """
    written = _meta(path).get("deadline")
    hour_and_minute = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)", written) if isinstance(written, str) else None
    if hour_and_minute is None or written == "00:00":
        raise ContractError(
            f"{path.name}: the deadline is {written!r}. Write under the source's config.meta a local time after "
            'midnight, in quotes, such as deadline: "06:00".'
        )
    return dt.time(int(hour_and_minute[1]), int(hour_and_minute[2]))


@cache
def load_mails(path: Path = CONTRACT_FILE) -> dict[str, str]:
    """How much each event matters, as written: event → severity; empty if nothing is.

    Raises:
        ContractError: The file is missing, or holds something else there.
    """
    written = _meta(path).get("mails", {})
    if not isinstance(written, dict):
        raise ContractError(
            f"{path.name}: mails is {written!r}. Write under the source's config.meta one line per event, "
            "such as mails: {run_failed: high}."
        )
    return {str(event): str(severity) for event, severity in written.items()}


def _meta(path: Path) -> dict[str, Any]:
    meta: dict[str, Any] = _sources(path)[0].get("config", {}).get("meta", {})
    return meta


@cache
def _sources(path: Path) -> list[dict[str, Any]]:
    try:
        sources: list[dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))["sources"]
        for source in sources:
            _ = [entry["name"] for entry in source["tables"]]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        why = " ".join(str(error).split())
        raise ContractError(f"The contract {path} cannot be read ({why}). Restore it from version control.") from None
    return sources


def _table(name: str, entry: dict[str, Any], entries: dict[str, Any]) -> Table:
    try:
        meta = entry["config"]["meta"]
        extract = Extract(meta["extract"])
        parent = meta["parent"] if extract is Extract.WITH_PARENT else None
        table = Table(
            name=name,
            description=entry["description"].strip(),
            columns=tuple(_column(column) for column in entry["columns"]),
            primary_key=tuple(meta["primary_key"]),
            cursor=meta["cursor"],
            extract=extract,
            parent=parent,
            parent_key=tuple(entries[parent]["config"]["meta"]["primary_key"]) if parent else (),
            shrink_limit=float(meta.get("shrink_limit", DEFAULT_SHRINK_LIMIT)),
            volume_limit=float(meta.get("volume_limit", DEFAULT_VOLUME_LIMIT)),
        )
    except ContractError as error:
        raise ContractError(f"{CONTRACT_FILE.name}: table {name}: {error}") from None
    except KeyError as error:
        raise ContractError(f"{CONTRACT_FILE.name}: table {name}: {error} is missing or not known. Add it.") from error
    except (AttributeError, TypeError, ValueError) as error:
        raise ContractError(f"{CONTRACT_FILE.name}: table {name}: {error}. Correct its entry.") from error
    if table.volume_limit <= 1:
        raise ContractError(
            f"{CONTRACT_FILE.name}: table {name}: volume_limit is {table.volume_limit:g}. Write a factor above 1."
        )
    missing = {*table.primary_key, *table.parent_key, table.cursor} - {column.name for column in table.columns}
    if missing:
        raise ContractError(f"{CONTRACT_FILE.name}: table {name} has no column {', '.join(sorted(missing))}. Add it.")
    return table


def _column(entry: dict[str, Any]) -> Column:
    meta = entry.get("config", {}).get("meta", {})
    column = Column(
        entry["name"],
        entry["data_type"],
        entry["description"].strip(),
        nullable=bool(meta.get("nullable", False)),
        pii=bool(meta.get("pii", False)),
    )
    _ = column.arrow_type  # a type that is not known is told of now, not in the middle of a day
    return column
