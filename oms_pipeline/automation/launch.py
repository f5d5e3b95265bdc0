"""Runs a job in this process, as the schedule would in its own. Knows jobs by name; decides nothing about days."""

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run_iterator

from oms_pipeline.calendar import Window
from oms_pipeline.instance import own_process
from oms_pipeline.presentation import step_error

_QUIET: Final = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
PARTITION_TAG: Final = "dagster/partition"
RANGE_START_TAG: Final = "dagster/asset_partition_range_start"
RANGE_END_TAG: Final = "dagster/asset_partition_range_end"


@dataclass
class LayerReport:
    """What a run did in one layer: rows of its tables, seconds spent on it."""

    rows: int = 0
    seconds: float = 0.0


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
    summary = _Summary()
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


class _Summary:
    """What is worth keeping of a run's events."""

    def __init__(self) -> None:
        self.error: str | None = None
        self.layers: defaultdict[str, LayerReport] = defaultdict(LayerReport)
        self._counted: set[dg.AssetKey] = set()
        self._step_failed = False

    def add(self, event: dg.DagsterEvent) -> None:
        """Adds an event; of a range, an asset's first materialisation tells of all days."""
        if event.event_type == dg.DagsterEventType.STEP_FAILURE and not self._step_failed:
            self._step_failed = True
            self.error = step_error(event)
        elif event.is_failure and self.error is None:
            self.error = event.message or "The run failed."
        elif event.event_type == dg.DagsterEventType.STEP_SUCCESS and event.step_key in ("raw", "external"):
            self.layers[event.step_key].seconds += event.step_success_data.duration_ms / 1000
        elif event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION and event.asset_key is not None:
            if event.asset_key in self._counted:
                return
            self._counted.add(event.asset_key)
            metadata = event.materialization.metadata
            layer = self.layers[event.asset_key.path[0]]
            if isinstance(rows := metadata.get("dagster/row_count"), dg.IntMetadataValue):
                layer.rows += rows.value or 0
            if isinstance(seconds := metadata.get("seconds"), dg.FloatMetadataValue):
                layer.seconds += seconds.value or 0.0
