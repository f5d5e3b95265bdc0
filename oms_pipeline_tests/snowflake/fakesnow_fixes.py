"""What fakesnow gets wrong and the project depends on."""

import re
from string import Template
from typing import Any

import fakesnow.arrow
import fakesnow.info_schema
import fakesnow.transforms
import pyarrow as pa


def apply() -> None:
    """Mends fakesnow in this process, before it makes its first database."""
    extract = fakesnow.transforms.extract_comment_on_table

    def extract_comment(expression: Any) -> Any:
        extracted = extract(expression)
        # A property that is no comment would be stored as the comment "None".
        if (extracted.args.get("table_comment") or (0, 0))[1] is None:
            extracted.args.pop("table_comment", None)
        return extracted

    fakesnow.transforms.extract_comment_on_table = extract_comment
    # It makes every sum a FLOAT. The price of exact sums: a text is no longer summed.
    fakesnow.transforms.numeric_agg_implicit_cast = lambda expression: expression
    _list_views_among_tables()
    _send_missing_timestamps()


def _send_missing_timestamps() -> None:
    """It sends NULL as 1970-01-01."""
    convert = fakesnow.arrow.timestamp_to_sf_struct

    def with_nulls(ts: Any) -> Any:
        column = ts.combine_chunks() if isinstance(ts, pa.ChunkedArray) else ts
        parts: Any = convert(column)
        return pa.StructArray.from_arrays(
            [parts.field(number).fill_null(0) for number in range(parts.type.num_fields)],
            fields=list(parts.type),
            mask=column.is_null(),
        )

    fakesnow.arrow.timestamp_to_sf_struct = with_nulls


def _list_views_among_tables() -> None:
    """Views and external tables belong to information_schema.tables, too."""
    tables = fakesnow.info_schema.SQL_CREATE_INFORMATION_SCHEMA_TABLES_VIEW.template
    head, select = re.split(r"\bAS\nselect\b", tables, maxsplit=1)
    views = (
        select.replace("duckdb_tables tables", "duckdb_views tables")
        .replace("tables.table_name", "tables.view_name")
        .replace("tables.estimated_size", "NULL::BIGINT")
        .replace(
            "'BASE TABLE'", "CASE WHEN tables.sql LIKE '%METADATA$$FILENAME%' THEN 'EXTERNAL TABLE' ELSE 'VIEW' END"
        )
    )
    fakesnow.info_schema.SQL_CREATE_INFORMATION_SCHEMA_TABLES_VIEW = Template(
        f"{head} AS\nselect {select}\nUNION ALL BY NAME\nselect {views}\n  and not tables.internal\n"
    )
