"""Column lineage of dbt models, read out of their compiled SQL. Executes nothing.

Reading one model costs sqlglot some hundred milliseconds, and its answer changes only with the model's text: answers
are kept on disk under a name made of that text.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg


@dataclass(frozen=True)
class ColumnLineage:
    """Lineage of all models of a manifest, kept in a folder.

    Attributes:
        manifest: dbt's manifest.
        folder: Where answers are kept.
    """

    manifest: Mapping[str, Any]
    folder: Path

    def of(self, unique_id: str, compiled: str, columns: Mapping[str, tuple[str, ...]]) -> dg.TableColumnLineage | None:
        """The lineage of one model's columns.

        Args:
            unique_id: The model.
            compiled: Its SQL as it ran.
            columns: Relation (`schema.name`) → column names, of the model and what it reads.

        Returns:
            For each column the columns it is made of; None where the SQL cannot be read.
        """
        node = self.manifest["nodes"][unique_id]
        kept = self.folder / f"{node['name']}-{self._fingerprint(node)}.json"
        if kept.exists():
            found: dict[str, list[tuple[str, str, str]]] = json.loads(kept.read_text())
        else:
            found = _read_lineage(node, compiled, columns, self.manifest["metadata"]["adapter_type"])
            self.folder.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(found))
        if not found:
            return None
        return dg.TableColumnLineage(
            {
                column: [dg.TableColumnDep(dg.AssetKey([layer, table]), name) for layer, table, name in deps]
                for column, deps in found.items()
            }
        )

    def _fingerprint(self, node: Mapping[str, Any]) -> str:
        digest = hashlib.sha256(node["raw_code"].encode())
        for unique_id in node["depends_on"]["macros"]:
            digest.update(self.manifest["macros"][unique_id]["macro_sql"].encode())
        return digest.hexdigest()[:16]


def _read_lineage(
    node: Mapping[str, Any], compiled: str, columns: Mapping[str, tuple[str, ...]], dialect: str
) -> dict[str, list[tuple[str, str, str]]]:
    from sqlglot import exp, parse_one
    from sqlglot.errors import SqlglotError
    from sqlglot.lineage import lineage
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.schema import MappingSchema

    schema: dict[str, dict[str, dict[str, str]]] = {}
    for relation, names in columns.items():
        layer, table = relation.split(".")
        schema.setdefault(layer, {})[table] = dict.fromkeys(names, "unknown")
    source = next((uid.split(".")[-1] for uid in node["depends_on"]["nodes"] if uid.startswith("source.")), None)
    found: dict[str, list[tuple[str, str, str]]] = {}
    try:
        tree = parse_one(compiled, dialect=dialect)
        if source is not None:
            # Staging reads the day's files by name; what it reads is the external table.
            for read in [table for table in tree.find_all(exp.Table) if not table.name or table.name == "read_parquet"]:
                alias = read.alias
                external = exp.to_table(f"external.{source}")
                read.replace(exp.alias_(external, alias, table=True) if alias else external)
        tables = MappingSchema(schema, dialect=dialect)
        qualified = qualify(tree, schema=tables, dialect=dialect, validate_qualify_columns=False)
        sql = qualified.sql(dialect=dialect)
        for column in columns[f"{node['schema']}.{node['name']}"]:
            deps = set()
            for leaf in lineage(column, sql, schema=tables, dialect=dialect).walk():
                table = leaf.expression.find(exp.Table)
                if leaf.downstream or table is None or not table.db:
                    continue
                deps.add((table.db, table.name, exp.to_column(leaf.name).name))
            found[column] = sorted(deps)
    except (SqlglotError, ValueError, KeyError):
        return {}
    return found
