"""Connecting: every refusal is one line with the next step, and no error shows a secret."""

import datetime as dt
import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from oms_pipeline.errors import SourceError, TransientSourceError
from oms_pipeline.source import PostgresSource
from oms_pipeline_tests.source.real_oms import Oms

SECRET = "correct-horse"  # noqa: S105 - nobody's


def error_of(dsn: str, caplog: pytest.LogCaptureFixture) -> SourceError:
    caplog.set_level(logging.DEBUG)
    source = PostgresSource(dsn, "oms", dt.timedelta(seconds=5), dt.timedelta())
    assert SECRET not in repr(source)
    with pytest.raises(SourceError) as error, source.connect():
        pytest.fail("connected")
    for text in (str(error.value), repr(error.value), caplog.text):
        assert SECRET not in text
    assert "\n" not in str(error.value)
    assert error.value.__cause__ is None, "the driver's own error may quote the DSN"
    assert error.value.__suppress_context__, "the driver's own error may quote the DSN"
    return error.value


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def test_a_server_that_does_not_answer_may_answer_later(closed_port: int, caplog: pytest.LogCaptureFixture) -> None:
    error = error_of(f"postgresql://reader:{SECRET}@127.0.0.1:{closed_port}/oms", caplog)
    assert isinstance(error, TransientSourceError)
    assert f"127.0.0.1:{closed_port}/oms cannot be reached to connect: Connection refused" in str(error)
    assert "Check that the server runs and that OMS_SOURCE_URL names it." in str(error)


def test_an_unknown_host_is_named(caplog: pytest.LogCaptureFixture) -> None:
    error = error_of(f"postgresql://reader:{SECRET}@nobody.invalid/oms", caplog)
    assert isinstance(error, TransientSourceError)
    assert 'could not translate host name "nobody.invalid"' in str(error)


@pytest.mark.parametrize(
    "dsn",
    [
        f"postgresql://reader@localhost/oms?passwort={SECRET}",
        f"postgresql://reader@localhost/oms?password=a&{SECRET}",
        f"host=localhost dbname=oms sslmode={SECRET}",
        f"host=localhost dbname=oms passwort={SECRET}",
    ],
)
def test_a_dsn_that_postgresql_cannot_parse_is_for_the_user_to_correct(
    dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    error = error_of(dsn, caplog)
    assert not isinstance(error, TransientSourceError)
    assert "OMS_SOURCE_URL" in str(error)
    assert "Correct it" in str(error)


@pytest.fixture
def guarded(server: str) -> Iterator[Oms]:
    """The server asks one role for its password, and does not let another in at all."""
    oms = Oms(server)
    hba = Path(oms.value("select current_setting('hba_file')"))
    original = hba.read_text()
    hba.write_text(f"local all guarded scram-sha-256\nlocal all barred reject\n{original}")
    oms.execute(f"create role guarded login password '{SECRET}'; create role barred login; create role nologin")
    oms.execute("select pg_reload_conf()")
    yield oms
    hba.write_text(original)
    oms.execute("drop role guarded, barred, nologin; select pg_reload_conf()")


@pytest.mark.parametrize(
    ("login", "reason"),
    [
        (f"guarded:{SECRET}-not", "password authentication failed"),
        ("guarded", "no password supplied"),
        ("barred", "pg_hba.conf rejects connection"),
        ("nologin", "not permitted to log in"),
        ("nobody", 'role "nobody" does not exist'),
    ],
)
def test_a_refused_login_is_for_the_user_to_correct(
    guarded: Oms, login: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    error = error_of(guarded.dsn.replace("postgres@", f"{login}@"), caplog)
    assert not isinstance(error, TransientSourceError)
    assert reason in str(error)
    assert str(error).endswith("Correct OMS_SOURCE_URL.")


def test_the_right_password_is_let_in(guarded: Oms) -> None:
    with guarded.source(dsn=guarded.dsn.replace("postgres@", f"guarded:{SECRET}@")).connect() as session:
        assert session.execute("select current_user::text as name") == [{"name": "guarded"}]


def test_an_unknown_database_is_for_the_user_to_correct(server: str, caplog: pytest.LogCaptureFixture) -> None:
    error = error_of(server.replace("/postgres?", "/nothing?"), caplog)
    assert 'database "nothing" does not exist' in str(error)
    assert str(error).endswith("Correct OMS_SOURCE_URL.")


def test_a_role_without_the_right_to_read_is_told_to_get_it(oms: Oms) -> None:
    oms.execute("create role stranger login")
    try:
        with (
            oms.source(dsn=oms.dsn.replace("postgres@", "stranger@")).connect() as session,
            pytest.raises(
                SourceError, match=r"does not let this role count orders: permission denied.*Grant it SELECT"
            ),
        ):
            session.execute("select count(*) from oms.orders", "count orders")
    finally:
        oms.execute("drop role stranger")


def test_the_session_ends_with_the_block(oms: Oms) -> None:
    with oms.source().connect() as session:
        (backend,) = session.execute("select pg_backend_pid() as pid")
    assert oms.rows(f"select from pg_stat_activity where pid = {backend['pid']} and state = 'active'") == []
