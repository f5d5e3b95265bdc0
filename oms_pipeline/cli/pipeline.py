"""Commands that load days and tell how they are."""

import datetime as dt
import sys
from typing import Any

import click
from rich.table import Table

from oms_pipeline.cli.output import DAY, console, escaped, one_line_errors, progress_bars
from oms_pipeline.errors import OmsError
from oms_pipeline.progress import listening
from oms_pipeline.settings import get_settings


@click.command()
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


@click.command("run")
@click.option("--day", type=DAY, required=True, help="The day to load, such as 2026-01-31.")
@click.option("--reextract", is_flag=True, help="Read the day anew although it is landed; snapshots are kept.")
@one_line_errors
def run_day(day: dt.datetime, reextract: bool) -> None:
    """Load one day, from the OMS to the marts, in this process."""
    _run_range(day.date(), day.date(), reextract)


@click.command()
@click.option("--from", "first", type=DAY, required=True, help="The first day.")
@click.option("--to", "last", type=DAY, required=True, help="The last day, included.")
@click.option("--reextract", is_flag=True, help="Read days anew that are landed; snapshots are kept.")
@one_line_errors
def backfill(first: dt.datetime, last: dt.datetime, reextract: bool) -> None:
    """Load a range of days in a single run."""
    _run_range(first.date(), last.date(), reextract)


@click.command()
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


@click.command()
@one_line_errors
def status() -> None:
    """Show per layer: the newest day, missing days, how many of them are late, rows.

    Then the problems that are open, and where mails go.
    """
    settings = get_settings()

    import dagster as dg

    from oms_pipeline.alerts import destination, known_problems
    from oms_pipeline.instance import prepare_dagster_home
    from oms_pipeline.status import layer_status

    prepare_dagster_home(settings)
    table = Table("layer", "newest day", "missing days", "late", "rows", title=f"Days since {settings.start_date}")
    table.columns[4].justify = "right"
    with dg.DagsterInstance.get() as instance:
        for layer in layer_status(settings, instance):
            table.add_row(layer.layer, str(layer.newest or "–"), layer.missing_text, layer.late_text, f"{layer.rows:,}")
        console.print(table)
        problems = known_problems(instance)
    for problem in problems.values():
        told = f"[red]Open[/]: {escaped(problem.title)}. {escaped(problem.next_step)}"
        console.print(told, highlight=False, soft_wrap=True)
    console.print(escaped(destination(settings)), highlight=False, soft_wrap=True)


@click.command()
@one_line_errors
def check() -> None:
    """Check settings, source, raw zone, warehouse, dbt, mail and Metabase: one line each, with the remedy."""
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
            f"{signs[finding.level]} {finding.part}: {escaped(finding.text)}", highlight=False, soft_wrap=True
        )
        failed |= finding.level is Level.FAILED
    sys.exit(1 if failed else 0)


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
