"""One parsed dbt project for all tests of the transform room; a warehouse of its own for each test."""

from pathlib import Path

import pytest

from oms_pipeline.transform import DbtProjectFiles
from oms_pipeline_tests.transform.landing import Landing


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> DbtProjectFiles:
    folder = tmp_path_factory.mktemp("dbt")
    return DbtProjectFiles(folder, {"OMS_PROFILE": "local", "OMS_DUCKDB_PATH": str(folder / "warehouse.duckdb")})


@pytest.fixture
def landing(tmp_path: Path, project: DbtProjectFiles) -> Landing:
    return Landing(tmp_path, project)
