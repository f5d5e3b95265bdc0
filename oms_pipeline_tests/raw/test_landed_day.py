"""A landed day is a fact: whole or not there, kept on a re-run, and of one instant."""

import datetime as dt
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from oms_pipeline.contract import load_contract
from oms_pipeline.errors import OmsError, RawZoneError, SourceError
from oms_pipeline.raw import FolderStore, RawZone
from oms_pipeline.raw.store import HashingFile
from oms_pipeline.source import PostgresSource
from oms_pipeline_tests.raw.conftest import Landing
from oms_pipeline_tests.source.real_oms import FIRST_DAY, SCHEMA, Oms

DAY = dt.date(2026, 3, 2)
NOWHERE = PostgresSource("postgresql://nobody@127.0.0.1:1/nothing", SCHEMA, dt.timedelta(seconds=1), dt.timedelta())
SNAPSHOTS = {"stores", "employees", "suppliers", "inventory"}


def one_line(error: pytest.ExceptionInfo[OmsError]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


@dataclass(frozen=True)
class BusyStore(FolderStore):
    """A store in whose presence the OMS goes on: something commits whenever a file is begun."""

    @contextmanager
    def create(self, path: str) -> Iterator[HashingFile]:
        dsn = (self.root / "dsn").read_text()
        Oms(dsn).execute("""
            insert into customers (email, country, updated_at) values ('late@example.com', 'DE', '2026-03-02 10:00+00');
            update stores set city = 'City 2';
            delete from inventory where product_id > 1;
            delete from order_items where line_no > 1;
            update orders set version = version + 1, updated_at = '2026-03-02 11:00+00'
        """)
        with super().create(path) as file:
            yield file


def test_nothing_that_is_committed_while_a_day_is_landed_is_in_its_files(oms: Oms, tmp_path: Path) -> None:
    oms.order(1, "2026-03-02 10:00+00", lines=3)
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "dsn").write_text(oms.dsn)
    busy = Landing(oms, tmp_path, BusyStore)
    manifest = busy.land("2026-03-02")
    assert oms.value("select version from orders") == 1 + len(manifest.files) + 1  # and the manifest is a file too
    assert manifest.files["customers"].rows == 0
    assert {row["city"] for row in busy.rows(manifest, "stores")} == {"City 1"}
    assert manifest.files["inventory"].rows == 16
    assert [row["version"] for row in busy.rows(manifest, "orders")] == [1]
    assert manifest.files["order_items"].rows == 3
    assert {
        instant for name in manifest.files for instant in busy.table(manifest, name)["_extracted_at"].to_pylist()
    } <= {manifest.extracted_at}


def test_every_table_of_the_contract_is_landed_and_counted(life: Oms, tmp_path: Path) -> None:
    landing = Landing(life, tmp_path)
    manifest = landing.land("2026-03-05")
    assert list(manifest.files) == list(load_contract())
    for name, file in manifest.files.items():
        assert landing.table(manifest, name).num_rows == file.rows
        assert landing.path(manifest, name).stat().st_size == file.bytes
    window = "updated_at >= '2026-03-05' and updated_at < '2026-03-06'"
    for name in ("customers", "products", "orders", "payments", "shipments", "returns"):
        assert manifest.files[name].rows == life.value(f"select count(*) from {name} where {window}"), name
    assert manifest.files["orders"].rows > 0
    assert manifest.files["inventory"].rows == life.value("select count(*) from inventory")
    assert manifest.files["order_items"].rows == life.value(f"""
        select count(*) from order_items where order_id in (
            select order_id from orders where {window} union select order_id from order_items where {window})
    """)


def test_landed_days_hold_every_version_exactly_once(life: Oms, tmp_path: Path) -> None:
    landing = Landing(life, tmp_path)
    landing.land("2026-03-01", "2026-03-20")
    manifests = [manifest for day in landing.zone.days() if (manifest := landing.zone.manifest(day))]
    for name in ("customers", "orders", "payments", "returns"):
        landed = sum(manifest.files[name].rows for manifest in manifests)
        assert landed == life.value(f"select count(*) from {name} where updated_at < '2026-03-21'"), name


def test_the_manifest_tells_the_window_the_snapshot_and_the_columns(landing: Landing) -> None:
    manifest = landing.land("2026-03-02")
    stored = json.loads((landing.folder / "raw/year=2026/month=03/day=02/_manifest.json").read_text())
    assert stored["day"] == "2026-03-02"
    assert (stored["starts_at"], stored["ends_at"]) == ("2026-03-02T00:00:00+00:00", "2026-03-03T00:00:00+00:00")
    assert stored["settled"] is True
    assert stored["snapshot"].count(":") == 2
    assert manifest == landing.zone.manifest(DAY)
    schemas = {name: landing.table(manifest, name).schema for name in manifest.files}
    contract = load_contract()
    assert all(schemas[name].equals(table.landed_schema) for name, table in contract.items())


def test_a_day_without_its_manifest_does_not_exist(landing: Landing) -> None:
    landing.land("2026-03-02")
    landing.land("2026-03-03")
    (landing.folder / "raw/year=2026/month=03/day=02/_manifest.json").unlink()
    assert landing.zone.manifest(DAY) is None
    assert landing.zone.days() == [dt.date(2026, 3, 3)]
    assert landing.zone.newest_before(dt.date(2026, 3, 3)) is None


def test_a_landed_day_is_kept_and_the_source_is_not_even_connected_to(landing: Landing) -> None:
    landing.oms.order(1, "2026-03-02 10:00+00", lines=2)
    first = landing.land("2026-03-02")
    before = landing.files()
    landing.oms.execute("update orders set version = 5, updated_at = '2026-03-02 12:00+00'")
    assert landing.land("2026-03-02", source=NOWHERE) == first
    assert landing.files() == before


def test_of_a_range_only_the_days_that_are_missing_are_read(landing: Landing) -> None:
    landing.oms.order(1, "2026-03-02 10:00+00")
    kept = landing.land("2026-03-02")
    landing.oms.order(2, "2026-03-02 11:00+00")
    landing.oms.order(3, "2026-03-03 11:00+00")
    landing.land("2026-03-01", "2026-03-03")
    assert landing.zone.days() == [dt.date(2026, 3, 1), DAY, dt.date(2026, 3, 3)]
    assert landing.zone.manifest(DAY) == kept


def test_a_range_shows_the_state_of_snapshot_tables_on_its_last_day_only(landing: Landing) -> None:
    last = landing.land("2026-03-01", "2026-03-03")
    assert set(last.files) >= SNAPSHOTS
    for day in (dt.date(2026, 3, 1), DAY):
        manifest = landing.zone.manifest(day)
        assert manifest is not None
        assert set(manifest.files) == set(load_contract()) - SNAPSHOTS


def test_reading_anew_replaces_changes_and_keeps_snapshots(landing: Landing) -> None:
    landing.oms.order(1, "2026-03-02 10:00+00", lines=2)
    old = landing.land("2026-03-02")
    landing.oms.execute("""
        update orders set version = 5, updated_at = '2026-03-02 12:00+00';
        delete from order_items where line_no = 2;
        delete from inventory;
        update stores set city = 'City 9'
    """)
    new = landing.land("2026-03-02", reextract=True)
    assert [row["version"] for row in landing.rows(new, "orders")] == [5]
    assert new.files["order_items"].rows == 1
    assert {name: new.files[name] for name in SNAPSHOTS} == {name: old.files[name] for name in SNAPSHOTS}
    assert {row["city"] for row in landing.rows(new, "stores")} == {"City 1"}
    assert new.extracted_at > old.extracted_at
    assert landing.zone.manifest(DAY) == new
    landing.zone.verify(new)


def test_reading_anew_leaves_exactly_the_files_its_manifest_names(landing: Landing) -> None:
    landing.land("2026-03-02")
    manifest = landing.land("2026-03-02", reextract=True)
    named = {file.path for file in manifest.files.values()} | {"year=2026/month=03/day=02/_manifest.json"}
    assert set(landing.files()) == named


def test_reading_anew_never_invents_the_state_of_a_past_day(landing: Landing) -> None:
    landing.land("2026-03-01", "2026-03-03")
    manifest = landing.land("2026-03-02", reextract=True)
    assert not SNAPSHOTS & set(manifest.files)


def test_a_failed_reading_anew_leaves_the_day_as_it_was(landing: Landing) -> None:
    landing.oms.order(1, "2026-03-02 10:00+00")
    old = landing.land("2026-03-02")
    landing.oms.execute("alter table returns drop column reason")
    with pytest.raises(SourceError):
        landing.land("2026-03-02", reextract=True)
    assert landing.zone.manifest(DAY) == old
    landing.zone.verify(old)


def test_files_no_manifest_names_are_swept_from_a_kept_day_and_nothing_else_is(landing: Landing) -> None:
    landing.land("2026-03-02")
    before = landing.files()
    folder = landing.folder / "raw/year=2026/month=03/day=02"
    (folder / "orders" / "stray.parquet").write_bytes(b"PAR1")
    (folder / "orders" / ".x.parquet.ab.unfinished").write_bytes(b"PAR1")
    (folder / "gone_table").mkdir()
    (folder / "gone_table" / "x.parquet").write_bytes(b"PAR1")
    other_day = landing.folder / "raw/year=2026/month=03/day=03/orders"
    other_day.mkdir(parents=True)
    (other_day / "x.parquet").write_bytes(b"PAR1")
    landing.land("2026-03-02", source=NOWHERE)
    assert set(landing.files()) == {*before, "year=2026/month=03/day=03/orders/x.parquet"}


KILLED = """
import sys, time
from pathlib import Path
from oms_pipeline.raw import store
from oms_pipeline_tests.raw.conftest import Landing
from oms_pipeline_tests.source.real_oms import Oms

writes = 0
write = store.HashingFile.write

def write_and_stop(self, data):
    global writes
    written = write(self, data)
    self._file.flush()
    writes += 1
    if writes == int(sys.argv[3]):
        print("in the middle", flush=True)
        time.sleep(600)
    return written

store.HashingFile.write = write_and_stop
Landing(Oms(sys.argv[1]), Path(sys.argv[2])).land("2026-03-02")
"""


@pytest.mark.parametrize(
    "writes", [pytest.param(3, marks=pytest.mark.slow), 60, pytest.param(250, marks=pytest.mark.slow)]
)
def test_a_run_killed_in_the_middle_of_a_file_leaves_nothing_visible_and_the_next_one_heals(
    landing: Landing, writes: int
) -> None:
    landing.oms.order(1, "2026-03-02 10:00+00", lines=3)
    landing.oms.execute("update customers set updated_at = '2026-03-02 10:00+00'")
    command = [sys.executable, "-c", KILLED, landing.oms.dsn, str(landing.folder), str(writes)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in the middle\n"
        process.kill()
    unfinished = [name for name in landing.files() if name.endswith(".unfinished")]
    assert len(unfinished) == 1
    assert landing.files()[unfinished[0]].startswith(b"PAR1")
    assert landing.zone.manifest(DAY) is None
    assert landing.zone.days() == []

    manifest = landing.land("2026-03-02")
    landing.zone.verify(manifest)
    named = {file.path for file in manifest.files.values()} | {"year=2026/month=03/day=02/_manifest.json"}
    assert set(landing.files()) == named
    assert (manifest.files["orders"].rows, manifest.files["customers"].rows) == (1, 4)


def test_a_second_run_waits_for_the_first_and_then_finds_the_day_landed(landing: Landing) -> None:
    elsewhere = replace(landing, folder=landing.folder / "elsewhere")
    first = elsewhere.land("2026-03-02")
    with ThreadPoolExecutor() as pool:
        with landing.zone.store.lock():
            second = pool.submit(landing.land, "2026-03-02", source=NOWHERE)
            with pytest.raises(TimeoutError):
                second.result(timeout=0.5)
            (elsewhere.folder / "raw" / "year=2026").rename(landing.folder / "raw" / "year=2026")
        assert second.result() == first


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("table", ["orders", "inventory"], ids=["changes", "a snapshot"])
@pytest.mark.parametrize(
    ("damage", "told"),
    [(Path.unlink, "is missing"), (cut, "is not the file that was landed"), (flip, "is not the file")],
)
def test_a_damaged_file_is_named_with_a_next_step_that_works(
    landing: Landing, damage: Callable[[Path], None], told: str, table: str
) -> None:
    landing.oms.order(1, "2026-03-02 10:00+00")
    manifest = landing.land("2026-03-02")
    damaged = landing.path(manifest, table)
    damage(damaged)
    with pytest.raises(RawZoneError) as error:
        landing.land("2026-03-02", source=NOWHERE)
    assert f"{damaged} {told}" in one_line(error)
    assert one_line(error).endswith("oms run --day 2026-03-02 --reextract")

    mended = landing.land("2026-03-02", reextract=True)
    landing.zone.verify(mended)
    assert landing.land("2026-03-02", source=NOWHERE) == mended
    assert mended.files["orders"].rows == 1
    assert ("inventory" in mended.files) is (table == "orders"), "what is lost is not made up from today's state"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"5",
        b'"text"',
        b"null",
        b"\xff\xfe",
        b'{"format": 1}',
        b'{"format": 1, "files": []}',
        b"\x00" * 99,
    ],
)
def test_a_manifest_that_is_none_is_named_with_a_next_step_that_works(landing: Landing, content: bytes) -> None:
    landing.oms.order(1, "2026-03-02 10:00+00")
    landing.land("2026-03-02")
    path = landing.folder / "raw/year=2026/month=03/day=02/_manifest.json"
    path.write_bytes(content)
    with pytest.raises(RawZoneError) as error:
        landing.land("2026-03-02", source=NOWHERE)
    assert str(path) in one_line(error)
    assert "Delete it, and run" in one_line(error)

    path.unlink()
    manifest = landing.land("2026-03-02")
    assert manifest.files["orders"].rows == 1
    landing.zone.verify(manifest)


def test_a_manifest_with_a_damaged_list_of_files_is_named(landing: Landing) -> None:
    landing.land("2026-03-02")
    path = landing.folder / "raw/year=2026/month=03/day=02/_manifest.json"
    stored = json.loads(path.read_text())
    for files in ([], {"orders": {}}, {"orders": []}, {"orders": {**stored["files"]["orders"], "more": 1}}, None):
        path.write_text(json.dumps({**stored, "files": files}))
        with pytest.raises(RawZoneError) as error:
            landing.zone.manifest(DAY)
        assert f"{path} is not a manifest" in one_line(error)


def test_a_manifest_of_another_format_is_refused(landing: Landing) -> None:
    landing.land("2026-03-02")
    path = landing.folder / "raw/year=2026/month=03/day=02/_manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 2}))
    with pytest.raises(RawZoneError, match="has format 2, this version reads 1"):
        landing.zone.manifest(DAY)


def test_folders_that_are_no_days_are_not_taken_for_any(landing: Landing) -> None:
    landing.land("2026-03-02")
    for name in ("lost+found", "year=2026/notes", "year=2026/month=13/day=01", "year=2026/month=03/day=xx", "year=x"):
        (landing.folder / "raw" / name).mkdir(parents=True, exist_ok=True)
        (landing.folder / "raw" / name / "_manifest.json").write_text("{}")
    assert landing.zone.days() == [DAY]
    assert RawZone(FolderStore(landing.folder / "nothing")).days() == []


def test_the_newest_day_before_another_is_found_across_months_and_years(landing: Landing) -> None:
    start = dt.date(2025, 1, 1)
    for day in ("2025-12-31", "2026-01-31", "2026-03-02"):
        landing.land(day, start_date=start)
    found = {
        day: landing.zone.newest_before(dt.date.fromisoformat(day))
        for day in ("2025-12-31", "2026-01-01", "2026-03-02")
    }
    assert {day: manifest and manifest.day for day, manifest in found.items()} == {
        "2025-12-31": None,
        "2026-01-01": dt.date(2025, 12, 31),
        "2026-03-02": dt.date(2026, 1, 31),
    }


@pytest.mark.parametrize("start", [FIRST_DAY, DAY], ids=["a later day", "the first day"])
def test_the_first_day_and_only_it_is_open_to_the_past(landing: Landing, start: dt.date) -> None:
    landing.oms.order(1, "2024-05-05 10:00+00", lines=2)
    landing.oms.order(2, "2026-03-02 10:00+00", lines=1)
    manifest = landing.land("2026-03-02", start_date=start)
    is_first = start == DAY
    assert manifest.files["orders"].rows == (2 if is_first else 1)
    assert manifest.files["order_items"].rows == (3 if is_first else 1)
    assert manifest.files["customers"].rows == (4 if is_first else 0)


def test_a_table_the_contract_gets_later_is_open_to_the_past_on_its_first_landing_only(landing: Landing) -> None:
    landing.oms.order(1, "2024-05-05 10:00+00", lines=2)
    contract = load_contract()
    without = {name: table for name, table in contract.items() if name not in ("orders", "order_items")}
    landing.land("2026-03-01", contract=without)
    landing.land("2026-03-02", contract=without)
    landing.oms.order(2, "2026-03-03 10:00+00", lines=1)
    first = landing.land("2026-03-03", contract=contract)
    assert (first.files["orders"].rows, first.files["order_items"].rows) == (2, 3)
    assert first.files["customers"].rows == 0
    landing.oms.order(3, "2026-03-04 10:00+00", lines=1)
    second = landing.land("2026-03-04", contract=contract)
    assert (second.files["orders"].rows, second.files["order_items"].rows) == (1, 1)


def test_a_run_that_fails_on_a_later_day_keeps_the_earlier_ones(landing: Landing) -> None:
    landing.oms.order(1, "2026-03-01 10:00+00")
    landing.oms.order(2, "2026-03-02 10:00+00")
    landing.oms.execute("""
        insert into payments (order_id, kind, method, status, amount, currency, updated_at)
        values (2, 'charge', 'card', 'captured', 'NaN', 'EUR', '2026-03-02 10:00+00')
    """)
    with pytest.raises(SourceError):
        landing.land("2026-03-01", "2026-03-03")
    assert landing.zone.days() == [FIRST_DAY]
