"""What is worth a mail: what happens to runs and days becomes problems that open, repeat and close. Sends nothing.

A problem is told when it opens, once a day while it repeats, and once more when it is over. All of a backfill is one
problem, and it is told when the backfill has ended, or after an hour. A new column is told once.
"""

import datetime as dt
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

HOUR: Final = 3600.0
DAY: Final = 24 * HOUR
ERRORS_KEPT: Final = 3
ERROR_LENGTH: Final = 300
RANGE_SIGN: Final = " to "
FRESHNESS_KEY: Final = "freshness"
DRIFT_KEY: Final = "schema drift"
# What Dagster calls the runs that are started from an asset's page, and those of backfills.
ASSET_JOB: Final = "__ASSET_JOB"


_SECRET: Final = re.compile(
    r"""(?ix) ( \b [\w-]{0,40}? (?: password | passwd | passphrase | secret | token | pwd | credential | signature
        | api[_-]?key | access[_-]?key ) (?! \w{0,20} _file \b ) [\w-]{0,20} ["']? \s* [=:] \s*
        | \b bearer \s+ (?= \S{8} ) )
        ( (?: '[^']*' | "(?:[^"\\]|\\.)*" )? \S* )"""
)
"""What a secret is called, and the secret itself."""


class Kind(StrEnum):
    """What a mail is about."""

    RUN_FAILED = "run_failed"
    CHECK_FAILED = "check_failed"
    FRESHNESS_MISSED = "freshness_missed"
    SCHEMA_DRIFT = "schema_drift"
    RECOVERED = "recovered"
    HELD_BACK = "held_back"
    """What the limit of mails per hour held back."""
    DIGEST = "digest"
    """How the day was, every morning."""


@dataclass(frozen=True)
class Failure:
    """What went wrong in a run.

    Attributes:
        kind: `RUN_FAILED` or `CHECK_FAILED`.
        step: The step that failed first; empty if the run never got to one.
        error: One line.
        assets: The assets it concerns.
        owners: Who looks after them.
    """

    kind: Kind
    step: str
    error: str
    assets: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunEnded:
    """A run that is over and will not be retried.

    Attributes:
        at: When, in seconds since 1970.
        job: Name of the job.
        run_id: The run.
        failure: What went wrong; None if nothing did.
        days: Its partitions; empty for a job without any.
        backfill: The backfill it belongs to, or None.
        assets: The assets it was to make; empty for a job without any.
        is_whole: Whether these are all of the job's.
        steps: The steps it was limited to, as when a run is executed again from where it failed; None for all.
        new_columns: Columns it found at the source that nobody was told of yet, as `table.column`.
        owners: Who looks after the job.
    """

    at: float
    job: str
    run_id: str
    failure: Failure | None
    days: tuple[str, ...] = ()
    backfill: str | None = None
    assets: frozenset[str] = frozenset()
    is_whole: bool = True
    steps: frozenset[str] | None = None
    new_columns: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lateness:
    """Which assets lack days that are due.

    Attributes:
        at: When that was so, in seconds since 1970.
        late: Asset → what is late, one line; empty if all is in.
        newest: The newest day that is late; empty if none is.
        owners: Who looks after the assets.
        due: How many assets have a deadline.
    """

    at: float
    late: Mapping[str, str]
    newest: str = ""
    owners: tuple[str, ...] = ()
    due: int = 0


@dataclass(frozen=True)
class Problem:
    """Something to tell somebody, from its first occurrence until its end was told.

    Attributes:
        key: Stable: job, step and kind, or the backfill; the same again is the same problem.
        kind: What it is.
        job: Name of the job; empty for lateness.
        step: The step that failed; empty if none.
        opened: When it was first seen, in seconds since 1970.
        errors: Different errors, one line each: the first ones, and the newest that was none of them.
        assets: The assets it concerns.
        days: The days that are not mended yet; of lateness, the newest one.
        owners: Who looks after the assets, or the job.
        columns: New columns, as `table.column`.
        run_id: The newest run it was seen in; empty for lateness.
        backfill: The backfill, or None.
        count: How many times it happened.
        told: When it was last told, or would have been if its kind were ever mailed; or None.
        told_count: The count that was told.
        mails: How many mails it has been told in.
        thread: The first of these mails, by its Message-ID.
        recovered: When it was over, or None.
    """

    key: str
    kind: Kind
    job: str
    step: str
    opened: float
    errors: tuple[str, ...]
    assets: tuple[str, ...] = ()
    days: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    run_id: str = ""
    backfill: str | None = None
    count: int = 1
    told: float | None = None
    told_count: int = 0
    mails: int = 0
    thread: str = ""
    recovered: float | None = None

    @property
    def title(self) -> str:
        """What failed, in a few words that stay the same as long as the problem lasts."""
        if self.kind is Kind.FRESHNESS_MISSED:
            return "Data is late"
        if self.kind is Kind.SCHEMA_DRIFT:
            return "New columns at the source"
        job = "" if self.job.startswith(ASSET_JOB) else self.job
        what = f"Backfill {self.backfill}{f' of {job}' if job else ''}" if self.backfill else job or "A run of assets"
        if self.kind is Kind.CHECK_FAILED:
            return f"{what}: a check failed"
        return f"{what} failed at {self.step}" if self.step and not self.backfill else f"{what} failed"

    @property
    def next_step(self) -> str:
        """What to do about it."""
        if self.recovered is not None:
            return "Nothing: this closes the problem."
        if self.kind is Kind.FRESHNESS_MISSED:
            return "Look whether the run failed or never started, then load what is missing; oms status shows both."
        if self.kind is Kind.SCHEMA_DRIFT:
            return "Nothing has to be done: they are landed. To use them, add them to _oms__sources.yml."
        if self.kind is Kind.CHECK_FAILED:
            return "Compare what was expected with what was found on the run's page, mend it, and run it again."
        return "Mend what the error names, then run it again with Re-execute on the run's page."


Problems = Mapping[str, Problem]


def after(problems: Problems, event: RunEnded | Lateness) -> dict[str, Problem]:
    """The problems after an event: one more, one more often, or some that are over."""
    if isinstance(event, Lateness):
        return _after_lateness(problems, event)
    problems = _after_drift(problems, event) if event.new_columns else problems
    return _after_success(problems, event) if event.failure is None else _after_failure(problems, event, event.failure)


def kind_of_mail(problem: Problem) -> Kind:
    """What the next mail about a problem is: that it is there, or, to who was told so, that it is over."""
    return Kind.RECOVERED if problem.recovered is not None and problem.mails > 0 else problem.kind


def is_due(problem: Problem, now: float, is_over: Callable[[str], bool]) -> bool:
    """Whether a problem is to be told now.

    Args:
        problem: The problem.
        now: Seconds since 1970.
        is_over: Whether a backfill has ended.
    """
    if problem.recovered is not None:
        return True
    if problem.told is not None:
        if problem.count <= problem.told_count:
            return False
        # A backfill that was told while it ran is told once more with all its runs.
        has_ended = problem.backfill is not None and is_over(problem.backfill)
        return now - problem.told >= (HOUR if has_ended else DAY)
    return problem.backfill is None or now - problem.opened >= HOUR or is_over(problem.backfill)


def told(problems: Problems, told_now: Iterable[Problem], now: float, message_id: str = "") -> dict[str, Problem]:
    """The problems after some were told; those that are over, and news that nothing follows, need no more keeping.

    Args:
        problems: The problems.
        told_now: Those that were told.
        now: Seconds since 1970.
        message_id: The mail that told them; empty for what is never mailed.
    """
    left = dict(problems)
    for problem in told_now:
        if problem.recovered is not None or problem.kind is Kind.SCHEMA_DRIFT:
            del left[problem.key]
        else:
            left[problem.key] = replace(
                problem,
                told=now,
                told_count=problem.count,
                mails=problem.mails + bool(message_id),
                thread=problem.thread or message_id,
            )
    return left


def one_line(text: str) -> str:
    """A text as one line without secrets, short enough for a phone, that any mail can hold."""
    # However long it is, looking for secrets takes no time.
    text = text[: 20 * ERROR_LENGTH]
    # A file name need not be text; a mail has to be.
    line = "".join(char if char.isprintable() else " " for char in text.encode(errors="replace").decode())
    line = " ".join(line.split())
    line = re.sub(r"://\S*@", "://…@", line)
    line = _SECRET.sub(r"\1…", line)
    line = re.sub(r"-----BEGIN [^-]*PRIVATE KEY-----.*", "(a private key)", line)
    return line if len(line) <= ERROR_LENGTH else f"{line[: ERROR_LENGTH - 1]}…"


def ranges(days: Collection[str]) -> list[str]:
    """Days as few texts: those in a row become `first to last`; what is no date stands alone."""
    spans: list[list[str]] = []
    for day in sorted(days):
        if spans and _next_day(spans[-1][1]) == day:
            spans[-1][1] = day
        else:
            spans.append([day, day])
    return [first if first == last else f"{first}{RANGE_SIGN}{last}" for first, last in spans]


def days_between(first: str, last: str) -> list[str]:
    """All days of a range, both included; of what is no date, its two ends."""
    days = [first]
    while days[-1] < last and (following := _next_day(days[-1])) is not None:
        days.append(following)
    return days if days[-1] == last else [first, last]


def days_of(texts: Iterable[str]) -> tuple[str, ...]:
    """The days that `ranges` made texts of."""
    return tuple(day for text in texts for day in _days_of_range(text.split(RANGE_SIGN)))


def _days_of_range(ends: Sequence[str]) -> list[str]:
    return days_between(ends[0], ends[-1]) if len(ends) == 2 else [RANGE_SIGN.join(ends)]


def _next_day(day: str) -> str | None:
    try:
        return (dt.date.fromisoformat(day) + dt.timedelta(days=1)).isoformat()
    except ValueError:
        return None


def _after_failure(problems: Problems, run: RunEnded, failure: Failure) -> dict[str, Problem]:
    # A check that fails where a step failed before is another problem: it says other things, to be done otherwise.
    key = f"backfill {run.backfill}" if run.backfill else f"{run.job}/{failure.step}/{failure.kind}"
    known = problems.get(key)
    if known is None:
        problem = Problem(key, failure.kind, run.job, failure.step, run.at, (failure.error,), backfill=run.backfill)
    else:
        errors = known.errors
        if failure.error not in errors:
            errors = (*errors[: ERRORS_KEPT - 1], failure.error)
        problem = replace(known, count=known.count + 1, errors=errors)
    problem = replace(
        problem,
        days=_union(problem.days, run.days),
        assets=_union(problem.assets, failure.assets),
        owners=_union(problem.owners, [*failure.owners, *run.owners]),
        run_id=run.run_id,
        recovered=None,
    )
    return {**problems, key: problem}


def _after_success(problems: Problems, run: RunEnded) -> dict[str, Problem]:
    result = dict(problems)
    for key, problem in problems.items():
        same_job = problem.job == run.job and run.is_whole
        same_assets = bool(problem.assets) and run.assets.issuperset(problem.assets)
        same_step = run.steps is None or problem.step in run.steps
        if problem.job and problem.recovered is None and (same_job or same_assets) and same_step:
            days = tuple(day for day in problem.days if day not in run.days)
            # Mended for good, the mail still says which days it was about.
            result[key] = replace(problem, days=days) if days else replace(problem, days=run.days, recovered=run.at)
    return result


def _after_drift(problems: Problems, run: RunEnded) -> dict[str, Problem]:
    known = problems.get(DRIFT_KEY) or Problem(DRIFT_KEY, Kind.SCHEMA_DRIFT, "", "", run.at, ())
    drift = replace(
        known,
        columns=_union(known.columns, run.new_columns),
        days=_union(known.days, run.days),
        run_id=run.run_id,
    )
    return {**problems, DRIFT_KEY: drift}


def _after_lateness(problems: Problems, now: Lateness) -> dict[str, Problem]:
    known = problems.get(FRESHNESS_KEY)
    if not now.late:
        over = known is not None and known.recovered is None
        return {**problems, FRESHNESS_KEY: replace(known, recovered=now.at)} if known and over else dict(problems)
    problem = known or Problem(FRESHNESS_KEY, Kind.FRESHNESS_MISSED, "", "", now.at, (), count=0)
    one_more_day = now.newest > max(problem.days, default="")
    problem = replace(
        problem,
        count=problem.count + one_more_day,
        errors=tuple(sorted(set(now.late.values()))[:ERRORS_KEPT]),
        assets=tuple(sorted(now.late)),
        days=(now.newest,),
        owners=now.owners,
        recovered=None,
    )
    return {**problems, FRESHNESS_KEY: problem}


def _union(first: Iterable[str], second: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({*first, *second}))
