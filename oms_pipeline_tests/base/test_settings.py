"""The environment: what each variable takes, what it is when unset, and that no secret is ever shown."""

import datetime as dt
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_pipeline.errors import SettingsError
from oms_pipeline.settings import (
    DEFAULTS,
    PROFILES,
    PROJECT_DIR,
    SAMPLE_HISTORY_DAYS,
    SECRETS,
    VARIABLES,
    PostgresLogin,
    SnowflakeLogin,
    describe_dsn,
    get_settings,
    read_settings,
    s3_place,
    sample_opened_file,
)

URL = "postgresql://reader:s3cret@db.example.com:6432/shop?sslmode=require"
KEY = "-----BEGIN PRIVATE KEY-----\nMIIEvQ\n-----END PRIVATE KEY-----\n"
SNOWFLAKE = {
    "OMS_PROFILE": "snowflake",
    "OMS_RAW_URL": "s3://oms-data/raw",
    "SNOWFLAKE_ACCOUNT": "myorg-myaccount",
    "SNOWFLAKE_USER": "OMS",
}
OWN = {"OMS_SOURCE_URL": URL, "OMS_START_DATE": "2026-01-31"}

BAD_VALUES = [
    ("OMS_PROFILE", "production", "one of: local, snowflake"),
    ("OMS_SOURCE_URL", "mysql://reader@db/shop", "Set it to postgresql://user@host:5432/database"),
    ("OMS_SOURCE_URL", "db.example.com", "Set it to postgresql://user@host:5432/database"),
    ("OMS_SOURCE_URL", "host=db.example.com dbname", "a value with spaces in single quotes"),
    ("OMS_SOURCE_URL", "postgresql://reader@db:port/shop", "port is not a number up to 65535"),
    ("OMS_SOURCE_URL", "postgresql://reader@db:65536/shop", "port is not a number up to 65535"),
    ("OMS_SOURCE_URL", "postgresql://reader@[]/shop", "its host is no name"),
    ("OMS_SOURCE_URL", "postgresql://reader@[::1/shop", "its host is no name"),
    ("OMS_SOURCE_URL", "postgresql://reader:a@b@db/shop", "Write them as %40, %2F and %25"),
    ("OMS_SOURCE_URL", "postgresql://reader:a/b@db/shop", "Write them as %40, %2F and %25"),
    ("OMS_SOURCE_URL", "postgresql://reader:50%@db/shop", "Write them as %40, %2F and %25"),
    ("OMS_SAMPLE_URL", "mysql://oms@db/oms", "Set it to postgresql://user@host:5432/database"),
    ("OMS_DAGSTER_DATABASE_URL", "mysql://dagster@db/dagster", "Set it to postgresql://user@host:5432/database"),
    ("OMS_DAGSTER_DATABASE_URL", "host=db dbname=dagster", "Set it to postgresql://user@host:5432/database"),
    ("OMS_RAW_URL", "ftp://files/raw", "Set it to a folder, such as /data/raw"),
    ("OMS_RAW_URL", "ftp://files/raw", "or to s3://bucket/prefix"),
    ("OMS_RAW_URL", "s3://", "Set it to s3://bucket/prefix"),
    ("OMS_RAW_URL", "s3://Bucket/raw", "Set it to s3://bucket/prefix"),
    ("OMS_RAW_URL", "s3://bucket/raw/*", "a prefix has letters, digits"),
    ("OMS_RAW_URL", "s3://bucket//raw", "a prefix has letters, digits"),
    ("OMS_S3_ENDPOINT", "minio:9000", "Set it to https://host or https://host:port"),
    ("OMS_S3_ENDPOINT", "http://me:s3cret@minio:9000", "Set it to https://host or https://host:port"),
    ("OMS_S3_ENCRYPTION", "aes", "Set it to AES256, aws:kms or aws:kms:<key id>"),
    ("OMS_COMPUTE_LOGS_URL", "/var/log", "Set it to s3://bucket/prefix"),
    ("OMS_TIMEZONE", "Berlin", "Set it to an IANA name, such as Europe/Berlin"),
    ("OMS_TIMEZONE", "../etc/passwd", "Set it to an IANA name"),
    ("OMS_TIMEZONE", "Europe", "Set it to an IANA name"),  # a folder of names
    ("OMS_START_DATE", "31.01.2026", "Set it to a date, such as 2026-01-31"),
    ("OMS_START_DATE", "2026-02-30", "Set it to a date, such as 2026-01-31"),
    ("OMS_OVERLAP", "1 hour", "a number and a unit"),
    ("OMS_OVERLAP", "60", "a number and a unit"),
    ("OMS_OVERLAP", "-1h", "a number and a unit"),
    ("OMS_OVERLAP", "25d", "from 0s to 24d"),
    ("OMS_SOURCE_STATEMENT_TIMEOUT", "0s", "from 1s to 24d"),
    ("OMS_SOURCE_STATEMENT_TIMEOUT", "fast", "90s, 15min, 1h or 1d"),
    ("OMS_LOCK_TIMEOUT", "1.5h", "90s, 15min, 1h or 1d"),
    ("OMS_LOCK_TIMEOUT", "999999999d", "from 0s to 24d"),
]


@pytest.fixture
def fresh_settings() -> Iterator[None]:
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@pytest.mark.parametrize(("variable", "value", "remedy"), BAD_VALUES)
def test_a_bad_value_is_told_in_one_line_with_its_variable_and_what_to_set(
    variable: str, value: str, remedy: str
) -> None:
    with pytest.raises(SettingsError) as error:
        read_settings({**OWN, variable: value})
    text = str(error.value)
    assert text.startswith(variable)
    assert remedy in text
    assert "\n" not in text
    assert error.value.__suppress_context__ or error.value.__context__ is None


def test_an_unknown_profile_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(SettingsError) as error:
        read_settings({"OMS_PROFILE": "Local"})
    assert str(error.value) == f"OMS_PROFILE is 'Local'. Set it to one of: {', '.join(PROFILES)}."


def test_an_own_source_needs_a_first_day() -> None:
    with pytest.raises(SettingsError, match=r"OMS_START_DATE is not set\. Set it to the first day to load"):
        read_settings({"OMS_SOURCE_URL": URL})


def test_nothing_set_means_the_sample_oms_and_everything_in_one_folder_of_the_checkout() -> None:
    settings = read_settings({})
    home = PROJECT_DIR / ".oms"
    assert settings.uses_sample
    assert settings.profile == "local"
    assert settings.source_schema == "public"
    assert settings.timezone == ZoneInfo("UTC")
    assert settings.overlap == dt.timedelta(hours=1)
    assert settings.statement_timeout == dt.timedelta(minutes=10)
    assert settings.lock_timeout == dt.timedelta(minutes=15)
    assert settings.home == home
    assert settings.raw_url == str(home / "raw")
    assert settings.duckdb_path == home / "oms.duckdb"
    assert settings.sample_dir == home / "sample"
    assert settings.dbt_dir == home / "dbt" / "local"


def test_everything_set_is_read() -> None:
    settings = read_settings(
        {
            "OMS_PROFILE": "local",
            "OMS_SOURCE_URL": URL,
            "OMS_SOURCE_SCHEMA": "shop",
            "OMS_RAW_URL": "/data/raw",
            "OMS_DUCKDB_PATH": "/data/shop.duckdb",
            "OMS_TIMEZONE": "Europe/Berlin",
            "OMS_START_DATE": "2026-01-31",
            "OMS_OVERLAP": "90s",
            "OMS_SOURCE_STATEMENT_TIMEOUT": "2 min",
            "OMS_LOCK_TIMEOUT": "0s",
            "OMS_HOME": "/data/home",
        }
    )
    assert (settings.source_url, settings.source_schema) == (URL, "shop")
    assert (settings.raw_url, settings.duckdb_path) == ("/data/raw", Path("/data/shop.duckdb"))
    assert (settings.timezone.key, settings.start_date) == ("Europe/Berlin", dt.date(2026, 1, 31))
    assert (settings.overlap, settings.statement_timeout) == (dt.timedelta(seconds=90), dt.timedelta(minutes=2))
    assert (settings.lock_timeout, settings.home) == (dt.timedelta(), Path("/data/home"))
    assert not settings.uses_sample


def test_set_but_empty_means_unset() -> None:
    assert read_settings(dict.fromkeys(VARIABLES, "  ")) == read_settings({})


def test_a_value_may_have_spaces_around_it() -> None:
    assert read_settings({"OMS_PROFILE": " local\n"}).profile == "local"


def test_every_default_belongs_to_a_variable() -> None:
    assert DEFAULTS.keys() <= VARIABLES.keys()


def test_relative_paths_start_at_the_checkout_from_every_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = read_settings({"OMS_HOME": "state", "OMS_RAW_URL": "../raw", "OMS_DUCKDB_PATH": "./shop.duckdb"})
    assert settings.home == PROJECT_DIR / "state"
    assert settings.raw_url == str(PROJECT_DIR.parent / "raw")
    assert settings.duckdb_path == PROJECT_DIR / "shop.duckdb"


def test_a_tilde_is_the_users_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/analyst")
    assert read_settings({"OMS_HOME": "~/oms"}).home == Path("/home/analyst/oms")


def test_the_raw_zone_may_be_a_file_url() -> None:
    assert read_settings({"OMS_RAW_URL": "file:///data/raw%20zone"}).raw_url == "/data/raw zone"


def test_the_raw_zone_may_be_in_a_bucket_whatever_the_warehouse() -> None:
    settings = read_settings(
        {
            "OMS_RAW_URL": "s3://oms-data/some/raw/",
            "OMS_S3_ENDPOINT": "http://minio:9000",
            "OMS_S3_ENCRYPTION": "aws:kms:alias/oms",
            "OMS_COMPUTE_LOGS_URL": "s3://oms-data/logs",
        }
    )
    assert (settings.profile, settings.raw_url) == ("local", "s3://oms-data/some/raw")
    assert s3_place(settings.raw_url) == ("oms-data", "some/raw")
    assert s3_place("s3://oms-data") == ("oms-data", "")
    assert (settings.s3_endpoint, settings.s3_encryption) == ("http://minio:9000", "aws:kms:alias/oms")
    assert settings.compute_logs_url == "s3://oms-data/logs"


def test_the_snowflake_profile_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "key.p8").write_text(KEY)
    in_file = read_settings({**SNOWFLAKE, "SNOWFLAKE_PRIVATE_KEY_FILE": str(tmp_path / "key.p8")}).snowflake
    in_variable = read_settings({**SNOWFLAKE, "SNOWFLAKE_PRIVATE_KEY": KEY.replace("\n", "\\n")}).snowflake
    assert in_file is not None
    assert in_variable is not None
    assert in_variable.private_key == KEY
    assert (in_file.account, in_file.user, in_file.private_key) == ("myorg-myaccount", "OMS", KEY.strip())
    assert (in_file.role, in_file.warehouse, in_file.database) == ("OMS_TRANSFORMER", "OMS_PIPELINE", "OMS")
    assert (in_file.passphrase, in_file.url) == (None, None)


def test_without_the_snowflake_profile_its_variables_are_not_looked_at() -> None:
    assert (
        read_settings({"SNOWFLAKE_ACCOUNT": "myorg-myaccount", "SNOWFLAKE_PRIVATE_KEY": "nonsense"}).snowflake is None
    )


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"SNOWFLAKE_ACCOUNT": ""}, "SNOWFLAKE_ACCOUNT is not set, and OMS_PROFILE is 'snowflake'. Set it"),
        ({"SNOWFLAKE_USER": ""}, "SNOWFLAKE_USER is not set, and OMS_PROFILE is 'snowflake'. Set it"),
        ({"SNOWFLAKE_PRIVATE_KEY": ""}, "SNOWFLAKE_PRIVATE_KEY_FILE is not set, and OMS_PROFILE is 'snowflake'. Set"),
        ({"SNOWFLAKE_PRIVATE_KEY": "s3cret"}, "SNOWFLAKE_PRIVATE_KEY holds no private key in PEM. Make one"),
        ({"SNOWFLAKE_PRIVATE_KEY": "", "SNOWFLAKE_PRIVATE_KEY_FILE": "/nothing"}, "(/nothing) cannot be read. Set it"),
        ({"SNOWFLAKE_ROLE": "a role"}, "SNOWFLAKE_ROLE is 'a role'. Set it to a name"),
        ({"SNOWFLAKE_DATABASE": 'OMS"; drop'}, "Set it to a name of letters, digits and underscores"),
        ({"SNOWFLAKE_URL": "https://me:s3cret@host"}, "SNOWFLAKE_URL is no address. Set it to https://host"),
        ({"OMS_RAW_URL": ""}, "OMS_RAW_URL is not set, and OMS_PROFILE is 'snowflake'. Set it to s3://bucket/prefix."),
        ({"OMS_RAW_URL": "/raw"}, "OMS_RAW_URL is '/raw', and OMS_PROFILE is 'snowflake'. Set it to s3://bucket"),
    ],
)
def test_what_the_snowflake_profile_lacks_is_told(changes: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsError) as error:
        read_settings({**SNOWFLAKE, "SNOWFLAKE_PRIVATE_KEY": KEY, **changes})
    assert told in str(error.value)
    assert "\n" not in str(error.value)
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_may_lie_in_a_file_and_a_value_beside_it_wins(name: str, tmp_path: Path) -> None:
    everything = {
        **dict.fromkeys(SECRETS, "postgresql://me:s3cret@db.example.com/oms"),
        **METABASE,
        **OWN,
        **(SNOWFLAKE if name.startswith("SNOWFLAKE_") else {}),
        "OMS_SMTP_URL": "smtp://me:s3cret@smtp.example.com",
        "OMS_METABASE_USER": "data@example.com",
        "SNOWFLAKE_PRIVATE_KEY": KEY.strip(),
        "SNOWFLAKE_DASHBOARDS_PRIVATE_KEY": KEY.strip(),
    }
    (tmp_path / "secret").write_text(f"{everything[name]}\n", encoding="utf-8")

    in_file = {**everything, name: "", f"{name}_FILE": str(tmp_path / "secret")}
    assert read_settings(in_file) == read_settings(everything)
    assert read_settings({**everything, f"{name}_FILE": "/nothing"}) == read_settings(everything)
    assert "s3cret" not in repr(read_settings(in_file))
    assert "MII" not in repr(read_settings(in_file))


@pytest.mark.parametrize(("content", "told"), [(None, "cannot be read. Set it to"), (" \n", "is empty. Write")])
def test_a_file_that_holds_no_secret_is_told(content: str | None, told: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "secret").write_text(content, encoding="utf-8")
    with pytest.raises(SettingsError, match=f"OMS_PUBLISH_URL_FILE .*secret.* {told}"):
        read_settings({"OMS_PUBLISH_URL_FILE": str(tmp_path / "secret")})


def test_settings_never_show_the_key() -> None:
    settings = read_settings({**SNOWFLAKE, "SNOWFLAKE_PRIVATE_KEY": KEY, "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE": "s3cret"})
    assert settings.snowflake is not None
    assert settings.snowflake.passphrase is not None
    for shown in (repr(settings), str(settings), repr(settings.snowflake)):
        assert "s3cret" not in shown
        assert "MIIEvQ" not in shown


def test_raw_zone_and_warehouse_follow_the_home() -> None:
    settings = read_settings({"OMS_HOME": "/data"})
    assert (settings.raw_url, settings.duckdb_path) == ("/data/raw", Path("/data/oms.duckdb"))


def test_the_calendar_starts_when_the_sample_oms_opened(tmp_path: Path) -> None:
    sample_opened_file(tmp_path).write_text("2026-02-03\n")
    assert read_settings({"OMS_HOME": str(tmp_path)}).start_date == dt.date(2026, 2, 3)


def test_before_the_sample_oms_opened_the_calendar_has_its_whole_history(tmp_path: Path) -> None:
    today = dt.datetime.now(dt.UTC).date()
    start = read_settings({"OMS_HOME": str(tmp_path)}).start_date
    assert start in (today - dt.timedelta(days=n) for n in (SAMPLE_HISTORY_DAYS, SAMPLE_HISTORY_DAYS - 1))


def test_the_environment_wins_over_the_env_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_settings: None
) -> None:
    (tmp_path / ".env").write_text("OMS_SOURCE_SCHEMA=from_file\nOMS_LOCK_TIMEOUT=3s\n")
    monkeypatch.setattr("oms_pipeline.settings.PROJECT_DIR", tmp_path)
    monkeypatch.setenv("OMS_SOURCE_SCHEMA", "from_environment")
    monkeypatch.delenv("OMS_LOCK_TIMEOUT")
    assert get_settings().source_schema == "from_environment"
    assert get_settings().lock_timeout == dt.timedelta(seconds=3)


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        (URL, "db.example.com:6432/shop"),
        ("postgres://db/shop", "db/shop"),
        ("postgresql://reader:s3cret@[::1]:5432/shop", "[::1]:5432/shop"),
        ("postgresql://reader:s3cret@one:1,two:2/shop", "one:1,two:2/shop"),
        ("postgresql:///shop?host=/run/postgres&password=s3cret", "local socket/shop"),
        ("postgresql://reader:s3cret?x#y@db/shop", "db/shop"),
        ("postgresql://reader:s3c[ret]@db/shop?sslmode=require", "db/shop"),
        ("host=db port=6432 dbname=shop user=reader password=s3cret", "db:6432/shop"),
        ("host = db dbname = shop password = 's3cret host=other'", "db:5432/shop"),
        (r"password='s3cret\' host=other' host=db dbname=shop", "db:5432/shop"),
        ("dbname=shop password=s3cret", "localhost:5432/shop"),
    ],
)
def test_a_dsn_is_shown_by_place_alone(dsn: str, shown: str) -> None:
    read_settings({**OWN, "OMS_SOURCE_URL": dsn})
    assert describe_dsn(dsn) == shown


def test_settings_never_show_a_dsn() -> None:
    settings = read_settings({**OWN, "OMS_SAMPLE_URL": URL, "OMS_DAGSTER_DATABASE_URL": URL})
    assert "s3cret" not in repr(settings)
    assert "s3cret" not in str(settings)
    assert (settings.source_url, settings.sample_url, settings.dagster_database_url) == (URL, URL, URL)


def test_the_short_scheme_of_dagsters_database_is_written_out() -> None:
    settings = read_settings({"OMS_DAGSTER_DATABASE_URL": "postgres://dagster@db/dagster"})
    assert settings.dagster_database_url == "postgresql://dagster@db/dagster"


@given(password=st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=6))
def test_no_password_is_shown_however_it_is_written(password: str) -> None:
    """Also where it makes the DSN wrong: then the error is shown."""
    secret = f"XyZ{password}ZyX"
    in_quotes = secret.replace("\\", "\\\\").replace("'", "\\'")
    for dsn in (
        f"postgresql://reader:{secret}@db:5432/shop",
        f"postgresql://reader:{quote(secret, safe='')}@db:5432/shop",
        f"postgresql://reader:{secret}@[]/shop",
        f"postgresql://db/shop?user=reader&password={secret}",
        f"host=db dbname=shop password={secret}",
        f"host=db dbname=shop password='{in_quotes}'",
        f"password='{in_quotes}' host=db dbname=shop",
    ):
        try:
            settings = read_settings({**OWN, **METABASE, "OMS_SOURCE_URL": dsn, "OMS_PUBLISH_URL": dsn})
            shown = f"{settings!r} {settings} {describe_dsn(settings.source_url or '')}"
        except SettingsError as error:
            shown = str(error)
        assert not re.search("XyZ|ZyX", shown), dsn


# Metabase and what it reads

PUBLISHED = {"OMS_PUBLISH_URL": "postgresql://publisher:s3cret@localhost:5433/marts"}
METABASE = {**PUBLISHED, "OMS_METABASE_URL": "http://localhost:3001/", "OMS_METABASE_API_KEY": "mb_s3cret"}
DASHBOARDS_KEY = KEY.replace("MIIEvQ", "MIIdashboards")

BAD_METABASE = [
    ({"OMS_METABASE_URL": "localhost:3001"}, "OMS_METABASE_URL is no address. Set it to http://host:3001"),
    ({"OMS_METABASE_URL": "http://me:s3cret@host"}, "without a login"),
    ({"OMS_METABASE_WEB_URL": "localhost:3001"}, "OMS_METABASE_WEB_URL is no address. Set it to http://host:3001"),
    ({"OMS_METABASE_API_KEY": ""}, "OMS_METABASE_API_KEY is not set, and OMS_METABASE_URL is"),
    ({"OMS_METABASE_USER": "data"}, "OMS_METABASE_USER is 'data'. Set it to an address"),
    ({"OMS_METABASE_USER": "data@example.com"}, "OMS_METABASE_PASSWORD is not set, and OMS_METABASE_USER is"),
    ({"OMS_PUBLISH_URL": ""}, "OMS_PUBLISH_URL is not set, and OMS_METABASE_URL is"),
    ({"OMS_PUBLISH_URL": "mysql://me:s3cret@db/shop"}, "OMS_PUBLISH_URL is not a PostgreSQL DSN"),
    ({"OMS_METABASE_DATABASE_URL": "postgresql://me:s3@cret@db/shop"}, "OMS_METABASE_DATABASE_URL is not a PostgreSQL"),
    ({"OMS_METABASE_DATABASE_URL": "host=db dbname=marts"}, "OMS_METABASE_DATABASE_URL tells Metabase no server, user"),
    ({"OMS_METABASE_DATABASE_URL": "postgresql://me:s3cret@%2Frun/marts"}, "OMS_METABASE_DATABASE_URL tells Metabase"),
    ({"OMS_PUBLISH_URL": "host=db dbname=marts"}, "OMS_PUBLISH_URL tells Metabase no server, user or database"),
    ({"OMS_PUBLISH_URL": "postgresql://me:s3cret@db"}, "OMS_PUBLISH_URL tells Metabase no server, user or database"),
    ({"OMS_PUBLISH_URL": "postgresql://me:s3cret@[]/marts"}, "OMS_PUBLISH_URL is not a PostgreSQL DSN: its host"),
    ({"OMS_METABASE_DATABASE_URL": "postgresql:///marts"}, "Set it to postgresql://user:password@host:5432/database"),
]


@pytest.mark.parametrize(("changes", "remedy"), BAD_METABASE)
def test_a_metabase_that_cannot_be_reached_as_it_is_set_is_told_in_one_line(
    changes: dict[str, str], remedy: str
) -> None:
    with pytest.raises(SettingsError) as error:
        read_settings({**METABASE, **changes})
    assert remedy in str(error.value)
    assert "\n" not in str(error.value)
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize("address", ["", "off"])
def test_without_its_address_there_is_no_metabase_whatever_else_is_set(address: str) -> None:
    settings = read_settings({**METABASE, "OMS_METABASE_URL": address})
    assert settings.metabase is None
    assert settings.publish_url == PUBLISHED["OMS_PUBLISH_URL"]


def test_metabase_is_linked_by_the_address_that_people_reach_or_else_by_its_own() -> None:
    metabase = read_settings(METABASE).metabase
    assert metabase is not None
    assert metabase.link == metabase.url == "http://localhost:3001"
    metabase = read_settings({**METABASE, "OMS_METABASE_WEB_URL": "https://metabase.example.com/"}).metabase
    assert metabase is not None
    assert (metabase.url, metabase.link) == ("http://localhost:3001", "https://metabase.example.com")


def test_metabase_reads_what_is_published_as_the_publisher_or_as_its_own_user() -> None:
    metabase = read_settings(METABASE).metabase
    assert metabase is not None
    assert metabase.url == "http://localhost:3001"
    assert metabase.reads == PostgresLogin("localhost", 5433, "marts", "publisher", "s3cret")
    own = "postgresql://metabase:p%40ss@db/marts?sslmode=require"
    metabase = read_settings({**METABASE, "OMS_METABASE_DATABASE_URL": own}).metabase
    assert metabase is not None
    assert metabase.reads == PostgresLogin("db", 5432, "marts", "metabase", "p@ss", "require")


@pytest.mark.parametrize("variable", ["OMS_PUBLISH_URL", "OMS_METABASE_DATABASE_URL"])
@pytest.mark.parametrize("password", ["s3c[ret", "s3c[ret]", "#s3cret", "s3?cret#", "s3:c=r&t+", "[::1]:5432"])
def test_metabase_gets_any_password_that_postgresql_takes(variable: str, password: str) -> None:
    metabase = read_settings({**METABASE, variable: f"postgresql://reader:{password}@db:5433/marts"}).metabase
    assert metabase is not None
    assert metabase.reads == PostgresLogin("db", 5433, "marts", "reader", password)


def test_metabase_gets_an_ipv6_address_without_its_brackets() -> None:
    metabase = read_settings({**METABASE, "OMS_PUBLISH_URL": "postgresql://me:s3cret@[::1]/marts"}).metabase
    assert metabase is not None
    assert metabase.reads == PostgresLogin("::1", 5432, "marts", "me", "s3cret")


def test_on_snowflake_metabase_logs_in_as_the_dashboards_user_with_its_own_key(tmp_path: Path) -> None:
    path = tmp_path / "dashboards.p8"
    path.write_text(DASHBOARDS_KEY)
    settings = read_settings(
        {
            **METABASE,
            **SNOWFLAKE,
            "SNOWFLAKE_PRIVATE_KEY": KEY,
            "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE": "s3cret",
            "SNOWFLAKE_DASHBOARDS_PRIVATE_KEY_FILE": str(path),
        }
    )
    assert settings.publish_url is None
    assert settings.metabase is not None
    reads = settings.metabase.reads
    assert isinstance(reads, SnowflakeLogin)
    assert (reads.user, reads.role, reads.warehouse) == ("OMS_DASHBOARDS_USER", "OMS_REPORTER", "OMS_DASHBOARDS")
    assert reads.private_key == DASHBOARDS_KEY.strip()
    assert reads.passphrase is None
    assert "MII" not in repr(settings)


def test_on_snowflake_metabase_needs_the_dashboards_key() -> None:
    with pytest.raises(SettingsError, match="SNOWFLAKE_DASHBOARDS_PRIVATE_KEY_FILE is not set"):
        read_settings({**METABASE, **SNOWFLAKE, "SNOWFLAKE_PRIVATE_KEY": KEY})


def test_no_secret_of_metabase_is_shown() -> None:
    environ = {**METABASE, "OMS_METABASE_USER": "data@example.com", "OMS_METABASE_PASSWORD": "s3cret"}
    assert "s3cret" not in repr(read_settings(environ))
