"""Talks to Metabase's REST API: logs in, tries again where that is safe, and says in one line what is wrong."""

import datetime as dt
import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import requests

from oms_pipeline.errors import MetabaseError
from oms_pipeline.settings import MetabaseServer

log = logging.getLogger(__name__)

SITE_NAME: Final = "OMS Pipeline"
_BUSY: Final = (429, 502, 503, 504)
"""Answers that say: not now. Metabase itself gives 503 until it has started."""
_LOST: Final = (502, 504)
"""Of these, a proxy's: Metabase may have got the request."""


@dataclass(frozen=True)
class Patience:
    """How long to wait for Metabase.

    Attributes:
        connect: Limit for a connection.
        answer: Limit for an answer; a card's query counts.
        outage: Limit for a Metabase that is starting, or gone for a moment.
        sync: Limit for Metabase to find the tables of a database.
        whole: Limit for a whole sync, after which another may take its turn.
        poll: The first pause between two attempts; it doubles up to ten times itself.
    """

    connect: dt.timedelta = dt.timedelta(seconds=5)
    answer: dt.timedelta = dt.timedelta(seconds=60)
    outage: dt.timedelta = dt.timedelta(minutes=3)
    sync: dt.timedelta = dt.timedelta(minutes=10)
    whole: dt.timedelta = dt.timedelta(minutes=15)
    poll: dt.timedelta = dt.timedelta(seconds=0.5)

    def pauses(self, limit: dt.timedelta) -> Iterator[float]:
        """Sleeps a little longer each time, and ends when the limit is reached. Yields the seconds waited so far."""
        started, pause = time.monotonic(), self.poll.total_seconds()
        while (waited := time.monotonic() - started) < limit.total_seconds():
            yield waited
            time.sleep(min(pause, max(0.0, limit.total_seconds() - waited)))
            pause = min(pause * 2, 10 * self.poll.total_seconds())


class RefusedError(MetabaseError):
    """Metabase answered, and refused.

    Attributes:
        status: The HTTP status.
    """

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


class Client:
    """A session with one Metabase."""

    def __init__(self, server: MetabaseServer, patience: Patience) -> None:
        self.server = server
        self.patience = patience
        self._http = requests.Session()
        self._http.headers["User-Agent"] = SITE_NAME

    def __repr__(self) -> str:
        return f"Client({self.server.url})"

    def get(self, path: str, **query: Any) -> Any:
        """GET; tried again while Metabase is away."""
        return self._send("GET", path, query=query)

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """POST; tried again only if it cannot have arrived, since it might make a second of something."""
        return self._send("POST", path, body or {})

    def put(self, path: str, body: Mapping[str, Any]) -> Any:
        """PUT; tried again while Metabase is away: it says how something is to be, however often."""
        return self._send("PUT", path, body)

    def delete(self, path: str) -> None:
        """DELETE of something that may be gone already."""
        try:
            self._send("DELETE", path)
        except RefusedError as error:
            if error.status != 404:
                raise

    def wait_until_healthy(self) -> None:
        """Waits until Metabase has started."""
        self.get("/api/health")

    def is_set_up(self) -> bool:
        """Whether Metabase has an administrator yet."""
        return bool(self.get("/api/session/properties").get("has-user-setup"))

    def set_up(self) -> None:
        """Makes the first administrator, and is logged in as it; if somebody else just made one, that is as good."""
        server = self.server
        if server.user is None:
            raise MetabaseError(
                f"Metabase at {server.url} is not set up yet. Set OMS_METABASE_USER and OMS_METABASE_PASSWORD to the "
                "administrator it is to have, or set it up in the browser."
            )
        token = self.get("/api/session/properties").get("setup-token")
        user = {"email": server.user, "password": server.password, "first_name": "OMS", "last_name": "Pipeline"}
        try:
            body = {"token": token, "user": user, "prefs": {"site_name": SITE_NAME}}
            self._http.headers["X-Metabase-Session"] = self.post("/api/setup", body)["id"]
        except RefusedError as error:
            if not self.is_set_up():
                raise MetabaseError(
                    f"{error} If that is the reason, choose a stronger OMS_METABASE_PASSWORD."
                ) from None

    def log_in(self) -> None:
        """Uses the key, or opens a session that `close` ends."""
        if self.server.api_key is not None:
            self._http.headers["x-api-key"] = self.server.api_key
        elif "X-Metabase-Session" not in self._http.headers:
            self._open_session()

    def _open_session(self) -> None:
        self._http.headers.pop("X-Metabase-Session", None)
        login = {"username": self.server.user, "password": self.server.password}
        self._http.headers["X-Metabase-Session"] = self._send("POST", "/api/session", login, logging_in=True)["id"]

    def require_administrator(self) -> None:
        """Checks the login.

        Raises:
            MetabaseError: It is refused, or is not an administrator's.
        """
        if not self.get("/api/user/current").get("is_superuser"):
            raise MetabaseError(
                f"The login for Metabase at {self.server.url} is not an administrator's. "
                "Make the key in Admin settings, Authentication, API keys, with the group Administrators."
            )

    def close(self) -> None:
        """Ends the session, if there is one."""
        if "X-Metabase-Session" in self._http.headers:
            with suppress(requests.RequestException):
                self._http.delete(f"{self.server.url}/api/session", timeout=self._timeout)
        self._http.close()

    @property
    def _timeout(self) -> tuple[float, float]:
        return self.patience.connect.total_seconds(), self.patience.answer.total_seconds()

    def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
        logging_in: bool = False,
    ) -> Any:
        told, may_log_in = False, self.server.api_key is None and not logging_in
        reason = "no answer"
        for _ in self.patience.pauses(self.patience.outage):
            try:
                response = self._http.request(
                    method,
                    self.server.url + path,
                    json=body,
                    params=query,
                    timeout=self._timeout,
                    allow_redirects=False,
                )
            except requests.RequestException as error:
                reason = _reason(error)
                if method == "POST" and _may_have_arrived(error):
                    raise self._away(f"{method} {path}: {reason}") from None
            else:
                if response.status_code == 401 and may_log_in and "X-Metabase-Session" in self._http.headers:
                    may_log_in = False
                    self._open_session()
                    continue
                if response.status_code not in _BUSY:
                    return self._answer(method, path, response)
                reason = f"it answers {response.status_code}"
                if method == "POST" and response.status_code in _LOST:
                    raise self._away(f"{method} {path}: {reason}")
            if not told:
                log.info("Waiting for Metabase at %s: %s", self.server.url, reason)
                told = True
        raise self._away(reason)

    def _answer(self, method: str, path: str, response: requests.Response) -> Any:
        status = response.status_code
        if status < 300:
            return response.json() if response.content and "json" in response.headers.get("Content-Type", "") else None
        url = self.server.url
        if status < 400:
            raise RefusedError(
                f"Metabase at {url} redirects to {response.headers.get('Location')}. Set OMS_METABASE_URL to that.",
                status,
            )
        if status == 401 or (path == "/api/session" and status in (400, 401)):
            what = "OMS_METABASE_API_KEY" if self.server.api_key else "OMS_METABASE_USER and OMS_METABASE_PASSWORD"
            raise RefusedError(f"Metabase at {url} refuses the login: {_said(response)}. Correct {what}.", status)
        if status == 403:
            raise RefusedError(
                f"Metabase at {url} does not allow {method} {path}. Use an administrator's login or key.", status
            )
        raise RefusedError(f"Metabase at {url} refuses {method} {path}: {status} {_said(response)}.", status)

    def _away(self, reason: str) -> MetabaseError:
        return MetabaseError(
            f"Metabase at {self.server.url} does not answer: {reason}. Check that it runs, and OMS_METABASE_URL; "
            "then run it again: what is half done is finished."
        )


@contextmanager
def connected(server: MetabaseServer, patience: Patience) -> Iterator[Client]:
    """A Metabase that has started, for the block.

    Raises:
        MetabaseError: It does not answer.
    """
    client = Client(server, patience)
    try:
        client.wait_until_healthy()
        yield client
    finally:
        client.close()


def _may_have_arrived(error: requests.RequestException) -> bool:
    """Whether Metabase may have got the request: it has not where there was no connection."""
    return not isinstance(error, requests.ConnectTimeout) and "NewConnectionError" not in repr(error)


def _reason(error: requests.RequestException) -> str:
    """What went wrong on the way, without the library's own words around it."""
    for kind, text in (
        (requests.ConnectTimeout, "no connection in time"),
        (requests.ReadTimeout, "no answer in time"),
        (requests.exceptions.SSLError, "its certificate is not trusted"),
    ):
        if isinstance(error, kind):
            return text
    cause: BaseException = error
    while cause.args and isinstance(cause.args[-1], BaseException):
        cause = cause.args[-1]
    text = str(getattr(cause, "reason", cause)).rpartition(": ")[2]
    return " ".join(text.split())[:200].rstrip(".") or type(error).__name__


def _said(response: requests.Response) -> str:
    """Metabase's own words: a text, a message, or errors by field."""
    try:
        body = response.json()
    except ValueError:
        text = response.text
    else:
        if isinstance(body, dict):
            found = body.get("specific-errors") or body.get("errors") or body.get("message") or body
            text = found if isinstance(found, str) else json.dumps(found, sort_keys=True)
        else:
            text = str(body)
    return " ".join(text.split())[:300].rstrip(".") or "without a word"
