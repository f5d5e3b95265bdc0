"""`oms sample`: open the sample business, let it live."""

import datetime as dt

import click

from oms_pipeline.cli.output import DAY, console, one_line_errors, progress_bars
from oms_pipeline.settings import get_settings


@click.group("sample")
def group() -> None:
    """The sample OMS: a simulated business on an embedded PostgreSQL."""


@group.command("init")
@click.option("--empty", is_flag=True, help="Only the tables, on OMS_SOURCE_URL, to fill with your own orders.")
@click.option("--start", type=DAY, help="First day of the business.  [default: OMS_START_DATE]")
@click.option("--orders-per-day", default=1000, show_default=True, help="Size of the business.")
@click.option("--seed", default=7, show_default=True, help="The same seed gives the same orders.")
@one_line_errors
def init(empty: bool, start: dt.datetime | None, orders_per_day: int, seed: int) -> None:
    """Create the OMS tables, and a business on them unless --empty. Changes and drops nothing that is there."""
    from oms_pipeline.demo import create_tables, open_sample

    settings = get_settings()
    if empty:
        create_tables(settings)
        console.print(f"The OMS tables are in schema {settings.source_schema}.")
        return
    business = open_sample(settings, start.date() if start else settings.start_date, orders_per_day, seed)
    console.print(f"The sample OMS is open; its next day is {business.next_day}.")


@group.command("simulate")
@click.option("--days", type=click.IntRange(1), required=True, help="How many days to let pass.")
@one_line_errors
def simulate(days: int) -> None:
    """Let the sample business live its next days."""
    from oms_pipeline.demo import simulate_days

    with progress_bars() as step:
        next_day = simulate_days(get_settings(), days, step)
    console.print(f"The sample OMS has lived {days} more days; its next day is {next_day}.")
