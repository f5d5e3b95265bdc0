"""For all tests: nothing from this machine's environment, one parsed dbt project, one server for the databases."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from oms_pipeline.settings import SECRETS, VARIABLES
from oms_pipeline_tests.source.real_oms import new_database, server

__all__ = ["new_database", "server"]

# `oms_pipeline.definitions` reads the environment when it is imported, which is before any fixture. Set but empty means
# unset, and keeps the checkout's .env out.
HOME = Path(tempfile.mkdtemp(prefix="oms-tests-"))
os.environ.update(dict.fromkeys((*VARIABLES, *(f"{name}_FILE" for name in SECRETS)), ""))
os.environ["OMS_HOME"] = str(HOME)
os.environ.pop("DAGSTER_HOME", None)


def pytest_unconfigure() -> None:
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def dbt_dir() -> Path:
    """Where dbt keeps the parsed project for the whole session: parsing it takes longer than a day's run."""
    return HOME / "dbt"
