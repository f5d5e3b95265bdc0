"""One Dagster for all tests, and one Airflow of each kind, one after the other."""

import sys
from collections.abc import Iterator

import pytest

from oms_pipeline_tests.airflow.servers import Airflow, Gate, Webserver, gate
from oms_pipeline_tests.browser.site import Site, served


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with served(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture(scope="session")
def dagster(site: Site) -> Iterator[Webserver]:
    """The webserver that Airflow asks; `site` has its own, and the daemon."""
    webserver = Webserver(site)
    webserver.start()
    yield webserver
    webserver.stop()


@pytest.fixture(scope="session")
def proxy(dagster: Webserver) -> Iterator[Gate]:
    with gate(dagster.port) as proxy:
        yield proxy


@pytest.fixture(scope="module", params=[2, 3], ids=["airflow-2", "airflow-3"])
def airflow(
    request: pytest.FixtureRequest, site: Site, proxy: Gate, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Airflow]:
    if request.param == 2 and sys.version_info >= (3, 13):
        pytest.skip("Airflow 2.11 runs on Python 3.12 at most")
    airflow = Airflow(request.param, tmp_path_factory.mktemp("airflow"), site, proxy.url)
    try:
        airflow.start()
        yield airflow
    finally:
        airflow.stop()
