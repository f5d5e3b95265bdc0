"""Publication and Metabase as assets, after the marts of each run. Only where their addresses are set."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import dagster as dg
import pyarrow as pa

from oms_pipeline.calendar import partitions_def, window_of_keys
from oms_pipeline.dashboards.columns import check_columns
from oms_pipeline.dashboards.definition import REPORT_DAYS, load_dashboards
from oms_pipeline.dashboards.metabase.sync import Definition, Outcome, sync
from oms_pipeline.dashboards.metabase.wanted import SCHEMAS, tables
from oms_pipeline.dashboards.publication import Newest, Publication, PublishedTable, reader_of
from oms_pipeline.errors import OmsError, RowCountError
from oms_pipeline.presentation import OWNER, RECONCILED, not_reconciled, reconciled_spec
from oms_pipeline.settings import MetabaseServer, PostgresLogin, Settings
from oms_pipeline.warehouse import PIPELINE_RUNS, DuckDBWarehouse, Purpose, Warehouse

GROUP: Final = "dashboards"
PUBLISHED: Final = dg.AssetKey([GROUP, "published_marts"])
METABASE: Final = dg.AssetKey([GROUP, "metabase"])

# What a filter offers; asked once and beside the marts, where the warehouse is awake anyway.
VALUES: Final = """
select 'store' as filter, store_name as choice, count(*) as weight from marts.dim_stores group by store_name
union all
select 'channel', channel, count(*) from marts.dim_stores group by channel
union all
select 'currency', currency, sum(orders) from marts.daily_sales group by currency
"""


def metabase_assets(
    settings: Settings, manifest: Mapping[str, Any], marts: Sequence[dg.AssetKey]
) -> list[dg.AssetsDefinition]:
    """`dashboards/published_marts` and `dashboards/metabase`, as far as they are set up.

    Args:
        settings: For their addresses, and for the calendar.
        manifest: dbt's manifest, for what tables and columns mean.
        marts: What is published.
    """
    assets = []
    if settings.publish_url is not None:
        assets.append(_published(settings, publication(settings, settings.publish_url), marts, newest_days(manifest)))
    if settings.metabase is not None:
        assets.append(_metabase(settings, settings.metabase, manifest))
    return assets


def publication(settings: Settings, url: str) -> Publication:
    """Where the marts are published, and for whom."""
    reads = settings.metabase.reads if settings.metabase is not None else None
    reader = reads.user if isinstance(reads, PostgresLogin) else None
    return Publication(url, reader_of(reader, url), settings.lock_timeout)


def definition(settings: Settings, manifest: Mapping[str, Any], query: Callable[[str], pa.Table]) -> Definition:
    """What Metabase is made from: the dashboards, dbt's descriptions, and the filters' values in the warehouse.

    Args:
        settings: For who gets the weekly mail.
        manifest: dbt's manifest.
        query: Runs one SELECT on the warehouse.

    Raises:
        DashboardError: A dashboard is wrong, or names a column that its marts do not have.
    """
    dashboards = load_dashboards()
    check_columns(dashboards)
    values: dict[str, list[str]] = {}
    rows = [row for row in query(VALUES).to_pylist() if row["choice"] is not None]
    for row in sorted(rows, key=lambda row: (-row["weight"], row["choice"])):
        values.setdefault(row["filter"], []).append(row["choice"])
    return Definition(dashboards, tables(manifest), settings.mail_to, values)


def newest_days(manifest: Mapping[str, Any]) -> dict[str, Newest]:
    """Marts of which only the newest days are published: views that compute each day anew when it is asked for."""
    found = {}
    for node in manifest["nodes"].values():
        meta = node["config"].get("meta", {})
        if node["resource_type"] == "model" and node["schema"] == "marts" and "days_of" in meta:
            table, _, column = meta["days_of"].rpartition(".")
            newest = Newest(meta["preview_day"], REPORT_DAYS, f"select max({column}) from {table}")
            found[f"marts.{node['name']}"] = newest
    return found


def _published(
    settings: Settings, target: Publication, marts: Sequence[dg.AssetKey], newest: Mapping[str, Newest]
) -> dg.AssetsDefinition:
    hop = reconciled_spec(PUBLISHED.path, "Every row of every table read is in PostgreSQL before it is shown.")

    @dg.multi_asset(
        name="published_marts",
        specs=[
            dg.AssetSpec(
                PUBLISHED,
                deps=[*marts, dg.AssetKey(PIPELINE_RUNS.split("."))],
                description="The marts in PostgreSQL, for readers that know no DuckDB. Swapped in one transaction.",
                group_name=GROUP,
                owners=[OWNER],
                kinds={"postgres"},
            )
        ],
        check_specs=[hop],
        partitions_def=partitions_def(settings),
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def published_marts(
        context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[DuckDBWarehouse]
    ) -> Iterator[Any]:
        window = window_of_keys(context.partition_keys, settings)
        asked = bool(context.selected_asset_check_keys)
        try:
            done = target.publish(warehouse, SCHEMAS, newest)
        except OmsError as error:
            if isinstance(error, RowCountError) and asked:
                yield not_reconciled(PUBLISHED.path, error)
            raise dg.Failure(str(error), allow_retries=False) from error
        rows = sum(table.rows for table in done)
        yield dg.MaterializeResult(
            asset_key=PUBLISHED,
            metadata={
                "window": str(window),
                "dagster/row_count": rows,
                "tables": len(done),
                "table": dg.MetadataValue.md(_listed(done)),
            },
        )
        if asked:
            metadata = {"rows_expected": rows, "rows_found": rows, "tables": len(done)}
            yield dg.AssetCheckResult(asset_key=PUBLISHED, check_name=RECONCILED, passed=True, metadata=metadata)

    return published_marts


def _metabase(settings: Settings, server: MetabaseServer, manifest: Mapping[str, Any]) -> dg.AssetsDefinition:
    dashboards = [dg.AssetKey([GROUP, dashboard.name]) for dashboard in load_dashboards()]

    @dg.asset(
        key=METABASE,
        deps=[*dashboards, *([PUBLISHED] if settings.publish_url is not None else [])],
        description="Metabase as the definition has it: database, descriptions, cards, dashboards, weekly mail. "
        "What people made or edited there stays theirs.",
        group_name=GROUP,
        owners=[OWNER],
        kinds={"metabase"},
        metadata={"metabase": dg.MetadataValue.url(server.link)},
        partitions_def=partitions_def(settings),
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def metabase(
        context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]
    ) -> dg.MaterializeResult[Any]:
        window = window_of_keys(context.partition_keys, settings)
        try:
            with warehouse.reading(Purpose("metabase", window, context.run.run_id)) as query:
                wanted = definition(settings, manifest, query)
            outcome = sync(server, wanted)
        except OmsError as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        for step in outcome.edited:
            context.log.warning("Metabase: %s", step)
        return dg.MaterializeResult(metadata={"window": str(window), **_told(outcome)})

    return metabase


def _told(outcome: Outcome) -> dict[str, Any]:
    links = {f"dashboard_{name}": dg.MetadataValue.url(link) for name, link in outcome.links.items()}
    changed = [step for step in outcome.steps if step.changes]
    told: dict[str, Any] = {**links, "changed": len(changed), "edited_by_hand": len(outcome.edited)}
    if outcome.steps:
        told["steps"] = dg.MetadataValue.md("\n".join(f"- {step}" for step in outcome.steps))
    return told


def _listed(done: Sequence[PublishedTable]) -> str:
    lines = ["| table | rows | columns |", "| --- | ---: | ---: |"]
    return "\n".join(lines + [f"| {table.schema}.{table.name} | {table.rows:,} | {table.columns} |" for table in done])
