"""Whether the columns that dashboards name exist, as the models' contracts have them. Asks no warehouse."""

from collections.abc import Mapping, Sequence

from oms_pipeline.dashboards.data import columns_of
from oms_pipeline.dashboards.definition import Dashboard, Dataset
from oms_pipeline.dashboards.sources import known_columns, parsed, told
from oms_pipeline.errors import DashboardError


def check_columns(dashboards: Sequence[Dashboard]) -> None:
    """Reads every data set's SQL.

    Raises:
        DashboardError: It names a column that its marts do not have, or lacks one that cards need, or has it of a type
            that cannot be added up, or compared with a day.
    """
    for dashboard in dashboards:
        for dataset in dashboard.datasets:
            try:
                _check(dashboard, dataset)
            except DashboardError as error:
                raise DashboardError(f"{dashboard.path.name}: datasets {dataset.name}: {error}.") from None


def _check(dashboard: Dashboard, dataset: Dataset) -> None:
    found = _selected(dataset)
    kept, added = columns_of(dashboard, dataset)
    for column in (*kept, *added):
        if column not in found:
            raise DashboardError(f"its sql gives no {column}, which filters or cards need. Select it")
    for column in added:
        if found[column] in ("text", "boolean"):
            raise DashboardError(f"{column} is {found[column]}, and a measure adds it up. Make it a number")
    period = dataset.filters.get("period")
    if period is not None and found[period] not in ("date", "unknown"):
        raise DashboardError(
            f"{period} is {found[period]}, and the filter period compares it with days. Make it a date"
        )


def _selected(dataset: Dataset) -> Mapping[str, str]:
    """Column → `text`, `boolean`, `date`, or another type's name; `unknown` where it cannot be told from the SQL."""
    from sqlglot import exp
    from sqlglot.errors import SqlglotError
    from sqlglot.optimizer.annotate_types import annotate_types
    from sqlglot.optimizer.qualify import qualify

    schema = dict(known_columns())
    try:
        query = qualify(parsed(dataset.sql), schema=schema, dialect="duckdb")
    except SqlglotError as error:
        raise DashboardError(
            f"{told(error)}. Its marts' .yml files list their columns, personal ones are not shown"
        ) from None

    def kind(column: exp.Expr) -> str:
        if column.is_type(*exp.DataType.TEXT_TYPES):
            return "text"
        return column.type.sql(dialect="duckdb").lower() if column.type is not None else "unknown"

    return {column.alias_or_name: kind(column) for column in annotate_types(query, schema=schema).selects}
