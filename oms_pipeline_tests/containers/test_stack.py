"""The stack runs: from nothing to a loaded day through the published port, and on while its parts are killed."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest

from oms_pipeline_tests.containers.stack import Stack, missing, wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(missing() is not None, reason=missing() or "A stack can run here."),
    pytest.mark.xdist_group("containers"),
]

TODAY = dt.datetime.now(dt.UTC).date()
FIRST, AFTER_DAEMON, AFTER_CODE, AFTER_POSTGRES = (TODAY - dt.timedelta(days=n) for n in (4, 3, 2, 1))

LAUNCH = """
mutation Launch($tags: [ExecutionTag!]!) {
  launchRun(executionParams: {
    selector: {repositoryLocationName: "oms_pipeline", repositoryName: "__repository__", jobName: "daily_oms"}
    executionMetadata: {tags: $tags}
    runConfigData: "{}"
  }) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}
"""
RUNS = """
query Runs($tags: [ExecutionTag!]!) {
  runsOrError(filter: {tags: $tags}) {
    ... on Runs { results { runId status stats { ... on RunStatsSnapshot { materializations } } } }
  }
}
"""
OPEN = """
set -e
oms sample init --start {first} --orders-per-day 300
oms sample simulate --days 4
touch $OMS_HOME/demo_loaded
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with a business that has lived four days, none of them loaded."""
    # Metabase is left out, so runs must not wait for it.
    settings = {"OMS_START_DATE": str(FIRST), "METABASE": "0", "OMS_METABASE_URL": "off"}
    made = Stack(tmp_path_factory.mktemp("stack"), settings)
    try:
        made.build()
        made.up("secrets", "postgres", "sample-oms")
        made.once("demo", OPEN.format(first=FIRST))
        made.up()
        yield made
    finally:
        made.down()


def launch(stack: Stack, day: dt.date) -> None:
    launched = stack.query(LAUNCH, tags=[{"key": "dagster/partition", "value": str(day)}])["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched


def runs(stack: Stack, day: dt.date) -> list[dict[str, Any]]:
    """The day's runs, the newest first: a retry carries its parent's tags."""
    found = stack.query(RUNS, tags=[{"key": "dagster/partition", "value": str(day)}])
    results: list[dict[str, Any]] = found["runsOrError"]["results"]
    return results


def wait_for_work(stack: Stack, day: dt.date) -> None:
    """Waits until the day's run has begun."""

    def is_at_work() -> bool:
        newest = runs(stack, day)[0]
        assert newest["status"] != "SUCCESS", newest
        return bool(newest["status"] == "STARTED")

    wait_until(f"{day} is at work", is_at_work)


def wait_for_success(stack: Stack, day: dt.date) -> None:
    wait_until(f"{day} is loaded", lambda: runs(stack, day)[0]["status"] == "SUCCESS")


def orders(stack: Stack) -> tuple[dict[str, int], dict[str, int]]:
    """Day → orders: in the OMS, and in the marts. Drafts and test orders are no orders."""
    in_oms = stack.run(
        "sample-oms", "psql", "--host=/var/run/postgresql", "-U", "oms", "-Atc",
        "select placed_at::date, count(*) from orders where placed_at is not null and not is_test group by 1",
    )  # fmt: skip
    ask = (
        "import duckdb; rows = duckdb.connect('/var/lib/oms/oms.duckdb', read_only=True).sql("
        "'select cast(placed_at as date), count(*) from marts.fct_orders group by 1').fetchall();"
        "print(*(f'{day}|{n}' for day, n in rows), sep='\\n')"
    )
    in_marts = stack.run("code", "python", "-c", ask)
    texts = (in_oms.split(), in_marts.split())
    of_oms, of_marts = ({day: int(n) for day, _, n in (line.partition("|") for line in text)} for text in texts)
    return of_oms, of_marts


def test_from_nothing_to_a_loaded_day_through_the_published_port(stack: Stack) -> None:
    launch(stack, FIRST)
    wait_for_success(stack, FIRST)
    # The others have changed since, and come with the day of their last change.
    _, in_marts = orders(stack)
    assert in_marts[str(FIRST)] > 0


@pytest.mark.parametrize(
    ("service", "day", "runs_needed"),
    [
        # The run is no process of the daemon: it goes on.
        pytest.param("daemon", AFTER_DAEMON, 1, id="daemon"),
        # The run dies with the code server, is found to be lost, and is run again.
        pytest.param("code", AFTER_CODE, 2, id="code server"),
        # The run waits for the database, or fails and is run again.
        pytest.param("postgres", AFTER_POSTGRES, 1, id="database"),
    ],
)
def test_a_part_that_is_killed_in_a_run_comes_back_and_the_day_is_loaded(
    stack: Stack, service: str, day: dt.date, runs_needed: int
) -> None:
    launch(stack, day)
    wait_for_work(stack, day)
    stack.kill(service)

    wait_for_success(stack, day)
    for part in ("postgres", "code", "web", "daemon"):
        stack.wait_for(part)
    found = runs(stack, day)
    assert [run["status"] for run in found] == ["SUCCESS", *["FAILURE"] * (len(found) - 1)]
    assert len(found) >= runs_needed


def test_after_all_that_was_killed_every_order_of_the_oms_is_in_the_marts(stack: Stack) -> None:
    assert [runs(stack, day)[0]["status"] for day in (FIRST, AFTER_DAEMON, AFTER_CODE, AFTER_POSTGRES)] == [
        "SUCCESS"
    ] * 4
    in_oms, in_marts = orders(stack)
    assert in_marts == in_oms


def test_nobody_outside_reaches_a_database_and_no_container_may_more_than_it_must(stack: Stack) -> None:
    for service in ("postgres", "sample-oms", "code", "web", "daemon"):
        found = stack.inspect(service)
        ports = found["HostConfig"]["PortBindings"] or {}
        assert any(ports.values()) is (service == "web")
        assert found["HostConfig"]["ReadonlyRootfs"] or service in ("postgres", "sample-oms")
        assert found["EffectiveCaps"] in (None, [])
        assert found["Config"]["User"] not in ("", "0", "root")
        assert stack.run(service, "grep", "NoNewPrivs", "/proc/self/status").split()[1] == "1"
