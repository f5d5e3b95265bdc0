"""The database in Metabase: how it logs in to the marts, and which tables and fields it has found there."""

import base64
import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from oms_pipeline.dashboards.metabase.client import Client, RefusedError
from oms_pipeline.dashboards.metabase.seen import Ids
from oms_pipeline.dashboards.metabase.wanted import DATABASE_NAME, SCHEMAS
from oms_pipeline.errors import MetabaseError
from oms_pipeline.settings import PostgresLogin, SnowflakeLogin

log = logging.getLogger(__name__)

# Metabase's own scans would wake the warehouse at other times: what they would find, each run tells instead.
_SCHEDULES: Final = {"metadata_sync": {"schedule_type": "weekly", "schedule_day": "sun", "schedule_hour": 5}}


def state(login: SnowflakeLogin | PostgresLogin) -> dict[str, Any]:
    """The database as it is to be, without its secrets, which Metabase does not tell again."""
    details = {
        "schema-filters-type": "inclusion",
        "schema-filters-patterns": ",".join(_spelled(schema, login) for schema in SCHEMAS),
        "let-user-control-scheduling": True,
    }
    if isinstance(login, SnowflakeLogin):
        details |= {
            "account": login.account,
            "user": login.user,
            "role": login.role,
            "warehouse": login.warehouse,
            "db": login.database,
            "use-password": False,
        }
        if login.url is not None:
            details |= {"use-hostname": True, "host": urlsplit(login.url).hostname}
        return {"name": DATABASE_NAME, "engine": "snowflake", "details": details}
    details |= {
        "host": login.host,
        "port": login.port,
        "dbname": login.database,
        "user": login.user,
        "ssl": login.ssl_mode not in (None, "disable", "allow", "prefer"),
    }
    if details["ssl"]:
        details["ssl-mode"] = login.ssl_mode
    return {"name": DATABASE_NAME, "engine": "postgres", "details": details}


def secrets(login: SnowflakeLogin | PostgresLogin) -> dict[str, Any]:
    """What is sent besides, and never shown: the password or the key."""
    if isinstance(login, PostgresLogin):
        return {"password": login.password}
    key = base64.b64encode(login.private_key.encode()).decode()
    return {
        "private-key-options": "uploaded",
        "private-key-value": f"data:application/octet-stream;base64,{key}",
    }


def secret_fingerprint(login: SnowflakeLogin | PostgresLogin) -> str:
    """Differs when the password or the key does.

    It becomes part of a mark that others can read, so it is slow to compute, and guessing passwords by it slower still.
    """
    secret, salt = (json.dumps(each, sort_keys=True).encode() for each in (secrets(login), state(login)))
    return hashlib.scrypt(secret, salt=salt, n=2**14, r=8, p=1).hex()


def seen(raw: Mapping[str, Any], like: Mapping[str, Any]) -> dict[str, Any]:
    """A database's state; of its details those that are in `like`."""
    details = raw.get("details") or {}
    return {
        "name": raw["name"],
        "engine": raw["engine"],
        "details": {name: details.get(name) for name in like["details"]},
    }


def new(wanted: Mapping[str, Any], login: SnowflakeLogin | PostgresLogin) -> dict[str, Any]:
    """The body of `POST /api/database`."""
    return {
        "name": wanted["name"],
        "engine": wanted["engine"],
        "details": {**wanted["details"], **secrets(login)},
        "is_full_sync": False,
        "is_on_demand": False,
        "schedules": _SCHEDULES,
    }


def changed(wanted: Mapping[str, Any], login: SnowflakeLogin | PostgresLogin, description: str) -> dict[str, Any]:
    """The body of `PUT /api/database/:id`."""
    return {
        "name": wanted["name"],
        "engine": wanted["engine"],
        "details": {**wanted["details"], **secrets(login)},
        "description": description,
    }


def spelling(login: SnowflakeLogin | PostgresLogin) -> Any:
    """How the database spells a name that is written without quotes."""
    return str.upper if isinstance(login, SnowflakeLogin) else str


def logs_in(client: Client, number: int) -> bool:
    """Whether Metabase can log in to the database; that starts no virtual warehouse."""
    return bool(client.get(f"/api/database/{number}/healthcheck").get("status") == "ok")


def metadata(client: Client, number: int) -> dict[str, Mapping[str, Any]]:
    """`schema.table` → what Metabase knows of it and its fields."""
    found = client.get(f"/api/database/{number}/metadata", include_hidden="true")["tables"]
    return {f"{table['schema']}.{table['name']}".lower(): table for table in found}


def wait_for(client: Client, number: int, needed: Iterable[str]) -> dict[str, Mapping[str, Any]]:
    """What Metabase knows of the tables, once it has found every column that is needed.

    Args:
        client: A Metabase, logged in to.
        number: The database.
        needed: Columns, as `schema.table.column`.

    Raises:
        MetabaseError: It cannot log in to the database, or does not find a column in time.
    """
    columns = set(needed)
    tables = metadata(client, number)
    if not missing(tables, columns):
        return tables
    try:
        client.post(f"/api/database/{number}/sync_schema")
    except RefusedError as error:
        raise MetabaseError(f"{error} Correct OMS_METABASE_DATABASE_URL, or the dashboards' user and key.") from None
    log.info("Waiting for Metabase to find the tables of %s", DATABASE_NAME)
    for _ in client.patience.pauses(client.patience.sync):
        tables = metadata(client, number)
        if not missing(tables, columns):
            return tables
    lacking = missing(tables, columns)
    raise MetabaseError(
        f"Metabase has not found {lacking[0]} in {client.patience.sync} ({len(lacking)} columns lack). See whether its "
        "user may read that table; then run it again."
    )


def missing(tables: Mapping[str, Mapping[str, Any]], columns: Iterable[str]) -> list[str]:
    """The columns that Metabase has not found yet."""
    return sorted(set(columns) - set(field_ids(tables)))


def field_ids(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """`schema.table.column` → id."""
    return {
        f"{table}.{field['name']}".lower(): int(field["id"])
        for table, raw in tables.items()
        for field in raw.get("fields") or []
    }


def learn(ids: Ids, tables: Mapping[str, Mapping[str, Any]]) -> None:
    """Remembers what Metabase calls tables and fields."""
    ids.tables = {name: int(raw["id"]) for name, raw in tables.items()}
    ids.fields = field_ids(tables)


def _spelled(name: str, login: SnowflakeLogin | PostgresLogin) -> str:
    return str(spelling(login)(name))
