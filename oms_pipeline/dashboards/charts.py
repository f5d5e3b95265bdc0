"""Cards as Vega-Lite specifications, the same for the page and for pictures. Holds no data.

Whoever draws one hands over rows with the fields `x`, `series`, `value`, `text` (the value as people read it) and, for
heat maps, `y` and `share` (from 0 to 1, the cell's colour).
"""

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Final

from oms_pipeline.dashboards.definition import Card, Chart, Format

SCHEMA: Final = "https://vega.github.io/schema/vega-lite/v6.json"
VEGA_LITE: Final = "6.4"
FONT: Final = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
SERIES: Final = 8
SHADES: Final = 7

PAGE_COLOURS: Final[Mapping[str, str]] = {
    name: f"var(--{name})"
    for name in (
        "text", "muted", "line", "surface", "target", "strong-text",
        *(f"series-{number}" for number in range(1, SERIES + 1)),
        *(f"shade-{number}" for number in range(1, SHADES + 1)),
    )
}  # fmt: skip
"""By the page's own variables: what is drawn follows light, dark and print without being drawn again."""


class Axis(StrEnum):
    """What the values of a dimension are."""

    DAYS = "days"
    MONTHS = "months"
    VALUES = "values"


_STYLE: Final = Path(__file__).parent / "page.css"
_COLOUR: Final = re.compile(r"--([a-z0-9-]+): (#[0-9a-f]{6})\b")
_MONTH: Final = re.compile(r"\d{4}-\d\d-01")
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")
_TIME: Final = {
    Axis.DAYS: {
        "timeUnit": "utcyearmonthdate",
        "axis": {"format": "%-d %b", "labelOverlap": True, "labelSeparation": 12, "tickCount": 8},
    },
    Axis.MONTHS: {"timeUnit": "utcyearmonth", "axis": {"format": "%b %Y", "labelOverlap": True}},
}
_SHORT: Final = (
    "abs(datum.value) < 1000 ? format(datum.value, '~f') : upper(replace(format(datum.value, '~s'), 'G', 'B'))"
)


def axis_of(values: Sequence[Any]) -> Axis:
    """What the values of a dimension are, told from themselves: ISO dates are days, or months if all are a first."""
    texts = [value for value in values if value is not None]
    if not texts or not all(isinstance(text, str) and _DAY.fullmatch(text) for text in texts):
        return Axis.VALUES
    return Axis.MONTHS if len(set(texts)) > 1 and all(_MONTH.fullmatch(text) for text in texts) else Axis.DAYS


@cache
def light_colours() -> Mapping[str, str]:
    """The page's light colours themselves, for pictures: the style sheet names them first."""
    found: dict[str, str] = {}
    for name, colour in _COLOUR.findall(_STYLE.read_text(encoding="utf-8")):
        found.setdefault(name, colour)
    return {name: found[name] for name in PAGE_COLOURS}


def chart_spec(card: Card, axis: Axis, colours: Mapping[str, str] = PAGE_COLOURS) -> dict[str, Any]:
    """The specification of a card that is drawn; numbers and tables are none.

    Args:
        card: The card.
        axis: What the values of its first dimension are.
        colours: Colour by name, as in `PAGE_COLOURS`.
    """
    if card.chart is Chart.HEATMAP:
        layers, encoding = _heatmap(colours)
    elif card.chart is Chart.RANKING:
        layers, encoding = _ranking(card, colours)
    else:
        layers, encoding = _over(card, axis, colours)
    return {
        "$schema": SCHEMA,
        "width": "container",
        "height": "container",
        "autosize": {"type": "fit", "contains": "padding"},
        "padding": 2,
        "layer": [{"encoding": encoding, "layer": layers}, *_target(card, colours)],
        "config": _config(colours),
    }


def _over(card: Card, axis: Axis, colours: Mapping[str, str]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Lines, areas and columns along the first dimension."""
    has_series = len(card.dimensions) > 1 or len(card.measures) > 1
    stacked = card.chart in (Chart.AREA, Chart.STACKED_BAR)
    encoding: dict[str, Any] = {
        "x": _x(card, axis),
        "y": {
            "field": "value",
            "type": "quantitative",
            "title": None,
            "axis": _value_axis(card.measures[0].format),
            "stack": "zero" if stacked else None,
            "scale": {"zero": card.chart is not Chart.LINE, "nice": True},
        },
        "tooltip": [
            {"field": "label", "type": "nominal", "title": _titled(card.dimensions[0])},
            *([{"field": "series", "type": "nominal", "title": "Series"}] if has_series else []),
            {
                "field": "text",
                "type": "nominal",
                "title": card.measures[0].label if len(card.measures) == 1 else "Value",
            },
        ],
    }
    if has_series:
        encoding["color"] = {
            "field": "series",
            "type": "nominal",
            "title": None,
            "sort": None,
            "scale": {"range": [colours[f"series-{number}"] for number in range(1, SERIES + 1)]},
        }
        if stacked:
            encoding["order"] = {"field": "position", "type": "quantitative"}
    first = {} if has_series else {"color": colours["series-1"]}
    if card.chart is Chart.LINE:
        near = {
            "select": {"type": "point", "nearest": True, "on": "pointerover", "clear": "pointerout"},
            "name": "near",
        }
        layers: list[dict[str, Any]] = [
            {"mark": {"type": "line", "interpolate": "monotone", "strokeWidth": 2, **first}},
            {
                "params": [near],
                "mark": {"type": "point", "filled": True, "size": 60, **first},
                "encoding": {"opacity": {"condition": {"param": "near", "empty": False, "value": 1}, "value": 0}},
            },
        ]
    elif card.chart is Chart.AREA:
        layers = [{"mark": {"type": "area", "interpolate": "monotone", "opacity": 0.85, "line": False, **first}}]
    else:
        layers = [{"mark": {"type": "bar", "cornerRadiusEnd": 0 if stacked else 2, **first}}]
    return layers, encoding


def _target(card: Card, colours: Mapping[str, str]) -> list[dict[str, Any]]:
    if card.target is None:
        return []
    told = f"Target {card.target:.0%}" if card.measures[0].format is Format.PERCENT else f"Target {card.target:g}"
    mark = {"type": "rule", "strokeDash": [4, 4], "strokeWidth": 1.5, "color": colours["target"], "tooltip": told}
    return [{"mark": mark, "encoding": {"y": {"datum": card.target}}}]


def _x(card: Card, axis: Axis) -> dict[str, Any]:
    if axis is Axis.VALUES:
        return {"field": "x", "type": "nominal", "sort": None, "title": None, "axis": {"labelAngle": 0}}
    time = {"field": "x", "type": "temporal", "title": None, "scale": {"type": "utc"}, **_TIME[axis]}
    if card.chart in (Chart.LINE, Chart.AREA):
        del time["timeUnit"]
        return time
    # A column stands over the middle of its day, and so does the day's name, only on an axis of bands.
    return {**time, "type": "ordinal", "scale": {"type": "band"}}


def _ranking(card: Card, colours: Mapping[str, str]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Bars across, each with its number behind it."""
    measure = card.measures[0]
    encoding: dict[str, Any] = {
        "y": {
            "field": "x",
            "type": "nominal",
            "sort": None,
            "title": None,
            "axis": {"labelLimit": 150, "labelPadding": 6},
        },
        "x": {
            "field": "value",
            "type": "quantitative",
            "title": None,
            "axis": None,
            "scale": {"zero": True, "nice": False, "padding": 0},
        },
        "tooltip": [
            {"field": "label", "type": "nominal", "title": _titled(card.dimensions[0])},
            {"field": "text", "type": "nominal", "title": measure.label},
        ],
    }
    layers: list[dict[str, Any]] = [
        {"mark": {"type": "bar", "cornerRadiusEnd": 3, "color": colours["series-1"], "height": {"band": 0.62}}},
        {
            "mark": {"type": "text", "align": "left", "dx": 6, "color": colours["muted"], "fontSize": 11},
            "encoding": {"text": {"field": "short"}},
        },
    ]
    return layers, encoding


def _heatmap(colours: Mapping[str, str]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """A cell per pair of values, its number in it."""
    encoding: dict[str, Any] = {
        "y": {"field": "y", "type": "ordinal", "sort": None, "title": None},
        "x": {
            "field": "x",
            "type": "ordinal",
            "title": "Months since first order",
            "axis": {"orient": "top", "labelAngle": 0},
        },
        "tooltip": [
            {"field": "y", "type": "nominal", "title": "Cohort"},
            {"field": "x", "type": "nominal", "title": "Months since first order"},
            {"field": "text", "type": "nominal", "title": "Value"},
        ],
    }
    shade = {
        "field": "share",
        "type": "quantitative",
        "legend": None,
        "scale": {
            "type": "quantize",
            "domain": [0, 1],
            "range": [colours[f"shade-{number}"] for number in range(1, SHADES + 1)],
        },
    }
    text_colour = {
        "condition": {"test": "datum.share > 0.57", "value": colours["strong-text"]},
        "value": colours["text"],
    }
    layers: list[dict[str, Any]] = [
        {
            "mark": {"type": "rect", "stroke": colours["surface"], "strokeWidth": 2, "cornerRadius": 4},
            "encoding": {"color": shade},
        },
        {
            "mark": {"type": "text", "fontSize": 11},
            "encoding": {"text": {"field": "short"}, "color": text_colour},
        },
    ]
    return layers, encoding


def _value_axis(form: Format) -> dict[str, Any]:
    if form is Format.PERCENT:
        return {"format": "~%", "tickCount": 5}
    return {"labelExpr": _SHORT, "tickCount": 5}


def _titled(column: str) -> str:
    return column.replace("_", " ").capitalize()


def _config(colours: Mapping[str, str]) -> dict[str, Any]:
    return {
        "background": "transparent",
        "font": FONT,
        "view": {"stroke": None},
        "axis": {
            "domain": False,
            "ticks": False,
            "gridColor": colours["line"],
            "labelColor": colours["muted"],
            "titleColor": colours["muted"],
            "titleFontWeight": "normal",
            "labelFontSize": 11,
            "titleFontSize": 11,
            "labelPadding": 6,
        },
        "axisX": {"grid": False},
        "legend": {
            "orient": "top",
            "labelColor": colours["text"],
            "labelFontSize": 12,
            "symbolType": "circle",
            "symbolStrokeWidth": 0,
            "offset": 8,
        },
    }
