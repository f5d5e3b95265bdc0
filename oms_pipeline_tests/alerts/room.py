"""A code location whose runs fail on demand, and a room with an instance and the sensor that ticks over it."""

import datetime as dt
import time
from collections.abc import Collection, Iterator, Sequence
from email.message import EmailMessage

import dagster as dg
from dagster._core.events import JobFailureData, RunFailureReason
from dagster._core.storage.tags import PARTITION_NAME_TAG
from dagster._core.utils import make_new_run_id

from oms_pipeline.alerts.delivery import deliver
from oms_pipeline.alerts.digest import Business
from oms_pipeline.alerts.events import Catalog
from oms_pipeline.alerts.sensor import (
    DIGEST_SECONDS,
    Watch,
    tick,
)
from oms_pipeline.alerts.severity import severities
from oms_pipeline.errors import WarehouseError
from oms_pipeline.presentation import CREDITS, NEW_COLUMNS, ON_TIME, TRANSFORM
from oms_pipeline.settings import Settings

DAYS = dg.DailyPartitionsDefinition("2026-01-01")
DEADLINE = dt.time(6)
PNG = b"\x89PNG\r\n\x1a\nthe rest of a picture"
BROKE = RunFailureReason.STEP_FAILURE
BROKEN: dict[str, str] = {}


@dg.asset(
    key_prefix="raw",
    partitions_def=DAYS,
    owners=["ana@example.com"],
    check_specs=[dg.AssetCheckSpec("contract", asset=["raw", "orders"])],
)
def orders(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    if context.partition_key in BROKEN:
        if "checked" in BROKEN:
            yield dg.AssetCheckResult(passed=False, check_name="contract", description="Other columns.")
        raise dg.Failure(BROKEN[context.partition_key], allow_retries=False)
    new = {NEW_COLUMNS: BROKEN["columns"]} if "columns" in BROKEN else {}
    found = dg.AssetCheckResult(passed=True, check_name="contract", metadata=new, description="New at the source.")
    yield dg.MaterializeResult(metadata={"dagster/row_count": 1200}, check_results=[found])


@dg.asset(
    key_prefix="marts",
    partitions_def=DAYS,
    deps=[orders],
    check_specs=[
        dg.AssetCheckSpec("adds_up", asset=["marts", "sales"]),
        dg.AssetCheckSpec("volume", asset=["marts", "sales"]),
    ],
)
def sales() -> Iterator[dg.MaterializeResult]:
    found = 0 if "sales" not in BROKEN else 3
    yield dg.MaterializeResult(
        metadata={"dagster/row_count": 300, "seconds": 1.5, CREDITS: 0.25},
        check_results=[
            dg.AssetCheckResult(passed=not found, check_name="adds_up", metadata={"expected": 0, "found": found}),
            dg.AssetCheckResult(
                passed="volume" not in BROKEN,
                check_name="volume",
                severity=dg.AssetCheckSeverity.WARN,
                description="twice as many as usual",
            ),
        ],
    )


@dg.multi_asset_check(
    name=ON_TIME, specs=[dg.AssetCheckSpec(ON_TIME, asset=key) for key in (orders.key, sales.key)], can_subset=True
)
def on_time() -> Iterator[dg.AssetCheckResult]:
    for key in (orders.key, sales.key):
        yield dg.AssetCheckResult(asset_key=key, check_name=ON_TIME, passed=False)


@dg.multi_asset(
    specs=[dg.AssetSpec(f"table{n}", group_name="busy") for n in range(20)],
    check_specs=[dg.AssetCheckSpec(f"check{n}", asset=f"table{n % 20}") for n in range(60)],
    partitions_def=DAYS,
)
def many_tables() -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    for n in range(20):
        yield dg.MaterializeResult(asset_key=f"table{n}", metadata={"rows": n})
    for n in range(60):
        yield dg.AssetCheckResult(asset_key=f"table{n % 20}", check_name=f"check{n}", passed=True, metadata={"rows": n})


@dg.op
def stumbles() -> None:
    if "weekly" in BROKEN:
        raise ValueError("no luck with postgresql://ana:s3cret@db.example.com/oms")


@dg.job
def weekly() -> None:
    stumbles()


@dg.op(name=TRANSFORM)
def loads() -> int:
    if "marts" in BROKEN:
        raise dg.Failure("A test failed. Correct the data.", allow_retries=False)
    return 1


@dg.op
def shows(loaded: int) -> None:
    if "report" in BROKEN:
        raise dg.Failure("Metabase does not answer. Start it.", allow_retries=False)


@dg.job
def loading() -> None:
    shows(loads())


@dg.job(owners=["bo@example.com"])
def hers() -> None:
    stumbles()


busy = dg.define_asset_job("busy", selection=dg.AssetSelection.groups("busy"))
nightly = dg.define_asset_job(
    "nightly", selection=dg.AssetSelection.groups("default") - dg.AssetSelection.checks(on_time)
)
watching = dg.define_asset_job("watching", selection=dg.AssetSelection.checks(on_time))
DEFINITIONS = dg.Definitions(
    assets=[orders, sales, many_tables],
    asset_checks=[on_time],
    jobs=[nightly, watching, busy, weekly, loading, hers],
    executor=dg.in_process_executor,
)
CATALOG = Catalog.of(DEFINITIONS.get_repository_def())


class Room:
    """An instance with runs, and the sensor that ticks over it; the time can be moved on."""

    def __init__(self, instance: dg.DagsterInstance, settings: Settings) -> None:
        self.instance = instance
        self.settings = settings
        self.severities = severities({"digest": "never"})
        self.business: Business | WarehouseError = Business()
        self.late: dict[str, list[str]] = {}
        self.catalog = CATALOG
        self.cursor: str | None = None
        self.later = 10.0
        self.sent: list[EmailMessage] = []

    @property
    def watch(self) -> Watch:
        return Watch(self.settings, self.severities, DEADLINE, self.late_of, self.business_of)

    def business_of(self, day: dt.date) -> Business:
        if isinstance(self.business, WarehouseError):
            raise self.business
        return self.business

    def run(self, day: str, job: str = "nightly", **tags: str) -> str:
        definition = DEFINITIONS.resolve_job_def(job)
        partition = {"partition_key": day} if job in ("nightly", "busy") else {}
        result = definition.execute_in_process(instance=self.instance, raise_on_error=False, tags=tags, **partition)
        return result.run_id

    def record(self, day: str, why: RunFailureReason | None, **tags: str) -> None:
        """A run of which only the end is recorded: why it failed, or None if it did not."""
        self.end(dg.DagsterRun("nightly", make_new_run_id(), tags={PARTITION_NAME_TAG: day, **tags}), why)

    def end(self, run: dg.DagsterRun, why: RunFailureReason | None) -> None:
        """Records a run and its end."""
        self.instance.add_run(run)
        kind = dg.DagsterEventType.RUN_FAILURE if why else dg.DagsterEventType.RUN_SUCCESS
        data = JobFailureData(None, why) if why else None
        event = dg.DagsterEvent(kind.value, run.job_name, message="gone", event_specific_data=data)
        self.instance.report_dagster_event(event, run.run_id)

    def late_of(
        self, instance: dg.DagsterInstance, keys: Collection[dg.AssetKey], now: dt.datetime
    ) -> dict[dg.AssetKey, list[dt.date]]:
        return {key: [dt.date.fromisoformat(day) for day in self.late.get(key.to_user_string(), [])] for key in keys}

    def sleep_until_the_digest(self) -> None:
        """Moves the time on to soon after the next deadline, and has digests sent."""
        self.severities = severities({})
        local = dt.datetime.fromtimestamp(time.time() + self.later, self.settings.timezone)
        due = dt.datetime.combine(local.date(), DEADLINE, self.settings.timezone)
        self.later += ((due - local) % dt.timedelta(days=1)).total_seconds() + DIGEST_SECONDS

    def tick(self) -> str:
        def send(message: EmailMessage, settings: Settings, only: Sequence[str]) -> str:
            accepted = deliver(message, settings, only)
            self.sent.append(message)
            return accepted

        self.cursor, done = tick(self.instance, self.catalog, self.watch, self.cursor, time.time() + self.later, send)
        return done

    def new_mails(self) -> list[EmailMessage]:
        self.sent.clear()
        self.tick()
        return list(self.sent)

    @property
    def subjects(self) -> list[str]:
        return [mail["Subject"] for mail in self.new_mails()]


def text_of(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    assert part is not None
    return str(part.get_content())
