"""The one daily calendar: partitions, windows, days. Nothing else in the project makes any of them.

A day starts and ends at midnight in `OMS_TIMEZONE`, so it can have 23 or 25 hours. Windows are half-open: [start, end).
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import dagster as dg

from oms_pipeline.errors import CalendarError
from oms_pipeline.settings import Settings


@dataclass(frozen=True)
class Window:
    """Consecutive whole days.

    Attributes:
        first: First day in the window.
        end: The day after the last one: the window is [first, end).
        timezone: Where midnight is.
    """

    first: dt.date
    end: dt.date
    timezone: ZoneInfo

    @property
    def last(self) -> dt.date:
        """The last day in the window."""
        return self.end - dt.timedelta(days=1)

    @property
    def days(self) -> list[dt.date]:
        """Every day, in order."""
        return [self.first + dt.timedelta(days=n) for n in range((self.end - self.first).days)]

    @property
    def starts_at(self) -> dt.datetime:
        """The instant the window starts, UTC."""
        return midnight(self.first, self.timezone)

    @property
    def ends_at(self) -> dt.datetime:
        """The instant the window ends, UTC; not part of it."""
        return midnight(self.end, self.timezone)

    def __str__(self) -> str:
        return f"{self.first}" if self.first == self.last else f"{self.first} to {self.last}"


def midnight(day: dt.date, timezone: ZoneInfo) -> dt.datetime:
    """The instant, in UTC, at which a day starts in a time zone.

    Where a clock change skips midnight, `zoneinfo` reads the skipped hour with the offset before the change, which is
    the instant of the change itself: the day still starts where the day before ends.
    """
    return dt.datetime.combine(day, dt.time(), timezone).astimezone(dt.UTC)


def day_window(day: dt.date, timezone: ZoneInfo) -> Window:
    """The window of one day."""
    return Window(day, day + dt.timedelta(days=1), timezone)


def today(settings: Settings) -> dt.date:
    """The current day of the calendar; it has not ended, so it has no partition yet."""
    return dt.datetime.now(settings.timezone).date()


def yesterday(settings: Settings) -> dt.date:
    """The newest day that has ended."""
    return today(settings) - dt.timedelta(days=1)


def newest_due(timezone: ZoneInfo, deadline: dt.time, now: dt.datetime) -> dt.date:
    """The newest day that should be in by now: a day is due at the deadline, local time, on the day after it."""
    end = now.astimezone(timezone).date()
    # Instants, not times on the clock: where it goes back, an hour comes twice and a deadline does not.
    is_due = now.astimezone(dt.UTC) >= due_at(end - dt.timedelta(days=1), timezone, deadline)
    return end - dt.timedelta(days=1 if is_due else 2)


def due_at(day: dt.date, timezone: ZoneInfo, deadline: dt.time) -> dt.datetime:
    """The instant, in UTC, by which a day should be in."""
    return dt.datetime.combine(day + dt.timedelta(days=1), deadline, timezone).astimezone(dt.UTC)


def partitions_def(settings: Settings) -> dg.DailyPartitionsDefinition:
    """The daily partitions of every asset in the graph."""
    return dg.DailyPartitionsDefinition(start_date=settings.start_date.isoformat(), timezone=settings.timezone.key)


def window_between(first: dt.date, last: dt.date, settings: Settings) -> Window:
    """The window of the days from `first` to `last`, both included.

    Raises:
        CalendarError: The range is the wrong way round, starts before the calendar, or ends after yesterday.
    """
    if first > last:
        raise CalendarError(f"The range starts on {first} and ends on {last}. Put the earlier day first.")
    if first < settings.start_date:
        raise CalendarError(
            f"{first} is before the first day, {settings.start_date}. "
            f"Choose a later day, or set OMS_START_DATE to {first} and rebuild."
        )
    if last > yesterday(settings):
        raise CalendarError(
            f"{last} has not ended in {settings.timezone.key}. The newest day to load is {yesterday(settings)}."
        )
    return Window(first, last + dt.timedelta(days=1), settings.timezone)


def window_of_keys(keys: Sequence[str], settings: Settings) -> Window:
    """The window of a run's partition keys (ISO dates, consecutive)."""
    days = sorted(dt.date.fromisoformat(key) for key in keys)
    return window_between(days[0], days[-1], settings)
