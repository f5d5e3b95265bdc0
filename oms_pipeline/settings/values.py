"""How the value of one environment variable is understood. Knows no other variable; connects to nothing."""

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote
from zoneinfo import ZoneInfo

from oms_pipeline.errors import SettingsError

PROJECT_DIR: Final = Path(__file__).resolve().parents[2]
MAIL_ADDRESS: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_UNITS: Final = {"s": 1, "min": 60, "h": 3600, "d": 86400}
# PostgreSQL keeps a timeout as a 32-bit number of milliseconds.
_LONGEST: Final = dt.timedelta(days=24)
_KEYWORD_AND_VALUE: Final = r"(\w+)\s*=\s*('(?:[^'\\]|\\.)*'|(?!')(?:[^\s\\]|\\.)*)"


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
    uri = postgres_uri(dsn)
    return f"{unquote(uri.hosts) or 'local socket'}/{uri.database}"


def addresses_of(name: str, value: str) -> tuple[str, ...]:
    """Mail addresses, several with commas."""
    addresses = tuple(address.strip() for address in value.split(",") if address.strip())
    for address in addresses:
        if not MAIL_ADDRESS.fullmatch(address):
            raise SettingsError(f"{name} is '{value}'. Set it to an address, such as data@example.com.")
    return addresses


def web_url_of(name: str, value: str, example: str) -> str:
    """An address of HTTP without a login and without a slash at its end."""
    if not re.fullmatch(r"https?://[^@\s]+", value):
        raise SettingsError(f"{name} is no address. Set it to {example} or https://host, without a login.")
    return value.rstrip("/")


def path_of(value: str) -> Path:
    """Relative paths start at the checkout, so that commands mean the same from every folder."""
    return (PROJECT_DIR / Path(value).expanduser()).resolve()


def text_of_file(name: str, values: Mapping[str, str]) -> str:
    """The text in the file that a variable names, without white space around it."""
    path = path_of(values[name])
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise SettingsError(f"{name} ({path}) cannot be read. Set it to a text file that this user can read.") from None
    if not text:
        raise SettingsError(f"{name} ({path}) is empty. Write the value of {name.removesuffix('_FILE')} into it.")
    return text


def raw_url_of(value: str | None, profile: str, home: Path) -> str:
    """The raw zone: an absolute folder, or an `s3://` URL."""
    scheme, separator, rest = (value or "").partition("://")
    if profile == "snowflake" and scheme != "s3":
        found = f"is '{value}'" if value else "is not set"
        raise SettingsError(f"OMS_RAW_URL {found}, and OMS_PROFILE is 'snowflake'. Set it to s3://bucket/prefix.")
    if value is None:
        return str(home / "raw")
    if scheme == "s3":
        return _s3_url("OMS_RAW_URL", value)
    if not separator:
        return str(path_of(value))
    if scheme == "file":
        return str(path_of(unquote(rest)))
    raise SettingsError(f"OMS_RAW_URL is '{value}'. Set it to a folder, such as /data/raw, or to s3://bucket/prefix.")


def _s3_url(name: str, value: str) -> str:
    # A prefix is part of patterns that match files: characters with a meaning in those are left out.
    if not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9_.=-]+)*/?", value):
        raise SettingsError(
            f"{name} is '{value}'. Set it to s3://bucket/prefix; a prefix has letters, digits and any of / _ . = -"
        )
    return value.rstrip("/")


def compute_logs_url_of(value: str | None) -> str | None:
    """An `s3://` URL; None for Dagster's folder."""
    return None if value is None else _s3_url("OMS_COMPUTE_LOGS_URL", value)


def s3_endpoint_of(value: str | None) -> str | None:
    """An S3-compatible server's address; None for AWS."""
    if value is not None and not re.fullmatch(r"https?://[^/:@\s]+(:\d{1,5})?/?", value):
        raise SettingsError("OMS_S3_ENDPOINT is no address. Set it to https://host or https://host:port.")
    return value


def s3_encryption_of(value: str | None) -> str | None:
    """How S3 encrypts; None for the bucket's own default."""
    if value is not None and not re.fullmatch(r"AES256|aws:kms(:\S+)?", value):
        raise SettingsError(f"OMS_S3_ENCRYPTION is '{value}'. Set it to AES256, aws:kms or aws:kms:<key id>.")
    return value


def dagster_database_url_of(values: Mapping[str, str]) -> str | None:
    """A URL as SQLAlchemy takes it; None for SQLite."""
    url = dsn_of("OMS_DAGSTER_DATABASE_URL", values)
    if url is None:
        return None
    _, separator, rest = url.partition("://")
    if not separator:
        raise SettingsError("OMS_DAGSTER_DATABASE_URL is no URL. Set it to postgresql://user@host:5432/database.")
    return f"postgresql://{rest}"  # SQLAlchemy does not know the short form of the scheme


def dsn_of(name: str, values: Mapping[str, str]) -> str | None:
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
    uri = postgres_uri(dsn)
    if "@" in uri.credentials + uri.database or re.search(r"%(?![0-9A-Fa-f]{2})|%00", dsn):
        raise SettingsError(
            f"{name} is not a PostgreSQL DSN: its user or password holds one of @ / % as it is. "
            "Write them as %40, %2F and %25."
        )
    for host in uri.hosts.split(","):
        port = re.fullmatch(r"(?:\[[^]]+\]|[^:[]*)(?::(\d*))?", host)
        if port is None or int(port[1] or 0) > 65535:
            raise SettingsError(
                f"{name} is not a PostgreSQL DSN: its host is no name, or its port is not a number up to 65535. "
                "Set it to postgresql://user@host:5432/database."
            )
    return dsn


@dataclass(frozen=True)
class PostgresUri:
    """The parts of a PostgreSQL URI, each as it is written there.

    Attributes:
        credentials: User and password. Never shown.
        hosts: Hosts and ports, several with commas; empty for a local socket.
        database: The database.
        options: What comes after the question mark. Never shown.
    """

    credentials: str = field(repr=False)
    hosts: str
    database: str
    options: str = field(repr=False)

    @property
    def user(self) -> str:
        """The user, decoded; empty where the URI names none."""
        return unquote(self.credentials.partition(":")[0])

    @property
    def password(self) -> str:
        """The password, decoded."""
        return unquote(self.credentials.partition(":")[2])


def postgres_uri(dsn: str) -> PostgresUri:
    """A PostgreSQL URI, cut where PostgreSQL cuts it.

    `urlsplit` would cut at a `?`, `#` or `[` in a password, and show the first half of it as the host.
    https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS
    """
    authority, _, path = dsn.partition("://")[2].partition("/")
    credentials, _, rest = authority.rpartition("@")
    hosts, _, options = rest.partition("?")
    database, _, more_options = path.partition("?")
    return PostgresUri(credentials, hosts, database, options or more_options)


def unreadable_dsn(name: str, dsn: str, said: str) -> str | None:
    """The sentence to show where PostgreSQL's driver could not read a DSN; None where it could, and failed later.

    What the driver itself says of such a DSN quotes it, and with it the password.

    Args:
        name: The variable that holds the DSN.
        dsn: The DSN.
        said: What the driver said when it was to connect.
    """
    if "connection to server" in said or "host name" in said:
        return None
    return (
        f"{name}, which names {describe_dsn(dsn)}, holds an option or a value that PostgreSQL does not know. "
        "Correct it: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING"
    )


def timezone_of(value: str) -> ZoneInfo:
    """The time zone of an IANA name."""
    try:
        return ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise SettingsError(f"OMS_TIMEZONE is '{value}'. Set it to an IANA name, such as Europe/Berlin.") from None


def duration_of(name: str, value: str, at_least: dt.timedelta = dt.timedelta()) -> dt.timedelta:
    """A number and a unit."""
    match = re.fullmatch(r"(\d{1,9})\s*(s|min|h|d)", value)
    duration = dt.timedelta(seconds=int(match[1]) * _UNITS[match[2]]) if match else None
    if duration is None or duration < at_least or duration > _LONGEST:
        span = f"from {at_least.seconds}s to {_LONGEST.days}d"
        raise SettingsError(f"{name} is '{value}'. Set it to a number and a unit, {span}: 90s, 15min, 1h or 1d.")
    return duration
