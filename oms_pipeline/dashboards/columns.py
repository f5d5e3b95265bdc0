"""Whether the columns that dashboards name exist, as the models' contracts have them. Asks no warehouse."""

from collections.abc import Mapping, Sequence
from functools import cache

import yaml

from oms_pipeline.dashboards.data import columns_of
from oms_pipeline.dashboards.definition import MARTS_DIR, Dashboard, Dataset
from oms_pipeline.dashboards.entry import LOADER
from oms_pipeline.errors import DashboardError
from oms_pipeline.warehouse import PIPELINE_RUNS, PIPELINE_RUNS_COLUMNS


def check_columns(dashboards: Sequence[Dashboard]) -> None:
    """Reads every data set's SQL.

    Raises:
        DashboardError: It is no SQL, names a column that its marts do not have, or lacks one that cards need.
    """
    for dashboard in dashboards:
        for dataset in dashboard.datasets:
            where = f"{dashboard.path.name}: datasets {dataset.name}"
            found = _selected(dataset, where)
            kept, added = columns_of(dashboard, dataset)
            for column in (*kept, *added):
                if column not in found:
                    raise DashboardError(f"{where}: its sql gives no {column}, which filters or cards need. Select it.")


@cache
def known_columns() -> Mapping[str, Mapping[str, Mapping[str, str]]]:
    """Schema → table → column → type, of all that a data set may read; personal columns are left out."""
    marts = {}
    for path in sorted(MARTS_DIR.glob("*.yml")):
        for model in yaml.load(path.read_text(encoding="utf-8"), LOADER)["models"]:  # noqa: S506 (a safe loader)
            marts[model["name"]] = {
                column["name"]: column["data_type"]
                for column in model["columns"]
                if not column.get("config", {}).get("meta", {}).get("pii")
            }
    schema, table = PIPELINE_RUNS.split(".")
    return {"marts": marts, schema: {table: PIPELINE_RUNS_COLUMNS}}


def _selected(dataset: Dataset, where: str) -> list[str]:
    from sqlglot import parse_one
    from sqlglot.errors import SqlglotError
    from sqlglot.optimizer.qualify import qualify

    try:
        query = qualify(parse_one(dataset.sql, dialect="duckdb"), schema=dict(known_columns()), dialect="duckdb")
    except SqlglotError as error:
        why = " ".join(str(error).split())
        raise DashboardError(
            f"{where}: {why}. Its marts' .yml files list their columns, personal ones are not shown."
        ) from None
    return [str(name) for name in query.named_selects]
