"""The asset that shows what the pipeline costs. Only in the `snowflake` profile: a local warehouse has no bill."""

import datetime as dt
from collections.abc import Iterable
from typing import Any

import dagster as dg

from oms_pipeline.calendar import partitions_def, window_of_keys
from oms_pipeline.errors import OmsError
from oms_pipeline.presentation import CREDITS, OWNER
from oms_pipeline.settings import Settings, SnowflakeLogin
from oms_pipeline.warehouse.cost import LATENCY, chart, read_cost


def warehouse_cost(settings: Settings, login: SnowflakeLogin, after: Iterable[dg.AssetKey] = ()) -> dg.AssetsDefinition:
    """`ops/warehouse_cost`: credits per asset, drawn and listed.

    Args:
        settings: For the calendar.
        login: The account to ask.
        after: Assets to wait for in a run, so that the warehouse is still awake and needs no minute of its own.
    """

    @dg.asset(
        key=["ops", "warehouse_cost"],
        deps=list(after),
        description=f"Credits spent per asset on a day, in UTC, and how many of them were idle time. {LATENCY}",
        group_name="ops",
        owners=[OWNER],
        kinds={"snowflake"},
        partitions_def=partitions_def(settings),
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        window = window_of_keys(context.partition_keys, settings)
        days: list[dt.date] = list(window.days)
        try:
            report = read_cost(login, days[0], days[-1], context.run.run_id)
        except OmsError as error:
            # The marts are right, whatever they have cost.
            context.log.warning("The cost of %s is not known: %s", window, error)
            return dg.MaterializeResult(metadata={"note": str(error)})
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
