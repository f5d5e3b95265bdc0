"""The dashboards as assets: one each, downstream of exactly what its cards read, and the local report."""

from collections.abc import Iterator
from typing import Any, Final

import dagster as dg

from oms_pipeline.calendar import partitions_def, window_of_keys
from oms_pipeline.dashboards.definition import Dashboard, load_dashboards
from oms_pipeline.dashboards.digest import headlines, preview
from oms_pipeline.dashboards.report import write_report
from oms_pipeline.errors import OmsError
from oms_pipeline.presentation import OWNER
from oms_pipeline.settings import MetabaseServer, Settings
from oms_pipeline.warehouse import WAREHOUSE_COST, Purpose, Warehouse

GROUP: Final = "dashboards"
REPORT_KEY: Final = dg.AssetKey([GROUP, "report"])


def dashboard_assets(settings: Settings) -> dg.AssetsDefinition:
    """`dashboards/<name>` for each definition, and `dashboards/report`, the page that shows them all.

    Args:
        settings: For the calendar and where the report is written.
    """
    dashboards = load_dashboards()
    # Where nobody sends a bill, the table is there and empty, and no asset fills it.
    missing = {WAREHOUSE_COST} if settings.snowflake is None else set()
    specs = [_spec(dashboard, set(dashboard.relations) - missing, settings.metabase) for dashboard in dashboards]
    report = dg.AssetSpec(
        REPORT_KEY,
        deps=[spec.key for spec in specs],
        description="Every dashboard as one HTML file that needs no network, and nothing but a browser.",
        group_name=GROUP,
        owners=[OWNER],
        kinds={"html"},
    )

    @dg.multi_asset(
        name=GROUP,
        specs=[*specs, report],
        partitions_def=partitions_def(settings),
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def dashboards_op(
        context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]
    ) -> Iterator[dg.MaterializeResult[Any]]:
        window = window_of_keys(context.partition_keys, settings)
        try:
            with warehouse.reading(Purpose(GROUP, window, context.run.run_id)) as query:
                written = write_report(dashboards, query, settings.report_file)
                numbers = headlines(query, written.scope.through)
                picture = preview(query, written.scope.through)
        except OmsError as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        for dashboard in dashboards:
            yield dg.MaterializeResult(
                asset_key=_key(dashboard),
                metadata={
                    "window": str(window),
                    "cards": len(dashboard.cards),
                    "dagster/row_count": written.rows[dashboard.name],
                    "report": dg.MetadataValue.path(str(written.path)),
                },
            )
        lines = ["| number | value | on the week before |", "| --- | ---: | ---: |"]
        lines += [f"| {number.label} | {number.text} | {number.change} |" for number in numbers]
        yield dg.MaterializeResult(
            asset_key=REPORT_KEY,
            metadata={
                "window": str(window),
                "report": dg.MetadataValue.path(str(written.path)),
                "data_up_to": str(written.scope.through),
                "bytes": written.bytes,
                "headlines": dg.MetadataValue.md("\n".join(lines)),
                "preview": dg.MetadataValue.md(picture),
            },
        )

    return dashboards_op


def _spec(dashboard: Dashboard, reads: set[str], metabase: MetabaseServer | None) -> dg.AssetSpec:
    cards = "\n".join(f"- **{card.title}**: {card.question}" for card in dashboard.cards)
    return dg.AssetSpec(
        _key(dashboard),
        deps=[dg.AssetKey(relation.split(".")) for relation in sorted(reads)],
        description=f"{dashboard.question}\n\n{cards}",
        group_name=GROUP,
        owners=[OWNER],
        kinds={"html"},
        metadata={
            # The report's file has no address that a page of the web UI may lead to; Metabase has.
            **({"metabase": dg.MetadataValue.url(metabase.link)} if metabase is not None else {}),
            "dagster/code_references": dg.CodeReferencesMetadataValue(
                code_references=[
                    dg.LocalFileCodeReference(file_path=str(dashboard.path), line_number=1, label=dashboard.path.name)
                ]
            ),
        },
    )


def _key(dashboard: Dashboard) -> dg.AssetKey:
    return dg.AssetKey([GROUP, dashboard.name])
