"""The real OMS, and a raw zone to land it in."""

import datetime as dt
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oms_pipeline.contract import Table, load_contract
from oms_pipeline.raw import FolderStore, Manifest, RawZone, land_window
from oms_pipeline.raw.s3 import S3Store
from oms_pipeline.source import PostgresSource
from oms_pipeline_tests.raw.bucket import LOGIN, Bucket, Proxy, new_bucket, s3_proxy, s3_server
from oms_pipeline_tests.source.real_oms import (
    FIRST_DAY,
    Oms,
    days,
    empty_template,
    life,
    life_template,
    oms,
)

__all__ = ["Landing", "empty_template", "landing", "life", "life_template", "oms"]


@dataclass(frozen=True)
class Landing:
    """A raw zone below a folder, and what lands in it."""

    oms: Oms
    folder: Path
    store_type: type[FolderStore] = FolderStore

    @property
    def zone(self) -> RawZone:
        return RawZone(self.store_type(self.folder / "raw"))

    def land(
        self,
        first: str,
        last: str | None = None,
        *,
        reextract: bool = False,
        source: PostgresSource | None = None,
        contract: Mapping[str, Table] | None = None,
        start_date: dt.date = FIRST_DAY,
    ) -> Manifest:
        """Lands a day or a range as a run does; gives the manifest of its last day."""
        return land_window(
            days(first, last or first),
            source or self.oms.source(),
            self.zone,
            contract or load_contract(),
            self.oms.settings(self.folder, start_date),
            reextract,
        )[-1]

    def table(self, manifest: Manifest, name: str) -> pa.Table:
        with self.zone.open(manifest.files[name]) as file:
            return pq.read_table(file)

    def rows(self, manifest: Manifest, name: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.table(manifest, name).to_pylist()
        return rows

    def files(self) -> dict[str, bytes]:
        """Everything in the zone, but for the lock."""
        root = self.folder / "raw"
        found = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
        return {name: path.read_bytes() for name, path in found.items() if name != ".landing.lock"}

    def path(self, manifest: Manifest, name: str) -> Path:
        return Path(self.zone.url(manifest.files[name]))


@dataclass(frozen=True)
class InBucket(Landing):
    """A raw zone in a bucket, and what lands in it; the folder holds nothing but settings."""

    bucket_store: S3Store | None = None

    @property
    def store(self) -> S3Store:
        assert self.bucket_store is not None
        return self.bucket_store

    @property
    def zone(self) -> RawZone:
        return RawZone(replace(self.store))


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The address of an S3 server."""
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture
def bucket(s3: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """An empty bucket, and credentials for it."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in LOGIN.items():
        monkeypatch.setenv(name, value)
    with new_bucket(s3) as bucket:
        yield bucket


@pytest.fixture
def proxy(s3: str) -> Iterator[Proxy]:
    """A proxy before the server that can fail as S3 can."""
    with s3_proxy(s3) as proxy:
        yield proxy


@pytest.fixture
def landing(oms: Oms, tmp_path: Path) -> Landing:
    return Landing(oms, tmp_path)
