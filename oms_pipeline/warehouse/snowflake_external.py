"""The SQL of external tables, as text. Pure."""

import datetime as dt
import hashlib
import itertools
from collections.abc import Iterable, Sequence
from typing import Final

from oms_pipeline.contract import EXTRACTED_AT, PARENT_UPDATED_AT, Extract, Table
from oms_pipeline.raw.manifest import day_prefix

_SNOWFLAKE_TYPES: Final = {"timestamptz": "timestamp_ltz"}
STAGE: Final = "@external.raw"
STAGE_URL: Final = (
    "select stage_url from information_schema.stages where stage_schema = 'EXTERNAL' and stage_name = 'RAW'"
)


def external_table(table: Table) -> str:
    """The DDL of the external table over a table's landed files; `landed_on` is computed from the path, and prunes.

    A column that a file lacks is null; a column the contract does not know is not shown.
    """
    columns = [(column.name, _SNOWFLAKE_TYPES.get(column.data_type, column.data_type)) for column in table.columns]
    columns.append((EXTRACTED_AT, "timestamp_ltz"))
    if table.extract is Extract.WITH_PARENT:
        columns.append((PARENT_UPDATED_AT, "timestamp_ltz"))
    typed = "".join(f'    {name} {data_type} as (value:"{name}"::{data_type}),\n' for name, data_type in columns)
    return (
        f"create or replace external table external.{table.name} (\n{typed}"
        "    landed_on date as (to_date(\n"
        "        regexp_substr(metadata$filename, 'year=([0-9]{4})', 1, 1, 'e') || '-'\n"
        "        || regexp_substr(metadata$filename, 'month=([0-9]{2})', 1, 1, 'e') || '-'\n"
        "        || regexp_substr(metadata$filename, 'day=([0-9]{2})', 1, 1, 'e')\n"
        "    ))\n"
        ")\n"
        "partition by (landed_on)\n"
        "location = @external.raw\n"
        "refresh_on_create = false\n"
        "auto_refresh = false\n"
        f"pattern = '.*/{table.name}/[^/]+[.]parquet'\n"
        "file_format = (format_name = 'external.parquet')"
    )


def refresh_paths(days: Sequence[dt.date], table: str) -> list[str]:
    """The paths below the stage to list, so that the files of these days are registered: whole months at once.

    Args:
        days: Days, sorted.
        table: Table name; of a month, the table's own pattern picks its files.
    """
    paths = []
    for (year, month), group in itertools.groupby(days, lambda day: (day.year, day.month)):
        in_month = list(group)
        after = dt.date(year + month // 12, month % 12 + 1, 1)
        if len(in_month) == (after - dt.date(year, month, 1)).days:
            paths.append(f"year={year:04}/month={month:02}/")
        else:
            paths += [f"{day_prefix(day)}/{table}/" for day in in_month]
    return paths


def definition_mark(table: Table, url: str) -> str:
    """What tells one definition of an external table from another; with the stage's URL, another bucket is another."""
    return f"Definition {hashlib.sha256(f'{external_table(table)} {url}'.encode()).hexdigest()[:16]}"


def definitions_sql() -> str:
    """Columns TABLE_NAME, LANDED_ON, FILES, ROW_COUNT, DEFINITION: each external table's mark, and the stage's URL."""
    return (
        "select lower(table_name) as table_name, null as landed_on, null as files, null as row_count,"
        " comment as definition from information_schema.tables where table_schema = 'EXTERNAL'"
        f"\nunion all\nselect '{STAGE}', null, null, null, stage_url from ({STAGE_URL})"
    )


def counts_sql(tables: Iterable[str], days: Sequence[dt.date]) -> str:
    """The same columns: files and rows of each table and day, as scanned; then everything of `definitions_sql`.

    Args:
        tables: Table names.
        days: Days, sorted; one scan goes from the first to the last.
    """
    counts = [
        f"select '{table}', landed_on, count(distinct metadata$filename), count(*), null from external.{table}"
        f" where landed_on >= date '{days[0]}' and landed_on <= date '{days[-1]}' group by landed_on"
        for table in tables
    ]
    return "\nunion all\n".join([definitions_sql(), *counts])
