"""Every environment variable the project reads, typed, in one place. Reads nothing else and connects to nothing.

`VARIABLES` is the list; the README's table and `.env.example` are checked against it.
"""

import dataclasses
import datetime as dt
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit
from zoneinfo import ZoneInfo

from dotenv import dotenv_values

from oms_pipeline.errors import SettingsError

PROJECT_DIR: Final = Path(__file__).resolve().parent.parent
PROFILES: Final = ("local", "snowflake")

VARIABLES: Final[dict[str, str]] = {
    "OMS_PROFILE": "Where things live. `local`: a folder and a DuckDB file. `snowflake`: S3 and Snowflake.",
    "OMS_SOURCE_URL": "The OMS database, any PostgreSQL DSN. Unset: the sample OMS.",
    "OMS_SOURCE_SCHEMA": "The schema of the OMS tables.",
    "OMS_SAMPLE_URL": "A PostgreSQL database for the sample OMS, by its superuser. Unset: an embedded PostgreSQL.",
    "OMS_RAW_URL": "The raw zone: a folder, a `file://` URL, or `s3://bucket/prefix`.",
    "OMS_S3_ENDPOINT": "Address of an S3-compatible server. Unset: AWS.",
    "OMS_S3_ENCRYPTION": "How S3 encrypts: `AES256`, `aws:kms` or `aws:kms:<key id>`. Unset: as the bucket does.",
    "OMS_DUCKDB_PATH": "The warehouse file of the `local` profile.",
    "OMS_TIMEZONE": "The time zone in which a day starts and ends, and of the schedule.",
    "OMS_START_DATE": "The first day. Its window is open to the past. Unset: the day the sample OMS opened.",
    "OMS_OVERLAP": "How far before its start a day is re-read where running transactions cannot be seen.",
    "OMS_SOURCE_STATEMENT_TIMEOUT": "Limit for one statement on the source, and for older transactions to end.",
    "OMS_LOCK_TIMEOUT": "How long to wait for another run to let go of the warehouse.",
    "OMS_HOME": "Where everything without a place of its own lives: sample OMS, Dagster's storage, dbt's target.",
    "OMS_DAGSTER_DATABASE_URL": "Dagster's database, `postgresql://`. Unset: SQLite in Dagster's folder.",
    "OMS_COMPUTE_LOGS_URL": "Where the output of runs is kept, `s3://bucket/prefix`. Unset: in Dagster's folder.",
    "OMS_SMTP_URL": "The mail server, `smtp://` (STARTTLS) or `smtps://`. Unset: mails become files in OMS_HOME/mail.",
    "OMS_MAIL_FROM": "The sender of mails.",
    "OMS_MAIL_TO": "Who gets the mails about assets whose owner has no address; several with commas.",
    "OMS_WEB_URL": "Address of Dagster's web UI, for the links in mails.",
    "OMS_PUBLISH_URL": "PostgreSQL that the marts of the `local` profile are published to after each run, any DSN.",
    "OMS_METABASE_URL": "Address of Metabase. Unset: there is none.",
    "OMS_METABASE_API_KEY": "An API key of Metabase's group Administrators.",
    "OMS_METABASE_USER": "Instead of a key: an administrator's e-mail address; made if Metabase is not set up yet.",
    "OMS_METABASE_PASSWORD": "That administrator's password.",
    "OMS_METABASE_DATABASE_URL": "`OMS_PUBLISH_URL` as Metabase reaches it, with a user that only reads.",
    "SNOWFLAKE_ACCOUNT": "The account identifier, such as `myorg-myaccount`.",
    "SNOWFLAKE_USER": "The user the pipeline logs in as, with a key pair.",
    "SNOWFLAKE_PRIVATE_KEY_FILE": "Path of that user's private key (PEM, PKCS #8).",
    "SNOWFLAKE_PRIVATE_KEY": "The private key itself (PEM), where a secret store hands it over instead of a file.",
    "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE": "The key's passphrase, if it has one.",
    "SNOWFLAKE_ROLE": "The role the pipeline works as.",
    "SNOWFLAKE_WAREHOUSE": "The virtual warehouse the pipeline computes on.",
    "SNOWFLAKE_DATABASE": "The database that holds the four schemas.",
    "SNOWFLAKE_URL": "Address of the account, where it is not the public one: behind PrivateLink or a proxy.",
    "SNOWFLAKE_DASHBOARDS_USER": "The user Metabase logs in as, with a key pair of its own.",
    "SNOWFLAKE_DASHBOARDS_PRIVATE_KEY_FILE": "Path of that user's private key (PEM, PKCS #8, no passphrase).",
    "SNOWFLAKE_DASHBOARDS_ROLE": "The role Metabase works as.",
    "SNOWFLAKE_DASHBOARDS_WAREHOUSE": "The virtual warehouse Metabase computes on.",
}

DEFAULTS: Final[dict[str, str]] = {
    "OMS_PROFILE": "local",
    "OMS_SOURCE_SCHEMA": "public",
    "OMS_TIMEZONE": "UTC",
    "OMS_OVERLAP": "1h",
    "OMS_SOURCE_STATEMENT_TIMEOUT": "10min",
    "OMS_LOCK_TIMEOUT": "15min",
    "OMS_MAIL_FROM": "oms-pipeline@localhost",
    "OMS_WEB_URL": "http://localhost:3000",
    "SNOWFLAKE_ROLE": "OMS_TRANSFORMER",
    "SNOWFLAKE_WAREHOUSE": "OMS_PIPELINE",
    "SNOWFLAKE_DATABASE": "OMS",
    "SNOWFLAKE_DASHBOARDS_USER": "OMS_DASHBOARDS_USER",
    "SNOWFLAKE_DASHBOARDS_ROLE": "OMS_REPORTER",
    "SNOWFLAKE_DASHBOARDS_WAREHOUSE": "OMS_DASHBOARDS",
}

SAMPLE_HISTORY_DAYS: Final = 62
MAIL_ADDRESS: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_UNITS: Final = {"s": 1, "min": 60, "h": 3600, "d": 86400}
# PostgreSQL keeps a timeout as a 32-bit number of milliseconds.
_LONGEST: Final = dt.timedelta(days=24)
_KEYWORD_AND_VALUE: Final = r"(\w+)\s*=\s*('(?:[^'\\]|\\.)*'|(?!')(?:[^\s\\]|\\.)*)"


@dataclass(frozen=True)
class SnowflakeLogin:
    """How to log in to Snowflake, and where to work.

    Attributes:
        account: Account identifier.
        user: User name.
        private_key: The private key, PEM text. Never shown.
        passphrase: The key's passphrase, or None. Never shown.
        role: Role name.
        warehouse: Virtual warehouse's name.
        database: Database name.
        url: Address of the account; None for the public one.
    """

    account: str
    user: str
    private_key: str = field(repr=False)
    passphrase: str | None = field(repr=False)
    role: str
    warehouse: str
    database: str
    url: str | None = None


@dataclass(frozen=True)
class SmtpServer:
    """A mail server, and how to log in to it.

    Attributes:
        host: Its name.
        port: Its port.
        implicit_tls: Whether it speaks TLS from the first byte; else STARTTLS is used.
        user: User name, or None for no login. Never shown.
        password: The user's password. Never shown.
    """

    host: str
    port: int
    implicit_tls: bool
    user: str | None = field(default=None, repr=False)
    password: str = field(default="", repr=False)


@dataclass(frozen=True)
class PostgresLogin:
    """A PostgreSQL database as somebody else is told to reach it.

    Attributes:
        host: Its name.
        port: Its port.
        database: The database.
        user: User name.
        password: The user's password. Never shown.
        ssl_mode: libpq's name for how TLS is used, or None.
    """

    host: str
    port: int
    database: str
    user: str
    password: str = field(repr=False)
    ssl_mode: str | None = None


@dataclass(frozen=True)
class MetabaseServer:
    """A Metabase, how to log in to it, and where it finds the marts.

    Attributes:
        url: Its address, without a slash at its end.
        reads: How it logs in to the database with the marts.
        api_key: An API key of an administrator, or None. Never shown.
        user: Instead of a key, an administrator's e-mail address.
        password: That administrator's password. Never shown.
    """

    url: str
    reads: SnowflakeLogin | PostgresLogin
    api_key: str | None = field(default=None, repr=False)
    user: str | None = None
    password: str = field(default="", repr=False)


@dataclass(frozen=True)
class Settings:
    """The environment, read once.

    Attributes:
        profile: One of `PROFILES`.
        source_url: PostgreSQL DSN, or None for the sample OMS. Never shown: it may hold a password.
        source_schema: Schema of the OMS tables.
        sample_url: PostgreSQL DSN of the sample OMS's database; None for the embedded server. Never shown.
        raw_url: The raw zone, an absolute folder or URL; `year=…` comes right below it.
        duckdb_path: Absolute path of the warehouse file.
        timezone: Time zone of the daily calendar.
        start_date: First day of the calendar.
        overlap: How far a window is re-read to the left where running transactions cannot be seen.
        statement_timeout: Limit for one statement on the source.
        lock_timeout: Limit for waiting for the warehouse file.
        home: Folder for everything else.
        s3_endpoint: Address of an S3-compatible server; None for AWS.
        s3_encryption: `AES256`, `aws:kms` or `aws:kms:<key id>`; None for the bucket's own default.
        dagster_database_url: `postgresql://` URL of Dagster's database; None for SQLite. Never shown.
        compute_logs_url: `s3://` URL for the output of runs; None for Dagster's folder.
        snowflake: Login of the `snowflake` profile; None in any other.
        smtp: The mail server; None to keep mails as files.
        mail_from: Sender of mails.
        mail_to: Who gets the mails that no owner gets.
        web_url: Address of the web UI, without a slash at its end.
        publish_url: PostgreSQL DSN the marts are published to; None for nowhere. Never shown.
        metabase: The Metabase to keep; None for none.
    """

    profile: str
    source_url: str | None = field(repr=False)
    source_schema: str
    raw_url: str
    duckdb_path: Path
    timezone: ZoneInfo
    start_date: dt.date
    overlap: dt.timedelta
    statement_timeout: dt.timedelta
    lock_timeout: dt.timedelta
    home: Path
    s3_endpoint: str | None = None
    s3_encryption: str | None = None
    sample_url: str | None = field(default=None, repr=False)
    dagster_database_url: str | None = field(default=None, repr=False)
    compute_logs_url: str | None = None
    snowflake: SnowflakeLogin | None = None
    smtp: SmtpServer | None = None
    mail_from: str = DEFAULTS["OMS_MAIL_FROM"]
    mail_to: tuple[str, ...] = ()
    web_url: str = DEFAULTS["OMS_WEB_URL"]
    publish_url: str | None = field(default=None, repr=False)
    metabase: MetabaseServer | None = None

    @property
    def uses_sample(self) -> bool:
        """Whether the source is the sample OMS."""
        return self.source_url is None

    @property
    def sample_dir(self) -> Path:
        """Folder of the sample OMS's embedded PostgreSQL."""
        return self.home / "sample"

    @property
    def report_file(self) -> Path:
        """The local report: every dashboard in one page."""
        return self.home / "report.html"

    @property
    def dbt_dir(self) -> Path:
        """Folder of dbt's target and logs; of each profile its own, since dbt parses a project for one warehouse."""
        return self.home / "dbt" / self.profile


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Settings from a mapping of environment variables.

    Raises:
        SettingsError: A value is missing or cannot be understood; the text names the variable and what it takes.
    """
    values = {**DEFAULTS, **{name: value for name in VARIABLES if (value := environ.get(name, "").strip())}}
    profile = values["OMS_PROFILE"]
    if profile not in PROFILES:
        raise SettingsError(f"OMS_PROFILE is '{profile}'. Set it to one of: {', '.join(PROFILES)}.")
    home = _path(values.get("OMS_HOME", ".oms"))
    source_url = _dsn("OMS_SOURCE_URL", values)
    timezone = _timezone(values["OMS_TIMEZONE"])
    return Settings(
        profile=profile,
        source_url=source_url,
        source_schema=values["OMS_SOURCE_SCHEMA"],
        raw_url=_raw_url(values.get("OMS_RAW_URL"), profile, home),
        duckdb_path=_path(values.get("OMS_DUCKDB_PATH", str(home / "oms.duckdb"))),
        timezone=timezone,
        start_date=_start_date(values.get("OMS_START_DATE"), source_url, home, timezone),
        overlap=_duration("OMS_OVERLAP", values["OMS_OVERLAP"]),
        # To PostgreSQL, a timeout of nothing is none.
        statement_timeout=_duration(
            "OMS_SOURCE_STATEMENT_TIMEOUT", values["OMS_SOURCE_STATEMENT_TIMEOUT"], at_least=dt.timedelta(seconds=1)
        ),
        lock_timeout=_duration("OMS_LOCK_TIMEOUT", values["OMS_LOCK_TIMEOUT"]),
        home=home,
        s3_endpoint=_s3_endpoint(values.get("OMS_S3_ENDPOINT")),
        s3_encryption=_s3_encryption(values.get("OMS_S3_ENCRYPTION")),
        sample_url=_dsn("OMS_SAMPLE_URL", values),
        dagster_database_url=_dagster_database_url(values),
        compute_logs_url=_compute_logs_url(values.get("OMS_COMPUTE_LOGS_URL")),
        snowflake=_snowflake_login(values) if profile == "snowflake" else None,
        smtp=_smtp_server(values.get("OMS_SMTP_URL")),
        mail_from=_addresses("OMS_MAIL_FROM", values["OMS_MAIL_FROM"])[0],
        mail_to=_addresses("OMS_MAIL_TO", values.get("OMS_MAIL_TO", "")),
        web_url=_web_url("OMS_WEB_URL", values["OMS_WEB_URL"], "http://host:3000"),
        publish_url=_dsn("OMS_PUBLISH_URL", values) if profile == "local" else None,
        metabase=_metabase(values, profile) if "OMS_METABASE_URL" in values else None,
    )


@cache
def get_settings() -> Settings:
    """The settings of this process: the environment, then the checkout's `.env` for what the environment lacks."""
    from_file = {name: value for name, value in dotenv_values(PROJECT_DIR / ".env").items() if value is not None}
    return read_settings({**from_file, **os.environ})


def sample_opened_file(home: Path) -> Path:
    """The file that keeps the sample OMS's first day, so that the calendar needs no database to be drawn."""
    return home / "sample_opened_on"


def s3_place(url: str) -> tuple[str, str]:
    """Bucket and prefix of an `s3://` URL; the prefix may be empty."""
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    return bucket, prefix


def s3_encryption_options(encryption: str | None) -> dict[str, str]:
    """`OMS_S3_ENCRYPTION` as S3's requests spell it."""
    if encryption is None:
        return {}
    _, is_key, key = encryption.partition("aws:kms:")
    return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key} if is_key else {"ServerSideEncryption": encryption}


def describe_dsn(dsn: str) -> str:
    """A DSN as it may be shown: host, port and database, never user, password or options."""
    if "://" not in dsn:
        shown = dict(re.findall(_KEYWORD_AND_VALUE, dsn))
        return f"{shown.get('host', 'localhost')}:{shown.get('port', '5432')}/{shown.get('dbname', '')}"
    _, hosts, database = _dsn_parts(dsn)
    return f"{unquote(hosts) or 'local socket'}/{database}"


def _snowflake_login(values: Mapping[str, str]) -> SnowflakeLogin:
    for name in ("SNOWFLAKE_ACCOUNT", "SNOWFLAKE_USER"):
        if name not in values:
            raise SettingsError(f"{name} is not set, and OMS_PROFILE is 'snowflake'. Set it: {VARIABLES[name]}")
    url = values.get("SNOWFLAKE_URL")
    if url is not None and not re.fullmatch(r"https?://[^/:@\s]+(:\d{1,5})?/?", url):
        raise SettingsError("SNOWFLAKE_URL is no address. Set it to https://host or https://host:port.")
    return SnowflakeLogin(
        account=values["SNOWFLAKE_ACCOUNT"],
        user=values["SNOWFLAKE_USER"],
        private_key=_private_key(values, "SNOWFLAKE_PRIVATE_KEY"),
        passphrase=values.get("SNOWFLAKE_PRIVATE_KEY_PASSPHRASE"),
        role=_snowflake_name(values, "SNOWFLAKE_ROLE"),
        warehouse=_snowflake_name(values, "SNOWFLAKE_WAREHOUSE"),
        database=_snowflake_name(values, "SNOWFLAKE_DATABASE"),
        url=url,
    )


def _snowflake_name(values: Mapping[str, str], name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_$]*", values[name]):
        raise SettingsError(f"{name} is '{values[name]}'. Set it to a name of letters, digits and underscores.")
    return values[name].upper()


def _smtp_server(value: str | None) -> SmtpServer | None:
    if value is None:
        return None
    match = re.fullmatch(
        r"(smtps?)://(?:([^:@/\s]+):([^:@/\s]+)@)?([A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\])(?::(\d{1,5}))?/?", value
    )
    port = int(match[5] or (465 if match[1] == "smtps" else 587)) if match else 0
    if match is None or not 0 < port <= 65535 or re.search(r"%(?![0-9A-Fa-f]{2})", value):
        raise SettingsError(
            "OMS_SMTP_URL is no address of a mail server. Set it to smtp://user:password@host:587 or "
            "smtps://user:password@host:465; in user and password write : / @ % as %3A %2F %40 %25."
        )
    user = unquote(match[2]) if match[2] else None
    return SmtpServer(match[4].strip("[]"), port, match[1] == "smtps", user, unquote(match[3] or ""))


def _addresses(name: str, value: str) -> tuple[str, ...]:
    addresses = tuple(address.strip() for address in value.split(",") if address.strip())
    for address in addresses:
        if not MAIL_ADDRESS.fullmatch(address):
            raise SettingsError(f"{name} is '{value}'. Set it to an address, such as data@example.com.")
    return addresses


def _web_url(name: str, value: str, example: str) -> str:
    if not re.fullmatch(r"https?://[^@\s]+", value):
        raise SettingsError(f"{name} is no address. Set it to {example} or https://host, without a login.")
    return value.rstrip("/")


def _metabase(values: Mapping[str, str], profile: str) -> MetabaseServer:
    url = _web_url("OMS_METABASE_URL", values["OMS_METABASE_URL"], "http://host:3001")
    api_key, user = values.get("OMS_METABASE_API_KEY"), values.get("OMS_METABASE_USER")
    if api_key is None and user is None:
        raise SettingsError(
            "OMS_METABASE_API_KEY is not set, and OMS_METABASE_URL is. Set it to a key of the group Administrators, "
            "or OMS_METABASE_USER and OMS_METABASE_PASSWORD to an administrator's."
        )
    if user is not None:
        _addresses("OMS_METABASE_USER", user)
        if "OMS_METABASE_PASSWORD" not in values:
            raise SettingsError("OMS_METABASE_PASSWORD is not set, and OMS_METABASE_USER is. Set it to its password.")
    reads = _dashboards_login(values) if profile == "snowflake" else _published_as_metabase_reads_it(values)
    return MetabaseServer(url, reads, api_key, user, values.get("OMS_METABASE_PASSWORD", ""))


def _dashboards_login(values: Mapping[str, str]) -> SnowflakeLogin:
    return dataclasses.replace(
        _snowflake_login(values),
        user=values["SNOWFLAKE_DASHBOARDS_USER"],
        private_key=_private_key(values, "SNOWFLAKE_DASHBOARDS_PRIVATE_KEY"),
        passphrase=None,
        role=_snowflake_name(values, "SNOWFLAKE_DASHBOARDS_ROLE"),
        warehouse=_snowflake_name(values, "SNOWFLAKE_DASHBOARDS_WAREHOUSE"),
    )


def _published_as_metabase_reads_it(values: Mapping[str, str]) -> PostgresLogin:
    dsn = _dsn("OMS_METABASE_DATABASE_URL", values) or _dsn("OMS_PUBLISH_URL", values)
    if dsn is None or "OMS_PUBLISH_URL" not in values:
        raise SettingsError(
            "OMS_PUBLISH_URL is not set, and OMS_METABASE_URL is. Set it to a PostgreSQL that Metabase can read."
        )
    parts = urlsplit(dsn)
    if "://" not in dsn or not parts.hostname or not parts.username or len(parts.path) < 2 or "," in parts.netloc:
        raise SettingsError(
            "OMS_METABASE_DATABASE_URL tells Metabase no server, user or database. "
            "Set it to postgresql://user:password@host:5432/database."
        )
    return PostgresLogin(
        host=parts.hostname,
        port=parts.port or 5432,
        database=unquote(parts.path[1:]),
        user=unquote(parts.username),
        password=unquote(parts.password or ""),
        ssl_mode=dict(parse_qsl(parts.query)).get("sslmode"),
    )


def _private_key(values: Mapping[str, str], name: str) -> str:
    if name in values:
        text, where = values[name].replace("\\n", "\n"), name
    elif f"{name}_FILE" in values:
        path = _path(values[f"{name}_FILE"])
        where = f"{name}_FILE ({path})"
        try:
            text = path.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(
                f"{where} cannot be read. Set it to a readable PEM file with the private key."
            ) from error
    else:
        raise SettingsError(
            f"{name}_FILE is not set, and OMS_PROFILE is 'snowflake'. "
            f"Set it to the private key's file{f', or {name} to its text' if name in VARIABLES else ''}."
        )
    if "PRIVATE KEY-----" not in text:
        raise SettingsError(
            f"{where} holds no private key in PEM. Make one: openssl genrsa 2048 | openssl pkcs8 -topk8 -nocrypt"
        )
    return text


def _path(value: str) -> Path:
    """Relative paths start at the checkout, so that commands mean the same from every folder."""
    return (PROJECT_DIR / Path(value).expanduser()).resolve()


def _raw_url(value: str | None, profile: str, home: Path) -> str:
    scheme, separator, rest = (value or "").partition("://")
    if profile == "snowflake" and scheme != "s3":
        found = f"is '{value}'" if value else "is not set"
        raise SettingsError(f"OMS_RAW_URL {found}, and OMS_PROFILE is 'snowflake'. Set it to s3://bucket/prefix.")
    if value is None:
        return str(home / "raw")
    if scheme == "s3":
        return _s3_url("OMS_RAW_URL", value)
    if not separator:
        return str(_path(value))
    if scheme == "file":
        return str(_path(unquote(rest)))
    raise SettingsError(f"OMS_RAW_URL is '{value}'. Set it to a folder, such as /data/raw, or to s3://bucket/prefix.")


def _s3_url(name: str, value: str) -> str:
    # A prefix is part of patterns that match files: characters with a meaning in those are left out.
    if not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9_.=-]+)*/?", value):
        raise SettingsError(
            f"{name} is '{value}'. Set it to s3://bucket/prefix; a prefix has letters, digits and any of / _ . = -"
        )
    return value.rstrip("/")


def _compute_logs_url(value: str | None) -> str | None:
    return None if value is None else _s3_url("OMS_COMPUTE_LOGS_URL", value)


def _s3_endpoint(value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"https?://[^/:@\s]+(:\d{1,5})?/?", value):
        raise SettingsError("OMS_S3_ENDPOINT is no address. Set it to https://host or https://host:port.")
    return value


def _s3_encryption(value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"AES256|aws:kms(:\S+)?", value):
        raise SettingsError(f"OMS_S3_ENCRYPTION is '{value}'. Set it to AES256, aws:kms or aws:kms:<key id>.")
    return value


def _dagster_database_url(values: Mapping[str, str]) -> str | None:
    url = _dsn("OMS_DAGSTER_DATABASE_URL", values)
    if url is None:
        return None
    _, separator, rest = url.partition("://")
    if not separator:
        raise SettingsError("OMS_DAGSTER_DATABASE_URL is no URL. Set it to postgresql://user@host:5432/database.")
    return f"postgresql://{rest}"  # SQLAlchemy does not know the short form of the scheme


def _dsn(name: str, values: Mapping[str, str]) -> str | None:
    """A DSN, without what PostgreSQL's own parser would refuse with an error that quotes the password."""
    dsn = values.get(name)
    if dsn is None:
        return None
    if not re.match(r"postgres(ql)?://", dsn):
        if "://" in dsn or not re.fullmatch(rf"(?:\s*{_KEYWORD_AND_VALUE})+\s*", dsn):
            raise SettingsError(
                f"{name} is not a PostgreSQL DSN. Set it to postgresql://user@host:5432/database, "
                "or host=… dbname=…, a value with spaces in single quotes."
            )
        return dsn
    credentials, hosts, database = _dsn_parts(dsn)
    if "@" in credentials + database or re.search(r"%(?![0-9A-Fa-f]{2})|%00", dsn):
        raise SettingsError(
            f"{name} is not a PostgreSQL DSN: its user or password holds one of @ / % as it is. "
            "Write them as %40, %2F and %25."
        )
    for host in hosts.split(","):
        port = re.fullmatch(r"(?:\[[^]]*\]|[^:]*)(?::(\d*))?", host)
        if port is None or int(port[1] or 0) > 65535:
            raise SettingsError(
                f"{name} is not a PostgreSQL DSN: its port is not a number up to 65535. "
                "Set it to postgresql://user@host:5432/database."
            )
    return dsn


def _dsn_parts(dsn: str) -> tuple[str, str, str]:
    """Credentials, hosts and database of a PostgreSQL URI, cut where PostgreSQL cuts it.

    `urlsplit` would cut at a `?` or `#` in a password, and show the first half of it as the host.
    https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS
    """
    authority, _, path = dsn.partition("://")[2].partition("/")
    credentials, _, hosts = authority.rpartition("@")
    return credentials, hosts.partition("?")[0], path.partition("?")[0]


def _timezone(value: str) -> ZoneInfo:
    try:
        return ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise SettingsError(f"OMS_TIMEZONE is '{value}'. Set it to an IANA name, such as Europe/Berlin.") from None


def _duration(name: str, value: str, at_least: dt.timedelta = dt.timedelta()) -> dt.timedelta:
    match = re.fullmatch(r"(\d{1,9})\s*(s|min|h|d)", value)
    duration = dt.timedelta(seconds=int(match[1]) * _UNITS[match[2]]) if match else None
    if duration is None or duration < at_least or duration > _LONGEST:
        span = f"from {at_least.seconds}s to {_LONGEST.days}d"
        raise SettingsError(f"{name} is '{value}'. Set it to a number and a unit, {span}: 90s, 15min, 1h or 1d.")
    return duration


def _start_date(value: str | None, source_url: str | None, home: Path, timezone: ZoneInfo) -> dt.date:
    if value is not None:
        try:
            return dt.date.fromisoformat(value)
        except ValueError:
            raise SettingsError(f"OMS_START_DATE is '{value}'. Set it to a date, such as 2026-01-31.") from None
    if source_url is not None:
        raise SettingsError("OMS_START_DATE is not set. Set it to the first day to load, such as 2026-01-31.")
    opened = sample_opened_file(home)
    if opened.exists():
        return dt.date.fromisoformat(opened.read_text().strip())
    return dt.datetime.now(timezone).date() - dt.timedelta(days=SAMPLE_HISTORY_DAYS)
