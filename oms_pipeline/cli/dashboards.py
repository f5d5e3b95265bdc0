"""Commands that show the business."""

import webbrowser

import click

from oms_pipeline.cli.output import console, escaped, one_line_errors
from oms_pipeline.errors import OmsError
from oms_pipeline.settings import get_settings


@click.command()
@click.option("--open", "opens", is_flag=True, help="Open it in the browser.")
@one_line_errors
def report(opens: bool) -> None:
    """Draw the dashboards over the marts as they are, into one HTML file, and print its path. No network, no server."""
    settings = get_settings()

    from oms_pipeline.dashboards import load_dashboards, write_report
    from oms_pipeline.definitions import make_warehouse
    from oms_pipeline.warehouse import Purpose

    with make_warehouse(settings).reading(Purpose("report")) as query:
        written = write_report(load_dashboards(), query, settings.report_file)
    console.print(str(written.path), highlight=False, soft_wrap=True)
    if opens:
        webbrowser.open(written.path.resolve().as_uri())


@click.group("dashboards")
def group() -> None:
    """The dashboards in Metabase."""


@group.command("sync")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing.")
@click.option("--force", is_flag=True, help="Undo what was edited in Metabase by hand. What people made there stays.")
@one_line_errors
def sync_metabase(dry_run: bool, force: bool) -> None:
    """Make Metabase what the definition says: database, descriptions, cards, dashboards, weekly mail.

    Each run of the pipeline does so too, without --force.
    """
    settings = get_settings()
    if settings.metabase is None:
        raise OmsError("OMS_METABASE_URL is not set. Set it to the address of your Metabase.")

    from oms_pipeline.dashboards.metabase import definition, sync
    from oms_pipeline.definitions import make_dbt_project, make_warehouse
    from oms_pipeline.warehouse import Purpose

    with make_warehouse(settings).reading(Purpose("metabase")) as query:
        wanted = definition(settings, make_dbt_project(settings).manifest, query)
    outcome = sync(settings.metabase, wanted, force=force, dry_run=dry_run)
    for step in outcome.steps:
        sign = "[green]✓[/]" if step.changes and not dry_run else "[yellow]![/]" if not step.changes else "·"
        console.print(f"{sign} {escaped(str(step))}", highlight=False, soft_wrap=True)
    if not outcome.steps:
        console.print("Metabase is as the definition says.")
    for name, link in outcome.links.items():
        console.print(f"{name}: {link}", highlight=False, soft_wrap=True)
