"""What Dagster records becomes the mails that are worth sending, and no other; nothing is lost while a server is down."""

import datetime as dt
import json
import shutil
import sqlite3
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.events import JobFailureData, RunFailureReason
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.remote_origin import (
    InProcessCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, SensorInstigatorData
from dagster._core.storage.tags import BACKFILL_ID_TAG, PARTITION_NAME_TAG, RESUME_RETRY_TAG
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.utils import make_new_run_id

from oms_pipeline.alerts.delivery import check, deliver, mail_dir
from oms_pipeline.alerts.digest import Business, Chart
from oms_pipeline.alerts.events import SETTLE_SECONDS, Catalog
from oms_pipeline.alerts.mail import html_of, render
from oms_pipeline.alerts.problems import DAY, HOUR, Problem
from oms_pipeline.alerts.sensor import (
    DIGEST_SECONDS,
    EVERY_SECONDS,
    MAILS_PER_HOUR,
    Watch,
    alert_sensor,
    heartbeat_file,
    newest_digest,
    tick,
)
from oms_pipeline.alerts.severity import severities
from oms_pipeline.alerts.state import SENSOR, known_problems
from oms_pipeline.errors import MailError, OmsError, TransientMailError, WarehouseError
from oms_pipeline.instance import SqliteEventLog, prepare_dagster_home
from oms_pipeline.presentation import CREDITS, NEW_COLUMNS, ON_TIME, TRANSFORM
from oms_pipeline.settings import Settings, read_settings
from oms_pipeline_tests.alerts.conftest import StartServer, free_port, using

DAYS = dg.DailyPartitionsDefinition("2026-01-01")
DEADLINE = dt.time(6)
PNG = b"\x89PNG\r\n\x1a\nthe rest of a picture"
BROKE = RunFailureReason.STEP_FAILURE
BROKEN: dict[str, str] = {}


@dg.asset(
    key_prefix="raw",
    partitions_def=DAYS,
    owners=["ana@example.com"],
    check_specs=[dg.AssetCheckSpec("contract", asset=["raw", "orders"])],
)
def orders(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    if context.partition_key in BROKEN:
        if "checked" in BROKEN:
            yield dg.AssetCheckResult(passed=False, check_name="contract", description="Other columns.")
        raise dg.Failure(BROKEN[context.partition_key], allow_retries=False)
    new = {NEW_COLUMNS: BROKEN["columns"]} if "columns" in BROKEN else {}
    found = dg.AssetCheckResult(passed=True, check_name="contract", metadata=new, description="New at the source.")
    yield dg.MaterializeResult(metadata={"dagster/row_count": 1200}, check_results=[found])


@dg.asset(
    key_prefix="marts",
    partitions_def=DAYS,
    deps=[orders],
    check_specs=[
        dg.AssetCheckSpec("adds_up", asset=["marts", "sales"]),
        dg.AssetCheckSpec("volume", asset=["marts", "sales"]),
    ],
)
def sales() -> Iterator[dg.MaterializeResult]:
    found = 0 if "sales" not in BROKEN else 3
    yield dg.MaterializeResult(
        metadata={"dagster/row_count": 300, "seconds": 1.5, CREDITS: 0.25},
        check_results=[
            dg.AssetCheckResult(passed=not found, check_name="adds_up", metadata={"expected": 0, "found": found}),
            dg.AssetCheckResult(
                passed="volume" not in BROKEN,
                check_name="volume",
                severity=dg.AssetCheckSeverity.WARN,
                description="twice as many as usual",
            ),
        ],
    )


@dg.multi_asset_check(
    name=ON_TIME, specs=[dg.AssetCheckSpec(ON_TIME, asset=key) for key in (orders.key, sales.key)], can_subset=True
)
def on_time() -> Iterator[dg.AssetCheckResult]:
    for key in (orders.key, sales.key):
        yield dg.AssetCheckResult(asset_key=key, check_name=ON_TIME, passed=False)


@dg.multi_asset(
    specs=[dg.AssetSpec(f"table{n}", group_name="busy") for n in range(20)],
    check_specs=[dg.AssetCheckSpec(f"check{n}", asset=f"table{n % 20}") for n in range(60)],
    partitions_def=DAYS,
)
def many_tables() -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    for n in range(20):
        yield dg.MaterializeResult(asset_key=f"table{n}", metadata={"rows": n})
    for n in range(60):
        yield dg.AssetCheckResult(asset_key=f"table{n % 20}", check_name=f"check{n}", passed=True, metadata={"rows": n})


@dg.op
def stumbles() -> None:
    if "weekly" in BROKEN:
        raise ValueError("no luck with postgresql://ana:s3cret@db.example.com/oms")


@dg.job
def weekly() -> None:
    stumbles()


@dg.op(name=TRANSFORM)
def loads() -> int:
    if "marts" in BROKEN:
        raise dg.Failure("A test failed. Correct the data.", allow_retries=False)
    return 1


@dg.op
def shows(loaded: int) -> None:
    if "report" in BROKEN:
        raise dg.Failure("Metabase does not answer. Start it.", allow_retries=False)


@dg.job
def loading() -> None:
    shows(loads())


@dg.job(owners=["bo@example.com"])
def hers() -> None:
    stumbles()


busy = dg.define_asset_job("busy", selection=dg.AssetSelection.groups("busy"))
nightly = dg.define_asset_job(
    "nightly", selection=dg.AssetSelection.groups("default") - dg.AssetSelection.checks(on_time)
)
watching = dg.define_asset_job("watching", selection=dg.AssetSelection.checks(on_time))
DEFINITIONS = dg.Definitions(
    assets=[orders, sales, many_tables],
    asset_checks=[on_time],
    jobs=[nightly, watching, busy, weekly, loading, hers],
    executor=dg.in_process_executor,
)
CATALOG = Catalog.of(DEFINITIONS.get_repository_def())


class Room:
    """An instance with runs, and the sensor that ticks over it; the time can be moved on."""

    def __init__(self, instance: dg.DagsterInstance, settings: Settings) -> None:
        self.instance = instance
        self.settings = settings
        self.severities = severities({"digest": "never"})
        self.business: Business | WarehouseError = Business()
        self.late: dict[str, list[str]] = {}
        self.catalog = CATALOG
        self.cursor: str | None = None
        self.later = 10.0
        self.sent: list[EmailMessage] = []

    @property
    def watch(self) -> Watch:
        return Watch(self.settings, self.severities, DEADLINE, self.late_of, self.business_of)

    def business_of(self, day: dt.date) -> Business:
        if isinstance(self.business, WarehouseError):
            raise self.business
        return self.business

    def run(self, day: str, job: str = "nightly", **tags: str) -> str:
        definition = DEFINITIONS.resolve_job_def(job)
        partition = {"partition_key": day} if job in ("nightly", "busy") else {}
        result = definition.execute_in_process(instance=self.instance, raise_on_error=False, tags=tags, **partition)
        return result.run_id

    def record(self, day: str, why: RunFailureReason | None, **tags: str) -> None:
        """A run of which only the end is recorded: why it failed, or None if it did not."""
        self.end(dg.DagsterRun("nightly", make_new_run_id(), tags={PARTITION_NAME_TAG: day, **tags}), why)

    def end(self, run: dg.DagsterRun, why: RunFailureReason | None) -> None:
        """Records a run and its end."""
        self.instance.add_run(run)
        kind = dg.DagsterEventType.RUN_FAILURE if why else dg.DagsterEventType.RUN_SUCCESS
        data = JobFailureData(None, why) if why else None
        event = dg.DagsterEvent(kind.value, run.job_name, message="gone", event_specific_data=data)
        self.instance.report_dagster_event(event, run.run_id)

    def late_of(
        self, instance: dg.DagsterInstance, keys: Collection[dg.AssetKey], now: dt.datetime
    ) -> dict[dg.AssetKey, list[dt.date]]:
        return {key: [dt.date.fromisoformat(day) for day in self.late.get(key.to_user_string(), [])] for key in keys}

    def sleep_until_the_digest(self) -> None:
        """Moves the time on to soon after the next deadline, and has digests sent."""
        self.severities = severities({})
        local = dt.datetime.fromtimestamp(time.time() + self.later, self.settings.timezone)
        due = dt.datetime.combine(local.date(), DEADLINE, self.settings.timezone)
        self.later += ((due - local) % dt.timedelta(days=1)).total_seconds() + DIGEST_SECONDS

    def tick(self) -> str:
        def send(message: EmailMessage, settings: Settings, only: Sequence[str]) -> str:
            accepted = deliver(message, settings, only)
            self.sent.append(message)
            return accepted

        self.cursor, done = tick(self.instance, self.catalog, self.watch, self.cursor, time.time() + self.later, send)
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


@pytest.fixture(scope="module")
def used_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dagster's databases with one good run in them: making them takes longer than a test."""
    home = tmp_path_factory.mktemp("used")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", "")
        settings = read_settings({"OMS_HOME": str(home)})
        prepare_dagster_home(settings)
        with dg.DagsterInstance.get() as instance:
            Room(instance, settings).run("2026-01-01")
    return home


@pytest.fixture
def room(settings: Settings, used_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    shutil.copytree(used_home, settings.home)
    monkeypatch.setenv("DAGSTER_HOME", "")
    prepare_dagster_home(settings)
    BROKEN.clear()
    with dg.DagsterInstance.get() as instance:
        found = Room(instance, settings)
        found.tick()
        yield found


def test_a_failed_run_is_one_mail_with_all_that_is_needed_to_mend_it(room: Room) -> None:
    BROKEN["2026-01-31"] = "The OMS does not answer. Start it, run the day again."
    run_id = room.run("2026-01-31")

    (mail,) = room.new_mails()

    assert mail["Subject"] == "[OMS] nightly failed at raw__orders"
    assert mail["To"] == "ana@example.com"
    for part in (BROKEN["2026-01-31"].rstrip("."), "Step: raw__orders", "Assets: raw/orders", "Days: 2026-01-31"):
        assert part in text_of(mail)
    assert f"http://localhost:3000/runs/{run_id}" in text_of(mail)
    assert room.subjects == []


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ("report", "The marts are loaded; a later step failed: Metabase does not answer. Start it"),
        ("marts", "A test failed. Correct the data"),
    ],
)
def test_a_mail_says_that_the_marts_are_loaded_where_only_a_later_step_failed(
    room: Room, broken: str, told: str
) -> None:
    BROKEN[broken] = ""
    room.run("", "loading")
    (mail,) = room.new_mails()
    assert f"Error: {told}" in text_of(mail)


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
    assert text_of(over).startswith("Recovered: nightly failed at raw__orders")
    room.run("2026-01-31")
    assert room.subjects == []


def test_what_failed_by_hand_is_over_once_any_run_has_made_the_same_assets_of_the_same_day(room: Room) -> None:
    BROKEN["2026-01-31"] = "no"
    by_hand = DEFINITIONS.resolve_job_def(DEFINITIONS.get_repository_def().get_implicit_asset_job_names()[0])
    by_hand.execute_in_process(
        instance=room.instance, raise_on_error=False, partition_key="2026-01-31", asset_selection=[orders.key]
    )
    assert room.subjects == ["[OMS] A run of assets failed at raw__orders"]
    BROKEN.clear()
    by_hand.execute_in_process(instance=room.instance, partition_key="2026-01-31", asset_selection=[sales.key])
    room.run("2026-01-31", job="busy")
    room.run("2026-01-30")
    over = "Re: [OMS] A run of assets failed at raw__orders"
    assert over not in room.subjects
    room.run("2026-01-31")
    assert over in room.subjects


def test_only_the_step_that_failed_executed_again_closes_the_problem(room: Room) -> None:
    BROKEN["2026-01-31"] = "no"
    failed = room.run("2026-01-31")
    assert room.subjects == ["[OMS] nightly failed at raw__orders"]
    BROKEN.clear()
    for step, subjects in (("marts__sales", []), ("raw__orders", ["Re: [OMS] nightly failed at raw__orders"])):
        again = dg.DagsterRun(
            "nightly",
            make_new_run_id(),
            tags={PARTITION_NAME_TAG: "2026-01-31"},
            step_keys_to_execute=[step],
            parent_run_id=failed,
            root_run_id=failed,
        )
        room.end(again, None)
        assert room.subjects == subjects


def test_what_goes_on_from_where_it_failed_ends_all_that_the_first_run_was_to_do(room: Room) -> None:
    lost = dg.DagsterRun("nightly", make_new_run_id(), tags={PARTITION_NAME_TAG: "2026-01-31"})
    room.end(lost, BROKE)
    assert room.subjects == ["[OMS] nightly failed"]
    BROKEN["2026-01-31"] = "no"
    failed = room.run("2026-01-31")
    assert room.subjects == ["[OMS] nightly failed at raw__orders"]
    resumed = dg.DagsterRun(
        "nightly",
        make_new_run_id(),
        tags={PARTITION_NAME_TAG: "2026-01-31", RESUME_RETRY_TAG: "true"},
        step_keys_to_execute=["marts__sales"],
        parent_run_id=failed,
        root_run_id=failed,
    )
    room.end(resumed, None)
    assert sorted(room.subjects) == ["Re: [OMS] nightly failed", "Re: [OMS] nightly failed at raw__orders"]


def test_a_run_of_some_ops_closes_no_problem_of_another(room: Room) -> None:
    room.end(dg.DagsterRun("loading", make_new_run_id()), BROKE)
    assert room.subjects == ["[OMS] loading failed"]
    room.end(dg.DagsterRun("loading", make_new_run_id(), resolved_op_selection={"shows"}), None)
    assert room.subjects == []
    room.end(dg.DagsterRun("loading", make_new_run_id()), None)
    assert room.subjects == ["Re: [OMS] loading failed"]


def test_checks_that_are_run_by_themselves_close_no_problem_of_a_run(room: Room) -> None:
    room.end(dg.DagsterRun("__ASSET_JOB", make_new_run_id(), asset_selection=frozenset({sales.key})), BROKE)
    assert room.subjects == ["[OMS] A run of assets failed"]
    checks = frozenset({dg.AssetCheckKey(orders.key, "contract")})
    room.end(dg.DagsterRun("__ASSET_JOB", make_new_run_id(), asset_check_selection=checks), None)
    assert room.subjects == []
    room.end(dg.DagsterRun("__ASSET_JOB", make_new_run_id(), asset_selection=frozenset({sales.key})), None)
    assert room.subjects == ["Re: [OMS] A run of assets failed"]


def test_a_check_that_fails_where_a_step_had_failed_is_a_problem_of_its_own(room: Room) -> None:
    BROKEN["2026-01-30"] = "The OMS does not answer."
    room.run("2026-01-30")
    assert room.subjects == ["[OMS] nightly failed at raw__orders"]
    BROKEN["2026-01-31"] = "The OMS has other columns."
    BROKEN["checked"] = "yes"
    room.run("2026-01-31")
    (mail,) = room.new_mails()
    assert mail["Subject"] == "[OMS] nightly: a check failed"
    assert "Step: raw__orders" in text_of(mail)


def test_what_is_never_mailed_is_not_mailed_when_it_is_over_either(room: Room) -> None:
    room.severities = severities({"digest": "never", "run_failed": "never"})
    room.record("2026-01-30", why=BROKE)
    assert room.subjects == []
    room.record("2026-01-30", None)
    assert room.subjects == []


def test_what_is_over_before_it_could_be_told_is_told_where_recoveries_are_not(room: Room) -> None:
    room.severities = severities({"digest": "never", "recovered": "never"})
    room.record("2026-01-30", why=BROKE)
    room.record("2026-01-30", None)
    (mail,) = room.new_mails()
    assert mail["Subject"] == "[OMS] nightly failed"
    assert text_of(mail).startswith("Recovered")


def test_a_job_of_the_same_name_elsewhere_is_another_job(room: Room) -> None:
    room.catalog = Catalog.of(DEFINITIONS.get_repository_def(), "ours")
    ours, theirs = (
        RemoteJobOrigin(
            RemoteRepositoryOrigin(
                InProcessCodeLocationOrigin(LoadableTargetOrigin(executable_path=sys.executable), location_name=name),
                "__repository__",
            ),
            "weekly",
        )
        for name in ("ours", "theirs")
    )
    room.end(dg.DagsterRun("weekly", make_new_run_id(), remote_job_origin=ours), BROKE)
    assert room.subjects == ["[OMS] weekly failed"]
    room.end(dg.DagsterRun("weekly", make_new_run_id(), remote_job_origin=theirs), None)
    assert room.subjects == []
    room.end(dg.DagsterRun("weekly", make_new_run_id(), remote_job_origin=theirs), BROKE)
    assert room.subjects == ["[OMS] theirs: weekly failed"]
    # The command line has no location, and runs our jobs.
    room.end(dg.DagsterRun("weekly", make_new_run_id()), None)
    assert room.subjects == ["Re: [OMS] weekly failed"]


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
    assert "adds_up on marts/sales: expected 0, found 3" in text_of(mail)
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
    end = time.time()
    room.instance.update_backfill(backfill.with_status(BulkActionStatus.COMPLETED_FAILED).with_end_timestamp(end))
    # The newest seconds are not read yet, and so perhaps not all of its runs.
    room.later = SETTLE_SECONDS - 1.0
    assert room.subjects == []
    room.later = 10.0

    (mail,) = room.new_mails()

    assert mail["Subject"] == "[OMS] Backfill abcdefgh of nightly failed"
    assert "Times: 30 runs" in text_of(mail)
    assert "Errors: 2026-01-01 is unreadable · 2026-01-02 is unreadable · gone" in text_of(mail)
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
    assert room.subjects == ["[OMS] Backfill abcdefgh of nightly failed"]
    room.record("2026-01-02", why=BROKE, **{BACKFILL_ID_TAG: "abcdefgh"})
    room.later += HOUR
    assert room.subjects == []
    room.instance.update_backfill(backfill.with_status(BulkActionStatus.COMPLETED_FAILED).with_end_timestamp(0.0))
    (whole,) = room.new_mails()
    assert whole["Subject"] == "Re: [OMS] Backfill abcdefgh of nightly failed"
    assert "Times: 2 runs" in text_of(whole)
    assert room.subjects == []


def test_late_assets_are_one_mail_and_one_recovery(room: Room) -> None:
    room.late = {"raw/orders": ["2026-01-30"], "marts/sales": ["2026-01-30", "2026-01-31"]}
    (late,) = room.new_mails()
    assert late["Subject"] == "[OMS] Data is late"
    assert "Assets: marts/sales, raw/orders" in text_of(late)
    assert "Late: 1 day is late: 2026-01-30. Run: oms backfill --from 2026-01-30 --to 2026-01-30 · 2 days" in text_of(
        late
    )
    room.late = {"marts/sales": ["2026-01-31"]}
    assert room.subjects == []
    room.late = {}
    assert room.subjects == ["Re: [OMS] Data is late"]
    assert room.subjects == []


def test_data_that_gets_later_is_told_again_after_a_day_and_not_if_it_only_stays_late(room: Room) -> None:
    room.late = {"raw/orders": ["2026-01-30"]}
    assert room.subjects == ["[OMS] Data is late"]
    room.later += DAY
    assert room.subjects == []
    room.late = {"raw/orders": ["2026-01-30", "2026-01-31"]}
    assert room.subjects == ["Re: [OMS] Data is late"]
    room.late = {"raw/orders": ["2026-01-30", "2026-01-31", "2026-02-01"]}
    assert room.subjects == []


def test_a_late_day_is_no_failed_check_whoever_evaluates_it(room: Room) -> None:
    room.run("", job="watching")
    assert room.subjects == []


def test_a_new_column_is_told_once_and_not_every_day(room: Room) -> None:
    BROKEN["columns"] = "gift_note"
    room.run("2026-01-30")
    (mail,) = room.new_mails()
    assert mail["Subject"] == "[OMS] New columns at the source"
    assert "Columns: orders.gift_note\n" in text_of(mail)
    assert text_of(mail).startswith("For your information")
    room.run("2026-01-31")
    room.later += DAY
    assert room.subjects == []
    BROKEN["columns"] = "gift_note, tier"
    room.run("2026-01-31")
    (mail,) = room.new_mails()
    assert "Columns: orders.tier\n" in text_of(mail)
    assert room.subjects == []


def test_a_job_of_ones_own_is_told_to_its_owners(room: Room) -> None:
    BROKEN["weekly"] = "yes"
    room.run("", job="hers")
    (mail,) = room.new_mails()
    assert mail["Subject"] == "[OMS] hers failed at stumbles"
    assert mail["To"] == "bo@example.com"


def test_runs_that_are_started_from_an_asset_are_not_called_what_dagster_calls_them(room: Room) -> None:
    BROKEN["2026-01-31"] = "no"
    job = DEFINITIONS.get_repository_def().get_implicit_asset_job_names()[0]
    DEFINITIONS.resolve_job_def(job).execute_in_process(
        instance=room.instance, raise_on_error=False, partition_key="2026-01-31"
    )
    assert room.subjects == ["[OMS] A run of assets failed at raw__orders"]


def test_what_matters_is_flagged_and_what_never_does_is_not_mailed(room: Room) -> None:
    room.severities = severities(
        {"run_failed": "high", "recovered": "never", "schema_drift": "never", "digest": "never"}
    )
    BROKEN.update({"2026-01-30": "no", "columns": "gift_note"})
    room.run("2026-01-30")
    room.run("2026-01-31")
    (failed,) = room.new_mails()
    assert failed["Importance"] == "high"
    BROKEN.clear()
    room.run("2026-01-30")
    room.later += DAY
    assert room.new_mails() == []
    assert json.loads(room.cursor or "")["problems"] == []


def test_every_morning_a_digest_tells_what_ran_what_it_made_and_how_business_was(room: Room) -> None:
    BROKEN.update({"volume": "yes", "weekly": "yes"})
    room.run("2026-01-30")
    room.run("2026-01-31")
    room.run("", job="weekly")
    room.business = Business([("Net sales", "12,345.67 EUR", "+4.2 %")], [Chart("Sales", "Sales by day", PNG)])
    assert room.subjects == ["[OMS] weekly failed at stumbles"]
    room.sleep_until_the_digest()

    (mail,) = room.new_mails()

    text = text_of(mail)
    assert mail["Subject"].endswith(": worth a look")
    assert mail["To"] == "data@example.com"
    for line in (
        "Net sales: 12,345.67 EUR, +4.2 %",
        "nightly 2026-01-01, 2026-01-30 to 2026-01-31: 3 succeeded, ",
        "weekly: failed, ",
        "raw: 1,200 rows, ",
        "marts: 300 rows, 1.5 s",
        "Credits: 0.250",
        "All 2 assets have every day that is due.",
        "marts/sales, volume: twice as many as usual",
        "open: weekly failed at stumbles",
    ):
        assert line in text
    (picture,) = [part for part in mail.walk() if part.get_content_type() == "image/png"]
    assert picture.get_content() == PNG
    assert f'src="cid:{picture["Content-ID"][1:-1]}"' in mail.get_body(("html",)).get_content()  # type: ignore[union-attr]
    assert "data:image/png;base64," in html_of(mail)
    assert room.new_mails() == []
    room.later += DAY
    assert len(room.new_mails()) == 1


def test_a_digest_waits_for_its_server_and_comes_once(room: Room, start_server: StartServer) -> None:
    port = free_port()
    room.settings = using(room.settings, port)
    room.sleep_until_the_digest()
    with pytest.raises(TransientMailError):
        room.tick()
    server = start_server(tls="none", port=port)
    room.tick()
    room.tick()
    assert len(server.mails) == 1


def test_a_digest_without_its_numbers_says_why_and_keeps_no_other_mail_back(room: Room) -> None:
    room.business = WarehouseError("oms.duckdb is in use by another run. Try again later.")
    room.record("2026-01-30", why=BROKE)
    room.sleep_until_the_digest()
    failed, digest = room.new_mails()
    assert failed["Subject"] == "[OMS] nightly failed"
    assert "the business numbers are not known: oms.duckdb is in use" in text_of(digest)
    assert room.new_mails() == []


def test_late_data_makes_a_digest_late(room: Room) -> None:
    room.late = {"raw/orders": ["2026-01-30"]}
    room.tick()
    room.sleep_until_the_digest()
    (digest,) = room.new_mails()
    assert digest["Subject"].endswith(": late")
    assert "1 of 2 assets are late: raw/orders." in text_of(digest)


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

    assert sorted(server.subjects) == ["[OMS] nightly failed at raw__orders", "[OMS] weekly failed at stumbles"]
    # What had ended before anybody could be told is told as such, and not forgotten.
    states = {mail["Subject"]: text_of(mail).partition(":")[0] for mail in server.mails}
    assert states == {
        "[OMS] nightly failed at raw__orders": "Recovered",
        "[OMS] weekly failed at stumbles": "Needs attention",
    }


def test_a_server_that_breaks_off_between_two_mails_gets_neither_twice(room: Room, start_server: StartServer) -> None:
    server = start_server(tls="none")
    room.settings = using(room.settings, server)
    server.answers = ["250 taken", "421 busy"]
    BROKEN.update({"2026-01-30": "no", "weekly": "yes"})
    room.run("2026-01-30")
    room.run("", job="weekly")
    assert "1 mail sent to 127.0.0.1" in room.tick()
    room.tick()
    assert server.subjects == ["[OMS] nightly failed at raw__orders", "[OMS] weekly failed at stumbles"]


def test_a_mail_that_was_refused_is_tried_again_after_ten_minutes(room: Room, start_server: StartServer) -> None:
    server = start_server(tls="none")
    room.settings = using(room.settings, server)
    server.answers = ["554 spam"]
    room.record("2026-01-30", why=BROKE)
    assert "0 mails sent" in (done := room.tick()) and "554 spam" in done
    assert "Refused" not in room.tick()
    assert server.mails == []
    with pytest.raises(MailError, match=r"was refused, and waits.*554 spam"):
        check(room.settings)
    room.later += 600
    room.tick()
    assert check(room.settings).endswith("to data@example.com.")
    assert server.subjects == ["[OMS] nightly failed"]


def test_one_mail_that_is_refused_keeps_no_other_back(room: Room, start_server: StartServer) -> None:
    server = start_server(tls="none")
    room.settings = using(room.settings, server)
    server.answers = ["554 spam"]
    BROKEN.update({"2026-01-30": "no", "weekly": "yes"})
    room.run("2026-01-30")
    room.run("", job="weekly")
    assert "1 mail sent" in (done := room.tick()) and "Refused: " in done and "554 spam" in done
    assert server.subjects == ["[OMS] weekly failed at stumbles"]
    room.run("", job="hers")
    room.tick()
    assert server.subjects[1:] == ["[OMS] hers failed at stumbles"]
    room.later += 600
    room.tick()
    assert server.subjects[2:] == ["[OMS] nightly failed at raw__orders"]


def test_a_server_that_refuses_whoever_comes_is_tried_every_ten_minutes(room: Room, start_server: StartServer) -> None:
    server = start_server(tls="none")
    room.settings = using(room.settings, server)
    server.senders_refused = 1
    room.record("2026-01-30", why=BROKE)
    with pytest.raises(MailError, match="550 not you"):
        room.tick()
    with pytest.raises(MailError, match=r"550 not you.*tried every 10 minutes"):
        room.tick()
    room.later += 600
    room.tick()
    assert server.subjects == ["[OMS] nightly failed"]


def test_who_is_told_to_come_later_gets_the_mail_later(room: Room, start_server: StartServer) -> None:
    server = start_server(tls="none")
    room.settings = replace(using(room.settings, server), mail_to=("busy@example.com", "data@example.com"))
    server.busy = True
    room.record("2026-01-30", why=BROKE)
    assert "did not take a mail now for busy@example.com (450 greylisted)" in room.tick()
    room.tick()
    assert [envelope.rcpt_tos for envelope in server.envelopes] == [["data@example.com"]]
    server.busy = False
    room.later += 600
    room.tick()
    assert [envelope.rcpt_tos for envelope in server.envelopes] == [["data@example.com"], ["busy@example.com"]]
    assert server.mails[0]["Message-ID"] == server.mails[1]["Message-ID"]
    room.later += 600
    room.tick()
    assert len(server.mails) == 2


def test_who_is_told_to_come_later_keeps_no_mail_to_others_back(room: Room, start_server: StartServer) -> None:
    server = start_server(tls="none")
    room.settings = replace(using(room.settings, server), mail_to=("busy@example.com",))
    server.busy = True
    BROKEN.update({"weekly": "yes"})
    room.record("2026-01-30", why=BROKE)
    room.run("", job="hers")
    room.tick()
    assert [envelope.rcpt_tos for envelope in server.envelopes] == [["bo@example.com"]]
    server.busy = False
    room.later += 600
    room.tick()
    assert server.envelopes[1].rcpt_tos == ["busy@example.com"]


def test_what_cannot_be_written_in_a_mail_keeps_no_other_one_back(
    room: Room, start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = render

    def refuses_weekly(problem: Problem, *others: Any) -> EmailMessage:
        if problem.job == "weekly":
            raise UnicodeEncodeError("utf-8", "x", 0, 1, "surrogates not allowed")
        return written(problem, *others)

    monkeypatch.setattr("oms_pipeline.alerts.sensor.render", refuses_weekly)
    server = start_server(tls="none")
    room.settings = using(room.settings, server)
    BROKEN.update({"weekly": "yes"})
    room.run("", job="weekly")
    room.record("2026-01-30", why=BROKE)
    assert "The mail about weekly failed at stumbles cannot be written" in room.tick()
    assert server.subjects == ["[OMS] nightly failed"]


def test_an_error_that_is_no_text_is_mailed_with_what_can_be_read_of_it(room: Room) -> None:
    BROKEN["2026-01-31"] = "bad file \udce4 name\x1b[31m"
    room.run("2026-01-31")
    (mail,) = room.new_mails()
    assert "Error: bad file ? name [31m" in text_of(mail)
    assert b"bad file" in bytes(mail)


def test_no_more_mails_are_sent_in_an_hour_than_the_limit_and_the_last_tells_of_the_others(room: Room) -> None:
    for n in range(MAILS_PER_HOUR + 5):
        room.record("2026-01-01", why=BROKE, **{BACKFILL_ID_TAG: f"backfill{n}"})
    subjects = room.subjects
    assert len(subjects) == MAILS_PER_HOUR
    assert subjects[-1] == "[OMS] 6 more problems"
    for job in ("weekly", "hers"):
        BROKEN["weekly"] = "yes"
        room.run("", job=job)
    room.record("2026-01-02", why=BROKE)
    assert room.subjects == []
    room.later += HOUR
    assert room.subjects == ["[OMS] 3 more problems"]


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
