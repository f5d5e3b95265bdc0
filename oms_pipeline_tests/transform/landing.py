"""A raw zone of rows written down in a test, and a DuckDB file over it that dbt runs on for real."""

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from oms_pipeline.contract import EXTRACTED_AT, load_contract
from oms_pipeline.raw import FolderStore, LandedFile, Manifest, RawZone
from oms_pipeline.transform import DbtProjectFiles, NodeResult, run_dbt
from oms_pipeline.warehouse import DuckDBWarehouse, Purpose

UTC: Final = dt.UTC
Row = dict[str, Any]

# What a column holds where a test says nothing: never null, so that a row keeps the contract by itself.
_FILLERS: Final[dict[str, Any]] = {
    "bigint": 1,
    "integer": 1,
    "text": "x",
    "boolean": False,
    "date": dt.date(2020, 1, 1),
    "timestamptz": dt.datetime(2020, 1, 1, tzinfo=UTC),
}


def instant(text: str) -> dt.datetime:
    """ISO text as an instant, UTC."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=UTC)


class Landing:
    """Lands rows, registers them, runs dbt, reads tables.

    Attributes:
        warehouse: The DuckDB file, named as the project was parsed with: dbt keeps the database's name.
    """

    def __init__(self, folder: Path, project: DbtProjectFiles) -> None:
        self._project = project
        self._root = folder / "raw"
        self._files: dict[dt.date, dict[str, LandedFile]] = {}
        self.warehouse = DuckDBWarehouse(
            folder / "oms.duckdb", RawZone(FolderStore(self._root)), lock_timeout=dt.timedelta(seconds=5)
        )

    def land(
        self,
        day: str,
        extracted_at: str | None = None,
        without: Sequence[str] = (),
        new_columns: Mapping[str, Any] | None = None,
        **tables: Sequence[Row],
    ) -> None:
        """Lands the given rows of a day; a table of the contract that is not given is landed empty.

        Args:
            day: ISO date.
            extracted_at: When the rows were read, UTC; the next midnight unless told.
            without: Columns the files do not have.
            new_columns: Name → value of text columns that the contract does not know.
            tables: Table → rows; columns left out are filled.
        """
        date = dt.date.fromisoformat(day)
        read_at = instant(extracted_at) if extracted_at else instant(day) + dt.timedelta(days=1)
        self._files[date] = {
            name: self._write(date, name, tables.get(name, ()), read_at, without, new_columns or {})
            for name in load_contract()
        }

    def forget(self, day: str, table: str) -> None:
        """Takes one table's file out of a landed day."""
        del self._files[dt.date.fromisoformat(day)][table]

    def run(
        self, first: str, last: str | None = None, *, models: Sequence[str], full_refresh: bool = False
    ) -> list[NodeResult]:
        """Builds and tests models for the window from `first` to `last`, both included, in one transaction.

        Raises:
            TransformError: dbt refused the run.
        """
        end = dt.date.fromisoformat(last or first) + dt.timedelta(days=1)
        window = {"OMS_WINDOW_FROM": first, "OMS_WINDOW_TO": end.isoformat()}
        command = ["build", "--exclude", "tag:weekly", "test_type:unit", "--select", *models]
        if full_refresh:
            command.append("--full-refresh")
        with self.warehouse.open(Purpose("test")) as session:
            session.register([self._manifest(day) for day in self._files], load_contract())
            with session.transaction():
                results = run_dbt(self._project, command, {**self.warehouse.dbt_environment(), **window})
                left = session.query("select table_name from duckdb_tables() where temporary").to_pylist()
        assert not left, f"temporary tables outlive their models: {left}"
        return results

    def build(self, first: str, last: str | None = None, *, models: Sequence[str], full_refresh: bool = False) -> None:
        """Runs, and expects every model and test to succeed."""
        results = self.run(first, last, models=models, full_refresh=full_refresh)
        failed = [f"{result.name}: {result.message}" for result in results if not result.succeeded]
        assert not failed, failed

    def rows(self, relation: str, *columns: str) -> list[tuple[Any, ...]]:
        """A relation's rows, sorted; all columns unless told."""
        found = self.warehouse.read(f"select {', '.join(columns) or '*'} from {relation}")
        return sorted((tuple(row.values()) for row in found), key=repr)

    def _write(
        self,
        day: dt.date,
        name: str,
        rows: Sequence[Row],
        read_at: dt.datetime,
        without: Sequence[str],
        new_columns: Mapping[str, Any],
    ) -> LandedFile:
        table = load_contract()[name]
        schema = table.landed_schema
        for column in new_columns:
            schema = schema.append(pa.field(column, pa.string()))
        filler = {column.name: _FILLERS.get(column.data_type, 0) for column in table.columns}
        filler |= {column.name: None for column in table.columns if column.nullable}
        filler |= {"_parent_updated_at": None, EXTRACTED_AT: read_at, **new_columns}
        content = pa.Table.from_pylist([{**filler, **row} for row in rows], schema)
        content = content.drop_columns([column for column in without if column in content.column_names])
        path = f"year={day:%Y}/month={day:%m}/day={day:%d}/{name}/{name}.parquet"
        target = self._root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(content, target)
        data = target.read_bytes()
        return LandedFile(
            name, path, len(rows), len(data), hashlib.sha256(data).hexdigest(), "", tuple(new_columns), read_at
        )

    def _manifest(self, day: dt.date) -> Manifest:
        start = dt.datetime.combine(day, dt.time(), UTC)
        end = start + dt.timedelta(days=1)
        return Manifest(day, start, end, start, True, "", end, self._files[day])
