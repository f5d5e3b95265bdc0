"""The jobs beside the daily one, the weekly check of all history and the rebuild; and what a run records of itself."""

import datetime as dt
import re

import duckdb
import pytest

from oms_pipeline.automation import REBUILD_JOB, WEEKLY_JOB
from oms_pipeline.transform import run_dbt
from oms_pipeline.warehouse import Purpose
from oms_pipeline_tests.graph.pipeline import Pipeline, unequal
from oms_pipeline_tests.graph.replay import Replay

# Each breaks a rule that no daily run looks at again, in rows of a day long past.
VIOLATIONS = (
    "insert into marts.fct_orders select * from marts.fct_orders order by order_id limit 1",
    "update marts.daily_sales set gmv = gmv + 0.01, net_sales = net_sales + 0.01"
    " where business_day = (select min(business_day) from marts.daily_sales)",
    "update marts.fct_order_lines set product_id = -1 where order_id = (select min(order_id) from marts.fct_order_lines)",
)


def test_the_weekly_check_passes_on_good_marts_fails_on_bad_ones_and_a_rebuild_mends_them(
    replay: Replay, pipeline: Pipeline
) -> None:
    good = pipeline.tables(lasting=True)
    assert pipeline.run(job=WEEKLY_JOB).error is None

    with duckdb.connect(str(pipeline.settings.duckdb_path)) as connection:
        for violation in VIOLATIONS:
            connection.execute(violation)
    report = pipeline.run(job=WEEKLY_JOB)

    assert report.error is not None
    assert "tests over all history fail: " in report.error
    assert report.error.endswith("Look at the rows they name; after mending a model, run: oms rebuild")
    failure = next(event for event in pipeline.events(report.run_id) if event.is_step_failure)
    figures = failure.step_failure_data.user_failure_data.metadata["failed"].value
    for kind, mart in (("unique", "fct_orders"), ("same_total", "daily_sales")):
        assert re.search(rf"^\| {kind}_{mart}_\w+ \| [1-9]\d* \|$", figures, re.MULTILINE), figures

    report = pipeline.run(pipeline.window(replay.windows[0].first, replay.last_day), job=REBUILD_JOB)
    assert report.error is None
    assert unequal(good, pipeline.tables(lasting=True)) == []


def test_a_rebuild_that_would_lose_landed_days_is_refused(replay: Replay, pipeline: Pipeline) -> None:
    before = pipeline.tables()

    report = pipeline.run(replay.windows[1], job=REBUILD_JOB)

    assert report.error == (
        f"A full refresh of {replay.windows[1]} would lose days: the raw zone holds {replay.windows[0].first} to "
        f"{replay.last_day}. Run: oms rebuild"
    )
    assert unequal(before, pipeline.tables()) == []


def test_every_dbt_unit_test_passes(replay: Replay) -> None:
    pipeline = replay.pipeline
    days = {"OMS_WINDOW_FROM": "2026-01-01", "OMS_WINDOW_TO": "2026-01-02"}
    with pipeline.warehouse.open(Purpose("test")) as session, session.transaction():
        results = run_dbt(
            pipeline.project,
            ["test", "--select", "test_type:unit"],
            {**pipeline.warehouse.dbt_environment(), **days},
        )

    assert [f"{result.name}: {result.message}" for result in results if not result.succeeded] == []
    assert len(results) == len(pipeline.project.manifest["unit_tests"]) > 10


def test_each_run_records_its_layers_once(pipeline: Pipeline) -> None:
    pipeline.simulate()
    day = pipeline.zone.days()[-1] + dt.timedelta(days=1)
    report = pipeline.run(pipeline.window(day))
    assert report.error is None
    sql = "select * from ops.pipeline_runs where last_day = date '{}' order by seconds"
    with pipeline.warehouse.reading(Purpose("test")) as ask:
        recorded = ask(sql.format(day)).to_pylist()
    assert {row["layer"]: row["row_count"] for row in recorded} == {
        layer: done.rows for layer, done in report.layers.items() if layer not in ("ops", "dashboards")
    }
    for row in recorded:
        assert (row["run_id"], row["job"], row["first_day"]) == (report.run_id, "daily_oms", day)
        assert row["seconds"] == pytest.approx(report.layers[row["layer"]].seconds, abs=0.001)
        assert row["started_at"] <= row["finished_at"] <= dt.datetime.now(dt.UTC).replace(tzinfo=None)

    # A step that is tried again, or an asset materialised on its own, adds nothing.
    assert pipeline.run_assets(day, ["ops", "pipeline_runs"]).success
    with pipeline.warehouse.reading(Purpose("test")) as ask:
        assert ask(sql.format(day)).to_pylist() == recorded
