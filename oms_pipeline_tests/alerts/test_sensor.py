"""The sensor itself: its cursor, its pace, its heartbeat."""

import datetime as dt
import json
import sqlite3
import sys
import time
from contextlib import closing

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    InProcessCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, SensorInstigatorData
from dagster._core.storage.tags import PARTITION_NAME_TAG
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.utils import make_new_run_id

from oms_pipeline.alerts.delivery import mail_dir
from oms_pipeline.alerts.sensor import (
    EVERY_SECONDS,
    alert_sensor,
    heartbeat_file,
    newest_digest,
)
from oms_pipeline.alerts.state import SENSOR, known_problems
from oms_pipeline.errors import OmsError
from oms_pipeline.instance import SqliteEventLog
from oms_pipeline_tests.alerts.room import (
    BROKE,
    BROKEN,
    DEFINITIONS,
    Room,
    text_of,
)


def test_history_before_the_first_tick_is_not_mailed(room: Room) -> None:
    room.record("2026-01-30", why=BROKE)
    room.cursor = None
    assert room.tick().startswith("Started")
    assert room.subjects == []


def test_the_newest_seconds_wait_until_it_is_known_whether_a_run_is_retried(room: Room) -> None:
    room.later = 0.0
    room.record("2026-01-30", why=BROKE)
    assert room.subjects == []
    room.later = 10.0
    assert room.subjects == ["[OMS] nightly failed"]


@pytest.mark.slow
def test_a_thousand_runs_are_read_within_two_minutes_and_leave_a_small_cursor(room: Room) -> None:
    BROKEN["weekly"] = "yes"
    store_again(room.instance, room.run("2026-01-31", job="busy"), 800)
    store_again(room.instance, room.run("", job="weekly"), 200)
    mails, seen, took = [], [-1], []
    while len(seen) == 1 or seen[-1] != seen[-2]:
        started = time.monotonic()
        mails += room.new_mails()
        took.append(time.monotonic() - started)
        seen.append(json.loads(room.cursor or "")["seen"])
    *before, last, _ = took  # the tick after the last one only found that nothing was left
    assert sum(max(seconds, EVERY_SECONDS) for seconds in before) + last < 120
    assert [mail["Subject"] for mail in mails] == ["[OMS] weekly failed at stumbles"]
    assert json.loads(room.cursor or "")["problems"][0]["count"] == 201
    assert len(room.cursor or "") < 20_000


def store_again(instance: dg.DagsterInstance, run_id: str, times: int) -> None:
    """Stores a finished run many times more with all its events, each time for another day.

    Running it so often would take long, and a copy of what Dagster stored of it is the same to whoever reads.
    """
    storage = instance.event_log_storage
    assert isinstance(storage, SqliteEventLog)
    run = instance.get_run_by_id(run_id)
    assert run is not None
    columns = "event, dagster_event_type, timestamp, step_key, asset_key, partition"
    with (
        closing(sqlite3.connect(storage.path_for_shard(run_id))) as original,
        closing(sqlite3.connect(storage.path_for_shard("index"))) as index,
    ):
        indexed = index.execute(f"select {columns} from event_logs where run_id = ? order by id", [run_id]).fetchall()
        for n in range(times):
            day = f"{dt.date(2026, 2, 1) + dt.timedelta(days=n)}"
            copy = dg.DagsterRun(
                run.job_name, make_new_run_id(), tags={**run.tags, PARTITION_NAME_TAG: day}, status=run.status
            )
            instance.add_run(copy)
            with closing(sqlite3.connect(storage.path_for_shard(copy.run_id))) as file:
                original.backup(file)
                file.execute("update event_logs set event = replace(event, run_id, ?1), run_id = ?1", [copy.run_id])
                file.commit()
            index.executemany(
                f"insert into event_logs (run_id, {columns}) values (?, ?, ?, ?, ?, ?, ?)",
                [(copy.run_id, event.replace(run_id, copy.run_id), *others) for event, *others in indexed],
            )
        index.commit()


def test_a_cursor_that_is_none_of_ours_is_an_error_with_the_next_step(room: Room) -> None:
    room.cursor = "42"
    with pytest.raises(OmsError, match="Reset it on the sensor's page"):
        room.tick()


def test_a_cursor_of_an_earlier_version_is_gone_on_with(room: Room) -> None:
    room.record("2026-01-30", why=BROKE)
    room.tick()
    assert room.cursor is not None
    values = json.loads(room.cursor)
    del values["refused"], values["held"]
    room.cursor = json.dumps(values)
    room.record("2026-01-30", None)
    assert room.subjects == ["Re: [OMS] nightly failed"]


def test_the_sensor_itself_ticks_beats_and_keeps_its_place(room: Room) -> None:
    sensor = alert_sensor(room.watch)
    assert f"mails become files in {mail_dir(room.settings)}" in (sensor.description or "")
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    with dg.build_sensor_context(
        instance=room.instance, repository_def=DEFINITIONS.get_repository_def(), cursor=room.cursor
    ) as context:
        done = sensor.evaluate_tick(context)
    assert "0 mails sent; 0 problems open. No mail server is set" in (done.skip_message or "")
    assert done.cursor == room.cursor
    assert time.time() - heartbeat_file(room.settings).stat().st_mtime < 60


def test_whoever_asks_is_told_what_is_open_and_how_the_digest_would_read_now(room: Room) -> None:
    repository = DEFINITIONS.get_repository_def()
    BROKEN["2026-01-05"] = "no"
    room.run("2026-01-05")
    room.run("2026-01-05", job="weekly")
    room.tick()
    assert known_problems(room.instance) == {}
    keep_cursor(room)

    assert [problem.title for problem in known_problems(room.instance).values()] == ["nightly failed at raw__orders"]
    digest = text_of(newest_digest(room.instance, repository, room.watch, time.time()))
    assert "open: nightly failed at raw__orders" in digest
    assert "weekly: succeeded" in digest

    BROKEN.clear()
    room.run("2026-01-05")
    room.tick()
    keep_cursor(room)
    assert known_problems(room.instance) == {}


def keep_cursor(room: Room) -> None:
    """What Dagster's daemon does with the cursor after a tick."""
    location = InProcessCodeLocationOrigin(LoadableTargetOrigin(executable_path=sys.executable), location_name="tests")
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "__repository__"), SENSOR)
    state = InstigatorState(
        origin, InstigatorType.SENSOR, InstigatorStatus.RUNNING, SensorInstigatorData(cursor=room.cursor)
    )
    known = room.instance.get_instigator_state(state.instigator_origin_id, state.selector_id)
    (room.instance.update_instigator_state if known else room.instance.add_instigator_state)(state)
