"""How a problem reads as a mail: text and HTML, one thread per problem. Sends nothing."""

import base64
from collections.abc import Sequence
from email.message import EmailMessage
from typing import Final

from oms_pipeline.alerts.page import (
    BLUE,
    GREEN,
    PREFIX,
    RED,
    Envelope,
    button,
    card,
    fill,
    new_message,
    paragraph,
    row,
    some,
)
from oms_pipeline.alerts.problems import Kind, Problem, kind_of_mail, one_line, ranges
from oms_pipeline.alerts.severity import Severities, Severity

SUBJECT_LENGTH: Final = 120


def render(problem: Problem, envelope: Envelope, severities: Severities, now: float) -> EmailMessage:
    """The mail about one problem.

    The subject stays the same as long as the problem lasts, and later mails refer to the first: mail clients make a
    thread of them.

    Args:
        problem: The problem.
        envelope: Sender, recipients, links.
        severities: How much each event matters.
        now: Seconds since 1970.
    """
    follows = problem.mails > 0
    thread = problem.thread or envelope.message_id(problem.key, str(problem.opened))
    # Sent twice, it is the same mail: the identifier follows from what is told, not from when.
    state = "recovered" if problem.recovered is not None else str(problem.mails)
    is_first = problem.mails == 0 and problem.recovered is None
    message = new_message(
        f"{'Re: ' if follows else ''}{PREFIX} {one_line(problem.title)[:SUBJECT_LENGTH]}",
        thread if is_first else envelope.message_id(problem.key, str(problem.opened), state),
        _recipients([problem], envelope),
        envelope,
        now,
        important=_is_important([problem], severities),
    )
    if follows:
        message["In-Reply-To"] = thread
        message["References"] = thread
    fill(message, _text(problem, envelope), _card(problem, envelope))
    return message


def render_held_back(
    problems: Sequence[Problem], envelope: Envelope, severities: Severities, now: float
) -> EmailMessage:
    """One mail about several problems: what the limit of mails per hour held back.

    Args:
        problems: The problems.
        envelope: Sender, recipients, links.
        severities: How much each event matters.
        now: Seconds since 1970.
    """
    message = new_message(
        f"{PREFIX} {len(problems)} more problems",
        envelope.message_id("held back", *(f"{p.key} {p.opened} {p.count}" for p in problems)),
        _recipients(problems, envelope),
        envelope,
        now,
        important=_is_important(problems, severities),
    )
    why = "More happened than mails are sent in an hour. This is what was held back."
    texts = [why, *(_text(problem, envelope) for problem in problems)]
    fill(message, "\n\n".join(texts), paragraph(why) + "".join(_card(problem, envelope) for problem in problems))
    return message


def trial_mail(envelope: Envelope, now: float) -> EmailMessage:
    """A mail that says that mails arrive.

    Args:
        envelope: Sender, recipients, links.
        now: Seconds since 1970.
    """
    title = "Mails arrive"
    message_id = envelope.message_id("trial", str(now))
    message = new_message(f"{PREFIX} {title}", message_id, envelope.recipients((), default=True), envelope, now)
    text = "This is a trial. Failed runs, failed checks and late data are mailed to this address."
    body = card(GREEN, "Trial", title, paragraph(text) + button(envelope.web_url, "Open Dagster"))
    fill(message, f"{text}\n\nOpen: {envelope.web_url}", body)
    return message


def html_of(message: EmailMessage) -> str:
    """The HTML part of a mail as a page of its own: what it shows inline is inside."""
    part = message.get_body(("html",))
    if part is None:
        return ""
    html = str(part.get_content())
    for image in message.walk():
        if image.get_content_maintype() == "image":
            data = base64.b64encode(image.get_payload(decode=True) or b"").decode()  # type: ignore[arg-type]
            html = html.replace(f"cid:{image['Content-ID'][1:-1]}", f"data:{image.get_content_type()};base64,{data}")
    return html


def _recipients(problems: Sequence[Problem], envelope: Envelope) -> list[str]:
    owners = {owner for problem in problems for owner in problem.owners}
    # A problem without an owner is for the default.
    return envelope.recipients(owners, default=not all(problem.owners for problem in problems))


def _is_important(problems: Sequence[Problem], severities: Severities) -> bool:
    return any(severities[kind_of_mail(problem)] is Severity.HIGH for problem in problems)


def _text(problem: Problem, envelope: Envelope) -> str:
    rows = [f"{label}: {value}" for label, value in _rows(problem, envelope)]
    return "\n".join([f"{_state(problem)}: {one_line(problem.title)}", "", *rows, f"Open: {_link(problem, envelope)}"])


def _card(problem: Problem, envelope: Envelope) -> str:
    colour = GREEN if problem.recovered is not None else BLUE if problem.kind is Kind.SCHEMA_DRIFT else RED
    rows = "".join(row(label, value) for label, value in _rows(problem, envelope))
    body = rows + button(_link(problem, envelope), "Open in Dagster")
    return card(colour, _state(problem), one_line(problem.title), body)


def _state(problem: Problem) -> str:
    if problem.recovered is not None:
        return "Recovered"
    return "For your information" if problem.kind is Kind.SCHEMA_DRIFT else "Needs attention"


def _rows(problem: Problem, envelope: Envelope) -> list[tuple[str, str]]:
    errors = [one_line(error) for error in problem.errors]
    is_late = problem.kind is Kind.FRESHNESS_MISSED
    label = "Late" if is_late else "Error" if len(errors) == 1 else "Errors"
    rows = [(label, " · ".join(errors)), ("Columns", ", ".join(problem.columns))]
    if problem.count > 1 and not is_late:
        rows.append(("Times", f"{problem.count} runs"))
    rows += [
        ("Step", problem.step),
        ("Assets", some(problem.assets)),
        ("Days", "" if is_late else some(ranges(problem.days))),
        ("Owner", some(problem.owners)),
        ("Since", envelope.time(problem.opened)),
    ]
    if problem.recovered is not None:
        rows.append(("Recovered", envelope.time(problem.recovered)))
    rows.append(("What to do", problem.next_step))
    return [(label, value) for label, value in rows if value]


def _link(problem: Problem, envelope: Envelope) -> str:
    if problem.backfill:
        return f"{envelope.web_url}/runs/b/{problem.backfill}"
    if problem.run_id:
        return f"{envelope.web_url}/runs/{problem.run_id}"
    return f"{envelope.web_url}/assets"
