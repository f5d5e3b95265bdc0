"""The raw zone: days that are landed, once and whole. Knows nothing of warehouses.

`raw/year=YYYY/month=MM/day=DD/<table>/<file>.parquet`, and the day's manifest beside the tables, written last. A file
the manifest does not name does not count, and is swept away the next time its day is touched.
"""

import datetime as dt
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Final

import pyarrow.parquet as pq

from oms_pipeline.contract import Extract, Table
from oms_pipeline.errors import RawZoneError, RowCountError, SourceError
from oms_pipeline.raw.landing import file_schema, write_parquet
from oms_pipeline.raw.manifest import (
    MANIFEST_NAME,
    LandedFile,
    Manifest,
    day_prefix,
    fingerprint,
    from_json,
    manifest_path,
)
from oms_pipeline.raw.store import Store
from oms_pipeline.source import DaySnapshot

log = logging.getLogger(__name__)

_YEAR: Final = re.compile(r"year=\d{4}")
_DAY: Final = re.compile(r"year=(\d{4})/month=(\d\d)/day=(\d\d)")


@dataclass(frozen=True)
class RawZone:
    """Landed days in a store."""

    store: Store

    def manifest(self, day: dt.date) -> Manifest | None:
        """What was landed for a day, or None if it is not landed.

        Raises:
            RawZoneError: The manifest cannot be read.
        """
        text = self.store.read_text(manifest_path(day))
        return None if text is None else from_json(text, self.store.url(manifest_path(day)))

    def days(self) -> list[dt.date]:
        """Every landed day, oldest first."""
        # One listing per year, not one file per day: a bucket answers each request in the time of a whole page.
        years = [name for name in self.store.folders("") if _YEAR.fullmatch(name)]
        paths = [path for year in years for path in self.store.files(year) if path.endswith(f"/{MANIFEST_NAME}")]
        return sorted(day for path in paths if (day := _day_of(path.removesuffix(f"/{MANIFEST_NAME}"))) is not None)

    def newest_before(self, day: dt.date, table: str | None = None) -> Manifest | None:
        """The newest landed day before a day; given a table, the newest that has a file of it."""
        for landed in self._days_before(day):
            manifest = self.manifest(landed)
            if manifest is not None and (table is None or table in manifest.files):
                return manifest
        return None

    def url(self, file: LandedFile) -> str:
        """Where a landed file lies, as a warehouse reads it."""
        return self.store.url(file.path)

    def open(self, file: LandedFile) -> IO[bytes]:
        """A landed file to read from."""
        return self.store.open(file.path)

    def verify(self, manifest: Manifest) -> None:
        """Holds a landed day's files against its manifest: byte by byte, and the rows each says it holds.

        Raises:
            RawZoneError: A file is missing or is not the one that was landed; names it and the next step.
            RowCountError: A file holds other rows than the manifest says.
        """
        for file in manifest.files.values():
            if not self._is_whole(file):
                found = self.store.sha256(file.path)
                state = "is missing" if found is None else f"is not the file that was landed ({found[0]} bytes)"
                raise RawZoneError(
                    f"{self.store.url(file.path)} {state}; the manifest says {file.bytes} bytes, {file.rows} rows. "
                    f"Restore it from a backup, or read the day anew: oms run --day {manifest.day} --reextract"
                )
            self._reconcile(
                file,
                "were landed. Restore it and its day's manifest from a backup, or read the day anew: "
                f"oms run --day {manifest.day} --reextract",
            )

    def land(
        self,
        snapshot: DaySnapshot,
        contract: Mapping[str, Table],
        *,
        first_day: dt.date,
        with_snapshots: bool,
        replaced: Manifest | None = None,
    ) -> Manifest:
        """Reads one day from the source and makes it a fact.

        Args:
            snapshot: The source as of one instant.
            contract: The tables to land.
            first_day: First day of the calendar; its window is open to the past.
            with_snapshots: Whether to land `snapshot` tables: they show the source as it is now, so that only the last
                of several days can carry them.
            replaced: What was landed before, when the day is read anew. Its snapshots are kept: the state of that day
                cannot be read again.

        Returns:
            The new manifest.

        Raises:
            SourceError: The source failed, or a snapshot shrank beyond its limit; the day is as it was before.
            RawZoneError: The files cannot be written.
            RowCountError: A file holds other rows than were read; the day is as it was before.
        """
        day = snapshot.window.first
        before = None if replaced is None else self.store.read_text(manifest_path(day))
        previous = self.newest_before(day)
        files: dict[str, LandedFile] = {}
        for table in contract.values():
            if table.extract is Extract.SNAPSHOT and (replaced is not None or not with_snapshots):
                kept = replaced.files.get(table.name) if replaced is not None else None
                if kept is not None and self._is_whole(kept):
                    files[table.name] = kept
                elif kept is not None:
                    log.warning("%s is damaged: %s has no snapshot of %s any more", self.url(kept), day, table.name)
                continue
            # The contract may have got the table after the days before this one were landed.
            is_new = previous is not None and table.name not in previous.files
            files[table.name] = self._write(snapshot, table, open_to_the_past=day == first_day or is_new)
            if table.extract is Extract.SNAPSHOT:
                # A range has snapshots of its last day only, and a failed range none at all.
                _check_shrink(table, files[table.name], self.newest_before(day, table.name))
        manifest = Manifest(
            day=day,
            starts_at=snapshot.window.starts_at,
            ends_at=snapshot.window.ends_at,
            read_from=snapshot.read_from,
            settled=snapshot.settled,
            snapshot=snapshot.snapshot_id,
            extracted_at=snapshot.taken_at,
            files=files,
        )
        self.store.write_text(manifest_path(day), manifest.to_json(), over=before)
        return manifest

    def sweep(self, day: dt.date, manifest: Manifest | None) -> None:
        """Deletes what a killed run left in a day's folder: every file the manifest does not name."""
        named = {file.path for file in manifest.files.values()} if manifest is not None else set()
        if manifest is not None:
            named.add(manifest_path(day))
        for path in self.store.sweep(day_prefix(day), named):
            log.info("Removed %s: no manifest names it", path)

    def _write(self, snapshot: DaySnapshot, table: Table, open_to_the_past: bool) -> LandedFile:
        new_columns = snapshot.extra_columns.get(table.name, {})
        # A new name for every extraction: the old file stays whole until the new manifest is there.
        path = f"{day_prefix(snapshot.window.first)}/{table.name}/{snapshot.taken_at:%Y%m%dT%H%M%S%fZ}.parquet"
        schema = file_schema(table, new_columns)
        with snapshot.read(table, open_to_the_past) as reader, self.store.create(path) as sink:
            rows = write_parquet(reader, schema, snapshot.taken_at, sink, table.name)
        file = LandedFile(
            table=table.name,
            path=path,
            rows=rows,
            bytes=sink.size,
            sha256=sink.sha256,
            schema=fingerprint(schema),
            new_columns=tuple(new_columns),
            extracted_at=snapshot.taken_at,
        )
        self._reconcile(file, "were read. Run the day again.")
        return file

    def _reconcile(self, file: LandedFile, expected: str) -> None:
        """Holds the rows that are expected of a file against those in it, by its own footer."""
        try:
            with self.open(file) as parquet:
                found = pq.read_metadata(parquet).num_rows
        except RawZoneError:
            raise
        except Exception as error:
            raise RawZoneError(
                f"{self.store.url(file.path)} is not a whole Parquet file ({error}). "
                "Restore it from a backup, or read its day anew with --reextract."
            ) from None
        if found != file.rows:
            raise RowCountError(
                f"{self.url(file)} holds {found} rows, {file.rows} {expected}", file.table, file.rows, found
            )

    def _is_whole(self, file: LandedFile) -> bool:
        return self.store.sha256(file.path) == (file.bytes, file.sha256)

    def _days_before(self, day: dt.date) -> Iterator[dt.date]:
        """Days before a day that have a folder, newest first; looks no further than it is asked to."""
        for year in reversed(self.store.folders("")):
            for month in reversed(self.store.folders(year)):
                for name in reversed(self.store.folders(f"{year}/{month}")):
                    found = _day_of(f"{year}/{month}/{name}")
                    if found is not None and found < day:
                        yield found


def _day_of(prefix: str) -> dt.date | None:
    match = _DAY.fullmatch(prefix)
    try:
        return dt.date(int(match[1]), int(match[2]), int(match[3])) if match else None
    except ValueError:
        return None


def _check_shrink(table: Table, landed: LandedFile, previous: Manifest | None) -> None:
    if previous is None:
        return
    before = previous.files[table.name].rows
    if landed.rows < before * table.shrink_limit:
        raise SourceError(
            f"{table.name} has {landed.rows} rows, {before} on {previous.day}: nothing found is not everything "
            f"deleted. Check the source; if it is right, lower shrink_limit ({table.shrink_limit}) of the table in "
            "_oms__sources.yml."
        )
