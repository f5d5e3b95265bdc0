"""Airflow runs days in Dagster: real schedulers and triggerers of both kinds, a real webserver, daemon and data."""

import contextlib
import datetime as dt
import os
import re
import signal
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

from oms_pipeline_tests.airflow.servers import TOKEN, Airflow, Gate, Task, Webserver, wait
from oms_pipeline_tests.browser.site import Site

pytestmark = pytest.mark.slow

RUNS = """
query Runs($tags: [ExecutionTag!]) {
  runsOrError(filter: { tags: $tags }) {
    ... on Runs { results { runId status parentRunId tags { key value } eventConnection { events { ... on EngineEvent { message } } } } }
  }
}"""


def runs_of(dagster: Webserver, task: Task) -> list[dict[str, Any]]:
    """The runs that were launched for a task, the first one first."""
    tag = {"key": "airflow/task", "value": f"{task.dag}/{task.run_id}/run/-1"}
    runs: list[dict[str, Any]] = dagster.ask(RUNS, tags=[tag])["runsOrError"]["results"]
    return runs[::-1]


def statuses(dagster: Webserver, task: Task) -> list[str]:
    return [run["status"] for run in runs_of(dagster, task)]


def tags_of(run: dict[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in run["tags"]}


def assert_goes_on(dagster: Webserver, task: Task) -> None:
    """One run was launched, and it has not ended."""
    [status] = statuses(dagster, task)
    assert status in {"QUEUED", "STARTING", "STARTED"}


@contextlib.contextmanager
def held(site: Site) -> Iterator[None]:
    """Reads the warehouse meanwhile, so that a run lands its day and then waits."""
    with duckdb.connect(str(site.home / "oms.duckdb"), read_only=True):
        yield


def assert_loaded(site: Site, day: dt.date) -> None:
    """Every order of the day's file that a mart shows is there, as it was landed or as it has become since."""
    [file] = site.landed(day, "orders")
    landed = site.rows(f"select count(*) from read_parquet('{file}') where status <> 'draft' and not is_test")
    found = site.rows(
        f"select count(*) from read_parquet('{file}') as landed inner join marts.fct_orders as fct using (order_id) "
        "where fct.updated_at >= timezone('UTC', landed.updated_at) and not landed.is_test and landed.status <> 'draft'"
    )
    assert landed == found != [(0,)]


def test_the_deployed_dag_loads_the_day_before_once_it_is_switched_on(
    airflow: Airflow, dagster: Webserver, site: Site
) -> None:
    airflow.run("dags", "unpause", "daily_oms")
    # The last tick of the schedule is caught up with at once.
    query = "select run_id from dag_run where dag_id = 'daily_oms' and run_type = 'scheduled'"
    [(name,)] = wait("the schedule", lambda: airflow.ask(query))
    task = Task(airflow, "daily_oms", name)
    assert task.ends() == "success", task.log
    [run] = runs_of(dagster, task)
    yesterday = dt.datetime.now(site.timezone).date() - dt.timedelta(days=1)
    assert (run["status"], tags_of(run)["dagster/partition"]) == ("SUCCESS", str(yesterday))
    assert_loaded(site, yesterday)
    assert task.result() == {"run_id": run["runId"], "url": f"https://dagster.example.com/runs/{run['runId']}"}


def test_a_range_is_one_run(airflow: Airflow, dagster: Webserver, site: Site) -> None:
    first, last = site.range
    airflow.run("dags", "unpause", "daily_oms")
    task = airflow.trigger("daily_oms", first_day=str(first), last_day=str(last))
    assert task.ends() == "success", task.log
    [run] = runs_of(dagster, task)
    assert run["status"] == "SUCCESS"
    assert (first, last) == tuple(
        dt.date.fromisoformat(tags_of(run)[f"dagster/asset_partition_range_{end}"]) for end in ("start", "end")
    )
    for day in (first, last):
        assert_loaded(site, day)


def test_a_day_that_has_not_ended_is_refused_at_once(airflow: Airflow, dagster: Webserver, site: Site) -> None:
    today = dt.datetime.now(site.timezone).date()
    task = airflow.trigger("twice", first_day=str(today))
    assert task.ends() == "failed"
    assert f"daily_oms has no partition {today}. It knows {site.first_day} to {site.unloaded}." in task.log
    assert (task.tries, runs_of(dagster, task)) == (1, [])


def test_a_failed_run_fails_the_task_with_its_error_and_a_link_and_a_retry_launches_another(
    airflow: Airflow, dagster: Webserver, site: Site
) -> None:
    [file] = site.landed(site.loaded, "orders")
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    try:
        task = airflow.trigger("twice", first_day=str(site.loaded))
        assert task.ends() == "failed"
    finally:
        file.write_bytes(whole)
    runs = runs_of(dagster, task)
    assert [run["status"] for run in runs] == ["FAILURE", "FAILURE"]
    for run in runs:
        said = rf"daily_oms for {site.loaded} failed\. .*is not the file that was landed.*runs/{run['runId']}"
        assert re.search(said, task.log), task.log


def test_a_restart_of_the_webserver_in_the_middle_changes_nothing(
    airflow: Airflow, dagster: Webserver, site: Site
) -> None:
    with held(site):
        task = airflow.trigger("once", first_day=str(site.single))
        task.waits()
        dagster.stop()
        wait("the triggerer to notice", lambda: "Dagster does not answer on" in task.log)
        dagster.start()
    assert task.ends() == "success", task.log
    assert statuses(dagster, task) == ["SUCCESS"]


def test_a_wait_that_took_too_long_fails_and_its_retry_waits_for_the_same_run(
    airflow: Airflow, dagster: Webserver, site: Site
) -> None:
    with held(site):
        task = airflow.trigger("impatient", first_day=str(site.loaded))
        wait("the second try", lambda: "Wait again for daily_oms" in task.log)
        assert f"daily_oms for {site.loaded} has not ended in time, and goes on: it is " in task.log
        assert_goes_on(dagster, task)
    assert task.ends() == "success", task.log
    assert statuses(dagster, task) == ["SUCCESS"]
    assert task.tries > 1


def test_a_launch_whose_answer_was_lost_is_not_launched_twice(
    airflow: Airflow, dagster: Webserver, proxy: Gate, site: Site
) -> None:
    proxy.lose_answers_to = "launchRun"
    task = airflow.trigger("twice", first_day=str(site.loaded))
    assert task.ends() == "success", task.log
    assert proxy.lost.pop() == "launchRun"
    assert (task.tries, statuses(dagster, task)) == (2, ["SUCCESS"])


def test_dagsters_own_retry_of_a_killed_run_is_waited_for(airflow: Airflow, dagster: Webserver, site: Site) -> None:
    def process() -> int | None:
        [run] = runs_of(dagster, task)
        messages = [event.get("message", "") for event in run["eventConnection"]["events"]]
        found = re.search(r"Executing steps in process \(pid: (\d+)\)", "\n".join(messages))
        return int(found[1]) if found else None

    with held(site):
        task = airflow.trigger("once", first_day=str(site.loaded))
        task.waits()
        os.kill(wait("the run's process", process), signal.SIGKILL)
        wait("Dagster's retry", lambda: len(runs_of(dagster, task)) == 2)
    assert task.ends() == "success", task.log
    killed, retried = runs_of(dagster, task)
    assert (killed["status"], retried["status"]) == ("FAILURE", "SUCCESS")
    assert task.result()["run_id"] == retried["runId"]
    assert task.tries == 1


def test_a_task_that_is_cleared_while_it_waits_leaves_its_run_alone_and_waits_again(
    airflow: Airflow, dagster: Webserver, site: Site
) -> None:
    with held(site):
        task = airflow.trigger("twice", first_day=str(site.loaded))
        task.waits()
        task.clear()
        wait("the second try", lambda: "Wait again for daily_oms" in task.log)
        assert_goes_on(dagster, task)
    assert task.ends() == "success", task.log
    assert statuses(dagster, task) == ["SUCCESS"]
    task.clear()  # now that it has succeeded, somebody wants it to run again
    wait("the third try", lambda: task.tries == 3)
    assert task.ends() == "success", task.log
    assert statuses(dagster, task) == ["SUCCESS", "SUCCESS"]


def test_a_task_that_is_cleared_while_it_waits_cancels_its_run_where_that_was_asked_for(
    airflow: Airflow, dagster: Webserver, site: Site
) -> None:
    with held(site):
        task = airflow.trigger("cancelling", first_day=str(site.loaded))
        task.waits()
        wait("the run", lambda: statuses(dagster, task) == ["STARTED"])
        task.clear()
        wait("its end", lambda: statuses(dagster, task)[0] in ("CANCELING", "CANCELED"))
    wait("the other run", lambda: statuses(dagster, task) == ["CANCELED", "SUCCESS"])


def test_who_has_no_token_is_told_and_the_token_is_nowhere_in_airflow(
    airflow: Airflow, dagster: Webserver, site: Site
) -> None:
    task = airflow.trigger("stranger", first_day=str(site.loaded))
    assert task.ends() == "failed"
    assert "refuses the login (401). Correct the connection in Airflow." in task.log
    assert runs_of(dagster, task) == []
    secret = TOKEN.removeprefix("Bearer ").encode()
    written = [path for path in airflow.home.rglob("*") if path.is_file()]
    assert [path for path in written if secret in path.read_bytes()] == []
