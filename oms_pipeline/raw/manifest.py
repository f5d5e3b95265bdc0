"""The manifest: what makes a landed day a fact. Pure data; reads and writes nothing."""

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

import pyarrow as pa

from oms_pipeline.errors import RawZoneError

MANIFEST_NAME: Final = "_manifest.json"
FORMAT: Final = 1


@dataclass(frozen=True)
class LandedFile:
    """One Parquet file of a landed day.

    Attributes:
        table: Table name.
        path: Below the raw zone.
        rows: Rows read from the source, which equal the rows in the file.
        bytes: Size of the file.
        sha256: Of the whole file.
        schema: Fingerprint of column names and types, in order.
        new_columns: Columns the contract did not know when the day was landed.
        extracted_at: When the rows were read; a snapshot kept by a re-extraction is older than its day's manifest.
    """

    table: str
    path: str
    rows: int
    bytes: int
    sha256: str
    schema: str
    new_columns: tuple[str, ...]
    extracted_at: dt.datetime


@dataclass(frozen=True)
class Manifest:
    """What was landed for one day; without it the day does not exist.

    Attributes:
        day: The day.
        starts_at: Start of its window, UTC.
        ends_at: End of its window, UTC; not part of it.
        read_from: Where the source was read from: `starts_at`, or earlier by the overlap.
        settled: Whether no older transaction was running when it was read.
        snapshot: PostgreSQL's name of the snapshot that all tables were read in.
        extracted_at: When that snapshot was taken, UTC.
        files: Table name → file.
    """

    day: dt.date
    starts_at: dt.datetime
    ends_at: dt.datetime
    read_from: dt.datetime
    settled: bool
    snapshot: str
    extracted_at: dt.datetime
    files: Mapping[str, LandedFile]

    @property
    def rows(self) -> int:
        """Rows over all tables."""
        return sum(file.rows for file in self.files.values())

    @property
    def bytes(self) -> int:
        """Bytes over all tables."""
        return sum(file.bytes for file in self.files.values())

    def to_json(self) -> str:
        """The manifest as it is stored."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1, default=_plain) + "\n"


def day_prefix(day: dt.date) -> str:
    """The folder of a day below the raw zone."""
    return f"year={day:%Y}/month={day:%m}/day={day:%d}"


def manifest_path(day: dt.date) -> str:
    """The manifest of a day below the raw zone."""
    return f"{day_prefix(day)}/{MANIFEST_NAME}"


def from_json(text: str, path: str) -> Manifest:
    """A stored manifest.

    Raises:
        RawZoneError: The text is not a manifest; names the file.
    """
    try:
        stored = json.loads(text)
        if stored["format"] != FORMAT:
            raise RawZoneError(
                f"{path} has format {stored['format']}, this version reads {FORMAT}. Use the version that wrote it."
            )
        return Manifest(
            day=dt.date.fromisoformat(stored["day"]),
            starts_at=dt.datetime.fromisoformat(stored["starts_at"]),
            ends_at=dt.datetime.fromisoformat(stored["ends_at"]),
            read_from=dt.datetime.fromisoformat(stored["read_from"]),
            settled=stored["settled"],
            snapshot=stored["snapshot"],
            extracted_at=dt.datetime.fromisoformat(stored["extracted_at"]),
            files={
                name: LandedFile(
                    **{
                        **file,
                        "new_columns": tuple(file["new_columns"]),
                        "extracted_at": dt.datetime.fromisoformat(file["extracted_at"]),
                    }
                )
                for name, file in stored["files"].items()
            },
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RawZoneError(
            f"{path} is not a manifest ({error}). Delete it, and run the day again to read it anew from the source."
        ) from None


def fingerprint(schema: pa.Schema) -> str:
    """A short name of a schema: equal for the same columns and types in the same order."""
    text = ";".join(f"{field.name}:{field.type}" for field in schema)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value: object) -> str:
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat()
    return str(value)
