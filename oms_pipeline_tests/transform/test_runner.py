"""dbt inside this process: one result per node, and an error that says what to do."""

import os

import pytest

from oms_pipeline.errors import TransformError
from oms_pipeline.transform import DbtProjectFiles, NodeResult, run_dbt
from oms_pipeline.warehouse import Purpose
from oms_pipeline_tests.transform.landing import Landing

WINDOW = {"OMS_WINDOW_FROM": "2026-03-01", "OMS_WINDOW_TO": "2026-03-02"}


def run(
    landing: Landing, project: DbtProjectFiles, *command: str, **variables: str
) -> tuple[list[NodeResult], list[str]]:
    finished: list[str] = []
    with landing.warehouse.open(Purpose("test")) as session, session.transaction():
        results = run_dbt(project, command, {**landing.warehouse.dbt_environment(), **variables}, finished.append)
    return results, finished


def test_every_node_is_told_of_when_it_is_done_and_again_in_the_end(landing: Landing, project: DbtProjectFiles) -> None:
    landing.land("2026-03-01")
    landing.run("2026-03-01", models=["stg_oms__stores"])

    daily = ["build", "--select", "stg_oms__stores", "dim_dates", "--exclude", "tag:weekly", "test_type:unit"]
    results, finished = run(landing, project, *daily, **WINDOW)

    names = ["dim_dates", "stg_oms__stores", "matches_contract_stg_oms__stores_"]
    assert sorted(result.name for result in results) == sorted(names)
    assert finished == [result.unique_id for result in results]
    by_name = {result.name: result for result in results}
    assert all(result.succeeded and not result.skipped for result in results)
    assert [by_name[name].is_test for name in names] == [False, False, True]
    assert [by_name[name].failures for name in names] == [None, None, 0]
    assert "from external" not in by_name["stg_oms__stores"].compiled
    assert "read_parquet" in by_name["stg_oms__stores"].compiled
    assert all(result.seconds > 0 for result in results)


def test_a_test_below_a_failed_model_is_skipped_and_not_failed(landing: Landing, project: DbtProjectFiles) -> None:
    results, _ = run(landing, project, "build", "--select", "stg_oms__stores", OMS_WINDOW_FROM="2026-03-01")

    model, test = results
    assert (model.succeeded, model.skipped, test.succeeded, test.skipped) == (False, False, False, True)
    assert "OMS_WINDOW_TO is not set" in model.message
    assert "oms run --day" in model.message
    assert "\n" not in model.message


def test_what_dbt_cannot_even_start_is_one_line_in_its_own_words(landing: Landing, project: DbtProjectFiles) -> None:
    with pytest.raises(TransformError) as error:
        run(landing, project, "build", "--no-such-option")

    assert "No such option" in str(error.value)
    assert "\n" not in str(error.value)


def test_nothing_of_a_run_stays_in_the_environment(landing: Landing, project: DbtProjectFiles) -> None:
    before = dict(os.environ)

    run(landing, project, "build", "--select", "dim_dates", **WINDOW)

    assert dict(os.environ) == before
