"""What a run leaves in Dagster for people: counts, previews, lineage; and nothing personal."""

import re
from typing import Any

import dagster as dg
import pytest

from oms_pipeline.contract import load_contract
from oms_pipeline_tests.graph.replay import Replay
from oms_pipeline_tests.oracle import GRAIN

Materialisations = dict[tuple[str, ...], dict[str, Any]]

VIEWS = {"dim_dates", "fct_inventory_daily", "int_orders__placed"}


@pytest.fixture(scope="module")
def newest(replay: Replay) -> Materialisations:
    """Asset → metadata of the last run's materialisation."""
    found = {}
    for event in replay.pipeline.events(replay.reports[-1].run_id):
        if event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION and event.asset_key is not None:
            metadata = event.materialization.metadata
            found[tuple(event.asset_key.path)] = {
                name: getattr(value, "value", value) for name, value in metadata.items()
            }
    return found


def test_every_asset_is_materialised_in_every_partition_of_the_run(replay: Replay, newest: Materialisations) -> None:
    graph = replay.pipeline.definitions.resolve_asset_graph()
    assert set(newest) == {tuple(key.path) for key in graph.materializable_asset_keys}
    replay.pipeline.use_dagster_home()
    with dg.DagsterInstance.get() as instance:
        for key in graph.materializable_asset_keys:
            partitions = instance.get_materialized_partitions(key)
            assert partitions == {day.isoformat() for window in replay.windows for day in window.days}, key


def test_row_counts_are_those_of_files_and_tables(replay: Replay, newest: Materialisations) -> None:
    window, pipeline = replay.windows[-1], replay.pipeline
    manifests = [pipeline.zone.manifest(day) for day in window.days]
    tables = pipeline.tables()
    for name in load_contract():
        files = [manifest.files[name] for manifest in manifests if manifest and name in manifest.files]
        landed = newest["raw", name]
        assert landed["dagster/row_count"] == sum(file.rows for file in files), name
        assert landed["bytes"] == sum(file.bytes for file in files), name
        assert (landed["sha256"], landed["settled"]) == (files[-1].sha256, True)
        assert newest["external", name]["dagster/row_count"] == landed["dagster/row_count"]
        assert newest["external", name]["bytes"] == landed["bytes"]
        assert newest["staging", f"stg_oms__{name}"]["dagster/row_count"] == landed["dagster/row_count"]
    for (layer, name), metadata in newest.items():
        assert metadata["window"] == str(window)
        if layer in ("intermediate", "marts"):
            expected = None if name in VIEWS else tables[f"{layer}.{name}"].num_rows
            assert metadata.get("dagster/row_count") == expected, name


def test_every_hop_of_every_table_is_reconciled_with_the_rows_that_were_landed(
    replay: Replay, newest: Materialisations
) -> None:
    evaluations = [
        event.event_specific_data
        for event in replay.pipeline.events(replay.reports[-1].run_id)
        if event.event_type_value == "ASSET_CHECK_EVALUATION"
    ]
    found = {
        tuple(check.asset_key.path): {name: value.value for name, value in check.metadata.items()}
        for check in evaluations
        if check.check_name == "reconciled" and check.passed
    }
    for name in load_contract():
        rows = newest["raw", name]["dagster/row_count"]
        files = newest["external", name]["files"]
        expected = {"rows_expected": rows, "rows_found": rows, "files": files}
        for key in (("raw", name), ("external", name), ("staging", f"stg_oms__{name}")):
            assert found[key] == expected, key
    drifted = {check.asset_key.path[1] for check in evaluations if "new_columns" in check.metadata}
    assert drifted == {"orders"}


def test_every_table_shows_its_first_rows(newest: Materialisations) -> None:
    for (layer, name), metadata in newest.items():
        if layer in ("external", "ops", "dashboards"):
            continue  # these read no rows, or show them as pictures
        if layer == "raw" and "preview" not in metadata:
            continue  # nothing was landed on the last day
        lines = metadata["preview"].splitlines()
        shown = metadata.get("dagster/row_count")
        # What is shown of a landed range are rows of its last day, which may be fewer than five.
        most = 5 if shown is None else min(shown, 5)
        assert len(lines) - 2 == most or (layer == "raw" and 0 < len(lines) - 2 < most), name


def test_marts_tell_which_columns_each_column_is_made_of(newest: Materialisations) -> None:
    for mart in set(GRAIN) - {"dim_dates"}:
        deps = newest["marts", mart]["dagster/column_lineage"].deps_by_column
        assert deps, mart
        for column in (*GRAIN[mart],):
            assert deps[column], f"{mart}.{column} comes from nowhere"

    def made_of(layer: str, name: str, column: str) -> set[str]:
        deps = newest[layer, name]["dagster/column_lineage"].deps_by_column[column]
        return {f"{dep.asset_key.to_user_string()}.{dep.column_name}" for dep in deps}

    assert made_of("marts", "fct_orders", "net_sales") == {
        "marts/fct_order_lines.gmv",
        "marts/fct_order_lines.cancelled_value",
        "marts/fct_order_lines.discounts",
        "marts/fct_returns.refund_amount",
    }
    assert "intermediate/int_order_items__current.unit_price" in made_of("marts", "fct_order_lines", "gmv")
    assert made_of("staging", "stg_oms__orders", "currency") == {"external/orders.currency"}


def test_lineage_leads_from_net_sales_back_to_the_source(newest: Materialisations) -> None:
    seen: set[tuple[str, str, str]] = set()
    waiting = [("marts", "fct_orders", "net_sales")]
    while waiting:
        layer, name, column = waiting.pop()
        if (layer, name, column) in seen or layer == "external":
            seen.add((layer, name, column))
            continue
        seen.add((layer, name, column))
        deps = newest[layer, name]["dagster/column_lineage"].deps_by_column.get(column, [])
        waiting += [(*dep.asset_key.path, dep.column_name) for dep in deps]

    assert {
        ("external", "order_items", "unit_price"),
        ("external", "order_items", "quantity"),
        ("external", "order_items", "discount_amount"),
        ("external", "orders", "status"),
        ("external", "returns", "refund_amount"),
    } <= seen


def test_nothing_personal_is_anywhere_in_dagsters_storage(replay: Replay) -> None:
    stored = b"".join(path.read_bytes() for path in (replay.pipeline.home / "dagster").rglob("*") if path.is_file())
    assert b"stg_oms__customers" in stored
    assert re.findall(rb"[a-z]+\d+@example\.com|Customer \d+|Employee \d+", stored) == []
