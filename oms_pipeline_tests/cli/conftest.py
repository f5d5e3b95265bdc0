"""The real OMS."""

from oms_pipeline_tests.source.real_oms import empty_template, life, life_template, oms

__all__ = ["empty_template", "life", "life_template", "oms"]
