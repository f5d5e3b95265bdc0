"""Stored columns against the columns of the models."""

from typing import Any

import pyarrow as pa
import pytest

from oms_pipeline.errors import TransformError
from oms_pipeline.transform.stored import outdated, refuse_outdated, stored_columns


def model(**columns: str) -> dict[str, Any]:
    return {
        "schema": "marts",
        "name": "facts",
        "columns": {name: {"name": name, "data_type": text} for name, text in columns.items()},
    }


def stored(*columns: tuple[str, str, int | None, int | None]) -> pa.Table:
    names = ("relation", "column_name", "data_type", "numeric_precision", "numeric_scale")
    return pa.Table.from_pylist([dict(zip(names, ("marts.facts", *column), strict=True)) for column in columns])


@pytest.mark.parametrize(
    ("declared", "data_type", "precision", "scale"),
    [
        ("bigint", "number", 38, 0),
        ("integer", "number", 18, 0),  # a count
        ("decimal(14,2)", "number", 14, 2),
        ("decimal(14,2)", "number", 38, 2),  # a sum
        ("varchar", "text", None, None),
        ("date", "date", None, None),
        ("timestamp", "timestamp_ntz", None, None),
        ("boolean", "boolean", None, None),
    ],
)
def test_a_column_that_takes_every_value_as_it_is_is_right(
    declared: str, data_type: str, precision: int | None, scale: int | None
) -> None:
    assert outdated([model(a=declared)], stored_columns(stored(("a", data_type, precision, scale)))) == {}


@pytest.mark.parametrize(
    ("declared", "data_type", "precision", "scale", "found"),
    [
        ("decimal(14,4)", "number", 14, 2, "number(14,2)"),
        ("decimal(18,2)", "number", 14, 2, "number(14,2)"),
        ("integer", "number", 14, 2, "number(14,2)"),
        ("varchar", "number", 38, 0, "number(38,0)"),
        ("bigint", "text", None, None, "text"),
        ("timestamp", "date", None, None, "date"),
        ("timestamp", "timestamp_tz", None, None, "timestamp_tz"),
        ("decimal(14,2)", "float", None, None, "float"),
    ],
)
def test_a_column_of_another_type_is_named(
    declared: str, data_type: str, precision: int | None, scale: int | None, found: str
) -> None:
    differing = outdated([model(a=declared)], stored_columns(stored(("a", data_type, precision, scale))))
    assert differing == {"marts.facts": [f"a is {found} instead of {declared}"]}


def test_a_column_more_or_less_is_named_with_the_remedy() -> None:
    differing = outdated(
        [model(a="date", b="date")], stored_columns(stored(("a", "date", None, None), ("c", "date", None, None)))
    )
    with pytest.raises(TransformError) as error:
        refuse_outdated(differing)
    assert str(error.value) == (
        "marts.facts is stored with other columns than the model now has: b is missing, c is no longer in the model. "
        "Build it anew from the raw zone: oms rebuild"
    )


def test_a_relation_that_is_not_stored_yet_is_not_outdated() -> None:
    assert outdated([model(a="date")], {}) == {}
