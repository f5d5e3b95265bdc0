"""The external assets: landed files become queryable, counted by the warehouse, or the step fails and says why."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
import pytest

from oms_pipeline.contract import load_contract
from oms_pipeline.external import external_assets
from oms_pipeline.raw.manifest import manifest_path
from oms_pipeline.warehouse import DuckDBWarehouse
from oms_pipeline_tests.raw.conftest import Landing

D1, D2, D3 = "2026-03-01", "2026-03-02", "2026-03-03"

Materialise = Callable[..., dg.ExecuteInProcessResult]


@pytest.fixture
def materialise(landing: Landing, warehouse: DuckDBWarehouse) -> Materialise:
    assets = external_assets(landing.oms.settings(landing.folder), load_contract(), warehouse.kind)

    def run(first: str, last: str | None = None, zone: Any = None) -> dg.ExecuteInProcessResult:
        return dg.materialize(
            [assets],
            resources={"raw_zone": zone or landing.zone, "warehouse": warehouse},
            tags={
                "dagster/asset_partition_range_start": first,
                "dagster/asset_partition_range_end": last or first,
            },
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            raise_on_error=False,
        )

    return run


def metadata(result: dg.ExecuteInProcessResult, table: str) -> dict[str, Any]:
    found = result.asset_materializations_for_node("external")
    mine = next(event for event in found if event.asset_key and event.asset_key.path == ["external", table])
    return {name: value.value for name, value in mine.metadata.items()}


def why(result: dg.ExecuteInProcessResult) -> str:
    assert not result.success
    assert result.asset_materializations_for_node("external") == []
    failure = result.failure_data_for_node("external")
    assert failure is not None
    assert failure.user_failure_data is not None
    return str(failure.user_failure_data.description)


def test_every_table_tells_its_rows_files_and_bytes(landing: Landing, materialise: Materialise) -> None:
    landing.oms.order(1, f"{D1} 10:00", lines=2)
    landing.oms.order(2, f"{D2} 10:00", lines=3)
    first, second = landing.land(D1), landing.land(D2)

    result = materialise(D1, D2)

    assert result.success
    assert metadata(result, "order_items") == {
        "dagster/row_count": 5,
        "window": f"{D1} to {D2}",
        "files": 2,
        "bytes": first.files["order_items"].bytes + second.files["order_items"].bytes,
    }
    found = {event.asset_key.path[1] for event in result.asset_materializations_for_node("external") if event.asset_key}
    assert found == set(load_contract())
    checks = {check.asset_key.path[1]: check for check in result.get_asset_check_evaluations()}
    assert {name: check.passed for name, check in checks.items()} == dict.fromkeys(load_contract(), True)
    assert {name: value.value for name, value in checks["order_items"].metadata.items()} == {
        "rows_expected": 5,
        "rows_found": 5,
        "files": 2,
    }


def test_a_snapshot_landed_on_the_last_day_of_a_range_alone_is_one_file(
    landing: Landing, materialise: Materialise
) -> None:
    landing.land(D1, D2)

    assert metadata(materialise(D1, D2), "stores")["files"] == 1
    assert metadata(materialise(D1), "stores") == {"dagster/row_count": 0, "window": D1, "files": 0, "bytes": 0}


def test_days_that_are_not_landed_are_named_with_what_to_do(landing: Landing, materialise: Materialise) -> None:
    landing.land(D1)

    assert why(materialise(D1, D3)) == f"{D2} is not in the raw zone. Run: oms backfill --from {D2} --to {D3}"


def test_a_file_with_other_rows_than_were_landed_fails_and_names_both_counts(
    landing: Landing, materialise: Materialise
) -> None:
    landing.oms.order(1, f"{D1} 10:00", lines=2)
    manifest = landing.land(D1)
    path = landing.path(manifest, "order_items")
    pq.write_table(landing.table(manifest, "order_items").slice(1), path)

    result = materialise(D1)

    assert why(result) == (
        f"external.order_items shows 1 rows for {D1}, 2 were landed. "
        f"Restore {manifest.files['order_items'].path}, or read the day anew: oms run --day {D1} --reextract"
    )
    (failed,) = result.get_asset_check_evaluations()
    assert (failed.asset_key.path, failed.check_name) == (["external", "order_items"], "reconciled")
    assert (failed.passed, failed.blocking) == (False, True)
    assert {name: value.value for name, value in failed.metadata.items()} == {"rows_expected": 2, "rows_found": 1}


def test_a_file_that_is_no_parquet_fails(landing: Landing, materialise: Materialise) -> None:
    manifest = landing.land(D1)
    landing.path(manifest, "orders").write_bytes(b"nothing")

    assert why(materialise(D1)).startswith("A landed file cannot be read: ")


def test_a_manifest_that_claims_more_rows_than_its_file_has_fails(landing: Landing, materialise: Materialise) -> None:
    landing.oms.order(1, f"{D1} 10:00")
    manifest = landing.land(D1)
    orders = replace(manifest.files["orders"], rows=5)
    wrong = replace(manifest, files={**manifest.files, "orders": orders})
    path = landing.folder / "raw" / manifest_path(manifest.day)
    path.write_text(wrong.to_json())

    assert why(materialise(D1)).startswith(f"external.orders shows 1 rows for {D1}, 5 were landed.")
