"""External tables over Parquet on S3. Only REFRESH registers files; a query reads what is registered."""

import re
import threading
from dataclasses import dataclass, field

from oms_pipeline_tests.snowflake.bucket import FILENAME, ROW_NUMBER, Bucket
from oms_pipeline_tests.snowflake.errors import SqlError, missing, syntax
from oms_pipeline_tests.snowflake.locks import Session
from oms_pipeline_tests.snowflake.statement import DONE, Statement, literal, rows

Name = tuple[str, str, str]

_OPTIONS = {
    "LOCATION", "PATTERN", "FILE_FORMAT", "AUTO_REFRESH", "REFRESH_ON_CREATE", "COMMENT", "PARTITION_TYPE", "TABLE_FORMAT",
    "AWS_SNS_TOPIC",
}  # fmt: skip
_STAGES = "_fs_global._fs_information_schema._fs_stages"
_FORMATS = "_fs_global._fs_information_schema._fs_file_formats"
_COMMENTS = "_fs_global._fs_information_schema._fs_tables_ext"
_FIELD = re.compile(r'(?i)\bvalue\s*:\s*(?:"([^"]+)"|(\w+))')


@dataclass
class ExternalTable:
    """A registered table. `files`: URL → the object's etag when it was registered."""

    name: Name
    columns: list[tuple[str, str, str]]
    url: str
    location: str
    pattern: str | None
    files: dict[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """Where its copies are kept."""
        return ".".join(self.name)


def full_name(session: Session, name: str) -> Name:
    """Database, schema and name in the catalog's spelling.

    Raises:
        SqlError: 090105, the session has no current database or schema for a name that needs one.
    """
    parts = [part.strip('"') if part.startswith('"') else part.upper() for part in re.findall(r'"[^"]*"|[^.\s]+', name)]
    context = [session.conn.database, session.conn.schema][: 3 - len(parts)]
    if None in context:
        raise SqlError(
            f"Cannot perform operation. This session does not have a current database. Object '{name}'.", 90105, "22000"
        )
    database, schema, table = [*context, *parts]
    return database, schema, table


def stage_url(session: Session, location: str) -> str | None:
    """URL of a stage's path; None for an internal stage."""
    stage, _, path = location.lstrip("@").partition("/")
    name = full_name(session, stage)
    found = session.conn._duck_conn.execute(
        f"SELECT url FROM {_STAGES} WHERE database_name = ? AND schema_name = ? AND name = ?", list(name)
    ).fetchone()
    if found is None:
        raise missing("Stage", ".".join(name))
    return found[0].rstrip("/") + "/" + path if found[0] else None


def drop_stage(session: Session, name: str) -> None:
    """Forgets a stage."""
    session.conn._duck_conn.execute(
        f"DELETE FROM {_STAGES} WHERE database_name = ? AND schema_name = ? AND name = ?",
        list(full_name(session, name)),
    )


def list_stages(session: Session) -> str:
    """The SELECT that answers INFORMATION_SCHEMA.STAGES."""
    found = session.conn._duck_conn.execute(
        f"SELECT database_name, schema_name, name, url FROM {_STAGES} WHERE database_name = ?", [session.conn.database]
    ).fetchall()
    return rows(["STAGE_CATALOG", "STAGE_SCHEMA", "STAGE_NAME", "STAGE_URL"], found)


def list_stage(session: Session, statement: Statement, bucket: Bucket) -> str | None:
    """The SELECT that answers LIST for a stage on S3; None for another stage."""
    location = statement.location()
    url = stage_url(session, location)
    if url is None:
        return None
    pattern = None
    if statement.take("PATTERN"):
        statement.need("=")
        pattern = statement.next()
    found = [
        (item["url"], item["size"], item["etag"], item["modified"])
        for item in bucket.list(url)
        if pattern is None or re.fullmatch(pattern, item["url"])
    ]
    return rows(["name", "size", "md5", "last_modified"], found)


class ExternalTables:
    """All external tables of the account."""

    def __init__(self, bucket: Bucket):
        self._bucket = bucket
        self._tables: dict[Name, ExternalTable] = {}
        self._lock = threading.RLock()

    def create(self, session: Session, statement: Statement, replace: bool) -> list[str]:
        """Statements that make the table; the last one gives the answer."""
        unless_there = statement.take("IF NOT EXISTS")
        name = full_name(session, statement.name())
        if name in self._tables and not replace:
            if unless_there:
                return [f"SELECT '{name[2]} already exists, statement succeeded.' AS \"status\""]
            raise SqlError(f"SQL compilation error:\nObject '{'.'.join(name)}' already exists.", 2002, "42710")
        columns = [_column(text) for text in statement.group()] if statement.peek() == "(" else []
        options, partition_by = _options(statement)
        for option in ("LOCATION", "FILE_FORMAT"):
            if option not in options:
                raise SqlError(f"SQL compilation error:\nMissing option(s): [{option}]", 2144)
        if options.get("PARTITION_TYPE", "").upper() == "USER_SPECIFIED":
            raise SqlError("The test bed knows no PARTITION_TYPE = USER_SPECIFIED.", 2)
        computed = {column.strip('"').upper(): expression.upper() for column, _, expression in columns}
        for column in partition_by:
            if column not in computed:
                raise SqlError(f"SQL compilation error: error line 1 at position 0\ninvalid identifier '{column}'", 904)
            if FILENAME not in computed[column]:
                raise SqlError(f"Partition column '{column}' must be computed from {FILENAME}.", 2)
        url = stage_url(session, options["LOCATION"])
        if url is None:
            raise SqlError("The test bed has external tables on external stages only.", 2)
        table = ExternalTable(name, columns, url, options["LOCATION"], options.get("PATTERN"))
        with self._lock:
            self._bucket.forget(table.folder)
            self._tables[name] = table
        if options.get("REFRESH_ON_CREATE", "TRUE").upper() == "TRUE":
            self._refresh(table, "")
        session.duck(self._files_view(table))
        session.conn._duck_conn.execute(
            f"DELETE FROM {_COMMENTS} WHERE ext_table_catalog = ? AND ext_table_schema = ? AND ext_table_name = ?",
            list(name),
        )
        if "COMMENT" in options:
            session.conn._duck_conn.execute(f"INSERT INTO {_COMMENTS} VALUES (?, ?, ?, ?)", [*name, options["COMMENT"]])
        return [_view(table), f"SELECT 'Table {name[2]} successfully created.' AS \"status\""]

    def alter(self, session: Session, statement: Statement) -> list[str]:
        """Refreshes the table, below a path or as a whole; answers one row per file that changed."""
        if_there = statement.take("IF EXISTS")
        name = full_name(session, statement.name())
        if_there = statement.take("IF EXISTS") or if_there
        table = self._tables.get(name)
        if table is None:
            if if_there:
                return [DONE]
            raise _no_table(name)
        if statement.take("SET"):
            if statement.peek() not in ("AUTO_REFRESH", "COMMENT"):
                raise syntax(statement.peek(), "AUTO_REFRESH")
            statement.rest()
            return [DONE]
        statement.need("REFRESH")
        path = "" if statement.ended else statement.next()
        if not statement.ended:
            raise syntax(statement.peek(), "<EOF>")
        return [rows(["file", "status", "description"], self._refresh(table, path))]

    def drop(self, session: Session, statement: Statement) -> list[str]:
        """Forgets the table."""
        if_there = statement.take("IF EXISTS")
        name = full_name(session, statement.name())
        with self._lock:
            table = self._tables.pop(name, None)
        if table is None:
            if if_there:
                return [DONE]
            raise _no_table(name)
        self._bucket.forget(table.folder)
        session.duck(f'DROP VIEW IF EXISTS "{name[0]}"."{name[1]}"."{name[2]}"')
        return [f"SELECT '{name[2]} successfully dropped.' AS \"status\""]

    def drop_container(self, session: Session, database: str, schema: str | None) -> None:
        """Forgets what a dropped schema or database held and DuckDB does not know: tables, stages, formats, comments."""
        for catalog, of_database, of_schema in (
            (_STAGES, "database_name", "schema_name"),
            (_FORMATS, "database_name", "schema_name"),
            (_COMMENTS, "ext_table_catalog", "ext_table_schema"),
        ):
            session.conn._duck_conn.execute(
                f"DELETE FROM {catalog} WHERE {of_database} = ? AND {of_schema} = coalesce(?, {of_schema})",
                [database, schema],
            )
        with self._lock:
            for name in [name for name in self._tables if name[0] == database and schema in (None, name[1])]:
                self._bucket.forget(self._tables.pop(name).folder)

    def show(self, like: str | None) -> list[str]:
        """Answers SHOW EXTERNAL TABLES."""
        columns = ["created_on", "name", "database_name", "schema_name", "invalid", "location", "file_format_type"]
        pattern = re.escape(like).replace("%", ".*").replace("_", ".") if like else ".*"
        return [
            rows(
                columns,
                [
                    ("2026-01-01", name, database, schema, "false", table.location, "PARQUET")
                    for (database, schema, name), table in self._tables.items()
                    if re.fullmatch(pattern, name, re.IGNORECASE)
                ],
            )
        ]

    def bring(self, sql: str) -> None:
        """Brings the copies of every table that a statement names up to date with S3."""
        for table in list(self._tables.values()):
            if re.search(rf"(?i)\b{re.escape(table.name[2])}\b", sql):
                self._bucket.bring(table.folder, table.url, set(table.files))

    def listed(self, session: Session, sql: str) -> str:
        """The statement with calls of EXTERNAL_TABLE_FILES replaced by their rows."""
        call = r"(?is)\btable\s*\(\s*(?:[\w.\"]+[.])?external_table_files\s*\(\s*table_name\s*=>\s*'([^']+)'\s*\)\s*\)"

        def files(match: re.Match[str]) -> str:
            table = self._tables.get(name := full_name(session, match[1]))
            if table is None:
                raise _no_table(name)
            found = [(re.sub("^s3://[^/]+/", "", url), etag) for url, etag in sorted(table.files.items())]
            return "(" + rows(["FILE_NAME", "ETAG"], found) + ")"

        return re.sub(call, files, sql)

    def _refresh(self, table: ExternalTable, path: str) -> list[tuple[str, str, str]]:
        below = table.url.rstrip("/") + "/" + path.lstrip("/")
        now = {
            item["url"]: item["etag"]
            for item in self._bucket.list(below)
            if item["size"] and (table.pattern is None or re.fullmatch(table.pattern, item["url"]))
        }
        with self._lock:
            before = {url: etag for url, etag in table.files.items() if url.startswith(below)}
            kept = {url: etag for url, etag in table.files.items() if url not in before}
            table.files = {**kept, **now}
        changes = [
            (url, "REGISTERED_NEW" if url not in before else "REGISTERED_UPDATE", "File registered successfully.")
            for url, etag in now.items()
            if before.get(url) != etag
        ]
        gone = [(url, "UNREGISTERED", "File unregistered successfully.") for url in before if url not in now]
        return [(re.sub("^s3://[^/]+/", "", url), status, text) for url, status, text in changes + gone]

    def _files_view(self, table: ExternalTable) -> str:
        fields = sorted({match[1] or match[2] for _, _, text in table.columns for match in _FIELD.finditer(text)})
        columns = "".join(f', FIELDS[{literal(name)}] AS "value:{name}"' for name in fields)
        return (
            f'CREATE OR REPLACE VIEW {_files(table)} AS SELECT to_json(FIELDS) AS "VALUE", "{FILENAME}", "{ROW_NUMBER}"'
            f"{columns} FROM read_parquet({literal(self._bucket.pattern(table.folder))})"
        )


def _column(text: str) -> tuple[str, str, str]:
    match = re.match(r'(?is)\s*("[^"]+"|\w+)\s+(\w+(?:\s*\([^)]*\))?)\s+as\b\s*(.+)$', text)
    if match is None:
        raise syntax(text, "<name> <type> AS (<expression>)")
    return match[1], match[2], match[3]


def _options(statement: Statement) -> tuple[dict[str, str], list[str]]:
    options, partition_by = dict[str, str](), list[str]()
    while not statement.ended:
        if statement.take("PARTITION BY"):
            partition_by = [column.strip('"').upper() for column in statement.group()]
        elif not (statement.take("COPY GRANTS") or statement.take("WITH")):
            option = statement.next().upper()
            if option not in _OPTIONS:
                raise syntax(option)
            statement.need("=")
            value = statement.value()
            options[option] = value if isinstance(value, str) else ", ".join(value)
    return options, partition_by


def _files(table: ExternalTable) -> str:
    database, schema, name = table.name
    return f'"{database}"."_fs_information_schema"."{schema}.{name}"'


def _view(table: ExternalTable) -> str:
    columns = "".join(
        f", CAST(({_FIELD.sub(lambda match: _quoted(match), expression)}) AS {kind}) AS {column}"
        for column, kind, expression in table.columns
    )
    database, schema, name = table.name
    return (
        f'CREATE OR REPLACE VIEW "{database}"."{schema}"."{name}" AS '
        f'SELECT "VALUE"{columns}, "{FILENAME}", "{ROW_NUMBER}" FROM {_files(table)}'
    )


def _quoted(match: re.Match[str]) -> str:
    return f'"value:{match[1] or match[2]}"'


def _no_table(name: Name) -> SqlError:
    return SqlError(
        f"SQL compilation error:\nTable '{'.'.join(name)}' does not exist or not authorized.", 2003, "42S02"
    )
