"""A small business with some days loaded, `oms dev` on it, and Chromium. What was started is stopped."""

import contextlib
import datetime as dt
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from zoneinfo import ZoneInfo

import duckdb
import psutil
import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from oms_pipeline_tests.browser.pages import PATIENCE, Pages

DAYS = 8
LOADED_DAYS = 4
OMS = Path(sys.executable).with_name("oms")
STOPS_WITHIN_SECONDS = 30.0


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

    def day(self, number: int) -> dt.date:
        """A day of the business, counted from 0."""
        return self.first_day + dt.timedelta(days=number)

    @property
    def loaded(self) -> dt.date:
        """A day that is loaded."""
        return self.day(LOADED_DAYS - 1)

    @property
    def single(self) -> dt.date:
        """The day to load on its own."""
        return self.day(LOADED_DAYS)

    @property
    def range(self) -> tuple[dt.date, dt.date]:
        """First and last day to load as a range."""
        return self.day(LOADED_DAYS + 1), self.day(DAYS - 2)

    @property
    def unloaded(self) -> dt.date:
        """The day that nobody loads."""
        return self.day(DAYS - 1)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Asks the warehouse."""
        with duckdb.connect(str(self.home / "oms.duckdb"), read_only=True) as connection:
            return connection.execute(query).fetchall()

    def landed(self, day: dt.date, table: str) -> list[Path]:
        """The files of a table that were landed for a day."""
        folder = self.home / "raw" / f"year={day.year}" / f"month={day.month:02}" / f"day={day.day:02}"
        return list((folder / table).glob("*.parquet"))


@pytest.fixture(scope="session")
def programs() -> tuple[str, str]:
    """Paths of Chromium and its driver."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.fail("Chromium or its driver is missing. Install them: apt-get install chromium chromium-driver")
    return chromium, driver


@pytest.fixture(scope="session")
def site(programs: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("site")
    timezone = noon_timezone()
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
    with log.open("wb") as output:
        dev = subprocess.Popen(
            [OMS, "dev", "--port", str(port)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for_server(dev, url, log)
        yield Site(url, home, timezone, first_day)
    finally:
        dev.terminate()
        stop_processes_of(home)


@pytest.fixture(scope="session")
def chrome(programs: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    chromium, driver = programs
    home = tmp_path_factory.mktemp("chromium")
    options = ChromeOptions()
    options.binary_location = chromium
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={home / 'profile'}",
        "--window-size=1600,1400",
    ):
        options.add_argument(argument)
    try:
        with Chrome(options, Service(driver, popen_kw={"cwd": home})) as chrome:
            chrome.command_executor.client_config.timeout = PATIENCE
            chrome.set_page_load_timeout(PATIENCE)
            yield chrome
    finally:
        stop_processes_of(home)


@pytest.fixture
def pages(site: Site, chrome: Chrome, tmp_path: Path) -> Pages:
    """The browser as on a first visit."""
    chrome.get(f"{site.url}/robots.txt")
    chrome.execute_script("localStorage.clear()")
    return Pages(chrome, site.url, tmp_path / "screenshot.png")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    arguments = getattr(item, "funcargs", {})
    if report.when == "call" and report.failed and "pages" in arguments:
        pages: Pages = arguments["pages"]
        pages.driver.save_screenshot(str(pages.screenshot))
        report.sections.append(("The page when it failed", str(pages.screenshot)))
    return report


def noon_timezone() -> ZoneInfo:
    """A time zone in which it is about noon now: neither midnight nor a schedule comes while the tests run."""
    ahead = 12 - dt.datetime.now(dt.UTC).hour
    return ZoneInfo(f"Etc/GMT{-ahead:+d}")  # POSIX counts the other way round: Etc/GMT-3 is three hours ahead


def wait_for_server(dev: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(f"{url}/server_info", timeout=PATIENCE):  # noqa: S310 (loopback)
                return
        except (URLError, ConnectionError):
            ended = dev.poll() is not None
            assert not ended, f"oms dev ended with {dev.returncode}:\n{log.read_text()}"
            assert time.monotonic() < deadline, f"oms dev does not answer on {url}:\n{log.read_text()}"
            time.sleep(0.5)


def stop_processes_of(folder: Path) -> None:
    """Ends every process that works in the folder or below it: servers, daemons, runs, databases, browsers."""
    left = _working_in(folder)
    for process in left:
        _signal(process.terminate)
    _, left = psutil.wait_procs(left, STOPS_WITHIN_SECONDS)
    for process in {*left, *_working_in(folder)}:
        _signal(process.kill)
    psutil.wait_procs(left, STOPS_WITHIN_SECONDS)
    assert not _working_in(folder), f"still running in {folder}: {_working_in(folder)}"


def _working_in(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()).is_relative_to(folder):
                found.append(process)
        except psutil.Error:
            continue
    return found


def _signal(send: Any) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        send()
