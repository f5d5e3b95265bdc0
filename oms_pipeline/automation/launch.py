"""Runs a job in this process, as the schedule would in its own. Knows jobs by name; decides nothing about days."""

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import dagster as dg

from oms_pipeline.calendar import Window

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
    with dg.DagsterInstance.get() as instance:
        result = definitions.resolve_job_def(job).execute_in_process(
            run_config={**_QUIET, "ops": {name: {"config": values} for name, values in (config or {}).items()}},
            instance=instance,
            tags=tags,
            raise_on_error=False,
        )
    seconds = (dt.datetime.now(dt.UTC) - started).total_seconds()
    return RunReport(window, result.run_id, _error(result), seconds, _layers(result))


def _error(result: dg.ExecuteInProcessResult) -> str | None:
    if result.success:
        return None
    for event in result.all_events:
        if event.event_type == dg.DagsterEventType.STEP_FAILURE:
            data = event.step_failure_data
            if data.user_failure_data is not None and data.user_failure_data.description:
                return data.user_failure_data.description
            error = data.error
            while error is not None and error.cause is not None:
                error = error.cause
            return error.message.strip() if error is not None else "The step failed."
    for event in result.all_events:
        if event.is_failure:
            return event.message or "The run failed."
    return "The run failed."


def _layers(result: dg.ExecuteInProcessResult) -> Mapping[str, LayerReport]:
    layers: defaultdict[str, LayerReport] = defaultdict(LayerReport)
    counted: set[dg.AssetKey] = set()
    for event in result.all_events:
        if event.event_type == dg.DagsterEventType.STEP_SUCCESS and event.step_key in ("raw", "external"):
            layers[event.step_key].seconds += event.step_success_data.duration_ms / 1000
        key = event.asset_key
        if event.event_type != dg.DagsterEventType.ASSET_MATERIALIZATION or key is None or key in counted:
            continue
        counted.add(key)
        metadata = event.materialization.metadata
        layer = layers[key.path[0]]
        if isinstance(rows := metadata.get("dagster/row_count"), dg.IntMetadataValue):
            layer.rows += rows.value or 0
        if isinstance(seconds := metadata.get("seconds"), dg.FloatMetadataValue):
            layer.seconds += seconds.value or 0.0
    return layers
