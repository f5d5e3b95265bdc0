"""`oms check` on a raw zone in a bucket."""

import datetime as dt
from itertools import takewhile
from pathlib import Path

from oms_pipeline.checks import Level, check_setup
from oms_pipeline.checks.setup import Finding
from oms_pipeline.contract import load_contract
from oms_pipeline.raw import RawZone
from oms_pipeline.raw.s3 import S3Store
from oms_pipeline.settings import read_settings
from oms_pipeline.source import PostgresSource
from oms_pipeline.transform import DbtProjectFiles
from oms_pipeline.warehouse import DuckDBWarehouse
from oms_pipeline_tests.raw.bucket import Bucket
from oms_pipeline_tests.raw.conftest import bucket, s3

__all__ = ["bucket", "s3"]


def findings(store: S3Store, home: Path) -> list[tuple[str, Level, str]]:
    """What is found of the raw zone."""
    settings = read_settings({"OMS_HOME": str(home), "OMS_RAW_URL": f"s3://{store.bucket}/{store.prefix}"})
    zone = RawZone(store)
    warehouse = DuckDBWarehouse(home / "oms.duckdb", zone, dt.timedelta())
    nowhere = PostgresSource("postgresql://nobody@127.0.0.1:1/x", "oms", dt.timedelta(seconds=1), dt.timedelta())
    project = DbtProjectFiles(home / "dbt", {})
    found = check_setup(settings, load_contract(), lambda _: nowhere, zone, warehouse, project)

    def is_before_warehouse(finding: Finding) -> bool:
        return finding.part != "warehouse"

    return [
        (finding.part, finding.level, finding.text)
        for finding in takewhile(is_before_warehouse, found)
        if finding.part.startswith("raw zone")
    ]


def test_a_bucket_is_tried_and_without_versions_there_is_a_warning(bucket: Bucket, tmp_path: Path) -> None:
    store = S3Store(bucket.name, "raw", bucket.endpoint)
    writable, versions = findings(store, tmp_path)
    assert writable == ("raw zone", Level.OK, "s3://oms-data/raw is writable")
    assert versions[:2] == ("raw zone versions", Level.WARNING)
    assert "put-bucket-versioning --bucket oms-data" in versions[2]

    bucket.client.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration={"Status": "Enabled"})
    assert findings(store, tmp_path)[1] == ("raw zone versions", Level.OK, "bucket oms-data keeps old versions")
    assert bucket.keys() == []


def test_a_bucket_that_is_not_there_is_one_finding(bucket: Bucket, tmp_path: Path) -> None:
    ((part, level, text),) = findings(S3Store("nothing-here", "raw", bucket.endpoint), tmp_path)
    assert (part, level) == ("raw zone", Level.FAILED)
    assert text.startswith("There is no bucket nothing-here")
