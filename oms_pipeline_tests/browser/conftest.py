"""One site and one browser for all tests; a failed test leaves a screenshot."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from oms_pipeline_tests.browser.pages import PATIENCE, Pages
from oms_pipeline_tests.browser.site import Site, served, stop_all_in


@pytest.fixture(scope="session")
def programs() -> tuple[str, str]:
    """Paths of Chromium and its driver."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.fail("Chromium or its driver is missing. Install them: apt-get install chromium chromium-driver")
    return chromium, driver


@pytest.fixture(scope="session")
def site(programs: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with served(tmp_path_factory.mktemp("site")) as site:
        yield site


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
        stop_all_in(home)


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
