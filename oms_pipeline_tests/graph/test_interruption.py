"""A run that is killed leaves its day in all marts or in none, and the next run heals what is left."""

import datetime as dt
import signal

import pytest

from oms_pipeline.raw.manifest import day_prefix, manifest_path
from oms_pipeline_tests.graph.pipeline import Pipeline, unequal

slow = pytest.mark.slow

BEFORE_THE_COMMIT = [
    pytest.param("renamed /payments/", marks=slow, id="while a file is landed"),
    pytest.param("renamed /_manifest.json", marks=slow, id="when all files are there but the manifest"),
    pytest.param("reported landing", marks=slow, id="when the day is landed"),
    pytest.param("reported registering", marks=slow, id="when the day is registered"),
    pytest.param("reported models and tests stg_oms__orders", marks=slow, id="in staging"),
    pytest.param("reported models and tests fct_orders", id="in the marts"),
    pytest.param("reported models and tests grain_customer_cohorts", marks=slow, id="in the last tests"),
]


@pytest.mark.parametrize("point", BEFORE_THE_COMMIT)
def test_a_run_killed_before_its_commit_leaves_nothing_and_the_next_run_heals(pipeline: Pipeline, point: str) -> None:
    day = pipeline.simulate()
    before = pipeline.tables()

    kill(pipeline, point, day)

    assert unequal(before, pipeline.tables()) == []
    has_manifest = (pipeline.home / "raw" / manifest_path(day)).exists()
    assert has_manifest == (not point.startswith("renamed"))
    assert_the_next_run_heals(pipeline, day)


@slow
def test_a_run_killed_after_its_commit_has_the_whole_day_in_the_marts(pipeline: Pipeline) -> None:
    day = pipeline.simulate()

    kill(pipeline, "opened " + str(pipeline.settings.dbt_dir / "target" / "lineage.json"), day)

    assert pipeline.differences(day) == []
    assert_the_next_run_heals(pipeline, day)


def kill(pipeline: Pipeline, point: str, day: dt.date) -> None:
    process = pipeline.process("-m", "oms_pipeline_tests.graph.killed", point, "run", "--day", day.isoformat())
    output, _ = process.communicate(timeout=900)
    assert process.returncode == -signal.SIGKILL, output


def assert_the_next_run_heals(pipeline: Pipeline, day: dt.date) -> None:
    assert pipeline.run(pipeline.window(day)).error is None
    assert pipeline.differences(day) == []
    manifest = pipeline.zone.manifest(day)
    assert manifest is not None
    assert set(pipeline.zone.store.files(day_prefix(day))) == {
        manifest_path(day),
        *(file.path for file in manifest.files.values()),
    }, "files of the killed run are left"
