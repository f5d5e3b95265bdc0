"""`oms alerts`: try the mails."""

import time
from email.message import EmailMessage
from typing import Final

import click

from oms_pipeline.cli.output import console, escaped, one_line_errors
from oms_pipeline.settings import Settings, get_settings

MAIL_KINDS: Final = (
    "run_failed",
    "check_failed",
    "freshness_missed",
    "schema_drift",
    "recovered",
    "held_back",
    "digest",
)


@click.group("alerts")
def group() -> None:
    """E-mail about failed runs, failed checks, late data and new columns, and how the day was."""


@group.command("test")
@one_line_errors
def send_trial() -> None:
    """Send one mail, and tell which server accepted it."""
    settings = get_settings()

    from oms_pipeline import alerts

    where = alerts.deliver(alerts.trial_mail(alerts.Envelope.of(settings), time.time()), settings)
    alerts.forget_refusal(settings)
    if settings.smtp is None:
        console.print(f"The mail is a file: {escaped(where)}", highlight=False, soft_wrap=True)
        console.print(escaped(alerts.destination(settings)), highlight=False, soft_wrap=True)
    else:
        console.print(f"Accepted by {escaped(where)}.", highlight=False, soft_wrap=True)


@group.command("preview")
@click.argument("kind", metavar="KIND", type=click.Choice(MAIL_KINDS))
@one_line_errors
def preview(kind: str) -> None:
    """Write the mail of a kind as HTML, and print the path.

    KIND is run_failed, check_failed, freshness_missed, schema_drift, recovered or held_back, each with an invented
    problem, or digest, which tells of what is there.
    """
    settings = get_settings()

    from oms_pipeline import alerts

    if kind == alerts.Kind.DIGEST:
        message = _newest_digest(settings)
    else:
        message = alerts.sample(alerts.Kind(kind), alerts.Envelope.of(settings), alerts.load_severities(), time.time())
    path = alerts.mail_dir(settings) / f"preview_{kind}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(alerts.html_of(message), encoding="utf-8")
    click.echo(path)


def _newest_digest(settings: Settings) -> EmailMessage:
    from oms_pipeline.instance import prepare_dagster_home

    prepare_dagster_home(settings)

    import dagster as dg

    from oms_pipeline.alerts import newest_digest
    from oms_pipeline.definitions import defs, make_watch

    with dg.DagsterInstance.get() as instance:
        return newest_digest(instance, defs.get_repository_def(), make_watch(settings), time.time())
