"""A warehouse over a raw zone that a real OMS is landed in."""

from oms_pipeline_tests.raw.conftest import landing
from oms_pipeline_tests.source.real_oms import empty_template, oms
from oms_pipeline_tests.warehouse.conftest import warehouse

__all__ = ["empty_template", "landing", "oms", "warehouse"]
