"""How the last day was, for the mail of every morning: what ran, what it made, what is late or odd. Sends nothing."""

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import dagster as dg
from dagster._core.storage.tags import BACKFILL_ID_TAG

from oms_pipeline.alerts.events import Catalog, days_of_run, evaluations
from oms_pipeline.alerts.problems import ASSET_JOB, Lateness, Problem, one_line, ranges
from oms_pipeline.presentation import CREDITS, ON_TIME

LAYERS: Final = ("raw", "external", "staging", "intermediate", "marts")
MOST_RUNS: Final = 2000
OUTCOMES: Final = {
    dg.DagsterRunStatus.SUCCESS: "succeeded",
    dg.DagsterRunStatus.FAILURE: "failed",
    dg.DagsterRunStatus.CANCELED: "cancelled",
}


@dataclass(frozen=True)
class Chart:
    """A picture to show in a mail.

    Attributes:
        title: What it shows.
        description: The same for who cannot see it.
        png: The picture.
    """

    title: str
    description: str
    png: bytes


@dataclass(frozen=True)
class Business:
    """How business was on a day.

    Attributes:
        numbers: What it is, the figure, and how it compares with the week before, all as people read them.
        charts: Pictures.
    """

    numbers: Sequence[tuple[str, str, str]] = ()
    charts: Sequence[Chart] = ()


BusinessOf = Callable[[dt.date], Business]
"""Tells how business was on a day. Has to answer or to raise within some ten seconds: the sensor waits for it."""


@dataclass(frozen=True)
class Ran:
    """The runs of a job, or of a backfill.

    Attributes:
        what: The job or the backfill.
        outcomes: Outcome → how many runs.
        days: Their partitions, as few texts.
        seconds: From start to end, of all together.
    """

    what: str
    outcomes: Mapping[str, int]
    days: Sequence[str]
    seconds: float


@dataclass(frozen=True)
class Layer:
    """What was made in a layer.

    Attributes:
        name: The layer.
        rows: Rows of its assets in their newest runs.
        seconds: How long that took.
    """

    name: str
    rows: int
    seconds: float


@dataclass(frozen=True)
class Digest:
    """How a day was.

    Attributes:
        day: The day that was due.
        ran: What ran.
        layers: What was made, in the order in which data flows.
        assets_due: How many assets have a deadline.
        late: The assets that are late.
        credits: What the warehouse cost; None if nobody knows.
        business: How business was.
        odd: What is worth a look, one line each.
    """

    day: dt.date
    ran: Sequence[Ran] = ()
    layers: Sequence[Layer] = ()
    assets_due: int = 0
    late: Mapping[str, str] = field(default_factory=dict)
    credits: float | None = None
    business: Business = field(default_factory=Business)
    odd: Sequence[str] = ()


def digest_of(
    day: dt.date,
    since: dt.datetime,
    instance: dg.DagsterInstance,
    catalog: Catalog,
    late: Lateness,
    problems: Iterable[Problem],
    business_of: BusinessOf,
) -> Digest:
    """The digest of a day.

    Args:
        day: The newest day that is due.
        since: From when on to tell what happened: when the day before it was due.
        instance: Where Dagster's events are.
        catalog: The assets and checks.
        late: What is late now.
        problems: What is open.
        business_of: Tells how business was.
    """
    made = _materialised(instance, catalog, since.timestamp())
    odd = [f"open: {one_line(problem.title)}" for problem in problems if problem.recovered is None]
    odd += _odd_checks(instance, catalog, since.timestamp())
    try:
        business = business_of(day)
    # Whatever is wrong with a figure or a picture, the rest of the digest and all other mails go out.
    except Exception as error:
        business = Business()
        odd.append(f"the business numbers are not known: {one_line(str(error) or type(error).__name__)}")
    return Digest(
        day=day,
        ran=_ran(instance, since),
        layers=_layers(instance, made),
        assets_due=late.due,
        late=late.late,
        credits=_credits(made),
        business=business,
        odd=odd,
    )


def _ran(instance: dg.DagsterInstance, since: dt.datetime) -> list[Ran]:
    records = instance.get_run_records(dg.RunsFilter(updated_after=since), limit=MOST_RUNS)
    groups: dict[str, list[dg.RunRecord]] = defaultdict(list)
    for record in reversed(records):
        if record.end_time is None or record.end_time >= since.timestamp():
            groups[_what(record.dagster_run)].append(record)
    return [
        Ran(
            what,
            Counter(OUTCOMES.get(record.dagster_run.status, "unfinished") for record in group),
            ranges({day for record in group for day in days_of_run(record.dagster_run.tags)}),
            sum((r.end_time - r.start_time) for r in group if r.end_time is not None and r.start_time is not None),
        )
        for what, group in groups.items()
    ]


def _what(run: dg.DagsterRun) -> str:
    if BACKFILL_ID_TAG in run.tags:
        return f"backfill {run.tags[BACKFILL_ID_TAG]}"
    return "a run of assets" if run.job_name.startswith(ASSET_JOB) else run.job_name


def _materialised(instance: dg.DagsterInstance, catalog: Catalog, since: float) -> list[dg.EventLogEntry]:
    """The newest materialisation of each asset that has one since; of a range, it tells of all days."""
    keys = [dg.AssetKey.from_user_string(name) for name in catalog.owners]
    entries = instance.get_latest_materialization_events(keys).values()
    return [entry for entry in entries if entry is not None and entry.timestamp >= since]


def _layers(instance: dg.DagsterInstance, made: Sequence[dg.EventLogEntry]) -> list[Layer]:
    rows: dict[str, int] = defaultdict(int)
    seconds: dict[str, float] = defaultdict(float)
    steps: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for entry in made:
        event = entry.get_dagster_event()
        if event.asset_key is None or event.asset_key.path[0] not in LAYERS:
            continue
        layer, metadata = event.asset_key.path[0], event.materialization.metadata
        count = metadata.get("dagster/row_count")
        rows[layer] += (count.value or 0) if isinstance(count, dg.IntMetadataValue) else 0
        if isinstance(took := metadata.get("seconds"), dg.FloatMetadataValue):
            seconds[layer] += took.value or 0.0
        elif event.step_key is not None:
            steps[layer].add((entry.run_id, event.step_key))
    for layer, of_layer in steps.items():
        if layer not in seconds:  # its assets are made by one step, which knows how long it took
            seconds[layer] = sum(_step_seconds(instance, run_id, step) for run_id, step in of_layer)
    return [Layer(name, rows[name], seconds[name]) for name in LAYERS if name in rows]


def _step_seconds(instance: dg.DagsterInstance, run_id: str, step: str) -> float:
    stats = instance.get_run_step_stats(run_id, [step])
    return sum(s.end_time - s.start_time for s in stats if s.end_time is not None and s.start_time is not None)


def _credits(made: Sequence[dg.EventLogEntry]) -> float | None:
    known = [entry.get_dagster_event().materialization.metadata.get(CREDITS) for entry in made]
    values = [value.value or 0.0 for value in known if isinstance(value, dg.FloatMetadataValue)]
    return sum(values) if values else None


def _odd_checks(instance: dg.DagsterInstance, catalog: Catalog, since: float) -> list[str]:
    """What checks warned of; those that failed are problems, and what is late is told as such."""
    odd = []
    for key, (at, check) in evaluations(instance, catalog.checks).items():
        warned = not check.passed and check.severity is dg.AssetCheckSeverity.WARN
        if at >= since and key.name != ON_TIME and warned:
            odd.append(one_line(f"{key.asset_key.to_user_string()}, {key.name}: {check.description or 'warns'}"))
    return sorted(odd)
