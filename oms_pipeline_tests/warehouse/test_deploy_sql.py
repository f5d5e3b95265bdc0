"""The SQL in `deploy/snowflake`, filled with values, is Snowflake's SQL, and can be applied again without harm."""

import re
from collections.abc import Iterator

import pytest
from sqlfluff.core import FluffConfig, Linter

from oms_pipeline.settings import SnowflakeLogin
from oms_pipeline.warehouse.bootstrap import SCRIPTS, TEARDOWN, Statement, render, script_names, variables

KEY = "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkq\nhkiG9w0BAQEF\n-----END PUBLIC KEY-----\n"
LOGIN = SnowflakeLogin("org-account", "ADMIN", "key", None, "OMS_TRANSFORMER", "OMS_PIPELINE", "OMS")
VALUES = variables(
    LOGIN,
    raw_url="s3://my-bucket/raw",
    aws_role_arn="arn:aws:iam::123456789012:role/oms-raw",
    pipeline_public_key=KEY,
    dashboards_public_key=KEY,
)
SCRIPT_NAMES = [*script_names(), TEARDOWN]


@pytest.fixture(scope="module")
def linter() -> Linter:
    return Linter(config=FluffConfig(overrides={"dialect": "snowflake"}))


def statements() -> Iterator[Statement]:
    for name in SCRIPT_NAMES:
        yield from render(name, VALUES)


@pytest.mark.parametrize("script", SCRIPT_NAMES)
def test_every_statement_is_one_that_snowflake_knows(script: str, linter: Linter) -> None:
    for statement in render(script, VALUES):
        parsed = linter.parse_string(statement.sql + ";\n")
        assert parsed.violations == [], statement.sql
        assert parsed.tree is not None
        assert not [*parsed.tree.recursive_crawl("unparsable")], statement.sql
        assert len([*parsed.tree.recursive_crawl("statement")]) == 1, statement.sql


def test_a_misspelt_option_would_be_noticed(linter: Linter) -> None:
    (create,) = [s.sql for s in render("warehouses", VALUES) if s.title.endswith("not exists oms_dashboards")]
    assert "auto_suspend = 60" in create
    parsed = linter.parse_string(create.replace("auto_suspend", "auto_suspnd"))
    assert parsed.tree is not None
    assert [*parsed.tree.recursive_crawl("unparsable")]


def test_the_files_are_numbered_in_the_order_in_which_they_are_applied() -> None:
    numbers = [int(path.name[:2]) for path in sorted(SCRIPTS.glob("*.sql"))]
    assert numbers == [*range(1, len(numbers)), 99]
    assert [path.stem[3:] for path in sorted(SCRIPTS.glob("*.sql"))] == SCRIPT_NAMES


def test_every_script_says_which_role_runs_it() -> None:
    for name in SCRIPT_NAMES:
        assert render(name, VALUES)[0].title.startswith("use role "), name


def test_nothing_that_exists_is_replaced_but_views_which_keep_their_grants() -> None:
    for statement in statements():
        words = statement.title.split()
        if words[0] == "create":
            replaced = statement.title.startswith("create or replace view ") and "copy grants" in statement.title
            assert replaced or "if not exists" in statement.title, statement.title


def test_only_the_teardown_drops_and_it_drops_everything_that_is_made() -> None:
    assert not [s.title for s in statements() if s.script != TEARDOWN and s.title.startswith("drop ")]
    made = re.compile(r"create (role|resource monitor|warehouse|database|storage integration|user) if not exists (\w+)")
    created = {made_[0]: None for s in statements() if (made_ := made.match(s.title))}
    dropped = {
        s.title.replace("drop ", "create ").replace("if exists", "if not exists") for s in render(TEARDOWN, VALUES)[1:]
    }
    assert dropped == set(created)


def test_whatever_a_changed_value_touches_is_also_altered() -> None:
    """CREATE … IF NOT EXISTS leaves an existing object as it is: every value of it must be set by an ALTER too."""
    changed = variables(
        LOGIN,
        credit_quota=77,
        raw_url="s3://other-bucket/raw",
        aws_role_arn="arn:aws:iam::123456789012:role/other",
        pipeline_public_key=KEY.replace("MII", "ABC"),
        dashboards_public_key=KEY.replace("MII", "ABC"),
    )
    for name in script_names():
        before, after = render(name, VALUES), render(name, changed)
        differing = [s.title for s, other in zip(before, after, strict=True) if s.sql != other.sql]
        for title in differing:
            if title.startswith("create ") and " if not exists " in title:
                assert title.replace("create ", "alter ").replace(" if not exists", "") in differing, title


def test_the_warehouses_sleep_after_a_minute_wake_by_themselves_and_stop_at_the_quota() -> None:
    found = [s.sql for s in render("warehouses", VALUES) if "warehouse " in s.title]
    assert len(found) == 4
    for sql in found:
        for setting in (
            "auto_suspend = 60",
            "auto_resume = true",
            "warehouse_size = xsmall",
            "resource_monitor = oms_monitor",
        ):
            assert setting in sql
        assert "statement_timeout_in_seconds" in sql and "statement_queued_timeout_in_seconds" in sql
        assert ("initially_suspended = true" in sql) == sql.lstrip().startswith(("create", "--"))
    monitor = render("monitor", VALUES)[1].sql
    assert "credit_quota = 20" in monitor
    assert "on 75 percent do notify" in monitor and "on 100 percent do suspend" in monitor


def test_the_reporter_is_granted_the_marts_and_what_runs_did_and_cost_and_nothing_else() -> None:
    grants = [s.title for s in statements() if re.search(r"to role oms_reporter$", s.title)]
    places = {re.search(r" on (.*) to role", grant)[1] for grant in grants}  # type: ignore[index]
    assert places == {
        "warehouse oms_dashboards",
        "database oms",
        "schema oms.marts",
        "schema oms.ops",
        "table oms.ops.pipeline_runs",
        "table oms.ops.warehouse_cost",
        *(f"{which} {kind} in schema oms.marts" for which in ("all", "future") for kind in ("tables", "views")),
    }
    privileges = {re.match(r"grant (.*?) on ", grant)[1] for grant in grants}  # type: ignore[index]
    assert privileges == {"usage", "select"}


def test_no_role_of_the_pipeline_is_granted_all_or_an_account_privilege() -> None:
    for statement in statements():
        assert not re.match(r"grant (all|imported|manage|create (database|role|user))", statement.title), (
            statement.title
        )
        assert not re.search(r" on account ", statement.title), statement.title
