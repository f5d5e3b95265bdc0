"""The job that lets the sample business live each day that has ended, so that the nightly run finds orders."""

import dagster as dg

from oms_pipeline.calendar import today
from oms_pipeline.settings import Settings

from .business import simulate, state
from .server import dsn

SAMPLE_JOB = "sample_oms"
MINUTE = 5


def sample_life(settings: Settings) -> tuple[dg.JobDefinition, dg.ScheduleDefinition]:
    """`sample_oms`, and its schedule: shortly after midnight, the day before, and any other that has been missed."""

    @dg.op(name="live", description="Simulates the days up to yesterday; none if the business has not opened.")
    def live(context: dg.OpExecutionContext) -> None:
        database = dsn(settings)
        business = state(database)
        if business is None:
            context.log.warning("The sample OMS has no business yet. Run: oms sample init")
            return
        days = max((today(settings) - business.next_day).days, 0)
        simulate(database, days, lambda day: context.log.info("Lived %s.", day))

    # In the queue it comes before the run that reads the day.
    @dg.job(name=SAMPLE_JOB, tags={"dagster/priority": "1"}, description="The sample business lives up to yesterday.")
    def sample_oms() -> None:
        live()

    schedule = dg.ScheduleDefinition(
        name=f"{SAMPLE_JOB}_schedule",
        job=sample_oms,
        cron_schedule=f"{MINUTE} 0 * * *",
        execution_timezone=settings.timezone.key,
        description=f"At 00:{MINUTE:02} {settings.timezone.key}, for the sample OMS only.",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    return sample_oms, schedule
