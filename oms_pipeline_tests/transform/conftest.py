"""One parsed dbt project for all tests of the transform room; a warehouse of its own for each test."""

from pathlib import Path

import pytest

from oms_pipeline.transform import DbtProjectFiles
from oms_pipeline_tests.transform.landing import Landing


@pytest.fixture(scope="session")
def project(dbt_dir: Path) -> DbtProjectFiles:
    return DbtProjectFiles(dbt_dir, {"OMS_PROFILE": "local", "OMS_DUCKDB_PATH": str(dbt_dir / "oms.duckdb")})


@pytest.fixture
def landing(tmp_path: Path, project: DbtProjectFiles) -> Landing:
    return Landing(tmp_path, project)
