"""What Dagster records becomes the mails that are worth sending, and no other; nothing is lost while a server is down."""

import json
import time
from collections.abc import Iterator
from email.message import EmailMessage

import dagster as dg
import pytest
from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange
from dagster._core.events import JobFailureData, RunFailureReason
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.storage.tags import BACKFILL_ID_TAG, PARTITION_NAME_TAG
from dagster._core.utils import make_new_run_id

from oms_pipeline.alerts.delivery import deliver
from oms_pipeline.alerts.problems import DAY, HOUR
from oms_pipeline.alerts.sensor import MAILS_PER_HOUR, Catalog, alert_sensor, heartbeat_file, tick
from oms_pipeline.errors import MailError, TransientMailError
from oms_pipeline.instance import prepare_dagster_home
from oms_pipeline.settings import Settings
from oms_pipeline_tests.alerts.conftest import StartServer, free_port, using

DAYS = dg.DailyPartitionsDefinition("2026-01-01")
BROKE = RunFailureReason.STEP_FAILURE
BROKEN: dict[str, str] = {}


@dg.asset(partitions_def=DAYS, owners=["ana@example.com"])
def orders(context: dg.AssetExecutionContext) -> None:
    if context.partition_key in BROKEN:
        raise dg.Failure(BROKEN[context.partition_key], allow_retries=False)


@dg.asset(partitions_def=DAYS, deps=[orders], check_specs=[dg.AssetCheckSpec("adds_up", asset="sales")])
def sales() -> Iterator[dg.MaterializeResult]:
    found = 0 if "sales" not in BROKEN else 3
    check = dg.AssetCheckResult(passed=not found, check_name="adds_up", metadata={"expected": 0, "found": found})
    yield dg.MaterializeResult(check_results=[check])


@dg.op
def stumbles() -> None:
    if "weekly" in BROKEN:
        raise ValueError("no luck with postgresql://ana:s3cret@db.example.com/oms")


@dg.job
def weekly() -> None:
    stumbles()


DEFINITIONS = dg.Definitions(assets=[orders, sales], jobs=[dg.define_asset_job("nightly"), weekly])
CATALOG = Catalog.of(DEFINITIONS.get_repository_def())


class Room:
    """An instance with runs, and the sensor that ticks over it; the time can be moved on."""

    def __init__(self, instance: dg.DagsterInstance, settings: Settings) -> None:
        self.instance = instance
        self.settings = settings
        self.cursor: str | None = None
        self.later = 10.0
        self.sent: list[EmailMessage] = []

    def run(self, day: str, job: str = "nightly", **tags: str) -> str:
        definition = DEFINITIONS.resolve_job_def(job)
        partition = {} if job == "weekly" else {"partition_key": day}
        result = definition.execute_in_process(instance=self.instance, raise_on_error=False, tags=tags, **partition)
        return result.run_id

    def record(self, day: str, why: RunFailureReason | None, **tags: str) -> None:
        """A run of which only the end is recorded: why it failed, or None if it did not."""
        run = dg.DagsterRun("nightly", make_new_run_id(), tags={PARTITION_NAME_TAG: day, **tags})
        self.instance.add_run(run)
        kind = dg.DagsterEventType.RUN_FAILURE if why else dg.DagsterEventType.RUN_SUCCESS
        data = JobFailureData(None, why) if why else None
        event = dg.DagsterEvent(kind.value, "nightly", message="gone", event_specific_data=data)
        self.instance.report_dagster_event(event, run.run_id)

    def tick(self) -> str:
        def send(message: EmailMessage, settings: Settings) -> str:
            accepted = deliver(message, settings)
            self.sent.append(message)
            return accepted

        self.cursor, done = tick(self.instance, CATALOG, self.settings, self.cursor, time.time() + self.later, send)
        return done

    def new_mails(self) -> list[EmailMessage]:
        self.sent.clear()
        self.tick()
        return list(self.sent)

    @property
    def subjects(self) -> list[str]:
        return [mail["Subject"] for mail in self.new_mails()]


def text_of(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


@pytest.fixture
def room(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    monkeypatch.setenv("DAGSTER_HOME", "")
    prepare_dagster_home(settings)
    BROKEN.clear()
    with dg.DagsterInstance.get() as instance:
        found = Room(instance, settings)
        found.run("2026-01-01")
        found.tick()
        yield found


def test_a_failed_run_is_one_mail_with_all_that_is_needed_to_mend_it(room: Room) -> None:
    BROKEN["2026-01-31"] = "The OMS does not answer. Start it, run the day again."
    run_id = room.run("2026-01-31")

    (mail,) = room.new_mails()

    assert mail["Subject"] == "[OMS] nightly failed at orders"
    assert mail["To"] == "ana@example.com"
    for part in (BROKEN["2026-01-31"].rstrip("."), "Step: orders", "Assets: orders", "Days: 2026-01-31"):
        assert part in text_of(mail)
    assert f"http://localhost:3000/runs/{run_id}" in text_of(mail)
    assert room.subjects == []


def test_the_same_failure_again_joins_the_problem_and_is_told_once_a_day(room: Room) -> None:
    BROKEN.update({"2026-01-30": "no", "2026-01-31": "no"})
    room.run("2026-01-30")
    (first,) = room.new_mails()
    room.run("2026-01-30")
    room.run("2026-01-31")
    assert room.subjects == []
    room.later += DAY
    (again,) = room.new_mails()
    assert again["Subject"] == f"Re: {first['Subject']}"
    assert again["References"] == first["Message-ID"] != again["Message-ID"]
    assert "Times: 3 runs" in text_of(again)
    assert "Days: 2026-01-30 to 2026-01-31" in text_of(again)
    room.later += DAY
    assert room.subjects == []


def test_recovery_is_told_once_in_the_same_thread_when_every_day_is_mended(room: Room) -> None:
    BROKEN.update({"2026-01-30": "no", "2026-01-31": "no"})
    room.run("2026-01-30")
    room.run("2026-01-31")
    (failed,) = room.new_mails()
    BROKEN.clear()
    room.run("2026-01-30")
    assert room.subjects == []
    room.run("2026-02-01")
    assert room.subjects == []
    room.run("2026-01-31")
    (over,) = room.new_mails()
    assert over["Subject"] == f"Re: {failed['Subject']}"
    assert over["References"] == failed["Message-ID"]
    assert text_of(over).startswith("Recovered: nightly failed at orders")
    room.run("2026-01-31")
    assert room.subjects == []


def test_a_run_that_will_be_retried_is_no_mail(room: Room) -> None:
    # Dagster itself tags what it will retry: what was killed, not what failed.
    room.record("2026-01-31", why=RunFailureReason.UNEXPECTED_TERMINATION)
    assert room.subjects == []
    room.record("2026-01-31", why=BROKE)
    assert room.subjects == ["[OMS] nightly failed"]


def test_a_failed_check_is_a_mail_with_what_was_expected_and_found(room: Room) -> None:
    BROKEN["sales"] = "yes"
    room.run("2026-01-31")
    (mail,) = room.new_mails()
    assert mail["Subject"] == "[OMS] nightly: a check failed"
    assert "adds_up on sales: expected 0, found 3" in text_of(mail)
    assert mail["To"] == "data@example.com"  # nobody owns sales
    BROKEN.clear()
    room.run("2026-01-31")
    assert room.subjects == ["Re: [OMS] nightly: a check failed"]


def test_a_job_without_days_fails_and_recovers_and_shows_no_secret(room: Room) -> None:
    BROKEN["weekly"] = "yes"
    room.run("", job="weekly")
    (mail,) = room.new_mails()
    assert "no luck with postgresql://…@db.example.com/oms" in text_of(mail)
    assert "s3cret" not in mail.as_string() + (room.cursor or "")
    BROKEN.clear()
    room.run("2026-01-31")
    assert room.subjects == []
    room.run("", job="weekly")
    assert room.subjects == ["Re: [OMS] weekly failed at stumbles"]


def test_a_backfill_is_one_mail_when_it_has_ended(room: Room) -> None:
    backfill = PartitionBackfill(
        "abcdefgh", BulkActionStatus.REQUESTED, from_failure=False, tags={}, backfill_timestamp=0.0
    )
    room.instance.add_backfill(backfill)
    days = [f"2026-01-{n:02}" for n in range(1, 31)]
    BROKEN.update({day: f"{day} is unreadable" for day in days[:3]})
    for day in days[:3]:
        room.run(day, **{BACKFILL_ID_TAG: "abcdefgh"})
    assert room.subjects == []
    for day in days[3:]:
        room.record(day, why=BROKE, **{BACKFILL_ID_TAG: "abcdefgh"})
    room.instance.update_backfill(backfill.with_status(BulkActionStatus.COMPLETED_FAILED))

    (mail,) = room.new_mails()

    assert mail["Subject"] == "[OMS] backfill abcdefgh of nightly failed"
    assert "Times: 30 runs" in text_of(mail)
    assert "First 3 errors: 2026-01-01 is unreadable · 2026-01-02 is unreadable · 2026-01-03" in text_of(mail)
    assert "Days: 2026-01-01 to 2026-01-30" in text_of(mail)
    assert "/runs/b/abcdefgh" in text_of(mail)


def test_a_backfill_that_takes_long_is_told_after_an_hour(room: Room) -> None:
    backfill = PartitionBackfill(
        "abcdefgh", BulkActionStatus.REQUESTED, from_failure=False, tags={}, backfill_timestamp=0.0
    )
    room.instance.add_backfill(backfill)
    room.record("2026-01-01", why=BROKE, **{BACKFILL_ID_TAG: "abcdefgh"})
    assert room.subjects == []
    room.later += HOUR
    assert room.subjects == ["[OMS] backfill abcdefgh of nightly failed"]


def test_late_assets_are_one_mail_and_one_recovery(room: Room) -> None:
    def change(asset: str, before: FreshnessState, state: FreshnessState) -> None:
        data = FreshnessStateChange(
            key=dg.AssetKey(asset), new_state=state, previous_state=before, state_change_timestamp=time.time()
        )
        room.instance._report_runless_asset_event(data)

    for asset in ("orders", "sales"):
        change(asset, FreshnessState.PASS, FreshnessState.FAIL)
    (late,) = room.new_mails()
    assert late["Subject"] == "[OMS] data is late"
    assert "Assets: orders, sales" in text_of(late)
    change("orders", FreshnessState.FAIL, FreshnessState.PASS)
    assert room.subjects == []
    change("sales", FreshnessState.FAIL, FreshnessState.PASS)
    assert room.subjects == ["Re: [OMS] data is late"]


def test_while_the_server_is_down_mails_wait_and_then_arrive_once(room: Room, start_server: StartServer) -> None:
    port = free_port()
    room.settings = using(room.settings, port)
    BROKEN.update({"2026-01-30": "no", "weekly": "yes"})
    room.run("2026-01-30")
    before = room.cursor
    for _ in range(2):
        with pytest.raises(TransientMailError, match="does not answer"):
            room.tick()
    room.run("", job="weekly")
    BROKEN.clear()
    room.run("2026-01-30")
    with pytest.raises(TransientMailError):
        room.tick()
    assert room.cursor == before

    server = start_server(tls="none", port=port)
    room.tick()
    room.tick()

    assert sorted(server.subjects) == ["[OMS] nightly failed at orders", "[OMS] weekly failed at stumbles"]
    # What had ended before anybody could be told is told as such, and not forgotten.
    states = {mail["Subject"]: text_of(mail).partition(":")[0] for mail in server.mails}
    assert states == {
        "[OMS] nightly failed at orders": "Recovered",
        "[OMS] weekly failed at stumbles": "Needs attention",
    }


def test_a_server_that_breaks_off_between_two_mails_gets_neither_twice(room: Room, start_server: StartServer) -> None:
    server = start_server(tls="none")
    room.settings = using(room.settings, server)
    server.answers = ["250 taken", "451 busy"]
    BROKEN.update({"2026-01-30": "no", "weekly": "yes"})
    room.run("2026-01-30")
    room.run("", job="weekly")
    assert "1 mails sent, then: The mail server" in room.tick()
    room.tick()
    assert server.subjects == ["[OMS] nightly failed at orders", "[OMS] weekly failed at stumbles"]


def test_a_mail_that_was_refused_is_tried_again_after_ten_minutes(room: Room, start_server: StartServer) -> None:
    server = start_server(tls="none")
    room.settings = using(room.settings, server)
    server.answers = ["554 spam"]
    room.record("2026-01-30", why=BROKE)
    with pytest.raises(MailError, match="554 spam"):
        room.tick()
    with pytest.raises(MailError, match=r"554 spam.*tried every 10 minutes"):
        room.tick()
    assert server.mails == []
    room.later += 600
    room.tick()
    assert server.subjects == ["[OMS] nightly failed"]


def test_no_more_mails_are_sent_in_an_hour_than_the_limit_and_the_last_tells_of_the_others(room: Room) -> None:
    for n in range(MAILS_PER_HOUR + 5):
        room.record("2026-01-01", why=BROKE, **{BACKFILL_ID_TAG: f"backfill{n}"})
    subjects = room.subjects
    assert len(subjects) == MAILS_PER_HOUR
    assert subjects[-1] == "[OMS] 6 more problems"
    room.record("2026-01-02", why=BROKE)
    assert room.subjects == []
    room.later += HOUR
    assert room.subjects == ["[OMS] nightly failed"]


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
def test_a_thousand_runs_are_read_within_two_minutes_and_leave_a_small_cursor(settings: Settings) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        room = Room(instance, settings)
        room.record("2026-01-01", why=None)
        room.tick()
        for n in range(1000):
            room.record(f"2026-{1 + n // 28 % 12:02}-{1 + n % 28:02}", why=BROKE if n % 2 == 0 else None)
        started, seen = time.monotonic(), []
        while len(seen) < 2 or seen[-1] != seen[-2]:
            room.tick()
            seen.append(json.loads(room.cursor or "")["seen"])
    assert time.monotonic() - started < 60
    assert len(seen) <= 5  # with a tick each 30 seconds
    assert room.sent[0]["Subject"] == "[OMS] nightly failed"
    assert len(room.cursor or "") < 20_000


def test_a_cursor_that_is_none_of_ours_is_an_error_with_the_next_step(room: Room) -> None:
    room.cursor = "42"
    with pytest.raises(MailError, match="Reset it on the sensor's page"):
        room.tick()


def test_the_sensor_itself_ticks_beats_and_keeps_its_place(room: Room) -> None:
    sensor = alert_sensor(room.settings)
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    with dg.build_sensor_context(
        instance=room.instance, repository_def=DEFINITIONS.get_repository_def(), cursor=room.cursor
    ) as context:
        done = sensor.evaluate_tick(context)
    assert "0 mails sent; 0 problems open" in (done.skip_message or "")
    assert done.cursor == room.cursor
    assert time.time() - heartbeat_file(room.settings).stat().st_mtime < 60
