"""Servers that the pipeline logs in to, as environment variables tell of them."""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, unquote

from oms_pipeline.errors import SettingsError
from oms_pipeline.settings.values import addresses_of, dsn_of, postgres_uri, web_url_of

_WHO: Final = {
    "SNOWFLAKE_ACCOUNT": "the account identifier, such as myorg-myaccount",
    "SNOWFLAKE_USER": "the user the pipeline logs in as, with a key pair",
}


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
        url: Its address as the pipeline reaches it, without a slash at its end.
        reads: How it logs in to the database with the marts.
        api_key: An API key of an administrator, or None. Never shown.
        user: Instead of a key, an administrator's e-mail address.
        password: That administrator's password. Never shown.
        web_url: Its address as people reach it; None where that is the same.
    """

    url: str
    reads: SnowflakeLogin | PostgresLogin
    api_key: str | None = field(default=None, repr=False)
    user: str | None = None
    password: str = field(default="", repr=False)
    web_url: str | None = None

    @property
    def link(self) -> str:
        """The address that links start with."""
        return self.web_url or self.url


def metabase_server(values: Mapping[str, str], profile: str) -> MetabaseServer:
    """The Metabase of `OMS_METABASE_URL`, which has to be set."""
    url = web_url_of("OMS_METABASE_URL", values["OMS_METABASE_URL"], "http://host:3001")
    api_key, user = values.get("OMS_METABASE_API_KEY"), values.get("OMS_METABASE_USER")
    if api_key is None and user is None:
        raise SettingsError(
            "OMS_METABASE_API_KEY is not set, and OMS_METABASE_URL is. Set it to a key of the group Administrators, "
            "or OMS_METABASE_USER and OMS_METABASE_PASSWORD to an administrator's."
        )
    if user is not None:
        addresses_of("OMS_METABASE_USER", user)
        if "OMS_METABASE_PASSWORD" not in values:
            raise SettingsError("OMS_METABASE_PASSWORD is not set, and OMS_METABASE_USER is. Set it to its password.")
    web_url = values.get("OMS_METABASE_WEB_URL")
    if web_url is not None:
        web_url = web_url_of("OMS_METABASE_WEB_URL", web_url, "http://host:3001")
    reads = _dashboards_login(values) if profile == "snowflake" else _published_as_metabase_reads_it(values)
    return MetabaseServer(url, reads, api_key, user, values.get("OMS_METABASE_PASSWORD", ""), web_url)


def snowflake_login(values: Mapping[str, str]) -> SnowflakeLogin:
    """The pipeline's login."""
    for name, what in _WHO.items():
        if name not in values:
            raise SettingsError(f"{name} is not set, and OMS_PROFILE is 'snowflake'. Set it to {what}.")
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


def _dashboards_login(values: Mapping[str, str]) -> SnowflakeLogin:
    return dataclasses.replace(
        snowflake_login(values),
        user=values["SNOWFLAKE_DASHBOARDS_USER"],
        private_key=_private_key(values, "SNOWFLAKE_DASHBOARDS_PRIVATE_KEY"),
        passphrase=None,
        role=_snowflake_name(values, "SNOWFLAKE_DASHBOARDS_ROLE"),
        warehouse=_snowflake_name(values, "SNOWFLAKE_DASHBOARDS_WAREHOUSE"),
    )


def _published_as_metabase_reads_it(values: Mapping[str, str]) -> PostgresLogin:
    if "OMS_PUBLISH_URL" not in values:
        raise SettingsError(
            "OMS_PUBLISH_URL is not set, and OMS_METABASE_URL is. Set it to a PostgreSQL that Metabase can read."
        )
    name = "OMS_METABASE_DATABASE_URL" if "OMS_METABASE_DATABASE_URL" in values else "OMS_PUBLISH_URL"
    dsn = dsn_of(name, values) or ""
    uri = postgres_uri(dsn)
    server = re.fullmatch(r"(?:\[([^]]+)\]|([^,:%]+))(?::(\d*))?", uri.hosts)
    if "://" not in dsn or server is None or not uri.user or not uri.database:
        raise SettingsError(
            f"{name} tells Metabase no server, user or database. Set it to postgresql://user:password@host:5432/database."
        )
    return PostgresLogin(
        host=server[1] or server[2],
        port=int(server[3] or 5432),
        database=unquote(uri.database),
        user=uri.user,
        password=uri.password,
        ssl_mode=dict(parse_qsl(uri.options)).get("sslmode"),
    )


def _private_key(values: Mapping[str, str], name: str) -> str:
    if name not in values:
        raise SettingsError(
            f"{name}_FILE is not set, and OMS_PROFILE is 'snowflake'. Set it to the private key's file, "
            f"or {name} to its text."
        )
    text = values[name].replace("\\n", "\n")
    if "PRIVATE KEY-----" not in text:
        raise SettingsError(
            f"{name} holds no private key in PEM. Make one: openssl genrsa 2048 | openssl pkcs8 -topk8 -nocrypt"
        )
    return text


def _snowflake_name(values: Mapping[str, str], name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_$]*", values[name]):
        raise SettingsError(f"{name} is '{values[name]}'. Set it to a name of letters, digits and underscores.")
    return values[name].upper()


def smtp_server(value: str | None) -> SmtpServer | None:
    """The mail server of `OMS_SMTP_URL`; None where it is not set."""
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
    user, password = unquote(match[2]) if match[2] else None, unquote(match[3] or "")
    if not f"{user}{password}".isascii():
        # Python's client logs in with nothing else, and its error would show the password.
        raise SettingsError(
            "OMS_SMTP_URL has a user or a password beyond ASCII. Choose one of letters, digits and signs."
        )
    return SmtpServer(match[4].strip("[]"), port, match[1] == "smtps", user, password)
