"""Rows landed = rows registered = rows staged, or the run fails before a mart has changed."""

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oms_pipeline.contract import load_contract
from oms_pipeline.definitions import make_source
from oms_pipeline.presentation import RECONCILED
from oms_pipeline.raw import land_window
from oms_pipeline_tests.graph.pipeline import Pipeline, unequal
from oms_pipeline_tests.graph.replay import Replay
from oms_pipeline_tests.source.real_oms import Oms

DBT_LAYERS = ("staging", "intermediate", "marts")


@dataclass(frozen=True)
class Landed:
    """A day that is landed and registered, and not yet in the marts."""

    pipeline: Pipeline
    day: dt.date
    tables: dict[str, pa.Table]
    failed_checks: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    @property
    def orders(self) -> Path:
        """The day's orders file."""
        manifest = self.pipeline.zone.manifest(self.day)
        assert manifest is not None
        return Path(self.pipeline.zone.url(manifest.files["orders"]))

    @property
    def rows(self) -> int:
        manifest = self.pipeline.zone.manifest(self.day)
        assert manifest is not None
        return manifest.files["orders"].rows

    @property
    def one_row_lost(self) -> dict[str, int]:
        """What a failed check tells of the orders."""
        return {"rows_expected": self.rows, "rows_found": self.rows - 1}

    def refused(self, *layers: str) -> str:
        """Materialises layers of the day; returns why that failed, and sees to it that dbt's tables are as before."""
        graph = self.pipeline.definitions.resolve_asset_graph()
        keys = [key.path for key in graph.materializable_asset_keys if key.path[0] in layers]
        result = self.pipeline.run_assets(self.day, *keys)
        assert not result.success
        failed = next(event for event in result.all_events if event.is_step_failure)
        self.failed_checks[:] = [
            (check.asset_key.to_user_string(), {name: value.value for name, value in check.metadata.items()})
            for check in result.get_asset_check_evaluations()
            if check.check_name == RECONCILED and not check.passed
        ]
        assert unequal(self.tables, self.pipeline.tables()) == []
        return str(failed.step_failure_data.user_failure_data.description)

    @contextmanager
    def replaced(self, content: bytes | None) -> Iterator[None]:
        """The orders file with other content, or without a file."""
        path, whole = self.orders, self.orders.read_bytes()
        path.unlink() if content is None else path.write_bytes(content)
        try:
            yield
        finally:
            path.write_bytes(whole)

    @contextmanager
    def registered(self, change: str) -> Iterator[None]:
        """The registration after a statement has changed it."""
        with duckdb.connect(str(self.pipeline.settings.duckdb_path)) as connection:
            connection.execute(change)
        try:
            yield
        finally:
            self.pipeline.register([self.day])


@pytest.fixture(scope="module")
def landed(replay: Replay, tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[str], Oms]) -> Landed:
    pipeline = replay.pipeline.copy(tmp_path_factory.mktemp("landed") / "home", new_database)
    day = pipeline.simulate()
    settings = pipeline.settings
    land_window(pipeline.window(day), make_source(settings), pipeline.zone, load_contract(), settings, reextract=False)
    pipeline.register([day])
    return Landed(pipeline, day, pipeline.tables())


def without_a_row(path: Path, tmp_path: Path) -> bytes:
    """A whole Parquet file like the given one, but for its last row."""
    table = pq.ParquetFile(path).read()
    pq.write_table(table.slice(0, table.num_rows - 1), tmp_path / "shorter.parquet")
    return (tmp_path / "shorter.parquet").read_bytes()


def test_a_file_that_was_damaged_after_landing_stops_the_run(landed: Landed) -> None:
    with landed.replaced(landed.orders.read_bytes()[:-100]):
        assert landed.refused("raw", "external", *DBT_LAYERS) == (
            f"{landed.orders} is not the file that was landed ({landed.orders.stat().st_size} bytes); the manifest says "
            f"{landed.orders.stat().st_size + 100} bytes, {landed.rows} rows. Restore it from a backup, or read the day "
            f"anew: oms run --day {landed.day} --reextract"
        )


def test_a_file_that_is_gone_stops_the_run(landed: Landed) -> None:
    with landed.replaced(None):
        assert "is missing; the manifest says" in landed.refused("raw", "external", *DBT_LAYERS)


def test_a_file_that_is_no_parquet_is_not_registered(landed: Landed) -> None:
    registered = landed.pipeline.registered()
    with landed.replaced(b"nothing"):
        message = landed.refused("external")
    assert message.startswith("A landed file cannot be read: ")
    assert message.endswith("Restore it from a backup, or read its day anew: oms run --day D --reextract")
    assert landed.pipeline.registered() == registered


def test_fewer_rows_found_by_the_warehouse_than_were_landed_stop_the_run(landed: Landed, tmp_path: Path) -> None:
    with landed.replaced(without_a_row(landed.orders, tmp_path)):
        assert landed.refused("external", *DBT_LAYERS).startswith(
            f"external.orders shows {landed.rows - 1} rows for {landed.day}, {landed.rows} were landed. Restore "
        )
    assert landed.failed_checks == [("external/orders", landed.one_row_lost)]


def test_fewer_rows_staged_than_were_landed_roll_everything_back(landed: Landed, tmp_path: Path) -> None:
    with landed.replaced(without_a_row(landed.orders, tmp_path)):
        assert landed.refused(*DBT_LAYERS).startswith(
            f"staging.stg_oms__orders holds {landed.rows - 1} rows, {landed.rows} were landed. Nothing was changed"
        )
    assert landed.failed_checks == [("staging/stg_oms__orders", landed.one_row_lost)]


def test_another_number_of_rows_registered_than_landed_stops_the_run(landed: Landed) -> None:
    where = f"where table_name = 'orders' and landed_on = date '{landed.day}'"
    again = f"Register it again: materialise the external layer for {landed.day}."
    with landed.registered(f"update external.registered_files set row_count = row_count - 1 {where}"):
        assert landed.refused(*DBT_LAYERS) == (
            f"external.orders has {landed.rows - 1} rows registered for {landed.day}, {landed.rows} rows landed. {again}"
        )
    assert landed.failed_checks == [("staging/stg_oms__orders", landed.one_row_lost)]
    with landed.registered(f"delete from external.registered_files {where}"):
        assert landed.refused(*DBT_LAYERS) == (
            f"external.orders has nothing registered for {landed.day}, {landed.rows} rows landed. {again}"
        )


def test_a_day_that_is_not_landed_is_neither_registered_nor_transformed(landed: Landed) -> None:
    missing = landed.day + dt.timedelta(days=1)
    nowhere = Landed(landed.pipeline, missing, landed.tables)
    remedy = f"{missing} is not in the raw zone. Run: oms backfill --from {missing} --to {missing}"

    assert nowhere.refused("external") == remedy
    assert nowhere.refused(*DBT_LAYERS) == remedy


def test_once_all_is_as_landed_the_day_runs(landed: Landed) -> None:
    assert landed.pipeline.run(landed.pipeline.window(landed.day)).error is None
    assert landed.pipeline.differences(landed.day) == []
