"""Column lineage of dbt models, read out of their compiled SQL. Executes nothing."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg


class KnownLineage:
    """Lineage that was read before: reading SQL costs a second a day, and only a change of the project changes it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, dict[str, list[list[str]]] | None]
        self._known = json.loads(path.read_text()) if path.exists() else {}
        self._grown = False

    def get(self, model: str, read: Callable[[], dg.TableColumnLineage | None]) -> dg.TableColumnLineage | None:
        """The lineage of a model, by its unique id; `read` reads it the first time."""
        if model not in self._known:
            self._known[model] = _written(read())
            self._grown = True
        known = self._known[model]
        if known is None:
            return None
        return dg.TableColumnLineage(
            {
                column: [dg.TableColumnDep(dg.AssetKey(key), name) for *key, name in deps]
                for column, deps in known.items()
            }
        )

    def save(self) -> None:
        """Writes it down for the next run, whole or not at all."""
        if self._grown:
            draft = self._path.with_suffix(f".{os.getpid()}")
            draft.write_text(json.dumps(self._known))
            draft.replace(self._path)


def _written(lineage: dg.TableColumnLineage | None) -> dict[str, list[list[str]]] | None:
    if lineage is None:
        return None
    return {
        column: [[*dep.asset_key.path, dep.column_name] for dep in deps]
        for column, deps in lineage.deps_by_column.items()
    }


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
