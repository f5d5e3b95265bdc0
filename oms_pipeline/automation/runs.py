"""The asset that records each run in the warehouse, where dashboards find it beside the marts."""

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any, Final

import dagster as dg

from oms_pipeline.automation.summary import LayerReport, RunSummary
from oms_pipeline.calendar import partitions_def, window_of_keys
from oms_pipeline.errors import OmsError
from oms_pipeline.presentation import OWNER, column_schema
from oms_pipeline.settings import Settings
from oms_pipeline.warehouse import (
    LAYERS,
    PIPELINE_RUNS,
    PIPELINE_RUNS_COLUMNS,
    LayerRun,
    Purpose,
    Warehouse,
    record_run_sql,
)

RECORDED_LAYERS: Final = ("raw", *LAYERS)
_PAGE: Final = 1000
_DESCRIPTIONS: Final = {
    "run_id": "Dagster's name of the run.",
    "job": "The job, or `__ASSET_JOB` where somebody chose assets by hand.",
    "first_day": "First day of the run's window.",
    "last_day": "Last day of the run's window.",
    "layer": "raw, external, staging, intermediate or marts.",
    "row_count": "Rows of the layer's tables when the run was done; of raw, external and staging those of the window.",
    "seconds": "Time spent on the layer.",
    "started_at": "When the run began, UTC.",
    "finished_at": "When its marts were done, UTC.",
}


def pipeline_runs(settings: Settings, kind: str, after: Iterable[dg.AssetKey]) -> dg.AssetsDefinition:
    """`ops/pipeline_runs`: one row per run and layer.

    Args:
        settings: For the calendar.
        kind: The warehouse's name among Dagster's kinds.
        after: Assets to wait for in a run: when they are there, the marts are.
    """

    @dg.asset(
        key=PIPELINE_RUNS.split("."),
        deps=list(after),
        description="One row per run and layer that it worked on: days, rows, seconds.",
        group_name="ops",
        owners=[OWNER],
        kinds={kind},
        metadata={
            "dagster/table_name": PIPELINE_RUNS,
            "dagster/column_schema": column_schema(
                (name, data_type, _DESCRIPTIONS[name]) for name, data_type in PIPELINE_RUNS_COLUMNS.items()
            ),
        },
        partitions_def=partitions_def(settings),
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def asset(context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]) -> dg.MaterializeResult[Any]:
        window = window_of_keys(context.partition_keys, settings)
        reports = _layers(context.instance, context.run.run_id)
        layers = [
            LayerRun(layer, reports[layer].rows, reports[layer].seconds)
            for layer in RECORDED_LAYERS
            if layer in reports
        ]
        if layers:
            record = context.instance.get_run_record_by_id(context.run.run_id)
            now = dt.datetime.now(dt.UTC)
            began = dt.datetime.fromtimestamp(record.start_time, dt.UTC) if record and record.start_time else now
            purpose = Purpose(PIPELINE_RUNS.replace(".", "/"), window, context.run.run_id)
            sql = record_run_sql(context.run.run_id, context.run.job_name, window, began, now, layers)
            try:
                with warehouse.open(purpose) as session, session.transaction():
                    session.execute(sql)
            except OmsError as error:
                raise dg.Failure(str(error), allow_retries=False) from error
        lines = ["| layer | rows | seconds |", "| --- | ---: | ---: |"]
        lines += [f"| {done.layer} | {done.rows:,} | {done.seconds:.2f} |" for done in layers]
        return dg.MaterializeResult(
            metadata={
                "window": str(window),
                "seconds_in_layers": round(sum(done.seconds for done in layers), 3),
                "table": dg.MetadataValue.md("\n".join(lines)),
            }
        )

    return asset


def _layers(instance: dg.DagsterInstance, run_id: str) -> Mapping[str, LayerReport]:
    """What the run did in each layer so far, from its events; a page at a time, because a year has many."""
    summary = RunSummary()
    cursor = None
    while True:
        page = instance.get_records_for_run(
            run_id,
            cursor,
            of_type={dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.STEP_SUCCESS},
            limit=_PAGE,
        )
        for record in page.records:
            if record.event_log_entry.dagster_event is not None:
                summary.add(record.event_log_entry.dagster_event)
        if not page.has_more:
            return summary.layers
        cursor = page.cursor
