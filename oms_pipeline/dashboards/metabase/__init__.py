"""Keeps a Metabase as the definition has it. Touches nothing that people made there."""

from oms_pipeline.dashboards.metabase.assets import definition, metabase_assets, publication
from oms_pipeline.dashboards.metabase.client import Patience
from oms_pipeline.dashboards.metabase.plan import Action, Step
from oms_pipeline.dashboards.metabase.sync import Definition, Outcome, check, sync

__all__ = [
    "Action",
    "Definition",
    "Outcome",
    "Patience",
    "Step",
    "check",
    "definition",
    "metabase_assets",
    "publication",
    "sync",
]
