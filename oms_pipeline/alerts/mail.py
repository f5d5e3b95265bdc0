"""How a problem reads as a mail: text and HTML, one thread per problem, one column for a phone. Sends nothing."""

import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from email.message import EmailMessage
from email.utils import format_datetime
from html import escape
from typing import Final
from zoneinfo import ZoneInfo

from oms_pipeline.alerts.problems import Kind, Problem, one_line, ranges
from oms_pipeline.settings import MAIL_ADDRESS, Settings

PREFIX: Final = "[OMS]"
SHOWN: Final = 5
RED: Final = "#b42318"
GREEN: Final = "#067647"

_PAGE: Final = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title></head>'
    '<body style="margin:0;padding:16px;background:#f2f4f7;'
    'font:16px/1.5 -apple-system,Segoe UI,Roboto,Helvetica,Arial,sans-serif;color:#101828">'
    '<div style="max-width:560px;margin:0 auto">{body}</div></body></html>'
)
_CARD: Final = (
    '<div style="background:#fff;border-top:4px solid {colour};border-radius:6px;padding:16px;margin:0 0 16px">'
    '<p style="margin:0;color:{colour};font-weight:600">{state}</p>'
    '<h1 style="font-size:20px;line-height:1.3;margin:4px 0 12px;overflow-wrap:anywhere">{title}</h1>'
    "{rows}{button}</div>"
)
_ROW: Final = (
    '<p style="margin:0 0 10px;overflow-wrap:anywhere">'
    '<span style="display:block;font-size:13px;color:#475467">{label}</span>{value}</p>'
)
_BUTTON: Final = (
    '<p style="margin:16px 0 0"><a href="{url}" style="display:inline-block;background:#1d4ed8;color:#fff;'
    'text-decoration:none;padding:10px 16px;border-radius:6px">{label}</a></p>'
)


@dataclass(frozen=True)
class Envelope:
    """Who a mail is from and for, and where its links lead.

    Attributes:
        sender: Address of the sender.
        default_recipients: Who gets it where no owner has an address.
        web_url: Address of the web UI.
        timezone: In which times are shown.
    """

    sender: str
    default_recipients: tuple[str, ...]
    web_url: str
    timezone: ZoneInfo

    @classmethod
    def of(cls, settings: Settings) -> "Envelope":
        """The envelope that the settings ask for."""
        return cls(settings.mail_from, settings.mail_to, settings.web_url, settings.timezone)


def render(problem: Problem, envelope: Envelope, now: float) -> EmailMessage:
    """The mail about one problem.

    The subject stays the same as long as the problem lasts, and later mails refer to the first: mail clients make a
    thread of them.

    Args:
        problem: The problem.
        envelope: Sender, recipients, links.
        now: Seconds since 1970.
    """
    message = _message([problem], envelope, now)
    follows = problem.mails > 0
    message["Subject"] = f"{'Re: ' if follows else ''}{PREFIX} {_short(problem.title)}"
    thread = _message_id(envelope, problem.key, str(problem.opened))
    if follows:
        # Sent twice, it is the same mail: the identifier follows from what is told, not from when.
        state = "recovered" if problem.recovered is not None else str(problem.mails)
        message["Message-ID"] = _message_id(envelope, problem.key, str(problem.opened), state)
        message["In-Reply-To"] = thread
        message["References"] = thread
    else:
        message["Message-ID"] = thread
    _fill(message, [problem], envelope, "")
    return message


def render_digest(problems: Sequence[Problem], envelope: Envelope, now: float) -> EmailMessage:
    """One mail about several problems: what the limit of mails per hour held back.

    Args:
        problems: The problems.
        envelope: Sender, recipients, links.
        now: Seconds since 1970.
    """
    message = _message(problems, envelope, now)
    message["Subject"] = f"{PREFIX} {len(problems)} more problems"
    message["Message-ID"] = _message_id(envelope, "digest", *(f"{p.key} {p.opened} {p.count}" for p in problems))
    _fill(message, problems, envelope, "More happened than mails are sent in an hour. This is what was held back.")
    return message


def sample(kind: Kind, envelope: Envelope, now: float) -> EmailMessage:
    """A mail of a kind, about a problem that nobody has.

    Args:
        kind: The kind.
        envelope: Sender, recipients, links.
        now: Seconds since 1970.
    """
    run_id = "00000000-0000-0000-0000-000000000000"
    failed = Problem(
        key="daily_oms/raw",
        kind=Kind.RUN_FAILED,
        job="daily_oms",
        step="raw",
        opened=now,
        errors=(
            "The OMS at db.example.com:5432/oms does not answer: connection refused. Start it, run the day again.",
        ),
        assets=tuple(
            f"raw/{table}" for table in ("customers", "order_items", "orders", "payments", "returns", "stores")
        ),
        days=("2026-01-30", "2026-01-31"),
        owners=("team:data",),
        run_id=run_id,
        count=2,
    )
    check = replace(
        failed,
        key="daily_oms/transform",
        kind=Kind.CHECK_FAILED,
        step="transform",
        errors=("matches_contract_stg_oms__orders: expected 0 failing rows, found 3",),
        assets=("staging/stg_oms__orders",),
        days=("2026-01-31",),
        count=1,
    )
    late = Problem(
        key="freshness",
        kind=Kind.FRESHNESS_MISSED,
        job="",
        step="",
        opened=now,
        errors=("marts/daily_sales is later than its deadline",),
        assets=("marts/daily_sales", "marts/fct_orders"),
        owners=("team:data",),
    )
    if kind is Kind.DIGEST:
        return render_digest([failed, check, late], envelope, now)
    over = replace(failed, mails=1, recovered=now)
    return render(
        {Kind.RECOVERED: over, Kind.CHECK_FAILED: check, Kind.FRESHNESS_MISSED: late}.get(kind, failed), envelope, now
    )


def trial_mail(envelope: Envelope, now: float) -> EmailMessage:
    """A mail that says that mails arrive.

    Args:
        envelope: Sender, recipients, links.
        now: Seconds since 1970.
    """
    message = _message([], envelope, now)
    message["Subject"] = f"{PREFIX} Mails arrive"
    message["Message-ID"] = _message_id(envelope, "trial", str(now))
    text = "This is a trial. Failed runs, failed checks and late data are mailed to this address."
    message.set_content(f"{text}\n\nOpen: {envelope.web_url}\n")
    body = f"<p>{text}</p>" + _BUTTON.format(url=escape(envelope.web_url, quote=True), label="Open Dagster")
    message.add_alternative(_PAGE.format(title="Mails arrive", body=body), subtype="html")
    return message


def html_of(message: EmailMessage) -> str:
    """The HTML part of a mail."""
    part = message.get_body(("html",))
    return str(part.get_content()) if part is not None else ""


def _message(problems: Sequence[Problem], envelope: Envelope, now: float) -> EmailMessage:
    message = EmailMessage()
    owners = {owner for problem in problems for owner in problem.owners}
    addresses = sorted(owner for owner in owners if MAIL_ADDRESS.fullmatch(owner))
    # An owner without an address, such as a team, and a problem without an owner, are for the default.
    if len(addresses) < len(owners) or not problems or not all(problem.owners for problem in problems):
        addresses += [address for address in envelope.default_recipients if address not in addresses]
    message["From"] = envelope.sender
    message["To"] = ", ".join(addresses)
    message["Date"] = format_datetime(dt.datetime.fromtimestamp(now, envelope.timezone))
    message["Auto-Submitted"] = "auto-generated"
    return message


def _fill(message: EmailMessage, problems: Sequence[Problem], envelope: Envelope, introduction: str) -> None:
    texts = [introduction] if introduction else []
    cards = [f"<p>{escape(introduction)}</p>"] if introduction else []
    for problem in problems:
        state = "Recovered" if problem.recovered is not None else "Needs attention"
        rows = _rows(problem, envelope)
        link = _link(problem, envelope)
        lines = [f"{state}: {one_line(problem.title)}", "", *(f"{label}: {value}" for label, value in rows)]
        texts.append("\n".join([*lines, f"Open: {link}"]))
        cards.append(
            _CARD.format(
                colour=GREEN if problem.recovered is not None else RED,
                state=state,
                title=escape(one_line(problem.title)),
                rows="".join(_ROW.format(label=escape(label), value=escape(value)) for label, value in rows),
                button=_BUTTON.format(url=escape(link, quote=True), label="Open in Dagster"),
            )
        )
    message.set_content("\n\n".join(texts) + "\n")
    message.add_alternative(_PAGE.format(title=escape(str(message["Subject"])), body="".join(cards)), subtype="html")


def _rows(problem: Problem, envelope: Envelope) -> list[tuple[str, str]]:
    errors = [one_line(error) for error in problem.errors]
    rows = [("Error" if len(errors) == 1 else f"First {len(errors)} errors", " · ".join(errors))]
    if problem.count > 1 and problem.kind is not Kind.FRESHNESS_MISSED:
        rows.append(("Times", f"{problem.count} runs"))
    rows += [
        ("Step", problem.step),
        ("Assets", _some(problem.assets)),
        ("Days", _some(ranges(problem.days))),
        ("Owner", _some(problem.owners)),
        ("Since", _time(problem.opened, envelope)),
    ]
    if problem.recovered is not None:
        rows.append(("Recovered", _time(problem.recovered, envelope)))
    rows.append(("What to do", problem.next_step))
    return [(label, value) for label, value in rows if value]


def _some(names: Sequence[str]) -> str:
    more = f", and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _time(at: float, envelope: Envelope) -> str:
    return f"{dt.datetime.fromtimestamp(at, envelope.timezone):%Y-%m-%d %H:%M} {envelope.timezone.key}"


def _link(problem: Problem, envelope: Envelope) -> str:
    if problem.backfill:
        return f"{envelope.web_url}/runs/b/{problem.backfill}"
    if problem.run_id:
        return f"{envelope.web_url}/runs/{problem.run_id}"
    return f"{envelope.web_url}/assets"


def _message_id(envelope: Envelope, *parts: str) -> str:
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
    return f"<{digest}@{envelope.sender.partition('@')[2]}>"


def _short(title: str) -> str:
    return one_line(title)[:120]
