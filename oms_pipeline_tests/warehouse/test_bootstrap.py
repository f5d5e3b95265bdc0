"""`oms snowflake bootstrap` and `teardown`, on a Snowflake to test against."""

import dataclasses
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from oms_pipeline.cli import main
from oms_pipeline.errors import WarehouseError
from oms_pipeline.settings import SnowflakeLogin, get_settings
from oms_pipeline.warehouse.bootstrap import bootstrap_statements, render, script_names, variables
from oms_pipeline.warehouse.snowflake_login import connect
from oms_pipeline_tests.snowflake.conftest import s3_endpoint
from oms_pipeline_tests.snowflake.server import Bed, KeyPair, new_key_pair, start
from oms_pipeline_tests.warehouse.test_deploy_sql import KEY, LOGIN

__all__ = ["s3_endpoint"]

ARN = "arn:aws:iam::123456789012:role/oms-raw"
URL = "s3://my-bucket/raw"


@pytest.fixture
def bed(s3_endpoint: str) -> Iterator[Bed]:
    """An empty account for each test."""
    running = start(s3_endpoint)
    yield running
    running.stop()


def pem(keys: KeyPair) -> str:
    return f"-----BEGIN PUBLIC KEY-----\n{keys.public}\n-----END PUBLIC KEY-----\n"


def oms(monkeypatch: pytest.MonkeyPatch, bed: Bed, *words: str, answer: str = "", **changes: str) -> Result:
    """Runs `oms` with the profile of the test bed's administrator."""
    login = bed.login()
    environment = {
        "OMS_PROFILE": "snowflake",
        "OMS_RAW_URL": URL,
        "SNOWFLAKE_ACCOUNT": login.account,
        "SNOWFLAKE_USER": login.user,
        "SNOWFLAKE_PRIVATE_KEY": login.private_key,
        "SNOWFLAKE_URL": bed.url,
        "COLUMNS": "200",
        **changes,
    }
    get_settings.cache_clear()
    with monkeypatch.context() as context:
        for name, value in environment.items():
            context.setenv(name, value)
        result = CliRunner().invoke(main, words, input=answer)
    get_settings.cache_clear()
    return result


def seen(login: SnowflakeLogin, sql: str) -> list[tuple[object, ...]]:
    """Rows of a SHOW or DESC, as the administrator."""
    with connect(login, role="ACCOUNTADMIN", database=False) as connection:
        return [tuple(row) for row in connection.cursor().execute(sql).fetchall()]  # type: ignore[union-attr]


def test_an_empty_account_becomes_one_the_pipelines_user_can_work_in(
    bed: Bed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    keys = new_key_pair()
    (tmp_path / "key.pub").write_text(pem(keys))
    words = ("snowflake", "bootstrap", "--aws-role-arn", ARN, "--pipeline-public-key", str(tmp_path / "key.pub"))
    first = oms(monkeypatch, bed, *words)
    assert first.exit_code == 0, first.output
    assert " 1 roles: use role accountadmin" in first.stdout
    policy = json.loads(first.stdout[first.stdout.index("{") :])
    (rule,) = policy["Statement"]
    assert rule["Action"] == "sts:AssumeRole"
    assert rule["Principal"]["AWS"].startswith("arn:aws:iam::")

    pipeline = bed.login(user="OMS_PIPELINE_USER", keys=keys, role="OMS_TRANSFORMER")
    with connect(pipeline) as connection:
        connection.cursor().execute("create table marts.probe (n number)")
        rows = connection.cursor().execute("select current_role(), current_warehouse(), current_database()").fetchall()  # type: ignore[union-attr]
    assert [tuple(row) for row in rows] == [("OMS_TRANSFORMER", "OMS_PIPELINE", "OMS")]

    second = oms(monkeypatch, bed, *words)
    assert second.stdout == first.stdout, "the second time everything runs again, and the external id is the same"


def test_a_changed_value_is_applied_to_what_exists(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    for quota in ("5", "9"):
        result = oms(monkeypatch, bed, "snowflake", "bootstrap", "--only", "monitor", "--credit-quota", quota)
        assert result.exit_code == 0, result.output
        (monitor,) = seen(bed.login(), "show resource monitors")
        assert quota in str(monitor)
        assert [line for line in result.stdout.splitlines() if "monitor: " in line] == result.stdout.splitlines()


def test_a_dry_run_prints_what_would_be_run_and_connects_to_nothing(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    result = oms(
        monkeypatch,
        bed,
        "snowflake",
        "bootstrap",
        "--dry-run",
        "--aws-role-arn",
        ARN,
        SNOWFLAKE_URL="http://127.0.0.1:1",
    )
    assert result.exit_code == 0, result.output
    login = dataclasses.replace(LOGIN, role="OMS_TRANSFORMER")
    values = variables(login, raw_url=URL, aws_role_arn=ARN)
    assert result.stdout == "".join(f"{statement.sql};\n\n" for statement in bootstrap_statements(values))
    assert "'s3://my-bucket/raw/'" in result.stdout and f"'{ARN}'" in result.stdout
    assert "PRIVATE KEY" not in result.stdout
    assert bed.statements() == []


def test_a_teardown_asks_for_the_databases_name_and_takes_any_other_for_a_no(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert oms(monkeypatch, bed, "snowflake", "bootstrap", "--aws-role-arn", ARN).exit_code == 0
    bed.forget()
    for answer in ("\n", "yes\n", "oms\n"):
        refused = oms(monkeypatch, bed, "snowflake", "teardown", answer=answer)
        assert refused.exit_code == 1
        assert "Nothing was dropped" in refused.stderr
    assert bed.statements() == []
    done = oms(monkeypatch, bed, "snowflake", "teardown", answer="OMS\n")
    assert done.exit_code == 0, done.output
    assert seen(bed.login(), "show warehouses") == []
    with (
        pytest.raises(WarehouseError, match=r"There is no role|may not work as role"),
        connect(bed.login(role="OMS_OWNER"), database=False),
    ):
        pass


def test_users_are_made_only_with_a_key_and_values_that_are_missing_are_named() -> None:
    values = variables(LOGIN, raw_url=URL, aws_role_arn=ARN)
    assert {s.script for s in bootstrap_statements(values)} == set(script_names()) - {
        "pipeline_user",
        "dashboards_user",
    }
    with_key = variables(LOGIN, raw_url=URL, aws_role_arn=ARN, dashboards_public_key=KEY)
    assert "dashboards_user" in {s.script for s in bootstrap_statements(with_key)}
    assert "rsa_public_key = 'MIIBIjANBgkqhkiG9w0BAQEF'" in render("dashboards_user", with_key)[2].sql
    for lacking, name in (
        (variables(LOGIN, raw_url=URL), "--aws-role-arn"),
        (variables(LOGIN, raw_url="/data/raw", aws_role_arn=ARN), "OMS_RAW_URL"),
    ):
        with pytest.raises(WarehouseError, match=f"lacks a value. Set {name}"):
            bootstrap_statements(lacking)
    with pytest.raises(WarehouseError, match="Set --pipeline-public-key"):
        bootstrap_statements(values, ["pipeline_user"])
    with pytest.raises(WarehouseError, match=r"There is no script 'users'\. Choose from: roles, monitor, "):
        bootstrap_statements(values, ["users"])
    with pytest.raises(WarehouseError, match="There is no script 'teardown'"):
        bootstrap_statements(values, ["teardown"])


@pytest.mark.parametrize(
    "bad",
    [
        {"admin_role": "ACCOUNTADMIN; drop database OMS"},
        {"raw_url": "s3://bucket/raw'); drop database OMS; --"},
        {"raw_url": "gcs://bucket/raw"},
        {"raw_url": "s3://Bucket"},
        {"aws_role_arn": "arn:aws:iam::12:role/x"},
        {"aws_role_arn": f"{ARN}'"},
        {"pipeline_public_key": "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----"},
        {"dashboards_public_key": "abc"},
    ],
)
def test_a_value_that_cannot_be_right_is_refused_and_a_key_is_not_repeated(bad: dict[str, str]) -> None:
    with pytest.raises(WarehouseError) as refused:
        variables(LOGIN, **bad)  # type: ignore[arg-type]
    assert "\n" not in str(refused.value)
    assert "MIIB" not in str(refused.value)


# The connection


def refusal(login: SnowflakeLogin, **more: bool) -> str:
    with pytest.raises(WarehouseError) as refused, connect(login, **more):  # type: ignore[arg-type]
        pass
    assert "\n" not in str(refused.value)
    assert "KEY-----" not in str(refused.value)
    return str(refused.value)


def test_a_login_that_is_refused_says_what_to_do(bed: Bed) -> None:
    good = bed.login()
    assert "refuses user ADMIN" in refusal(bed.login(keys=new_key_pair()), database=False)
    assert "refuses user NOBODY" in refusal(bed.login(user="NOBODY"), database=False)
    assert "may not work as role NO_ROLE" in refusal(bed.login(role="NO_ROLE"), database=False)
    assert "cannot be opened" in refusal(dataclasses.replace(good, passphrase="wrong"))  # noqa: S106
    damaged = "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n"
    assert "cannot be opened" in refusal(dataclasses.replace(good, private_key=damaged))


@pytest.mark.parametrize(
    ("status", "code", "advice"),
    [
        (200, 390101, "alter user ADMIN set disabled = false."),
        (200, 390102, "alter user ADMIN set mins_to_unlock = 0."),
        (200, 390144, "set the matching public key: alter user ADMIN set rsa_public_key = '…'."),
        (200, 390189, "grant role OMS_TRANSFORMER to user ADMIN."),
        (200, 390201, "Make them and their grants with oms snowflake bootstrap, or set SNOWFLAKE_WAREHOUSE"),
        (200, 390422, "network policy"),
        (200, 390999, "Snowflake says: Failed to connect to DB: "),
        (404, 0, "There is no Snowflake account at http://127.0.0.1:"),
    ],
)
def test_what_the_server_answers_to_a_login_becomes_advice(status: int, code: int, advice: str) -> None:
    body = json.dumps({"success": False, "code": str(code), "message": "No.\nIndeed.", "data": {}}).encode()

    class Refusing(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keeps the test's output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            url = f"http://127.0.0.1:{server.server_port}"
            login = dataclasses.replace(LOGIN, private_key=new_key_pair().private, url=url)
            assert advice in refusal(login)
        finally:
            server.shutdown()


@pytest.mark.slow
def test_an_address_where_nobody_answers_is_told_within_the_minute() -> None:
    nowhere = dataclasses.replace(LOGIN, private_key=new_key_pair().private, url="http://127.0.0.1:1")
    assert "cannot be reached at http://127.0.0.1:1. Check the network" in refusal(nowhere, database=False)


def test_a_failed_statement_is_one_line_and_what_was_begun_is_rolled_back(bed: Bed) -> None:
    login = bed.login()
    with connect(login, database=False) as connection:
        for sql in ("create database OMS", "create schema OMS.MARTS", "create table OMS.MARTS.t (n number)"):
            connection.cursor().execute(sql)
    with pytest.raises(WarehouseError) as failed, connect(login, database=False) as connection:  # noqa: PT012
        connection.cursor().execute("begin")
        connection.cursor().execute("insert into OMS.MARTS.t values (1)")
        connection.cursor().execute("select * from OMS.MARTS.nowhere")
    assert str(failed.value).startswith("Snowflake says: ")
    assert str(failed.value).endswith("Make it and its grants: oms snowflake bootstrap.")
    assert "\n" not in str(failed.value)
    assert seen(login, "select count(*) from OMS.MARTS.t") == [(0,)]
