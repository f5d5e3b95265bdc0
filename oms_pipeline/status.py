"""What is there and what is missing, per layer. Changes nothing."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg

from oms_pipeline.calendar import Window, yesterday
from oms_pipeline.checks import late_days
from oms_pipeline.contract import load_contract, load_deadline
from oms_pipeline.settings import Settings
from oms_pipeline.warehouse import LAYERS


@dataclass(frozen=True)
class LayerStatus:
    """One layer.

    Attributes:
        layer: `raw`, `external`, `staging`, `intermediate` or `marts`.
        newest: Its newest day, or None.
        missing: Days of the calendar that it lacks, up to yesterday.
        late: Those of the missing days whose deadline has passed.
        rows: Rows in its tables.
    """

    layer: str
    newest: dt.date | None
    missing: Sequence[dt.date]
    late: Sequence[dt.date]
    rows: int

    @property
    def missing_text(self) -> str:
        """The missing days as ranges, the newest three."""
        ranges: list[list[dt.date]] = []
        for day in self.missing:
            if ranges and day - ranges[-1][1] == dt.timedelta(days=1):
                ranges[-1][1] = day
            else:
                ranges.append([day, day])
        texts = [str(first) if first == last else f"{first} to {last}" for first, last in ranges]
        if not texts:
            return "none"
        more = f", and {len(texts) - 3} more" if len(texts) > 3 else ""
        return f"{len(self.missing)}: {', '.join(texts[-3:])}{more}"

    @property
    def late_text(self) -> str:
        """How many days are late."""
        return str(len(self.late)) if self.late else "none"


def layer_status(settings: Settings, instance: dg.DagsterInstance) -> list[LayerStatus]:
    """The state of every layer: of raw by its manifests, of external by its registrations, of the rest by Dagster."""
    from oms_pipeline.definitions import defs, make_raw_zone, make_warehouse

    zone = make_raw_zone(settings)
    warehouse = make_warehouse(settings)
    landed = [manifest for day in zone.days() if (manifest := zone.manifest(day)) is not None]
    registered = warehouse.registered_days(load_contract())
    statuses = [
        _status("raw", [manifest.day for manifest in landed], sum(manifest.rows for manifest in landed), settings),
        _status("external", list(registered), sum(registered.values()), settings),
    ]
    rows = warehouse.layer_rows()
    for layer in LAYERS[1:]:
        keys = [key for key in defs.resolve_all_asset_keys() if key.path[0] == layer]
        days = [instance.event_log_storage.get_materialized_partitions(key) for key in keys]
        complete = set.intersection(*days) if days else set()
        statuses.append(_status(layer, [dt.date.fromisoformat(d) for d in complete], rows.get(layer, 0), settings))
    return statuses


def _status(layer: str, days: Sequence[dt.date], rows: int, settings: Settings) -> LayerStatus:
    newest = yesterday(settings)
    if newest < settings.start_date:
        return LayerStatus(layer, max(days, default=None), [], [], rows)
    calendar = Window(settings.start_date, newest + dt.timedelta(days=1), settings.timezone).days
    late = late_days(days, settings, load_deadline(), dt.datetime.now(dt.UTC))
    return LayerStatus(layer, max(days, default=None), sorted(set(calendar) - set(days)), late, rows)
