"""What is asked of Dagster, and what its answers mean. Sends nothing, and knows nothing of Airflow.

A question to Dagster takes several requests. It is written as a conversation: a generator that yields a GraphQL query
and its variables, is sent the `data` of the answer, and returns what it has found out. Its driver decides how to send.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import Any, Final

Conversation = Generator["tuple[str, dict[str, Any]]", "dict[str, Any]", Any]

TASK_TAG: Final = "airflow/task"
ROUND_TAG: Final = "airflow/round"
PARTITION_TAG: Final = "dagster/partition"
RANGE_START_TAG: Final = "dagster/asset_partition_range_start"
RANGE_END_TAG: Final = "dagster/asset_partition_range_end"
WILL_RETRY_TAG: Final = "dagster/will_retry"
RETRY_RUN_TAG: Final = "dagster/auto_retry_run_id"

ENDED: Final = {"SUCCESS", "FAILURE", "CANCELED"}
NEVER_QUEUED_AFTER: Final = 300.0
"""Seconds. A run is created and then queued, at once; a webserver that dies in between leaves it as it is for ever."""
DECIDES_WITHIN: Final = 30.0
"""Seconds. Dagster stores a failure first, and its decision whether to retry it after it."""

_RUN: Final = "runId status creationTime endTime tags { key value }"
PARTITIONS: Final = """
query Partitions($job: PipelineSelector!) {
  answer: pipelineOrError(params: $job) {
    __typename
    ... on Pipeline { partitionKeysOrError { partitionKeys } }
    ... on Error { message }
  }
}"""
RUNS: Final = f"""
query Runs($filter: RunsFilter!) {{
  answer: runsOrError(filter: $filter, limit: 1) {{
    __typename
    ... on Runs {{ results {{ {_RUN} }} }}
    ... on Error {{ message }}
  }}
}}"""
RUN: Final = f"""
query Run($run: ID!) {{
  answer: runOrError(runId: $run) {{ __typename ... on Run {{ {_RUN} }} ... on Error {{ message }} }}
}}"""
EVENTS: Final = """
query Events($run: ID!, $after: String) {
  answer: runOrError(runId: $run) {
    __typename
    ... on Run {
      eventConnection(afterCursor: $after, limit: 1000) {
        cursor
        hasMore
        events {
          __typename
          ... on ExecutionStepFailureEvent {
            stepKey
            failureMetadata { description }
            error { message causes { message } }
          }
          ... on RunFailureEvent { message }
        }
      }
    }
    ... on Error { message }
  }
}"""
LAUNCH: Final = """
mutation Launch($run: ExecutionParams!) {
  answer: launchRun(executionParams: $run) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on RunConfigValidationInvalid { errors { message } }
    ... on Error { message }
  }
}"""
CANCEL: Final = """
mutation Cancel($run: String!) {
  answer: terminateRun(runId: $run) { __typename ... on Error { message } }
}"""


class DagsterError(Exception):
    """Dagster can't be asked, or refuses. The message says what to do."""


class UnknownDayError(DagsterError):
    """A day that Dagster has no partition for: asking again does not help."""


@dataclass(frozen=True)
class Days:
    """A day, or a range of days that is one run; ISO dates, both ends included."""

    first: str
    last: str

    def __str__(self) -> str:
        return self.first if self.first == self.last else f"{self.first} to {self.last}"

    @property
    def tags(self) -> dict[str, str]:
        """What tells Dagster the days of a run."""
        if self.first == self.last:
            return {PARTITION_TAG: self.first}
        return {RANGE_START_TAG: self.first, RANGE_END_TAG: self.last}


@dataclass(frozen=True)
class Job:
    """Where Dagster finds a job."""

    name: str
    location: str
    repository: str

    @property
    def selector(self) -> dict[str, str]:
        """The job, as GraphQL asks for it."""
        return {
            "repositoryLocationName": self.location,
            "repositoryName": self.repository,
            "pipelineName": self.name,
        }


@dataclass(frozen=True)
class Attempt:
    """One try of an Airflow task.

    Attributes:
        task: Names the task in its DAG run; the same for all tries.
        number: Which try it is, from 1.
        first_of_round: The number of the first try since the task was last cleared. Retries belong to one round.
    """

    task: str
    number: int
    first_of_round: int


@dataclass(frozen=True)
class Sight:
    """A run as last seen.

    Attributes:
        run_id: The run, or the one by which Dagster has replaced it.
        status: Dagster's.
        ended: It will not change any more, nor be retried by Dagster.
        error: Why it failed, for people.
    """

    run_id: str
    status: str
    ended: bool
    error: str | None = None

    @property
    def goes_on(self) -> bool:
        """Whether it may still succeed."""
        return not self.ended and self.status != "CANCELING"


def data_day(own_instant: datetime, timezone: tzinfo) -> date:
    """The day whose data a run is for: the day before the run's own, on the calendar of a time zone."""
    return own_instant.astimezone(timezone).date() - timedelta(days=1)


def own_instant(dag_run: Any) -> datetime:
    """When a DAG run is due: the end of its data interval if a schedule made it, else the moment it was asked for.

    Airflow 2 names a scheduled run by the start of its interval, Airflow 3 by the end. A run by hand inherits the last
    interval in the one and none in the other.
    """
    by_schedule = str(getattr(dag_run.run_type, "value", dag_run.run_type)) in ("scheduled", "backfill")
    if by_schedule and dag_run.data_interval_end is not None:
        instant: datetime = dag_run.data_interval_end
    else:
        instant = dag_run.logical_date or dag_run.run_after
    return instant


def chosen_days(first: str, last: str, otherwise: date) -> Days:
    """The days that somebody has chosen; empty strings choose nothing.

    Raises:
        UnknownDayError: Not days, or only the last of a range.
    """
    if last and not first:
        raise UnknownDayError(f"A range that ends on {last} needs its first day, too.")
    first = first or otherwise.isoformat()
    days = Days(first, last or first)
    for day in (days.first, days.last):
        try:
            valid = date.fromisoformat(day).isoformat() == day
        except ValueError:
            valid = False
        if not valid:
            raise UnknownDayError(f"'{day}' is not a day. Write it as 2026-01-31.")
    if days.first > days.last:
        raise UnknownDayError(f"The range starts on {days.first} and ends on {days.last}. Put the earlier day first.")
    return days


def attach_or_launch(job: Job, days: Days, attempt: Attempt, now: float, *, cancel_run: bool = False) -> Conversation:
    """Finds the run that an earlier try of the task has launched, else launches one.

    A run that goes on is waited for, whoever cleared or retried the task. A run that has succeeded is the result of a
    retry, but not of a task that was cleared: somebody wants it to run again. After a run that failed or was
    cancelled comes a new one.

    Args:
        job: What to run.
        days: For which days; checked first, since Dagster itself launches a run for a day that does not exist.
        attempt: Who asks.
        now: Seconds since 1970.
        cancel_run: Clearing the task cancels its run. Who waits for that run may not have done so yet: it is cancelled
            here, too, and another one launched.

    Returns:
        The run's ID, and whether it was there before.

    Raises:
        UnknownDayError: The job has no such day.
        DagsterError: Dagster refuses.
    """
    answer = yield PARTITIONS, {"job": job.selector}
    _expect(answer, "Pipeline", f"Dagster does not know job {job.name} in location {job.location}")
    _check(days, answer["answer"]["partitionKeysOrError"]["partitionKeys"], job)

    asked_by = [{"key": TASK_TAG, "value": attempt.task}]
    answer = yield RUNS, {"filter": {"pipelineName": job.name, "tags": asked_by}}
    _expect(answer, "Runs", "Dagster does not tell its runs")
    earlier = answer["answer"]["results"]
    if earlier:
        newest = earlier[0]
        sight = yield from look(newest["runId"], now)
        if cancel_run and _tags(newest).get(ROUND_TAG) != str(attempt.first_of_round):
            yield from cancel(sight.run_id, now)
        elif sight.goes_on or (sight.status == "SUCCESS" and _same_round(newest, attempt)):
            return sight.run_id, True

    tags = {TASK_TAG: attempt.task, ROUND_TAG: str(attempt.first_of_round), **days.tags}
    launch = {
        "selector": job.selector,
        "runConfigData": {},
        "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in tags.items()]},
    }
    answer = yield LAUNCH, {"run": launch}
    _expect(answer, "LaunchRunSuccess", f"Dagster does not launch {job.name} for {days}")
    return answer["answer"]["run"]["runId"], False


def look(run_id: str, now: float) -> Conversation:
    """Looks at a run, and at what Dagster's own retries have made of it.

    Returns:
        A `Sight`.

    Raises:
        DagsterError: The run is gone.
    """
    while True:
        answer = yield RUN, {"run": run_id}
        _expect(answer, "Run", f"Dagster does not know run {run_id} any more")
        run = answer["answer"]
        status, tags = run["status"], _tags(run)
        if status != "FAILURE" or tags.get(WILL_RETRY_TAG) != "true" or RETRY_RUN_TAG not in tags:
            break
        run_id = tags[RETRY_RUN_TAG]
    if status == "FAILURE":
        undecided = WILL_RETRY_TAG not in tags and now - (run["endTime"] or run["creationTime"]) < DECIDES_WITHIN
        if undecided or tags.get(WILL_RETRY_TAG) == "true":
            return Sight(run_id, status, ended=False)
        error = yield from _why(run_id)
        return Sight(run_id, status, ended=True, error=f"failed. {error}")
    if status == "CANCELED":
        return Sight(run_id, status, ended=True, error="was cancelled in Dagster.")
    if status == "NOT_STARTED" and now - run["creationTime"] > NEVER_QUEUED_AFTER:
        return Sight(run_id, status, ended=True, error="was created and never queued. A retry launches another run.")
    return Sight(run_id, status, ended=status in ENDED)


def cancel(run_id: str, now: float) -> Conversation:
    """Cancels a run, or what Dagster has replaced it by; one that has ended stays as it is."""
    sight = yield from look(run_id, now)
    if not sight.goes_on:
        return
    answer = yield CANCEL, {"run": sight.run_id}
    sight = yield from look(sight.run_id, now)
    if sight.goes_on:  # else it has ended by itself, or somebody else was faster
        _expect(answer, "TerminateRunSuccess", f"Dagster does not cancel run {sight.run_id}")


def _check(days: Days, keys: Sequence[str], job: Job) -> None:
    known = f"It knows {keys[0]} to {keys[-1]}." if keys else "It knows no day yet."
    for day in (days.first, days.last):
        if day not in keys:
            raise UnknownDayError(
                f"{job.name} has no partition {day}. {known} "
                "A day comes into being when it has ended in OMS_TIMEZONE, which must be the same here and there."
            )


def _same_round(run: dict[str, Any], attempt: Attempt) -> bool:
    # The first try has nothing to go back to, even if a deleted DAG run of the same name has left a run behind.
    return attempt.number > attempt.first_of_round and _tags(run).get(ROUND_TAG) == str(attempt.first_of_round)


def _why(run_id: str) -> Conversation:
    """The step that failed first and what it said, else what the run said."""
    said = "Dagster does not say why."
    after: str | None = None
    while True:
        answer = yield EVENTS, {"run": run_id, "after": after}
        _expect(answer, "Run", f"Dagster does not know run {run_id} any more")
        page = answer["answer"]["eventConnection"]
        for event in page["events"]:
            if event["__typename"] == "ExecutionStepFailureEvent":
                return f"{event['stepKey']}: {_cause(event)}"
            if event["__typename"] == "RunFailureEvent":
                said = event["message"]
        if not page["hasMore"]:
            return said
        after = page["cursor"]


def _cause(event: dict[str, Any]) -> str:
    """What a step said itself, else the first cause of its error."""
    said: str | None = (event["failureMetadata"] or {}).get("description")
    if said:
        return said
    error = event["error"] or {"message": "The step failed.", "causes": []}
    messages = [error["message"], *(cause["message"] for cause in error["causes"])]
    return str(messages[-1]).strip()


def _tags(run: dict[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in run["tags"]}


def _expect(answer: dict[str, Any], kind: str, otherwise: str) -> None:
    found = answer["answer"]
    if found["__typename"] == kind:
        return
    said = found.get("message") or "; ".join(error["message"] for error in found.get("errors", []))
    raise DagsterError(f"{otherwise}: {said.strip() or found['__typename']}")
