"""The raw assets: one step lands all tables of a window, day by day, each day in one snapshot of the source."""

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any, Final

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq

from oms_pipeline.calendar import Window, day_window, partitions_def, window_of_keys
from oms_pipeline.contract import Table
from oms_pipeline.errors import DriftError, OmsError, RowCountError, TransientRawZoneError, TransientSourceError
from oms_pipeline.presentation import (
    NEW_COLUMNS,
    OWNER,
    PREVIEW_ROWS,
    contract_schema,
    not_reconciled,
    reconciled,
    reconciled_spec,
    table_metadata,
)
from oms_pipeline.progress import report
from oms_pipeline.raw.manifest import LandedFile, Manifest
from oms_pipeline.raw.volume import ENOUGH_DAYS, oddest, with_weekdays_before
from oms_pipeline.raw.zone import RawZone
from oms_pipeline.settings import Settings
from oms_pipeline.source import PostgresSource

MAX_RETRIES: Final = 4
FIRST_RETRY_SECONDS: Final = 5
CONTRACT: Final = "contract"
VOLUME: Final = "volume"


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
        check_specs=[spec for table in contract.values() for spec in _check_specs(table)],
        partitions_def=partitions_def(settings),
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def raw(
        context: dg.AssetExecutionContext,
        config: RawConfig,
        source: dg.ResourceParam[PostgresSource],
        raw_zone: dg.ResourceParam[RawZone],
    ) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
        window = window_of_keys(context.partition_keys, settings)
        try:
            manifests = land_window(window, source, raw_zone, contract, settings, config.reextract)
            known = with_weekdays_before(manifests, raw_zone)
            results = [
                result for table in contract.values() for result in _results(table, window, manifests, known, raw_zone)
            ]
        except (TransientSourceError, TransientRawZoneError) as error:
            if context.retry_number >= MAX_RETRIES:
                raise dg.Failure(str(error), allow_retries=False) from error
            raise dg.RetryRequested(MAX_RETRIES, FIRST_RETRY_SECONDS * 2**context.retry_number) from error
        except DriftError as error:
            for name, drift in error.tables.items():
                yield _drifted(["raw", name], drift)
            raise dg.Failure(str(error), allow_retries=False) from error
        except RowCountError as error:
            yield not_reconciled(["raw", error.table], error)
            raise dg.Failure(str(error), allow_retries=False) from error
        except OmsError as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        yield from results

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
        RowCountError: A file holds other rows than were read, or than its manifest says.
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


def _check_specs(table: Table) -> list[dg.AssetCheckSpec]:
    key = ["raw", table.name]
    return [
        reconciled_spec(key, "Every file holds the rows that were read from the source."),
        dg.AssetCheckSpec(
            CONTRACT,
            asset=key,
            description="The source has the columns of the contract; tells those that the contract does not know.",
        ),
        dg.AssetCheckSpec(
            VOLUME,
            asset=key,
            description=f"A day brought at most {table.volume_limit:g} times more or fewer rows than the median of the "
            "same weekday before.",
        ),
    ]


def _results(
    table: Table, window: Window, manifests: list[Manifest], known: Mapping[dt.date, Manifest], zone: RawZone
) -> list[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    """The table's materialisation and its checks."""
    files = [manifest.files[table.name] for manifest in manifests if table.name in manifest.files]
    # Whatever is landed was counted when it was written, or when it was verified as a day that is kept.
    rows = sum(file.rows for file in files)
    key = ["raw", table.name]
    return [
        dg.MaterializeResult(asset_key=dg.AssetKey(key), metadata=_metadata(table, window, manifests, zone)),
        reconciled(key, rows, rows, len(files)),
        _contract_check(key, files),
        _volume_check(key, table, window, known),
    ]


def _contract_check(key: list[str], files: list[LandedFile]) -> dg.AssetCheckResult:
    new = _new_columns(files)
    return dg.AssetCheckResult(
        asset_key=dg.AssetKey(key),
        check_name=CONTRACT,
        passed=True,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={NEW_COLUMNS: ", ".join(new)} if new else {},
        description=f"New at the source, landed, not in the contract: {', '.join(new)}." if new else None,
    )


def _drifted(key: list[str], drift: str) -> dg.AssetCheckResult:
    """The same check as it failed, to be yielded before the step does."""
    return dg.AssetCheckResult(asset_key=dg.AssetKey(key), check_name=CONTRACT, passed=False, description=f"{drift}.")


def _volume_check(
    key: list[str], table: Table, window: Window, known: Mapping[dt.date, Manifest]
) -> dg.AssetCheckResult:
    volume = oddest(table.name, window.days, known)
    if volume is None:
        told: dict[str, Any] = {}
        text = f"Not compared: it takes {ENOUGH_DAYS} of the same weekday before, all read within a day of their end."
    else:
        told = {
            "day": str(volume.day),
            "rows": volume.rows,
            "usual_rows": float(volume.usual),
            "days_compared": volume.days,
            "factor": round(volume.factor, 2),
            "limit": table.volume_limit,
        }
        text = f"{volume.day:%A} {volume.day}: {volume.rows} rows, usually {volume.usual:g}."
    return dg.AssetCheckResult(
        asset_key=dg.AssetKey(key),
        check_name=VOLUME,
        passed=volume is None or volume.factor <= table.volume_limit,
        severity=dg.AssetCheckSeverity.WARN,
        metadata=told,
        description=text,
    )


def _new_columns(files: list[LandedFile]) -> list[str]:
    return sorted({name for file in files for name in file.new_columns})


def _metadata(table: Table, window: Window, manifests: list[Manifest], zone: RawZone) -> Mapping[str, Any]:
    files = [(manifest, manifest.files[table.name]) for manifest in manifests if table.name in manifest.files]
    if not files:
        return {"dagster/row_count": 0, "window": str(window), "note": "A snapshot shows the last day of a range only."}
    newest_manifest, newest = files[-1]
    new_columns = _new_columns([file for _, file in files])
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
        more[NEW_COLUMNS] = ", ".join(new_columns)
    hidden = [column.name for column in table.columns if column.pii]
    return table_metadata(
        sum(file.rows for _, file in files),
        None if rows is None else pa.Table.from_batches([rows]),
        hidden,
        **more,
    )
