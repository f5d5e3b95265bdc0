"""Runs a job in this process, as the schedule would in its own. Knows jobs by name; decides nothing about days."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run_iterator

from oms_pipeline.automation.summary import LayerReport, RunSummary
from oms_pipeline.calendar import Window
from oms_pipeline.instance import own_process

_QUIET: Final = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
PARTITION_TAG: Final = "dagster/partition"
RANGE_START_TAG: Final = "dagster/asset_partition_range_start"
RANGE_END_TAG: Final = "dagster/asset_partition_range_end"


@dataclass(frozen=True)
class RunReport:
    """What became of a run.

    Attributes:
        window: Its days.
        run_id: Dagster's name of it.
        error: Why it failed, one line; None if it succeeded.
        seconds: Wall time.
        layers: Layer → rows and seconds.
    """

    window: Window | None
    run_id: str
    error: str | None
    seconds: float
    layers: Mapping[str, LayerReport] = field(default_factory=dict)


def run_job(
    definitions: dg.Definitions,
    job: str,
    window: Window | None = None,
    config: Mapping[str, Any] | None = None,
) -> RunReport:
    """Runs a job to its end.

    Args:
        definitions: The graph.
        job: Name of the job.
        window: The days, run as one; None for a job without partitions.
        config: Config by op name.

    Returns:
        The report; a failed run is reported, not raised.
    """
    started = dt.datetime.now(dt.UTC)
    tags: dict[str, str] = {}
    if window is not None and window.first == window.last:
        tags = {PARTITION_TAG: window.first.isoformat()}
    elif window is not None:
        tags = {RANGE_START_TAG: window.first.isoformat(), RANGE_END_TAG: window.last.isoformat()}
    definition = definitions.resolve_job_def(job)
    summary = RunSummary()
    with dg.DagsterInstance.get() as instance:
        run = instance.create_run_for_job(
            job_def=definition,
            run_config={**_QUIET, "ops": {name: {"config": values} for name, values in (config or {}).items()}},
            tags={**definition.run_tags, **tags},
        )
        with own_process(instance, run.run_id):
            # `execute_in_process` would keep every event of the run: of a year some 25,000, in 200 MB.
            for event in execute_run_iterator(InMemoryJob(definition), run, instance):
                summary.add(event)
    seconds = (dt.datetime.now(dt.UTC) - started).total_seconds()
    return RunReport(window, run.run_id, summary.error, seconds, summary.layers)
