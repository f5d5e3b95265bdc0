"""The sensor `alerts`: one tick reads what is new, and sends what is due.

What its cursor holds is told only once the server has accepted the mail, so that a broken server delays mails and loses
none.
"""

import datetime as dt
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from email.message import EmailMessage
from functools import lru_cache, partial
from pathlib import Path
from typing import Final

import dagster as dg

from oms_pipeline.alerts.delivery import (
    REFUSED_SECONDS,
    deliver,
    destination,
    forget_refused_mails,
    remember_refusal,
    wait_after_refusal,
)
from oms_pipeline.alerts.digest import BusinessOf, digest_of
from oms_pipeline.alerts.digest_mail import render_digest
from oms_pipeline.alerts.events import Catalog, LateOf, ended_runs, is_over, lateness, newest
from oms_pipeline.alerts.mail import render, render_held_back
from oms_pipeline.alerts.page import Envelope
from oms_pipeline.alerts.problems import (
    HOUR,
    Kind,
    Lateness,
    Problem,
    Problems,
    after,
    is_due,
    kind_of_mail,
    one_line,
    told,
)
from oms_pipeline.alerts.severity import Severities, Severity
from oms_pipeline.alerts.state import DIGEST_KEY, SENSOR, Refusal, State, known_problems
from oms_pipeline.calendar import due_at, newest_due
from oms_pipeline.errors import MailError, OmsError, RefusedMailError
from oms_pipeline.settings import Settings

EVERY_SECONDS: Final = 30
MAILS_PER_HOUR: Final = 20
SEND_SECONDS: Final = 15.0
# The checks of lateness are evaluated about once a minute: by then they know of the deadline.
DIGEST_SECONDS: Final = 120.0

Deliver = Callable[[EmailMessage, Settings, Sequence[str]], str]
"""Delivers a mail to some of its recipients, or to all of them where there are none; says who took it, or raises."""


@dataclass(frozen=True)
class Watch:
    """What the sensor goes by.

    Attributes:
        settings: The environment.
        severities: How much each event matters.
        deadline: The local time at which the day before is due; soon after it the digest is sent.
        late_of: Tells which days are late.
        business_of: Tells how business was.
    """

    settings: Settings
    severities: Severities
    deadline: dt.time
    late_of: LateOf
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
        if context.repository_def is None:
            raise OmsError(f"Sensor {SENSOR} was started without its code location. Start it with: oms dev")
        origin = context.code_location_origin
        catalog = Catalog.of(context.repository_def, origin.location_name if origin is not None else None)
        try:
            cursor, done = tick(context.instance, catalog, watch, context.cursor)
        except MailError:
            _beat(watch.settings)  # the watch goes on, and so do the mails once the server takes them
            raise
        _beat(watch.settings)
        context.update_cursor(cursor)
        return dg.SkipReason(done)

    return alerts


def heartbeat_file(settings: Settings) -> Path:
    """The file that is touched on every tick that could read and decide, for whoever watches the watcher."""
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
    late = lateness(instance, catalog, watch.late_of, now)
    return _digest_mail(instance, catalog, watch, known_problems(instance), late, now)


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
        The next cursor, and what was done in one line. A mail that was refused by itself is in the cursor, to be tried
        again.

    Raises:
        MailError: The server takes no mail now; the old cursor still holds.
        OmsError: The cursor is something else.
    """
    now = time.time() if now is None else now
    if not cursor:
        started = State(newest(instance), digested=watch.digest_day(now).isoformat())
        return started.dump(), f"Started: what happens from now on is mailed. {destination(watch.settings)}"
    late = lateness(instance, catalog, watch.late_of, now)
    state, read_until = _read(instance, catalog, State.load(cursor), late, now)
    state, wanted = _decided(watch, state, lambda backfill: is_over(instance, backfill, read_until), now)
    letters = _letters(instance, catalog, watch, state, wanted, late, now)
    state, done = _sent(letters, watch.settings, state, now, send)
    # What nobody could be told because of the limit is told in one mail as soon as there is a place.
    untold = frozenset(problem.key for problem in wanted if state.problems.get(problem.key) is problem)
    state = replace(state, held=untold if len(state.sent) >= MAILS_PER_HOUR else frozenset())
    if not state.refused:
        forget_refused_mails(watch.settings)
    return state.dump(), f"{done} {destination(watch.settings)}"


def mails_for(due: Sequence[Problem], places: int, held: Collection[str] = ()) -> list[list[Problem]]:
    """Which problems go into which mail, when so many more may be sent this hour.

    One mail each, as long as there are places; else the last place is for one mail that tells of all others. What has
    waited for a place is told in one mail too.

    Args:
        due: The problems.
        places: How many mails may be sent.
        held: The keys of the problems that have waited.
    """
    waited = [problem for problem in due if problem.key in held]
    groups = [waited] if waited else []
    groups += [[problem] for problem in due if problem.key not in held]
    if len(groups) <= places:
        return groups
    if places <= 0:
        return []
    return [*groups[: places - 1], [problem for group in groups[places - 1 :] for problem in group]]


def _read(
    instance: dg.DagsterInstance, catalog: Catalog, state: State, late: Lateness, now: float
) -> tuple[State, float]:
    """The state after what is new, and up to when, in seconds since 1970, all is read."""
    read_until = 0.0
    for seen, up_to, runs in ended_runs(instance, catalog, state.seen, now):
        problems, columns = state.problems, state.columns
        for run in runs:
            new = tuple(column for column in run.new_columns if column not in columns)
            columns = columns.union(new)
            problems = after(problems, replace(run, new_columns=new))
        state, read_until = replace(state, seen=seen, problems=problems, columns=columns), up_to
    return replace(state, problems=after(state.problems, late)), read_until


def _decided(watch: Watch, state: State, is_over: Callable[[str], bool], now: float) -> tuple[State, list[Problem]]:
    """The state without what is past, and the problems to tell now."""
    due = [problem for problem in state.problems.values() if is_due(problem, now, is_over)]
    has_digest = watch.severities[Kind.DIGEST] is not Severity.NEVER
    wanted_keys = {*state.problems, *([DIGEST_KEY] if has_digest else [])}
    unwanted = [problem for problem in due if watch.severities[kind_of_mail(problem)] is Severity.NEVER]
    state = replace(
        state,
        problems=told(state.problems, unwanted, now),
        sent=tuple(at for at in state.sent if now - at < HOUR),
        refused={key: refusal for key, refusal in state.refused.items() if key in wanted_keys},
    )
    return state, [p for p in due if p not in unwanted and not _waits(state, p.key, now)]


def _waits(state: State, key: str, now: float) -> bool:
    return key in state.refused and now - state.refused[key].at < REFUSED_SECONDS


@dataclass(frozen=True)
class _Letter:
    """A mail, and what is told by it: problems, or the digest of a day."""

    write: Callable[[], EmailMessage]
    problems: Sequence[Problem] = ()
    day: str = ""

    def accepted(self, state: State, now: float, message_id: str) -> State:
        """The state once the server took it."""
        waiting = {key: refusal for key, refusal in state.refused.items() if key not in self._keys}
        if self.day:
            return replace(state, digested=self.day, refused=waiting)
        problems = told(state.problems, self.problems, now, message_id)
        return replace(state, problems=problems, sent=(*state.sent, now), refused=waiting)

    def refused(self, state: State, refusal: Refusal) -> State:
        """The state once the server refused it; what some have got counts as sent."""
        sent = (*state.sent, refusal.at) if refusal.later else state.sent
        return replace(state, sent=sent, refused={**state.refused, **dict.fromkeys(self._keys, refusal)})

    def waits_for(self, state: State, message_id: str) -> tuple[str, ...]:
        """Who has not got this very mail, where others have; empty if nobody has."""
        before = state.refused.get(self._keys[0])
        return before.later if before is not None and before.message_id == message_id else ()

    @property
    def _keys(self) -> list[str]:
        return [problem.key for problem in self.problems] or [DIGEST_KEY]


def _letters(
    instance: dg.DagsterInstance,
    catalog: Catalog,
    watch: Watch,
    state: State,
    wanted: Sequence[Problem],
    late: Lateness,
    now: float,
) -> Iterator[_Letter]:
    """The mails that are due, in their order."""
    envelope, severities = Envelope.of(watch.settings), watch.severities
    for problems in mails_for(wanted, MAILS_PER_HOUR - len(state.sent), state.held):
        if len(problems) == 1:
            yield _Letter(partial(render, problems[0], envelope, severities, now), problems)
        else:
            yield _Letter(partial(render_held_back, problems, envelope, severities, now), problems)
    day = str(watch.digest_day(now))
    if severities[Kind.DIGEST] is not Severity.NEVER and day > state.digested and not _waits(state, DIGEST_KEY, now):
        yield _Letter(partial(_digest_mail, instance, catalog, watch, state.problems, late, now), day=day)


def _digest_mail(
    instance: dg.DagsterInstance, catalog: Catalog, watch: Watch, problems: Problems, late: Lateness, now: float
) -> EmailMessage:
    day = watch.digest_day(now)
    since = due_at(day - dt.timedelta(days=1), watch.settings.timezone, watch.deadline)
    digest = digest_of(day, since, instance, catalog, late, problems.values(), watch.business_of)
    return render_digest(digest, Envelope.of(watch.settings), watch.severities, now)


def _sent(letters: Iterator[_Letter], settings: Settings, state: State, now: float, send: Deliver) -> tuple[State, str]:
    """The state after the mails were sent, as far as there is time, and what was done in one line."""
    accepted: list[str] = []
    refused: list[str] = []
    failed = ""
    since = time.monotonic()
    try:
        for letter in letters:
            if not accepted and not refused:
                wait_after_refusal(settings, now)
            message_id = ""
            only: tuple[str, ...] = ()
            try:
                message = _written(letter)
                message_id = str(message["Message-ID"])
                only = letter.waits_for(state, message_id)
                accepted.append(send(message, settings, only))
            except RefusedMailError as error:
                # What is wrong with this mail keeps no other one back.
                remember_refusal(settings, error)
                refused.append(str(error))
                state = letter.refused(state, Refusal(now, message_id, error.later or only))
            except MailError as error:
                remember_refusal(settings, error)
                raise
            else:
                state = letter.accepted(state, now, message_id)
            if time.monotonic() - since > SEND_SECONDS:
                failed = " The server is slow: what is left is sent with the next tick."
                break
    except Exception as error:
        # What was accepted is not sent again, whatever went wrong with what came after it.
        if not accepted and not refused:
            raise
        failed = f" Then: {error}"
    where = f" to {accepted[-1]}" if accepted else ""
    is_open = sum(problem.recovered is None for problem in state.problems.values())
    not_taken = "".join(f" Refused: {each}" for each in refused)
    return state, f"{_count(len(accepted), 'mail')} sent{where}; {_count(is_open, 'problem')} open.{not_taken}{failed}"


def _written(letter: _Letter) -> EmailMessage:
    try:
        return letter.write()
    # A mail that cannot be written must not keep the others back, whatever is in it.
    except Exception as error:
        what = ", ".join(problem.title for problem in letter.problems) or "the digest"
        raise RefusedMailError(f"The mail about {what} cannot be written: {one_line(str(error))}") from error


def _beat(settings: Settings) -> None:
    settings.home.mkdir(parents=True, exist_ok=True)
    heartbeat_file(settings).touch()


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
