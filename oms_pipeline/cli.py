"""`oms`: the command line. Parses words and shows results; the work is done in the rooms."""

import atexit
import datetime as dt
import gc
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressBars
from rich.table import Table

from oms_pipeline.errors import OmsError
from oms_pipeline.progress import Progress, listening
from oms_pipeline.settings import PROJECT_DIR, SnowflakeLogin, get_settings

console: Final = Console()
errors: Final = Console(stderr=True)

GARBAGE_THRESHOLD: Final = 50_000

MAIL_KINDS: Final = ("run_failed", "check_failed", "freshness_missed", "recovered", "digest")
PARTS: Final = ("code", "web", "daemon")
DAY: Final = click.DateTime(["%Y-%m-%d"])


def one_line_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Shows what the user can mend as one line and exits with 1; anything else is a bug and keeps its traceback."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except OmsError as error:
            errors.print(f"[bold red]Error:[/] {_escaped(str(error))}", highlight=False, soft_wrap=True)
            sys.exit(1)

    return run


def run() -> None:
    """The console script: `main`, without what Python does for processes that live long.

    Half of a cold start would go to collecting garbage among half a gigabyte of imports that stay anyway, and two
    seconds to taking them apart one by one at the end.
    """
    code: int | str | None = 1
    gc.set_threshold(GARBAGE_THRESHOLD)
    atexit.register(lambda: _end(code))  # registered first, so it runs after everybody else's
    try:
        main()
    except SystemExit as end:
        code = end.code
        raise


def _end(code: int | str | None) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    r"""Yesterday's orders in the warehouse, every morning.

    \b
    First steps:  oms demo            see it work on a sample OMS
                  oms check           is everything in place?
                  oms run --day D     load one day
                  oms status          what is there, what is missing?

    Settings come from environment variables or a .env file; the README lists them.
    """
    logging.basicConfig(level=logging.ERROR, format="%(message)s")
    logging.getLogger("oms_pipeline").setLevel(logging.INFO)
    # What libraries say of their own future does not concern whoever loads a day.
    warnings.simplefilter("ignore")


@main.command()
@click.option("--orders-per-day", default=1000, show_default=True, help="Size of the simulated business.")
@one_line_errors
def demo(orders_per_day: int) -> None:
    """Simulate a business of 60 days, load them as one backfill, then two more days, each as a daily run.

    Needs no account and no server. Running it again continues where it was: landed days are kept and replayed.
    """
    from oms_pipeline.demo import run_demo

    with progress_bars() as step:
        outcome = run_demo(get_settings(), orders_per_day, step)
    outcome.show(console)


@main.command("run")
@click.option("--day", type=DAY, required=True, help="The day to load, such as 2026-01-31.")
@click.option("--reextract", is_flag=True, help="Read the day anew although it is landed; snapshots are kept.")
@one_line_errors
def run_day(day: dt.datetime, reextract: bool) -> None:
    """Load one day, from the OMS to the marts, in this process."""
    _run_range(day.date(), day.date(), reextract)


@main.command()
@click.option("--from", "first", type=DAY, required=True, help="The first day.")
@click.option("--to", "last", type=DAY, required=True, help="The last day, included.")
@click.option("--reextract", is_flag=True, help="Read days anew that are landed; snapshots are kept.")
@one_line_errors
def backfill(first: dt.datetime, last: dt.datetime, reextract: bool) -> None:
    """Load a range of days in a single run."""
    _run_range(first.date(), last.date(), reextract)


@main.command()
@one_line_errors
def rebuild() -> None:
    """Build every model anew from the raw zone, after a model or the contract has changed. Reads no source."""
    settings = get_settings()

    from oms_pipeline.automation import REBUILD_CONFIG, REBUILD_JOB, run_job
    from oms_pipeline.calendar import window_between
    from oms_pipeline.definitions import defs, make_raw_zone
    from oms_pipeline.instance import prepare_dagster_home

    prepare_dagster_home(settings)
    days = make_raw_zone(settings).days()
    if not days:
        raise OmsError(f"The raw zone {settings.raw_url} is empty. Load a day first: oms run --day D")
    window = window_between(days[0], days[-1], settings)
    with progress_bars() as step, listening(step):
        report = run_job(defs, REBUILD_JOB, window, REBUILD_CONFIG)
    _show_reports([report])


@main.command()
@one_line_errors
def status() -> None:
    """Show per layer: the newest day, missing days, how many of them are late, rows."""
    settings = get_settings()

    from oms_pipeline.instance import prepare_dagster_home
    from oms_pipeline.status import layer_status

    prepare_dagster_home(settings)
    table = Table("layer", "newest day", "missing days", "late", "rows", title=f"Days since {settings.start_date}")
    table.columns[4].justify = "right"
    for layer in layer_status(settings):
        table.add_row(layer.layer, str(layer.newest or "–"), layer.missing_text, layer.late_text, f"{layer.rows:,}")
    console.print(table)


@main.command()
@one_line_errors
def check() -> None:
    """Check settings, source, raw zone, warehouse, dbt and mail: one line each, with the remedy."""
    settings = get_settings()

    from oms_pipeline.checks import Level, check_setup
    from oms_pipeline.contract import load_contract
    from oms_pipeline.definitions import make_dbt_project, make_raw_zone, make_source, make_warehouse

    signs = {Level.OK: "[green]✓[/]", Level.WARNING: "[yellow]![/]", Level.FAILED: "[red]✗[/]"}
    failed = False
    for finding in check_setup(
        settings,
        load_contract(),
        make_source,
        make_raw_zone(settings),
        make_warehouse(settings),
        make_dbt_project(settings),
    ):
        console.print(
            f"{signs[finding.level]} {finding.part}: {_escaped(finding.text)}", highlight=False, soft_wrap=True
        )
        failed |= finding.level is Level.FAILED
    sys.exit(1 if failed else 0)


@main.command()
@click.option("--port", default=3000, show_default=True, help="Port of the web UI.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address the web UI listens on.")
@one_line_errors
def dev(port: int, host: str) -> None:
    """Start Dagster's web UI and daemon for this checkout."""
    settings = get_settings()

    from oms_pipeline.instance import prepare_dagster_home

    prepare_dagster_home(settings)
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    os.chdir(settings.home)  # not the checkout, whose dagster.yaml Dagster would warn that it is not its own
    arguments = ["dagster", "dev", "-w", str(PROJECT_DIR / "workspace.yaml"), "-h", host, "-p", str(port)]
    os.execv(sys.executable, [sys.executable, "-m", *arguments])  # noqa: S606 (no shell is what is wanted)


@main.command()
@click.argument("part", metavar="PART", type=click.Choice(PARTS))
@one_line_errors
def serve(part: str) -> None:
    """Run one part of Dagster in the foreground, as each container does.

    PART is code (the code server, which also runs the jobs), web or daemon. They find each other as
    deploy/docker/workspace.yaml says.
    """
    settings = get_settings()

    from oms_pipeline.instance import prepare_dagster_home

    prepare_dagster_home(settings)
    os.chdir(settings.home)
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    workspace = ["-w", str(PROJECT_DIR / "deploy" / "docker" / "workspace.yaml")]
    everyone = ["-h", "0.0.0.0"]  # noqa: S104 (of the container)
    arguments = {
        "code": ["dagster", "api", "grpc", *everyone, "-p", "4000", "-m", "oms_pipeline.definitions"],
        "web": ["dagster_webserver", *everyone, "-p", "3000", *workspace],
        "daemon": ["dagster._daemon", "run", *workspace],
    }
    os.execv(sys.executable, [sys.executable, "-m", *arguments[part]])  # noqa: S606 (no shell is what is wanted)


@main.command("cost")
@click.option("--from", "first", type=DAY, required=True, help="The first day, in UTC.")
@click.option("--to", "last", type=DAY, required=True, help="The last day, included.")
@one_line_errors
def cost(first: dt.datetime, last: dt.datetime) -> None:
    """Show what the pipeline cost in Snowflake: credits per asset and day."""
    from oms_pipeline.warehouse.cost import LATENCY, read_cost

    report = read_cost(_snowflake_login(), first.date(), last.date())
    table = Table("day (UTC)", "asset")
    table.add_column("statements", justify="right")
    table.add_column("credits", justify="right")
    for asset in report.assets:
        table.add_row(str(asset.day), _escaped(asset.asset), str(asset.queries), f"{asset.credits:.4f}")
    table.add_section()
    for day in report.days:
        table.add_row(str(day.day), "(idle)", "", f"{day.idle:.4f}")
        table.add_row(str(day.day), "billed", "", f"{day.billed:.4f}")
    table.add_section()
    table.add_row("total", "billed", "", f"{report.billed:.4f}", style="bold")
    console.print(table)
    console.print(LATENCY, style="dim", soft_wrap=True)


@main.group("alerts")
def alerts_group() -> None:
    """E-mail about failed runs, failed checks and late data."""


@alerts_group.command("test")
@one_line_errors
def alerts_test() -> None:
    """Send one mail, and tell which server accepted it."""
    settings = get_settings()

    from oms_pipeline import alerts

    where = alerts.deliver(alerts.trial_mail(alerts.Envelope.of(settings), time.time()), settings)
    alerts.forget_refusal(settings)
    if settings.smtp is None:
        console.print(f"No mail server is set, so the mail is a file: {where}", highlight=False, soft_wrap=True)
        console.print("To send mails, set OMS_SMTP_URL and OMS_MAIL_TO.", highlight=False, soft_wrap=True)
    else:
        console.print(f"Accepted by {_escaped(where)}.", highlight=False, soft_wrap=True)


@alerts_group.command("preview")
@click.argument("kind", metavar="KIND", type=click.Choice(MAIL_KINDS))
@one_line_errors
def alerts_preview(kind: str) -> None:
    """Write the mail of a kind as HTML, and print the path.

    KIND is run_failed, check_failed, freshness_missed, recovered or digest.
    """
    settings = get_settings()

    from oms_pipeline import alerts

    message = alerts.sample(alerts.Kind(kind), alerts.Envelope.of(settings), time.time())
    path = alerts.mail_dir(settings) / f"preview_{kind}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(alerts.html_of(message), encoding="utf-8")
    click.echo(path)


@main.group("snowflake")
def snowflake_group() -> None:
    """The Snowflake side of the `snowflake` profile: make it, take it away."""


ADMIN_ROLE_OPTION: Final = click.option(
    "--role",
    default="ACCOUNTADMIN",
    show_default=True,
    help="The role to work as, held by SNOWFLAKE_USER. It has what SYSADMIN has, and makes roles and integrations.",
)
PUBLIC_KEY: Final = click.Path(exists=True, dir_okay=False, path_type=Path)


@snowflake_group.command("bootstrap")
@click.option("--dry-run", is_flag=True, help="Print the SQL, values filled in, and run nothing.")
@click.option("--only", multiple=True, metavar="NAME", help="Apply only this script; may be given several times.")
@click.option("--aws-role-arn", help="The AWS role with which Snowflake reads the bucket of OMS_RAW_URL.")
@click.option("--credit-quota", type=click.IntRange(1), default=20, show_default=True, help="Most credits in a month.")
@click.option("--pipeline-public-key", type=PUBLIC_KEY, help="Public key (PEM) of the user to make for the pipeline.")
@click.option("--dashboards-public-key", type=PUBLIC_KEY, help="Public key (PEM) of the user to make for dashboards.")
@ADMIN_ROLE_OPTION
@one_line_errors
def snowflake_bootstrap(
    dry_run: bool,
    only: tuple[str, ...],
    aws_role_arn: str | None,
    credit_quota: int,
    pipeline_public_key: Path | None,
    dashboards_public_key: Path | None,
    role: str,
) -> None:
    """Make roles, warehouses, the credit limit, database, stage and grants. Running it twice changes nothing.

    Users are made only where their public key is given.
    """
    from oms_pipeline.warehouse import bootstrap
    from oms_pipeline.warehouse.snowflake_login import connect

    login = _snowflake_login()
    values = bootstrap.variables(
        login,
        admin_role=role,
        credit_quota=credit_quota,
        raw_url=get_settings().raw_url,
        aws_role_arn=aws_role_arn,
        pipeline_public_key=_text_of(pipeline_public_key),
        dashboards_public_key=_text_of(dashboards_public_key),
    )
    statements = bootstrap.bootstrap_statements(values, only)
    if dry_run:
        for statement in statements:
            click.echo(f"{statement.sql};\n")
        return
    with connect(login, role=role, database=False) as connection:
        _show_statements(bootstrap.run_statements(connection, statements))
        if any(statement.script == "integration" for statement in statements):
            policy = bootstrap.trust_policy(connection, role)
            console.print(f"\nTrust policy for {aws_role_arn}:", highlight=False, soft_wrap=True)
            click.echo(policy)


@snowflake_group.command("teardown")
@ADMIN_ROLE_OPTION
@one_line_errors
def snowflake_teardown(role: str) -> None:
    """Drop the database with every mart, the warehouses, roles and users. Asks first; the raw zone stays."""
    from oms_pipeline.warehouse import bootstrap
    from oms_pipeline.warehouse.snowflake_login import connect

    login = _snowflake_login()
    statements = bootstrap.render(bootstrap.TEARDOWN, bootstrap.variables(login, admin_role=role))
    console.print(f"This drops database {login.database} of account {login.account}, and cannot be undone.")
    if click.prompt("Type the database's name to go on", default="", show_default=False) != login.database:
        raise OmsError("That is not the database's name. Nothing was dropped.")
    with connect(login, role=role, database=False) as connection:
        _show_statements(bootstrap.run_statements(connection, statements))


@main.group("sample")
def sample_group() -> None:
    """The sample OMS: a simulated business on an embedded PostgreSQL."""


@sample_group.command("init")
@click.option("--empty", is_flag=True, help="Only the tables, on OMS_SOURCE_URL, to fill with your own orders.")
@click.option("--start", type=DAY, help="First day of the business.  [default: OMS_START_DATE]")
@click.option("--orders-per-day", default=1000, show_default=True, help="Size of the business.")
@click.option("--seed", default=7, show_default=True, help="The same seed gives the same orders.")
@one_line_errors
def sample_init(empty: bool, start: dt.datetime | None, orders_per_day: int, seed: int) -> None:
    """Create the OMS tables, and a business on them unless --empty. Changes and drops nothing that is there."""
    from oms_pipeline.demo import create_tables, open_sample

    settings = get_settings()
    if empty:
        create_tables(settings)
        console.print(f"The OMS tables are in schema {settings.source_schema}.")
        return
    business = open_sample(settings, start.date() if start else settings.start_date, orders_per_day, seed)
    console.print(f"The sample OMS is open; its next day is {business.next_day}.")


@sample_group.command("simulate")
@click.option("--days", type=click.IntRange(1), required=True, help="How many days to let pass.")
@one_line_errors
def sample_simulate(days: int) -> None:
    """Let the sample business live its next days."""
    from oms_pipeline.demo import simulate_days

    with progress_bars() as step:
        next_day = simulate_days(get_settings(), days, step)
    console.print(f"The sample OMS has lived {days} more days; its next day is {next_day}.")


@contextmanager
def progress_bars() -> Iterator[Callable[[Progress], None]]:
    """Bars that appear when a task reports its first step; on something that is no terminal, nothing moves."""
    bars = ProgressBars(
        TextColumn("{task.description:<18}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[step]}"),
        console=console,
    )
    tasks: dict[str, Any] = {}

    def step(progress: Progress) -> None:
        if progress.task not in tasks:
            tasks[progress.task] = bars.add_task(progress.task, total=progress.total, step="")
        task = bars.tasks[tasks[progress.task]]
        if task.total is not None and task.completed >= task.total:  # the next run goes on with the same bar
            bars.update(task.id, total=task.total + (progress.total or 0))
        bars.update(task.id, advance=1, step=progress.step)

    with bars:
        yield step
        for task in tasks.values():
            bars.update(task, step="")


def _run_range(first: dt.date, last: dt.date, reextract: bool) -> None:
    from oms_pipeline.calendar import window_between
    from oms_pipeline.instance import prepare_dagster_home

    settings = get_settings()
    window = window_between(first, last, settings)
    prepare_dagster_home(settings)

    from oms_pipeline.automation import DAILY_JOB, run_job
    from oms_pipeline.definitions import defs

    with progress_bars() as step, listening(step):
        report = run_job(defs, DAILY_JOB, window, {"raw": {"reextract": True}} if reextract else None)
    _show_reports([report])


def _show_reports(reports: list[Any]) -> None:
    from oms_pipeline.demo import reports_table

    for report in reports:
        if report.error is not None:
            raise OmsError(report.error)
    console.print(reports_table(reports))


def _snowflake_login() -> SnowflakeLogin:
    settings = get_settings()
    if settings.snowflake is None:
        raise OmsError(f"OMS_PROFILE is '{settings.profile}', which has no Snowflake. Set it to snowflake.")
    return settings.snowflake


def _text_of(path: Path | None) -> str | None:
    return None if path is None else path.read_text(encoding="utf-8", errors="replace")


def _show_statements(statements: Iterable[Any]) -> None:
    for number, statement in enumerate(statements, start=1):
        line = f"[green]✓[/] {number:>2} {statement.script}: {_escaped(statement.title)}"
        console.print(line, highlight=False, soft_wrap=True)


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")
