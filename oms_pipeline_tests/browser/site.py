"""A small business with some days loaded and `oms dev` on it; and the end of all processes that came of it."""

import contextlib
import datetime as dt
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.error import URLError
from zoneinfo import ZoneInfo

import duckdb
import psutil

from oms_pipeline_tests.browser.pages import PATIENCE

DAYS: Final = 8
LOADED_DAYS: Final = 4
OMS: Final = Path(sys.executable).with_name("oms")
STOPS_WITHIN_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Site:
    """A Dagster with a business of eight days: four are loaded, three are for a test to load, one stays unloaded.

    Attributes:
        url: Where its web UI is.
        home: Its OMS_HOME.
        timezone: Where its days start.
        first_day: The day the business opened.
    """

    url: str
    home: Path
    timezone: ZoneInfo
    first_day: dt.date

    @property
    def days(self) -> list[dt.date]:
        """Every day of the business."""
        return [self.first_day + dt.timedelta(days=n) for n in range(DAYS)]

    @property
    def loaded(self) -> dt.date:
        """A day that is loaded."""
        return self.days[LOADED_DAYS - 1]

    @property
    def single(self) -> dt.date:
        """The day to load on its own."""
        return self.days[LOADED_DAYS]

    @property
    def range(self) -> tuple[dt.date, dt.date]:
        """First and last day to load as a range."""
        return self.days[LOADED_DAYS + 1], self.days[-2]

    @property
    def unloaded(self) -> dt.date:
        """The day that nobody loads."""
        return self.days[-1]

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Asks the warehouse."""
        with duckdb.connect(str(self.home / "oms.duckdb"), read_only=True) as connection:
            return connection.execute(query).fetchall()

    def landed(self, day: dt.date, table: str) -> list[Path]:
        """The files of a table that were landed for a day."""
        folder = self.home / "raw" / f"year={day.year}" / f"month={day.month:02}" / f"day={day.day:02}"
        return list((folder / table).glob("*.parquet"))


@contextlib.contextmanager
def served(home: Path) -> Iterator[Site]:
    """Opens the business, loads its first days, and starts `oms dev` on a free port, until the block ends.

    Args:
        home: An empty folder. Nothing that was started in it survives the block.
    """
    timezone = noon()
    environment = {**os.environ, "OMS_HOME": str(home), "OMS_TIMEZONE": timezone.key}
    first_day = dt.datetime.now(timezone).date() - dt.timedelta(days=DAYS)
    last_loaded = first_day + dt.timedelta(days=LOADED_DAYS - 1)
    for command in (
        ["sample", "init", "--start", str(first_day), "--orders-per-day", "30"],
        ["sample", "simulate", "--days", str(DAYS)],
        ["backfill", "--from", str(first_day), "--to", str(last_loaded)],
    ):
        done = subprocess.run([OMS, *command], env=environment, capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, f"oms {' '.join(command)}: {done.stdout}{done.stderr}"

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = home / "dev.log"
    try:
        with log.open("wb") as output:
            dev = subprocess.Popen(
                [OMS, "dev", "--port", str(port)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        _wait_for(f"http://127.0.0.1:{port}", dev, log)
        yield Site(f"http://127.0.0.1:{port}", home, timezone, first_day)
    finally:
        stop_all_in(home)


def stop_all_in(folder: Path) -> None:
    """Ends every process that works in the folder or below it: servers, daemons, runs, databases, browsers."""
    for process in _working_in(folder):
        _end(process.terminate)
    psutil.wait_procs(_working_in(folder), STOPS_WITHIN_SECONDS)
    for process in _working_in(folder):
        _end(process.kill)
    psutil.wait_procs(_working_in(folder), STOPS_WITHIN_SECONDS)
    assert not _working_in(folder), f"These processes do not end: {_working_in(folder)}"


def noon() -> ZoneInfo:
    """A time zone in which it is about noon: neither midnight nor a schedule's hour comes while the tests run."""
    ahead = 12 - dt.datetime.now(dt.UTC).hour
    return ZoneInfo(f"Etc/GMT{-ahead:+d}")  # POSIX counts the other way round: Etc/GMT-3 is three hours ahead


def _wait_for(url: str, dev: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(f"{url}/server_info", timeout=PATIENCE):  # noqa: S310 (loopback)
                return
        except (URLError, ConnectionError):
            assert dev.poll() is None, f"oms dev ended with {dev.returncode}:\n{log.read_text()}"
            assert time.monotonic() < deadline, f"oms dev does not answer on {url}:\n{log.read_text()}"
            time.sleep(0.5)


def _working_in(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()).is_relative_to(folder):
                found.append(process)
    return found


def _end(how: Callable[[], None]) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        how()
