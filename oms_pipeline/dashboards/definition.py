"""Dashboards as written in the YAML files of this folder: data sets, measures, cards. Reads no data, draws nothing.

One file is one dashboard. Its data sets are plain SELECTs over marts that run unchanged on DuckDB, PostgreSQL and
Snowflake, at the finest grain its filters need; a card adds them up. So whoever draws a card can filter first and add
up afterwards, in a page or in SQL, and a ratio is always a ratio of sums.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, cached_property
from pathlib import Path
from typing import Final

from oms_pipeline.dashboards.entry import Entry
from oms_pipeline.dashboards.grid import Place
from oms_pipeline.dashboards.sources import known_relations, relations_of
from oms_pipeline.errors import DashboardError

DASHBOARDS_DIR: Final = Path(__file__).parent
REPORT_DAYS: Final = 91
"""Thirteen weeks: what the local report holds of a data set with days."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")


class Format(StrEnum):
    """How a number reads."""

    MONEY = "money"
    """An amount in the row's currency; never added up across currencies."""
    COUNT = "count"
    """A whole number."""
    PERCENT = "percent"
    """A share from 0 to 1."""
    DAYS = "days"
    SECONDS = "seconds"
    CREDITS = "credits"
    """What Snowflake bills."""


class Chart(StrEnum):
    """How a card is drawn. The first dimension is along the axis, the second tells the series apart."""

    NUMBER = "number"
    """One number per measure."""
    LINE = "line"
    AREA = "area"
    """Stacked over time."""
    BAR = "bar"
    """A column per value of the dimension, in its order."""
    STACKED_BAR = "stacked_bar"
    RANKING = "ranking"
    """A bar per value of the dimension, the longest first."""
    TABLE = "table"
    """A row per group, the largest first."""
    HEATMAP = "heatmap"
    """The first dimension down, the second across, the measure as colour."""


_DIMENSIONS_OF: Final[Mapping[Chart, tuple[int, int]]] = {
    Chart.NUMBER: (0, 0),
    Chart.LINE: (1, 2),
    Chart.AREA: (1, 2),
    Chart.BAR: (1, 1),
    Chart.STACKED_BAR: (2, 2),
    Chart.RANKING: (1, 1),
    Chart.TABLE: (1, 9),
    Chart.HEATMAP: (2, 2),
}


@dataclass(frozen=True)
class Filter:
    """What a reader can choose.

    Attributes:
        name: By which data sets map it to a column.
        label: As people read it.
        is_period: A range of days; else one value of a column.
        is_required: Always one value, never all: the one with the most rows, until somebody chooses.
    """

    name: str
    label: str
    is_period: bool = False
    is_required: bool = False


FILTERS: Final[Mapping[str, Filter]] = {
    each.name: each
    for each in (
        Filter("period", "Period", is_period=True),
        Filter("store", "Store"),
        Filter("channel", "Channel"),
        Filter("currency", "Currency", is_required=True),
    )
}


@dataclass(frozen=True)
class Measure:
    """A number that is added up: a sum, or a ratio of two sums.

    Attributes:
        name: Its column in a card's SQL.
        label: As people read it.
        numerator: The column that is added up.
        denominator: The column whose sum the other is divided by; None for a plain sum.
        format: How it reads.
        description: What it means, in a sentence.
    """

    name: str
    label: str
    numerator: str
    denominator: str | None
    format: Format
    description: str

    @property
    def sql(self) -> str:
        """The aggregate; a ratio is null unless its denominator is above 0, as in the marts (dbt's macro `ratio`)."""
        if self.denominator is None:
            return f"sum({self.numerator})"
        denominator = f"sum({self.denominator})"
        return f"1.0 * sum({self.numerator}) / case when {denominator} > 0 then {denominator} end"


@dataclass(frozen=True)
class Dataset:
    """Rows that cards add up.

    Attributes:
        name: Unique in its dashboard.
        sql: One SELECT over marts, without filters.
        filters: Filter name → column; None where the filter says nothing about these rows.
        measures: By name.
    """

    name: str
    sql: str
    filters: Mapping[str, str | None]
    measures: Mapping[str, Measure]

    @cached_property
    def relations(self) -> tuple[str, ...]:
        """What it reads, as `schema.table`, sorted."""
        return relations_of(self.sql)


Clause = Callable[[Filter, str], str]
"""Given a filter and the column it is mapped to, the text to add after `where true`, or ""."""


@dataclass(frozen=True)
class Card:
    """One question and its answer.

    Attributes:
        name: Unique in its dashboard, and stable: what was made from the card elsewhere is found by it.
        title: As people read it.
        question: The question it answers.
        dataset: The rows.
        dimensions: Columns to group by, in order; the chart tells what each is for.
        measures: The numbers, in order.
        chart: How it is drawn.
        place: Where it is.
        limit: How many groups to show at most; None for all.
        target: A line to draw at this value; None for none.
        newest_first: Whether a table starts with the last value of its first dimension, not with the largest number.
        in_digest: Whether the daily mail shows it.
    """

    name: str
    title: str
    question: str
    dataset: Dataset
    dimensions: tuple[str, ...]
    measures: tuple[Measure, ...]
    chart: Chart
    place: Place
    limit: int | None
    target: float | None
    newest_first: bool
    in_digest: bool

    @property
    def is_money(self) -> bool:
        """Whether any of its numbers is an amount."""
        return any(measure.format is Format.MONEY for measure in self.measures)

    @property
    def group_by(self) -> tuple[str, ...]:
        """The dimensions; and the currency, where amounts would be added up across currencies without it."""
        currency = self.dataset.filters.get("currency")
        if self.is_money and currency is not None and currency not in self.dimensions:
            return (*self.dimensions, currency)
        return self.dimensions

    def sql(self, clause: Clause = lambda _filter, _column: "") -> str:
        """One SELECT: a column per dimension of `group_by`, then one per measure.

        Args:
            clause: Writes the condition of one filter in the syntax of whoever runs it.
        """
        measures = [f"{measure.sql} as {measure.name}" for measure in self.measures]
        columns = ",\n".join(f"    {column}" for column in [*self.group_by, *measures])
        rows = "\n".join(f"    {line}".rstrip() for line in self.dataset.sql.splitlines())
        sql = f"select\n{columns}\nfrom (\n{rows}\n) as {self.dataset.name}\nwhere true"
        for name, column in self.dataset.filters.items():
            if column is not None and (text := clause(FILTERS[name], column)):
                sql += f"\n    {text}"
        if self.group_by:
            sql += f"\ngroup by {', '.join(self.group_by)}\norder by {', '.join(self._order)}"
        return f"{sql}\nlimit {self.limit}" if self.limit is not None else sql

    @property
    def _order(self) -> tuple[str, ...]:
        if self.newest_first:
            return (f"{self.dimensions[0]} desc", *self.group_by[1:])
        if self.chart in (Chart.RANKING, Chart.TABLE):
            return (f"{self.measures[0].name} desc nulls last", *self.group_by)
        return self.group_by


@dataclass(frozen=True)
class Dashboard:
    """One page of cards.

    Attributes:
        name: The file's name.
        title: As people read it.
        question: The question the whole of it answers.
        filters: What a reader can choose.
        datasets: The rows its cards add up.
        cards: In the file's order.
        path: The file.
    """

    name: str
    title: str
    question: str
    filters: tuple[Filter, ...]
    datasets: tuple[Dataset, ...]
    cards: tuple[Card, ...]
    path: Path

    @cached_property
    def relations(self) -> tuple[str, ...]:
        """What its cards read, as `schema.table`, sorted."""
        return tuple(sorted({relation for dataset in self.datasets for relation in dataset.relations}))


@cache
def load_dashboards(folder: Path = DASHBOARDS_DIR) -> tuple[Dashboard, ...]:
    """Every dashboard, in the order of their `position`.

    Raises:
        DashboardError: A file is wrong; one line that names file, card and remedy.
    """
    entries = [Entry.read(path) for path in sorted(folder.glob("*.yml"))]
    if not entries:
        raise DashboardError(f"{folder} holds no dashboard. Restore its .yml files from version control.")
    known = known_relations()
    ordered = sorted(
        ((entry.number("position"), _dashboard(entry, known)) for entry in entries), key=lambda pair: pair[0]
    )
    return tuple(dashboard for _, dashboard in ordered)


def _dashboard(entry: Entry, known: frozenset[str]) -> Dashboard:
    _check_name(entry, entry.path.stem)
    filters = tuple(FILTERS[entry.one_of(name, FILTERS, "filter")] for name in entry.texts("filters"))
    datasets = {name: _dataset(child, name, filters, known) for name, child in entry.children("datasets").items()}
    cards: list[Card] = []
    for child in entry.items("cards"):
        card = _card(child, datasets)
        for other in cards:
            if card.name == other.name:
                raise child.error("there is another card of this name. Names are unique in a dashboard")
            if card.place.overlaps(other.place):
                raise child.error(f"it overlaps {other.name} on the grid. Move one of them")
        cards.append(card)
    unused = set(datasets) - {card.dataset.name for card in cards}
    if unused:
        raise entry.error(f"no card uses data set {', '.join(sorted(unused))}. Use it or take it out")
    dashboard = Dashboard(
        name=entry.path.stem,
        title=entry.text("title"),
        question=entry.text("question"),
        filters=filters,
        datasets=tuple(datasets.values()),
        cards=tuple(cards),
        path=entry.path,
    )
    entry.finish("position")
    return dashboard


def _dataset(entry: Entry, name: str, filters: tuple[Filter, ...], known: frozenset[str]) -> Dataset:
    _check_name(entry, name)
    mapped = entry.mapping("filters") if filters else {}
    missing = [each.name for each in filters if each.name not in mapped]
    if missing:
        raise entry.error(
            f"filter {missing[0]} has no column. Map it, or write {missing[0]}: null if it says nothing here"
        )
    extra = sorted(set(mapped) - {each.name for each in filters})
    if extra:
        raise entry.error(f"filter {extra[0]} is not among the dashboard's filters. Add it there or take it out here")
    dataset = Dataset(
        name=name,
        sql=entry.text("sql"),
        filters={each.name: mapped[each.name] for each in filters},
        measures={name: _measure(child, name) for name, child in entry.children("measures").items()},
    )
    try:
        relations = dataset.relations
    except DashboardError as error:
        raise entry.error(str(error)) from None
    if not relations:
        raise entry.error("its sql reads no mart. Write: from marts.<mart>")
    for relation in relations:
        if relation not in known:
            raise entry.error(f"there is no {relation}. Known are: {', '.join(sorted(known))}")
    entry.finish()
    return dataset


def _measure(entry: Entry, name: str) -> Measure:
    _check_name(entry, name)
    measure = Measure(
        name=name,
        label=entry.text("label"),
        numerator=entry.text("sum"),
        denominator=entry.optional_text("over"),
        format=Format(entry.one_of(entry.text("format"), [*Format], "format")),
        description=entry.text("description"),
    )
    entry.finish()
    return measure


def _card(entry: Entry, datasets: Mapping[str, Dataset]) -> Card:
    name = entry.text("name")
    entry = entry.called(name)
    _check_name(entry, name)
    dataset = datasets[entry.one_of(entry.text("dataset"), datasets, "data set")]
    chart = Chart(entry.one_of(entry.text("chart"), [*Chart], "chart"))
    dimensions = tuple(entry.texts("dimensions", ()))
    fewest, most = _DIMENSIONS_OF[chart]
    if not fewest <= len(dimensions) <= most:
        wanted = f"{fewest}" if fewest == most else f"{fewest} to {most}"
        raise entry.error(f"a {chart} takes {wanted} dimensions, not {len(dimensions)}")
    measures = tuple(
        dataset.measures[entry.one_of(measure, dataset.measures, "measure")] for measure in entry.texts("measures")
    )
    if not measures:
        raise entry.error("it has no measure. Name one of the data set's")
    if len({measure.format for measure in measures}) > 1 and chart not in (Chart.TABLE, Chart.NUMBER):
        raise entry.error(f"a {chart} has one axis: its measures are all of one format")
    many = chart is Chart.TABLE or (len(dimensions) < 2 and chart in (Chart.NUMBER, Chart.LINE, Chart.AREA))
    if len(measures) > 1 and not many:
        raise entry.error(f"a {chart} with these dimensions takes one measure, not {len(measures)}")
    card = Card(
        name=name,
        title=entry.text("title"),
        question=entry.text("question"),
        dataset=dataset,
        dimensions=dimensions,
        measures=measures,
        chart=chart,
        place=Place.read(entry),
        limit=entry.whole("limit", None),
        target=entry.number("target", None),
        newest_first=entry.flag("newest_first"),
        in_digest=entry.flag("digest"),
    )
    if card.is_money and dataset.filters.get("currency") is None and "currency" not in dimensions:
        raise entry.error(
            "it shows money: map the filter currency, or make currency a dimension. Two currencies have no sum"
        )
    if card.newest_first and chart is not Chart.TABLE:
        raise entry.error(f"newest_first is for tables, not for a {chart}")
    entry.finish()
    return card


def _check_name(entry: Entry, name: str) -> None:
    if _NAME.fullmatch(name) is None:
        raise entry.error(f"'{name}' is no name. Use lower case, digits and _, starting with a letter")
