"""Dashboards as code: one definition, drawn as a local report and in Metabase. Reads marts; changes none."""

from oms_pipeline.dashboards.definition import (
    FILTERS,
    Card,
    Chart,
    Dashboard,
    Dataset,
    Filter,
    Format,
    Measure,
    Place,
    load_dashboards,
)
from oms_pipeline.dashboards.digest import Headline, Picture, headlines, pictures

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
    "headlines",
    "load_dashboards",
    "pictures",
]
