"""What is worth a mail: what happens to runs becomes problems that open, repeat and close. Reads and sends nothing.

A problem is told when it opens, once a day while it repeats, and once more when it is over. All of a backfill is one
problem, and it is told when the backfill has ended, or after an hour.
"""

import datetime as dt
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

HOUR: Final = 3600.0
DAY: Final = 24 * HOUR
FIRST_ERRORS: Final = 3
ERROR_LENGTH: Final = 300
RANGE_SIGN: Final = " to "
FRESHNESS_KEY: Final = "freshness"


class Kind(StrEnum):
    """What a mail is about."""

    RUN_FAILED = "run_failed"
    CHECK_FAILED = "check_failed"
    FRESHNESS_MISSED = "freshness_missed"
    RECOVERED = "recovered"
    DIGEST = "digest"


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
        selection: The assets it was limited to; None for all of the job's.
    """

    at: float
    job: str
    run_id: str
    failure: Failure | None
    days: tuple[str, ...] = ()
    backfill: str | None = None
    selection: frozenset[str] | None = None


@dataclass(frozen=True)
class FreshnessChanged:
    """An asset that has become late, or is in time again.

    Attributes:
        at: When, in seconds since 1970.
        asset: The asset.
        fresh: Whether it is in time.
        owners: Who looks after it.
    """

    at: float
    asset: str
    fresh: bool
    owners: tuple[str, ...] = ()


@dataclass(frozen=True)
class Problem:
    """Something to tell somebody, from its first occurrence until its end was told.

    Attributes:
        key: Stable: job and step, or the backfill; the same again is the same problem.
        kind: What it is.
        job: Name of the job; empty for freshness.
        step: The step that failed; empty if none.
        opened: When it was first seen, in seconds since 1970.
        errors: The first different errors, one line each.
        assets: The assets it concerns; of freshness, those that are late.
        days: The days that are not mended yet.
        owners: Who looks after the assets.
        run_id: The newest run that failed; empty for freshness.
        backfill: The backfill, or None.
        count: How many times it happened.
        told: When it was last told, or None.
        told_count: The count that was told.
        mails: How many mails it has been told in.
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
    run_id: str = ""
    backfill: str | None = None
    count: int = 1
    told: float | None = None
    told_count: int = 0
    mails: int = 0
    recovered: float | None = None

    @property
    def title(self) -> str:
        """What failed, in a few words that stay the same as long as the problem lasts."""
        if self.key == FRESHNESS_KEY:
            return "data is late"
        what = f"backfill {self.backfill} of {self.job}" if self.backfill else self.job
        if self.kind is Kind.CHECK_FAILED:
            return f"{what}: a check failed"
        return f"{what} failed at {self.step}" if self.step and not self.backfill else f"{what} failed"

    @property
    def next_step(self) -> str:
        """What to do about it."""
        if self.recovered is not None:
            return "Nothing: this closes the problem."
        if self.kind is Kind.FRESHNESS_MISSED:
            return "Look whether the last run failed or never started: oms status"
        if self.kind is Kind.CHECK_FAILED:
            return "Compare what was expected with what was found on the run's page, mend it, and run it again."
        return "Mend what the error names, then run it again with Re-execute on the run's page."


Problems = Mapping[str, Problem]


def after(problems: Problems, event: RunEnded | FreshnessChanged) -> dict[str, Problem]:
    """The problems after an event: one more, one more often, or some that are over."""
    if isinstance(event, FreshnessChanged):
        return _after_freshness(problems, event)
    return _after_success(problems, event) if event.failure is None else _after_failure(problems, event, event.failure)


def is_due(problem: Problem, now: float, is_running: Callable[[str], bool]) -> bool:
    """Whether a problem is to be told now.

    Args:
        problem: The problem.
        now: Seconds since 1970.
        is_running: Whether a backfill still is.
    """
    if problem.recovered is not None:
        return True
    if problem.told is not None:
        return problem.count > problem.told_count and now - problem.told >= DAY
    waits = problem.backfill is not None and now - problem.opened < HOUR
    return not (waits and is_running(problem.backfill or ""))


def told(problems: Problems, told_now: Iterable[Problem], now: float) -> dict[str, Problem]:
    """The problems after some were told; those that are over need no more keeping."""
    left = dict(problems)
    for problem in told_now:
        if problem.recovered is not None:
            del left[problem.key]
        else:
            left[problem.key] = replace(problem, told=now, told_count=problem.count, mails=problem.mails + 1)
    return left


def one_line(text: str) -> str:
    """A text as one line without secrets, short enough for a phone."""
    line = " ".join(text.split())
    line = re.sub(r"://[^\s/]*@", "://…@", line)
    line = re.sub(
        r"(?i)\b(\w*(?:password|passwd|passphrase|secret|token|pwd)\w*\s*[=:]\s*)('[^']*'|\"[^\"]*\"|\S+)", r"\1…", line
    )
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
    key = f"backfill {run.backfill}" if run.backfill else f"{run.job}/{failure.step}"
    known = problems.get(key)
    if known is None:
        problem = Problem(key, failure.kind, run.job, failure.step, run.at, (failure.error,), backfill=run.backfill)
    elif failure.error in known.errors or len(known.errors) >= FIRST_ERRORS:
        problem = replace(known, count=known.count + 1)
    else:
        problem = replace(known, count=known.count + 1, errors=(*known.errors, failure.error))
    problem = replace(
        problem,
        days=_union(problem.days, run.days),
        assets=_union(problem.assets, failure.assets),
        owners=_union(problem.owners, failure.owners),
        run_id=run.run_id,
        recovered=None,
    )
    return {**problems, key: problem}


def _after_success(problems: Problems, run: RunEnded) -> dict[str, Problem]:
    result = dict(problems)
    for key, problem in problems.items():
        whole_job = problem.job == run.job and run.selection is None
        its_assets = run.selection is not None and bool(problem.assets) and run.selection.issuperset(problem.assets)
        if problem.recovered is None and (whole_job or its_assets):
            days = tuple(day for day in problem.days if day not in run.days)
            # Mended for good, the mail still says which days it was about.
            result[key] = replace(problem, days=days) if days else replace(problem, days=run.days, recovered=run.at)
    return result


def _after_freshness(problems: Problems, change: FreshnessChanged) -> dict[str, Problem]:
    known = problems.get(FRESHNESS_KEY)
    if not change.fresh:
        problem = known or Problem(FRESHNESS_KEY, Kind.FRESHNESS_MISSED, "", "", change.at, (), count=0)
        error = f"{change.asset} is later than its deadline"
        problem = replace(
            problem,
            count=problem.count + 1,
            errors=(problem.errors or (error,)),
            assets=_union(problem.assets, (change.asset,)),
            owners=_union(problem.owners, change.owners),
            recovered=None,
        )
        return {**problems, FRESHNESS_KEY: problem}
    if known is None or change.asset not in known.assets:
        return dict(problems)
    late = tuple(asset for asset in known.assets if asset != change.asset)
    over = replace(known, assets=late) if late else replace(known, recovered=change.at)
    return {**problems, FRESHNESS_KEY: over}


def _union(first: Iterable[str], second: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({*first, *second}))
