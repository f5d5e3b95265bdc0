"""Which day a DAG run is for, which days are refused, and what is asked of Dagster for them. Without Airflow."""

import ast
import datetime as dt
import importlib.util
import sys
from collections.abc import Mapping
from types import ModuleType, SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import graphql
import pytest
from dagster_graphql.schema import create_schema
from graphql.execution.values import get_variable_values

from oms_pipeline.automation import DAILY_JOB
from oms_pipeline.settings import PROJECT_DIR

Answers = Mapping[str, Any]

BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")


FOLDER = PROJECT_DIR / "deploy" / "airflow"
AIRFLOWS_OWN = {"airflow", "asgiref", "httpx", "pendulum"}


def plugin() -> ModuleType:
    """The module, which lies where Airflow imports it, not where Python does."""
    path = FOLDER / "plugins" / "oms_dagster_api.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


api: Any = plugin()
SCHEMA = create_schema().graphql_schema
JOB = api.Job(DAILY_JOB, "oms_pipeline", "__repository__")
KEYS = ["2026-03-01", "2026-03-02", "2026-03-03"]
NOW = 1_800_000_000.0


def dag_run(run_type: str, **instants: dt.datetime | None) -> SimpleNamespace:
    known = {"data_interval_end": None, "logical_date": None, "run_after": None, **instants}
    return SimpleNamespace(run_type=run_type, **known)


def run(run_id: str, status: str, age: float = 60.0, ended: float | None = 60.0, **tags: str) -> dict[str, Any]:
    """A run as Dagster tells it; `age` and `ended` in seconds before now, `_` in tags for `/`."""
    return {
        "__typename": "Run",
        "runId": run_id,
        "status": status,
        "creationTime": NOW - age,
        "endTime": None if ended is None else NOW - ended,
        "tags": [{"key": name.replace("_", "/", 1), "value": value} for name, value in tags.items()],
    }


def failure(step: str, description: str | None, *messages: str) -> dict[str, Any]:
    """The event of a step that failed: what it said itself, then its error and the causes."""
    error = {"message": messages[0], "causes": [{"message": text} for text in messages[1:]]} if messages else None
    return {
        "__typename": "ExecutionStepFailureEvent",
        "stepKey": step,
        "failureMetadata": {"description": description},
        "error": error,
    }


class Dagster:
    """Answers as Dagster does, from a list of runs (the newest first) and of the events of the failed one.

    Each question must be one that Dagster's own schema allows.
    """

    def __init__(self, *runs: dict[str, Any], events: tuple[dict[str, Any], ...] = (), launch: Answers | None = None):
        self.runs = {run["runId"]: run for run in runs}
        self.pages = [events[:1], events[1:]]
        self.launch = launch or {"__typename": "LaunchRunSuccess", "run": {"runId": "new"}}
        self.launched: list[dict[str, Any]] = []
        self.cancelled: list[str] = []
        self.refusing = False

    def ask(self, conversation: Any) -> Any:
        data = None
        while True:
            try:
                query, variables = conversation.send(data)
            except StopIteration as end:
                return end.value
            data = {"answer": self.answer(query, variables)}

    def answer(self, query: str, variables: dict[str, Any]) -> Answers:
        assert graphql.validate(SCHEMA, graphql.parse(query)) == []
        [operation] = graphql.parse(query).definitions
        assert isinstance(operation, graphql.OperationDefinitionNode)
        values = get_variable_values(SCHEMA, operation.variable_definitions, variables)
        assert isinstance(values, dict), values
        if query == api.PARTITIONS:
            assert variables["job"]["pipelineName"] == DAILY_JOB
            return {"__typename": "Pipeline", "partitionKeysOrError": {"partitionKeys": KEYS}}
        if query == api.RUNS:
            return {"__typename": "Runs", "results": list(self.runs.values())[:1]}
        if query == api.RUN:
            return self.runs.get(variables["run"], {"__typename": "RunNotFoundError", "message": "No such run"})
        if query == api.EVENTS:
            after = int(variables["after"] or 0)
            page = {"cursor": str(after + 1), "hasMore": after + 1 < len(self.pages), "events": self.pages[after]}
            return {"__typename": "Run", "eventConnection": page}
        if query == api.CANCEL:
            self.cancelled.append(variables["run"])
            if self.refusing:
                return {"__typename": "TerminateRunFailure", "message": "It cannot be terminated."}
            self.runs[variables["run"]]["status"] = "CANCELING"
            return {"__typename": "TerminateRunSuccess"}
        assert query == api.LAUNCH
        self.launched.append(variables["run"])
        return self.launch


def attach_or_launch(
    dagster: Dagster, number: int = 1, first_of_round: int = 1, days: Any = None, **options: bool
) -> tuple[str, bool]:
    attempt = api.Attempt("dag/run/task/-1", number, first_of_round)
    days = days or api.Days("2026-03-02", "2026-03-02")
    result: tuple[str, bool] = dagster.ask(api.attach_or_launch(JOB, days, attempt, NOW, **options))
    return result


# What it needs


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py")), ids=lambda path: path.name)
def test_the_trigger_needs_nothing_that_airflow_does_not_bring(path: Any) -> None:
    known = sys.stdlib_module_names | AIRFLOWS_OWN | {other.stem for other in FOLDER.rglob("*.py")}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            assert {name.partition(".")[0] for name in names} <= known


# Days


@pytest.mark.parametrize(
    ("instant", "timezone", "day"),
    [
        ("2026-03-29T00:30:00Z", BERLIN, "2026-03-28"),  # 01:30, half an hour before an hour is skipped
        ("2026-03-29T22:00:00Z", BERLIN, "2026-03-29"),  # midnight after the day of 23 hours
        ("2026-03-29T21:59:59Z", BERLIN, "2026-03-28"),
        ("2026-10-25T00:30:00Z", BERLIN, "2026-10-24"),  # 02:30 for the first time
        ("2026-10-25T01:30:00Z", BERLIN, "2026-10-24"),  # 02:30 for the second time
        ("2026-10-25T22:59:59Z", BERLIN, "2026-10-24"),  # the last second of the day of 25 hours
        ("2026-10-25T23:00:00Z", BERLIN, "2026-10-25"),
        ("2026-03-08T06:30:00Z", NEW_YORK, "2026-03-07"),
        ("2026-03-09T01:30:00Z", NEW_YORK, "2026-03-07"),  # already the 9th in London, still the 8th there
        ("2026-01-01T05:00:00Z", NEW_YORK, "2025-12-31"),
    ],
)
def test_the_data_day_is_the_day_before_the_runs_own_day_on_the_pipelines_calendar(
    instant: str, timezone: ZoneInfo, day: str
) -> None:
    assert api.data_day(dt.datetime.fromisoformat(instant), timezone).isoformat() == day


START = dt.datetime(2026, 3, 2, 0, 30, tzinfo=dt.UTC)
END = dt.datetime(2026, 3, 3, 0, 30, tzinfo=dt.UTC)
ASKED = dt.datetime(2026, 3, 3, 15, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # What Airflow 2 and Airflow 3 say of the same run.
        (
            dag_run("scheduled", logical_date=START, data_interval_end=END),
            dag_run("scheduled", logical_date=END, data_interval_end=END, run_after=END),
        ),
        (
            dag_run("backfill", logical_date=START, data_interval_end=END),
            dag_run("backfill", logical_date=END, data_interval_end=END, run_after=ASKED),
        ),
        (
            dag_run("manual", logical_date=ASKED, data_interval_end=END),
            dag_run("manual", run_after=ASKED),
        ),
        (
            dag_run("dataset_triggered", logical_date=ASKED, data_interval_end=END),
            dag_run("asset_triggered", run_after=ASKED),
        ),
    ],
    ids=lambda run: run.run_type,
)
def test_both_airflows_mean_the_same_day(one: SimpleNamespace, other: SimpleNamespace) -> None:
    assert api.own_instant(one) == api.own_instant(other)
    assert api.data_day(api.own_instant(one), BERLIN) == dt.date(2026, 3, 2)


def test_a_chosen_day_wins_over_the_day_before_and_a_range_includes_both_ends() -> None:
    before = dt.date(2026, 3, 2)
    assert api.chosen_days("", "", before) == api.Days("2026-03-02", "2026-03-02")
    assert api.chosen_days("2026-02-01", "", before) == api.Days("2026-02-01", "2026-02-01")
    assert api.chosen_days("2026-02-01", "2026-02-03", before) == api.Days("2026-02-01", "2026-02-03")


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [
        ("", "2026-02-03", "needs its first day"),
        ("yesterday", "", "'yesterday' is not a day"),
        ("20260201", "", "'20260201' is not a day"),
        ("2026-02-30", "", "'2026-02-30' is not a day"),
        ("2026-02-03", "2026-02-01", "Put the earlier day first"),
    ],
)
def test_what_is_not_a_day_or_a_range_is_refused(first: str, last: str, said: str) -> None:
    with pytest.raises(api.UnknownDayError, match=said):
        api.chosen_days(first, last, dt.date(2026, 3, 2))


@pytest.mark.parametrize("days", [("2026-02-28", "2026-02-28"), ("2026-03-02", "2026-03-04")])
def test_days_without_a_partition_are_never_launched(days: tuple[str, str]) -> None:
    dagster = Dagster()
    with pytest.raises(api.UnknownDayError, match=r"has no partition .* It knows 2026-03-01 to 2026-03-03"):
        attach_or_launch(dagster, days=api.Days(*days))
    assert dagster.launched == []


# Launches


def tags_of(launched: dict[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in launched["executionMetadata"]["tags"]}


def test_a_day_is_launched_as_a_partition_and_a_range_as_one_run() -> None:
    dagster = Dagster()
    attach_or_launch(dagster)
    attach_or_launch(dagster, days=api.Days("2026-03-01", "2026-03-03"))
    asked_by = {"airflow/task": "dag/run/task/-1", "airflow/round": "1"}
    assert [tags_of(launched) for launched in dagster.launched] == [
        {**asked_by, "dagster/partition": "2026-03-02"},
        {
            **asked_by,
            "dagster/asset_partition_range_start": "2026-03-01",
            "dagster/asset_partition_range_end": "2026-03-03",
        },
    ]


def test_a_launch_that_dagster_refuses_fails_with_what_it_says() -> None:
    refusal = {"__typename": "RunConfigValidationInvalid", "errors": [{"message": "Missing config"}]}
    with pytest.raises(api.DagsterError, match="does not launch daily_oms for 2026-03-02: Missing config"):
        attach_or_launch(Dagster(launch=refusal))


@pytest.mark.parametrize("number", [1, 2])
def test_a_run_that_goes_on_is_waited_for_on_a_retry_and_after_a_clear(number: int) -> None:
    dagster = Dagster(run("a", "STARTED", ended=None, airflow_round="1"))
    assert attach_or_launch(dagster, number, first_of_round=number) == ("a", True)
    assert dagster.launched == []


def test_a_run_that_has_succeeded_is_the_result_of_a_retry_but_not_of_a_cleared_task() -> None:
    dagster = Dagster(run("a", "SUCCESS", airflow_round="1"))
    assert attach_or_launch(dagster, number=2, first_of_round=1) == ("a", True)
    assert dagster.launched == []
    for number, first_of_round in ((1, 1), (3, 3), (4, 3)):  # the DAG run is new, the task cleared, then retried
        assert attach_or_launch(dagster, number, first_of_round) == ("new", False)


def test_a_cleared_task_cancels_the_run_it_waited_for_where_that_is_asked_for_and_launches_another() -> None:
    dagster = Dagster(run("a", "STARTED", ended=None, airflow_round="1"))
    assert attach_or_launch(dagster, number=2, first_of_round=1, cancel_run=True) == ("a", True)  # a retry
    assert attach_or_launch(dagster, number=2, first_of_round=2, cancel_run=True) == ("new", False)
    assert dagster.cancelled == ["a"]


@pytest.mark.parametrize("status", ["FAILURE", "CANCELING", "CANCELED"])
def test_after_a_failed_run_a_retry_launches_another(status: str) -> None:
    dagster = Dagster(run("a", status, airflow_round="1", **{"dagster_will_retry": "false"}))
    assert attach_or_launch(dagster, number=2) == ("new", False)
    assert len(dagster.launched) == 1


# Runs


def look(dagster: Dagster, run_id: str = "a") -> Any:
    return dagster.ask(api.look(run_id, NOW))


def test_dagsters_own_retry_is_followed() -> None:
    failed = run("a", "FAILURE", dagster_will_retry="true")
    assert look(Dagster(failed)) == api.Sight("a", "FAILURE", ended=False)
    failed["tags"].append({"key": "dagster/auto_retry_run_id", "value": "b"})
    assert look(Dagster(run("b", "STARTED", ended=None), failed)) == api.Sight("b", "STARTED", ended=False)
    assert look(Dagster(run("b", "SUCCESS"), failed)) == api.Sight("b", "SUCCESS", ended=True)


def test_a_failure_is_final_only_once_dagster_has_decided_about_a_retry() -> None:
    said = failure("raw", "No space left")
    assert not look(Dagster(run("a", "FAILURE", ended=1.0), events=(said,))).ended
    assert look(Dagster(run("a", "FAILURE", ended=1.0, dagster_will_retry="false"), events=(said,))).ended
    assert look(Dagster(run("a", "FAILURE", ended=api.DECIDES_WITHIN), events=(said,))).ended


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ((failure("raw", "No space left", "Failure: …"), failure("later", "other")), "failed. raw: No space left"),
        ((failure("raw", None, "Wrapped", "Middle", "ValueError: 3\n"),), "failed. raw: ValueError: 3"),
        (
            ({"__typename": "RunFailureEvent", "message": "Steps failed"}, failure("raw", "No space left")),
            "failed. raw: No space left",
        ),
        (({"__typename": "RunFailureEvent", "message": "It was killed"},), "failed. It was killed"),
        ((), "failed. Dagster does not say why."),
    ],
)
def test_a_failed_run_tells_what_its_first_failed_step_said(events: tuple[dict[str, Any], ...], said: str) -> None:
    sight = look(Dagster(run("a", "FAILURE", dagster_will_retry="false"), events=events))
    assert (sight.ended, sight.error) == (True, said)


def test_a_run_that_was_created_and_never_queued_is_given_up_and_replaced() -> None:
    assert not look(Dagster(run("a", "NOT_STARTED", age=1.0, ended=None))).ended
    forgotten = Dagster(run("a", "NOT_STARTED", age=api.NEVER_QUEUED_AFTER + 1, ended=None, airflow_round="1"))
    assert "never queued" in look(forgotten).error
    assert attach_or_launch(forgotten, number=2) == ("new", False)


def test_a_run_that_was_deleted_is_an_error() -> None:
    with pytest.raises(api.DagsterError, match="does not know run a any more: No such run"):
        look(Dagster())


def test_only_a_run_that_goes_on_is_cancelled_and_the_one_by_which_dagster_replaced_it() -> None:
    replaced = run("a", "FAILURE", dagster_will_retry="true", **{"dagster_auto_retry_run_id": "b"})
    dagster = Dagster(run("b", "STARTED", ended=None), replaced)
    dagster.ask(api.cancel("a", NOW))
    assert dagster.cancelled == ["b"]
    dagster.ask(api.cancel("a", NOW))
    assert dagster.cancelled == ["b"]
    done = Dagster(run("a", "SUCCESS"))
    done.ask(api.cancel("a", NOW))
    assert done.cancelled == []


def test_a_run_that_dagster_does_not_cancel_is_an_error_unless_it_has_ended_meanwhile() -> None:
    dagster = Dagster(run("a", "STARTED", ended=None))
    dagster.refusing = True
    with pytest.raises(api.DagsterError, match="does not cancel run a: It cannot be terminated"):
        dagster.ask(api.cancel("a", NOW))
    conversation = api.cancel("a", NOW)
    query, variables = next(conversation)
    query, variables = conversation.send({"answer": dagster.answer(query, variables)})
    refusal = dagster.answer(query, variables)
    dagster.runs["a"]["status"] = "CANCELED"  # somebody else was faster
    query, variables = conversation.send({"answer": refusal})
    with pytest.raises(StopIteration):
        conversation.send({"answer": dagster.answer(query, variables)})
