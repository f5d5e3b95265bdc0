"""What Dagster records becomes the mails that are worth sending, and no other; and their end is told."""

import json
import sys
import time

import dagster as dg
import pytest
from dagster._core.events import RunFailureReason
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.remote_origin import (
    InProcessCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.storage.tags import BACKFILL_ID_TAG, PARTITION_NAME_TAG, RESUME_RETRY_TAG
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.utils import make_new_run_id

from oms_pipeline.alerts.events import SETTLE_SECONDS, Catalog
from oms_pipeline.alerts.problems import DAY, HOUR
from oms_pipeline.alerts.severity import severities
from oms_pipeline_tests.alerts.room import BROKE, BROKEN, DEFINITIONS, Room, orders, sales, text_of


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
