"""Lands one day as Parquet plus a manifest. Knows nothing of warehouses."""

from oms_pipeline.raw.assets import RawConfig, land_window, raw_assets
from oms_pipeline.raw.manifest import LandedFile, Manifest
from oms_pipeline.raw.store import FolderStore, Store
from oms_pipeline.raw.zone import RawZone

__all__ = ["FolderStore", "LandedFile", "Manifest", "RawConfig", "RawZone", "Store", "land_window", "raw_assets"]
