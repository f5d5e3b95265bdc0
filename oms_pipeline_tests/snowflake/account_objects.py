"""Roles, users, warehouses, resource monitors, integrations and grants: checked and remembered, and nothing more."""

import base64
import hashlib
import re
import threading
from collections.abc import Callable
from typing import NamedTuple

from oms_pipeline_tests.snowflake.errors import SqlError, missing, syntax
from oms_pipeline_tests.snowflake.statement import DONE, Statement, rows

# Kind → properties that it may have, so that a typo fails as it would in Snowflake.
KINDS: dict[str, set[str]] = {
    "WAREHOUSE": {
        "WAREHOUSE_SIZE", "WAREHOUSE_TYPE", "AUTO_SUSPEND", "AUTO_RESUME", "INITIALLY_SUSPENDED", "RESOURCE_MONITOR",
        "MIN_CLUSTER_COUNT", "MAX_CLUSTER_COUNT", "SCALING_POLICY", "COMMENT", "STATEMENT_TIMEOUT_IN_SECONDS",
        "STATEMENT_QUEUED_TIMEOUT_IN_SECONDS", "MAX_CONCURRENCY_LEVEL", "ENABLE_QUERY_ACCELERATION",
        "QUERY_ACCELERATION_MAX_SCALE_FACTOR",
    },
    "RESOURCE MONITOR": {"CREDIT_QUOTA", "FREQUENCY", "START_TIMESTAMP", "END_TIMESTAMP", "NOTIFY_USERS", "TRIGGERS"},
    "STORAGE INTEGRATION": {
        "TYPE", "STORAGE_PROVIDER", "ENABLED", "STORAGE_AWS_ROLE_ARN", "STORAGE_ALLOWED_LOCATIONS",
        "STORAGE_BLOCKED_LOCATIONS", "STORAGE_AWS_EXTERNAL_ID", "STORAGE_AWS_OBJECT_ACL", "USE_PRIVATELINK_ENDPOINT", "COMMENT",
    },
    "ROLE": {"COMMENT"},
    "USER": {
        "TYPE", "LOGIN_NAME", "DISPLAY_NAME", "FIRST_NAME", "LAST_NAME", "EMAIL", "DISABLED", "DEFAULT_WAREHOUSE",
        "DEFAULT_NAMESPACE", "DEFAULT_ROLE", "DEFAULT_SECONDARY_ROLES", "RSA_PUBLIC_KEY", "RSA_PUBLIC_KEY_2", "COMMENT",
        "MUST_CHANGE_PASSWORD", "PASSWORD", "NETWORK_POLICY", "DAYS_TO_EXPIRY", "TIMEZONE",
        "STATEMENT_TIMEOUT_IN_SECONDS",
    },
}  # fmt: skip
_REQUIRED = {
    "STORAGE INTEGRATION": {"TYPE", "STORAGE_PROVIDER", "ENABLED", "STORAGE_AWS_ROLE_ARN", "STORAGE_ALLOWED_LOCATIONS"}
}
_PRIVILEGES = {
    "USAGE", "OPERATE", "MONITOR", "MODIFY", "OWNERSHIP", "ALL", "ALL PRIVILEGES", "SELECT", "INSERT", "UPDATE", "DELETE",
    "TRUNCATE", "REFERENCES", "READ", "WRITE", "APPLYBUDGET", "CREATE SCHEMA", "CREATE TABLE", "CREATE VIEW",
    "CREATE EXTERNAL TABLE", "CREATE STAGE", "CREATE FILE FORMAT", "CREATE DATABASE", "CREATE WAREHOUSE", "CREATE ROLE",
    "CREATE USER", "CREATE INTEGRATION", "CREATE TEMPORARY TABLE", "IMPORTED PRIVILEGES", "EXECUTE TASK", "MONITOR USAGE",
    "CREATE SEQUENCE", "CREATE FUNCTION", "CREATE PROCEDURE", "REBUILD", "EVOLVE SCHEMA",
}  # fmt: skip
_CONTAINED = ("TABLE", "VIEW", "EXTERNAL TABLE", "STAGE", "FILE FORMAT", "SCHEMA", "SEQUENCE", "FUNCTION", "PROCEDURE",
              "MATERIALIZED VIEW", "DYNAMIC TABLE")  # fmt: skip
_ACCOUNT_KINDS = {"WAREHOUSE": "WAREHOUSE", "RESOURCE MONITOR": "RESOURCE MONITOR", "INTEGRATION": "STORAGE INTEGRATION",
                  "USER": "USER"}  # fmt: skip
_SYSTEM_ROLES = ("ACCOUNTADMIN", "SECURITYADMIN", "USERADMIN", "SYSADMIN", "PUBLIC")
_DATABASE_ROLES = {f"SNOWFLAKE.{name}_VIEWER" for name in ("USAGE", "OBJECT", "GOVERNANCE", "SECURITY")}
_INHERITED = {"ACCOUNTADMIN": ("SECURITYADMIN", "SYSADMIN"), "SECURITYADMIN": ("USERADMIN",)}


class Grant(NamedTuple):
    """One privilege, on one object or on all future ones, held by one role."""

    privilege: str
    kind: str
    name: str
    to: str
    grantee: str


class AccountObjects:
    """The account's objects, by kind and name in upper case."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[str, dict[str, str]]] = {kind: {} for kind in KINDS}
        self._objects["ROLE"] = {role: {} for role in _SYSTEM_ROLES}
        self._grants: dict[Grant, None] = {}
        self._lock = threading.RLock()
        for role, inherited in _INHERITED.items():
            self._grants |= {Grant("USAGE", "ROLE", name, "ROLE", role): None for name in inherited}

    def exists(self, kind: str, name: str) -> bool:
        """Whether there is such an object."""
        return name.upper() in self._objects[kind]

    def property(self, kind: str, name: str, key: str) -> str | None:
        """A property's text; None where it was not set."""
        return self._objects[kind].get(name.upper(), {}).get(key)

    def add_administrator(self, user: str, public_key: str) -> None:
        """A user with every role of the account.

        Args:
            user: User name.
            public_key: Base64 of its public key in DER.
        """
        self._objects["USER"][user.upper()] = {"RSA_PUBLIC_KEY": public_key, "DEFAULT_ROLE": "ACCOUNTADMIN"}
        self._grants[Grant("USAGE", "ROLE", "ACCOUNTADMIN", "USER", user.upper())] = None

    def may_use(self, user: str, role: str) -> bool:
        """Whether a user has been granted a role, itself or through other roles."""
        held, new = {"PUBLIC"}, {user.upper()}
        while new:
            new = {
                g.name for g in self._grants if g.kind == "ROLE" and g.privilege == "USAGE" and g.grantee in new
            } - held
            held |= new
        return role.upper() in held

    def change(self, verb: str, kind: str, statement: Statement, replace: bool) -> str:
        """CREATE, ALTER or DROP; gives the SELECT that answers."""
        with self._lock:
            lenient = statement.take("IF NOT EXISTS") or statement.take("IF EXISTS")
            name = statement.name().strip('"').upper()
            objects = self._objects[kind]
            if verb == "CREATE" and name in objects and not replace:
                if lenient:
                    return f"SELECT '{name} already exists, statement succeeded.' AS \"status\""
                raise SqlError(f"SQL compilation error:\nObject '{name}' already exists.", 2002, "42710")
            if verb != "CREATE" and name not in objects:
                if lenient:
                    return DONE
                raise missing(kind.title(), name)
            if verb == "DROP":
                del objects[name]
                self._grants = {
                    grant: None
                    for grant in self._grants
                    if name not in ((grant.grantee,) if kind in ("ROLE", "USER") else ())
                    and not (grant.name == name and _ACCOUNT_KINDS.get(grant.kind, grant.kind) == kind)
                }
                return f"SELECT '{name} successfully dropped.' AS \"status\""
            if verb == "ALTER" and statement.peek() in ("RESUME", "SUSPEND", "ABORT"):
                return DONE
            before = {} if verb == "CREATE" else objects[name]
            objects[name] = self._properties(kind, statement, before)
            done = "created" if verb == "CREATE" else "altered"
            return f"SELECT '{kind.title()} {name} successfully {done}.' AS \"status\""

    def describe(self, kind: str, statement: Statement) -> str:
        """Answers DESC."""
        name = statement.name().strip('"').upper()
        if name not in self._objects[kind]:
            raise missing("Integration" if kind == "STORAGE INTEGRATION" else kind.title(), name)
        properties = dict(self._objects[kind][name])
        if kind == "STORAGE INTEGRATION":
            properties["STORAGE_AWS_IAM_USER_ARN"] = "arn:aws:iam::123456789001:user/abc1-b-self1234"
            properties.setdefault("STORAGE_AWS_EXTERNAL_ID", f"BED_SFCRole=2_{_digest(name)}")
        if kind == "USER" and (key := properties.get("RSA_PUBLIC_KEY")):
            properties["RSA_PUBLIC_KEY_FP"] = fingerprint(key)
        return rows(
            ["property", "property_type", "property_value", "property_default"],
            [(key, "String", value, "") for key, value in properties.items()],
        )

    def show(self, kind: str, statement: Statement) -> str:
        """Answers SHOW for a kind."""
        like = statement.next() if statement.take("LIKE") else "%"
        pattern = re.escape(like).replace("%", ".*").replace("_", ".")
        columns = ["name", "owner", "comment", *sorted(key.lower() for key in KINDS[kind] - {"COMMENT"})]
        shown = {"WAREHOUSE_SIZE": "size", "WAREHOUSE_TYPE": "type"}
        return rows(
            [shown.get(column.upper(), column) for column in columns],
            [
                [
                    name,
                    "ACCOUNTADMIN",
                    properties.get("COMMENT", ""),
                    *(properties.get(key.upper()) for key in columns[3:]),
                ]
                for name, properties in self._objects[kind].items()
                if re.fullmatch(pattern, name, re.IGNORECASE)
            ],
        )

    def grant(self, statement: Statement, revoke: bool, object_exists: Callable[[str, str], bool]) -> str:
        """GRANT or REVOKE.

        Args:
            statement: After its first word.
            revoke: Whether to take back.
            object_exists: Tells, for DATABASE or SCHEMA and a name, whether there is one.
        """
        if revoke:
            statement.take("GRANT OPTION FOR")
        privileges, kind, name = self._granted(statement, object_exists)
        statement.need("FROM" if revoke else "TO")
        to = "USER" if statement.take("USER") else "ROLE"
        if to == "ROLE":
            statement.take("ROLE")
        grantee = statement.name().strip('"').upper()
        if not self.exists(to, grantee):
            raise missing(to.title(), grantee)
        for ending in ("WITH GRANT OPTION", "COPY CURRENT GRANTS", "REVOKE CURRENT GRANTS", "CASCADE", "RESTRICT"):
            statement.take(ending)
        if not statement.ended:
            raise syntax(statement.peek(), "<EOF>")
        with self._lock:
            for privilege in privileges:
                grant = Grant(privilege, kind, name, to, grantee)
                if revoke:
                    self._grants.pop(grant, None)
                else:
                    self._grants[grant] = None
        return DONE

    def show_grants(self, statement: Statement, future: bool) -> str:
        """Answers SHOW [FUTURE] GRANTS TO ROLE | TO USER | OF ROLE | ON … | IN …."""
        if statement.take("TO"):
            to = "USER" if statement.take("USER") else "ROLE"
            statement.take("ROLE")
            grantee = statement.name().strip('"').upper()
            chosen = [g for g in self._grants if (g.to, g.grantee) == (to, grantee)]
        elif statement.take("OF ROLE"):
            role = statement.name().strip('"').upper()
            chosen = [g for g in self._grants if (g.kind, g.name) == ("ROLE", role)]
        else:
            if not statement.take("ON"):
                statement.need("IN")
            kind = next((k for k in (*_ACCOUNT_KINDS, *_CONTAINED, "DATABASE") if statement.take(k)), "")
            name = statement.name().upper()
            chosen = [
                g
                for g in self._grants
                if (g.name.startswith(name + ".<") if future else (g.kind, g.name) == (kind, name))
            ]
        chosen = [grant for grant in chosen if ("<" in grant.name) == future]
        return rows(
            ["created_on", "privilege", "granted_on", "name", "role", "granted_to", "grantee_name", "grant_option"],
            [
                (
                    "2026-01-01",
                    g.privilege,
                    g.kind,
                    g.name,
                    g.name if g.kind == "ROLE" else None,
                    g.to,
                    g.grantee,
                    "false",
                )
                for g in chosen
            ],
        )

    def _granted(self, statement: Statement, object_exists: Callable[[str, str], bool]) -> tuple[list[str], str, str]:
        if statement.take("ROLE"):
            role = statement.name().strip('"').upper()
            if not self.exists("ROLE", role):
                raise missing("Role", role)
            return ["USAGE"], "ROLE", role
        if statement.take("DATABASE ROLE"):
            role = statement.name().upper()
            if role not in _DATABASE_ROLES:
                raise missing("Database role", role)
            return ["USAGE"], "DATABASE_ROLE", role
        privileges = [self._privilege(statement)]
        while statement.take(","):
            privileges.append(self._privilege(statement))
        statement.need("ON")
        if statement.take("ACCOUNT"):
            return privileges, "ACCOUNT", "ACCOUNT"
        every = next((word for word in ("FUTURE", "ALL") if statement.take(word)), None)
        if every:
            kind = next((k for k in sorted(_CONTAINED, key=len, reverse=True) if statement.take(k + "S")), None)
            if kind is None:
                raise syntax(statement.peek(), "the plural of an object's kind")
            statement.need("IN")
            container = next((word for word in ("SCHEMA", "DATABASE") if statement.take(word)), "")
            name = statement.name().upper()
            if not object_exists(container, name):
                raise missing(container.title(), name)
            return privileges, kind, f"{name}.<{kind}>" if every == "FUTURE" else f"{name}.*"
        kinds = (*_ACCOUNT_KINDS, *_CONTAINED, "DATABASE", "ROLE")
        kind = next((word for word in sorted(kinds, key=len, reverse=True) if statement.take(word)), None)
        if kind is None:
            raise syntax(statement.peek(), "an object's kind")
        name = statement.name().upper()
        if kind in _ACCOUNT_KINDS and not self.exists(_ACCOUNT_KINDS[kind], name):
            raise missing(kind.title(), name)
        if kind in ("DATABASE", "SCHEMA") and name != "SNOWFLAKE" and not object_exists(kind, name):
            raise missing(kind.title(), name)
        return privileges, kind, name

    @staticmethod
    def _privilege(statement: Statement) -> str:
        words = [statement.next().upper()]
        while statement.peek() not in (",", "ON", ""):
            words.append(statement.next().upper())
        privilege = " ".join(words)
        if privilege not in _PRIVILEGES:
            raise syntax(privilege, "a privilege")
        return privilege

    @staticmethod
    def _properties(kind: str, statement: Statement, before: dict[str, str]) -> dict[str, str]:
        properties = dict(before)
        unset = statement.take("UNSET")
        while not statement.ended:
            if statement.take("SET") or statement.take("WITH") or statement.take(","):
                continue
            if kind == "RESOURCE MONITOR" and statement.take("TRIGGERS"):
                properties["TRIGGERS"] = _triggers(statement.rest())
                continue
            key = statement.next().upper()
            if key not in KINDS[kind]:
                raise SqlError(f"SQL compilation error:\ninvalid property '{key}' for '{kind}'", 1420, "22023")
            if unset:
                properties.pop(key, None)
                continue
            statement.need("=")
            value = statement.value()
            properties[key] = value if isinstance(value, str) else ",".join(item.strip("'") for item in value)
        if absent := _REQUIRED.get(kind, set()) - set(properties):
            raise SqlError(f"SQL compilation error:\nMissing option(s): [{', '.join(sorted(absent))}]", 2144)
        return properties


def fingerprint(public_key: str) -> str:
    """What a login token names a public key by.

    Args:
        public_key: Base64 of the key in DER, with or without PEM's first and last line.
    """
    der = base64.b64decode(re.sub(r"-----[^-]+-----|\s", "", public_key))
    return "SHA256:" + base64.b64encode(hashlib.sha256(der).digest()).decode()


def _triggers(text: str) -> str:
    one = r"ON\s+\d+\s+PERCENT\s+DO\s+(?:SUSPEND|SUSPEND_IMMEDIATE|NOTIFY)"
    if not re.fullmatch(rf"(?is)\s*{one}(?:\s+{one})*\s*", text):
        raise syntax(text, "ON <threshold> PERCENT DO { SUSPEND | SUSPEND_IMMEDIATE | NOTIFY }")
    return " ".join(text.split())


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:16]
