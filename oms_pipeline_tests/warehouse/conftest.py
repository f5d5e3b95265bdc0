"""A warehouse over a raw zone that a real OMS is landed in."""

import datetime as dt

import pytest

from oms_pipeline.warehouse import DuckDBWarehouse
from oms_pipeline_tests.raw.conftest import Landing, landing
from oms_pipeline_tests.source.real_oms import empty_template, oms

__all__ = ["empty_template", "landing", "oms"]


@pytest.fixture
def warehouse(landing: Landing) -> DuckDBWarehouse:
    return DuckDBWarehouse(landing.folder / "oms.duckdb", landing.zone, lock_timeout=dt.timedelta(seconds=60))
