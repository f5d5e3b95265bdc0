"""Assembly only: settings, contract and rooms become Dagster definitions. Nothing here computes."""

import datetime as dt
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import dagster as dg

from oms_pipeline import automation, sample
from oms_pipeline.alerts import Business, BusinessOf, Chart, Watch, alert_sensor, load_severities
from oms_pipeline.checks import late_assets, on_time_checks, with_freshness
from oms_pipeline.contract import load_contract, load_deadline
from oms_pipeline.dashboards import dashboard_assets, headlines, pictures
from oms_pipeline.dashboards.metabase import metabase_assets
from oms_pipeline.errors import SettingsError
from oms_pipeline.external import external_assets
from oms_pipeline.raw import FolderStore, RawZone, raw_assets
from oms_pipeline.settings import Settings, get_settings, s3_place
from oms_pipeline.source import PostgresSource
from oms_pipeline.transform import DbtProjectFiles, transform_assets
from oms_pipeline.warehouse import DuckDBWarehouse, Purpose, Warehouse

DIGEST_WAITS: Final = dt.timedelta(seconds=5)


def make_source(settings: Settings) -> PostgresSource:
    """The OMS database; starts the sample OMS's server where that is the source and has no other place."""
    return PostgresSource(
        dsn=settings.source_url or sample.dsn(settings),
        schema=settings.source_schema,
        statement_timeout=settings.statement_timeout,
        overlap=settings.overlap,
    )


def make_raw_zone(settings: Settings) -> RawZone:
    """The raw zone: a bucket where its address says so, else a folder."""
    if not settings.raw_url.startswith("s3://"):
        return RawZone(FolderStore(Path(settings.raw_url), settings.lock_timeout))
    try:
        from oms_pipeline.raw.s3 import S3Store  # boto3 takes a moment to import, and a folder needs none
    except ImportError as error:
        raise SettingsError(
            f"OMS_RAW_URL is {settings.raw_url}, and {error.name} is not installed. "
            "Install the project with its extra `snowflake`, or set OMS_RAW_URL to a folder."
        ) from error
    bucket, prefix = s3_place(settings.raw_url)
    return RawZone(S3Store(bucket, prefix, settings.s3_endpoint, settings.s3_encryption, settings.lock_timeout))


def make_warehouse(settings: Settings) -> Warehouse:
    """The profile's warehouse."""
    if settings.snowflake is not None:
        from oms_pipeline.warehouse.snowflake import SnowflakeWarehouse  # the connector takes a second to import

        return SnowflakeWarehouse(settings.snowflake, make_raw_zone(settings), settings.lock_timeout)
    return DuckDBWarehouse(settings.duckdb_path, make_raw_zone(settings), settings.lock_timeout)


def make_dbt_project(settings: Settings) -> DbtProjectFiles:
    """The dbt project, with the profile's variables."""
    return DbtProjectFiles(
        settings.dbt_dir, {"OMS_PROFILE": settings.profile, **make_warehouse(settings).dbt_environment()}
    )


def business_of(settings: Settings) -> BusinessOf:
    """Tells how business was on a day, by what the dashboards say is worth a mail."""
    # Mails wait for it, so it does not wait for a run to let go of the warehouse.
    warehouse = make_warehouse(replace(settings, lock_timeout=DIGEST_WAITS))

    def on(day: dt.date) -> Business:
        with warehouse.reading(Purpose("write the digest")) as query:
            return Business(
                [(number.label, number.text, number.change) for number in headlines(query, day)],
                [Chart(picture.title, picture.description, picture.png) for picture in pictures(query, day)],
            )

    return on


def make_watch(settings: Settings) -> Watch:
    """What the mails go by."""
    deadline = load_deadline()
    late_of = partial(late_assets, settings=settings, deadline=deadline)
    return Watch(settings, load_severities(), deadline, late_of, business_of(settings))


def build_definitions(settings: Settings, resource_overrides: Mapping[str, Any] | None = None) -> dg.Definitions:
    """The whole graph for one set of settings.

    Args:
        settings: The environment.
        resource_overrides: Resources to use instead of the profile's own.
    """
    contract = load_contract()
    project = make_dbt_project(settings)
    warehouse = make_warehouse(settings)
    deadline = load_deadline()
    layers = [
        raw_assets(settings, contract),
        external_assets(settings, contract, warehouse.kind),
        transform_assets(settings, contract, project),
    ]
    on_time, on_time_sensor = on_time_checks(layers, settings, deadline)
    daily, rebuild = automation.jobs(besides=dg.AssetSelection.checks(on_time))
    weekly = automation.weekly_full_check(project)
    lives = [sample.sample_life(settings)] if settings.uses_sample else []
    return dg.Definitions(
        assets=dg.with_source_code_references(
            [
                *with_freshness(layers, settings, deadline),
                automation.pipeline_runs(settings, warehouse.kind, after=_marts(layers)),
                dashboard_assets(settings),
                *metabase_assets(settings, project.manifest, _marts(layers)),
                *_costs(settings),
            ]
        ),
        asset_checks=[on_time],
        jobs=[daily, rebuild, weekly, *(job for job, _ in lives)],
        schedules=[*automation.schedules(settings, daily, weekly), *(schedule for _, schedule in lives)],
        sensors=[on_time_sensor, alert_sensor(make_watch(settings))],
        # One process per run: a process per step costs four times the work of a day.
        executor=dg.in_process_executor,
        resources={
            # Made when a step first asks for it: nothing connects to the source while definitions load.
            "source": dg.ResourceDefinition(lambda _: make_source(settings)),
            "raw_zone": make_raw_zone(settings),
            "warehouse": warehouse,
            **(resource_overrides or {}),
        },
    )


def _marts(layers: Sequence[dg.AssetsDefinition]) -> list[dg.AssetKey]:
    return sorted(spec.key for layer in layers for spec in layer.specs if spec.key.path[0] == "marts")


def _costs(settings: Settings) -> list[dg.AssetsDefinition]:
    """What the day has cost, where somebody sends a bill; asked last, while the warehouse is awake."""
    if settings.snowflake is None:
        return []
    return [automation.warehouse_cost(settings, settings.snowflake, after=[dg.AssetKey(["marts", "daily_sales"])])]


# Links to code are in beta; that they are is nothing a user can act on.
warnings.filterwarnings("ignore", category=dg.BetaWarning)

defs = build_definitions(get_settings())
