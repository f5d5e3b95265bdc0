"""The server's process: fakesnow behind what it lacks. Run by `server.start`, never imported by tests."""

import asyncio
import base64
import gzip
import itertools
import json
import logging
import os
import re
import sys
import tempfile
import time
import uuid
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import fakesnow.server as fake
import jwt
import pyarrow as pa
import uvicorn
from cryptography.hazmat.primitives.serialization import load_der_public_key
from snowflake.connector.errors import Error as ConnectorError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from oms_pipeline_tests.snowflake import fakesnow_fixes
from oms_pipeline_tests.snowflake.account_objects import fingerprint
from oms_pipeline_tests.snowflake.bucket import Bucket
from oms_pipeline_tests.snowflake.errors import SqlError
from oms_pipeline_tests.snowflake.locks import Session
from oms_pipeline_tests.snowflake.statement import words
from oms_pipeline_tests.snowflake.statements import Account, Plan

_MERGE = 0x3400
# Snowflake, too, answers "in progress" after this many seconds; the connector would take a longer silence for a lost request.
_PATIENCE = 20.0
# Never filled, but for what a test inserts.
_ACCOUNT_USAGE = (
    "create database SNOWFLAKE",
    "create schema SNOWFLAKE.ACCOUNT_USAGE",
    """create table SNOWFLAKE.ACCOUNT_USAGE.QUERY_ATTRIBUTION_HISTORY (
        query_id varchar, parent_query_id varchar, root_query_id varchar, warehouse_id number, warehouse_name varchar,
        query_hash varchar, query_parameterized_hash varchar, query_tag varchar, user_name varchar,
        start_time timestamp_ltz, end_time timestamp_ltz, credits_attributed_compute float,
        credits_used_query_acceleration float
    )""",
    """create table SNOWFLAKE.ACCOUNT_USAGE.WAREHOUSE_METERING_HISTORY (
        start_time timestamp_ltz, end_time timestamp_ltz, warehouse_id number, warehouse_name varchar,
        credits_used number(38, 9), credits_used_compute number(38, 9), credits_used_cloud_services number(38, 9),
        credits_attributed_compute_queries number(38, 9)
    )""",
)
_crash: ContextVar[str] = ContextVar("_crash", default="")


class Crashes(logging.Handler):
    """Keeps what fakesnow failed with, which it logs and does not answer."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps an exception's text for the statement at hand."""
        if record.exc_info:
            _crash.set(f"{type(record.exc_info[1]).__name__}: {record.exc_info[1]}")


class Front:
    """HTTP in front of fakesnow: logins, sessions, statements and their log."""

    def __init__(self, account: Account):
        self._account = account
        self._sessions: dict[str, Session] = {}
        self._numbers = itertools.count(1)
        self._log: list[dict[str, Any]] = []
        self._running: dict[str, tuple[Session, asyncio.Task[Response]]] = {}

    def app(self) -> Starlette:
        """The application."""
        own = {
            "/session/v1/login-request": Route("/session/v1/login-request", self.login, methods=["POST"]),
            "/session": Route("/session", self.close, methods=["POST"]),
            "/queries/v1/query-request": Route("/queries/v1/query-request", self.query, methods=["POST"]),
            "/queries/v1/abort-request": Route("/queries/v1/abort-request", self.abort, methods=["POST"]),
        }
        more = [
            Route("/queries/{request}/result", self.result),
            Route("/bed/statements", self.statements, methods=["GET", "DELETE"]),
            Route("/bed/administrator", self.administrator, methods=["POST"]),
        ]
        others = [route for route in fake.routes if route.path not in own]
        return Starlette(routes=[*own.values(), *more, *others])

    async def administrator(self, request: Request) -> Response:
        """Adds a user with all roles."""
        body = await request.json()
        self._account.objects.add_administrator(body["user"], body["public_key"])
        return Response()

    async def statements(self, request: Request) -> Response:
        """The log; DELETE empties it."""
        if request.method == "DELETE":
            self._log.clear()
        return JSONResponse(self._log)

    async def login(self, request: Request) -> Response:
        """Opens a session for a user whose token its registered public key verifies."""
        data = json.loads(await _body(request))["data"]
        user = data["LOGIN_NAME"].upper()
        objects = self._account.objects
        if data.get("AUTHENTICATOR") != "SNOWFLAKE_JWT":
            return _failure("Incorrect username or password was specified.", 390100, "08001")
        if not _verified(data.get("TOKEN", ""), objects.property("USER", user, "RSA_PUBLIC_KEY"), user):
            return _failure(f"JWT token is invalid. [{uuid.uuid4()}]", 390144, "08001")
        if (objects.property("USER", user, "DISABLED") or "").upper() == "TRUE":
            return _failure("User access disabled. Contact your local system administrator.", 390101, "08001")
        asked = request.query_params
        role = (asked.get("roleName") or objects.property("USER", user, "DEFAULT_ROLE") or "PUBLIC").strip('"').upper()
        if not objects.exists("ROLE", role) or not objects.may_use(user, role):
            return _failure(
                f"Role '{role}' specified in the connect string is not granted to this user. Contact your local system "
                "administrator, or attempt to login with another role, e.g. PUBLIC.",
                390189,
                "08001",
            )
        # Transactions are this package's; fakesnow would open its own.
        autocommit = str(data.get("SESSION_PARAMETERS", {}).pop("AUTOCOMMIT", True))
        answer = json.loads(
            (await fake.login_request(_with_body(request, {"data": {**data, "SESSION_PARAMETERS": {}}}))).body
        )
        token = answer["data"]["token"]
        warehouse = (asked.get("warehouse") or objects.property("USER", user, "DEFAULT_WAREHOUSE") or "").upper()
        session = Session(
            next(self._numbers),
            fake.sessions[token],
            user,
            role,
            warehouse if objects.exists("WAREHOUSE", warehouse) else None,
            {
                "AUTOCOMMIT": autocommit,
                **{key.upper(): str(value) for key, value in (data.get("SESSION_PARAMETERS") or {}).items()},
            },
        )
        self._sessions[token] = session
        answer["data"] |= {
            "masterToken": token,
            "validityInSeconds": 3600,
            "masterValidityInSeconds": 14400,
            "sessionId": session.number,
        }
        answer["data"]["sessionInfo"] |= {"roleName": role, "warehouseName": session.warehouse}
        return JSONResponse(answer)

    async def close(self, request: Request) -> Response:
        """Ends a session: what it has not committed is undone."""
        token = _token(request)
        session = self._sessions.pop(token, None)
        if session is not None:
            session.cancelled.set()
            await run_in_threadpool(self._end, session)
        return await fake.session(request) if token in fake.sessions else JSONResponse({"success": True})

    async def query(self, request: Request) -> Response:
        """Runs a statement; says "in progress" if that takes long."""
        number = request.query_params.get("requestId", str(uuid.uuid4()))
        if number in self._running:
            return await self._answer(number)
        session = self._sessions.get(_token(request))
        if session is None:
            return JSONResponse(
                {
                    "data": None,
                    "code": "390104",
                    "message": "User must login again to access the service.",
                    "success": False,
                }
            )
        body = json.loads(await _body(request))
        session.cancelled.clear()
        self._running[number] = (session, asyncio.ensure_future(self._run(session, request, body)))
        return await self._answer(number)

    async def result(self, request: Request) -> Response:
        """The result of a statement that was in progress."""
        return await self._answer(request.path_params["request"])

    async def abort(self, request: Request) -> Response:
        """Cancels a running statement."""
        number = json.loads(await _body(request)).get("requestId")
        if running := self._running.get(number):
            running[0].cancelled.set()
            running[0].conn._duck_conn.interrupt()
        return JSONResponse({"success": True})

    async def _answer(self, number: str) -> Response:
        _, task = self._running[number]
        done, _ = await asyncio.wait([task], timeout=_PATIENCE)
        if not done:
            return JSONResponse(
                {
                    "data": {"getResultUrl": f"/queries/{number}/result", "queryId": number},
                    "code": "333333",
                    "message": None,
                    "success": True,
                }
            )
        del self._running[number]
        return task.result()

    async def _run(self, session: Session, request: Request, body: dict[str, Any]) -> Response:
        parameters = {key.upper(): str(value) for key, value in (body.get("parameters") or {}).items()}
        entry = {
            "sql": body["sqlText"],
            "query_tag": {**session.parameters, **parameters}.get("QUERY_TAG", ""),
            "session": session.number,
            "role": session.role,
            "warehouse": session.warehouse,
            "seconds": None,
            "error": None,
        }
        self._log.append(entry)
        started = time.monotonic()
        session.statement_parameters = parameters
        response = await self._statement(session, request, body)
        answer = json.loads(response.body)
        entry["seconds"] = round(time.monotonic() - started, 3)
        entry["error"] = None if answer["success"] else answer["message"]
        return response

    async def _statement(self, session: Session, request: Request, body: dict[str, Any]) -> Response:
        try:
            plan = await run_in_threadpool(self._account.plan, session, body["sqlText"])
            response = await self._carried_out(session, request, body, plan)
        except SqlError as error:
            response = _failure(error.message, error.code, error.state)
        except ConnectorError as error:
            response = _refused(error.msg or "", error.errno or 9999, error.sqlstate or "XX000")
        except Exception as error:
            # The connector would repeat a request that failed in HTTP for minutes.
            response = _failure(f"The test bed could not run this: {type(error).__name__}: {error}", 9999, "XX000")
        if session.writing and not session.transaction:
            succeeded = json.loads(response.body)["success"]
            try:
                await run_in_threadpool(self._account.locks.end, session, succeeded)
            except Exception as error:
                return _failure(f"The test bed could not commit this: {error}", 9999, "XX000")
        return response

    async def _carried_out(self, session: Session, request: Request, body: dict[str, Any], plan: Plan) -> Response:
        if plan.counts is not None:
            return _counted(session, plan.counts)
        response = await fake.query_request(_with_body(request, {**body, "sqlText": plan.sql}))
        answer = json.loads(response.body)
        if response.status_code >= 500:
            return _refused(f"The test bed could not run this: {_crash.get()}", 9999, "XX000")
        if not answer["success"] and answer.get("code"):
            return _refused(answer["message"], int(answer["code"]), answer["data"]["sqlState"])
        if answer["success"] and answer.get("data"):
            if not re.match(r"(?i)SELECT|WITH|VALUES", words(body["sqlText"])):
                answer["data"] |= _as_json(answer["data"])
            answer["data"] |= {"finalRoleName": session.role, "finalWarehouseName": session.warehouse}
        return JSONResponse(answer)

    def _end(self, session: Session) -> None:
        self._account.locks.end(session, commit=False)
        for table in session.temporary:
            session.duck(f"DROP {table}")


def _verified(token: str, public_key: str | None, user: str) -> bool:
    if public_key is None:
        return False
    der = re.sub(r"-----[^-]+-----|\s", "", public_key)
    try:
        key: Any = load_der_public_key(base64.b64decode(der))
        claims = jwt.decode(token, key, algorithms=["RS256"], options={"require": ["iss", "sub", "exp"]}, leeway=30)
    except (jwt.InvalidTokenError, ValueError):
        return False
    return claims["iss"] == f"{claims['sub']}.{fingerprint(public_key)}" and claims["sub"].endswith(f".{user}")


def _refused(message: str, code: int, state: str) -> Response:
    if match := re.search(r"Referenced column \"([^\"]+)\" not found", message):
        return _failure(f"SQL compilation error:\ninvalid identifier '{match[1]}'", 904, "42000")
    if match := re.search(r"with name \"?([\w.$]+)\"? does not exist", message):
        return _failure(f"SQL compilation error:\nObject '{match[1]}' does not exist or not authorized.", 2003, "42S02")
    return _failure(message, code, state)


def _counted(session: Session, counts: dict[str, int]) -> Response:
    number = {"type": "fixed", "precision": 19, "scale": 0, "length": None, "byteLength": None, "nullable": False}
    return JSONResponse(
        {
            "data": {
                "parameters": [],
                "rowtype": [
                    {"name": n, "database": "", "schema": "", "table": "", "collation": None, **number} for n in counts
                ],
                "rowset": [[str(count) for count in counts.values()]],
                "total": 1,
                "returned": 1,
                "queryId": str(uuid.uuid4()),
                "statementTypeId": _MERGE,
                "queryResultFormat": "json",
                "finalDatabaseName": session.conn.database,
                "finalSchemaName": session.conn.schema,
            },
            "success": True,
        }
    )


def _as_json(data: dict[str, Any]) -> dict[str, Any]:
    """The same rows as JSON: Snowflake answers nothing but queries in Arrow."""
    if data.get("queryResultFormat") != "arrow":
        return {}
    encoded = data.pop("rowsetBase64")
    columns = pa.ipc.open_stream(base64.b64decode(encoded)).read_all().columns if encoded else []
    values = [[_text(value) for value in column.to_pylist()] for column in columns]
    return {"queryResultFormat": "json", "rowset": [list(row) for row in zip(*values, strict=True)]}


def _text(value: Any) -> str | None:
    match value:
        case None:
            return None
        case bool():
            return "1" if value else "0"
        case {"epoch": epoch, "fraction": fraction, "timezone": zone}:
            return f"{epoch}.{fraction:09} {zone}"
        case {"epoch": epoch, "fraction": fraction}:
            return f"{epoch}.{fraction:09}"
        case _:
            return str(value)


def _failure(message: str, code: int, state: str) -> Response:
    number = f"{code:06d}"
    return JSONResponse(
        {"data": {"errorCode": number, "sqlState": state}, "code": number, "message": message, "success": False}
    )


def _token(request: Request) -> str:
    return request.headers.get("Authorization", "")[17:-1]


async def _body(request: Request) -> bytes:
    body = await request.body()
    return gzip.decompress(body) if request.headers.get("content-encoding") == "gzip" else body


def _with_body(request: Request, body: dict[str, Any]) -> Request:
    content = json.dumps(body).encode()
    headers = [pair for pair in request.scope["headers"] if pair[0] not in (b"content-encoding", b"content-length")]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": content, "more_body": False}

    return Request({**request.scope, "headers": headers}, receive)


def main(s3_endpoint: str) -> None:
    """Serves on a free port, which it prints, until its standard input ends: with the tests, it ends too."""
    fakesnow_fixes.apply()
    logging.getLogger("sqlglot").setLevel(logging.CRITICAL)
    fake.logger.handlers = [Crashes()]
    fake.logger.propagate = False
    fake.shared_fs.create_database_on_connect = False
    fake.shared_fs.create_schema_on_connect = False
    for sql in _ACCOUNT_USAGE:
        fake.shared_fs.connect().cursor().execute(sql)
    with tempfile.TemporaryDirectory(prefix="snowflake-bed-") as folder:
        account = Account(Bucket(s3_endpoint, Path(folder)))
        config = uvicorn.Config(Front(account).app(), host="127.0.0.1", port=0, log_level="error")
        server = uvicorn.Server(config)

        async def serve() -> None:
            serving = asyncio.ensure_future(server.serve())
            while not server.started and not serving.done():
                await asyncio.sleep(0.02)
            print(server.servers[0].sockets[0].getsockname()[1], flush=True)
            await asyncio.to_thread(sys.stdin.read)
            server.should_exit = True
            await serving

        asyncio.run(serve())


if __name__ == "__main__":
    main(sys.argv[1])
    os._exit(0)  # DuckDB would list on its way out what it has not freed
