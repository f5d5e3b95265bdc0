"""What is under the raw zone, a folder or a bucket: files appear whole or not at all, and what cannot be written is said in one line."""

import datetime as dt
import logging
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from oms_pipeline.errors import RawZoneError
from oms_pipeline.raw import FolderStore, Store
from oms_pipeline.raw.s3 import S3Store
from oms_pipeline_tests.raw.bucket import Bucket
from oms_pipeline_tests.raw.conftest import Landing

PAGE = 4096
DISK = 1024 * 1024


@pytest.fixture(params=["a folder", "a bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Every kind of store, empty."""
    if request.param == "a folder":
        return FolderStore(tmp_path / "raw")
    bucket: Bucket = request.getfixturevalue("bucket")
    return S3Store(bucket.name, "raw", bucket.endpoint, attempts=2)


def test_a_file_appears_when_its_block_ends_and_not_before(store: Store) -> None:
    with store.create("a/b.parquet") as file:
        file.write(b"whole")
        assert store.read_text("a/b.parquet") is None
        assert store.sha256("a/b.parquet") is None
    assert store.read_text("a/b.parquet") == "whole"
    assert store.files("") == ["a/b.parquet"]


def test_a_file_whose_block_fails_does_not_appear_and_an_older_one_stays(store: Store) -> None:
    store.write_text("a", "old")
    with pytest.raises(TypeError), store.create("a") as file:
        file.writelines([b"half of the ne", "and then no bytes"])
    assert store.files("") == ["a"]
    assert store.read_text("a") == "old"


def test_size_and_hash_are_those_of_the_file(store: Store) -> None:
    with store.create("a") as file:
        file.write(b"one")
        file.write(memoryview(b"two"))
    assert store.sha256("a") == (file.size, file.sha256)
    assert file.size == 6


def test_a_file_can_be_read_from_any_place(store: Store) -> None:
    store.write_text("a", "0123456789")
    with store.open("a") as file:
        file.seek(-3, 2)
        assert file.read() == b"789"
        file.seek(2)
        assert file.read(3) == b"234"


def test_what_is_not_there_is_none(store: Store) -> None:
    assert store.read_text("a") is None
    assert store.sha256("a") is None
    assert store.files("a") == []
    assert store.folders("a") == []
    assert store.sweep("a", []) == []
    store.delete("a")
    with pytest.raises(FileNotFoundError), store.open("a"):
        pass


def test_files_and_folders_are_those_below_a_prefix_and_not_beside_it(store: Store) -> None:
    for path in ("day=1/b", "day=1/a/c", "day=10/d", "e"):
        store.write_text(path, path)
    assert store.files("day=1") == ["day=1/a/c", "day=1/b"]
    assert store.files("") == ["day=1/a/c", "day=1/b", "day=10/d", "e"]
    assert store.folders("") == ["day=1", "day=10"]
    assert store.folders("day=1") == ["a"]


def test_sweeping_deletes_what_is_not_kept_and_nothing_beside_the_prefix(store: Store) -> None:
    for path in ("day=1/b", "day=1/a/c", "day=10/d"):
        store.write_text(path, path)
    assert store.sweep("day=1", ["day=1/b"]) == ["day=1/a/c"]
    assert store.files("") == ["day=1/b", "day=10/d"]
    store.delete("day=1/b")
    assert store.files("") == ["day=10/d"]


def test_a_file_that_is_no_text_is_named_with_a_next_step(store: Store) -> None:
    with store.create("a") as file:
        file.write(b"\xff\xfe")
    with pytest.raises(RawZoneError) as error:
        store.read_text("a")
    assert str(error.value) == f"{store.url('a')} is not a text file. Delete it, and run its day again to read it anew."


def test_the_probe_of_a_store_leaves_nothing_but_a_free_lock(store: Store) -> None:
    store.check()
    assert set(store.files("")) <= {".landing.lock"}
    with store.lock():
        pass


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("Only root may mount a small file system.")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_raw_zone_is_told_and_holds_nothing_of_the_day(landing: Landing, full_disk: Path) -> None:
    landing.oms.execute("""
        insert into customers (email, full_name, country, updated_at)
        select md5(n::text), repeat(md5((n + 1)::text), 2), 'DE', '2026-03-02' from generate_series(1, 40000) as n
    """)
    on_small_disk = Landing(landing.oms, full_disk)
    with pytest.raises(RawZoneError) as error:
        on_small_disk.land("2026-03-02")
    assert str(error.value) == (
        f"The raw zone {full_disk / 'raw'} is full. Free some space, or set OMS_RAW_URL to a larger disk."
    )
    assert on_small_disk.zone.days() == []
    assert [name for name in on_small_disk.files() if name.startswith("customers") or ".unfinished" in name] == []

    landing.oms.execute("delete from customers where customer_id > 10")
    assert on_small_disk.land("2026-03-02").files["customers"].rows == 6, "the next run finds room again"


def test_a_disk_that_has_room_for_all_but_the_manifest_holds_no_day(landing: Landing, full_disk: Path) -> None:
    sizes = [file.bytes for file in landing.land("2026-03-02").files.values()]
    needed = sum(-(-size // PAGE) * PAGE for size in sizes) + PAGE  # the lock's, which names its holder
    on_small_disk = Landing(landing.oms, full_disk)
    (full_disk / "ballast").write_bytes(b"x" * (DISK - needed))
    with pytest.raises(RawZoneError, match="is full"):
        on_small_disk.land("2026-03-02")
    assert len(on_small_disk.files()) == len(sizes)
    assert on_small_disk.zone.days() == []
    (full_disk / "ballast").unlink()
    on_small_disk.zone.verify(on_small_disk.land("2026-03-02"))


def test_a_limit_on_the_size_of_files_is_told(landing: Landing) -> None:
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, unlimited[1]))
    try:
        with pytest.raises(RawZoneError) as error:
            landing.land("2026-03-02")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert str(error.value).startswith(f"The raw zone {landing.folder / 'raw'} cannot be used: File too large. ")
    assert [name for name in landing.files() if "_manifest" in name or ".unfinished" in name] == []


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_raw_zone_that_cannot_be_written_is_told_before_the_source_is_read(
    landing: Landing, tmp_path: Path, place: str
) -> None:
    (tmp_path / "file").write_text("")
    blocked = Landing(landing.oms, tmp_path / place)
    with pytest.raises(RawZoneError) as error:
        blocked.land("2026-03-02")
    assert str(error.value) == (
        f"The raw zone {tmp_path / place / 'raw'} cannot be used: Not a directory. "
        "Make the folder writable for this user, or set OMS_RAW_URL to another."
    )
    with pytest.raises(RawZoneError, match="Not a directory"):
        blocked.zone.store.check()


LOCKED = """
import sys
import time
from pathlib import Path
from oms_pipeline.raw import FolderStore

with FolderStore(Path(sys.argv[1])).lock():
    print("inside", flush=True)
    time.sleep(60)
"""


@contextmanager
def lock_of_another_process(folder: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, "-c", LOCKED, str(folder)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "inside\n"
        yield process
        process.kill()


def test_who_waits_too_long_for_the_lock_of_a_folder_is_told_for_whom(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    # The file is there from an earlier run, and names it.
    with FolderStore(tmp_path).lock():
        assert (tmp_path / ".landing.lock").read_text().endswith(f", process {os.getpid()}")
    with lock_of_another_process(tmp_path) as other:
        started = time.monotonic()
        with pytest.raises(RawZoneError) as error, FolderStore(tmp_path, dt.timedelta(seconds=0.5)).lock():
            pytest.fail("went in")
        assert time.monotonic() - started >= 0.5
    holder = f"{socket.gethostname()}, process {other.pid}"
    assert str(error.value) == (
        f"{tmp_path}/.landing.lock is held by {holder}; waited 0:00:00.500000. Wait for its run to end, and try again."
    )
    assert caplog.messages == [f"Waiting to land: the raw zone is held by {holder}"]


def test_a_killed_process_lets_go_of_the_lock_of_a_folder(tmp_path: Path) -> None:
    with lock_of_another_process(tmp_path) as other:
        threading.Timer(0.5, other.kill).start()
        with FolderStore(tmp_path, dt.timedelta(seconds=10)).lock():
            assert other.wait() < 0
            assert (tmp_path / ".landing.lock").read_text().endswith(f", process {os.getpid()}")
