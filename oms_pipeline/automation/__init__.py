"""Jobs and schedules: when what runs. Computes nothing."""

from oms_pipeline.automation.cost import warehouse_cost
from oms_pipeline.automation.jobs import (
    DAILY_JOB,
    REBUILD_CONFIG,
    REBUILD_JOB,
    WEEKLY_JOB,
    jobs,
    schedules,
    weekly_full_check,
)
from oms_pipeline.automation.launch import LayerReport, RunReport, run_job

__all__ = [
    "DAILY_JOB",
    "REBUILD_CONFIG",
    "REBUILD_JOB",
    "WEEKLY_JOB",
    "LayerReport",
    "RunReport",
    "jobs",
    "run_job",
    "schedules",
    "warehouse_cost",
    "weekly_full_check",
]
