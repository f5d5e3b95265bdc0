"""Commands that show the business."""

import webbrowser

import click

from oms_pipeline.cli.output import console, one_line_errors
from oms_pipeline.settings import get_settings


@click.command()
@click.option("--open", "opens", is_flag=True, help="Open it in the browser.")
@one_line_errors
def report(opens: bool) -> None:
    """Draw the dashboards over the marts as they are, into one HTML file, and print its path. No network, no server."""
    settings = get_settings()

    from oms_pipeline.dashboards import load_dashboards, write_report
    from oms_pipeline.dashboards.columns import check_columns
    from oms_pipeline.definitions import make_warehouse
    from oms_pipeline.warehouse import Purpose

    dashboards = load_dashboards()
    check_columns(dashboards)
    with make_warehouse(settings).reading(Purpose("report")) as query:
        written = write_report(dashboards, query, settings.report_file)
    console.print(str(written.path), highlight=False, soft_wrap=True)
    if opens:
        webbrowser.open(written.path.resolve().as_uri())
