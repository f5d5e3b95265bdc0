"""Nothing found is not everything deleted: an empty or shrunken snapshot stops the run."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from oms_pipeline.contract import Table, load_contract
from oms_pipeline.errors import SourceError
from oms_pipeline_tests.raw.conftest import Landing


def with_limit(limit: float) -> Mapping[str, Table]:
    contract = load_contract()
    return {**contract, "stores": replace(contract["stores"], shrink_limit=limit)}


@pytest.mark.parametrize("kept", [0, 1], ids=["empty", "shrunken"])
def test_a_snapshot_that_lost_most_of_its_rows_stops_the_run(landing: Landing, kept: int) -> None:
    landing.land("2026-03-01")
    before = landing.files()
    landing.oms.execute(f"delete from inventory where store_id > {kept}; delete from employees")
    with pytest.raises(SourceError) as error:
        landing.land("2026-03-02")
    assert str(error.value) == (
        "employees has 0 rows, 4 on 2026-03-01: nothing found is not everything deleted. Check the source; if it is "
        "right, lower shrink_limit (0.5) of the table in _oms__sources.yml."
    )
    assert [str(day) for day in landing.zone.days()] == ["2026-03-01"]
    assert before.items() <= landing.files().items()


def test_a_day_stopped_by_a_shrunken_snapshot_is_landed_once_the_source_is_right_again(landing: Landing) -> None:
    landing.land("2026-03-01")
    landing.oms.execute("create table kept as table inventory; delete from inventory")
    with pytest.raises(SourceError, match="inventory has 0 rows, 16 on"):
        landing.land("2026-03-02")
    landing.oms.execute("insert into inventory table kept")
    manifest = landing.land("2026-03-02")
    assert manifest.files["inventory"].rows == 16
    assert len([name for name in landing.files() if "day=02/inventory/" in name]) == 1


def test_a_snapshot_may_shrink_down_to_its_limit(landing: Landing) -> None:
    landing.land("2026-03-01")
    landing.oms.execute("delete from inventory where store_id > 2")
    assert landing.land("2026-03-02").files["inventory"].rows == 8


def test_the_limit_is_the_tables_own(landing: Landing) -> None:
    landing.land("2026-03-01")
    landing.oms.execute("delete from inventory; delete from stores where store_id = 1")
    with pytest.raises(SourceError, match=r"stores has 3 rows, 4 on .*lower shrink_limit \(0\.9\)"):
        landing.land("2026-03-02", contract=with_limit(0.9))


def test_a_first_snapshot_has_nothing_to_shrink_from(landing: Landing) -> None:
    landing.oms.execute("delete from inventory")
    assert landing.land("2026-03-01").files["inventory"].rows == 0


@pytest.mark.parametrize("attempts", [1, 2, 3])
def test_a_range_that_was_stopped_is_stopped_again_until_the_source_is_right(landing: Landing, attempts: int) -> None:
    """The days that the first attempt landed have no snapshots to compare with; the day before them has."""
    landing.land("2026-03-01")
    landing.oms.execute("delete from inventory")
    for _ in range(attempts):
        with pytest.raises(SourceError, match="inventory has 0 rows, 16 on 2026-03-01"):
            landing.land("2026-03-02", "2026-03-04")
    assert [str(day) for day in landing.zone.days()] == ["2026-03-01", "2026-03-02", "2026-03-03"]


def test_nothing_changed_is_no_reason_to_stop(landing: Landing) -> None:
    landing.oms.order(1, "2026-03-01 10:00+00", lines=3)
    landing.land("2026-03-01")
    assert landing.land("2026-03-02").files["orders"].rows == 0
