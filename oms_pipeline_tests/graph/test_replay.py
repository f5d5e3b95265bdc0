"""After every run the marts hold exactly what plain SQL on the source computes."""

import datetime as dt
from collections.abc import Callable

import dagster as dg
import pytest

from oms_pipeline_tests.graph.pipeline import Pipeline, unequal
from oms_pipeline_tests.graph.replay import Replay


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
    reported = []
    for report in replay.reports:
        notes = {
            event.asset_key.path[1]: event.materialization.metadata["new_columns"].value
            for event in replay.pipeline.events(report.run_id)
            if event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION
            and event.asset_key is not None
            and "new_columns" in event.materialization.metadata
        }
        reported.append(notes)

    assert reported == [{}, {}, {"orders": "gift_note"}, {"orders": "gift_note"}]
    landed = [replay.pipeline.zone.manifest(window.last) for window in replay.windows]
    assert [manifest.files["orders"].new_columns for manifest in landed if manifest] == [
        (),
        (),
        ("gift_note",),
        ("gift_note",),
    ]


@pytest.mark.slow
def test_seventy_days_with_their_late_refunds_equal_the_oracle_every_day(new_pipeline: Callable[..., Pipeline]) -> None:
    replay = Replay(new_pipeline(dt.date(2026, 2, 20), "Europe/Berlin"))
    replay.open(orders_per_day=60, seed=11)

    for _ in range(70):
        replay.run()
        assert replay.reports[-1].error is None
        assert replay.differences[-1] == [], replay.last_day

    late = replay.pipeline.oms.value("""
        select count(*) from returns join orders using (order_id)
        where returns.status = 'refunded' and returns.updated_at > placed_at + interval '35 days'
    """)
    assert late > 0, "nothing was refunded late: the days have shown too little"
