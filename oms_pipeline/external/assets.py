"""The external assets: a window's landed files become queryable, and their rows are counted by the warehouse itself."""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from oms_pipeline.calendar import partitions_def, window_of_keys
from oms_pipeline.contract import Table
from oms_pipeline.errors import OmsError, RowCountError
from oms_pipeline.presentation import (
    OWNER,
    contract_schema,
    not_reconciled,
    reconciled,
    reconciled_spec,
    table_metadata,
)
from oms_pipeline.progress import report
from oms_pipeline.raw import Manifest, RawZone
from oms_pipeline.settings import Settings
from oms_pipeline.warehouse import Purpose, RegisteredDay, Warehouse


def external_assets(settings: Settings, contract: Mapping[str, Table], kind: str) -> dg.AssetsDefinition:
    """One asset per OMS table: `external.<table>` over its landed files.

    Args:
        settings: For the calendar.
        contract: The tables.
        kind: The warehouse's name among Dagster's kinds.
    """

    @dg.multi_asset(
        name="external",
        specs=[
            dg.AssetSpec(
                key=["external", table.name],
                deps=[["raw", table.name]],
                description=f"{table.description}\n\nQueryable in place, pruned by `landed_on`.",
                group_name="external",
                owners=[OWNER],
                kinds={kind, "parquet"},
                metadata={
                    "dagster/column_schema": contract_schema(table),
                    "dagster/table_name": f"external.{table.name}",
                },
            )
            for table in contract.values()
        ],
        check_specs=[
            reconciled_spec(["external", name], "The warehouse finds in every file the rows that were landed in it.")
            for name in contract
        ],
        partitions_def=partitions_def(settings),
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def external(
        context: dg.AssetExecutionContext,
        raw_zone: dg.ResourceParam[RawZone],
        warehouse: dg.ResourceParam[Warehouse],
    ) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
        window = window_of_keys(context.partition_keys, settings)
        manifests = [manifest for day in window.days if (manifest := raw_zone.manifest(day)) is not None]
        missing = sorted(set(window.days) - {manifest.day for manifest in manifests})
        if missing:
            raise dg.Failure(
                f"{missing[0]} is not in the raw zone. Run: oms backfill --from {missing[0]} --to {missing[-1]}",
                allow_retries=False,
            )
        try:
            with warehouse.open(Purpose("register", window, context.run.run_id)) as session:
                registered = session.register(manifests, contract)
            rows = _reconcile(manifests, registered)
        except RowCountError as error:
            yield not_reconciled(["external", error.table], error)
            raise dg.Failure(str(error), allow_retries=False) from error
        except OmsError as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        report("registering", str(window), 1)
        for table in contract.values():
            key = ["external", table.name]
            landed = [manifest.files[table.name] for manifest in manifests if table.name in manifest.files]
            files = sum(1 for day in registered if day.table == table.name)
            yield dg.MaterializeResult(
                asset_key=dg.AssetKey(key),
                metadata=table_metadata(
                    rows.get(table.name, 0),
                    None,
                    window=str(window),
                    files=files,
                    bytes=sum(file.bytes for file in landed),
                ),
                check_results=[reconciled(key, sum(file.rows for file in landed), rows.get(table.name, 0), files)],
            )

    return external


def _reconcile(manifests: list[Manifest], registered: list[RegisteredDay]) -> dict[str, int]:
    """Table → rows, once the warehouse has counted in every file what was landed in it."""
    landed = {manifest.day: manifest for manifest in manifests}
    rows: dict[str, int] = {}
    for found in registered:
        file = landed[found.day].files[found.table]
        if found.rows != file.rows:
            raise RowCountError(
                f"external.{found.table} shows {found.rows} rows for {found.day}, {file.rows} were landed. "
                f"Restore {file.path}, or read the day anew: oms run --day {found.day} --reextract",
                found.table,
                file.rows,
                found.rows,
            )
        rows[found.table] = rows.get(found.table, 0) + found.rows
    return rows
