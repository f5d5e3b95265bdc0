"""The dbt assets: staging, intermediate and marts of a window, in one dbt invocation and one transaction."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

import dagster as dg
from dagster_dbt.asset_utils import build_dbt_specs

from oms_pipeline.calendar import Window, partitions_def, window_of_keys
from oms_pipeline.contract import Table
from oms_pipeline.errors import OmsError, RawZoneError, RowCountError, TransformError
from oms_pipeline.presentation import (
    TRANSFORM,
    lineage_table,
    not_reconciled,
    reconciled,
    reconciled_spec,
    table_metadata,
)
from oms_pipeline.progress import report
from oms_pipeline.raw import Manifest, RawZone
from oms_pipeline.settings import Settings
from oms_pipeline.transform.lineage import KnownLineage, column_lineage
from oms_pipeline.transform.project import DbtProjectFiles
from oms_pipeline.transform.reconcile import check_registered, check_staged
from oms_pipeline.transform.runner import NodeResult, run_dbt, run_tests
from oms_pipeline.transform.stored import STORED_COLUMNS, outdated, refuse_outdated, stored_columns
from oms_pipeline.transform.translator import LayerTranslator
from oms_pipeline.warehouse import Purpose, RelationFacts, Shown, Warehouse

# Unit tests need no data, what looks at all of history belongs to the weekly check, and exposures are nothing to build.
NOT_DAILY: Final = "tag:weekly test_type:unit resource_type:exposure"


class TransformConfig(dg.Config):
    """How to run the models."""

    full_refresh: bool = False
    """Build every model anew from the raw zone. The partitions must span every landed day."""


def transform_assets(
    settings: Settings, contract: Mapping[str, Table], project: DbtProjectFiles
) -> dg.AssetsDefinition:
    """The assets of every dbt model, partitioned by day.

    Args:
        settings: For the calendar.
        contract: The OMS tables.
        project: The dbt project.
    """
    manifest = project.manifest
    translator = LayerTranslator()
    unique_ids: dict[dg.AssetKey, str] = {
        translator.get_asset_key(node): unique_id
        for unique_id, node in manifest["nodes"].items()
        if node["resource_type"] == "model"
    }

    specs, dbt_tests = build_dbt_specs(
        translator=translator,
        manifest=manifest,
        select="fqn:*",
        exclude=NOT_DAILY,
        selector="",
        io_manager_key=None,
        project=None,
    )
    hops = [
        reconciled_spec(_staging(name), "Every row landed is staged, before any is deduplicated.") for name in contract
    ]

    # What `@dbt_assets` does, with checks beside dbt's own tests: it takes none.
    @dg.multi_asset(
        name=TRANSFORM,
        specs=specs,
        check_specs=[*dbt_tests, *hops],
        can_subset=True,
        partitions_def=partitions_def(settings),
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def transform(
        context: dg.AssetExecutionContext,
        config: TransformConfig,
        raw_zone: dg.ResourceParam[RawZone],
        warehouse: dg.ResourceParam[Warehouse],
    ) -> Iterator[Any]:
        window = window_of_keys(context.partition_keys, settings)
        selected = {unique_ids[key] for key in context.selected_asset_keys if key in unique_ids}
        nodes = len(selected) + len(context.selected_asset_check_keys - {hop.key for hop in hops})
        results: list[NodeResult] = []

        def finished(unique_id: str) -> None:
            report("models and tests", unique_id.split(".")[2], nodes)
            context.log.debug("dbt finished %s", unique_id)

        try:
            landed = _landed_rows(raw_zone, contract, window, config.full_refresh)
            selection = _selection(manifest, selected, len(unique_ids))
            variables = {
                **warehouse.dbt_environment(),
                "OMS_WINDOW_FROM": window.first.isoformat(),
                "OMS_WINDOW_TO": window.end.isoformat(),
            }
            with warehouse.open(Purpose("transform", window, context.run.run_id)) as session:
                check_registered(landed, session.registered_rows(window, contract), str(window))
                command = [*selection, *(["--full-refresh"] if config.full_refresh else [])]
                if warehouse.ddl_commits:
                    models = [manifest["nodes"][unique_id] for unique_id in sorted(selected)]
                    stored = stored_columns(session.query(STORED_COLUMNS))
                    differing = outdated(models, stored)
                    if not config.full_refresh:
                        refuse_outdated(differing)
                    if config.full_refresh or any(_relation(manifest, uid) not in stored for uid in selected):
                        preparing = {"OMS_PREPARE": "1", "OMS_OUTDATED": " ".join(differing)}
                        with session.transaction():
                            _refuse_failures(run_dbt(project, ["run", *command], {**variables, **preparing}))
                with session.transaction():
                    verb = "run" if warehouse.ddl_commits else "build"
                    results += run_dbt(project, [verb, *command], variables, finished)
                    _refuse_failures(results)
                    if warehouse.ddl_commits:
                        results += run_tests(project, selection, variables, session.query, finished)
                        _refuse_failures(results)
                    facts = session.facts(
                        {_relation(manifest, uid): _shown(manifest, uid, window) for uid in sorted(selected)}
                    )
                    staged = check_staged(landed, _staged_rows(contract, facts))
        except OmsError as error:
            yield from _check_results(context, manifest, translator, results)
            if isinstance(error, RowCountError):
                yield from _asked(context, [not_reconciled(_staging(error.table), error)])
            raise dg.Failure(str(error), allow_retries=False) from error

        known = KnownLineage(project.lineage_file)
        for result in results:
            if not result.is_test:
                lineage = known.get(result.unique_id, partial(_lineage, manifest, result, facts))
                yield _materialization(manifest, translator, result, facts, lineage, window)
        known.save()
        yield from _check_results(context, manifest, translator, results)
        yield from _asked(
            context, [reconciled(_staging(hop.table), hop.expected, hop.found, hop.files) for hop in staged]
        )

    return transform


def _staging(table: str) -> list[str]:
    return ["staging", f"stg_oms__{table}"]


def _asked(context: dg.AssetExecutionContext, results: Sequence[dg.AssetCheckResult]) -> Iterator[dg.AssetCheckResult]:
    """The results of checks that this run is to make: a run may leave out the checks of what it builds."""
    asked = {(key.asset_key, key.name) for key in context.selected_asset_check_keys}
    return (result for result in results if (result.asset_key, result.check_name) in asked)


def _landed_rows(
    zone: RawZone, contract: Mapping[str, Table], window: Window, full_refresh: bool
) -> dict[tuple[str, dt.date], int]:
    """(Table, day) → rows landed, over the window; a full refresh takes the days there are."""
    if full_refresh:
        days = zone.days()
        if not days or days[0] < window.first or days[-1] > window.last:
            span = f"{days[0]} to {days[-1]}" if days else "nothing"
            raise RawZoneError(
                f"A full refresh of {window} would lose days: the raw zone holds {span}. Run: oms rebuild"
            )
    else:
        days = window.days
    manifests: list[Manifest] = []
    for day in days:
        manifest = zone.manifest(day)
        if manifest is None:
            raise RawZoneError(f"{day} is not in the raw zone. Run: oms backfill --from {day} --to {day}")
        manifests.append(manifest)
    return {
        (file.table, manifest.day): file.rows
        for manifest in manifests
        for file in manifest.files.values()
        if file.table in contract
    }


def _selection(manifest: Mapping[str, Any], selected: set[str], all_models: int) -> list[str]:
    selection = ["--exclude", *NOT_DAILY.split()]
    if len(selected) < all_models:
        selection += ["--select", *sorted(manifest["nodes"][unique_id]["name"] for unique_id in selected)]
    return selection


def _refuse_failures(results: Sequence[NodeResult]) -> None:
    failed = [result for result in results if not result.succeeded and not result.skipped]
    if failed:
        first = failed[0]
        others = f" ({len(failed) - 1} more failed)" if len(failed) > 1 else ""
        raise TransformError(
            f"{first.name}: {first.message}{others}. Nothing was changed; correct the data or the model, run it again."
        )


def _staged_rows(contract: Mapping[str, Table], facts: Mapping[str, RelationFacts]) -> dict[str, int]:
    """Table → rows staged, of the tables that were staged."""
    staged = {table: facts.get(f"staging.stg_oms__{table}") for table in contract}
    return {table: found.rows for table, found in staged.items() if found is not None and found.rows is not None}


def _lineage(
    manifest: Mapping[str, Any], result: NodeResult, facts: Mapping[str, RelationFacts]
) -> dg.TableColumnLineage | None:
    columns = {relation: tuple(fact.preview.column_names) for relation, fact in facts.items()}
    columns |= {f"external.{source['name']}": tuple(source["columns"]) for source in manifest["sources"].values()}
    node = manifest["nodes"][result.unique_id]
    return column_lineage(node, result.compiled, columns, manifest["metadata"]["adapter_type"])


def _materialization(
    manifest: Mapping[str, Any],
    translator: LayerTranslator,
    result: NodeResult,
    facts: Mapping[str, RelationFacts],
    lineage: dg.TableColumnLineage | None,
    window: Window,
) -> dg.MaterializeResult[Any]:
    node = manifest["nodes"][result.unique_id]
    found = facts[_relation(manifest, result.unique_id)]
    hidden = [column["name"] for column in node["columns"].values() if column.get("meta", {}).get("pii")]
    more: dict[str, Any] = {"window": str(window), "seconds": round(result.seconds, 3)}
    if lineage is not None:
        more["dagster/column_lineage"] = lineage
        more["column_lineage"] = lineage_table(lineage)
    return dg.MaterializeResult(
        asset_key=translator.get_asset_key(node), metadata=table_metadata(found.rows, found.preview, hidden, **more)
    )


def _check_results(
    context: dg.AssetExecutionContext,
    manifest: Mapping[str, Any],
    translator: LayerTranslator,
    results: Sequence[NodeResult],
) -> Iterator[dg.AssetCheckResult]:
    selected = context.selected_asset_check_keys
    for result in results:
        if not result.is_test or result.skipped:
            continue
        test = manifest["nodes"][result.unique_id]
        attached = test.get("attached_node")
        if attached is None:
            continue
        key = dg.AssetCheckKey(translator.get_asset_key(manifest["nodes"][attached]), test["name"])
        if key in selected:
            yield dg.AssetCheckResult(
                asset_key=key.asset_key,
                check_name=key.name,
                passed=result.succeeded,
                metadata={"failing_rows": result.failures or 0, "seconds": round(result.seconds, 3)},
                description=result.message or None,
            )


def _shown(manifest: Mapping[str, Any], unique_id: str, window: Window) -> Shown:
    """What to show: any rows, or where those of one day are cheap and all are not (a view), the last day's."""
    node = manifest["nodes"][unique_id]
    day = node["config"]["meta"].get("preview_day")
    return Shown(
        columns=tuple(node["columns"]),
        is_view=node["config"]["materialized"] == "view",
        condition=f"{day} = date '{window.last}'" if day else "true",
    )


def _relation(manifest: Mapping[str, Any], unique_id: str) -> str:
    node = manifest["nodes"][unique_id]
    return f"{node['schema']}.{node['name']}"
