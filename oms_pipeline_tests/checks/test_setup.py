"""`oms check`'s findings, on a real OMS: what is fine, what is worth a warning, what is broken, and each remedy."""

import datetime as dt
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from oms_pipeline.checks import Level, check_setup
from oms_pipeline.checks.setup import Finding
from oms_pipeline.contract import load_contract
from oms_pipeline.raw import FolderStore, RawZone
from oms_pipeline.settings import MetabaseServer, PostgresLogin, Settings, read_settings
from oms_pipeline.source import PostgresSource
from oms_pipeline.transform import DbtProjectFiles
from oms_pipeline.warehouse import DuckDBWarehouse
from oms_pipeline_tests.source.real_oms import Oms

PARTS = [
    "settings",
    "source",
    "source columns",
    "source role",
    "source indexes",
    "raw zone",
    "warehouse",
    "dbt",
    "mail",
]
HOLD = "import duckdb, sys; file = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"

Check = Callable[..., list[Finding]]


def reader(oms: Oms, grants: str) -> Oms:
    """The OMS as a role sees it that has some rights to it; a role belongs to the server, so each has its own name."""
    role = f"reader_{time.monotonic_ns()}"
    oms.execute(f"create role {role} login; grant usage on schema oms to {role}")
    for grant in grants.split("; "):
        oms.execute(f"{grant} to {role}")
    return Oms(oms.dsn.replace("//postgres@", f"//{role}@"))


@pytest.fixture
def read_only(oms: Oms) -> Oms:
    return reader(oms, "grant select on all tables in schema oms; grant pg_read_all_stats")


@pytest.fixture
def check(tmp_path: Path, dbt_dir: Path) -> Check:
    """Looks at an OMS and a folder; up to a part, where the parts after it do not matter."""

    def findings(oms: Oms, up_to: str = "warehouse", **changes: object) -> list[Finding]:
        settings: Settings = replace(read_settings(oms.environment(tmp_path)), **changes)  # type: ignore[arg-type]
        zone = RawZone(FolderStore(Path(settings.raw_url)))
        warehouse = DuckDBWarehouse(settings.duckdb_path, zone, settings.lock_timeout)
        project = DbtProjectFiles(dbt_dir, {"OMS_PROFILE": "local", **warehouse.dbt_environment()})

        def source(_: Settings) -> PostgresSource:
            return PostgresSource(oms.dsn, settings.source_schema, settings.statement_timeout, settings.overlap)

        found = []
        # A finding is made when it is asked for: dbt, the last, takes seconds.
        for finding in check_setup(settings, load_contract(), source, zone, warehouse, project):
            found.append(finding)
            if finding.part == up_to:
                break
        return found

    return findings


def about(part: str, findings: list[Finding]) -> Finding:
    (finding,) = [finding for finding in findings if finding.part == part]
    return finding


@contextmanager
def held_by_another_process(path: Path) -> Iterator[int]:
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield holder.pid
        holder.communicate()


def test_everything_is_fine_for_a_role_that_may_only_read(read_only: Oms, check: Check, tmp_path: Path) -> None:
    findings = check(read_only, up_to="mail")
    assert [(finding.part, finding.level) for finding in findings] == [(part, Level.OK) for part in PARTS]
    assert about("source", findings).text.startswith("PostgreSQL ")
    assert about("source columns", findings).text == f"{len(load_contract())} tables match the contract"
    assert about("source role", findings).text == "may only read"
    assert about("raw zone", findings).text == f"{tmp_path / 'raw'} is writable"


def test_where_the_dashboards_are_is_looked_at_where_they_are_anywhere(read_only: Oms, check: Check) -> None:
    nobody = MetabaseServer("http://127.0.0.1:9", PostgresLogin("db", 5432, "marts", "reader", "s3cret"), "mb_s3cret")
    findings = check(read_only, up_to="metabase", publish_url=read_only.dsn, metabase=nobody)
    assert "may not create schemas" in about("publication", findings).text
    assert "http://127.0.0.1:9" in about("metabase", findings).text
    assert {about(part, findings).level for part in ("publication", "metabase")} == {Level.FAILED}
    assert "s3cret" not in str(findings)


def test_looking_leaves_nothing_behind_in_the_raw_zone(read_only: Oms, check: Check, tmp_path: Path) -> None:
    check(read_only)
    assert [path for path in (tmp_path / "raw").rglob("*") if path.is_file()] == []


def test_a_finding_shows_the_place_of_the_source_and_no_password(oms: Oms, check: Check) -> None:
    findings = check(oms, up_to="settings", source_url="postgresql://reader:s3cret@db.example.com/shop")
    assert "source db.example.com/shop, first day 2026-03-01, UTC" in findings[0].text
    assert "s3cret" not in findings[0].text


def test_a_missing_index_is_a_warning_with_its_ddl(oms: Oms, read_only: Oms, check: Check) -> None:
    (index,) = oms.rows("""
        select indexrelid::regclass::text from pg_index inner join pg_attribute on attrelid = indexrelid
        where indrelid = 'oms.payments'::regclass and attname = 'updated_at'
    """)
    oms.execute(f"drop index {index[0]}")
    finding = about("source indexes", check(read_only, up_to="source indexes"))
    ddl = 'create index concurrently on "oms"."payments" ("updated_at")'
    assert (finding.level, finding.text) == (Level.WARNING, f"a day is read by scanning whole tables. Run: {ddl}")
    oms.execute(ddl)
    assert about("source indexes", check(read_only, up_to="source indexes")).level is Level.OK


def test_a_partial_index_does_not_count(oms: Oms, read_only: Oms, check: Check) -> None:
    oms.execute("""
        do $$ declare name text; begin
            for name in select indexrelid::regclass from pg_index inner join pg_attribute on attrelid = indexrelid
                where indrelid = 'oms.orders'::regclass and attname = 'updated_at'
            loop execute 'drop index ' || name; end loop;
        end $$;
        create index on orders (updated_at) where not is_test
    """)
    finding = about("source indexes", check(read_only, up_to="source indexes"))
    assert finding.level is Level.WARNING
    assert finding.text.endswith('Run: create index concurrently on "oms"."orders" ("updated_at")')


def test_a_role_that_may_write_is_a_warning_whose_remedy_works(oms: Oms, check: Check) -> None:
    finding = about("source role", check(oms, up_to="source role"))
    assert finding.level is Level.WARNING
    assert finding.text.startswith(f"may write to {len(load_contract())} tables. Use a role that has only SELECT: ")
    role = f"oms_reader_{time.monotonic_ns()}"
    for statement in finding.text.partition(": ")[2].replace("oms_reader", role).split("; "):
        oms.execute(statement)
    findings = check(Oms(oms.dsn.replace("//postgres@", f"//{role}@")))
    assert {finding.level for finding in findings} == {Level.OK}


def test_one_writable_table_is_enough_for_the_warning(oms: Oms, check: Check) -> None:
    almost = reader(oms, "grant select on all tables in schema oms; grant update on oms.orders")
    finding = about("source role", check(almost, up_to="source role"))
    assert finding.level is Level.WARNING
    assert finding.text.startswith("may write to 1 tables.")


def test_a_new_column_is_a_warning_and_everything_after_it_is_looked_at(oms: Oms, read_only: Oms, check: Check) -> None:
    oms.execute("alter table orders add gift_note text; alter table stores add opened_on date")
    findings = check(read_only)
    finding = about("source columns", findings)
    assert finding.level is Level.WARNING
    assert finding.text == (
        "new at the source: stores.opened_on, orders.gift_note. "
        "They are landed; to use them, add them to _oms__sources.yml"
    )
    assert [finding.part for finding in findings] == PARTS[:-2]


def test_a_missing_and_a_retyped_column_fail_together_with_the_next_step(
    oms: Oms, read_only: Oms, check: Check
) -> None:
    oms.execute("alter table orders drop grand_total; alter table payments alter amount type numeric(20, 6)")
    findings = check(read_only)
    finding = findings[2]
    assert finding.level is Level.FAILED
    assert "orders.grand_total is missing, expected numeric(14,2)" in finding.text
    assert "payments.amount is numeric(20,6), expected numeric(14,2)" in finding.text
    assert "Correct OMS_SOURCE_SCHEMA, or change _oms__sources.yml" in finding.text


def test_a_missing_schema_fails_and_names_its_variable(read_only: Oms, check: Check) -> None:
    findings = check(read_only, source_schema="shop")
    failed = [finding for finding in findings if finding.level is Level.FAILED]
    assert [finding.part for finding in failed] == ["source"]
    assert "table shop.orders is missing" in failed[0].text
    assert "Correct OMS_SOURCE_SCHEMA" in failed[0].text


@pytest.mark.parametrize(
    ("dsn", "told"),
    [
        (
            "postgresql://reader:s3cret@127.0.0.1:1/shop",
            ["The OMS at 127.0.0.1:1/shop cannot be reached", "Check that the server runs and that OMS_SOURCE_URL"],
        ),
        (
            "host=127.0.0.1 port=1 dbname=shop user=reader password=s3cret",
            ["The OMS at 127.0.0.1:1/shop cannot be reached", "Check that the server runs and that OMS_SOURCE_URL"],
        ),
        (
            "postgresql://reader:s3cret@127.0.0.1:1/shop?no_such_option=1",
            [
                "OMS_SOURCE_URL, which names 127.0.0.1:1/shop, holds an option",
                "Correct it: https://www.postgresql.org/docs/",
            ],
        ),
    ],
)
def test_an_unreachable_source_fails_with_the_next_step_and_the_rest_is_looked_at(
    dsn: str, told: list[str], check: Check, oms: Oms
) -> None:
    findings = check(Oms(dsn))
    assert [(finding.part, finding.level) for finding in findings] == [
        ("settings", Level.OK),
        ("source", Level.FAILED),
        ("raw zone", Level.OK),
        ("warehouse", Level.OK),
    ]
    text = about("source", findings).text
    assert [part for part in told if part not in text] == []
    assert "s3cret" not in text
    assert "\n" not in text


def test_a_database_that_is_not_there_fails_and_names_its_variable(oms: Oms, check: Check) -> None:
    finding = about("source", check(Oms(oms.dsn.replace("/oms_", "/no_oms_")), up_to="source"))
    assert finding.level is Level.FAILED
    assert "does not exist" in finding.text
    assert finding.text.endswith("Correct OMS_SOURCE_URL.")


def test_a_raw_zone_that_cannot_be_written_fails_with_the_next_step(
    read_only: Oms, check: Check, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    finding = about("raw zone", check(read_only, raw_url=str(tmp_path / "file" / "raw")))
    assert finding.level is Level.FAILED
    assert finding.text == (
        f"The raw zone {tmp_path / 'file' / 'raw'} cannot be used: Not a directory. "
        "Make the folder writable for this user, or set OMS_RAW_URL to another."
    )


def test_a_warehouse_that_cannot_be_opened_fails_with_the_next_step(
    read_only: Oms, check: Check, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("Not a database at all.\n" * 500)
    for path in (tmp_path / "notes.txt", tmp_path / "notes.txt" / "oms.duckdb"):
        finding = about("warehouse", check(read_only, duckdb_path=path))
        assert finding.level is Level.FAILED
        assert finding.text.startswith(f"The warehouse {path} cannot be opened: ")
        assert finding.text.endswith("set OMS_DUCKDB_PATH to another place.")


def test_a_warehouse_held_by_another_process_is_waited_for_and_then_names_it(
    read_only: Oms, check: Check, tmp_path: Path
) -> None:
    path = tmp_path / "oms.duckdb"
    limit = dt.timedelta(seconds=1)
    with held_by_another_process(path) as pid:
        started = time.monotonic()
        finding = about("warehouse", check(read_only, lock_timeout=limit))
        assert time.monotonic() - started >= limit.total_seconds()
        assert finding.level is Level.FAILED
        assert f"{path} is held by " in finding.text
        assert f"(PID {pid})" in finding.text
        assert "waited 0:00:01 to check. Close that program, or wait for its run to end" in finding.text
    assert about("warehouse", check(read_only)).level is Level.OK


def test_a_warehouse_that_is_let_go_of_in_time_is_fine(read_only: Oms, check: Check, tmp_path: Path) -> None:
    with held_by_another_process(tmp_path / "oms.duckdb") as pid:
        os.kill(pid, 9)
        assert about("warehouse", check(read_only, lock_timeout=dt.timedelta(minutes=5))).level is Level.OK
