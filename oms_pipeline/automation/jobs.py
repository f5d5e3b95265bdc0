"""The daily run, the rebuild and the weekly full check, and their schedules."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import dagster as dg

from oms_pipeline.errors import OmsError
from oms_pipeline.settings import Settings
from oms_pipeline.transform import DbtProjectFiles, run_dbt
from oms_pipeline.warehouse import Purpose, Warehouse

if TYPE_CHECKING:
    from dagster._core.definitions.partitions.partitioned_schedule import UnresolvedPartitionedAssetScheduleDefinition
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

DAILY_JOB: Final = "daily_oms"
REBUILD_JOB: Final = "rebuild_marts"
WEEKLY_JOB: Final = "weekly_full_check"
REBUILD_CONFIG: Final = {"transform": {"full_refresh": True}}
DAILY_HOUR: Final = 1
DAILY_MINUTE: Final = 30


def jobs(besides: dg.AssetSelection) -> list["UnresolvedAssetJobDefinition"]:
    """`daily_oms`: a day, or a range in one run, from the source to the marts. `rebuild_marts`: all of dbt, anew.

    Args:
        besides: What no run of these is to evaluate.
    """
    return [
        dg.define_asset_job(
            DAILY_JOB,
            selection=dg.AssetSelection.all() - besides,
            description="One day, or a range of days in a single run, from the OMS to the marts.",
        ),
        dg.define_asset_job(
            REBUILD_JOB,
            selection=(
                dg.AssetSelection.groups("staging", "intermediate", "marts", "dashboards")
                | dg.AssetSelection.assets(["ops", "pipeline_runs"])
            )
            - besides,
            config={"ops": {name: {"config": values} for name, values in REBUILD_CONFIG.items()}},
            description="Builds every model anew from the raw zone. Its range must span every landed day.",
        ),
    ]


def weekly_full_check(project: DbtProjectFiles) -> dg.JobDefinition:
    """The job of the tests that look at all of history, which a day must not pay for."""

    @dg.op(name="full_check", description="Every dbt test that scans whole tables.")
    def full_check(context: dg.OpExecutionContext, warehouse: dg.ResourceParam[Warehouse]) -> None:
        try:
            with warehouse.open(Purpose("check the marts")) as session, session.transaction():
                results = run_dbt(project, ["test", "--select", "tag:weekly"], warehouse.dbt_environment())
        except OmsError as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        failed = [result for result in results if not result.succeeded]
        if failed:
            names = ", ".join(result.name for result in failed[:5])
            lines = ["| test | rows that fail |", "| --- | ---: |"]
            lines += [f"| {result.name} | {result.failures} |" for result in failed]
            raise dg.Failure(
                f"{len(failed)} of {len(results)} tests over all history fail: {names}. "
                "Look at the rows they name; after mending a model, run: oms rebuild",
                metadata={"tests": len(results), "failed": dg.MetadataValue.md("\n".join(lines))},
                allow_retries=False,
            )
        context.add_output_metadata({"tests": len(results)})

    @dg.job(name=WEEKLY_JOB, description="Tests over all of history: uniqueness, relationships, sums across marts.")
    def weekly() -> None:
        full_check()

    return weekly


def schedules(
    settings: Settings, daily: "UnresolvedAssetJobDefinition", weekly: dg.JobDefinition
) -> Sequence["dg.ScheduleDefinition | UnresolvedPartitionedAssetScheduleDefinition"]:
    """Every night at 01:30 the day before; every Sunday the full check, once that night's run is done."""
    return [
        dg.build_schedule_from_partitioned_job(
            daily,
            name="daily_oms_schedule",
            hour_of_day=DAILY_HOUR,
            minute_of_hour=DAILY_MINUTE,
            description=f"At {DAILY_HOUR:02}:{DAILY_MINUTE:02} {settings.timezone.key}: the day before.",
            default_status=dg.DefaultScheduleStatus.RUNNING,
        ),
        dg.ScheduleDefinition(
            name="weekly_full_check_schedule",
            job=weekly,
            cron_schedule="0 5 * * 0",
            execution_timezone=settings.timezone.key,
            description=f"Sundays at 05:00 {settings.timezone.key}.",
            default_status=dg.DefaultScheduleStatus.RUNNING,
        ),
    ]
