"""Starts what the tests need: an Airflow with its own scheduler and triggerer, and a way to Dagster that can fail."""

import contextlib
import http.client
import json
import os
import secrets
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.error import URLError

from oms_pipeline.settings import PROJECT_DIR
from oms_pipeline_tests.browser.site import Site, stop_all_in
from oms_pipeline_tests.environments import environment

FOLDER: Final = Path(__file__).parent
DEPLOYED: Final = PROJECT_DIR / "deploy" / "airflow"
TOKEN: Final = f"Bearer {secrets.token_hex(16)}"
DONE: Final = {"success", "failed"}
PATIENCE: Final = 600.0
"""Seconds for anything to happen. An Airflow and a Dagster together are a dozen processes."""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait(what: str, condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """Waits until a condition gives something true, and gives that."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"Waited {seconds:.0f} s for {what}"
        time.sleep(0.3)
    return found


class Webserver:
    """A Dagster webserver on a site, beside its own: it can be stopped while the daemon and the runs go on."""

    def __init__(self, site: Site) -> None:
        self.port = free_port()
        self._site = site
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        home = self._site.home
        variables = {
            "OMS_HOME": str(home),
            "OMS_TIMEZONE": self._site.timezone.key,
            "DAGSTER_HOME": str(home / "dagster"),
        }
        command = [sys.executable, "-m", "dagster_webserver", "-w", str(PROJECT_DIR / "workspace.yaml")]
        with (home / "webserver.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "-h", "127.0.0.1", "-p", str(self.port)],
                cwd=home,
                env={**os.environ, **variables},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait("the webserver", self._answers)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE)

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """Asks Dagster, past Airflow and the gate."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:  # noqa: S310
            answer: dict[str, Any] = json.load(response)
        assert "errors" not in answer, answer
        return dict(answer["data"])

    def _answers(self) -> bool:
        with contextlib.suppress(URLError, ConnectionError):
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/server_info", timeout=PATIENCE).close()
            return True
        return False


@dataclass
class Gate:
    """Stands before Dagster as a company's proxy does: lets in who has the token, and hangs up if nobody is behind it.

    Attributes:
        url: Where it is.
        lose_answers_to: Requests with this word in them are passed on, and their answers are lost; once.
    """

    url: str
    lose_answers_to: str | None = None
    lost: list[str] = field(default_factory=list)


@contextlib.contextmanager
def gate(port: int) -> Iterator[Gate]:
    """A gate before a port."""
    opened = Gate("")

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Authorization") != TOKEN:
                self.send_error(401)
                return
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            try:
                connection.request("POST", self.path, body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                data = answer.read()
            except OSError:
                return  # closes the connection without an answer
            finally:
                connection.close()
            if opened.lose_answers_to is not None and opened.lose_answers_to.encode() in body:
                opened.lost.append(opened.lose_answers_to)
                opened.lose_answers_to = None
                return
            self.send_response(answer.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    opened.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield opened
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Airflow:
    """A real Airflow: scheduler, triggerer and what its version needs besides, with the deployed DAG and the tests' own.

    Attributes:
        version: 2 or 3.
        home: Its folder; everything that it writes is in it.
    """

    def __init__(self, version: int, home: Path, site: Site, dagster: str) -> None:
        self.version = version
        self.home = home
        self._bin = environment(FOLDER / f"airflow_{version}.txt")
        port = free_port()
        connection = {"conn_type": "http", "host": dagster, "extra": {"link": "https://dagster.example.com"}}
        known = {**connection, "extra": {**connection["extra"], "headers": {"Authorization": TOKEN}}}  # type: ignore[dict-item]
        ours = {
            name: value for name, value in os.environ.items() if not name.startswith(("OMS_", "DAGSTER_", "PYTHON"))
        }
        self._environment = {
            **ours,
            "PATH": f"{self._bin}{os.pathsep}{os.environ['PATH']}",  # Airflow calls itself by its name
            "AIRFLOW_HOME": str(home),
            "AIRFLOW_CONN_OMS_DAGSTER": json.dumps(known),
            "AIRFLOW_CONN_STRANGER": json.dumps(connection),
            "OMS_TIMEZONE": site.timezone.key,
            "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(DEPLOYED / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor" if version == 3 else "SequentialExecutor",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": str(PATIENCE),
            "AIRFLOW__API_AUTH__JWT_SECRET": "for tests on one machine, and long enough for SHA-512: " + "0" * 64,
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        (home / "dags").mkdir(parents=True)
        for dag in (*(DEPLOYED / "dags").glob("*.py"), *(FOLDER / "dags").glob("*.py")):
            (home / "dags" / dag.name).write_bytes(dag.read_bytes())

    def start(self) -> None:
        self.run("db", "migrate")
        parts = [["scheduler", "--skip-serve-logs"], ["triggerer", "--skip-serve-logs"]]
        if self.version == 3:
            parts += [["api-server"], ["dag-processor"]]
        for part in parts:
            with (self.home / f"{part[0]}.log").open("wb") as log:
                subprocess.Popen(
                    [self._bin / "airflow", *part],
                    cwd=self.home,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
        wait("the DAGs", lambda: {"daily_oms", "once"} <= {name for (name,) in self.ask("select dag_id from dag")})

    def stop(self) -> None:
        stop_all_in(self.home)

    def run(self, *arguments: str) -> str:
        """Runs a command of Airflow."""
        done = subprocess.run(
            [self._bin / "airflow", *arguments],
            cwd=self.home,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, f"airflow {' '.join(arguments)}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def ask(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        """Asks Airflow's database."""
        with contextlib.closing(
            sqlite3.connect(f"file:{self.home / 'airflow.db'}?mode=ro", uri=True, timeout=60)
        ) as db:
            return db.execute(query, values).fetchall()

    def trigger(self, dag: str, **conf: str) -> "Task":
        """Starts a DAG by hand."""
        name = f"{dag}-{time.monotonic_ns()}"
        self.run("dags", "trigger", "--run-id", name, "--conf", json.dumps(conf), dag)
        return Task(self, dag, name)


@dataclass(frozen=True)
class Task:
    """The one task of a DAG run."""

    airflow: Airflow
    dag: str
    run_id: str

    @property
    def state(self) -> str | None:
        [(state,)] = self.airflow.ask(
            "select state from task_instance where dag_id = ? and run_id = ?", self.dag, self.run_id
        ) or [(None,)]
        return None if state is None else str(state)

    @property
    def tries(self) -> int:
        [(tries,)] = self.airflow.ask(
            "select try_number from task_instance where dag_id = ? and run_id = ?", self.dag, self.run_id
        )
        return int(tries)

    @property
    def log(self) -> str:
        """All that was logged for the task, by workers and by the triggerer."""
        folder = self.airflow.home / "logs" / f"dag_id={self.dag}" / f"run_id={self.run_id}"
        return "\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.log*")))

    def waits(self) -> None:
        """Waits until the task is deferred."""
        wait(f"{self.run_id} to be deferred", lambda: self.state == "deferred" or self._not_yet(DONE))

    def ends(self) -> str:
        """Waits until the task has ended; gives its state."""
        wait(f"the end of {self.run_id}", lambda: self.state in DONE)
        return str(self.state)

    def result(self) -> dict[str, str]:
        """What the task has returned."""
        [(value,)] = self.airflow.ask(
            "select value from xcom where dag_id = ? and run_id = ? and key = 'return_value'", self.dag, self.run_id
        )
        value = json.loads(value)
        return dict(json.loads(value) if isinstance(value, str) else value)

    def clear(self) -> None:
        """Has the task run again, as somebody does in the UI."""
        if self.airflow.version == 3:
            self.airflow.run("dags", "clear", "--yes", "--run-id", self.run_id, self.dag)
            return
        [(date,)] = self.airflow.ask("select execution_date from dag_run where run_id = ?", self.run_id)
        instant = f"{date}+00:00"
        self.airflow.run("tasks", "clear", "--yes", "--start-date", instant, "--end-date", instant, self.dag)

    def _not_yet(self, states: set[str]) -> bool:
        assert self.state not in states, f"{self.run_id} is {self.state}:\n{self.log}"
        return False
