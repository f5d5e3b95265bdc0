"""The sensor `alerts`: reads what Dagster recorded, and mails what is worth it.

Its cursor is the outbox: it holds how far the event log was read, the problems that are open, and when mails were sent.
It moves only after the server accepted a mail, so that a broken server delays mails and loses none.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Final

import dagster as dg
from dagster._core.definitions.freshness import FreshnessState
from dagster._core.event_api import EventLogCursor
from dagster._core.execution.backfill import BULK_ACTION_TERMINAL_STATUSES
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    BACKFILL_ID_TAG,
    PARTITION_NAME_TAG,
    WILL_RETRY_TAG,
)

from oms_pipeline.alerts.delivery import deliver, mail_dir
from oms_pipeline.alerts.mail import Envelope, render, render_digest
from oms_pipeline.alerts.problems import (
    HOUR,
    Failure,
    FreshnessChanged,
    Kind,
    Problem,
    RunEnded,
    after,
    days_between,
    days_of,
    is_due,
    one_line,
    ranges,
    told,
)
from oms_pipeline.errors import MailError, TransientMailError
from oms_pipeline.presentation import step_error
from oms_pipeline.settings import Settings

SENSOR: Final = "alerts"
EVERY_SECONDS: Final = 30
MAILS_PER_HOUR: Final = 20
BATCH: Final = 250
READ_SECONDS: Final = 15.0
SEND_SECONDS: Final = 15.0
# A run's event is recorded before the tag that says whether it will be retried, and on a server database events can
# become visible out of order: the newest seconds are left for the next tick.
SETTLE_SECONDS: Final = 5.0
REFUSED_SECONDS: Final = 600.0
CHECKS_SHOWN: Final = 3

RUN_ENDS: Final = (dg.DagsterEventType.RUN_FAILURE, dg.DagsterEventType.RUN_SUCCESS)

Deliver = Callable[[EmailMessage, Settings], str]


@dataclass(frozen=True)
class Catalog:
    """What the code location knows of its assets.

    Attributes:
        by_step: Step → its assets.
        owners: Asset → who looks after it.
    """

    by_step: Mapping[str, frozenset[str]]
    owners: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, repository: dg.RepositoryDefinition) -> "Catalog":
        """The catalog of a code location."""
        by_step: dict[str, set[str]] = {}
        for key, definition in repository.assets_defs_by_key.items():
            if definition.is_executable:
                by_step.setdefault(definition.node_def.name, set()).add(key.to_user_string())
        graph = repository.asset_graph
        return cls(
            {step: frozenset(names) for step, names in by_step.items()},
            {key.to_user_string(): tuple(graph.get(key).owners) for key in graph.get_all_asset_keys()},
        )

    def owners_of(self, assets: Sequence[str]) -> tuple[str, ...]:
        """Who looks after some assets."""
        return tuple(sorted({owner for asset in assets for owner in self.owners.get(asset, ())}))


@dataclass(frozen=True)
class State:
    """The cursor.

    Attributes:
        seen: The newest event that was read.
        problems: What is open, by key.
        sent: When the mails of the last hour were sent.
    """

    seen: int
    problems: Mapping[str, Problem] = field(default_factory=dict)
    sent: tuple[float, ...] = ()

    def dump(self) -> str:
        """The state as compact JSON."""
        problems = [
            {
                name: value
                for name, value in {**asdict(p), "days": ranges(p.days)}.items()
                if value not in (None, (), [])
            }
            for p in self.problems.values()
        ]
        return json.dumps({"seen": self.seen, "sent": self.sent, "problems": problems}, separators=(",", ":"))

    @classmethod
    def load(cls, cursor: str) -> "State":
        """The state that `dump` wrote.

        Raises:
            MailError: The cursor is something else.
        """
        try:
            values = json.loads(cursor)
            problems = [_problem(entry) for entry in values["problems"]]
            return cls(int(values["seen"]), {problem.key: problem for problem in problems}, tuple(values["sent"]))
        except (ValueError, KeyError, TypeError) as error:
            raise MailError(
                f"The cursor of sensor {SENSOR} cannot be read. Reset it on the sensor's page; it then starts from now."
            ) from error


def alert_sensor(settings: Settings) -> dg.SensorDefinition:
    """The sensor that mails what went wrong and what recovered."""

    @dg.sensor(
        name=SENSOR,
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Mails failed runs, failed checks and late data, each problem once, and its end.",
    )
    def alerts(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        settings.home.mkdir(parents=True, exist_ok=True)
        heartbeat_file(settings).touch()
        if context.repository_def is None:
            raise MailError(f"Sensor {SENSOR} was started without its code location. Start it with: oms dev")
        cursor, done = tick(context.instance, Catalog.of(context.repository_def), settings, context.cursor)
        context.update_cursor(cursor)
        return dg.SkipReason(done)

    return alerts


def heartbeat_file(settings: Settings) -> Path:
    """The file that is touched on every tick, for whoever watches the watcher."""
    return settings.home / "heartbeat"


def forget_refusal(settings: Settings) -> None:
    """Lets the next tick try again at once: a mail was accepted, so whatever was refused is mended."""
    _refusal_file(settings).unlink(missing_ok=True)


def tick(
    instance: dg.DagsterInstance,
    catalog: Catalog,
    settings: Settings,
    cursor: str | None,
    now: float | None = None,
    send: Deliver = deliver,
) -> tuple[str, str]:
    """Reads what is new, and sends what is due.

    Args:
        instance: Where Dagster's events are.
        catalog: The assets.
        settings: The environment.
        cursor: What the last tick returned; None starts from now, history is not mailed.
        now: Seconds since 1970; by default the time it is.
        send: Delivers a mail, or raises.

    Returns:
        The next cursor, and what was done in one line.

    Raises:
        MailError: Nothing could be sent; the old cursor still holds.
    """
    now = time.time() if now is None else now
    if not cursor:
        return State(_newest(instance)).dump(), "Started: what happens from now on is mailed."
    state = _read(instance, catalog, State.load(cursor), now - SETTLE_SECONDS)
    state = replace(state, sent=tuple(at for at in state.sent if now - at < HOUR))
    due = [problem for problem in state.problems.values() if is_due(problem, now, lambda b: _is_running(instance, b))]
    mails = mails_for(due, MAILS_PER_HOUR - len(state.sent))
    if mails:
        _wait_after_refusal(settings, now)
    accepted: list[str] = []
    started = time.monotonic()
    for problems in mails:
        if time.monotonic() - started > SEND_SECONDS:
            break  # a slow server: the rest is due in the next tick
        envelope = Envelope.of(settings)
        message = render(problems[0], envelope, now) if len(problems) == 1 else render_digest(problems, envelope, now)
        try:
            accepted.append(send(message, settings))
        except MailError as error:
            _remember_refusal(settings, error)
            if not accepted:
                raise
            return state.dump(), f"{len(accepted)} mails sent, then: {error}"
        state = State(state.seen, told(state.problems, problems, now), (*state.sent, now))
    where = f" to {accepted[-1]}" if accepted else ""
    waiting = len(due) - sum(len(problems) for problems in mails[: len(accepted)])
    return (
        state.dump(),
        f"{len(accepted)} mails sent{where}; {len(state.problems)} problems open, {waiting} mails wait.",
    )


def mails_for(due: Sequence[Problem], places: int) -> list[list[Problem]]:
    """Which problems go into which mail, when so many more may be sent this hour.

    One mail each, as long as there are places; else the last place is for one mail that tells of all others.
    """
    if len(due) <= places:
        return [[problem] for problem in due]
    return [*([problem] for problem in due[: places - 1]), list(due[places - 1 :])] if places > 0 else []


def _problem(entry: dict[str, Any]) -> Problem:
    lists = {name: tuple(value) for name, value in entry.items() if isinstance(value, list)}
    values = {"errors": (), **entry, **lists, "days": days_of(entry.get("days", []))}
    return Problem(**{**values, "kind": Kind(values["kind"])})


def _newest(instance: dg.DagsterInstance) -> int:
    newest = [instance.fetch_run_status_changes(kind, limit=1).records for kind in RUN_ENDS]
    newest.append(_freshness_records(instance, None, limit=1))
    return max((record.storage_id for records in newest for record in records), default=0)


def _read(instance: dg.DagsterInstance, catalog: Catalog, state: State, until: float) -> State:
    """The state after what is new in the event log, as far as there is time."""
    started = time.monotonic()
    has_more = True
    while has_more and time.monotonic() - started < READ_SECONDS:
        records, has_more = _new_records(instance, state.seen, until)
        problems = state.problems
        for event in _events(instance, catalog, records):
            problems = after(problems, event)
        state = State(records[-1].storage_id if records else state.seen, problems, state.sent)
    return state


def _new_records(instance: dg.DagsterInstance, seen: int, until: float) -> tuple[list[dg.EventLogRecord], bool]:
    """The next events of all kinds in their order, and whether there are more."""
    batches: list[Sequence[dg.EventLogRecord]] = []
    for kind in RUN_ENDS:
        cursor = EventLogCursor.from_storage_id(seen).to_string()
        batches.append(instance.fetch_run_status_changes(kind, limit=BATCH, cursor=cursor, ascending=True).records)
    batches.append(_freshness_records(instance, seen, limit=BATCH))
    # Beyond the end of a full batch, a kind may have more events than were read.
    full = [batch[-1].storage_id for batch in batches if len(batch) == BATCH]
    records = sorted((record for batch in batches for record in batch), key=lambda record: record.storage_id)
    if full:
        records = [record for record in records if record.storage_id <= min(full)]
    for n, record in enumerate(records):
        if record.timestamp > until:
            return records[:n], False
    return records, bool(full)


def _freshness_records(instance: dg.DagsterInstance, seen: int | None, limit: int) -> Sequence[dg.EventLogRecord]:
    change = dg.EventRecordsFilter(dg.DagsterEventType.FRESHNESS_STATE_CHANGE, after_cursor=seen)
    return instance.event_log_storage.get_event_records(change, limit=limit, ascending=seen is not None)


def _events(
    instance: dg.DagsterInstance, catalog: Catalog, records: Sequence[dg.EventLogRecord]
) -> Iterator[RunEnded | FreshnessChanged]:
    run_ids = [r.run_id for r in records if r.event_log_entry.dagster_event_type in RUN_ENDS]
    runs = {run.run_id: run for run in instance.get_runs(dg.RunsFilter(run_ids=run_ids))} if run_ids else {}
    for record in records:
        event = record.event_log_entry.dagster_event
        if event is None:
            continue
        if event.event_type == dg.DagsterEventType.FRESHNESS_STATE_CHANGE:
            change: Any = event.event_specific_data
            if change.new_state in (FreshnessState.FAIL, FreshnessState.PASS):
                asset = change.key.to_user_string()
                fresh = change.new_state is FreshnessState.PASS
                yield FreshnessChanged(record.timestamp, asset, fresh, catalog.owners.get(asset, ()))
        # A run that was deleted since has nobody to tell of it.
        elif (run := runs.get(record.run_id)) is not None and run.tags.get(WILL_RETRY_TAG) != "true":
            yield _run_ended(instance, catalog, record.timestamp, run, event)


def _run_ended(
    instance: dg.DagsterInstance, catalog: Catalog, at: float, run: dg.DagsterRun, event: dg.DagsterEvent
) -> RunEnded:
    tags = run.tags
    days: list[str] = [tags[PARTITION_NAME_TAG]] if PARTITION_NAME_TAG in tags else []
    if ASSET_PARTITION_RANGE_START_TAG in tags:
        days = days_between(tags[ASSET_PARTITION_RANGE_START_TAG], tags[ASSET_PARTITION_RANGE_END_TAG])
    # Limited to none means not limited.
    selected = frozenset(key.to_user_string() for key in run.asset_selection or ()) or None
    return RunEnded(
        at=at,
        job=run.job_name,
        run_id=run.run_id,
        failure=_failure(instance, catalog, run.run_id, selected, event),
        days=tuple(days),
        backfill=tags.get(BACKFILL_ID_TAG),
        selection=selected,
    )


def _failure(
    instance: dg.DagsterInstance,
    catalog: Catalog,
    run_id: str,
    selection: frozenset[str] | None,
    end: dg.DagsterEvent,
) -> Failure | None:
    """What went wrong: the first step that failed, or the checks that failed for good, also in a run that succeeded."""
    kinds = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.ASSET_CHECK_EVALUATION}
    failed_step: dg.DagsterEvent | None = None
    failed_checks: dict[str, dg.AssetCheckEvaluation] = {}
    for record in instance.get_records_for_run(run_id, of_type=kinds).records:
        event = record.event_log_entry.dagster_event
        if event is None:
            continue
        data: Any = event.event_specific_data
        if event.event_type == dg.DagsterEventType.STEP_FAILURE:
            failed_step = failed_step or event
        elif data.severity is dg.AssetCheckSeverity.ERROR:
            name = f"{data.check_name} on {data.asset_key.to_user_string()}"
            failed_checks.pop(name, None)
            if not data.passed:
                failed_checks[name] = data
    if end.event_type == dg.DagsterEventType.RUN_SUCCESS and not failed_checks:
        return None
    step = (failed_step.step_key or "") if failed_step else ""
    errors = [step_error(failed_step)] if failed_step else [end.message or "The run failed."]
    assets = sorted(catalog.by_step.get(step.partition(".")[0], frozenset()) & (selection or catalog.owners.keys()))
    if failed_checks:
        found = [_found(name, check) for name, check in failed_checks.items()]
        more = [f"and {len(found) - CHECKS_SHOWN} more"] if len(found) > CHECKS_SHOWN else []
        errors = ["; ".join(found[:CHECKS_SHOWN] + more), *(errors if failed_step else [])]
        assets = sorted({check.asset_key.to_user_string() for check in failed_checks.values()})
    return Failure(
        Kind.CHECK_FAILED if failed_checks else Kind.RUN_FAILED,
        step or ("checks" if failed_checks else ""),
        one_line(". ".join(error.rstrip(". ") for error in errors)),
        tuple(assets),
        catalog.owners_of(assets),
    )


def _found(name: str, check: dg.AssetCheckEvaluation) -> str:
    numbers = [
        f"{label} {value.value}"
        for label, value in check.metadata.items()
        if isinstance(value, dg.IntMetadataValue | dg.TextMetadataValue)
    ]
    details = ", ".join([check.description, *numbers] if check.description else numbers)
    return f"{name}: {details}" if details else name


def _is_running(instance: dg.DagsterInstance, backfill: str) -> bool:
    found = instance.get_backfill(backfill)
    return found is not None and found.status not in BULK_ACTION_TERMINAL_STATUSES


def _refusal_file(settings: Settings) -> Path:
    return mail_dir(settings) / "refused.txt"


def _wait_after_refusal(settings: Settings, now: float) -> None:
    """Servers lock out who comes again and again with what they refused."""
    file = _refusal_file(settings)
    if file.exists() and now - file.stat().st_mtime < REFUSED_SECONDS:
        raise MailError(f"{file.read_text(encoding='utf-8')} (tried every {REFUSED_SECONDS / 60:.0f} minutes)")
    file.unlink(missing_ok=True)


def _remember_refusal(settings: Settings, error: MailError) -> None:
    if not isinstance(error, TransientMailError):
        file = _refusal_file(settings)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(str(error), encoding="utf-8")
