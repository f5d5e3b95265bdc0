"""Only one run at a time is between staging and the last mart, whoever started it."""

import datetime as dt
from collections.abc import Callable

import pytest

from oms_pipeline import sample
from oms_pipeline_tests.graph.conftest import Replay
from oms_pipeline_tests.graph.pipeline import Pipeline, unequal
from oms_pipeline_tests.source.real_oms import SCHEMA


def test_a_mart_of_another_day_refuses_the_staging_tables_that_are_there(replay: Replay, pipeline: Pipeline) -> None:
    held, asked = replay.windows[-1], replay.windows[1]
    before = pipeline.tables()

    result = pipeline.run_assets(asked.first, ["marts", "fct_orders"])

    assert not result.success
    failure = result.failure_data_for_node("transform").user_failure_data
    assert f" holds [{held.first}, {held.end}), not [{asked.first}, {asked.end}). " in failure.description
    assert failure.description.endswith(f"Materialise it for that window first: oms run --day {asked.first}")
    assert unequal(before, pipeline.tables()) == []


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

    assert [run.returncode for run in runs] == [0] * 6, outputs
    assert {day for _, day, *_ in pipeline.registered()} == set(days)
    assert pipeline.differences(last_day) == []
    at_once = pipeline.tables(lasting=True)
    for day in days:
        assert pipeline.run(pipeline.window(day)).error is None
    assert unequal(at_once, pipeline.tables(lasting=True)) == []
