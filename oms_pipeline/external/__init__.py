"""Registers a landed day with the warehouse. Never reads rows; never writes files."""

from oms_pipeline.external.assets import external_assets

__all__ = ["external_assets"]
