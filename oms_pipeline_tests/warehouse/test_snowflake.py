"""The SQL that registers landed days with Snowflake."""

import dataclasses
import datetime as dt
import re
from pathlib import Path

import pytest
from sqlfluff.core import FluffConfig, Linter

from oms_pipeline.contract import load_contract
from oms_pipeline.warehouse.snowflake_external import definition_mark, external_table, refresh_paths

STATEMENTS_OF_A_DAY = Path(__file__).parent.parent / "graph" / "statements_of_a_day.sql"


def days(first: str, last: str) -> list[dt.date]:
    start, end = dt.date.fromisoformat(first), dt.date.fromisoformat(last)
    return [start + dt.timedelta(days=number) for number in range((end - start).days + 1)]


def unparsable(sql: str) -> list[str]:
    """What Snowflake's grammar does not know in some statements."""
    parsed = Linter(config=FluffConfig(overrides={"dialect": "snowflake"})).parse_string(sql)
    assert parsed.tree is not None
    return [str(error) for error in parsed.violations] + [
        part.raw for part in parsed.tree.recursive_crawl("unparsable")
    ]


def test_a_day_is_refreshed_by_the_path_of_its_table() -> None:
    assert refresh_paths(days("2026-03-01", "2026-03-02"), "orders") == [
        "year=2026/month=03/day=01/orders/",
        "year=2026/month=03/day=02/orders/",
    ]


def test_a_whole_month_is_one_path_and_a_part_of_one_is_not() -> None:
    paths = refresh_paths(days("2023-12-30", "2024-03-01"), "orders")
    assert paths == [
        "year=2023/month=12/day=30/orders/",
        "year=2023/month=12/day=31/orders/",
        "year=2024/month=01/",
        "year=2024/month=02/",
        "year=2024/month=03/day=01/orders/",
    ]


def test_a_year_takes_a_dozen_paths_a_table() -> None:
    assert len(refresh_paths(days("2025-01-01", "2025-12-31"), "orders")) == 12


@pytest.mark.parametrize("table", load_contract().values(), ids=lambda table: table.name)
def test_an_external_table_has_the_contracts_columns_and_is_never_refreshed_by_itself(table) -> None:  # type: ignore[no-untyped-def]
    ddl = external_table(table)
    assert unparsable(ddl + ";") == []
    for column in table.columns:
        assert f'(value:"{column.name}"::' in ddl
    assert "refresh_on_create = false" in ddl
    assert "auto_refresh = false" in ddl
    assert f"pattern = '.*/{table.name}/[^/]+[.]parquet'" in ddl


def test_another_contract_or_another_bucket_makes_another_mark_and_so_another_table() -> None:
    orders = load_contract()["orders"]
    fewer = dataclasses.replace(orders, columns=orders.columns[:-1])
    marks = [
        definition_mark(orders, "s3://bucket/raw/"),
        definition_mark(fewer, "s3://bucket/raw/"),
        definition_mark(orders, "s3://other/raw/"),
    ]
    assert len(set(marks)) == 3
    assert definition_mark(load_contract()["orders"], "s3://bucket/raw/") == marks[0]


@pytest.mark.slow
def test_every_statement_of_a_day_is_snowflakes_sql() -> None:
    statements = re.split(r";\n\n(?=-- )", STATEMENTS_OF_A_DAY.read_text(encoding="utf-8").rstrip("\n;"))
    assert len(statements) > 50
    assert {statement: found for statement in statements if (found := unparsable(f"{statement};\n"))} == {}
