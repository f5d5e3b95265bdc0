"""After every run the marts hold exactly what plain SQL on the source computes."""

import datetime as dt
from collections.abc import Callable

import dagster as dg
import pytest

from oms_pipeline import sample
from oms_pipeline_tests.graph.conftest import NEW_COLUMN_ON, Replay
from oms_pipeline_tests.graph.pipeline import Pipeline, unequal
from oms_pipeline_tests.source.real_oms import SCHEMA


def test_after_every_run_every_mart_equals_the_oracle(replay: Replay) -> None:
    assert [report.error for report in replay.reports] == [None] * len(replay.windows)
    assert [
        (str(window), found) for window, found in zip(replay.windows, replay.differences, strict=True) if found
    ] == []


def test_running_a_day_again_changes_nothing(replay: Replay, pipeline: Pipeline) -> None:
    tables, registered = pipeline.tables(lasting=True), pipeline.registered()

    assert pipeline.run(replay.windows[1]).error is None

    assert unequal(tables, pipeline.tables(lasting=True)) == []
    assert pipeline.registered() == registered


def test_a_new_column_at_the_source_is_landed_and_reported_and_the_run_goes_on(replay: Replay) -> None:
    new_columns = {}
    for window, report in zip(replay.windows, replay.reports, strict=True):
        for event in replay.pipeline.events(report.run_id):
            if event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION and event.asset_key.path[0] == "raw":
                note = event.materialization.metadata.get("new_columns")
                if note is not None:
                    new_columns[window.first, event.asset_key.path[1]] = note.value

    assert new_columns == {
        (window.first, "orders"): "gift_note" for window in replay.windows if window.first >= NEW_COLUMN_ON
    }
    zone = replay.pipeline.zone
    assert zone.manifest(NEW_COLUMN_ON).files["orders"].new_columns == ("gift_note",)
    assert zone.manifest(NEW_COLUMN_ON - dt.timedelta(days=1)).files["orders"].new_columns == ()


@pytest.mark.slow
def test_seventy_days_with_their_late_refunds_equal_the_oracle_every_day(new_pipeline: Callable[..., Pipeline]) -> None:
    first_day = dt.date(2026, 2, 20)
    pipeline = new_pipeline(first_day, "Europe/Berlin")
    sample.open_business(pipeline.oms.dsn, SCHEMA, first_day, 60, 11, pipeline.timezone)
    replay = Replay(pipeline)

    for _ in range(70):
        replay.run()
        assert replay.reports[-1].error is None
        assert replay.differences[-1] == [], replay.last_day

    late = pipeline.oms.value("""
        select count(*) from returns join orders using (order_id)
        where returns.status = 'refunded' and returns.updated_at > placed_at + interval '35 days'
    """)
    assert late > 0, "nothing was refunded late: the days have shown too little"
