"""Schema drift: what fits is read, what is new is told, what is missing stops the day before it starts."""

import pytest

from oms_pipeline.contract import load_contract
from oms_pipeline.errors import SourceError
from oms_pipeline.source.drift import check_columns, fits
from oms_pipeline_tests.source.real_oms import Oms, day, read, rows_of


def drift(oms: Oms) -> dict[str, dict[str, str]]:
    with oms.source().connect() as session:
        return check_columns(load_contract(), session.columns(), "oms")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("drop table returns", "table oms.returns is missing"),
        ("alter table orders drop column is_test", "orders.is_test is missing, expected boolean"),
        ("alter table orders rename column version to revision", "orders.version is missing, expected integer"),
        (
            "alter table orders alter column order_number type bigint using 1",
            "orders.order_number is bigint, expected text",
        ),
        (
            "alter table payments alter column amount type numeric(16, 2)",
            "payments.amount is numeric(16,2), expected numeric(14,2)",
        ),
        (
            "alter table payments alter column amount type numeric",
            "payments.amount is numeric, expected numeric(14,2)",
        ),
        (
            "alter table payments alter column amount type double precision",
            "payments.amount is double precision, expected numeric(14,2)",
        ),
        (
            "alter table order_items alter column line_no type bigint",
            "order_items.line_no is bigint, expected integer",
        ),
        (
            "alter table orders alter column placed_at type timestamp",
            "orders.placed_at is timestamp without time zone, expected timestamptz",
        ),
    ],
)
def test_a_table_or_column_that_does_not_fit_is_named_before_anything_is_read(oms: Oms, change: str, told: str) -> None:
    oms.execute(change)
    with (
        oms.source().connect() as session,
        pytest.raises(SourceError) as error,
        session.snapshot(day("2026-03-02"), load_contract(), settled=True),
    ):
        pytest.fail("The day was begun.")
    assert str(error.value) == (
        f"The OMS does not match the contract: {told}. Correct OMS_SOURCE_SCHEMA, or change _oms__sources.yml and the "
        "staging model to what the OMS has now."
    )


def test_everything_that_does_not_fit_is_named_at_once(oms: Oms) -> None:
    oms.execute("drop table returns; alter table orders drop column is_test")
    with pytest.raises(SourceError, match=r"orders\.is_test is missing.*; table oms\.returns is missing"):
        drift(oms)


def test_a_wrong_schema_is_a_missing_table_not_an_empty_day(oms: Oms) -> None:
    with (
        oms.source(schema="nowhere").connect() as session,
        pytest.raises(SourceError, match=r"table nowhere\.customers is missing.*Correct OMS_SOURCE_SCHEMA"),
        session.snapshot(day("2026-03-02"), load_contract(), settled=True),
    ):
        pytest.fail("The day was begun.")


def test_narrower_types_are_read_as_the_contracts(oms: Oms) -> None:
    oms.execute("""
        alter table orders alter column version type smallint, alter column order_number type varchar(40),
            alter column currency type char(3), alter column placed_at type timestamptz(3);
        alter table order_items alter column unit_price type numeric(10, 1);
        alter table payments alter column payment_id type integer
    """)
    assert drift(oms) == {}
    oms.order(1, "2026-03-02 10:00+00", lines=1)
    (order,) = read(oms, "orders", day("2026-03-02"))
    assert (order["version"], order["order_number"], order["currency"]) == (1, "N-1", "EUR")


def test_a_view_may_stand_for_a_table(oms: Oms) -> None:
    oms.execute("alter table returns rename to returns_of_the_shop; create view returns as table returns_of_the_shop")
    assert drift(oms) == {}
    assert read(oms, "returns", day("2026-03-02")) == []


def test_columns_in_another_order_are_read_by_name(oms: Oms) -> None:
    oms.order(1, "2026-03-02 10:00+00")
    oms.execute("alter table orders drop column version; alter table orders add column version integer default 7")
    (order,) = read(oms, "orders", day("2026-03-02"))
    assert order["version"] == 7
    assert list(order) == [column.name for column in load_contract()["orders"].columns]


@pytest.mark.parametrize(
    ("data_type", "read_as", "value", "expected"),
    [
        ("integer", "integer", "5", 5),
        ("numeric(9, 3)", "numeric(9,3)", "1.250", "1.250"),
        ("varchar(9)", "text", "'a'", "a"),
        ("jsonb", "text", "'{\"a\": 1}'", '{"a": 1}'),
        ("interval", "text", "'36 hours'", "36:00:00"),
        ("uuid", "text", "'3f0f1c9e-0000-4000-8000-000000000001'", "3f0f1c9e-0000-4000-8000-000000000001"),
        ("integer[]", "text", "'{1,2}'", "{1,2}"),
        ("numeric", "text", "0.1", "0.1"),
        ("double precision", "text", "0.1", "0.1"),
        ("inet", "text", "'10.0.0.1'", "10.0.0.1/32"),
    ],
)
def test_a_new_column_of_any_type_is_told_and_read(
    oms: Oms, data_type: str, read_as: str, value: str, expected: object
) -> None:
    oms.execute(f'alter table orders add column "new Column" {data_type} default {value}')
    oms.order(1, "2026-03-02 10:00+00")
    contract = load_contract()
    with oms.source().connect() as session, session.snapshot(day("2026-03-02"), contract, True) as snapshot:
        assert snapshot.extra_columns == {"orders": {"new Column": read_as}}
        with snapshot.read(contract["orders"], False) as batches:
            (order,) = rows_of(batches)
    assert list(order)[-1] == "new Column"
    assert order["new Column"] == expected


def test_a_new_column_of_a_child_comes_before_the_version_of_its_parent(oms: Oms) -> None:
    oms.execute("alter table order_items add column gift_note jsonb default '{}'")
    oms.order(1, "2026-03-02 10:00+00", lines=1)
    (line,) = read(oms, "order_items", day("2026-03-02"))
    assert list(line)[-2:] == ["gift_note", "_parent_updated_at"]
    assert line["gift_note"] == "{}"


@pytest.mark.parametrize(
    ("found", "expected", "does"),
    [
        ("smallint", "bigint", True),
        ("bigint", "integer", False),
        ("numeric(12,2)", "numeric(14,2)", True),
        ("numeric(14,2)", "numeric(14,4)", False),  # twelve digits before the point do not fit into ten
        ("numeric(12,2)", "numeric(14,4)", True),
        ("numeric(14,4)", "numeric(14,2)", False),
        ("numeric(5,-2)", "numeric(14,2)", False),
        ("integer", "numeric(14,2)", False),
        ("character varying(20)", "text", True),
        ("timestamp(0) with time zone", "timestamptz", True),
        ("timestamp without time zone", "timestamptz", False),
        ("time with time zone", "timestamptz", False),
        ("integer", "boolean", False),
    ],
)
def test_a_type_fits_if_no_value_of_it_can_be_lost(found: str, expected: str, does: bool) -> None:
    assert fits(found, expected) is does
