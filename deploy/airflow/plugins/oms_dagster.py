"""Runs days of the OMS pipeline from Airflow: launches a run in Dagster over HTTP, and waits for it without a worker.

For Airflow 2.11 and 3.3. Lies in Airflow's plugins folder, where the triggerer finds it, too. Needs nothing that
Airflow does not bring; imports neither Dagster nor the pipeline.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

try:
    from airflow.sdk import BaseHook, BaseOperator
    from airflow.sdk.exceptions import AirflowException, AirflowFailException
except ImportError:  # Airflow 2
    from airflow.exceptions import AirflowException, AirflowFailException
    from airflow.hooks.base import BaseHook
    from airflow.models.baseoperator import BaseOperator

from oms_dagster_api import (
    Attempt,
    Conversation,
    DagsterError,
    Job,
    UnknownDayError,
    attach_or_launch,
    cancel,
    chosen_days,
    data_day,
    look,
    own_instant,
)

REQUEST_SECONDS = 60.0


class DagsterDaysOperator(BaseOperator):
    """Runs a Dagster job for a day, or for a range of days as one run, and waits for it, deferred.

    A retry waits for the run that an earlier try has launched, and launches another only once that has failed.

    Args:
        first_day: ISO date; empty for the day before the run's own, in `timezone`.
        last_day: ISO date; empty for `first_day`.
        timezone: Where the days of the job start and end; an IANA name.
        job: The job.
        location: Its code location in Dagster.
        repository: Its repository.
        connection_id: Airflow's connection to Dagster's webserver.
        timeout: How long to wait for a run. It goes on when the time is over.
        poll_seconds: How often to look.
        cancel_run: Cancel the run in Dagster when somebody clears the task, or marks it as done, while it waits.

    Returns (XCom):
        The run's ID and its address: `run_id`, `url`.
    """

    template_fields = ("first_day", "last_day")

    def __init__(
        self,
        *,
        timezone: str,
        first_day: str = "",
        last_day: str = "",
        job: str = "daily_oms",
        location: str = "oms_pipeline",
        repository: str = "__repository__",
        connection_id: str = "oms_dagster",
        timeout: timedelta = timedelta(hours=6),
        poll_seconds: float = 10.0,
        cancel_run: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.timezone = timezone
        self.first_day = first_day
        self.last_day = last_day
        self.job = job
        self.location = location
        self.repository = repository
        self.connection_id = connection_id
        self.timeout = timeout
        self.poll_seconds = poll_seconds
        self.cancel_run = cancel_run

    def execute(self, context: Any) -> None:
        """Launches the run, or finds it, and defers."""
        job = Job(self.job, self.location, self.repository)
        connection = BaseHook.get_connection(self.connection_id)
        try:
            dagster = _address(connection)
            own_day = data_day(own_instant(context["dag_run"]), ZoneInfo(self.timezone))
            days = chosen_days(self.first_day, self.last_day, otherwise=own_day)
            attempt = _attempt(context["ti"], self.retries or 0)
            asked = attach_or_launch(job, days, attempt, time.time(), cancel_run=self.cancel_run)
            run_id, was_there = dagster.ask(asked)
        except UnknownDayError as error:
            raise AirflowFailException(str(error)) from None
        except DagsterError as error:
            raise AirflowException(str(error)) from None
        verb = "Wait again for" if was_there else "Launched"
        self.log.info("%s %s for %s: %s", verb, self.job, days, dagster.run_url(run_id))
        self.defer(
            trigger=DagsterRunTrigger(
                connection_id=self.connection_id,
                run_id=run_id,
                name=f"{self.job} for {days}",
                deadline=time.time() + self.timeout.total_seconds(),
                poll_seconds=self.poll_seconds,
                cancel_run=self.cancel_run,
            ),
            method_name="execute_complete",
        )

    def execute_complete(self, context: Any, event: dict[str, Any]) -> dict[str, str]:
        """Ends as the run did."""
        if event["error"] is not None:
            raise AirflowException(event["error"])
        self.log.info("Dagster has run %s", event["url"])
        return {"run_id": event["run_id"], "url": event["url"]}


class DagsterRunTrigger(BaseTrigger):
    """Waits for a run, and for those by which Dagster retries it. Survives restarts of Dagster and of the triggerer.

    Args:
        connection_id: Airflow's connection to Dagster's webserver; the login itself is stored nowhere else.
        run_id: The run.
        name: What it runs, for people.
        deadline: When to give up, in seconds since 1970.
        poll_seconds: How often to look.
        cancel_run: Cancel the run when somebody acts on the waiting task.
    """

    def __init__(
        self, connection_id: str, run_id: str, name: str, deadline: float, poll_seconds: float, cancel_run: bool
    ) -> None:
        super().__init__()
        self.connection_id = connection_id
        self.run_id = run_id
        self.name = name
        self.deadline = deadline
        self.poll_seconds = poll_seconds
        self.cancel_run = cancel_run

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """What Airflow stores of the trigger."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            "connection_id": self.connection_id,
            "run_id": self.run_id,
            "name": self.name,
            "deadline": self.deadline,
            "poll_seconds": self.poll_seconds,
            "cancel_run": self.cancel_run,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Fires once: with the end of the run, or with what stands in its way."""
        try:
            yield await self._wait()
        except asyncio.CancelledError:
            # Airflow 3 itself tells a task that was acted on from a triggerer that stops, and calls on_kill.
            if not hasattr(BaseTrigger, "on_kill") and await sync_to_async(self._is_abandoned)():
                await self.on_kill()
            raise

    async def on_kill(self) -> None:
        """Somebody has cleared the task, or marked it as done."""
        if self.cancel_run:
            dagster = await self._dagster()
            async with dagster.client() as client:
                await dagster.ask_async(client, cancel(self.run_id, time.time()))
            self.log.info("Cancelled %s", dagster.run_url(self.run_id))

    async def _wait(self) -> TriggerEvent:
        dagster = await self._dagster()
        seen = "was not seen"
        async with dagster.client() as client:
            while True:
                try:
                    sight = await dagster.ask_async(client, look(self.run_id, time.time()))
                    if sight.ended:
                        return self._event(dagster, sight.run_id, sight.error)
                    seen = f"is {sight.status}"
                except _UnreachableError as error:
                    # Dagster restarts, and the run goes on meanwhile.
                    seen = f"was not seen any more. {error}".rstrip(".")
                    self.log.warning("%s Looking again in %s s.", error, self.poll_seconds)
                except DagsterError as error:
                    return self._event(dagster, self.run_id, f"cannot be followed. {error}")
                left = self.deadline - time.time()
                if left <= 0:
                    late = f"has not ended in time, and goes on: it {seen}. A retry waits for the same run."
                    return self._event(dagster, self.run_id, late)
                await asyncio.sleep(min(self.poll_seconds, left))

    def _event(self, dagster: _Address, run_id: str, error: str | None) -> TriggerEvent:
        url = dagster.run_url(run_id)
        message = None if error is None else f"{self.name} {error} See {url}"
        return TriggerEvent({"run_id": run_id, "url": url, "error": message})

    async def _dagster(self) -> _Address:
        if hasattr(BaseHook, "aget_connection"):
            return _address(await BaseHook.aget_connection(self.connection_id))
        return _address(await sync_to_async(BaseHook.get_connection)(self.connection_id))

    def _is_abandoned(self) -> bool:
        """Whether the task does not wait for this trigger any more (Airflow 2)."""
        from airflow.models.taskinstance import TaskInstance
        from airflow.utils.session import create_session

        with create_session() as session:
            waiting = session.query(TaskInstance).filter_by(trigger_id=self.trigger_id, state="deferred").count()
        return not waiting


class _UnreachableError(DagsterError):
    """Dagster does not answer now."""


@dataclass(frozen=True)
class _Address:
    """Dagster's webserver.

    Attributes:
        url: Of the webserver, without a slash at the end.
        link: The same as people reach it.
        headers: Sent with each request; secret.
        auth: User and password; secret.
    """

    url: str
    link: str
    headers: dict[str, str] = field(repr=False)
    auth: tuple[str, str] | None = field(repr=False)

    def run_url(self, run_id: str) -> str:
        """The run's page."""
        return f"{self.link}/runs/{run_id}"

    def ask(self, conversation: Conversation) -> Any:
        """Has a conversation with Dagster; gives its result."""
        data: dict[str, Any] | None = None
        with httpx.Client(**self._options()) as client:
            while True:
                try:
                    query, variables = conversation.send(data)  # type: ignore[arg-type]
                except StopIteration as end:
                    return end.value
                try:
                    response = client.post("/graphql", json={"query": query, "variables": variables})
                except httpx.TransportError as error:
                    raise self._unreachable(error) from None
                data = self._data(response)

    def client(self) -> httpx.AsyncClient:
        """A client for `ask_async`. Making one reads certificates, and every other trigger waits meanwhile."""
        return httpx.AsyncClient(**self._options())

    async def ask_async(self, client: httpx.AsyncClient, conversation: Conversation) -> Any:
        """The same, without keeping others waiting."""
        data: dict[str, Any] | None = None
        while True:
            try:
                query, variables = conversation.send(data)  # type: ignore[arg-type]
            except StopIteration as end:
                return end.value
            try:
                response = await client.post("/graphql", json={"query": query, "variables": variables})
            except httpx.TransportError as error:
                raise self._unreachable(error) from None
            data = self._data(response)

    def _options(self) -> dict[str, Any]:
        return {"base_url": self.url, "headers": self.headers, "auth": self.auth, "timeout": REQUEST_SECONDS}

    def _unreachable(self, error: httpx.TransportError) -> _UnreachableError:
        return _UnreachableError(f"Dagster does not answer on {self.url} ({type(error).__name__}).")

    def _data(self, response: httpx.Response) -> dict[str, Any]:
        status = response.status_code
        if status in (401, 403):
            raise DagsterError(f"{self.url} refuses the login ({status}). Correct the connection in Airflow.")
        try:
            answer = response.json()
        except ValueError:
            answer = None
        said = "".join(f": {error['message']}" for error in (answer or {}).get("errors", [])[:1])
        if status >= 500 or status in (408, 429):
            raise _UnreachableError(f"Dagster on {self.url} answers with {status}{said}.")
        if said or answer is None:
            raise DagsterError(f"{self.url} is no Dagster that this operator knows: it answers with {status}{said}.")
        data: dict[str, Any] = answer["data"]
        return data


def _address(connection: Any) -> _Address:
    """Reads an Airflow connection: host with or without scheme, port, login and password, and in `extra` what else.

    `extra`: `headers`, an object; `link`, the address under which people reach Dagster's web UI, if it is another.
    """
    host = (connection.host or "").rstrip("/")
    if not host:
        raise DagsterError(f"Connection {connection.conn_id} names no host. Set it to the host of Dagster's webserver.")
    if "://" not in host:
        scheme = connection.schema or ("https" if connection.conn_type == "https" else "http")
        host = f"{scheme}://{host}"
    url = f"{host}:{connection.port}" if connection.port else host
    extra = connection.extra_dejson
    auth = (connection.login, connection.password or "") if connection.login else None
    return _Address(url, str(extra.get("link") or url).rstrip("/"), dict(extra.get("headers") or {}), auth)


def _attempt(ti: Any, retries: int) -> Attempt:
    # When a task is cleared, Airflow sets max_tries to the tries so far plus the retries it has anew.
    task = f"{ti.dag_id}/{ti.run_id}/{ti.task_id}/{ti.map_index}"
    return Attempt(task, ti.try_number, first_of_round=ti.max_tries - retries + 1)
