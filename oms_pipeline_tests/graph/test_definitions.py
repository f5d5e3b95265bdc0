"""The shape of the graph: what is in it, what each asset tells of itself, and when it runs."""

import datetime as dt
from dataclasses import replace

import dagster as dg
import pytest
from dagster._utils.schedules import schedule_execution_time_iterator

from oms_pipeline.automation import DAILY_JOB, REBUILD_JOB, WEEKLY_JOB
from oms_pipeline.calendar import partitions_def
from oms_pipeline.contract import load_contract
from oms_pipeline.dashboards import dashboard_assets, load_dashboards
from oms_pipeline.definitions import build_definitions
from oms_pipeline.settings import MetabaseServer, PostgresLogin, read_settings
from oms_pipeline.transform import DBT_PROJECT_DIR
from oms_pipeline.warehouse import LAYERS
from oms_pipeline_tests.oracle import GRAIN

# Nobody answers there: what is asked of definitions alone must not need the source.
SETTINGS = {
    "OMS_SOURCE_URL": "postgresql://nobody@nowhere.invalid/oms",
    "OMS_START_DATE": "2026-03-01",
    "OMS_TIMEZONE": "America/New_York",
}


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    return build_definitions(read_settings(SETTINGS))


@pytest.fixture(scope="module")
def specs(definitions: dg.Definitions) -> dict[tuple[str, ...], dg.AssetSpec]:
    return {tuple(spec.key.path): spec for spec in definitions.resolve_all_asset_specs()}


def test_every_table_of_the_contract_runs_through_raw_external_and_staging(
    specs: dict[tuple[str, ...], dg.AssetSpec],
) -> None:
    for layer, name in (("raw", "{}"), ("external", "{}"), ("staging", "stg_oms__{}")):
        assert {key[1] for key in specs if key[0] == layer} == {name.format(table) for table in load_contract()}
    for table in load_contract():
        assert [dep.asset_key.path for dep in specs["external", table].deps] == [["raw", table]]
        assert [dep.asset_key.path for dep in specs["staging", f"stg_oms__{table}"].deps] == [["external", table]]


def test_every_mart_is_an_asset_and_every_model_lies_in_the_folder_of_its_layer(
    specs: dict[tuple[str, ...], dg.AssetSpec],
) -> None:
    assert {key[1] for key in specs if key[0] == "marts"} == set(GRAIN)
    models = {(path.parent.name, path.stem) for path in (DBT_PROJECT_DIR / "models").rglob("*.sql")}
    assert models == {key for key in specs if key[0] in ("staging", "intermediate", "marts")}
    assert {key[0] for key in specs} == {"raw", *LAYERS, "ops", "dashboards"}


def test_every_asset_says_what_it_is_whose_it_is_and_what_it_is_made_of(
    specs: dict[tuple[str, ...], dg.AssetSpec],
) -> None:
    for key, spec in specs.items():
        assert spec.group_name == key[0]
        assert len(key) == 2
        assert spec.description, key
        assert spec.owners == ["team:data"], key
        expected = {
            "raw": {"postgres", "parquet"},
            "external": {"duckdb", "parquet"},
            "ops": {"duckdb"},
            "dashboards": {"html"},
        }.get(key[0], {"duckdb", "dbt"})
        assert spec.kinds == expected, key
        assert spec.metadata["dagster/code_references"].code_references, key
        if key[0] == "dashboards":  # no table
            continue
        columns = spec.metadata["dagster/column_schema"].columns
        assert columns, key
        assert [column.name for column in columns if not column.description] == [], key
        if key[0] != "intermediate":  # what others read tells its types, too
            assert [column.name for column in columns if column.type in ("", "string?")] == [], key


def test_raw_and_external_assets_have_the_contracts_columns(specs: dict[tuple[str, ...], dg.AssetSpec]) -> None:
    for name, table in load_contract().items():
        for layer in ("raw", "external"):
            columns = specs[layer, name].metadata["dagster/column_schema"].columns
            assert [(column.name, column.type, column.description) for column in columns] == [
                (column.name, column.data_type, column.description) for column in table.columns
            ]


def test_a_dashboard_is_downstream_of_exactly_what_its_cards_read_and_the_report_of_all_dashboards(
    specs: dict[tuple[str, ...], dg.AssetSpec],
) -> None:
    def upstream(*key: str) -> set[str]:
        return {".".join(dep.asset_key.path) for dep in specs[key].deps}

    dashboards = load_dashboards()
    for dashboard in dashboards:
        # Where nobody sends a bill, no asset tells the cost.
        assert upstream("dashboards", dashboard.name) == set(dashboard.relations) - {"ops.warehouse_cost"}
        files = specs["dashboards", dashboard.name].metadata["dagster/code_references"].code_references
        assert str(dashboard.path) in {getattr(file, "file_path", "") for file in files}
    assert upstream("dashboards", "report") == {f"dashboards.{dashboard.name}" for dashboard in dashboards}
    assert upstream("ops", "pipeline_runs") == {f"marts.{mart}" for mart in GRAIN}


def test_a_dashboards_page_leads_to_metabase_where_there_is_one() -> None:
    settings = read_settings(SETTINGS)
    server = MetabaseServer(
        "http://metabase:3000", PostgresLogin("db", 5432, "marts", "m", "p"), web_url="https://bi.shop"
    )
    for metabase, link in ((None, None), (server, "https://bi.shop")):
        specs = dashboard_assets(replace(settings, metabase=metabase)).specs
        links = [spec.metadata.get("metabase") for spec in specs if spec.key.path != ["dashboards", "report"]]
        assert [each and each.value for each in links] == [link] * len(load_dashboards())


def test_every_asset_has_the_calendars_partitions_and_a_range_of_them_is_one_run(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for key in graph.materializable_asset_keys:
        asset = graph.get(key)
        assert asset.partitions_def == partitions_def(read_settings(SETTINGS)), key
        assert asset.backfill_policy == dg.BackfillPolicy.single_run(), key
    partitions = partitions_def(read_settings(SETTINGS))
    at_two = dt.datetime(2026, 3, 9, 6, 0, tzinfo=dt.UTC)
    assert partitions.get_partition_keys(current_time=at_two)[0] == "2026-03-01"
    assert partitions.get_partition_keys(current_time=at_two)[-1] == "2026-03-08"


@pytest.mark.parametrize(
    ("tick", "day"),
    [
        ("2026-03-08T06:30", "2026-03-07"),  # half past one: still winter time
        ("2026-03-09T05:30", "2026-03-08"),  # a day of 23 hours has passed
        ("2025-11-02T05:30", None),  # before the calendar
        ("2026-11-01T05:30", "2026-10-31"),  # the first half past one of two
    ],
)
def test_the_daily_schedule_runs_the_day_before(definitions: dg.Definitions, tick: str, day: str | None) -> None:
    schedule = definitions.resolve_schedule_def("daily_oms_schedule")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("30 1 * * *", "America/New_York")
    assert schedule.job_name == DAILY_JOB
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING

    moment = dt.datetime.fromisoformat(tick).replace(tzinfo=dt.UTC)
    requests = schedule.evaluate_tick(dg.build_schedule_context(scheduled_execution_time=moment)).run_requests

    assert [request.partition_key for request in requests or ()] == ([] if day is None else [day])


@pytest.mark.parametrize(
    ("first", "ticks"),
    [
        ("2026-03-07", ["2026-03-07T06:30", "2026-03-08T06:30", "2026-03-09T05:30"]),  # a day of 23 hours
        ("2026-10-31", ["2026-10-31T05:30", "2026-11-01T06:30", "2026-11-02T06:30"]),  # half past one comes twice
    ],
)
def test_the_daily_schedule_ticks_once_a_night(definitions: dg.Definitions, first: str, ticks: list[str]) -> None:
    schedule = definitions.resolve_schedule_def("daily_oms_schedule")
    start = dt.datetime.fromisoformat(first).replace(tzinfo=dt.UTC).timestamp()
    found = schedule_execution_time_iterator(start, schedule.cron_schedule, schedule.execution_timezone, True)

    assert [next(found).astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M") for _ in ticks] == ticks


def test_the_jobs_select_what_they_are_for(definitions: dg.Definitions) -> None:
    def layers(job: str) -> set[str]:
        return {key.path[0] for key in definitions.resolve_job_def(job).asset_layer.executable_asset_keys}

    assert layers(DAILY_JOB) == {"raw", *LAYERS, "ops", "dashboards"}
    assert layers(REBUILD_JOB) == {"staging", "intermediate", "marts", "ops", "dashboards"}
    weekly = definitions.resolve_schedule_def("weekly_full_check_schedule")
    assert (weekly.job_name, weekly.cron_schedule, weekly.execution_timezone) == (
        WEEKLY_JOB,
        "0 5 * * 0",
        "America/New_York",
    )


def test_daily_checks_belong_to_the_daily_run_and_those_of_all_history_do_not(definitions: dg.Definitions) -> None:
    checks = definitions.resolve_job_def(DAILY_JOB).asset_layer.asset_graph.asset_check_keys
    checked = {key.asset_key.path[1] for key in checks if key.asset_key.path[0] == "staging"}
    assert checked == {f"stg_oms__{table}" for table in load_contract()}
    marts = {key.asset_key.path[1] for key in checks if key.asset_key.path[0] == "marts"}
    # The views have none of their own: what they show is checked where it is stored.
    assert marts == set(GRAIN) - {"dim_dates", "fct_inventory_daily"}
    ours = {"reconciled", "contract", "volume"}
    assert {key.name.split("_")[0] for key in checks if key.name not in ours} == {"matches", "grain"}


def test_every_check_says_what_it_asks_for(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    assert [key for key in graph.asset_check_keys if not graph.get_check_spec(key).description] == []
    orders = dg.AssetCheckKey(dg.AssetKey(["marts", "fct_orders"]), "grain_fct_orders_order_id")
    assert str(graph.get_check_spec(orders).description).startswith("One row per order_id: unique and never null")


def test_every_hop_is_reconciled_by_a_check_that_blocks_and_raw_has_two_that_do_not(
    definitions: dg.Definitions,
) -> None:
    graph = definitions.resolve_asset_graph()
    found = {(*key.asset_key.path, key.name): graph.get(key).blocking for key in graph.asset_check_keys}
    for table in load_contract():
        for key in (("raw", table), ("external", table), ("staging", f"stg_oms__{table}")):
            assert found[*key, "reconciled"], key
        assert (found["raw", table, "contract"], found["raw", table, "volume"]) == (False, False)


def test_whatever_has_a_deadline_has_a_freshness_policy_and_a_check_that_no_run_waits_for(
    definitions: dg.Definitions, specs: dict[tuple[str, ...], dg.AssetSpec]
) -> None:
    due = {key for key in specs if key[0] in ("raw", "staging", "marts")}
    policy = dg.FreshnessPolicy.cron("0 6 * * *", dt.timedelta(hours=6), "America/New_York")
    assert {key: spec.freshness_policy for key, spec in specs.items()} == {
        key: policy if key in due else None for key in specs
    }
    graph = definitions.resolve_asset_graph()
    assert {tuple(key.asset_key.path) for key in graph.asset_check_keys if key.name == "on_time"} == due
    for job in (DAILY_JOB, REBUILD_JOB):
        checks = definitions.resolve_job_def(job).asset_layer.asset_graph.asset_check_keys
        assert "on_time" not in {key.name for key in checks}
    sensor = definitions.resolve_sensor_def("on_time_sensor")
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
