"""How rows look in Dagster's UI: exact, whole, and without anybody's personal data."""

import datetime as dt
from decimal import Decimal

import pyarrow as pa

from oms_pipeline.contract import load_contract
from oms_pipeline.presentation import HIDDEN, contract_schema, preview, table_metadata


def cells(rows: pa.Table, hidden: tuple[str, ...] = ()) -> list[list[str]]:
    """The preview's cells, row by row, the header first."""
    lines = preview(rows, hidden).md_str.splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in (lines[0], *lines[2:])]


def test_keys_stay_whole_numbers_and_money_exact_beside_nulls() -> None:
    rows = pa.table(
        {
            "customer_id": pa.array([9_007_199_254_740_993, None], pa.int64()),
            "amount": pa.array([Decimal("0.10"), None], pa.decimal128(14, 2)),
            "is_test": pa.array([True, None]),
            "note": pa.array(["a", None]),
            "on": pa.array([dt.date(2026, 3, 1), None]),
        }
    )
    assert cells(rows) == [
        ["customer_id", "amount", "is_test", "note", "on"],
        ["9007199254740993", "0.10", "True", "a", "2026-03-01"],
        ["", "", "", "", ""],
    ]


def test_hidden_columns_show_that_they_are_there_and_nothing_of_their_values() -> None:
    rows = pa.table({"customer_id": [1, 2], "email": ["customer1@example.com", None]})
    assert cells(rows, ("email", "phone")) == [["customer_id", "email"], ["1", HIDDEN], ["2", HIDDEN]]


def test_a_table_without_rows_shows_its_columns() -> None:
    assert cells(pa.table({"n": pa.array([], pa.int64())}))[0] == ["n"]


def test_metadata_holds_what_is_known_and_leaves_out_the_rest() -> None:
    assert table_metadata(None, None) == {}
    assert set(table_metadata(0, pa.table({"n": [1]}), seconds=0.5)) == {"dagster/row_count", "seconds", "preview"}


def test_the_column_schema_is_the_contracts() -> None:
    table = load_contract()["orders"]
    shown = [(column.name, column.type, column.description) for column in contract_schema(table).columns]
    assert shown == [(column.name, column.data_type, column.description) for column in table.columns]
