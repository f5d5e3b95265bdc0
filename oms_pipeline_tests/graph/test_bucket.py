"""The raw zone in a bucket under a DuckDB warehouse: the same graph, the same marts, and no request too many."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.compute_log_manager import ComputeIOType
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager

from oms_pipeline import sample
from oms_pipeline.automation import REBUILD_JOB
from oms_pipeline.contract import load_contract
from oms_pipeline.definitions import make_source
from oms_pipeline.errors import WarehouseError
from oms_pipeline.instance import prepare_dagster_home
from oms_pipeline.raw import Manifest, land_window
from oms_pipeline.settings import get_settings
from oms_pipeline_tests.graph.pipeline import Pipeline, unequal
from oms_pipeline_tests.raw.bucket import Bucket, Failure, Proxy
from oms_pipeline_tests.raw.conftest import bucket, proxy, s3
from oms_pipeline_tests.source.real_oms import SCHEMA, Oms

__all__ = ["bucket", "proxy", "s3"]

FIRST = dt.date(2026, 3, 6)
LAST = dt.date(2026, 3, 9)


@dataclass(frozen=True)
class PipelineOverBucket(Pipeline):
    """A pipeline whose raw zone is in a bucket."""

    endpoint: str = ""

    @property
    def environment(self) -> Mapping[str, str]:
        return {**super().environment, "OMS_RAW_URL": "s3://oms-data/raw", "OMS_S3_ENDPOINT": self.endpoint}


@pytest.fixture
def over_bucket(
    tmp_path: Path, dbt_dir: Path, new_database: Callable[[str], Oms], bucket: Bucket, proxy: Proxy
) -> PipelineOverBucket:
    """Four days of a small business, none of them loaded."""
    dbt_dir.mkdir(parents=True, exist_ok=True)
    (tmp_path / "dbt").symlink_to(dbt_dir)
    pipeline = PipelineOverBucket(tmp_path, new_database("template0"), FIRST, "Europe/Berlin", proxy.endpoint)
    sample.create_schema(pipeline.oms.dsn, SCHEMA)
    return pipeline


@pytest.mark.slow
def test_a_day_a_backfill_a_re_run_and_a_rebuild_over_a_bucket_equal_the_oracle(
    over_bucket: PipelineOverBucket, bucket: Bucket
) -> None:
    pipeline = over_bucket
    sample.open_business(pipeline.oms.dsn, SCHEMA, FIRST, 30, 7, pipeline.timezone)
    pipeline.simulate(4)
    assert pipeline.run(pipeline.window(FIRST)).error is None
    assert pipeline.run(pipeline.window(FIRST + dt.timedelta(days=1), LAST)).error is None
    assert pipeline.differences(LAST) == []
    assert {path[:27] for path in registered_paths(pipeline)} == {"s3://oms-data/raw/year=2026"}
    assert not (pipeline.home / "raw").exists()

    before = pipeline.tables(lasting=True)
    keys = bucket.keys()
    assert pipeline.run(pipeline.window(FIRST)).error is None
    assert unequal(before, pipeline.tables(lasting=True)) == []
    assert bucket.keys() == keys

    assert pipeline.run(pipeline.window(FIRST, LAST), job=REBUILD_JOB).error is None
    assert unequal(before, pipeline.tables(lasting=True)) == []
    assert pipeline.differences(LAST) == []


def registered_paths(pipeline: Pipeline) -> list[str]:
    return [row["path"] for row in pipeline.warehouse.read("select path from external.registered_files")]


def test_files_of_many_row_groups_are_read_right_by_many_threads(over_bucket: PipelineOverBucket) -> None:
    pipeline = over_bucket
    pipeline.oms.execute("""
        insert into customers (email, full_name, country, updated_at)
        select md5(n::text), md5((n * 7)::text) || md5((n * 3)::text), 'DE', '2026-03-07'
        from generate_series(1, 400000) as n
    """)
    manifest = pipeline_lands(pipeline, FIRST + dt.timedelta(days=1))
    assert manifest.files["customers"].bytes > 16 * 1024 * 1024
    pipeline.register([manifest.day])
    (found,) = pipeline.warehouse.read(
        "select count(*) as n, count(distinct customer_id) as ids, cast(sum(customer_id) as bigint) as total,"
        " count(*) filter (email = md5(cast(customer_id as varchar))) as whole from external.customers"
    )
    assert found == {"n": 400000, "ids": 400000, "total": 400000 * 400001 // 2, "whole": 400000}


def pipeline_lands(pipeline: Pipeline, day: dt.date) -> Manifest:
    source = make_source(pipeline.settings)
    return land_window(pipeline.window(day), source, pipeline.zone, load_contract(), pipeline.settings, False)[0]


def test_a_bucket_out_of_reach_while_registering_is_told_and_registers_nothing(
    over_bucket: PipelineOverBucket, proxy: Proxy
) -> None:
    manifest = pipeline_lands(over_bucket, FIRST)
    proxy.fail(Failure("HEAD", "parquet", 403, "AccessDenied"))
    with pytest.raises(WarehouseError) as error:
        over_bucket.register([FIRST])
    assert "A landed file cannot be read: Access to s3://oms-data" in str(error.value)
    assert "(HeadObject)" in str(error.value)
    assert "\n" not in str(error.value)
    assert registered_paths(over_bucket) == []
    proxy.fail()
    over_bucket.register([FIRST])
    assert len(registered_paths(over_bucket)) == len(manifest.files)


# The output of runs


@pytest.fixture
def loaded_instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dg.DagsterInstance]:
    """Loads the project's own instance, with some variables set."""
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.setenv("OMS_HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "0")

    def load(**variables: str) -> dg.DagsterInstance:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        get_settings.cache_clear()
        prepare_dagster_home(get_settings())
        return dg.DagsterInstance.get()

    return load


@pytest.fixture(autouse=True)
def fresh_settings() -> Iterator[None]:
    yield
    get_settings.cache_clear()


@dg.op
def speaks() -> None:
    print("said in a run")


@dg.job(executor_def=dg.in_process_executor)
def talk() -> None:
    speaks()


def test_the_output_of_runs_is_kept_in_dagsters_folder(
    loaded_instance: Callable[..., dg.DagsterInstance], tmp_path: Path
) -> None:
    with loaded_instance() as instance:
        assert type(instance.compute_log_manager) is LocalComputeLogManager
        run = talk.execute_in_process(instance=instance)
    outputs = (tmp_path / "dagster" / "storage" / run.run_id).rglob("*.out")
    assert ["said in a run" in path.read_text() for path in outputs] == [True]


def test_the_output_of_runs_is_kept_in_a_bucket_where_that_is_set(
    loaded_instance: Callable[..., dg.DagsterInstance], bucket: Bucket
) -> None:
    url = {"OMS_COMPUTE_LOGS_URL": "s3://oms-data/logs", "OMS_S3_ENDPOINT": bucket.endpoint}
    with loaded_instance(**url, OMS_S3_ENCRYPTION="AES256") as instance:
        run = talk.execute_in_process(instance=instance)
        (key,) = [key for key in bucket.keys(f"logs/storage/{run.run_id}") if key.endswith(".out")]
        assert b"said in a run" in bucket.get(key)
        assert bucket.head(key)["ServerSideEncryption"] == "AES256"
        log_key = key.removeprefix("logs/storage/").removesuffix(".out").split("/")
        assert instance.compute_log_manager.is_capture_complete(log_key)
        assert instance.compute_log_manager.download_url_for_type(log_key, ComputeIOType.STDOUT).startswith("http")
