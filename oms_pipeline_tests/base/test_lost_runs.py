"""A run whose process is gone is found, whoever it was a process of; one that lives is left alone."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.launcher.base import WorkerStatus
from dagster._core.storage.dagster_run import DagsterRunStatus
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import GrpcServerTarget
from dagster._grpc.client import DagsterGrpcClient

from oms_pipeline import instance as oms_instance
from oms_pipeline.instance import RunLauncher
from oms_pipeline.settings import PROJECT_DIR
from oms_pipeline_tests.base.waiting import waiting

PATIENCE = 60.0
HOLDS_A_RUN = """
import sys, time
import dagster as dg
from oms_pipeline.instance import own_process
with dg.DagsterInstance.get() as instance, own_process(instance, sys.argv[1]):
    print("holding", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    (tmp_path / "dagster.yaml").write_text((PROJECT_DIR / "dagster.yaml").read_text())
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dg.DagsterInstance.get() as made:
        yield made


@pytest.fixture
def server(tmp_path: Path, instance: dg.DagsterInstance) -> Iterator[Callable[[], tuple[int, subprocess.Popen[bytes]]]]:
    """Starts the code server, always on the same port; what is left of it at the end is stopped."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started: list[subprocess.Popen[bytes]] = []

    def start() -> tuple[int, subprocess.Popen[bytes]]:
        module = "oms_pipeline_tests.base.waiting"
        process = subprocess.Popen(
            [sys.executable, "-m", "dagster", "api", "grpc", "-p", str(port), "-m", module, "--location-name", "test"],
            env={**os.environ, "WAIT_FOR": str(tmp_path / "go")},
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        started.append(process)
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                DagsterGrpcClient(port=port, host="127.0.0.1").ping("there?")
                return port, process
            except Exception:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.2)

    yield start
    for process in started:
        kill(process)


def kill(process: "subprocess.Popen[bytes]") -> None:
    """Ends a server and its runs at once, as the end of a container does."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)


def health(instance: dg.DagsterInstance, run_id: str) -> WorkerStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    assert isinstance(instance.run_launcher, RunLauncher)
    return instance.run_launcher.check_run_worker_health(run).status


def launch(instance: dg.DagsterInstance, port: int) -> str:
    """Launches the job as the daemon does."""
    target = GrpcServerTarget(port=port, socket=None, host="127.0.0.1", location_name="test")
    with WorkspaceProcessContext(instance, target) as context:
        workspace = context.create_request_context()
        job = workspace.get_code_location("test").get_repository("__repository__").get_full_job("waiting")
        run = instance.create_run_for_job(
            waiting, remote_job_origin=job.get_remote_origin(), job_code_origin=job.get_python_origin()
        )
        instance.launch_run(run.run_id, workspace)
    return run.run_id


def wait_until(instance: dg.DagsterInstance, run_id: str, status: DagsterRunStatus) -> None:
    deadline = time.monotonic() + PATIENCE
    while (run := instance.get_run_by_id(run_id)) is None or run.status is not status:
        assert time.monotonic() < deadline, run
        time.sleep(0.1)


@pytest.mark.slow
def test_a_run_is_lost_with_its_code_server_and_only_then(
    instance: dg.DagsterInstance,
    server: Callable[[], tuple[int, "subprocess.Popen[bytes]"]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port, process = server()
    run_id = launch(instance, port)
    wait_until(instance, run_id, DagsterRunStatus.STARTED)
    assert health(instance, run_id) is WorkerStatus.RUNNING

    kill(process)
    assert health(instance, run_id) is WorkerStatus.RUNNING, "a server that is silent for a moment has lost nothing yet"
    monkeypatch.setattr(oms_instance, "SILENCE_SECONDS", 0.0)
    assert health(instance, run_id) is WorkerStatus.NOT_FOUND

    server()
    assert health(instance, run_id) is WorkerStatus.NOT_FOUND, "the new server knows nothing of the old one's runs"

    (tmp_path / "go").touch()
    wait_until(instance, launch(instance, port), DagsterRunStatus.SUCCESS)


def test_a_run_of_the_command_line_is_lost_with_its_process_and_only_then(instance: dg.DagsterInstance) -> None:
    run = instance.create_run_for_job(waiting, status=DagsterRunStatus.STARTED)
    holder = subprocess.Popen([sys.executable, "-c", HOLDS_A_RUN, run.run_id], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"holding\n"
    assert health(instance, run.run_id) is WorkerStatus.RUNNING
    holder.kill()
    holder.wait(PATIENCE)
    assert health(instance, run.run_id) is WorkerStatus.NOT_FOUND
