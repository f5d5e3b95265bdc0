"""Only one run at a time is between staging and the last mart, whoever started it."""

import datetime as dt
from collections.abc import Callable

import pytest

from oms_pipeline import sample
from oms_pipeline_tests.graph.pipeline import Pipeline, unequal
from oms_pipeline_tests.graph.replay import Replay
from oms_pipeline_tests.source.real_oms import SCHEMA


def refused(pipeline: Pipeline, day: dt.date, *key: str) -> str:
    """Materialises one asset of a day; returns why that failed, and sees to it that nothing has changed."""
    before = pipeline.tables()
    result = pipeline.run_assets(day, key)
    assert not result.success
    failure = result.failure_data_for_node("transform")
    assert failure is not None
    assert failure.user_failure_data is not None
    assert unequal(before, pipeline.tables()) == []
    return str(failure.user_failure_data.description)


def test_a_mart_of_another_day_than_the_staging_tables_hold_is_refused(replay: Replay, pipeline: Pipeline) -> None:
    held, asked = replay.windows[-1], replay.windows[1]

    for key, table in (
        (("intermediate", "int_orders__current"), "staging.stg_oms__orders"),
        (("marts", "payment_reconciliation"), "intermediate.int_orders__affected"),
    ):
        message = refused(pipeline, asked.first, *key)
        told = f"{table} holds [{held.first}, {held.end}), not [{asked.first}, {asked.end}). "
        assert f"{told}Materialise it for that window first: oms run --day {asked.first}" in message


def test_a_fact_without_the_marts_that_follow_from_it_is_refused(replay: Replay, pipeline: Pipeline) -> None:
    day = replay.windows[1].first

    message = refused(pipeline, day, "marts", "fct_orders")

    assert "fct_orders cannot be computed without " in message
    assert f"or all models: oms run --day {day}" in message


@pytest.mark.slow
def test_six_daily_runs_at_once_end_where_six_in_a_row_end(new_pipeline: Callable[..., Pipeline]) -> None:
    first_day = dt.date(2026, 4, 1)
    pipeline = new_pipeline(first_day)
    sample.open_business(pipeline.oms.dsn, SCHEMA, first_day, 50, 3, pipeline.timezone)
    last_day = pipeline.simulate(6)
    days = pipeline.window(first_day, last_day).days

    runs = [
        pipeline.process("-c", "from oms_pipeline.cli import main; main()", "run", "--day", str(day)) for day in days
    ]
    outputs = [run.communicate(timeout=1800)[0] for run in runs]

    assert [run.returncode for run in runs] == [0] * 6, "\n".join(outputs)
    assert {day for _, day, *_ in pipeline.registered()} == set(days)
    assert pipeline.differences(last_day) == []
    at_once = pipeline.tables(lasting=True)
    for day in days:
        assert pipeline.run(pipeline.window(day)).error is None
    assert unequal(at_once, pipeline.tables(lasting=True)) == []
