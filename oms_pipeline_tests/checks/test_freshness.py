"""Lateness: days fall due at the deadline after them, and stay late until they are in, whatever else has run."""

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from oms_pipeline.calendar import partitions_def, yesterday
from oms_pipeline.checks import due_days, late_days, on_time_checks, with_freshness
from oms_pipeline.settings import Settings, read_settings

SIX = dt.time(6)
FIRST = dt.date(2026, 3, 1)
KEY = dg.AssetKey(["marts", "fct_orders"])
# So early that every day that is over is due.
EARLY = dt.time(0, 1)


def settings_from(first: dt.date, timezone: str = "UTC") -> Settings:
    return read_settings(
        {
            "OMS_SOURCE_URL": "postgresql://nobody@nowhere.invalid/oms",
            "OMS_START_DATE": str(first),
            "OMS_TIMEZONE": timezone,
        }
    )


def local(text: str, timezone: str, fold: int = 0) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(timezone), fold=fold)


@pytest.mark.parametrize(
    ("now", "last"),
    [
        ("2026-03-04T05:59:59", dt.date(2026, 3, 2)),
        ("2026-03-04T06:00", dt.date(2026, 3, 3)),
        ("2026-03-04T23:59", dt.date(2026, 3, 3)),
        ("2026-03-05T00:00", dt.date(2026, 3, 3)),
        ("2026-03-09T06:00", dt.date(2026, 3, 8)),  # a day of 23 hours has passed
    ],
)
def test_a_day_is_due_from_the_deadline_after_it_in_the_calendars_time_zone(now: str, last: dt.date) -> None:
    zone = "America/New_York"
    due = due_days(settings_from(FIRST, zone), SIX, local(now, zone).astimezone(dt.UTC))
    assert due == [FIRST + dt.timedelta(days=n) for n in range((last - FIRST).days + 1)]


def test_no_day_is_due_before_the_first_one_is_over() -> None:
    settings = settings_from(FIRST)
    assert due_days(settings, SIX, dt.datetime(2026, 2, 1, tzinfo=dt.UTC)) == []
    assert due_days(settings, SIX, dt.datetime(2026, 3, 2, 5, tzinfo=dt.UTC)) == []


def test_a_deadline_that_the_clock_shows_twice_passes_once() -> None:
    zone = "America/New_York"
    settings = settings_from(dt.date(2026, 10, 31), zone)
    before, after = local("2026-11-01T01:15", zone), local("2026-11-01T01:15", zone, fold=1)
    assert due_days(settings, dt.time(1, 30), before) == []
    assert due_days(settings, dt.time(1, 30), after) == [dt.date(2026, 10, 31)]


def test_late_is_what_is_due_and_not_in() -> None:
    settings, now = settings_from(FIRST), dt.datetime(2026, 3, 5, 7, tzinfo=dt.UTC)
    days = [FIRST + dt.timedelta(days=n) for n in range(4)]
    assert late_days(days, settings, SIX, now) == []
    assert late_days([], settings, SIX, now) == days
    assert late_days([days[0], days[3]], settings, SIX, now) == days[1:3]
    assert late_days(days[:3], settings, SIX, dt.datetime(2026, 3, 5, 5, tzinfo=dt.UTC)) == []


class Mart:
    """One partitioned mart in an instance of its own, with its check and its sensor."""

    def __init__(self, instance: dg.DagsterInstance, settings: Settings) -> None:
        @dg.asset(key=KEY, partitions_def=partitions_def(settings))
        def fct_orders() -> None: ...

        self.instance = instance
        self.settings = settings
        self.assets = with_freshness([fct_orders], settings, EARLY)
        self.check, self.sensor = on_time_checks(self.assets, settings, EARLY)
        self.cursor: str | None = None

    def run(self, day: dt.date) -> None:
        assert dg.materialize(self.assets, partition_key=str(day), instance=self.instance).success

    def tick(self) -> list[tuple[bool, dict[str, Any]]]:
        """What the sensor reports: (passed, figures)."""
        definitions = dg.Definitions(assets=self.assets, asset_checks=[self.check], sensors=[self.sensor])
        context = dg.build_sensor_context(self.instance, self.cursor, definitions=definitions)
        outcome = self.sensor.evaluate_tick(context)
        self.cursor = outcome.cursor
        assert outcome.run_requests == []
        return [(event.passed, {n: v.value for n, v in event.metadata.items()}) for event in outcome.asset_events]


@pytest.fixture
def mart() -> Any:
    zone = ZoneInfo("Pacific/Kiritimati")
    first = dt.datetime.now(zone).date() - dt.timedelta(days=3)
    with dg.DagsterInstance.ephemeral() as instance:
        yield Mart(instance, settings_from(first, zone.key))


def late(first: dt.date, last: dt.date) -> tuple[bool, dict[str, Any]]:
    number = (last - first).days + 1
    return (False, {"late_days": number, "first_late_day": str(first), "last_late_day": str(last)})


def test_a_day_that_never_ran_is_late_and_an_old_day_run_again_does_not_hide_it(mart: Mart) -> None:
    last = yesterday(mart.settings)
    first = last - dt.timedelta(days=2)
    assert mart.tick() == [late(first, last)]
    mart.run(first)
    assert mart.tick() == [late(first + dt.timedelta(days=1), last)]
    mart.run(first)  # the asset has just been written, and its newest days are as missing as before
    assert mart.tick() == []
    mart.run(last)
    assert mart.tick() == [late(first + dt.timedelta(days=1), first + dt.timedelta(days=1))]
    mart.run(first + dt.timedelta(days=1))
    assert mart.tick() == [(True, {"late_days": 0})]
    assert mart.tick() == []


def test_the_check_can_be_run_by_hand_and_tells_the_next_step(mart: Mart) -> None:
    result = dg.materialize(
        [*mart.assets, mart.check], instance=mart.instance, selection=dg.AssetSelection.checks(mart.check)
    )
    (told,) = result.get_asset_check_evaluations()
    last = yesterday(mart.settings)
    first = last - dt.timedelta(days=2)
    assert not told.passed
    assert told.description == f"3 days are late: {first} to {last}. Run: oms backfill --from {first} --to {last}"
