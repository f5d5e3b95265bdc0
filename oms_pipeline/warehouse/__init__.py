"""One small protocol, one file per warehouse. Knows landed days; knows nothing of the source."""

from oms_pipeline.warehouse.base import (
    LAYERS,
    Purpose,
    RegisteredDay,
    RelationFacts,
    Shown,
    Warehouse,
    WarehouseSession,
)
from oms_pipeline.warehouse.duckdb import DuckDBWarehouse

__all__ = [
    "LAYERS",
    "DuckDBWarehouse",
    "Purpose",
    "RegisteredDay",
    "RelationFacts",
    "Shown",
    "Warehouse",
    "WarehouseSession",
]
