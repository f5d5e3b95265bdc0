"""Reads what the cards of a dashboard need, in a size that history does not change."""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa

from oms_pipeline.dashboards.definition import REPORT_DAYS, Chart, Dashboard, Dataset
from oms_pipeline.errors import DashboardError

Query = Callable[[str], pa.Table]
"""Runs one SELECT; names in lower case."""

MAX_ROWS: Final = 20_000
"""Rows of one data set at most: a megabyte. Of more, whole days are left out, the oldest first; where there are no
days, the last rows in the order of a card that lists them."""

_FLOAT_SCALE: Final = 3

NEWEST: Final = "select max(last_day) as through, max(finished_at) as loaded_at from ops.pipeline_runs"
MAIN_CURRENCY: Final = (
    "select currency from marts.daily_sales group by currency order by sum(orders) desc, currency limit 1"
)


@dataclass(frozen=True)
class Scope:
    """Up to when the data goes.

    Attributes:
        through: The newest day that is loaded.
        loaded_at: When it was, UTC.
        currency: The currency of most orders; None before the first one.
    """

    through: dt.date
    loaded_at: dt.datetime
    currency: str | None


@dataclass(frozen=True)
class Rows:
    """The rows of one data set: filter columns and dimensions as they are, measures' columns added up.

    Attributes:
        dataset: Which.
        table: The rows.
        first: The first day they hold, if a filter is by day.
        is_cut: Whether rows were left out because there were too many.
    """

    dataset: Dataset
    table: pa.Table
    first: dt.date | None
    is_cut: bool


def read_scope(query: Query) -> Scope:
    """Up to when the data goes.

    Raises:
        DashboardError: Nothing has been loaded yet.
    """
    newest = query(NEWEST).to_pylist()
    if not newest or newest[0]["through"] is None:
        raise DashboardError("No run has recorded itself in ops.pipeline_runs yet. Load a day first: oms run --day D")
    currencies = query(MAIN_CURRENCY).to_pylist()
    return Scope(**newest[0], currency=currencies[0]["currency"] if currencies else None)


def read_rows(dashboard: Dashboard, query: Query, through: dt.date) -> dict[str, Rows]:
    """The rows of every data set of a dashboard, by its name.

    Args:
        dashboard: Which.
        query: Asks the warehouse.
        through: The last day to read.
    """
    return {dataset.name: _bounded(dashboard, dataset, query, through) for dataset in dashboard.datasets}


def columns_of(dashboard: Dashboard, dataset: Dataset) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The columns to group a data set by, and those to add up, so that each of its cards can be made from them."""
    cards = [card for card in dashboard.cards if card.dataset is dataset]
    kept = [column for column in dataset.filters.values() if column is not None]
    kept += [column for card in cards for column in card.dimensions]
    measures = [measure for card in cards for measure in card.measures]
    added = [column for measure in measures for column in (measure.numerator, measure.denominator) if column]
    return tuple(dict.fromkeys(kept)), tuple(dict.fromkeys(added))


def rows_sql(dashboard: Dashboard, dataset: Dataset, through: dt.date) -> str:
    """One SELECT: the rows of a data set of the last `REPORT_DAYS` days, first those to keep where there are many."""
    kept, added = columns_of(dashboard, dataset)
    period = dataset.filters.get("period")
    rows = "\n".join(f"    {line}".rstrip() for line in dataset.sql.splitlines())
    sums = [f"sum({column}) as {column}" for column in added]
    sql = f"select {', '.join([*kept, *sums])}\nfrom (\n{rows}\n) as {dataset.name}"
    if period is not None:
        first = through - dt.timedelta(days=REPORT_DAYS - 1)
        sql += f"\nwhere {period} >= date '{first}' and {period} <= date '{through}'"
    if kept:
        first_ones = [f"{period} desc"] if period else _as_listed(dashboard, dataset)
        order = [*first_ones, *(column for column in kept if column != period)]
        sql += f"\ngroup by {', '.join(kept)}\norder by {', '.join(order)}\nlimit {MAX_ROWS + 1}"
    return sql


def encoded(rows: Rows, added: Sequence[str]) -> dict[str, Any]:
    """Rows as JSON holds them, column by column: distinct values and their positions; exact numbers as integers.

    An amount of 12.34 is the integer 1234 of scale 2: a browser adds up integers without an error, but no fractions.
    """
    columns: dict[str, Any] = {}
    for name in rows.table.column_names:
        values = rows.table[name].to_pylist()
        if name in added:
            scale = _scale(rows.table.schema.field(name).type)
            columns[name] = {"scale": scale, "values": [_scaled(value, scale) for value in values]}
        else:
            texts = [_text(value) for value in values]
            distinct = sorted(set(texts) - {None}) + ([None] if None in texts else [])
            position = {text: number for number, text in enumerate(distinct)}
            columns[name] = {"distinct": distinct, "codes": [position[text] for text in texts]}
    return {"count": rows.table.num_rows, "columns": columns}


def _bounded(dashboard: Dashboard, dataset: Dataset, query: Query, through: dt.date) -> Rows:
    table = query(rows_sql(dashboard, dataset, through))
    period = dataset.filters.get("period")
    if period is None:
        return Rows(dataset, table.slice(0, MAX_ROWS), None, is_cut=table.num_rows > MAX_ROWS)
    first = through - dt.timedelta(days=REPORT_DAYS - 1)
    if table.num_rows <= MAX_ROWS:
        return Rows(dataset, table, first, is_cut=False)
    # The oldest day that was reached may not be whole.
    days: list[dt.date] = table[period].to_pylist()  # type: ignore[assignment]
    oldest = days[MAX_ROWS]
    return Rows(dataset, table.slice(0, days.index(oldest)), oldest + dt.timedelta(days=1), is_cut=True)


def _as_listed(dashboard: Dashboard, dataset: Dataset) -> list[str]:
    """The order of the first card that lists the data set by the size of a sum; of none if there is none."""
    for card in dashboard.cards:
        is_list = card.chart in (Chart.RANKING, Chart.TABLE) and not card.newest_first
        if card.dataset is dataset and is_list and card.measures[0].denominator is None:
            return [f"{card.measures[0].numerator} desc nulls last"]
    return []


def _scale(kind: pa.DataType) -> int:
    if pa.types.is_decimal(kind):
        return int(kind.scale)
    return _FLOAT_SCALE if pa.types.is_floating(kind) else 0


def _scaled(value: Any, scale: int) -> int | None:
    return None if value is None else int((Decimal(str(value)) * 10**scale).to_integral_value())


def _text(value: Any) -> Any:
    """Days as ISO dates, instants to the second; numbers and texts as they are."""
    if isinstance(value, dt.datetime):
        return value.isoformat(" ", timespec="seconds")
    return value.isoformat() if isinstance(value, dt.date) else value
