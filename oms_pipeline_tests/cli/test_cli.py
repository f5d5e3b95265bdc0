"""`oms`: help that names everything, and errors that are one line with the next step and leave nothing behind."""

import atexit
import datetime as dt
import os
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from oms_pipeline import sample
from oms_pipeline.cli import main
from oms_pipeline.contract import load_contract
from oms_pipeline.settings import get_settings, read_settings
from oms_pipeline_tests.source.real_oms import SCHEMA, Oms

TODAY = dt.datetime.now(dt.UTC).date()
DAY = dt.timedelta(days=1)
NOWHERE = "postgresql://reader:s3cret@127.0.0.1:1/shop"

Words = Callable[..., Result]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def oms_command(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Words]:
    """Runs `oms` with words and variables, in this process; what is no variable of a call is unset."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("DAGSTER_HOME", "")

    def run(*words: str, **variables: str) -> Result:
        get_settings.cache_clear()
        with monkeypatch.context() as environment:
            for name, value in {"OMS_HOME": str(home), **variables}.items():
                environment.setenv(name, value)
            return CliRunner().invoke(main, words)

    yield run
    get_settings.cache_clear()


def in_own_process(home: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The installed command itself."""
    command = Path(sysconfig.get_path("scripts")) / "oms"
    environment = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
    return subprocess.run(
        [command, *words],
        env={**environment, "OMS_HOME": str(home), "COLUMNS": "200", **variables},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def commands(group: click.Group, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield words, group
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*words, name))
        else:
            yield (*words, name), command


def assert_one_line(result: Result, home: Path, *parts: str) -> None:
    """An error as a user should meet it: exit 1, one line on stderr that says all parts, nothing made."""
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("Error: ")
    assert [part for part in parts if part not in lines[0]] == [], lines[0]
    assert "s3cret" not in result.output
    assert not home.exists()


@pytest.mark.parametrize(
    ("words", "command"), [pytest.param(*found, id=" ".join(found[0])) for found in commands(main)]
)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_tells_the_usage_and_every_option(
    words: tuple[str, ...], command: click.Command, flag: str, oms_command: Words, home: Path
) -> None:
    result = oms_command(*words, flag)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: {' '.join(('main', *words))} [OPTIONS]")
    assert "\\b" not in result.stdout, "a mark for click is shown as text"
    assert result.stderr == ""
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help
            assert [name for name in parameter.opts if name not in result.stdout] == []
        else:
            assert parameter.make_metavar(click.Context(command)) in result.stdout
    if isinstance(command, click.Group):
        assert [name for name in command.commands if f"  {name} " not in result.stdout] == []
    assert not home.exists()


def test_every_command_says_what_it_does() -> None:
    assert [words for words, command in commands(main) if not command.help] == []


@pytest.mark.parametrize(
    "words",
    [
        ("run", "--day", str(TODAY + DAY)),
        ("backfill", "--from", "2026-01-02", "--to", str(TODAY + DAY)),
        ("run", "--day", str(TODAY + DAY), "--reextract"),
    ],
)
def test_a_day_that_has_not_ended_is_refused(words: tuple[str, ...], oms_command: Words, home: Path) -> None:
    result = oms_command(*words, OMS_START_DATE="2026-01-01")
    assert_one_line(result, home, f"{TODAY + DAY} has not ended in UTC. The newest day to load is ")


@pytest.mark.parametrize(
    "words", [("run", "--day", "2025-12-31"), ("backfill", "--from", "2025-12-31", "--to", "2026-01-02")]
)
def test_a_day_before_the_start_is_refused(words: tuple[str, ...], oms_command: Words, home: Path) -> None:
    result = oms_command(*words, OMS_START_DATE="2026-01-01")
    assert_one_line(result, home, "2025-12-31 is before the first day, 2026-01-01.", "set OMS_START_DATE to 2025-12-31")


def test_a_range_the_wrong_way_round_is_refused(oms_command: Words, home: Path) -> None:
    result = oms_command("backfill", "--from", "2026-01-03", "--to", "2026-01-02", OMS_START_DATE="2026-01-01")
    assert_one_line(result, home, "starts on 2026-01-03 and ends on 2026-01-02. Put the earlier day first.")


@pytest.mark.parametrize(
    "words",
    [
        ("run", "--day", "2026-01-01"),
        ("backfill", "--from", "2026-01-01", "--to", "2026-01-02"),
        ("demo",),
        ("rebuild",),
        ("status",),
        ("report",),
        ("check",),
        ("dev",),
        ("sample", "init"),
        ("sample", "init", "--empty"),
        ("sample", "simulate", "--days", "1"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize(
    ("variables", "parts"),
    [
        ({"OMS_PROFILE": "production"}, ["OMS_PROFILE is 'production'.", "Set it to one of: local, snowflake."]),
        (
            {"OMS_SOURCE_URL": "postgresql://reader:s3cret@db@host/shop", "OMS_START_DATE": "2026-01-01"},
            ["OMS_SOURCE_URL is not a PostgreSQL DSN", "Write them as %40"],
        ),
        ({"OMS_SOURCE_URL": "postgresql://reader@db/shop"}, ["OMS_START_DATE is not set. Set it to the first day"]),
    ],
    ids=["profile", "dsn", "start"],
)
def test_a_bad_setting_is_told_by_every_command(
    words: tuple[str, ...], variables: dict[str, str], parts: list[str], oms_command: Words, home: Path
) -> None:
    assert_one_line(oms_command(*words, **variables), home, *parts)


@pytest.mark.parametrize(
    "words",
    [
        ("run", "--day", "yesterday"),
        ("run",),
        ("backfill", "--from", "2026-01-01"),
        ("sample", "simulate", "--days", "0"),
        ("sample", "simulate"),
        ("load",),
    ],
    ids=" ".join,
)
def test_words_that_make_no_sense_get_the_usage(words: tuple[str, ...], oms_command: Words, home: Path) -> None:
    result = oms_command(*words)
    assert result.exit_code == 2
    assert result.stderr.startswith("Usage: ")
    assert "Error: " in result.stderr
    assert not home.exists()


def test_empty_tables_are_made_on_the_own_source_and_twice_is_fine(
    new_database: Callable[[str], Oms], oms_command: Words, home: Path
) -> None:
    oms = new_database("template0")
    for _ in range(2):
        result = oms_command("sample", "init", "--empty", **oms.environment(home))
        assert (result.exit_code, result.stdout) == (0, f"The OMS tables are in schema {SCHEMA}.\n")
    with oms.source().connect() as session:
        found = session.columns()
    assert {name: set(found[name]) for name in load_contract()} == {
        table.name: {column.name for column in table.columns} for table in load_contract().values()
    }
    assert {oms.value(f"select count(*) from {name}") for name in load_contract()} == {0}
    oms.execute(
        "insert into suppliers (supplier_name, email, lead_time_days) values ('Supplier 1', 's1@example.com', 1)"
    )
    assert oms_command("sample", "init", "--empty", **oms.environment(home)).exit_code == 0
    assert oms.value("select count(*) from suppliers") == 1
    assert not home.exists()


def test_empty_tables_where_no_server_runs_are_refused(oms_command: Words, home: Path) -> None:
    result = oms_command("sample", "init", "--empty", OMS_SOURCE_URL=NOWHERE, OMS_START_DATE="2026-01-01")
    assert_one_line(result, home, "127.0.0.1:1/shop cannot be reached", "Check that the server runs")


def test_empty_tables_by_a_role_that_may_not_are_refused(
    new_database: Callable[[str], Oms], oms_command: Words, home: Path
) -> None:
    oms = new_database("template0")
    oms.execute("drop role if exists looker; create role looker login")
    environment = {**oms.environment(home), "OMS_SOURCE_URL": oms.dsn.replace("//postgres@", "//looker@")}
    result = oms_command("sample", "init", "--empty", **environment)
    assert_one_line(result, home, "permission denied", "create the OMS tables")


@pytest.mark.parametrize("words", [("demo",), ("sample", "init"), ("sample", "simulate", "--days", "1")], ids=" ".join)
def test_no_business_is_simulated_on_an_oms_of_ones_own(
    words: tuple[str, ...], new_database: Callable[[str], Oms], oms_command: Words, home: Path
) -> None:
    oms = new_database("template0")
    result = oms_command(*words, **oms.environment(home))
    assert_one_line(result, home, "the sample does not touch it. Unset it first.")
    assert oms.rows("select from pg_namespace where nspname in ('oms', 'oms_sample')") == []


@pytest.fixture(scope="module")
def sample_home() -> Path:
    """A home with a sample OMS in it, which PostgreSQL's own user can reach."""
    folder = Path(tempfile.mkdtemp(prefix="oms-cli-"))
    folder.chmod(0o755)
    atexit.register(shutil.rmtree, folder)  # runs after the server's own stop, which is registered later
    return folder


def test_the_sample_lives_up_to_yesterday_and_not_a_day_longer(sample_home: Path, oms_command: Words) -> None:
    def run(*words: str) -> Result:
        return oms_command(*words, OMS_HOME=str(sample_home))

    early = run("sample", "simulate", "--days", "1")
    assert early.exit_code == 1
    assert early.stderr == "Error: The sample OMS has no business yet. Run: oms sample init\n"

    first = TODAY - 2 * DAY
    opened = run("sample", "init", "--start", str(first), "--orders-per-day", "5")
    assert (opened.exit_code, opened.stdout) == (0, f"The sample OMS is open; its next day is {first}.\n")
    again = run("sample", "init", "--start", str(first - DAY))
    assert again.stdout == opened.stdout

    beyond = run("sample", "simulate", "--days", "9")
    assert beyond.exit_code == 1
    assert len(beyond.stderr.splitlines()) == 1
    assert beyond.stderr.startswith(f"Error: {first + 8 * DAY} has not ended; the sample OMS can live up to ")
    assert "Simulate 2 days, or wait for tomorrow." in beyond.stderr

    lived = run("sample", "simulate", "--days", "1")
    assert lived.exit_code == 0
    assert f"The sample OMS has lived 1 more days; its next day is {first + DAY}." in lived.stdout
    business = sample.state(sample.start(sample_home / "sample"))
    assert business is not None
    assert (business.opened_on, business.next_day, business.orders_per_day) == (first, first + DAY, 5)


def test_a_report_before_the_first_day_says_what_to_do(oms_command: Words, home: Path) -> None:
    result = oms_command("report", OMS_START_DATE="2026-01-01", OMS_SOURCE_URL=NOWHERE)
    expected = f"Error: There is no warehouse {home / 'oms.duckdb'} yet. Load a day first: oms run --day D\n"
    assert (result.exit_code, result.stderr) == (1, expected)
    assert not (home / "oms.duckdb").exists()
    assert not (home / "report.html").exists()


def test_an_empty_home_has_no_day_and_every_day_is_missing(home: Path, dbt_dir: Path) -> None:
    """The command itself; it makes only Dagster's own storage, and the parsed dbt project."""
    home.mkdir()
    dbt_dir.mkdir(parents=True, exist_ok=True)
    (home / "dbt").symlink_to(dbt_dir)
    first = TODAY - 3 * DAY
    done = in_own_process(home, "status", OMS_START_DATE=str(first), OMS_SOURCE_URL=NOWHERE)
    assert (done.returncode, done.stderr) == (0, "")
    rows = [line.split("│")[1:-1] for line in done.stdout.splitlines() if line.startswith("│")]
    # Yesterday is late from six in the morning.
    late = "3" if dt.datetime.now(dt.UTC).hour >= 6 else "2"
    assert [[cell.strip() for cell in row] for row in rows] == [
        [layer, "–", f"3: {first} to {first + 2 * DAY}", late, "0"]
        for layer in ("raw", "external", "staging", "intermediate", "marts")
    ]
    assert {path.name for path in home.iterdir()} == {"dagster", "dbt"}


def test_a_source_that_refuses_the_login_ends_a_run_with_one_line(oms: Oms, home: Path, dbt_dir: Path) -> None:
    """The command itself. A server that does not answer is asked again for a minute before the same line."""
    home.mkdir()
    dbt_dir.mkdir(parents=True, exist_ok=True)
    (home / "dbt").symlink_to(dbt_dir)
    variables = {**oms.environment(home), "OMS_SOURCE_URL": oms.dsn.replace("/oms_", "/no_oms_")}
    done = in_own_process(home, "run", "--day", "2026-03-02", **variables)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: The OMS at local socket/no_oms_")
    assert line.endswith("Correct OMS_SOURCE_URL.")
    # What is unavoidable: Dagster's storage, the parsed dbt project, and the lock of the raw zone.
    assert {path.name for path in home.iterdir()} == {"dagster", "dbt", "raw"}
    assert [path.name for path in (home / "raw").rglob("*")] == [".landing.lock"]


def test_a_check_of_an_unreachable_source_fails_with_its_remedy(home: Path, dbt_dir: Path) -> None:
    """The command itself; the other parts are looked at too."""
    home.mkdir()
    dbt_dir.mkdir(parents=True, exist_ok=True)
    (home / "dbt").symlink_to(dbt_dir)
    done = in_own_process(home, "check", OMS_START_DATE="2026-01-01", OMS_SOURCE_URL=NOWHERE)
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    parts = ["✓ settings", "✗ source", "✓ raw zone", "✓ warehouse", "✓ dbt", "✓ mail"]
    assert [line.split(":")[0] for line in lines] == parts
    assert "The OMS at 127.0.0.1:1/shop cannot be reached" in lines[1]
    assert "Check that the server runs and that OMS_SOURCE_URL names it." in lines[1]
    assert "s3cret" not in done.stdout


def test_a_bad_setting_is_told_by_the_command_itself_before_anything_is_made(home: Path) -> None:
    done = in_own_process(home, "check", OMS_PROFILE="production")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == "Error: OMS_PROFILE is 'production'. Set it to one of: local, snowflake.\n"
    assert not home.exists()


def test_the_sample_lives_in_a_database_of_its_own_where_one_is_named(
    new_database: Callable[[str], Oms], oms_command: Words, home: Path
) -> None:
    oms = new_database("template0")
    variables = {"OMS_SAMPLE_URL": oms.dsn, "OMS_SOURCE_SCHEMA": SCHEMA}
    first = TODAY - 3 * DAY
    assert oms_command("sample", "init", "--start", str(first), "--orders-per-day", "5", **variables).exit_code == 0
    assert oms_command("sample", "simulate", "--days", "1", **variables).exit_code == 0
    assert oms.value("select next_day from oms_sample.clock") == first + DAY
    assert not (home / "sample").exists()

    # What the schedule does shortly after midnight.
    settings = read_settings({"OMS_HOME": str(home), **variables})
    job, schedule = sample.sample_life(settings)
    assert job.execute_in_process().success
    assert oms.value("select next_day from oms_sample.clock") == TODAY
    assert oms.value("select count(distinct placed_at::date) from orders") == 3
    assert (schedule.job_name, schedule.cron_schedule) == (job.name, "5 0 * * *")


def test_a_sample_database_that_does_not_answer_is_one_line(oms_command: Words, home: Path) -> None:
    result = oms_command("sample", "init", OMS_SAMPLE_URL=NOWHERE)
    assert_one_line(result, home, "127.0.0.1:1/shop")
