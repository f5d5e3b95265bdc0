"""Dashboards as code: one definition, drawn as a local report and in Metabase. Reads marts; changes none."""

from oms_pipeline.dashboards.assets import dashboard_assets
from oms_pipeline.dashboards.definition import (
    FILTERS,
    Card,
    Chart,
    Dashboard,
    Dataset,
    Filter,
    Format,
    Measure,
    load_dashboards,
)
from oms_pipeline.dashboards.digest import Headline, Picture, headlines, pictures
from oms_pipeline.dashboards.grid import Place
from oms_pipeline.dashboards.report import Report, write_report

__all__ = [
    "FILTERS",
    "Card",
    "Chart",
    "Dashboard",
    "Dataset",
    "Filter",
    "Format",
    "Headline",
    "Measure",
    "Picture",
    "Place",
    "Report",
    "dashboard_assets",
    "headlines",
    "load_dashboards",
    "pictures",
    "write_report",
]
