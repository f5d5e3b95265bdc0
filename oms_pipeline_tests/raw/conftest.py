"""The real OMS, and a raw zone to land it in."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oms_pipeline.contract import Table, load_contract
from oms_pipeline.raw import FolderStore, Manifest, RawZone, land_window
from oms_pipeline.source import PostgresSource
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
        return pq.read_table(self.zone.url(manifest.files[name]), partitioning=None)

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


@pytest.fixture
def landing(oms: Oms, tmp_path: Path) -> Landing:
    return Landing(oms, tmp_path)
