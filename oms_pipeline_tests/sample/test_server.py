"""The embedded server, shared, killed and awkwardly placed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from oms_pipeline import sample
from oms_pipeline.errors import SettingsError

from .conftest import execute, rows

JOIN = "import sys; from oms_pipeline import sample; print(sample.start(sys.argv[1]))"


def directory_of(dsn: str) -> Path:
    return Path(rows(dsn, "select current_setting('data_directory')")[0][0])


def postmaster(directory: Path) -> int:
    return int((directory / "postmaster.pid").read_text().split()[0])


def test_a_process_that_joins_and_exits_leaves_the_server_to_the_others(server: str) -> None:
    joined = subprocess.run(
        [sys.executable, "-c", JOIN, str(directory_of(server))], check=True, capture_output=True, text=True
    )
    assert joined.stdout.strip() == server
    assert rows(server, "select 1") == [(1,)]


def test_a_killed_server_starts_again_with_its_data(tmp_path: Path) -> None:
    directory = tmp_path / "pg"
    dsn = sample.start(directory)
    execute(dsn, "create table kept as select 1 as n")
    first = postmaster(directory)
    os.kill(first, signal.SIGKILL)
    dsn = sample.start(directory)
    assert rows(dsn, "select n from public.kept") == [(1,)]
    assert postmaster(directory) != first


def test_a_killed_server_whose_process_number_went_to_a_stranger_starts_again(tmp_path: Path) -> None:
    sample.start(tmp_path)
    recorded = (tmp_path / "postmaster.pid").read_text().splitlines()
    os.kill(int(recorded[0]), signal.SIGKILL)
    (tmp_path / "postmaster.pid").write_text("\n".join([str(os.getpid()), *recorded[1:]]) + "\n")
    assert rows(sample.start(tmp_path), "select 1") == [(1,)]


def test_the_last_process_to_exit_stops_the_server_and_killed_ones_do_not_count(tmp_path: Path) -> None:
    killed = subprocess.Popen(
        [sys.executable, "-c", JOIN + "; sys.stdout.flush(); sys.stdin.read()", str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert killed.stdout
    killed.stdout.readline()
    killed.kill()
    killed.communicate()
    subprocess.run([sys.executable, "-c", JOIN, str(tmp_path)], check=True, capture_output=True)
    assert not (tmp_path / "postmaster.pid").exists()


def test_a_path_longer_than_a_socket_path_may_be_works(tmp_path: Path) -> None:
    directory = tmp_path / ("long" * 40) / "pg"
    assert len(str(directory)) > 150
    assert rows(sample.start(directory), "select 1") == [(1,)]


def test_a_path_with_white_space_is_refused_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="Set OMS_HOME to a folder without white space"):
        sample.start(tmp_path / "my data")
