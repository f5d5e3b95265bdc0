"""One small protocol, one file per warehouse. Knows landed days; knows nothing of the source."""

from oms_pipeline.warehouse.base import LAYERS, RegisteredDay, RelationFacts, Warehouse, WarehouseSession
from oms_pipeline.warehouse.duckdb import DuckDBWarehouse

__all__ = ["LAYERS", "DuckDBWarehouse", "RegisteredDay", "RelationFacts", "Warehouse", "WarehouseSession"]
