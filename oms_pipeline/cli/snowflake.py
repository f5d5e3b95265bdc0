"""`oms snowflake` and `oms cost`: the account of the `snowflake` profile, and its bill."""

import datetime as dt
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import click
from rich.table import Table

from oms_pipeline.cli.output import DAY, console, escaped, one_line_errors
from oms_pipeline.errors import OmsError
from oms_pipeline.settings import SnowflakeLogin, get_settings


@click.group("snowflake")
def group() -> None:
    """The Snowflake side of the `snowflake` profile: make it, take it away."""


ADMIN_ROLE_OPTION: Final = click.option(
    "--role",
    default="ACCOUNTADMIN",
    show_default=True,
    help="The role to work as, held by SNOWFLAKE_USER. It has what SYSADMIN has, and makes roles and integrations.",
)
PUBLIC_KEY: Final = click.Path(exists=True, dir_okay=False, path_type=Path)


@group.command("bootstrap")
@click.option("--dry-run", is_flag=True, help="Print the SQL, values filled in, and run nothing.")
@click.option("--only", multiple=True, metavar="NAME", help="Apply only this script; may be given several times.")
@click.option("--aws-role-arn", help="The AWS role with which Snowflake reads the bucket of OMS_RAW_URL.")
@click.option("--credit-quota", type=click.IntRange(1), default=20, show_default=True, help="Most credits in a month.")
@click.option("--pipeline-public-key", type=PUBLIC_KEY, help="Public key (PEM) of the user to make for the pipeline.")
@click.option("--dashboards-public-key", type=PUBLIC_KEY, help="Public key (PEM) of the user to make for dashboards.")
@ADMIN_ROLE_OPTION
@one_line_errors
def bootstrap(
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


@group.command("teardown")
@ADMIN_ROLE_OPTION
@one_line_errors
def teardown(role: str) -> None:
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


@click.command()
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
        table.add_row(str(asset.day), escaped(asset.asset), str(asset.queries), f"{asset.credits:.4f}")
    table.add_section()
    for day in report.days:
        table.add_row(str(day.day), "(idle)", "", f"{day.idle:.4f}")
        table.add_row(str(day.day), "billed", "", f"{day.billed:.4f}")
    table.add_section()
    table.add_row("total", "billed", "", f"{report.billed:.4f}", style="bold")
    console.print(table)
    console.print(LATENCY, style="dim", soft_wrap=True)


def _snowflake_login() -> SnowflakeLogin:
    settings = get_settings()
    if settings.snowflake is None:
        raise OmsError(f"OMS_PROFILE is '{settings.profile}', which has no Snowflake. Set it to snowflake.")
    return settings.snowflake


def _text_of(path: Path | None) -> str | None:
    return None if path is None else path.read_text(encoding="utf-8", errors="replace")


def _show_statements(statements: Iterable[Any]) -> None:
    for number, statement in enumerate(statements, start=1):
        line = f"[green]✓[/] {number:>2} {statement.script}: {escaped(statement.title)}"
        console.print(line, highlight=False, soft_wrap=True)
