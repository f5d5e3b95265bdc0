"""Whether everything is in place, and whether what is there is right. Changes nothing."""

from oms_pipeline.checks.freshness import (
    due_days,
    freshness_policy,
    late_assets,
    late_days,
    on_time_checks,
    with_freshness,
)
from oms_pipeline.checks.setup import Finding, Level, check_setup

__all__ = [
    "Finding",
    "Level",
    "check_setup",
    "due_days",
    "freshness_policy",
    "late_assets",
    "late_days",
    "on_time_checks",
    "with_freshness",
]
