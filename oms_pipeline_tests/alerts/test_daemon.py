"""A real `dagster dev` and a real mail server: what goes wrong and what recovers is told, and nothing else."""

import datetime as dt
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.dagster_run import FINISHED_STATUSES

from oms_pipeline.alerts import SENSOR, heartbeat_file
from oms_pipeline.instance import prepare_dagster_home
from oms_pipeline.settings import Settings, read_settings
from oms_pipeline_tests.alerts.conftest import StartServer, free_port
from oms_pipeline_tests.browser.site import noon, stop_all_in

LOCATION = Path(__file__).with_name("location.py")
PATIENCE = 1800.0
TICK = 30.0

RUN = """mutation run($parameters: ExecutionParams!) {
  launchRun(executionParams: $parameters) { __typename ... on LaunchRunSuccess { run { runId } } } }"""
BACKFILL = """mutation backfill($parameters: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $parameters) { __typename ... on LaunchBackfillSuccess { backfillId } } }"""


class Dev:
    """A running `dagster dev`, as somebody at its web UI uses it."""

    def __init__(self, port: int, instance: dg.DagsterInstance, settings: Settings) -> None:
        self.url = f"http://127.0.0.1:{port}/graphql"
        self.instance = instance
        self.settings = settings

    def ask(self, query: str, **parameters: Any) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": {"parameters": parameters}}).encode()
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})  # noqa: S310 (loopback)
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            data: dict[str, Any] = json.load(answer)
        assert "errors" not in data, data
        return data["data"]

    def run(self, job: str, **tags: str) -> None:
        """Launches a job and waits for its end."""
        selector = {"repositoryLocationName": LOCATION.name, "repositoryName": "__repository__", "jobName": job}
        listed = [{"key": key.replace("_", "/"), "value": value} for key, value in tags.items()]
        launched = self.ask(RUN, selector=selector, mode="default", executionMetadata={"tags": listed})["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        run_id = launched["run"]["runId"]
        wait_until(lambda: getattr(self.instance.get_run_by_id(run_id), "status", None) in FINISHED_STATUSES)

    def backfill(self, asset: str, days: list[str]) -> str:
        """Starts a backfill."""
        started = self.ask(BACKFILL, assetSelection=[{"path": asset.split("/")}], partitionNames=days)
        return str(started["launchPartitionBackfill"]["backfillId"])

    def failed_ticks(self) -> int:
        """How many of the sensor's newest ticks failed in a row."""
        (state,) = [s for s in self.instance.all_instigator_state() if s.instigator_name == SENSOR]
        ticks = self.instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=10)
        failed = [tick.error is not None for tick in ticks]
        return failed.index(False) if False in failed else len(failed)

    def has_started(self) -> bool:
        """Whether the web UI answers and the sensor has ticked."""
        try:
            self.ask("{ version }")
        except OSError:
            return False
        states = [s for s in self.instance.all_instigator_state() if s.instigator_name == SENSOR]
        return any(getattr(s.instigator_data, "cursor", None) for s in states)


def wait_until(condition: Callable[[], bool], patience: float = PATIENCE) -> None:
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, "waited for too long"
        time.sleep(1.0)


@pytest.mark.slow
def test_what_goes_wrong_and_recovers_is_told_and_nothing_else(
    tmp_path: Path, start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    timezone, smtp, port = noon(), free_port(), free_port()
    now = dt.datetime.now(timezone)
    yesterday = now.date() - dt.timedelta(days=1)
    due = now + dt.timedelta(minutes=3)
    variables = {
        "OMS_HOME": str(tmp_path),
        "OMS_START_DATE": f"{yesterday}",
        "OMS_TIMEZONE": timezone.key,
        "OMS_SMTP_URL": f"smtp://127.0.0.1:{smtp}",
        "OMS_MAIL_TO": "data@example.com",
    }
    settings = read_settings(variables)
    monkeypatch.setenv("DAGSTER_HOME", "")
    prepare_dagster_home(settings)
    server = start_server(tls="none", port=smtp)
    with (tmp_path / "dev.log").open("wb") as log, dg.DagsterInstance.get() as instance:
        dev = Dev(port, instance, settings)
        command = [sys.executable, "-m", "dagster", "dev", "-f", str(LOCATION), "-h", "127.0.0.1", "-p", str(port)]
        environment = {**os.environ, **variables, "DEADLINE": f"{due:%H:%M}"}
        try:
            subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=log, stderr=log, start_new_session=True)
            wait_until(dev.has_started)
            (tmp_path / "broken_orders").touch()
            (tmp_path / "broken_sums").touch()
            dev.run("nightly", dagster_partition=f"{yesterday}")
            dev.run("adding")
            days = [f"{yesterday - dt.timedelta(days=n)}" for n in range(30)]
            backfill = dev.backfill("ops/history", days)
            # A run and a check have failed, a deadline was missed, the morning's digest says so, a backfill failed.
            wait_until(lambda: len(server.mails) >= 5)
            server.stop()
            (tmp_path / "broken_orders").unlink()
            (tmp_path / "broken_sums").unlink()
            dev.run("nightly", dagster_partition=f"{yesterday}")
            dev.run("adding")
            wait_until(lambda: dev.failed_ticks() >= 2)
            told_before = len(server.mails)
            again = start_server(tls="none", port=smtp)
            wait_until(lambda: len(again.mails) >= 3)
            wait_until(lambda: dev.failed_ticks() == 0)
            time.sleep(3 * TICK)
            beat = time.time() - heartbeat_file(settings).stat().st_mtime
        finally:
            stop_all_in(tmp_path)

    assert sorted(server.subjects) == sorted(
        [
            "[OMS] nightly failed at raw__orders",
            "[OMS] adding: a check failed",
            "[OMS] Data is late",
            f"[OMS] Backfill {backfill} failed",
            f"[OMS] {yesterday:%A} {yesterday}: late",
        ]
    )
    assert told_before == 5
    assert sorted(again.subjects) == sorted(
        ["Re: [OMS] nightly failed at raw__orders", "Re: [OMS] adding: a check failed", "Re: [OMS] Data is late"]
    )
    (whole,) = [mail for mail in server.mails if "Backfill" in mail["Subject"]]
    assert "Times: 30 runs" in str(whole.get_body(("plain",)))
    assert beat < 2 * TICK
