"""Streams one table's rows into one Parquet file. Decides nothing about days; keeps no table in memory."""

import datetime as dt
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from oms_pipeline.contract import EXTRACTED_AT, Column, Table
from oms_pipeline.errors import SourceError
from oms_pipeline.raw.store import HashingFile

# DuckDB and Snowflake both scan row groups of about this many rows well.
ROW_GROUP_ROWS: Final = 122_880


def file_schema(table: Table, new_columns: Mapping[str, str]) -> pa.Schema:
    """The Parquet schema of a table: the contract's, then the columns it does not know yet.

    Args:
        table: The contract's table.
        new_columns: Column name → the contract's name of its type.
    """
    schema = table.landed_schema
    for name, data_type in new_columns.items():
        schema = schema.append(pa.field(name, Column(name, data_type, "").arrow_type))
    return schema


def write_parquet(
    batches: Iterator[pa.RecordBatch], schema: pa.Schema, extracted_at: dt.datetime, sink: HashingFile, table: str
) -> int:
    """Writes a stream of rows as Parquet, casting and compressing while the next rows arrive.

    Args:
        batches: Rows as the source sends them; `numeric` as text.
        schema: What to write; every column but `_extracted_at` is in the batches.
        extracted_at: When the rows were read.
        sink: The open file.
        table: Table name, for errors.

    Returns:
        The number of rows read.

    Raises:
        SourceError: A value does not fit its declared type.
    """
    # Codes and states repeat, amounts and keys do not: a dictionary pays only for text.
    dictionary = [f.name for f in schema if pa.types.is_string(f.type) or f.name == EXTRACTED_AT]
    read = 0
    with (
        pq.ParquetWriter(
            pa.PythonFile(sink, mode="w"),
            schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=dictionary,  # type: ignore[arg-type]  # the stubs know only booleans
            store_decimal_as_integer=True,
        ) as writer,
        ThreadPoolExecutor(1, thread_name_prefix=f"write {table}") as pool,
    ):

        def write(group: list[pa.RecordBatch]) -> None:
            landed = [_landed(batch, schema, extracted_at, table) for batch in group]
            writer.write_table(pa.Table.from_batches(landed, schema))

        writing: Future[None] | None = None
        for group in _row_groups(batches):
            read += sum(batch.num_rows for batch in group)
            if writing is not None:
                writing.result()
            writing = pool.submit(write, group)
        if writing is not None:
            writing.result()
    return read


def _row_groups(batches: Iterator[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    group: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        group.append(batch)
        rows += batch.num_rows
        if rows >= ROW_GROUP_ROWS:
            yield group
            group, rows = [], 0
    if group:
        yield group


def _landed(batch: pa.RecordBatch, schema: pa.Schema, extracted_at: dt.datetime, table: str) -> pa.RecordBatch:
    arrays: list[pa.Array] = []
    for field in schema:
        if field.name == EXTRACTED_AT:
            arrays.append(pa.repeat(pa.scalar(extracted_at, field.type), batch.num_rows))
            continue
        array = batch.column(field.name)
        stored: Any = array.storage if isinstance(array, pa.ExtensionArray) else array
        try:
            arrays.append(stored.cast(field.type))
        except pa.ArrowInvalid as error:
            raise SourceError(
                f"{table}.{field.name} holds a value that is no {field.type} ({error}). "
                "Correct it at the source, or widen the type in _oms__sources.yml."
            ) from None
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
