"""What a run did, told from its events. Starts nothing and reads nothing else."""

from collections import defaultdict
from dataclasses import dataclass

import dagster as dg

from oms_pipeline.presentation import loads_marts, step_error


@dataclass
class LayerReport:
    """What a run did in one layer: rows of its tables, seconds spent on it."""

    rows: int = 0
    seconds: float = 0.0


class RunSummary:
    """What is worth keeping of a run's events."""

    def __init__(self) -> None:
        self.error: str | None = None
        self.layers: defaultdict[str, LayerReport] = defaultdict(LayerReport)
        self._counted: set[dg.AssetKey] = set()
        self._step_failed = False
        self._marts_are_loaded = False

    def add(self, event: dg.DagsterEvent) -> None:
        """Adds an event; of a range, an asset's first materialisation tells of all days."""
        self._marts_are_loaded |= loads_marts(event)
        if event.event_type == dg.DagsterEventType.STEP_FAILURE and not self._step_failed:
            self._step_failed = True
            self.error = step_error(event, self._marts_are_loaded)
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
