"""The stack of docker-compose.yml, run by podman, started as `docker compose up` would start it.

podman-compose makes the containers. What podman leaves to systemd, which a test has not, is done here: asking the health
checks, and waiting for what `depends_on` says before the next service starts.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.error import URLError

import yaml

from oms_pipeline.settings import PROJECT_DIR

PATIENCE: Final = 300.0
# Of other projects' images, only PostgreSQL's is needed to load a day.
LEFT_OUT: Final = {"metabase", "dashboards", "mailpit", "minio", "airflow"}
# For machines where an image cannot be pulled, or a build needs to be told how to reach an index.
BASE: Final = os.environ.get("CONTAINERS_TEST_PYTHON_IMAGE")
POSTGRES: Final = os.environ.get("CONTAINERS_TEST_POSTGRES_IMAGE")
BUILD: Final = os.environ.get("CONTAINERS_TEST_BUILD_OPTIONS", "").split()


def missing() -> str | None:
    """Why no stack can run here; None where it can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "The stack's test runs on Linux as root: it kills processes of containers."
    for program in ("podman", "podman-compose"):
        if shutil.which(program) is None:
            return f"The stack's test needs podman and podman-compose, and {program} is not installed."
    return None


class Stack:
    """A running stack.

    Attributes:
        folder: The compose file as the image brings it, and the .env beside it.
        url: Where the web UI is published.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self.folder = folder
        self.name = f"oms-test-{os.getpid()}"
        self.image = f"localhost/{self.name}"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{probe.getsockname()[1]}"
        self.url = f"http://{address}"
        self._settings = {"OMS_IMAGE": self.image, "WEB_ADDRESS": address, **settings}
        self._services: dict[str, Any] = {}
        self._started: set[str] = set()
        self._files = ["-f", "docker-compose.yml", "-f", "podman.yml"]

    def build(self) -> None:
        """Builds the image, and takes the compose file out of it, as a host does that has nothing else."""
        base = ["--build-arg", f"PYTHON_IMAGE={BASE}"] if BASE else []
        run("podman", "build", "--format", "docker", "--tag", self.image, *base, *BUILD, str(PROJECT_DIR))
        container = run("podman", "create", self.image).strip()
        workdir = run("podman", "inspect", "--format", "{{.Config.WorkingDir}}", self.image).strip()
        for name in ("docker-compose.yml", "deploy"):
            run("podman", "cp", f"{container}:{workdir}/{name}", str(self.folder / name))
        run("podman", "rm", container)
        text = "".join(f"{name}={value}\n" for name, value in self._settings.items())
        (self.folder / ".env").write_text(text, encoding="utf-8")
        services = yaml.safe_load((self.folder / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
        self._services = {name: service for name, service in services.items() if name not in LEFT_OUT}
        # In a read-only container podman lays a /run of root's own over the one in which the image has its socket.
        changes: dict[str, dict[str, Any]] = {
            name: {"read_only": False} | ({"image": POSTGRES} if POSTGRES else {})
            for name, found in services.items()
            if found["image"].startswith("postgres:")
        }
        (self.folder / "podman.yml").write_text(yaml.safe_dump({"services": changes}), encoding="utf-8")

    def up(self, *only: str) -> None:
        """Starts services, or some of them, each once what it depends on is healthy or done."""
        wanted = set(only or self._services)
        while wanted - self._started:
            ready = [
                name
                for name, service in self._services.items()
                if name in wanted - self._started and set(service.get("depends_on", {})) <= self._started
            ]
            for name in ready:
                self.compose("up", "--detach", "--no-deps", "--no-build", name)
                self.wait_for(name)
                self._started.add(name)

    def down(self) -> None:
        """Stops everything, and forgets its data and its image."""
        subprocess.run(["podman-compose", "-p", self.name, *self._files, "down", "--volumes"], cwd=self.folder)
        subprocess.run(["podman", "rmi", "--force", self.image], stdout=subprocess.DEVNULL)

    def wait_for(self, service: str) -> None:
        """Waits until a service is healthy, or has done its work if it is one that exits."""
        one_shot = self._services[service]["restart"] == "no"
        try:
            wait_until(f"{service} is up", lambda: self.done(service) if one_shot else self.healthy(service))
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.logs(service)}") from error

    def healthy(self, service: str) -> bool:
        """What its health check says now."""
        check = ["podman", "healthcheck", "run", self.container(service)]
        return subprocess.run(check, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0

    def done(self, service: str) -> bool:
        """Whether it has exited with success."""
        state = self.inspect(service)["State"]
        assert state["Status"] != "exited" or state["ExitCode"] == 0, self.logs(service)
        return bool(state["Status"] == "exited")

    def kill(self, service: str) -> None:
        """Kills the container's first process, as the kernel does when memory runs out: all its others go with it."""
        before = self.inspect(service)["State"]["Pid"]
        os.kill(before, signal.SIGKILL)
        wait_until(f"{service} was started again", lambda: self.inspect(service)["State"]["Pid"] not in (0, before))

    def inspect(self, service: str) -> dict[str, Any]:
        """All that podman knows of a service's container."""
        found: dict[str, Any] = json.loads(run("podman", "inspect", self.container(service)))[0]
        return found

    def logs(self, service: str) -> str:
        """The end of what it wrote."""
        return run("podman", "logs", "--tail", "60", self.container(service))

    def once(self, service: str, script: str) -> str:
        """Runs a shell script in a new container of a service, which is gone afterwards."""
        return self.compose("run", "--rm", "--no-deps", "-T", service, "sh", "-c", script)

    def run(self, service: str, *command: str) -> str:
        """Runs a command in a service's container."""
        return run("podman", "exec", self.container(service), *command)

    def container(self, service: str) -> str:
        """The name of a service's container."""
        return f"{self.name}_{service}_1"

    def compose(self, *words: str) -> str:
        """podman-compose, on this stack."""
        return run("podman-compose", "-p", self.name, *self._files, *words, cwd=self.folder)

    def query(self, query: str, **variables: Any) -> dict[str, Any]:
        """Asks Dagster through the published port."""
        request = urllib.request.Request(  # noqa: S310 (loopback)
            f"{self.url}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 (loopback)
            found = json.load(answer)
        assert "errors" not in found, found
        data: dict[str, Any] = found["data"]
        return data


def run(*command: str, cwd: Path | None = None) -> str:
    """Runs a command; what it says is the error if it fails."""
    # The tests unset the pipeline's variables, and one that is set to nothing would win over the stack's .env.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMS_", "SNOWFLAKE_"))}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout


def wait_until(what: str, happened: Callable[[], bool], patience: float = PATIENCE) -> None:
    """Asks again and again; a server that does not answer yet has not happened yet."""
    deadline = time.monotonic() + patience
    while True:
        try:
            if happened():
                return
        except (URLError, ConnectionError, TimeoutError):
            pass
        assert time.monotonic() < deadline, f"Waited in vain until {what}."
        time.sleep(1)
