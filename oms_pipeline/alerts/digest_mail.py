"""How the mail of every morning reads: business first, then the pipeline. Sends nothing."""

from email.message import EmailMessage
from typing import Final

from oms_pipeline.alerts.digest import Digest, Ran
from oms_pipeline.alerts.page import (
    BLUE,
    GREEN,
    PREFIX,
    RED,
    Envelope,
    button,
    card,
    fill,
    image,
    new_message,
    paragraph,
    section,
    some,
    table,
)
from oms_pipeline.alerts.problems import Kind
from oms_pipeline.alerts.severity import Severities, Severity

BUSINESS: Final = "Business, change on the week before"


def render_digest(digest: Digest, envelope: Envelope, severities: Severities, now: float) -> EmailMessage:
    """The mail about a day.

    Args:
        digest: How it was.
        envelope: Sender, links; it goes to the default recipients.
        severities: How much each event matters.
        now: Seconds since 1970.
    """
    state = "Late" if digest.late else "Worth a look" if digest.odd else "All is in"
    message_id = envelope.message_id("digest", str(digest.day))
    message = new_message(
        f"{PREFIX} {digest.day:%A} {digest.day}: {state.lower()}",
        message_id,
        envelope.recipients((), default=True),
        envelope,
        now,
        important=severities[Kind.DIGEST] is Severity.HIGH,
    )
    charts = {f"chart{n}.{message_id[1:-1]}": chart for n, chart in enumerate(digest.business.charts)}
    business = table(digest.business.numbers) if digest.business.numbers else ""
    business += "".join(image(content_id, chart.title, chart.description) for content_id, chart in charts.items())
    tables, lists = _tables(digest), {"Freshness": _freshness(digest), "Worth a look": list(digest.odd)}
    pieces = [section(BUSINESS, business)] if business else []
    pieces += [section(title, table(rows)) for title, rows in tables.items()]
    pieces += [section(title, "".join(map(paragraph, lines))) for title, lines in lists.items() if lines]
    rows_of = {BUSINESS: digest.business.numbers, **tables}
    lines_of = {title: [_line(row) for row in rows] for title, rows in rows_of.items()} | lists
    texts = ["\n".join([title, *(f"  {line}" for line in lines)]) for title, lines in lines_of.items() if lines]
    colour = RED if digest.late else BLUE if digest.odd else GREEN
    title = f"{digest.day:%A}, {digest.day}"
    body = "".join(pieces) + button(envelope.web_url, "Open Dagster")
    fill(
        message,
        "\n\n".join([f"{title}: {state.lower()}", *texts, f"Open: {envelope.web_url}"]),
        card(colour, state, title, body),
        {content_id: chart.png for content_id, chart in charts.items()},
    )
    return message


def _tables(digest: Digest) -> dict[str, list[tuple[str, ...]]]:
    runs = [(_what(ran), _outcome(ran), _duration(ran.seconds)) for ran in digest.ran]
    layers = [(layer.name, f"{layer.rows:,} rows", _duration(layer.seconds)) for layer in digest.layers]
    cost = [] if digest.credits is None else [("Credits", f"{digest.credits:.3f}")]
    tables: dict[str, list[tuple[str, ...]]] = {
        "Runs": [*runs] or [("None", "nothing ran")],
        "Rows and time per layer": [*layers],
        "Warehouse": [*cost],
    }
    return {title: rows for title, rows in tables.items() if rows}


def _line(row: tuple[str, ...]) -> str:
    return f"{row[0]}: {', '.join(row[1:])}".replace("\n", " ")


def _what(ran: Ran) -> str:
    return f"{ran.what}\n{some(ran.days)}" if ran.days else ran.what


def _outcome(ran: Ran) -> str:
    if sum(ran.outcomes.values()) == 1:
        return next(iter(ran.outcomes))
    return ", ".join(f"{count} {outcome}" for outcome, count in ran.outcomes.items())


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _freshness(digest: Digest) -> list[str]:
    if not digest.assets_due:
        return ["No asset has a deadline."]
    if not digest.late:
        return [f"All {digest.assets_due} assets have every day that is due."]
    late = f"{len(digest.late)} of {digest.assets_due} assets are late: {some(sorted(digest.late))}."
    return [late, *sorted(set(digest.late.values()))[:3]]
