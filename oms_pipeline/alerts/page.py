"""What all mails share: sender, recipients, identifiers, and an HTML page of one column for a phone. Knows no event."""

import datetime as dt
import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime
from html import escape
from typing import Final
from zoneinfo import ZoneInfo

from oms_pipeline.settings import MAIL_ADDRESS, Settings

PREFIX: Final = "[OMS]"
RED: Final = "#b42318"
GREEN: Final = "#067647"
BLUE: Final = "#1d4ed8"
SHOWN: Final = 5

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
    "{body}</div>"
)
_SECTION: Final = '<h2 style="font-size:16px;margin:20px 0 6px">{title}</h2>{body}'
_ROW: Final = (
    '<p style="margin:0 0 10px;overflow-wrap:anywhere">'
    '<span style="display:block;font-size:13px;color:#475467">{label}</span>{value}</p>'
)
_TABLE: Final = '<table role="presentation" style="width:100%;border-collapse:collapse;font-size:15px">{rows}</table>'
_CELL: Final = (
    '<td style="padding:4px 0 4px {gap}px;border-bottom:1px solid #eaecf0;vertical-align:top;{align}">{text}</td>'
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

    def recipients(self, owners: Collection[str], *, default: bool = False) -> list[str]:
        """Whom a mail goes to: the owners that have an address; where one has none, as a team, the default too."""
        addresses = sorted(owner for owner in owners if MAIL_ADDRESS.fullmatch(owner))
        if default or len(addresses) < len(owners):
            addresses += [address for address in self.default_recipients if address not in addresses]
        return addresses

    def message_id(self, *parts: str) -> str:
        """The identifier of a mail: what is told twice in the same words is the same mail."""
        digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
        return f"<{digest}@{self.sender.partition('@')[2]}>"

    def time(self, at: float) -> str:
        """An instant, as it is shown."""
        return f"{dt.datetime.fromtimestamp(at, self.timezone):%Y-%m-%d %H:%M} {self.timezone.key}"


def new_message(
    subject: str, message_id: str, recipients: Sequence[str], envelope: Envelope, now: float, *, important: bool = False
) -> EmailMessage:
    """A mail without a body.

    Args:
        subject: What it is about.
        message_id: Its identifier.
        recipients: Whom it goes to.
        envelope: For the sender.
        now: Seconds since 1970.
        important: Whether mail clients are to flag it.
    """
    message = EmailMessage()
    message["Subject"] = subject
    message["Message-ID"] = message_id
    message["From"] = envelope.sender
    message["To"] = ", ".join(recipients)
    message["Date"] = format_datetime(dt.datetime.fromtimestamp(now, envelope.timezone))
    message["Auto-Submitted"] = "auto-generated"
    if important:
        message["Importance"] = "high"
        message["X-Priority"] = "1"
    return message


def fill(message: EmailMessage, text: str, body: str, images: Mapping[str, bytes] | None = None) -> None:
    """Gives a mail its parts: plain text, and HTML with the pictures in it.

    Args:
        message: The mail.
        text: Plain text.
        body: What `card` and `paragraph` make.
        images: Content-ID → PNG, for what `image` refers to.
    """
    message.set_content(f"{text}\n")
    message.add_alternative(_PAGE.format(title=escape(str(message["Subject"])), body=body), subtype="html")
    for content_id, png in (images or {}).items():
        html = message.get_body(("html",))
        if html is not None:
            html.add_related(png, "image", "png", cid=f"<{content_id}>", disposition="inline", filename="chart.png")


def card(colour: str, state: str, title: str, body: str) -> str:
    """A card: what it is about, and HTML of the pieces below."""
    return _CARD.format(colour=colour, state=escape(state), title=escape(title), body=body)


def section(title: str, body: str) -> str:
    """A part of a card under its own heading."""
    return _SECTION.format(title=escape(title), body=body)


def row(label: str, value: str) -> str:
    """A label, and below it what it stands for."""
    return _ROW.format(label=escape(label), value=escape(value))


def paragraph(text: str) -> str:
    """A sentence."""
    return f'<p style="margin:0 0 10px;overflow-wrap:anywhere">{escape(text)}</p>'


def table(rows: Sequence[Sequence[str]]) -> str:
    """A table: names on the left, figures on the right; what follows a line break is small."""
    lines = []
    for cells in rows:
        line = [
            _CELL.format(gap=12, align="text-align:right", text=escape(_unbroken(text)))
            if n
            else _CELL.format(gap=0, align="overflow-wrap:anywhere", text=_with_small_print(text))
            for n, text in enumerate(cells)
        ]
        lines.append(f"<tr>{''.join(line)}</tr>")
    return _TABLE.format(rows="".join(lines))


def _unbroken(text: str) -> str:
    """A figure and its unit stay on one line; a list may break at its commas."""
    return text.replace(" ", "\u00a0").replace(",\u00a0", ", ")


def _with_small_print(text: str) -> str:
    first, _, rest = text.partition("\n")
    small = f'<span style="display:block;font-size:13px;color:#475467">{escape(rest)}</span>' if rest else ""
    return escape(first) + small


def image(content_id: str, title: str, description: str) -> str:
    """A picture that is inside the mail, at most as wide as the page, under its title."""
    return (
        f'<p style="margin:16px 0 4px;font-size:13px;color:#475467">{escape(title)}</p>'
        f'<img src="cid:{escape(content_id, quote=True)}" alt="{escape(description, quote=True)}" width="528" '
        'style="display:block;width:100%;max-width:528px;height:auto;border:0">'
    )


def button(url: str, label: str) -> str:
    """A link that a thumb can hit."""
    return _BUTTON.format(url=escape(url, quote=True), label=escape(label))


def some(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = f", and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
