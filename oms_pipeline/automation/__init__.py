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
from oms_pipeline.automation.launch import RunReport, run_job
from oms_pipeline.automation.runs import pipeline_runs
from oms_pipeline.automation.summary import LayerReport

__all__ = [
    "DAILY_JOB",
    "REBUILD_CONFIG",
    "REBUILD_JOB",
    "WEEKLY_JOB",
    "LayerReport",
    "RunReport",
    "jobs",
    "pipeline_runs",
    "run_job",
    "schedules",
    "warehouse_cost",
    "weekly_full_check",
]
