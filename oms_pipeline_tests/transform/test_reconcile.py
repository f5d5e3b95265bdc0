"""Landed = registered = staged, to the row."""

import datetime as dt
import re

import pytest

from oms_pipeline.errors import RowCountError
from oms_pipeline.transform.reconcile import Staged, check_registered, check_staged

D1, D2 = dt.date(2026, 3, 1), dt.date(2026, 3, 2)


def test_what_is_registered_as_it_was_landed_passes() -> None:
    check_registered({("orders", D1): 3, ("stores", D1): 0}, {("stores", D1): 0, ("orders", D1): 3}, "2026-03-01")
    check_registered({}, {}, "2026-03-01")


@pytest.mark.parametrize(
    ("registered", "found"),
    [
        ({("orders", D1): 3}, "external.orders has nothing registered for 2026-03-02, 5 rows landed."),
        (
            {("orders", D1): 3, ("orders", D2): 4},
            "external.orders has 4 rows registered for 2026-03-02, 5 rows landed.",
        ),
        (
            {("orders", D1): 3, ("orders", D2): 5, ("stores", D1): 0},
            "external.stores has 0 rows registered for 2026-03-01, nothing landed.",
        ),
    ],
)
def test_the_first_difference_is_named_with_the_next_step(
    registered: dict[tuple[str, dt.date], int], found: str
) -> None:
    with pytest.raises(RowCountError) as error:
        check_registered({("orders", D1): 3, ("orders", D2): 5}, registered, "2026-03-01 to 2026-03-02")

    assert str(error.value) == (
        f"{found} Register it again: materialise the external layer for 2026-03-01 to 2026-03-02."
    )


def test_a_table_is_staged_with_the_sum_of_its_days() -> None:
    landed = {("orders", D1): 3, ("orders", D2): 5, ("stores", D2): 8}
    assert check_staged(landed, {"orders": 8, "stores": 8}) == [Staged("orders", 8, 8, 2), Staged("stores", 8, 8, 1)]
    assert check_staged(landed, {"returns": 0}) == [Staged("returns", 0, 0, 0)]

    for staged, told in (
        ({"orders": 7}, "staging.stg_oms__orders holds 7 rows, 8 were landed. Nothing was changed"),
        ({"orders": 9}, "staging.stg_oms__orders holds 9 rows, 8 were landed."),
        ({"returns": 1}, "staging.stg_oms__returns holds 1 rows, 0 were landed."),
    ):
        with pytest.raises(RowCountError, match=re.escape(told)) as error:
            check_staged(landed, staged)
        assert {error.value.table: error.value.found} == staged
