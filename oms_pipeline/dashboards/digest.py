"""What the daily mail takes from the dashboards: their headline numbers and key charts. Sends nothing."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

import pyarrow as pa

from oms_pipeline.dashboards.definition import Card, Filter, Format, load_dashboards

Query = Callable[[str], pa.Table]
"""Runs one SELECT; names in lower case."""


@dataclass(frozen=True)
class Headline:
    """One number of a day.

    Attributes:
        label: What it is, such as `Net sales`.
        format: How it reads.
        currency: The currency of an amount; None for other numbers.
        value: The day's; None where there is none.
        before: The same weekday's of the week before; None where there is none.
    """

    label: str
    format: Format
    currency: str | None
    value: Decimal | None
    before: Decimal | None

    @property
    def text(self) -> str:
        """The value as people read it."""
        return shown(self.value, self.format, self.currency)

    @property
    def change(self) -> str:
        """How it compares, such as `+4.2 %`; of shares in points, `−0.3 points`. `–` where it cannot be told."""
        if self.value is None or self.before is None:
            return "–"
        if self.format is Format.PERCENT:
            return f"{_signed((self.value - self.before) * 100)} points"
        if self.before == 0:
            return "–"
        return f"{_signed((self.value - self.before) * 100 / abs(self.before))} %"


@dataclass(frozen=True)
class Picture:
    """A chart to show in a mail.

    Attributes:
        title: What it shows, with the currency of amounts.
        description: The same for who cannot see it.
        png: The picture, 2 pixels per point.
        width: Points.
        height: Points.
    """

    title: str
    description: str
    png: bytes
    width: int
    height: int


def headlines(query: Query, day: dt.date) -> list[Headline]:
    """The numbers of one business day that are worth a mail: one per number card with `digest`, and per currency.

    Args:
        query: Asks the warehouse.
        day: The business day.
    """
    cards = [card for card in _digest_cards() if not card.dimensions]
    before = day - dt.timedelta(days=7)
    parts = [
        f"select {number} as card, '{measure.name}' as measure, date '{on}' as business_day, "
        f"cast({card.group_by[0] if card.group_by else 'null'} as varchar) as currency, "
        f"cast({measure.name} as decimal(38, 8)) as figure\nfrom (\n{card.sql(_on(on))}\n) as card_{number}"
        for number, card in enumerate(cards)
        for on in (day, before)
        for measure in card.measures
    ]
    rows = query("\nunion all\n".join(parts)).to_pylist() if parts else []
    found = {(row["card"], row["measure"], row["currency"], row["business_day"]): row["figure"] for row in rows}
    currencies = sorted({row["currency"] for row in rows if row["currency"] is not None})
    result = []
    for number, card in enumerate(cards):
        for measure in card.measures:
            for currency_code in currencies if card.group_by else [None]:
                value, other = (found.get((number, measure.name, currency_code, on)) for on in (day, before))
                result.append(Headline(measure.label, measure.format, currency_code, value, other))
    return result


def pictures(query: Query, day: dt.date) -> list[Picture]:
    """The charts that are worth a mail: one per other card with `digest`, and per currency, of four weeks to `day`.

    Args:
        query: Asks the warehouse.
        day: The last business day shown.
    """
    return []


def _digest_cards() -> list[Card]:
    return [card for dashboard in load_dashboards() for card in dashboard.cards if card.in_digest]


def shown(value: Decimal | None, form: Format, currency: str | None = None) -> str:
    """A number as people read it."""
    if value is None:
        return "–"
    if form is Format.MONEY:
        return f"{value:,.2f} {currency}" if currency else f"{value:,.2f}"
    if form is Format.PERCENT:
        return f"{value * 100:.1f} %"
    if form is Format.DAYS:
        return f"{value:,.1f} days"
    if form is Format.SECONDS:
        return f"{value:,.1f} s"
    return f"{value:,.0f}"


def _on(day: dt.date) -> Callable[[Filter, str], str]:
    return lambda each, column: f"and {column} = date '{day}'" if each.is_period else ""


def _signed(number: Decimal) -> str:
    return f"{number:+.1f}".replace("-", "−")
