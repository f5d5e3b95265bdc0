"""What each statement comes to: an answer made here, or SQL for fakesnow."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fakesnow.transforms import stage as internal_stage

from oms_pipeline_tests.snowflake.account_objects import KINDS, AccountObjects
from oms_pipeline_tests.snowflake.bucket import Bucket
from oms_pipeline_tests.snowflake.errors import SqlError, missing
from oms_pipeline_tests.snowflake.external_tables import ExternalTables, drop_stage, full_name, list_stage, list_stages
from oms_pipeline_tests.snowflake.locks import Locks, Session
from oms_pipeline_tests.snowflake.merges import merge
from oms_pipeline_tests.snowflake.statement import DONE, Statement, literal, rows, words

__all__ = ["Account", "Plan", "internal_stage"]

_DDL = re.compile(r"CREATE|ALTER (?!SESSION)|DROP|COMMENT|GRANT|REVOKE|UNDROP")
_WRITES = re.compile(
    r"(?:MERGE INTO|DELETE FROM|TRUNCATE(?: TABLE)?(?: IF EXISTS)?|UPDATE|(?P<overwrite>INSERT OVERWRITE INTO(?: TABLE)?)"
    r"|(?P<insert>INSERT INTO|COPY INTO)) (?P<table>(?:\"[^\"]*\"|[\w$.])+)"
)
_CONTAINER = re.compile(
    r"(?:DROP|CREATE (OR REPLACE))(?: TRANSIENT)? (SCHEMA|DATABASE)( IF EXISTS)? ((?:\"[^\"]*\"|[\w$.])+)"
)


@dataclass(frozen=True)
class Plan:
    """What is left to do for a statement.

    Attributes:
        sql: SQL for fakesnow, whose result is the client's.
        counts: Instead: the counts of a MERGE that has run.
    """

    sql: str = ""
    counts: dict[str, int] | None = None


class Account:
    """The whole account, and how its statements are carried out."""

    def __init__(self, bucket: Bucket):
        self.objects = AccountObjects()
        self.locks = Locks()
        self._bucket = bucket
        self._external = ExternalTables(bucket)

    def plan(self, session: Session, sql: str) -> Plan:
        """Carries a statement out up to what fakesnow can do.

        Raises:
            SqlError: As Snowflake would refuse it.
        """
        statement = Statement(sql)
        text = words(statement.sql)
        if (answer := self._transaction(session, text)) is not None:
            return Plan(answer)
        if _DDL.match(text):
            self.locks.end(session, commit=True)
        self._external.bring(statement.sql)
        if write := _WRITES.match(text):
            self._lock(session, write)
            if text.startswith("MERGE"):
                return Plan(counts=merge(session, self._functions(session, statement.sql)))
        *first, last = self._translated(session, statement, text)
        for each in first:
            session.conn.cursor().execute(each)
        return Plan(last)

    def _transaction(self, session: Session, text: str) -> str | None:
        if re.fullmatch(r"(BEGIN|START TRANSACTION)( WORK| TRANSACTION)?( NAME \w+)?", text):
            session.transaction = True
            return DONE
        if re.fullmatch(r"(COMMIT|ROLLBACK)( WORK)?", text):
            self.locks.end(session, commit=text.startswith("COMMIT"))
            return DONE
        return None

    def _lock(self, session: Session, write: re.Match[str]) -> None:
        if not session.autocommit:
            session.transaction = True
        table = None if write["insert"] else ".".join(full_name(session, write["table"]))
        self.locks.write(session, table)

    def _translated(self, session: Session, statement: Statement, text: str) -> list[str]:
        sql = statement.sql
        verb = statement.next().upper() if not statement.ended else ""
        if verb == "DESC":
            verb = "DESCRIBE"
        handler: Callable[..., list[str] | None] | None = {
            "CREATE": self._define,
            "ALTER": self._define,
            "DROP": self._define,
            "GRANT": self._grant,
            "REVOKE": self._grant,
            "USE": self._use,
            "SHOW": self._show,
            "DESCRIBE": self._describe,
            "LIST": self._list,
            "LS": self._list,
        }.get(verb)
        answer = handler(session, statement, verb, text) if handler else None
        if answer is not None:
            return answer
        if match := re.match(r"(?is)truncate\s+(?:table\s+)?if\s+exists\s+(.+)", sql):
            return [f"TRUNCATE TABLE {match[1]}"]
        return [self._functions(session, sql)]

    def _define(self, session: Session, statement: Statement, verb: str, text: str) -> list[str] | None:
        replace = statement.take("OR REPLACE")
        if statement.take("EXTERNAL TABLE"):
            if verb == "CREATE":
                return self._external.create(session, statement, replace)
            return (
                self._external.alter(session, statement) if verb == "ALTER" else self._external.drop(session, statement)
            )
        if verb == "DROP" and statement.take("STAGE"):
            drop_stage(session, statement.name())
            return [DONE]
        for kind in KINDS:
            if statement.take(kind):
                return [self.objects.change(verb, kind, statement, replace)]
        if verb == "ALTER" and statement.take("SESSION"):
            return self._session(session, statement)
        if verb == "ALTER":
            return _altered(text, statement.sql)
        if match := _CONTAINER.match(text):
            return self._container(session, statement.sql, match)
        if match := re.match(
            r"(?:CREATE OR REPLACE|DROP)(?: TRANSIENT| TEMPORARY)? (?:TABLE|VIEW)(?: IF EXISTS)? ([\w.\"$]+)", text
        ):
            # A new table has no comment, whatever the one before it had.
            session.conn._duck_conn.execute(
                "DELETE FROM _fs_global._fs_information_schema._fs_tables_ext "
                "WHERE ext_table_catalog = ? AND ext_table_schema = ? AND ext_table_name = ?",
                list(full_name(session, match[1])),
            )
        if "STAGE" in text.split()[:4]:
            self._check_stage(statement.sql)
        if match := re.match(
            r"(?is)(create\s+(?:or\s+replace\s+)?)(?:local\s+)?(?:temporary|temp)\s+((?:table|view)\s+(?:if\s+not\s+exists\s+)?)(\S+)",
            statement.sql,
        ):
            # DuckDB's own temporary tables cannot have a schema; dropped when the session ends.
            name = re.match(r'[\w.$"]+', match[3])
            if name is not None and "." in name[0]:
                kind = match[2].split()[0]
                session.temporary.add(
                    kind + " if exists " + ".".join(f'"{part}"' for part in full_name(session, name[0]))
                )
                return [match[1] + match[2] + statement.sql[match.start(3) :]]
        if verb == "CREATE" and re.match(r"CREATE (OR REPLACE )?(TRANSIENT |TEMPORARY )?(TABLE|VIEW)", text):
            return [self._functions(session, statement.sql)]
        return None

    def _container(self, session: Session, sql: str, match: re.Match[str]) -> list[str]:
        """Drops a schema or database with all that it holds, and makes it anew if asked to."""
        replace, kind, lenient, name = match.groups()
        database, schema = _container(session, kind, name)
        if not replace and not lenient and not _exists(session, database, schema):
            raise missing(kind.title(), name)
        self._external.drop_container(session, database, schema)
        dropped = f"DROP SCHEMA IF EXISTS {name}"
        if kind == "DATABASE":
            _drop_database(session, database)
            dropped = f"SELECT '{database} successfully dropped.' AS \"status\""
        return [dropped, re.sub(r"(?i)or\s+replace\s+", "", sql, count=1)] if replace else [dropped]

    def _session(self, session: Session, statement: Statement) -> list[str]:
        if statement.take("UNSET"):
            for name in statement.rest().split(","):
                session.parameters.pop(name.strip().upper(), None)
            return [DONE]
        statement.need("SET")
        while not statement.ended:
            statement.take(",")
            name = statement.next().upper()
            statement.need("=")
            session.parameters[name] = str(statement.value())
        return [DONE]

    def _check_stage(self, sql: str) -> None:
        integration = re.search(r"(?i)\bstorage_integration\s*=\s*([\w\"]+)", sql)
        url = re.search(r"(?i)\burl\s*=\s*'([^']*)'", sql)
        if integration is None or url is None:
            return
        name = integration[1].strip('"').upper()
        allowed = self.objects.property("STORAGE INTEGRATION", name, "STORAGE_ALLOWED_LOCATIONS")
        if allowed is None:
            raise missing("Integration", name)
        if not any(location == "*" or url[1].startswith(location) for location in allowed.split(",")):
            raise SqlError(
                f"SQL compilation error:\ninvalid stage location '{url[1]}': not allowed by integration {name}.", 3144
            )

    def _grant(self, session: Session, statement: Statement, verb: str, text: str) -> list[str]:
        def exists(kind: str, name: str) -> bool:
            return _exists(session, *_container(session, kind, name))

        return [self.objects.grant(statement, verb == "REVOKE", exists)]

    def _use(self, session: Session, statement: Statement, verb: str, text: str) -> list[str] | None:
        if statement.take("SECONDARY ROLES"):
            return [DONE]
        kind = next((kind for kind in ("WAREHOUSE", "ROLE") if statement.take(kind)), None)
        if kind is None:
            return None
        name = statement.name().strip('"').upper()
        if not self.objects.exists(kind, name):
            raise SqlError(
                "SQL compilation error:\nObject does not exist, or operation cannot be performed.", 2043, "02000"
            )
        if kind == "WAREHOUSE":
            session.warehouse = name
        elif self.objects.may_use(session.user, name):
            session.role = name
        else:
            raise SqlError(
                f"SQL access control error:\nRequested role '{name}' is not assigned to the executing user. "
                "Specify another role to activate.",
                3013,
                "42501",
            )
        return [DONE]

    def _show(self, session: Session, statement: Statement, verb: str, text: str) -> list[str] | None:
        statement.take("TERSE")
        if statement.take("PARAMETERS"):
            like = re.search(r"LIKE '([^']*)'", text)
            values = {"QUERY_TAG": "", "TIMEZONE": "UTC", **session.parameters}
            return [
                rows(
                    ["key", "value", "default", "level", "description", "type"],
                    [
                        (key, value, "", "SESSION" if key in session.parameters else "", "", "STRING")
                        for key, value in values.items()
                        if like is None or key == like[1]
                    ],
                )
            ]
        if statement.take("EXTERNAL TABLES"):
            return self._external.show(statement.next() if statement.take("LIKE") else None)
        future = statement.take("FUTURE")
        if statement.take("GRANTS"):
            return [self.objects.show_grants(statement, future)]
        if statement.take("INTEGRATIONS"):
            return [self.objects.show("STORAGE INTEGRATION", statement)]
        for kind in KINDS:
            if statement.take(kind + "S"):
                return [self.objects.show(kind, statement)]
        return None

    def _describe(self, session: Session, statement: Statement, verb: str, text: str) -> list[str] | None:
        if statement.take("INTEGRATION") or statement.take("STORAGE INTEGRATION"):
            return [self.objects.describe("STORAGE INTEGRATION", statement)]
        for kind in ("USER", "WAREHOUSE"):
            if statement.take(kind):
                return [self.objects.describe(kind, statement)]
        if statement.take("EXTERNAL TABLE"):
            return [f"DESCRIBE VIEW {statement.name()}"]
        return None

    def _list(self, session: Session, statement: Statement, verb: str, text: str) -> list[str] | None:
        answer = list_stage(session, statement, self._bucket)
        return None if answer is None else [answer]

    def _functions(self, session: Session, sql: str) -> str:
        """Puts the values of what only this account knows into a query."""
        values = {
            "CURRENT_ROLE": session.role,
            "CURRENT_WAREHOUSE": session.warehouse,
            "CURRENT_USER": session.user,
            "CURRENT_ACCOUNT": "TESTBED",
            "CURRENT_REGION": "AWS_EU_CENTRAL_1",
            "CURRENT_SESSION": str(session.number),
            "CURRENT_TRANSACTION": str(session.number) if session.transaction else None,
        }
        calls = re.compile(rf"(?i)\b({'|'.join(values)})\s*\(\s*\)")
        sql = calls.sub(lambda call: literal(values[call[1].upper()]), sql)
        sql = re.sub(
            r"(?i)\bsystem\$abort_transaction\s*\(\s*(\d+)\s*\)",
            lambda call: literal(self.locks.abort(int(call[1]))),
            sql,
        )
        if re.search(r"(?i)\brow_count\b", sql) and re.search(r"(?i)\binformation_schema[.]tables\b", sql):
            sql = _with_row_counts(session, sql)
        if re.search(r"(?i)\binformation_schema[.]stages\b", sql):
            sql = re.sub(r"(?i)\binformation_schema[.]stages\b", lambda _: f"({list_stages(session)})", sql)
        return self._external.listed(session, sql)


def _altered(text: str, sql: str) -> list[str] | None:
    if re.search(r"\b(UN)?SET (DATA_RETENTION_TIME_IN_DAYS|CHANGE_TRACKING|STATEMENT_TIMEOUT_IN_SECONDS)\b", text):
        return [DONE]
    if re.match(r"ALTER (DATABASE|SCHEMA|STAGE|FILE FORMAT) (IF EXISTS )?[\w.\"]+ SET ", text):
        return _altered_stage(sql) if text.startswith("ALTER STAGE") else [DONE]
    return None


def _altered_stage(sql: str) -> list[str]:
    match = re.match(r"(?is)alter\s+stage\s+(?:if\s+exists\s+)?([\w.\"]+)\s+set\s+(.*)$", sql)
    assert match is not None
    return [f"CREATE OR REPLACE STAGE {match[1]} {match[2]}"] if re.search(r"(?i)\burl\b", match[2]) else [DONE]


def _container(session: Session, kind: str, name: str) -> tuple[str, str | None]:
    parts = [part.strip('"') for part in name.upper().split(".")]
    if kind == "DATABASE":
        return parts[0], None
    return (parts[0], parts[1]) if len(parts) == 2 else (session.conn.database, parts[0])


def _exists(session: Session, database: str, schema: str | None) -> bool:
    found = session.conn._duck_conn.execute(
        "SELECT count(*) FROM duckdb_schemas() WHERE upper(database_name) = ? AND upper(schema_name) = coalesce(?, 'MAIN')",
        [database, schema],
    )
    return bool(found.fetchone()[0])


def _drop_database(session: Session, database: str) -> None:
    if session.conn.database == database:
        session.duck("USE memory.main")
        session.conn.database = session.conn._schema = None
        session.conn.database_set = session.conn.schema_set = False
    session.conn._duck_conn.execute(f'DETACH DATABASE IF EXISTS "{database}"')


def _with_row_counts(session: Session, sql: str) -> str:
    """DuckDB only estimates the rows of a table; here they are counted."""
    found = session.conn._duck_conn.execute(
        "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = ?", [session.conn.database]
    ).fetchall()
    counts: list[tuple[Any, ...]] = [
        (schema, table, session.duck(f'SELECT count(*) FROM "{session.conn.database}"."{schema}"."{table}"')[0][0])
        for schema, table in found
        if not schema.startswith("_fs")
    ]
    counted = rows(["IN_SCHEMA", "IN_TABLE", "COUNTED"], counts)

    def listed(match: re.Match[str]) -> str:
        return (
            f"(SELECT t.* EXCLUDE (ROW_COUNT), CAST(c.COUNTED AS NUMBER(38, 0)) AS ROW_COUNT FROM {match[1]} AS t "
            f"LEFT JOIN ({counted}) AS c ON t.TABLE_SCHEMA = c.IN_SCHEMA AND t.TABLE_NAME = c.IN_TABLE) "
            f"AS {match['alias'] or 'tables'}"
        )

    return re.sub(r"(?i)((?:[\w\"]+[.])?information_schema[.]tables)(?:\s+as\s+(?P<alias>\w+))?", listed, sql)
