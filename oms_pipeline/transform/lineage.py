"""Column lineage of dbt models, read out of their compiled SQL. Executes nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg


def column_lineage(
    node: Mapping[str, Any], compiled: str, columns: Mapping[str, Sequence[str]], dialect: str
) -> dg.TableColumnLineage | None:
    """The lineage of one model's columns.

    Args:
        node: The model, from dbt's manifest.
        compiled: Its SQL as it ran.
        columns: Relation (`schema.name`) → column names, of the model and of what it reads.
        dialect: The warehouse's SQL dialect.

    Returns:
        For each column the columns it is made of; None where the SQL cannot be read.
    """
    from sqlglot import exp, parse_one
    from sqlglot.errors import SqlglotError
    from sqlglot.lineage import lineage
    from sqlglot.schema import MappingSchema

    schema: dict[str, dict[str, dict[str, str]]] = {}
    for relation, names in columns.items():
        layer, table_name = relation.split(".")
        schema.setdefault(layer, {})[table_name] = dict.fromkeys(names, "unknown")
    source = next((uid.split(".")[-1] for uid in node["depends_on"]["nodes"] if uid.startswith("source.")), None)
    made_of: dict[str, list[dg.TableColumnDep]] = {}
    try:
        tree = parse_one(compiled, dialect=dialect)
        if source is not None:
            # Staging reads the window's files by name; what it reads is the external table.
            for files in [query for query in tree.find_all(exp.Subquery) if query.alias == "landed"]:
                files.replace(exp.alias_(exp.to_table(f"external.{source}"), "landed", table=True))
        # All columns in one pass: asking for one after the other reads the SQL anew each time.
        nodes = lineage(None, tree, MappingSchema(schema, dialect=dialect), dialect=dialect, trim_selects=False)
        for column in columns[f"{node['schema']}.{node['name']}"]:
            deps = set()
            for leaf in nodes[column].walk():
                table = leaf.expression.find(exp.Table)
                if not leaf.downstream and table is not None and table.db:
                    deps.add((table.db, table.name, exp.to_column(leaf.name).name))
            made_of[column] = [dg.TableColumnDep(dg.AssetKey([layer, name]), dep) for layer, name, dep in sorted(deps)]
    except (SqlglotError, ValueError, KeyError):
        return None
    return dg.TableColumnLineage(made_of)
