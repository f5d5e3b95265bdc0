"""The raw assets: one step lands all tables of a window, day by day, each day in one snapshot of the source."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq

from oms_pipeline.calendar import Window, day_window, partitions_def, window_of_keys
from oms_pipeline.contract import Table
from oms_pipeline.errors import OmsError, TransientRawZoneError, TransientSourceError
from oms_pipeline.presentation import OWNER, PREVIEW_ROWS, contract_schema, table_metadata
from oms_pipeline.progress import report
from oms_pipeline.raw.manifest import Manifest
from oms_pipeline.raw.zone import RawZone
from oms_pipeline.settings import Settings
from oms_pipeline.source import PostgresSource

MAX_RETRIES: Final = 4
FIRST_RETRY_SECONDS: Final = 5


class RawConfig(dg.Config):
    """How to land the days."""

    reextract: bool = False
    """Read days anew that are landed already. Snapshots are kept: the state of a past day cannot be read again."""


def raw_assets(settings: Settings, contract: Mapping[str, Table]) -> dg.AssetsDefinition:
    """One asset per OMS table: its rows of a day as Parquet, under the day's manifest."""

    @dg.multi_asset(
        name="raw",
        specs=[
            dg.AssetSpec(
                key=["raw", table.name],
                description=f"{table.description}\n\nLanded as Parquet, one file per day ({table.extract}).",
                group_name="raw",
                owners=[OWNER],
                kinds={"postgres", "parquet"},
                metadata={"dagster/column_schema": contract_schema(table), "primary_key": ", ".join(table.primary_key)},
            )
            for table in contract.values()
        ],
        partitions_def=partitions_def(settings),
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def raw(
        context: dg.AssetExecutionContext,
        config: RawConfig,
        source: dg.ResourceParam[PostgresSource],
        raw_zone: dg.ResourceParam[RawZone],
    ) -> Iterator[dg.MaterializeResult[Any]]:
        window = window_of_keys(context.partition_keys, settings)
        try:
            manifests = land_window(window, source, raw_zone, contract, settings, config.reextract)
            metadata = {table.name: _metadata(table, window, manifests, raw_zone) for table in contract.values()}
        except (TransientSourceError, TransientRawZoneError) as error:
            if context.retry_number >= MAX_RETRIES:
                raise dg.Failure(str(error), allow_retries=False) from error
            raise dg.RetryRequested(MAX_RETRIES, FIRST_RETRY_SECONDS * 2**context.retry_number) from error
        except OmsError as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        for name, shown in metadata.items():
            yield dg.MaterializeResult(asset_key=dg.AssetKey(["raw", name]), metadata=shown)

    return raw


def land_window(
    window: Window,
    source: PostgresSource,
    zone: RawZone,
    contract: Mapping[str, Table],
    settings: Settings,
    reextract: bool,
) -> list[Manifest]:
    """Lands the days of a window that are not landed yet; a landed day is a fact, and is only verified.

    Args:
        window: The days.
        source: Where to read; not touched if every day is landed.
        zone: Where to land.
        contract: The tables.
        settings: For the first day of the calendar.
        reextract: Read landed days anew.

    Returns:
        The manifests of all days of the window, in order.

    Raises:
        SourceError: The source cannot be read; days before the failing one are landed.
        RawZoneError: The raw zone cannot be written, or a landed day is damaged.
    """
    with zone.store.lock():
        landed = {day: manifest for day in window.days if (manifest := zone.manifest(day)) is not None}
        to_land = [day for day in window.days if reextract or day not in landed]
        for day, manifest in landed.items():
            zone.sweep(day, manifest)
            if day not in to_land:
                zone.verify(manifest)
                report("landing", f"{day} kept", len(window.days))
        if to_land:
            with source.connect() as session:
                # Once the end of the last day is settled, so is every earlier one.
                settled = session.settle(window.ends_at)
                for day in to_land:
                    previous = zone.newest_before(day)
                    with session.snapshot(
                        day_window(day, settings.timezone),
                        contract,
                        settled,
                        previous_settled=previous is None or previous.settled,
                    ) as snapshot:
                        manifest = zone.land(
                            snapshot,
                            contract,
                            first_day=settings.start_date,
                            with_snapshots=day == to_land[-1],
                            replaced=landed.get(day),
                        )
                    zone.sweep(day, manifest)
                    landed[day] = manifest
                    report("landing", str(day), len(window.days))
    return [landed[day] for day in window.days]


def _metadata(table: Table, window: Window, manifests: list[Manifest], zone: RawZone) -> Mapping[str, Any]:
    files = [(manifest, manifest.files[table.name]) for manifest in manifests if table.name in manifest.files]
    if not files:
        return {"dagster/row_count": 0, "window": str(window), "note": "A snapshot shows the last day of a range only."}
    newest_manifest, newest = files[-1]
    new_columns = sorted({name for _, file in files for name in file.new_columns})
    with zone.open(newest) as file:
        rows = next(pq.ParquetFile(file).iter_batches(PREVIEW_ROWS), None)
    more: dict[str, Any] = {
        "bytes": sum(file.bytes for _, file in files),
        "window": str(window),
        "path": dg.MetadataValue.path(zone.url(newest)),
        "sha256": newest.sha256,
        "extracted_at": dg.MetadataValue.timestamp(newest.extracted_at),
        "snapshot": newest_manifest.snapshot,
        "settled": newest_manifest.settled,
    }
    if new_columns:
        more["new_columns"] = ", ".join(new_columns)
    hidden = [column.name for column in table.columns if column.pii]
    return table_metadata(
        sum(file.rows for _, file in files),
        None if rows is None else pa.Table.from_batches([rows]),
        hidden,
        **more,
    )
