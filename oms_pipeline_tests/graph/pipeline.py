"""One OMS, raw zone, warehouse and Dagster instance below one folder, worked by the project's own code."""

import datetime as dt
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pyarrow as pa

from oms_pipeline import sample
from oms_pipeline.automation import DAILY_JOB, REBUILD_CONFIG, REBUILD_JOB
from oms_pipeline.automation.launch import PARTITION_TAG, RunReport, run_job
from oms_pipeline.calendar import Window
from oms_pipeline.contract import load_contract
from oms_pipeline.instance import prepare_dagster_home
from oms_pipeline.raw import RawZone, land_window
from oms_pipeline.settings import PROJECT_DIR, Settings, read_settings
from oms_pipeline.transform import DbtProjectFiles, run_dbt
from oms_pipeline.transform.assets import NOT_DAILY
from oms_pipeline.warehouse import Purpose, Warehouse
from oms_pipeline_tests.oracle import GRAIN, differences, expected
from oms_pipeline_tests.source.real_oms import SCHEMA, Oms, run

# Columns that models keep for other models, or that say when a row was read: the oracle does not know them.
BESIDE_THE_ORACLE = {
    "fct_order_lines": {"first_shipped_store_id"},
    "fct_payments": {"shipping_refunded"},
    "fct_returns": {"customer_id", "ship_cohort_store_id"},
    "fct_inventory_daily": {"snapshot_taken_at"},
    **{f"dim_{name}": {"extracted_at"} for name in ("customers", "products", "stores", "employees", "suppliers")},
}

# What follows from a window's rows alone and not from all days, so that it may differ from a rebuild.
OF_ONE_WINDOW = ("__affected", "__before")


class Interrupted(Exception):
    """Stands for whatever ends a run in the middle of its transaction."""


@dataclass(frozen=True)
class Pipeline:
    """Everything of one checkout's `OMS_HOME`.

    Attributes:
        home: Folder of raw zone, warehouse and Dagster instance.
        oms: The source.
        first_day: First day of the calendar.
        timezone: Time zone of the calendar.
    """

    home: Path
    oms: Oms
    first_day: dt.date
    timezone: str

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables by which another process finds all of this."""
        return self.oms.environment(self.home, self.first_day, OMS_TIMEZONE=self.timezone)

    @cached_property
    def settings(self) -> Settings:
        return read_settings(self.environment)

    @cached_property
    def definitions(self) -> dg.Definitions:
        return self.build_definitions()

    @cached_property
    def zone(self) -> RawZone:
        from oms_pipeline.definitions import make_raw_zone

        return make_raw_zone(self.settings)

    @cached_property
    def warehouse(self) -> Warehouse:
        from oms_pipeline.definitions import make_warehouse

        return make_warehouse(self.settings)

    @cached_property
    def project(self) -> DbtProjectFiles:
        from oms_pipeline.definitions import make_dbt_project

        return make_dbt_project(self.settings)

    def build_definitions(self, **resource_overrides: Any) -> dg.Definitions:
        from oms_pipeline.definitions import build_definitions

        return build_definitions(self.settings, resource_overrides)

    def copy(self, home: Path, new_database: Callable[[str], Oms]) -> "Pipeline":
        """The same history, free to go on differently."""
        shutil.copytree(self.home, home, symlinks=True)
        template = self.oms.dsn.partition("?")[0].rpartition("/")[2]
        return replace(self, home=home, oms=new_database(template))

    def window(self, first: dt.date, last: dt.date | None = None) -> Window:
        return Window(first, (last or first) + dt.timedelta(days=1), self.settings.timezone)

    # The source

    def simulate(self, days: int = 1) -> dt.date:
        """Lets the sample business live on; returns the last day it lived."""
        return sample.simulate(self.oms.dsn, days) - dt.timedelta(days=1)

    def edit(self, moment: str, *statements: str) -> None:
        """Changes the OMS by hand: whatever the statements touch is stamped with `moment` (ISO, UTC), not with now."""
        # One simple query is one transaction, so that `now()` is what the OMS itself has stamped in it.
        stamps = [
            f"update {table} set updated_at = '{moment}+00',"
            f" created_at = case when created_at = now() then '{moment}+00' else created_at end where updated_at = now()"
            for table in load_contract()
        ]
        with self.oms.connection() as connection:
            run(connection, "; ".join([*statements, *stamps]))

    # Through Dagster

    def run(
        self,
        window: Window | None = None,
        job: str = DAILY_JOB,
        config: Mapping[str, Any] | None = None,
        definitions: dg.Definitions | None = None,
    ) -> RunReport:
        """Runs a job as `oms` does."""
        self.use_dagster_home()
        if job == REBUILD_JOB:
            config = REBUILD_CONFIG
        return run_job(definitions or self.definitions, job, window, config)

    def run_assets(
        self, day: dt.date, *keys: Sequence[str], definitions: dg.Definitions | None = None
    ) -> dg.ExecuteInProcessResult:
        """Materialises some assets of a day, as a click in the UI does."""
        self.use_dagster_home()
        with dg.DagsterInstance.get() as instance:
            return (
                (definitions or self.definitions)
                .resolve_job_def(DAILY_JOB)
                .execute_in_process(
                    run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                    instance=instance,
                    tags={PARTITION_TAG: day.isoformat()},
                    asset_selection=[dg.AssetKey(key) for key in keys],
                    raise_on_error=False,
                )
            )

    def use_dagster_home(self) -> None:
        os.environ.pop("DAGSTER_HOME", None)
        prepare_dagster_home(self.settings)

    def events(self, run_id: str) -> list[dg.DagsterEvent]:
        """What Dagster's event log keeps of a run."""
        self.use_dagster_home()
        with dg.DagsterInstance.get() as instance:
            return [entry.dagster_event for entry in instance.all_logs(run_id) if entry.dagster_event is not None]

    def process(self, *arguments: str) -> "subprocess.Popen[str]":
        """Starts Python in a process of its own, with this pipeline's environment."""
        environment = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=PROJECT_DIR,
            env={**environment, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    # Without Dagster: the same steps by the same code, in a third of the time

    def load(self, first: dt.date, last: dt.date | None = None) -> None:
        """From the source to the marts."""
        window = self.window(first, last)
        from oms_pipeline.definitions import make_source

        land_window(window, make_source(self.settings), self.zone, load_contract(), self.settings, reextract=False)
        self.register(window.days)
        self.transform(window)

    def register(self, days: Sequence[dt.date]) -> None:
        """Registers landed days."""
        manifests = [manifest for day in days if (manifest := self.zone.manifest(day)) is not None]
        with self.warehouse.open(Purpose("test")) as session:
            session.register(manifests, load_contract())

    def transform(self, window: Window, full_refresh: bool = False, interrupted: bool = False) -> None:
        """Runs dbt on a window.

        Raises:
            Interrupted: As asked, when dbt is done and nothing is committed.
        """
        command = ["build", "--exclude", *NOT_DAILY.split(), *(["--full-refresh"] if full_refresh else [])]
        days = {"OMS_WINDOW_FROM": window.first.isoformat(), "OMS_WINDOW_TO": window.end.isoformat()}
        with self.warehouse.open(Purpose("test")) as session, session.transaction():
            results = run_dbt(self.project, command, {**self.warehouse.dbt_environment(), **days})
            failed = [f"{result.name}: {result.message}" for result in results if not result.succeeded]
            assert not failed, failed
            if interrupted:
                raise Interrupted

    # What has come of it

    def marts(self, day: dt.date) -> dict[str, pa.Table]:
        """Every mart, without the columns that only other models need; stock of one day alone."""
        with duckdb.connect(str(self.settings.duckdb_path), read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            found = {mart: connection.sql(f"select * from marts.{mart}") for mart in GRAIN}
            found["fct_inventory_daily"] = found["fct_inventory_daily"].filter(f"business_day = date '{day}'")
            return {
                mart: rows.select(
                    *[column for column in rows.columns if column not in BESIDE_THE_ORACLE.get(mart, ())]
                ).to_arrow_table()
                for mart, rows in found.items()
            }

    def differences(self, day: dt.date) -> list[str]:
        """How the marts differ from what plain SQL on the source computes; `day` is the newest one landed."""
        found = self.marts(day)
        return [
            f"{mart}: {difference}"
            for mart in GRAIN
            for difference in differences(expected(self.oms.dsn, mart, SCHEMA, day), found[mart])
        ]

    def tables(self, *, lasting: bool = False) -> dict[str, pa.Table]:
        """`schema.name` → rows, of everything dbt has made.

        Args:
            lasting: Leave out what is made of one window alone: all else depends only on which days are in.
        """
        with duckdb.connect(str(self.settings.duckdb_path), read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            names = connection.execute(
                "select table_schema || '.' || table_name from information_schema.tables"
                " where table_schema in ('staging', 'intermediate', 'marts') order by all"
            ).fetchall()
            wanted = [
                name
                for (name,) in names
                if not lasting or not (name.startswith("staging.") or name.endswith(OF_ONE_WINDOW))
            ]
            return {name: connection.sql(f"select * from {name} order by all").to_arrow_table() for name in wanted}

    def registered(self) -> list[tuple[Any, ...]]:
        """What the warehouse knows of landed files, but for when it was told; paths below the raw zone."""
        with duckdb.connect(str(self.settings.duckdb_path), read_only=True) as connection:
            return connection.execute(
                "select * exclude (registered_at) replace (regexp_replace(path, '.*/raw/', '') as path)"
                " from external.registered_files order by all"
            ).fetchall()


def unequal(left: Mapping[str, pa.Table], right: Mapping[str, pa.Table]) -> list[str]:
    """Where two sets of tables differ, with the first rows that only one of them has; none when they are equal."""
    lines = [f"{name} is only on one side" for name in sorted(left.keys() ^ right.keys())]
    for name in sorted(left.keys() & right.keys()):
        if left[name].equals(right[name]):
            continue
        if left[name].schema != right[name].schema:
            lines.append(f"{name}: {left[name].schema} is not {right[name].schema}")
            continue
        with duckdb.connect() as connection:
            connection.register("l", left[name])
            connection.register("r", right[name])
            for side, query in (("left", "from l except all from r"), ("right", "from r except all from l")):
                rows = connection.sql(query).to_arrow_table()
                if rows.num_rows:
                    lines.append(f"{name}: {rows.num_rows} rows only {side}: {rows.slice(0, 3).to_pylist()}")
    return lines
