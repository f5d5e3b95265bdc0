"""A small code location for a real daemon: jobs that fail while a file says so, with the real sensors.

Loaded by `dagster dev`, not by tests. The files are in OMS_HOME; the deadline is in DEADLINE, so that it passes while
somebody looks on.
"""

import datetime as dt
import os
from collections.abc import Iterator
from functools import partial

import dagster as dg

from oms_pipeline.alerts import Business, Chart, Watch, alert_sensor
from oms_pipeline.alerts.severity import severities
from oms_pipeline.calendar import partitions_def
from oms_pipeline.checks import late_assets, on_time_checks, with_freshness
from oms_pipeline.settings import get_settings

settings = get_settings()
deadline = dt.time.fromisoformat(os.environ["DEADLINE"])
month = dg.DailyPartitionsDefinition(f"{settings.start_date - dt.timedelta(days=29)}", timezone=settings.timezone.key)


def is_broken(name: str) -> bool:
    return (settings.home / f"broken_{name}").exists()


@dg.asset(key_prefix="raw", partitions_def=partitions_def(settings), owners=["ana@example.com"])
def orders() -> dg.MaterializeResult:
    if is_broken("orders"):
        raise dg.Failure("The OMS does not answer. Start it.", allow_retries=False)
    return dg.MaterializeResult(metadata={"dagster/row_count": 1200})


@dg.asset(
    key_prefix="ops",
    check_specs=[dg.AssetCheckSpec("adds_up", asset=["ops", "sums"], blocking=True)],
    owners=["team:x"],
)
def sums() -> Iterator[dg.MaterializeResult]:
    found = 3 if is_broken("sums") else 0
    check = dg.AssetCheckResult(passed=not found, check_name="adds_up", metadata={"expected": 0, "found": found})
    yield dg.MaterializeResult(check_results=[check])


@dg.asset(key_prefix="ops", partitions_def=month, backfill_policy=dg.BackfillPolicy.multi_run(1))
def history(context: dg.AssetExecutionContext) -> None:
    raise dg.Failure(f"{context.partition_key} is unreadable. Restore it.", allow_retries=False)


layers = [orders]
on_time, on_time_sensor = on_time_checks(layers, settings, deadline)
late_of = partial(late_assets, settings=settings, deadline=deadline)
business = Business([("Net sales", "48,210.90 EUR", "+4.2 %")], [Chart("Sales", "Sales by day", b"\x89PNG picture")])

defs = dg.Definitions(
    assets=[*with_freshness(layers, settings, deadline), sums, history],
    asset_checks=[on_time],
    jobs=[
        dg.define_asset_job("nightly", dg.AssetSelection.assets(orders) - dg.AssetSelection.checks(on_time)),
        dg.define_asset_job("adding", dg.AssetSelection.assets(sums)),
    ],
    sensors=[on_time_sensor, alert_sensor(Watch(settings, severities({}), deadline, late_of, lambda day: business))],
    executor=dg.in_process_executor,
)
