"""The sensor `alerts`: one tick reads what is new, and sends what is due.

Its cursor moves only after the server accepted a mail, so that a broken server delays mails and loses none.
"""

import datetime as dt
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from email.message import EmailMessage
from functools import lru_cache
from pathlib import Path
from typing import Final

import dagster as dg

from oms_pipeline.alerts.delivery import (
    deliver,
    destination,
    remember_refusal,
    wait_after_refusal,
)
from oms_pipeline.alerts.digest import BusinessOf, digest_of
from oms_pipeline.alerts.digest_mail import render_digest
from oms_pipeline.alerts.events import Catalog, ended_runs, is_running, lateness, newest
from oms_pipeline.alerts.mail import render, render_held_back
from oms_pipeline.alerts.page import Envelope
from oms_pipeline.alerts.problems import HOUR, Kind, Lateness, Problem, Problems, after, is_due, kind_of_mail, told
from oms_pipeline.alerts.severity import Severities, Severity
from oms_pipeline.alerts.state import SENSOR, State, known_problems
from oms_pipeline.calendar import due_at, newest_due
from oms_pipeline.errors import MailError, RefusedMailError
from oms_pipeline.settings import Settings

EVERY_SECONDS: Final = 30
MAILS_PER_HOUR: Final = 20
SEND_SECONDS: Final = 15.0
# The checks of lateness are evaluated about once a minute: by then they know of the deadline.
DIGEST_SECONDS: Final = 120.0

Deliver = Callable[[EmailMessage, Settings], str]


@dataclass(frozen=True)
class Watch:
    """What the sensor goes by.

    Attributes:
        settings: The environment.
        severities: How much each event matters.
        deadline: The local time at which the day before is due; soon after it the digest is sent.
        business_of: Tells how business was.
    """

    settings: Settings
    severities: Severities
    deadline: dt.time
    business_of: BusinessOf

    def digest_day(self, now: float) -> dt.date:
        """The newest day whose digest is due."""
        instant = dt.datetime.fromtimestamp(now - DIGEST_SECONDS, dt.UTC)
        return newest_due(self.settings.timezone, self.deadline, instant)


def alert_sensor(watch: Watch) -> dg.SensorDefinition:
    """The sensor that mails what went wrong, what recovered, and how the day was."""
    # While no server takes the digest, the warehouse is not asked again with every tick.
    watch = replace(watch, business_of=lru_cache(maxsize=1)(watch.business_of))

    @dg.sensor(
        name=SENSOR,
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Mails failed runs, failed checks, late data and new columns, each problem once, and its end; "
        f"every morning how the day was. {destination(watch.settings)}",
    )
    def alerts(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        watch.settings.home.mkdir(parents=True, exist_ok=True)
        heartbeat_file(watch.settings).touch()
        if context.repository_def is None:
            raise MailError(f"Sensor {SENSOR} was started without its code location. Start it with: oms dev")
        cursor, done = tick(context.instance, Catalog.of(context.repository_def), watch, context.cursor)
        context.update_cursor(cursor)
        return dg.SkipReason(done)

    return alerts


def heartbeat_file(settings: Settings) -> Path:
    """The file that is touched on every tick, for whoever watches the watcher."""
    return settings.home / "heartbeat"


def newest_digest(
    instance: dg.DagsterInstance, repository: dg.RepositoryDefinition, watch: Watch, now: float
) -> EmailMessage:
    """The digest of the newest day that is due, as it would read now.

    Args:
        instance: Where Dagster's events are.
        repository: The code location.
        watch: What the sensor goes by.
        now: Seconds since 1970.
    """
    catalog = Catalog.of(repository)
    return _digest_mail(instance, catalog, watch, known_problems(instance), lateness(instance, catalog, now), now)


def tick(
    instance: dg.DagsterInstance,
    catalog: Catalog,
    watch: Watch,
    cursor: str | None,
    now: float | None = None,
    send: Deliver = deliver,
) -> tuple[str, str]:
    """Reads what is new, and sends what is due.

    Args:
        instance: Where Dagster's events are.
        catalog: The assets.
        watch: What the sensor goes by.
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
        started = State(newest(instance), digested=watch.digest_day(now).isoformat())
        return started.dump(), f"Started: what happens from now on is mailed. {destination(watch.settings)}"
    late = lateness(instance, catalog, now)
    state = _read(instance, catalog, State.load(cursor), late, now)
    due = [problem for problem in state.problems.values() if is_due(problem, now, lambda b: is_running(instance, b))]
    unwanted = [problem for problem in due if watch.severities[kind_of_mail(problem)] is Severity.NEVER]
    lately = tuple(at for at in state.sent if now - at < HOUR)
    state = replace(state, problems=told(state.problems, unwanted, now), sent=lately)
    wanted = [problem for problem in due if problem not in unwanted]
    accepted: list[str] = []
    failed = ""
    sending_since = time.monotonic()
    try:
        for letter in _letters(instance, catalog, watch, state, wanted, late, now):
            if not accepted and not failed:
                wait_after_refusal(watch.settings, now)
            try:
                accepted.append(_sent(letter.message, watch.settings, send))
            except RefusedMailError as error:
                failed = f" Refused: {error}"  # what is wrong with this mail keeps no other one back
                continue
            state = letter.accepted(state, now)
            if time.monotonic() - sending_since > SEND_SECONDS:
                failed += " The server is slow: what is left is sent with the next tick."
                break
    except Exception as error:
        # What was accepted is not sent again, whatever went wrong with what came after it.
        if not accepted:
            raise
        failed += f" Then: {error}"
    if failed and not accepted:
        raise MailError(failed.strip())
    where = f" to {accepted[-1]}" if accepted else ""
    is_open = sum(problem.recovered is None for problem in state.problems.values())
    done = f"{_count(len(accepted), 'mail')} sent{where}; {_count(is_open, 'problem')} open.{failed}"
    return state.dump(), f"{done} {destination(watch.settings)}"


def mails_for(due: Sequence[Problem], places: int) -> list[list[Problem]]:
    """Which problems go into which mail, when so many more may be sent this hour.

    One mail each, as long as there are places; else the last place is for one mail that tells of all others.
    """
    if len(due) <= places:
        return [[problem] for problem in due]
    return [*([problem] for problem in due[: places - 1]), list(due[places - 1 :])] if places > 0 else []


def _read(instance: dg.DagsterInstance, catalog: Catalog, state: State, late: Lateness, now: float) -> State:
    """The state after what is new."""
    for seen, runs in ended_runs(instance, catalog, state.seen, now):
        problems, columns = state.problems, state.columns
        for run in runs:
            new = tuple(column for column in run.new_columns if column not in columns)
            columns = columns.union(new)
            problems = after(problems, replace(run, new_columns=new))
        state = replace(state, seen=seen, problems=problems, columns=columns)
    return replace(state, problems=after(state.problems, late))


@dataclass(frozen=True)
class _Letter:
    """A mail, and what is told by it: problems, or the digest of a day."""

    message: EmailMessage
    problems: Sequence[Problem] = ()
    day: str = ""

    def accepted(self, state: State, now: float) -> State:
        """The state once the server took it."""
        if self.day:
            return replace(state, digested=self.day)
        return replace(state, problems=told(state.problems, self.problems, now), sent=(*state.sent, now))


def _letters(
    instance: dg.DagsterInstance,
    catalog: Catalog,
    watch: Watch,
    state: State,
    wanted: Sequence[Problem],
    late: Lateness,
    now: float,
) -> Iterator[_Letter]:
    """The mails that are due, made one by one, as they are sent."""
    envelope, severities = Envelope.of(watch.settings), watch.severities
    for problems in mails_for(wanted, MAILS_PER_HOUR - len(state.sent)):
        if len(problems) == 1:
            yield _Letter(render(problems[0], envelope, severities, now), problems)
        else:
            yield _Letter(render_held_back(problems, envelope, severities, now), problems)
    day = str(watch.digest_day(now))
    if severities[Kind.DIGEST] is not Severity.NEVER and day > state.digested:
        yield _Letter(_digest_mail(instance, catalog, watch, state.problems, late, now), day=day)


def _digest_mail(
    instance: dg.DagsterInstance, catalog: Catalog, watch: Watch, problems: Problems, late: Lateness, now: float
) -> EmailMessage:
    day = watch.digest_day(now)
    since = due_at(day - dt.timedelta(days=1), watch.settings.timezone, watch.deadline)
    digest = digest_of(day, since, instance, catalog, late, problems.values(), watch.business_of)
    return render_digest(digest, Envelope.of(watch.settings), watch.severities, now)


def _sent(message: EmailMessage, settings: Settings, send: Deliver) -> str:
    try:
        return send(message, settings)
    except MailError as error:
        remember_refusal(settings, error)
        raise


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
