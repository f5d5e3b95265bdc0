"""The asset that shows and records what the pipeline costs. Only with Snowflake: a local warehouse has no bill."""

import datetime as dt
from collections.abc import Iterable
from typing import Any, Final

import dagster as dg

from oms_pipeline.calendar import partitions_def, window_of_keys
from oms_pipeline.errors import OmsError
from oms_pipeline.presentation import CREDITS, OWNER, column_schema
from oms_pipeline.settings import Settings, SnowflakeLogin
from oms_pipeline.warehouse import WAREHOUSE_COST, WAREHOUSE_COST_COLUMNS, Purpose, Warehouse
from oms_pipeline.warehouse.cost import LATE, LATENCY, CostReport, chart, read_cost, record_cost_sql

_DESCRIPTIONS: Final = {
    "spent_on": "The day they were spent, in UTC.",
    "spent_for": "A layer, `dashboards`, `other`, or `idle`: while no statement ran.",
    "credits": "Credits for warehouses.",
}


def warehouse_cost(settings: Settings, login: SnowflakeLogin, after: Iterable[dg.AssetKey] = ()) -> dg.AssetsDefinition:
    """`ops/warehouse_cost`: credits per asset, drawn and listed; and by day in the warehouse, for dashboards.

    Args:
        settings: For the calendar.
        login: The account to ask.
        after: Assets to wait for in a run, so that the warehouse is still awake and needs no minute of its own.
    """

    @dg.asset(
        key=WAREHOUSE_COST.split("."),
        deps=list(after),
        description=f"Credits spent per asset on a day, in UTC, and how many of them were idle time. {LATENCY}",
        group_name="ops",
        owners=[OWNER],
        kinds={"snowflake"},
        metadata={
            "dagster/table_name": WAREHOUSE_COST,
            "dagster/column_schema": column_schema(
                (name, data_type, _DESCRIPTIONS[name]) for name, data_type in WAREHOUSE_COST_COLUMNS.items()
            ),
        },
        partitions_def=partitions_def(settings),
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def asset(context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]) -> dg.MaterializeResult[Any]:
        window = window_of_keys(context.partition_keys, settings)
        days: list[dt.date] = list(window.days)
        try:
            # What the run before has recorded may not have been all of it.
            found = read_cost(login, days[0] - LATE, days[-1], context.run.run_id)
        except OmsError as error:
            # The marts are right, whatever they have cost.
            context.log.warning("The cost of %s is not known: %s", window, error)
            return dg.MaterializeResult(metadata={"note": str(error)})
        try:
            _record(found, warehouse, Purpose(WAREHOUSE_COST.replace(".", "/"), window, context.run.run_id))
        except OmsError as error:
            context.log.warning("The cost of %s is not recorded: %s. Run: oms snowflake bootstrap", window, error)
        report = found.since(days[0])
        return dg.MaterializeResult(
            metadata={
                CREDITS: dg.MetadataValue.float(float(report.billed)),
                "idle_credits": dg.MetadataValue.float(float(report.idle)),
                "plot": dg.MetadataValue.md(chart(report) or "No credits were spent."),
                "table": dg.MetadataValue.md(report.markdown()),
                "note": LATENCY,
            }
        )

    return asset


def _record(found: CostReport, warehouse: Warehouse, purpose: Purpose) -> None:
    if statements := record_cost_sql(found):
        with warehouse.open(purpose) as session, session.transaction():
            for statement in statements:
                session.execute(statement)
