"""dbt as part of the graph: staging, intermediate and marts. Knows the warehouse; knows nothing of the source."""

from oms_pipeline.transform.assets import TransformConfig, transform_assets
from oms_pipeline.transform.project import DBT_PROJECT_DIR, DbtProjectFiles
from oms_pipeline.transform.runner import NodeResult, run_dbt

__all__ = ["DBT_PROJECT_DIR", "DbtProjectFiles", "NodeResult", "TransformConfig", "run_dbt", "transform_assets"]
