"""Whether a day brought as many rows as its weekday usually does. Reads manifests only.

A day that is read late, as by a backfill, has fewer rows than it had on the morning after: what has changed again since
is in a later day. So only days that were read promptly are compared, and only with such days.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median
from typing import Final

from oms_pipeline.raw.manifest import Manifest
from oms_pipeline.raw.zone import RawZone

WEEKS: Final = 6
ENOUGH_DAYS: Final = 4
# In a small table a handful of rows more or less is chance, however large the factor.
FEW_ROWS: Final = 10
PROMPT: Final = dt.timedelta(days=1)


@dataclass(frozen=True)
class Volume:
    """One day of one table beside the same weekday of the weeks before.

    Attributes:
        day: The day.
        rows: Its rows.
        usual: The median of the days before.
        days: How many days that is the median of.
    """

    day: dt.date
    rows: int
    usual: float
    days: int

    @property
    def factor(self) -> float:
        """How many times more or fewer rows than usual; 1 where the difference may be chance."""
        if abs(self.rows - self.usual) <= FEW_ROWS:
            return 1.0
        return max(self.rows, self.usual) / max(min(self.rows, self.usual), 1)


def with_weekdays_before(manifests: Sequence[Manifest], zone: RawZone) -> dict[dt.date, Manifest]:
    """The manifests of some days, and of the same weekdays in the weeks before as far as they are landed."""
    known = {manifest.day: manifest for manifest in manifests}
    others = sorted({day for manifest in manifests for day in _weekdays_before(manifest.day)} - known.keys())
    # A bucket answers several requests in the time of one.
    with ThreadPoolExecutor(WEEKS, thread_name_prefix="manifests") as pool:
        found = pool.map(zone.manifest, others)
        return known | {manifest.day: manifest for manifest in found if manifest is not None}


def oddest(table: str, days: Sequence[dt.date], manifests: Mapping[dt.date, Manifest]) -> Volume | None:
    """The day that differs most from its weekday before; None if no day can be compared.

    Args:
        table: Table name.
        days: The days to look at; those without a file of the table, or read late, are passed over.
        manifests: Of these days and of those before.
    """
    files = {day: (manifest, manifest.files[table]) for day, manifest in manifests.items() if table in manifest.files}
    rows = {day: file.rows for day, (manifest, file) in files.items() if file.extracted_at - manifest.ends_at <= PROMPT}
    volumes = []
    for day in days:
        before = [rows[earlier] for earlier in _weekdays_before(day) if earlier in rows]
        if day in rows and len(before) >= ENOUGH_DAYS:
            volumes.append(Volume(day, rows[day], median(before), len(before)))
    return max(volumes, key=lambda volume: volume.factor, default=None)


def _weekdays_before(day: dt.date) -> list[dt.date]:
    return [day - dt.timedelta(weeks=weeks) for weeks in range(1, WEEKS + 1)]
