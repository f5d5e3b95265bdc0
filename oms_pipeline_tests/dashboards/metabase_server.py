"""A Metabase for tests: an HTTP server that keeps state and answers as Metabase does, as far as the pipeline asks.

Written from Metabase's published request schemas and documentation. It refuses any key that those do not name, wants a
login for everything that Metabase wants one for, gives queries back in MBQL 5 whatever form they came in, and can be
slow, be restarted, or lose an answer. It runs no query and draws nothing.
"""

import copy
import json
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

PASS = "**MetabasePass**"  # noqa: S105 (what Metabase shows in place of a password)
SECRET_DETAILS = ("password", "private-key-value")
Json = dict[str, Any]
Catalog = Mapping[str, Mapping[str, str]]
"""`schema.table` → column → base type."""

TEXT, NUMBER, FLAG, MAP, LIST = str, int, bool, dict, list
_PARAMETER = {
    "id": TEXT, "type": TEXT, "name": TEXT, "slug": TEXT, "sectionId": TEXT, "default": object,
    "required": FLAG, "isMultiSelect": FLAG, "filteringParameters": LIST, "values_query_type": TEXT,
    "values_source_type": TEXT, "values_source_config": MAP,
}  # fmt: skip
_TAG = {
    "id": TEXT, "!name": TEXT, "!display-name": TEXT, "!type": TEXT, "!dimension": LIST, "!widget-type": TEXT,
    "alias": TEXT, "default": object, "required": FLAG,
}  # fmt: skip
_DASHCARD = {
    "id": NUMBER, "card_id": NUMBER, "row": NUMBER, "col": NUMBER, "size_x": NUMBER, "size_y": NUMBER,
    "parameter_mappings": LIST, "visualization_settings": MAP, "series": LIST, "dashboard_tab_id": NUMBER,
}  # fmt: skip
_CARD = {
    "name": TEXT, "description": TEXT, "type": TEXT, "dataset_query": MAP, "display": TEXT,
    "visualization_settings": MAP, "collection_id": NUMBER,
}  # fmt: skip
_PULSE = {"name": TEXT, "cards": LIST, "channels": LIST, "parameters": LIST, "skip_if_empty": FLAG}
# (Method, path) → the keys a body may have; a leading ! marks those it must have. Null is allowed for the others.
BODIES: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("POST", "/api/setup"): {"!token": TEXT, "!user": MAP, "!prefs": MAP},
    ("POST", "/api/session"): {"!username": TEXT, "!password": TEXT},
    ("POST", "/api/database"): {
        "!name": TEXT, "!engine": TEXT, "!details": MAP, "is_full_sync": FLAG, "is_on_demand": FLAG, "schedules": MAP,
    },
    ("PUT", "/api/database/:id"): {"name": TEXT, "engine": TEXT, "details": MAP, "description": TEXT, "schedules": MAP},
    ("POST", "/api/database/:id/sync_schema"): {},
    ("PUT", "/api/table/:id"): {"description": TEXT, "display_name": TEXT, "visibility_type": TEXT},
    ("PUT", "/api/field/:id"): {
        "description": TEXT, "semantic_type": TEXT, "fk_target_field_id": NUMBER, "visibility_type": TEXT,
        "has_field_values": TEXT,
    },
    ("POST", "/api/field/:id/values"): {"!values": LIST},
    ("POST", "/api/collection"): {"!name": TEXT, "description": TEXT, "parent_id": NUMBER},
    ("PUT", "/api/collection/:id"): {"name": TEXT, "description": TEXT, "parent_id": NUMBER, "archived": FLAG},
    ("POST", "/api/card"): {**_CARD, "!name": TEXT, "!dataset_query": MAP, "!display": TEXT, "!visualization_settings": MAP},
    ("PUT", "/api/card/:id"): {**_CARD, "archived": FLAG},
    ("POST", "/api/dashboard"): {"!name": TEXT, "description": TEXT, "parameters": LIST, "collection_id": NUMBER},
    ("PUT", "/api/dashboard/:id"): {
        "name": TEXT, "description": TEXT, "parameters": LIST, "collection_id": NUMBER, "dashcards": LIST, "tabs": LIST,
        "archived": FLAG,
    },
    ("POST", "/api/pulse"): {**_PULSE, "!name": TEXT, "!cards": LIST, "!channels": LIST, "dashboard_id": NUMBER},
    ("PUT", "/api/pulse/:id"): {**_PULSE, "archived": FLAG},
    ("POST", "/api/permissions/group"): {"!name": TEXT},
}  # fmt: skip
LISTED = ("list", "auto-list")
NOT_BLANK = ("name", "display")
WITHOUT_LOGIN = ("/api/health", "/api/session/properties", "/api/setup", "/api/session")


class RefusalError(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body


@dataclass
class Recorded:
    """A request as it came in."""

    method: str
    path: str
    route: str
    body: Json | None
    status: int = 0


@dataclass
class Metabase:
    """One Metabase's state, and what it is to do wrong.

    Attributes:
        catalog: What a sync finds in a database, from its details.
        users: E-mail → password; empty before setup.
        polls_until_synced: How many times the tables are asked for before they are there.
        down_until: `time.monotonic()` until which nobody answers.
        starting: How many more requests are told that it is starting.
        lose_answer: Told of each request; if true, what it asks is done, and the answer is lost.
        cut: Told of each request; if true, the connection is cut and nothing is done.
        proxy: Told of each request; a status that a proxy in front of it answers with instead, or None.
        requests: All there were.
    """

    catalog: Callable[[Json], Catalog]
    users: dict[str, str] = field(default_factory=dict)
    api_keys: dict[str, bool] = field(default_factory=dict)
    sessions: set[str] = field(default_factory=set)
    setup_token: str | None = field(default_factory=lambda: secrets.token_hex(8))
    polls_until_synced: int = 0
    down_until: float = 0.0
    starting: int = 0
    lose_answer: Callable[[Recorded], bool] = lambda _: False
    cut: Callable[[Recorded], bool] = lambda _: False
    proxy: Callable[[Recorded], int | None] = lambda _: None
    before: Callable[[Recorded], None] = lambda _: None
    requests: list[Recorded] = field(default_factory=list)
    things: dict[str, dict[int, Json]] = field(default_factory=dict)
    url: str = ""
    refuses_logins: bool = False

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self._next = 0
        kinds = ("database", "table", "field", "collection", "card", "dashboard", "dashcard", "pulse", "group")
        self.things = {kind: {} for kind in kinds}
        for name in ("All Users", "Administrators"):
            self._add("group", {"name": name})

    # What people do in the browser

    def add_user(self, email: str, password: str) -> None:
        """Sets it up as somebody does in the browser."""
        self.users[email] = password
        self.setup_token = None

    def become(self, other: "Metabase") -> None:
        """Takes over all that another holds."""
        self.things, self._next = copy.deepcopy(other.things), other._next
        self.users, self.setup_token = dict(other.users), other.setup_token

    def all(self, kind: str, **where: Any) -> list[Json]:
        """Things of a kind, by id."""
        with self._lock:
            return [
                thing
                for _, thing in sorted(self.things[kind].items())
                if all(thing.get(k) == v for k, v in where.items())
            ]

    def one(self, kind: str, **where: Any) -> Json:
        """The only thing that is so."""
        (thing,) = self.all(kind, **where)
        return thing

    def add(self, kind: str, **thing: Any) -> Json:
        """Something that somebody made by hand."""
        with self._lock:
            return self._add(kind, thing)

    def copy_of(self, kind: str, number: int) -> Json:
        """What Duplicate makes: everything is the same, the description included."""
        thing = copy.deepcopy(self.things[kind][number])
        return self.add(kind, **{**thing, "name": f"{thing['name']} - Duplicate"})

    def writes(self) -> list[Recorded]:
        """The requests that were to change something, other than logging in and holding the lease."""
        return [
            each
            for each in self.requests
            if each.method != "GET" and not each.path.startswith(("/api/session", "/api/permissions/group"))
        ]

    # Requests

    def answer(self, recorded: Recorded, query: Json, headers: Mapping[str, str]) -> tuple[int, Any]:
        """Status and body."""
        if (status := self.proxy(recorded)) is not None:
            return status, "bad gateway"
        try:
            self._check_started()
            if recorded.path not in WITHOUT_LOGIN:
                self._check_login(headers)
            if recorded.method in ("POST", "PUT"):
                _check_body(recorded)
            with self._lock:
                return 200, self._do(recorded, query, headers)
        except RefusalError as refusal:
            return refusal.status, refusal.body

    def _check_started(self) -> None:
        if self.starting > 0:
            self.starting -= 1
            raise RefusalError(503, {"status": "initializing", "progress": 0.4})

    def _check_login(self, headers: Mapping[str, str]) -> None:
        key = headers.get("x-api-key")
        if self.refuses_logins or not (headers.get("X-Metabase-Session") in self.sessions or key in self.api_keys):
            raise RefusalError(401, "Unauthenticated")

    def _is_administrator(self, headers: Mapping[str, str]) -> bool:
        key = headers.get("x-api-key")
        return self.api_keys.get(key or "", True)

    def _do(self, recorded: Recorded, query: Json, headers: Mapping[str, str]) -> Any:
        kind, *rest = recorded.path.removeprefix("/api/").split("/")
        body = recorded.body or {}
        match (recorded.method, recorded.route):
            case ("GET", "/api/health"):
                return {"status": "ok"}
            case ("GET", "/api/session/properties"):
                return {
                    "setup-token": self.setup_token,
                    "has-user-setup": bool(self.users),
                    "version": {"tag": "v0.58.4"},
                }
            case ("POST", "/api/setup"):
                return self._set_up(body)
            case ("POST", "/api/session"):
                return self._log_in(body)
            case ("DELETE", "/api/session"):
                self.sessions.discard(headers.get("X-Metabase-Session", ""))
                return None
            case ("GET", "/api/user/current"):
                return {"id": 1, "is_superuser": self._is_administrator(headers)}
        if not self._is_administrator(headers):
            raise RefusalError(403, "You don't have permissions to do that.")
        if kind == "permissions":
            kind, rest = "group", rest[1:]
        if kind not in self.things:
            raise RefusalError(404, "API endpoint does not exist.")
        if not rest:
            return self._add_new(kind, body) if recorded.method == "POST" else self._list(kind, query)
        number = int(rest[0])
        if number not in self.things[kind]:
            raise RefusalError(404, "Not found.")
        if rest[1:]:
            return self._of_one(kind, number, rest[1], recorded.method, body)
        if recorded.method == "DELETE":
            del self.things[kind][number]
            return None
        if recorded.method == "PUT":
            self._change(kind, number, body)
        return self._shown(kind, number)

    def _set_up(self, body: Json) -> Json:
        if self.users:
            raise RefusalError(
                403, "The /api/setup route can only be used to create the first user, however a user currently exists."
            )
        if body["token"] != self.setup_token:
            raise RefusalError(400, {"errors": {"token": "Token does not match the setup token."}})
        if len(body["user"]["password"]) < 6:
            raise RefusalError(400, {"errors": {"password": "password is too common."}})
        self.add_user(body["user"]["email"], body["user"]["password"])
        return {"id": self._session()}

    def _log_in(self, body: Json) -> Json:
        if self.users.get(body["username"]) != body["password"]:
            raise RefusalError(401, {"errors": {"password": "did not match stored password"}})
        return {"id": self._session()}

    def _session(self) -> str:
        self.sessions.add(token := secrets.token_hex(8))
        return token

    def _list(self, kind: str, query: Json) -> Any:
        wanted = query.get("f") == "archived" or query.get("archived") == "true"
        shown = [self._shown(kind, number) for number in sorted(self.things[kind])]
        if kind in ("card", "dashboard", "collection", "pulse"):
            shown = [thing for thing in shown if thing.get("archived", False) == wanted]
        if kind == "pulse" and "dashboard_id" in query:
            shown = [thing for thing in shown if thing["dashboard_id"] == int(query["dashboard_id"])]
        if kind == "dashboard":
            shown = [{name: value for name, value in thing.items() if name != "dashcards"} for thing in shown]
        if kind == "collection" and not wanted:
            shown = [{"id": "root", "name": "Our analytics"}, *shown]
        return {"data": shown, "total": len(shown)} if kind == "database" else shown

    def _add_new(self, kind: str, body: Json) -> Json:
        if kind == "group" and any(group["name"].lower() == body["name"].lower() for group in self.all("group")):
            raise RefusalError(400, "A group with that name already exists.")
        self._check(kind, body)
        stored = {"description": None, "archived": False, **({"type": "question"} if kind == "card" else {}), **body}
        if kind == "collection":
            stored = {**stored, "location": self._location(stored.pop("parent_id", None))}
        return self._shown(kind, self._add(kind, stored)["id"])

    def _change(self, kind: str, number: int, body: Json) -> None:
        self._check(kind, body)
        thing = self.things[kind][number]
        body = dict(body)
        if kind == "database" and "details" in body:
            body["details"] = {
                name: thing["details"].get(name) if value == PASS else value for name, value in body["details"].items()
            }
        if kind == "collection" and "parent_id" in body:
            body["location"] = self._location(body.pop("parent_id"))
        if kind == "dashboard" and "dashcards" in body:
            # Metabase looks at the dashboard as it was, whatever the same request makes of it.
            if thing["archived"]:
                raise RefusalError(404, "The object has been archived.")
            self._replace_dashcards(number, body.pop("dashcards"), body.get("tabs") or [])
        thing |= {name: value for name, value in body.items() if value is not None or name == "description"}

    def _check(self, kind: str, body: Json) -> None:
        """What Metabase looks up before it stores something."""
        if kind == "database" and "details" in body:
            try:
                self.catalog(body["details"])
            except ConnectionError as error:
                raise RefusalError(400, {"errors": {"host": str(error)}, "message": str(error)}) from None
        if kind == "field" and body.get("has_field_values") not in (None, "search", "none", *LISTED):
            raise RefusalError(400, {"errors": {"has_field_values": "value must be one of list, search, none"}})
        if body.get("collection_id") is not None and body["collection_id"] not in self.things["collection"]:
            raise RefusalError(404, "Not found.")
        if kind == "card" and "dataset_query" in body:
            query = body["dataset_query"]
            if query["database"] not in self.things["database"]:
                raise RefusalError(404, "Not found.")
            for name, tag in query["native"]["template-tags"].items():
                _check_keys(tag, _TAG, "template-tags")
                if tag["name"] != name or tag["dimension"][1] not in self.things["field"]:
                    raise RefusalError(400, {"errors": {"dataset_query": f"template tag {name}"}})
                if f"{{{{{name}}}}}" not in query["native"]["query"]:
                    raise RefusalError(400, {"errors": {"dataset_query": f"template tag {name} is not in the query"}})
        for each in body.get("parameters") or []:
            _check_keys(each, _PARAMETER, "parameters")
        if kind == "pulse" and "cards" in body:
            for card in body["cards"]:
                if card["id"] not in self.things["card"] or card["dashboard_card_id"] not in self.things["dashcard"]:
                    raise RefusalError(404, "Not found.")
            if not body["cards"] or not body["channels"]:
                raise RefusalError(400, {"errors": {"cards": "value must be a non-empty list"}})

    def _replace_dashcards(self, dashboard: int, dashcards: list[Json], tabs: list[Json]) -> None:
        kept_tabs = {None, *(tab["id"] for tab in tabs)}
        for each in self.all("dashcard", dashboard_id=dashboard):
            # With a tab goes what is on it.
            if each.get("dashboard_tab_id") not in kept_tabs:
                del self.things["dashcard"][each["id"]]
        mine = {each["id"] for each in self.all("dashcard", dashboard_id=dashboard)}
        if len({each["id"] for each in dashcards}) != len(dashcards):
            raise RefusalError(400, {"errors": {"dashcards": "value must be seq of maps in which ids are unique"}})
        for each in dashcards:
            _check_keys(each, _DASHCARD, "dashcards")
            if each["card_id"] not in self.things["card"]:
                raise RefusalError(404, "Not found.")
            if each["col"] + each["size_x"] > 24:
                raise RefusalError(400, {"errors": {"dashcards": "beyond the grid"}})
        for number in mine - {each["id"] for each in dashcards}:
            del self.things["dashcard"][number]
        for each in dashcards:
            stored = {**each, "dashboard_id": dashboard}
            if each["id"] in mine:
                self.things["dashcard"][each["id"]] = stored
            else:
                self._add("dashcard", stored)

    def _of_one(self, kind: str, number: int, what: str, method: str, body: Json) -> Any:
        match (kind, what, method):
            case ("database", "healthcheck", "GET"):
                try:
                    self.catalog(self.things["database"][number]["details"])
                except ConnectionError as error:
                    return {"status": "error", "message": str(error)}
                return {"status": "ok"}
            case ("database", "sync_schema", "POST"):
                self._sync(number)
                return {"status": "ok"}
            case ("database", "metadata", "GET"):
                return {"id": number, "tables": self._tables(number)}
            case ("field", "values", "GET"):
                thing = self.things["field"][number]
                listed = thing["has_field_values"] in LISTED
                return {
                    "field_id": number,
                    "values": thing.get("values", []) if listed else [],
                    "has_more_values": False,
                }
            case ("field", "values", "POST"):
                if self.things["field"][number]["has_field_values"] not in LISTED:
                    raise RefusalError(
                        400,
                        "You can only update the human readable values of a mapped values of a Field whose value of "
                        "`has_field_values` is `list` or whose 'base_type' is 'type/Boolean'.",
                    )
                self.things["field"][number]["values"] = body["values"]
                return {"status": "success"}
        raise RefusalError(404, "API endpoint does not exist.")

    def _sync(self, number: int) -> None:
        try:
            catalog = self.catalog(self.things["database"][number]["details"])
        except ConnectionError as error:
            raise RefusalError(422, str(error)) from None
        for path, columns in catalog.items():
            schema, _, name = path.partition(".")
            known = self.all("table", db_id=number, schema=schema, name=name)
            table = (
                known[0]
                if known
                else self._add("table", {"db_id": number, "schema": schema, "name": name, "description": None})
            )
            for column, base_type in columns.items():
                if not self.all("field", table_id=table["id"], name=column):
                    self._add(
                        "field",
                        {
                            "table_id": table["id"], "name": column, "base_type": base_type, "description": None,
                            # Metabase guesses from names.
                            "semantic_type": "type/Name" if column.lower().endswith("_name") else None,
                            "visibility_type": "normal",
                            # Unset until an analysis, which comes later if it comes at all.
                            "has_field_values": None,
                        },
                    )  # fmt: skip

    def _tables(self, number: int) -> list[Json]:
        if self.polls_until_synced > 0:
            self.polls_until_synced -= 1
            return []
        return [
            {
                **table,
                "fields": [
                    self._shown("field", each["id"])
                    for each in self.all("field", table_id=table["id"])
                    if each["visibility_type"] != "sensitive"
                ],
            }
            for table in self.all("table", db_id=number)
        ]

    def _shown(self, kind: str, number: int) -> Json:
        """A thing as Metabase gives it back."""
        shown = copy.deepcopy(self.things[kind][number])
        if kind == "database":
            shown["details"] = {
                name: PASS if name in SECRET_DETAILS else value for name, value in shown["details"].items()
            }
        elif kind == "field":
            # Metabase tells what its pages would show, and not what is stored.
            kept = shown["has_field_values"]
            shown["has_field_values"] = "list" if kept in LISTED else kept or "search"
        elif kind == "card" and "dataset_query" in shown:
            query = shown["dataset_query"]
            shown |= {"database_id": query.get("database"), "creator": {"id": 1}, "result_metadata": None}
            if query.get("type") == "native":
                shown["dataset_query"] = {
                    "lib/type": "mbql/query",
                    "database": query["database"],
                    "stages": [
                        {
                            "lib/type": "mbql.stage/native",
                            "native": query["native"]["query"],
                            "template-tags": {
                                name: {
                                    **tag,
                                    "dimension": ["field", {"lib/uuid": secrets.token_hex(16)}, tag["dimension"][1]],
                                }
                                for name, tag in query["native"]["template-tags"].items()
                            },
                        }
                    ],
                }
        elif kind == "dashboard":
            shown["dashcards"] = [
                {**each, "card": {"id": each["card_id"]}} for each in self.all("dashcard", dashboard_id=number)
            ]
        elif kind == "pulse":
            for channel in shown["channels"]:
                channel |= {"id": 1, "recipients": [dict(each) for each in channel["recipients"]]}
        return shown

    def _location(self, parent: int | None) -> str:
        if parent is None:
            return "/"
        if parent not in self.things["collection"]:
            raise RefusalError(404, "Not found.")
        return f"{self.things['collection'][parent]['location']}{parent}/"

    def _add(self, kind: str, thing: Json) -> Json:
        self._next += 1
        self.things[kind][self._next] = stored = {**copy.deepcopy(thing), "id": self._next}
        return stored


def _check_body(recorded: Recorded) -> None:
    keys = BODIES.get((recorded.method, recorded.route))
    if keys is None:
        raise RefusalError(404, "API endpoint does not exist.")
    _check_keys(recorded.body or {}, keys, recorded.route)


def _check_keys(body: Json, keys: Mapping[str, Any], where: str) -> None:
    types = {name.removeprefix("!"): kind for name, kind in keys.items()}
    unknown = sorted(set(body) - set(types))
    if unknown:
        raise RefusalError(400, {"specific-errors": {name: [f"disallowed key in {where}"] for name in unknown}})
    for name in (name.removeprefix("!") for name in keys if name.startswith("!")):
        if body.get(name) is None:
            raise RefusalError(400, {"errors": {name: "missing required key"}})
    for name, value in body.items():
        if value is None:
            continue
        if not isinstance(value, types[name]) or (types[name] is int and isinstance(value, bool)):
            raise RefusalError(400, {"errors": {name: f"value must be of another type, received {value!r}"}})
        if name in NOT_BLANK and not value.strip():
            raise RefusalError(400, {"errors": {name: "value must be a non-blank string."}})


@contextmanager
def running(catalog: Callable[[Json], Catalog]) -> Iterator[Metabase]:
    """A Metabase on a free port of this machine, for the block."""
    metabase = Metabase(catalog)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet, or each answer would wait for an acknowledgement

        def handle_one(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            route = re.sub(r"/\d+", "/:id", parts.path)
            recorded = Recorded(self.command, parts.path, route, body)
            metabase.before(recorded)
            if time.monotonic() < metabase.down_until or metabase.cut(recorded):
                self.close_connection = True
                self.connection.close()
                return
            recorded.status, answer = metabase.answer(recorded, dict(parse_qsl(parts.query)), self.headers)  # type: ignore[arg-type]
            metabase.requests.append(recorded)
            if metabase.lose_answer(recorded):
                self.close_connection = True
                self.connection.close()
                return
            is_text = isinstance(answer, str)
            content = b"" if answer is None else answer.encode() if is_text else json.dumps(answer).encode()
            self.send_response(204 if answer is None else recorded.status)
            self.send_header("Content-Type", "text/plain" if is_text else "application/json;charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            self.wfile.flush()

        do_GET = do_POST = do_PUT = do_DELETE = handle_one  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

        def handle(self) -> None:
            try:
                super().handle()
            except (OSError, ValueError):  # the connection was closed on purpose
                self.close_connection = True

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    metabase.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield metabase
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
