"""What a data set may read, and what its SQL does read. Tells it from texts alone; asks no warehouse."""

import re
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Final

import yaml

from oms_pipeline.dashboards.entry import LOADER
from oms_pipeline.errors import DashboardError
from oms_pipeline.settings import PROJECT_DIR
from oms_pipeline.warehouse import PIPELINE_RUNS, PIPELINE_RUNS_COLUMNS, WAREHOUSE_COST, WAREHOUSE_COST_COLUMNS

if TYPE_CHECKING:
    from sqlglot import exp

MARTS_DIR: Final = PROJECT_DIR / "oms_dbt" / "models" / "marts"
OPS_TABLES: Final[Mapping[str, Mapping[str, str]]] = {
    PIPELINE_RUNS: PIPELINE_RUNS_COLUMNS,
    WAREHOUSE_COST: WAREHOUSE_COST_COLUMNS,
}
"""What the pipeline writes about itself."""

_UNDERLINING: Final = re.compile(r"\x1b\[\d*m")


def known_relations() -> frozenset[str]:
    """What a data set may read: the marts, and what the pipeline writes about itself."""
    return frozenset({f"marts.{path.stem}" for path in MARTS_DIR.glob("*.sql")} | set(OPS_TABLES))


@cache
def known_columns() -> Mapping[str, Mapping[str, Mapping[str, str]]]:
    """Schema → table → column → type, of all that a data set may read; personal columns are left out."""
    known: dict[str, dict[str, Mapping[str, str]]] = {"marts": {}}
    for path in sorted(MARTS_DIR.glob("*.yml")):
        for model in yaml.load(path.read_text(encoding="utf-8"), LOADER)["models"]:  # noqa: S506 (a safe loader)
            known["marts"][model["name"]] = {
                column["name"]: column["data_type"]
                for column in model["columns"]
                if not column.get("config", {}).get("meta", {}).get("pii")
            }
    for relation, columns in OPS_TABLES.items():
        schema, table = relation.split(".")
        known.setdefault(schema, {})[table] = columns
    return known


def parsed(sql: str) -> "exp.Query":
    """The syntax tree of a data set's SQL.

    Raises:
        DashboardError: It is not one SELECT that can stand in parentheses.
    """
    from sqlglot import exp
    from sqlglot.dialects import DuckDB
    from sqlglot.errors import SqlglotError
    from sqlglot.tokens import TokenType

    dialect = DuckDB()
    try:
        tokens = dialect.tokenize(sql)
        statements = dialect.parser().parse(tokens, sql)
    except SqlglotError as error:
        raise DashboardError(f"its sql cannot be read: {told(error)}. Correct it") from None
    # A card puts the text in parentheses: also a semicolon at its end would be one too many.
    is_one = len(statements) == 1 and all(token.token_type is not TokenType.SEMICOLON for token in tokens)
    if not is_one or not isinstance(statements[0], exp.Select | exp.SetOperation):
        raise DashboardError("its sql is to be one SELECT without a semicolon. Take out what else there is")
    return statements[0]


def told(error: Exception) -> str:
    """What sqlglot says of a mistake, on one line and without the underlining it has for terminals."""
    return " ".join(_UNDERLINING.sub("", str(error)).split()).rstrip(".")


def relations_of(sql: str) -> tuple[str, ...]:
    """What a data set's SQL reads, sorted: `schema.table`, and whatever else it has there as it is written.

    Raises:
        DashboardError: It is not one SELECT.
    """
    from sqlglot import exp

    tree = parsed(sql)
    named = {cte.alias_or_name.lower() for cte in tree.find_all(exp.CTE)}
    found = set()
    for table in tree.find_all(exp.Table):
        if not isinstance(table.this, exp.Identifier):
            found.add(table.this.sql(dialect="duckdb"))
        elif table.db or table.name.lower() not in named:
            found.add(".".join(part.name for part in table.parts).lower())
    return tuple(sorted(found))
