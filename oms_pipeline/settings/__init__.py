"""Every environment variable the project reads, typed, in one place. Reads nothing else and connects to nothing.

`VARIABLES` is the list; the README's table and `.env.example` are checked against it.
"""

import datetime as dt
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from dotenv import dotenv_values

from oms_pipeline.errors import SettingsError
from oms_pipeline.settings.logins import (
    MetabaseServer,
    PostgresLogin,
    SmtpServer,
    SnowflakeLogin,
    metabase_server,
    smtp_server,
    snowflake_login,
)
from oms_pipeline.settings.values import (
    MAIL_ADDRESS,
    PROJECT_DIR,
    addresses_of,
    compute_logs_url_of,
    dagster_database_url_of,
    describe_dsn,
    dsn_of,
    duration_of,
    path_of,
    postgres_uri,
    raw_url_of,
    s3_encryption_of,
    s3_encryption_options,
    s3_endpoint_of,
    s3_place,
    text_of_file,
    timezone_of,
    unreadable_dsn,
    web_url_of,
)

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
    "OMS_LOCK_TIMEOUT": "How long to wait for another run to let go of the raw zone or the warehouse.",
    "OMS_HOME": "Where everything without a place of its own lives: sample OMS, Dagster's storage, dbt's target.",
    "OMS_DAGSTER_DATABASE_URL": "Dagster's database, `postgresql://`. Unset: SQLite in Dagster's folder.",
    "OMS_COMPUTE_LOGS_URL": "Where the output of runs is kept, `s3://bucket/prefix`. Unset: in Dagster's folder.",
    "OMS_SMTP_URL": "The mail server, `smtp://` (STARTTLS) or `smtps://`. Unset: mails become files in OMS_HOME/mail.",
    "OMS_MAIL_FROM": "The sender of mails.",
    "OMS_MAIL_TO": "Who gets the mails about assets whose owner has no address; several with commas.",
    "OMS_WEB_URL": "Address of Dagster's web UI, for the links in mails.",
    "OMS_PUBLISH_URL": "PostgreSQL that the marts of the `local` profile are published to after each run, any DSN.",
    "OMS_METABASE_URL": "Address of Metabase. Unset or `off`: there is none.",
    "OMS_METABASE_WEB_URL": "Address of Metabase as people reach it, for links. Unset: the one above.",
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
    "SNOWFLAKE_DASHBOARDS_PRIVATE_KEY": "The private key itself (PEM), instead of a file.",
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

# What nobody should see. Each may lie in a file instead, which `<NAME>_FILE` names: secrets of containers are files.
SECRETS: Final = (
    "OMS_SOURCE_URL",
    "OMS_SAMPLE_URL",
    "OMS_DAGSTER_DATABASE_URL",
    "OMS_SMTP_URL",
    "OMS_PUBLISH_URL",
    "OMS_METABASE_API_KEY",
    "OMS_METABASE_PASSWORD",
    "OMS_METABASE_DATABASE_URL",
    "SNOWFLAKE_PRIVATE_KEY",
    "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE",
    "SNOWFLAKE_DASHBOARDS_PRIVATE_KEY",
)

SAMPLE_HISTORY_DAYS: Final = 62


__all__ = [
    "DEFAULTS",
    "MAIL_ADDRESS",
    "PROFILES",
    "PROJECT_DIR",
    "SAMPLE_HISTORY_DAYS",
    "SECRETS",
    "VARIABLES",
    "MetabaseServer",
    "PostgresLogin",
    "Settings",
    "SmtpServer",
    "SnowflakeLogin",
    "describe_dsn",
    "get_settings",
    "postgres_uri",
    "read_settings",
    "s3_encryption_options",
    "s3_place",
    "sample_opened_file",
    "unreadable_dsn",
]


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
    values = {**DEFAULTS, **_given(environ)}
    profile = values["OMS_PROFILE"]
    if profile not in PROFILES:
        raise SettingsError(f"OMS_PROFILE is '{profile}'. Set it to one of: {', '.join(PROFILES)}.")
    home = path_of(values.get("OMS_HOME", ".oms"))
    source_url = dsn_of("OMS_SOURCE_URL", values)
    timezone = timezone_of(values["OMS_TIMEZONE"])
    return Settings(
        profile=profile,
        source_url=source_url,
        source_schema=values["OMS_SOURCE_SCHEMA"],
        raw_url=raw_url_of(values.get("OMS_RAW_URL"), profile, home),
        duckdb_path=path_of(values.get("OMS_DUCKDB_PATH", str(home / "oms.duckdb"))),
        timezone=timezone,
        start_date=_start_date(values.get("OMS_START_DATE"), source_url, home, timezone),
        overlap=duration_of("OMS_OVERLAP", values["OMS_OVERLAP"]),
        # To PostgreSQL, a timeout of nothing is none.
        statement_timeout=duration_of(
            "OMS_SOURCE_STATEMENT_TIMEOUT", values["OMS_SOURCE_STATEMENT_TIMEOUT"], at_least=dt.timedelta(seconds=1)
        ),
        lock_timeout=duration_of("OMS_LOCK_TIMEOUT", values["OMS_LOCK_TIMEOUT"]),
        home=home,
        s3_endpoint=s3_endpoint_of(values.get("OMS_S3_ENDPOINT")),
        s3_encryption=s3_encryption_of(values.get("OMS_S3_ENCRYPTION")),
        sample_url=dsn_of("OMS_SAMPLE_URL", values),
        dagster_database_url=dagster_database_url_of(values),
        compute_logs_url=compute_logs_url_of(values.get("OMS_COMPUTE_LOGS_URL")),
        snowflake=snowflake_login(values) if profile == "snowflake" else None,
        smtp=smtp_server(values.get("OMS_SMTP_URL")),
        mail_from=addresses_of("OMS_MAIL_FROM", values["OMS_MAIL_FROM"])[0],
        mail_to=addresses_of("OMS_MAIL_TO", values.get("OMS_MAIL_TO", "")),
        web_url=web_url_of("OMS_WEB_URL", values["OMS_WEB_URL"], "http://host:3000"),
        publish_url=dsn_of("OMS_PUBLISH_URL", values) if profile == "local" else None,
        metabase=metabase_server(values, profile) if values.get("OMS_METABASE_URL", "off") != "off" else None,
    )


@cache
def get_settings() -> Settings:
    """The settings of this process: the environment, then the checkout's `.env` for what the environment lacks."""
    from_file = {name: value for name, value in dotenv_values(PROJECT_DIR / ".env").items() if value is not None}
    return read_settings({**from_file, **os.environ})


def _given(environ: Mapping[str, str]) -> dict[str, str]:
    """What is set: in the environment, or in a file that it names."""
    files = [f"{name}_FILE" for name in SECRETS]
    given = {name: value for name in (*VARIABLES, *files) if (value := environ.get(name, "").strip())}
    for name, file in zip(SECRETS, files, strict=True):
        # A key that this profile does not use may lie on another machine.
        of_profile = given.get("OMS_PROFILE") == "snowflake" or not name.startswith("SNOWFLAKE_")
        if of_profile and file in given and name not in given:
            given[name] = text_of_file(file, given)
    return given


def sample_opened_file(home: Path) -> Path:
    """The file that keeps the sample OMS's first day, so that the calendar needs no database to be drawn."""
    return home / "sample_opened_on"


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
