"""Volumes: a day beside the same weekday of the weeks before, from manifests alone."""

import datetime as dt
from collections.abc import Sequence

import pytest

from oms_pipeline.raw.manifest import LandedFile, Manifest
from oms_pipeline.raw.volume import oddest

DAY = dt.date(2026, 3, 30)
MOMENT = dt.datetime(2026, 3, 31, tzinfo=dt.UTC)


def landed(rows: dict[dt.date, int], read: dt.datetime = MOMENT) -> dict[dt.date, Manifest]:
    return {
        day: Manifest(
            day,
            MOMENT,
            MOMENT,
            MOMENT,
            True,
            "1",
            MOMENT,
            {"orders": LandedFile("orders", "", n, 1, "", "", (), read)},
        )
        for day, n in rows.items()
    }


def weeks_before(day: dt.date, *rows: int) -> dict[dt.date, int]:
    return {day - dt.timedelta(weeks=week): n for week, n in enumerate(rows, 1)}


@pytest.mark.parametrize(
    ("before", "rows", "usual", "factor"),
    [
        ((100, 100, 100, 100), 100, 100, 1),
        ((100, 100, 100, 100), 400, 100, 4),
        ((100, 100, 100, 100), 25, 100, 4),
        ((100, 110, 90, 100, 100_000), 100, 100, 1),  # one odd week does not make all others odd
        ((100, 100, 100, 100), 0, 100, 100),
        ((0, 0, 0, 0), 400, 0, 400),
        ((1, 2, 1, 2), 11, 1.5, 1),  # a handful of rows is chance
    ],
)
def test_a_day_is_held_against_the_median_of_its_weekday(
    before: Sequence[int], rows: int, usual: float, factor: float
) -> None:
    volume = oddest("orders", [DAY], landed({DAY: rows, **weeks_before(DAY, *before)}))
    assert volume is not None
    assert (volume.day, volume.rows, volume.usual, volume.days) == (DAY, rows, usual, len(before))
    assert volume.factor == factor


def test_of_a_range_the_oddest_day_is_told_whether_it_has_more_rows_or_fewer() -> None:
    tuesday, wednesday = DAY + dt.timedelta(days=1), DAY + dt.timedelta(days=2)
    rows = {DAY: 150, tuesday: 20, wednesday: 400}
    for day in list(rows):
        rows |= weeks_before(day, 100, 100, 100, 100)
    volume = oddest("orders", [DAY, tuesday, wednesday], landed(rows))
    assert volume is not None
    assert (volume.day, volume.factor) == (tuesday, 5)


def test_other_weekdays_and_weeks_long_past_do_not_count() -> None:
    other = {DAY - dt.timedelta(days=n): 100 for n in range(1, 7)}
    past = {DAY - dt.timedelta(weeks=n): 100 for n in range(7, 12)}
    assert oddest("orders", [DAY], landed({DAY: 1000, **other, **past})) is None
    assert oddest("orders", [DAY], landed({DAY: 1000, **weeks_before(DAY, 100, 100, 100)})) is None


def test_a_day_without_a_file_of_the_table_is_passed_over() -> None:
    assert oddest("stores", [DAY], landed({DAY: 1, **weeks_before(DAY, 1, 1, 1, 1)})) is None


def test_a_day_that_was_read_late_is_neither_judged_nor_held_against_another() -> None:
    in_time, too_late = MOMENT + dt.timedelta(hours=24), MOMENT + dt.timedelta(hours=24, seconds=1)
    before = weeks_before(DAY, 100, 100, 100, 100)

    assert oddest("orders", [DAY], landed({DAY: 400}) | landed(before, in_time)) is not None
    assert oddest("orders", [DAY], landed({DAY: 400}) | landed(before, too_late)) is None
    assert oddest("orders", [DAY], landed({DAY: 400}, too_late) | landed(before, in_time)) is None
