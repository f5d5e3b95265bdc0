"""The oracle: what every mart must contain, computed from the OMS tables by plain PostgreSQL. Knows nothing of dbt.

One `.sql` file per mart, each a single SELECT over unqualified source tables, written from the definitions alone, so
that an error in the marts is not repeated here. It sees only the present: compare it with marts that have landed every
change. The source cannot tell two things about `fct_inventory_daily`: stock of the past (so ask for one day), and when
the snapshot was taken. Compare it with
`select * exclude (snapshot_taken_at) from marts.fct_inventory_daily where business_day = <day>`.
"""

from datetime import date
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa
from adbc_driver_postgresql import dbapi

GRAIN: Final[dict[str, tuple[str, ...]]] = {
    "fct_orders": ("order_id",),
    "fct_order_lines": ("order_id", "line_no"),
    "fct_payments": ("payment_id",),
    "fct_shipments": ("shipment_id",),
    "fct_returns": ("return_id",),
    "fct_inventory_daily": ("business_day", "store_id", "product_id"),
    "dim_customers": ("customer_id",),
    "dim_products": ("product_id",),
    "dim_stores": ("store_id",),
    "dim_employees": ("employee_id",),
    "dim_suppliers": ("supplier_id",),
    "dim_dates": ("date_day",),
    "daily_sales": ("business_day", "store_id", "currency"),
    "fulfilment_daily": ("business_day", "store_id"),
    "customer_cohorts": ("cohort_month", "months_since_first", "currency"),
    "payment_reconciliation": ("order_id",),
}
"""Every mart and the columns that name one of its rows."""

EXAMPLES: Final = 5
"""How many rows a difference names."""


def expected(connection_dsn: str, mart: str, schema: str, day: date) -> pa.Table:
    """The rows `mart` must hold now.

    Args:
        connection_dsn: The OMS database.
        mart: A key of `GRAIN`.
        schema: Schema of the OMS tables.
        day: The day `fct_inventory_daily` is for; the other marts are whole.

    Returns:
        The mart's columns, ordered by its grain: exact decimals of the SQL's precision and scale, timestamps in UTC
        without a zone. The grain goes along as schema metadata, for `differences`.
    """
    sql = (Path(__file__).parent / f"{mart}.sql").read_text(encoding="utf-8").replace("{day}", day.isoformat())
    with dbapi.connect(connection_dsn) as connection, connection.cursor() as cursor:
        cursor.execute(f'set search_path to "{schema}"')
        cursor.execute(sql)
        table = cursor.fetch_arrow_table()
    columns = {field.name: _exact(table[field.name], field) for field in table.schema}
    return pa.table(columns, metadata={"grain": ",".join(GRAIN[mart])})


def _exact(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    """The column; a `numeric`, which ADBC delivers as text, as the decimal its type modifier describes."""
    if not isinstance(field.type, pa.OpaqueType):
        return column
    # PostgreSQL packs precision and scale into one number, four above zero (numeric.c, make_numeric_typmod).
    packed = int((field.metadata or {})[b"POSTGRESQL:typmod"]) - 4
    return column.cast(pa.string()).cast(pa.decimal128(packed >> 16, packed & 0x7FF))


def differences(expected: pa.Table, actual: pa.Table) -> list[str]:
    """How `actual` differs from `expected`, exactly: a line for each kind of difference, none when they are equal.

    Columns are matched by name and rows by the grain, whatever their order. Integers and decimals are compared as exact
    numbers of any width. A float for a decimal, or a timestamp with a time zone for one without, is a difference.

    Args:
        expected: A result of the function `expected`, which tells the grain.
        actual: The rows found.
    """
    grain = (expected.schema.metadata or {})[b"grain"].decode().split(",")
    kinds = {field.name: _kind(field.type) for field in expected.schema}
    found_kinds = {field.name: _kind(field.type) for field in actual.schema}
    lines = [f"column {name} is missing" for name in kinds if name not in found_kinds]
    lines += [f"column {name} is not expected" for name in found_kinds if name not in kinds]
    lines += [
        f"column {name} is {found_kinds[name]}, expected {kind}"
        for name, kind in kinds.items()
        if name in found_kinds and found_kinds[name] != kind
    ]
    comparable = [name for name, kind in kinds.items() if found_kinds.get(name) == kind]
    if not set(grain) <= set(comparable):
        return lines

    with duckdb.connect() as connection:
        connection.register("expected_rows", expected.select(comparable))
        connection.register("actual_rows", actual.select(comparable))
        connection.execute("create table e as from expected_rows")
        connection.execute("create table a as from actual_rows")
        same_key = " and ".join(f'e."{name}" is not distinct from a."{name}"' for name in grain)
        pairs = f"from e join a on {same_key}"

        def rows(what: str, of: str, side: str, *shown: str) -> list[str]:
            """One line: how many rows `of` (a from clause) has, and the first of them by key."""
            keys = [f'{side}."{name}"' for name in grain]
            key = ", ', ', ".join(f"'{name}=', {_text(column)}" for name, column in zip(grain, keys, strict=True))
            examples = connection.execute(
                f"select concat({', '.join([key, *shown])}), count(*) over () {of} "
                f"order by {', '.join(keys)} limit {EXAMPLES}"
            ).fetchall()
            return [f"{what} ({examples[0][1]} rows): {'; '.join(text for text, _ in examples)}"] if examples else []

        repeated = f"select {', '.join(grain)} from {{}} group by all having count(*) > 1"
        lines += rows("expected more than once", f"from ({repeated.format('e')}) as e", "e")
        lines += rows("found more than once", f"from ({repeated.format('a')}) as a", "a")
        lines += rows("missing", f"from e anti join a on {same_key}", "e")
        lines += rows("not expected", f"from a anti join e on {same_key}", "a")
        # One pass counts for all columns: most are equal, and only the others are worth a query of their own.
        unequal = {name: f'e."{name}" is distinct from a."{name}"' for name in comparable}
        counts = connection.execute(
            f"select {', '.join(f'count(*) filter (where {condition})' for condition in unequal.values())} {pairs}"
        ).fetchall()[0]
        for name, count in zip(unequal, counts, strict=True):
            if count:
                both = ("' expected '", _text(f'e."{name}"'), "' found '", _text(f'a."{name}"'))
                lines += rows(f"{name} differs", f"{pairs} where {unequal[name]}", "e", *both)
    return lines


def _kind(type_: pa.DataType) -> str:
    """What values of the type can be compared with, as a word for people."""
    if pa.types.is_integer(type_) or pa.types.is_decimal(type_):
        return "exact number"
    if pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_):
        return "text"
    if pa.types.is_timestamp(type_):
        return "timestamp" if type_.tz is None else "timestamp with time zone"
    return str(type_)


def _text(column: str) -> str:
    """SQL for a value as people read it; a text in quotes, so that blanks and an empty text are seen."""
    quote = f"if(typeof({column}) = 'VARCHAR', chr(39), '')"
    return f"if({column} is null, 'null', concat({quote}, {column}, {quote}))"
