"""The one calendar: days that tile time in every time zone, and errors that say which day to choose."""

import datetime as dt
import zoneinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_pipeline.calendar import (
    Window,
    day_window,
    midnight,
    partitions_def,
    today,
    window_between,
    window_of_keys,
    yesterday,
)
from oms_pipeline.errors import CalendarError
from oms_pipeline.settings import Settings, read_settings

UTC = ZoneInfo("UTC")
DAY = dt.timedelta(days=1)
MICROSECOND = dt.timedelta(microseconds=1)
# Before, clocks were once set back over a midnight that had already struck, and a Pacific island left out a day.
FIRST_YEAR, LAST_YEAR = 2015, 2037


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def settings_from(first_day: dt.date, timezone: str = "UTC") -> Settings:
    return read_settings({"OMS_START_DATE": first_day.isoformat(), "OMS_TIMEZONE": timezone})


def test_a_window_is_half_open() -> None:
    window = day_window(dt.date(2026, 3, 1), UTC)
    assert (window.starts_at, window.ends_at) == (utc("2026-03-01 00:00"), utc("2026-03-02 00:00"))
    assert window.ends_at == day_window(window.first + DAY, UTC).starts_at
    assert (window.first, window.last, window.end) == (dt.date(2026, 3, 1), dt.date(2026, 3, 1), dt.date(2026, 3, 2))


def test_a_window_of_days_starts_with_the_first_and_ends_with_the_last() -> None:
    window = Window(dt.date(2026, 2, 27), dt.date(2026, 3, 2), ZoneInfo("Asia/Tokyo"))
    assert [day.day for day in window.days] == [27, 28, 1]
    assert window.last == dt.date(2026, 3, 1)
    assert (window.starts_at, window.ends_at) == (utc("2026-02-26 15:00"), utc("2026-03-01 15:00"))
    assert str(window) == "2026-02-27 to 2026-03-01"
    assert str(day_window(window.first, window.timezone)) == "2026-02-27"


@pytest.mark.parametrize(
    ("zone", "day", "starts_at", "hours"),
    [
        ("Europe/Berlin", "2026-03-28", "2026-03-27 23:00", 24),
        ("Europe/Berlin", "2026-03-29", "2026-03-28 23:00", 23),
        ("Europe/Berlin", "2026-10-25", "2026-10-24 22:00", 25),
        ("America/New_York", "2026-03-08", "2026-03-08 05:00", 23),
        ("America/New_York", "2026-11-01", "2026-11-01 04:00", 25),
        ("Australia/Lord_Howe", "2026-04-05", "2026-04-04 13:00", 24.5),
        ("America/Sao_Paulo", "2018-11-03", "2018-11-03 03:00", 24),
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04 03:00", 23),  # 00:00 was skipped
        ("America/Sao_Paulo", "2018-02-17", "2018-02-17 02:00", 25),  # 23:00 came twice
        ("America/Havana", "2026-11-01", "2026-11-01 04:00", 25),  # 00:00 comes twice: the day has both
    ],
)
def test_a_day_is_as_long_as_its_clocks_make_it(zone: str, day: str, starts_at: str, hours: float) -> None:
    window = day_window(dt.date.fromisoformat(day), ZoneInfo(zone))
    assert window.starts_at == utc(starts_at)
    assert window.ends_at - window.starts_at == dt.timedelta(hours=hours)


@given(
    zone=st.sampled_from(sorted(zoneinfo.available_timezones())),
    year=st.integers(FIRST_YEAR, LAST_YEAR),
)
def test_days_tile_time_in_every_time_zone(zone: str, year: int) -> None:
    """Each day starts with its own first instant, and the instant before belongs to the day before."""
    timezone = ZoneInfo(zone)
    day = dt.date(year, 1, 1)
    while day.year == year:
        window = day_window(day, timezone)
        assert window.starts_at.tzinfo is dt.UTC
        assert window.starts_at.astimezone(timezone).date() == day
        assert (window.starts_at - MICROSECOND).astimezone(timezone).date() == day - DAY
        assert window.starts_at < window.ends_at
        assert window.ends_at == day_window(day + DAY, timezone).starts_at
        day += DAY


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Asia/Kolkata"])
def test_the_partitions_are_the_days_that_have_ended(zone: str) -> None:
    settings = settings_from(dt.date(2018, 10, 20), zone)
    end = dt.date(2018, 11, 10)
    partitions = partitions_def(settings)
    expected = [day.isoformat() for day in Window(settings.start_date, end, settings.timezone).days]
    ends_at = midnight(end, settings.timezone)
    assert partitions.get_partition_keys(current_time=ends_at) == expected
    assert partitions.get_partition_keys(current_time=ends_at - MICROSECOND) == expected[:-1]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Asia/Kolkata"])
def test_dagster_shows_the_same_windows(zone: str) -> None:
    settings = settings_from(dt.date(2018, 10, 20), zone)
    partitions = partitions_def(settings)
    for day in Window(settings.start_date, dt.date(2018, 11, 10), settings.timezone).days:
        shown = partitions.time_window_for_partition_key(day.isoformat())
        window = day_window(day, settings.timezone)
        assert (shown.start.timestamp(), shown.end.timestamp()) == (
            window.starts_at.timestamp(),
            window.ends_at.timestamp(),
        )


def test_yesterday_is_the_day_before_today_of_the_calendar_not_of_the_server() -> None:
    for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):
        settings = settings_from(dt.date(2026, 1, 1), zone)
        before = dt.datetime.now(settings.timezone).date()
        day = today(settings)
        assert before <= day <= dt.datetime.now(settings.timezone).date()
        assert day_window(yesterday(settings), settings.timezone).ends_at <= dt.datetime.now(dt.UTC)
    # 25 hours lie between the two.
    assert today(settings_from(dt.date(2026, 1, 1), "Pacific/Kiritimati")) > today(settings)


def test_a_range_holds_both_its_ends() -> None:
    settings = settings_from(dt.date(2026, 1, 1), "Europe/Berlin")
    window = window_between(dt.date(2026, 1, 1), dt.date(2026, 1, 3), settings)
    assert (window.first, window.last, len(window.days)) == (dt.date(2026, 1, 1), dt.date(2026, 1, 3), 3)
    assert window.timezone is settings.timezone


def test_yesterday_can_be_loaded_and_today_cannot() -> None:
    # Where it is about noon, so that no midnight passes meanwhile. Etc/GMT+5 is five hours behind.
    zone = f"Etc/GMT{dt.datetime.now(dt.UTC).hour - 12:+d}"
    settings = settings_from(dt.date(2026, 1, 1), zone)
    newest = dt.datetime.now(ZoneInfo(zone)).date() - DAY
    assert window_between(newest, newest, settings).last == newest
    for last in (newest + DAY, newest + 2 * DAY):
        with pytest.raises(CalendarError) as error:
            window_between(newest, last, settings)
        assert str(error.value) == f"{last} has not ended in {zone}. The newest day to load is {newest}."


def test_a_day_before_the_calendar_is_refused_with_both_ways_on() -> None:
    settings = settings_from(dt.date(2026, 1, 2))
    assert window_between(dt.date(2026, 1, 2), dt.date(2026, 1, 2), settings).first == settings.start_date
    with pytest.raises(CalendarError) as error:
        window_between(dt.date(2026, 1, 1), dt.date(2026, 1, 3), settings)
    assert str(error.value) == (
        "2026-01-01 is before the first day, 2026-01-02. "
        "Choose a later day, or set OMS_START_DATE to 2026-01-01 and rebuild."
    )


def test_a_range_the_wrong_way_round_is_refused() -> None:
    with pytest.raises(CalendarError) as error:
        window_between(dt.date(2026, 1, 3), dt.date(2026, 1, 2), settings_from(dt.date(2026, 1, 1)))
    assert str(error.value) == "The range starts on 2026-01-03 and ends on 2026-01-02. Put the earlier day first."


def test_a_runs_keys_make_its_window_in_any_order() -> None:
    settings = settings_from(dt.date(2026, 1, 1))
    window = window_of_keys(["2026-01-03", "2026-01-02", "2026-01-04"], settings)
    assert window == Window(dt.date(2026, 1, 2), dt.date(2026, 1, 5), settings.timezone)
