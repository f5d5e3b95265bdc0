"""A model or test that fails leaves the warehouse as it was, and says so where people look."""

import dagster as dg
import pytest

from oms_pipeline_tests.graph.pipeline import Pipeline, unequal


def failed_run(pipeline: Pipeline) -> tuple[str, list[dg.DagsterEvent]]:
    """Runs the next day, which has to fail and change nothing; returns why, and the run's events."""
    before = pipeline.tables()
    report = pipeline.run(pipeline.window(pipeline.oms.value("select next_day - 1 from oms_sample.clock")))
    assert report.error is not None
    assert unequal(before, pipeline.tables()) == []
    return report.error, pipeline.events(report.run_id)


def materialised_layers(events: list[dg.DagsterEvent]) -> set[str]:
    return {
        event.asset_key.path[0]
        for event in events
        if event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION and event.asset_key is not None
    }


def checks(events: list[dg.DagsterEvent]) -> dict[str, dg.AssetCheckEvaluation]:
    """Asset → evaluation of its check; where dbt's tests fail, staging models have one each."""
    found = [event.event_specific_data for event in events if event.event_type_value == "ASSET_CHECK_EVALUATION"]
    return {evaluation.asset_key.to_user_string(): evaluation for evaluation in found}


def test_a_failing_dbt_test_changes_nothing_and_is_recorded_as_a_failed_check(pipeline: Pipeline) -> None:
    day = pipeline.simulate()
    pipeline.oms.execute("alter table orders drop constraint orders_status_check")
    pipeline.edit(
        f"{day} 12:00",
        "update orders set status = 'misplaced' where order_id in (select max(order_id) - n from orders,"
        " generate_series(0, 2) as n group by n)",
    )

    error, events = failed_run(pipeline)

    assert "matches_contract_stg_oms__orders" in error
    assert error.endswith("Nothing was changed; correct the data or the model, run it again.")
    assert materialised_layers(events) == {"raw", "external"}
    evaluations = checks(events)
    failed = evaluations["staging/stg_oms__orders"]
    assert (failed.passed, failed.metadata["failing_rows"].value) == (False, 1)
    assert evaluations["staging/stg_oms__stores"].passed
    with dg.DagsterInstance.get() as instance:
        key = dg.AssetCheckKey(failed.asset_key, failed.check_name)
        history = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
    assert [record.status.value for record in history] == ["FAILED"]


def test_a_failing_model_changes_nothing(pipeline: Pipeline) -> None:
    day = pipeline.simulate()
    pipeline.edit(f"{day} 12:00", "update stores set timezone = 'Nowhere/Town' where store_id = 1")

    error, events = failed_run(pipeline)

    assert "Nowhere/Town" in error
    assert error.endswith("Nothing was changed; correct the data or the model, run it again.")
    assert materialised_layers(events) == {"raw", "external"}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("alter table orders rename column cancel_reason to reason", "orders.cancel_reason is missing, expected text"),
        (
            "alter table payments alter column amount type numeric(20, 2)",
            "payments.amount is numeric(20,2), expected numeric(14,2)",
        ),
    ],
)
def test_a_column_missing_or_retyped_at_the_source_stops_the_run_before_anything_is_written(
    pipeline: Pipeline, change: str, problem: str
) -> None:
    day = pipeline.simulate()
    pipeline.oms.execute(change)

    error, events = failed_run(pipeline)

    assert problem in error
    assert materialised_layers(events) == set()
    assert pipeline.zone.manifest(day) is None


def test_a_step_that_fails_after_the_marts_are_loaded_says_that_they_are(pipeline: Pipeline) -> None:
    day = pipeline.simulate()
    pipeline.settings.report_file.unlink(missing_ok=True)
    pipeline.settings.report_file.mkdir(parents=True)

    report = pipeline.run(pipeline.window(day))

    assert report.error is not None
    assert report.error.startswith("The marts are loaded; a later step failed: ")
    assert {"marts", "ops"} <= materialised_layers(pipeline.events(report.run_id))
