"""One small protocol, one file per warehouse. Knows landed days; knows nothing of the source."""

from oms_pipeline.warehouse.base import (
    LAYERS,
    PIPELINE_RUNS,
    PIPELINE_RUNS_COLUMNS,
    WAREHOUSE_COST,
    WAREHOUSE_COST_COLUMNS,
    LayerRun,
    Purpose,
    RegisteredDay,
    RelationFacts,
    Shown,
    Warehouse,
    WarehouseSession,
    record_run_sql,
)
from oms_pipeline.warehouse.duckdb import DuckDBSnapshot, DuckDBWarehouse

__all__ = [
    "LAYERS",
    "PIPELINE_RUNS",
    "PIPELINE_RUNS_COLUMNS",
    "WAREHOUSE_COST",
    "WAREHOUSE_COST_COLUMNS",
    "DuckDBSnapshot",
    "DuckDBWarehouse",
    "LayerRun",
    "Purpose",
    "RegisteredDay",
    "RelationFacts",
    "Shown",
    "Warehouse",
    "WarehouseSession",
    "record_run_sql",
]
