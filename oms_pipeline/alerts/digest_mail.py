"""How the mail of every morning reads: business first, then the pipeline. Sends nothing."""

from email.message import EmailMessage

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

Rows = list[tuple[str, ...]]


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
    picture = f"chart.{message_id[1:-1]}" if digest.business.chart is not None else None
    tables = _tables(digest)
    lists = {"Freshness": _freshness(digest), "Worth a look": list(digest.odd)}
    text = [f"{title}\n" + "\n".join(f"  {': '.join(row)}" for row in rows) for title, rows in tables.items()]
    text += [f"{title}\n" + "\n".join(f"  {line}" for line in lines) for title, lines in lists.items() if lines]
    pieces = []
    for title, rows in tables.items():
        pieces.append(section(title, table(rows)))
        if title == "Business" and picture is not None:
            pieces.append(image(picture, digest.business.caption))
    if picture is not None and "Business" not in tables:
        pieces.insert(0, image(picture, digest.business.caption))
    pieces += [section(title, "".join(map(paragraph, lines))) for title, lines in lists.items() if lines]
    colour = RED if digest.late else BLUE if digest.odd else GREEN
    title = f"{digest.day:%A}, {digest.day}"
    body = "".join(pieces) + button(envelope.web_url, "Open Dagster")
    fill(
        message,
        "\n\n".join([f"{title}: {state.lower()}", *text, f"Open: {envelope.web_url}"]),
        card(colour, state, title, body),
        {picture: digest.business.chart} if picture is not None and digest.business.chart is not None else {},
    )
    return message


def _tables(digest: Digest) -> dict[str, Rows]:
    tables: dict[str, Rows] = {}
    if digest.business.numbers:
        tables["Business"] = list(digest.business.numbers.items())
    tables["Runs"] = [(_what(ran), _outcome(ran), _duration(ran.seconds)) for ran in digest.ran] or [("Nothing ran.",)]
    if digest.layers:
        layers = [(layer.name, f"{layer.rows:,} rows", _duration(layer.seconds)) for layer in digest.layers]
        tables["Rows and time per layer"] = [*layers]
    if digest.credits is not None:
        tables["Warehouse"] = [("credits", f"{digest.credits:.3f}")]
    return tables


def _what(ran: Ran) -> str:
    return f"{ran.what} ({some(ran.days)})" if ran.days else ran.what


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
        return []
    if not digest.late:
        return [f"All {digest.assets_due} assets have every day that is due."]
    late = f"{len(digest.late)} of {digest.assets_due} assets are late: {some(sorted(digest.late))}."
    return [late, *sorted(set(digest.late.values()))[:3]]
