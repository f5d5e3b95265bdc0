"""What the daily mail takes from the dashboards: their headline numbers and key charts. Sends nothing."""

import base64
import datetime as dt
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from oms_pipeline.dashboards.charts import VEGA_LITE, Axis, axis_of, chart_spec, light_colours
from oms_pipeline.dashboards.data import MAIN_CURRENCY, Query
from oms_pipeline.dashboards.definition import Card, Chart, Filter, Format, load_dashboards

DAYS: Final = 28
WIDTH: Final = 600
HEIGHT: Final = 200
_CODE: Final = re.compile(r"[a-z]+([_ ][a-z]+)*")
_NO_MINOR_UNIT: Final = re.compile("BIF|CLP|DJF|GNF|ISK|JPY|KMF|KRW|PYG|RWF|UGX|UYI|VND|VUV|XAF|XOF|XPF")
"""Currencies without cents, by ISO 4217."""
_THOUSANDTHS: Final = re.compile("BHD|IQD|JOD|KWD|LYD|OMR|TND")
"""Currencies whose smallest coin is a thousandth, by ISO 4217."""


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
    """The charts that are worth a mail: one per other card with `digest`, of four weeks; amounts in the main currency.

    Args:
        query: Asks the warehouse.
        day: The last business day shown.
    """
    import vl_convert

    return [
        Picture(
            title=_title(card, currency),
            description=f"{card.question} {DAYS} days up to {day}.",
            png=vl_convert.vegalite_to_png(spec, vl_version=VEGA_LITE, scale=2),
            width=WIDTH,
            height=HEIGHT,
        )
        for card, currency, spec in _drawn(query, day, [card for card in _digest_cards() if card.dimensions])
    ]


def preview(query: Query, day: dt.date) -> str:
    """The first of the pictures as bars, a Markdown image with the picture in it; empty where there is none.

    Drawn by hand: to start the charts' library for so little would take most of the time a run has for dashboards.
    """
    for card in [card for card in _digest_cards() if card.dimensions][:1]:
        currency, rows = _answer(query, day, card)
        totals: dict[str, float] = {}
        for point in _points(card, rows):
            totals[point["x"]] = totals.get(point["x"], 0.0) + point["value"]
        highest = max(totals.values(), default=0.0)
        if highest <= 0:
            return ""
        wide, high = WIDTH / DAYS, HEIGHT / 2
        days = [str(day - dt.timedelta(days=back)) for back in reversed(range(DAYS))]
        bars = "".join(
            f'<rect x="{number * wide + 1:.1f}" y="{high - high * max(total, 0) / highest:.1f}" width="{wide - 2:.1f}" '
            f'height="{high * max(total, 0) / highest:.1f}" rx="2" fill="{light_colours()["series-1"]}"/>'
            for number, total in enumerate(totals.get(each, 0.0) for each in days)
        )
        svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {high:.0f}" width="{WIDTH}">{bars}</svg>'
        title = _title(card, currency)
        return f"![{title}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})\n\n{title}"
    return ""


def _answer(query: Query, day: dt.date, card: Card) -> tuple[str, list[dict[str, Any]]]:
    """The main currency, and the card's rows of four weeks in it."""
    currencies = query(MAIN_CURRENCY).to_pylist()
    currency = str(currencies[0]["currency"]) if currencies else ""
    first = day - dt.timedelta(days=DAYS - 1)

    def clause(each: Filter, column: str) -> str:
        if each.is_period:
            return f"and {column} >= date '{first}' and {column} <= date '{day}'"
        return f"and {column} = '{currency}'" if each.name == "currency" else ""

    return currency, query(card.sql(clause)).to_pylist()


def _drawn(query: Query, day: dt.date, cards: Sequence[Card]) -> Iterator[tuple[Card, str, dict[str, Any]]]:
    """Each card with the currency of its amounts and its specification, rows included."""
    for card in cards:
        currency, answer = _answer(query, day, card)
        rows = _points(card, answer)
        axis = axis_of([row["x"] for row in rows])
        yield (
            card,
            currency,
            {
                **chart_spec(card, axis, light_colours()),
                "width": WIDTH,
                "height": HEIGHT,
                "background": light_colours()["surface"],
                "data": {"values": rows},
            },
        )


def _points(card: Card, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows as a specification draws them: one per group and measure, and per day that has none where they are sums."""
    second = card.dimensions[1] if len(card.dimensions) > 1 else None
    series = sorted({_named(row[second]) for row in rows}) if second else [measure.label for measure in card.measures]
    points = []
    for row in rows:
        for number, measure in enumerate(card.measures):
            if row[measure.name] is not None:
                name = _named(row[second]) if second else measure.label
                points.append(
                    {
                        "x": str(row[card.dimensions[0]]),
                        "series": name,
                        "position": series.index(name) if second else number,
                        "value": float(row[measure.name]),
                    }
                )
    sums = all(measure.denominator is None for measure in card.measures)
    if sums and len(card.measures) == 1 and card.chart in (Chart.AREA, Chart.BAR, Chart.STACKED_BAR):
        return _without_gaps(points, series)
    return points


def _without_gaps(points: Sequence[dict[str, Any]], series: Sequence[str]) -> list[dict[str, Any]]:
    """The same, as in the page: on a day without a row there is nothing, and not what is between its neighbours."""
    days = [point["x"] for point in points]
    if axis_of(days) is not Axis.DAYS:
        return list(points)
    there = {(point["x"], point["series"]) for point in points}
    first, last = dt.date.fromisoformat(min(days)), dt.date.fromisoformat(max(days))
    missing = [
        {"x": day, "series": name, "position": position, "value": 0.0}
        for day in (str(first + dt.timedelta(days=number)) for number in range((last - first).days + 1))
        for position, name in enumerate(series)
        if (day, name) not in there
    ]
    return sorted([*points, *missing], key=lambda point: (point["x"], point["position"]))


def _title(card: Card, currency: str) -> str:
    """With the currency of amounts; before the first order there is none."""
    return f"{card.title}, {currency}" if card.is_money and currency else card.title


def _named(value: Any) -> str:
    """A code of the OMS, such as `in_store`, as people read it; anything else as it is."""
    text = str(value)
    return text.replace("_", " ").capitalize() if _CODE.fullmatch(text) else text


def _digest_cards() -> list[Card]:
    return [card for dashboard in load_dashboards() for card in dashboard.cards if card.in_digest]


def shown(value: Decimal | None, form: Format, currency: str | None = None) -> str:
    """A number as people read it."""
    if value is None:
        return "–"
    if form is Format.MONEY:
        code = currency or ""
        digits = 0 if _NO_MINOR_UNIT.fullmatch(code) else 3 if _THOUSANDTHS.fullmatch(code) else 2
        return f"{value:,.{digits}f} {currency or ''}".strip()
    if form is Format.PERCENT:
        return f"{value * 100:.1f} %"
    if form is Format.DAYS:
        return f"{value:,.1f} days"
    if form is Format.SECONDS:
        return f"{value:,.1f} s"
    if form is Format.CREDITS:
        return f"{value:,.3f}"
    return f"{value:,.0f}"


def _on(day: dt.date) -> Callable[[Filter, str], str]:
    return lambda each, column: f"and {column} = date '{day}'" if each.is_period else ""


def _signed(number: Decimal) -> str:
    return f"{number:+.1f}".replace("-", "−")
