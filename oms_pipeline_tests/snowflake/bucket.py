"""What the test bed reads from S3: lists, and files kept on disk in a form that any query can read."""

import hashlib
import re
import shutil
import threading
from io import BytesIO
from pathlib import Path
from typing import Any

import boto3
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from botocore.exceptions import BotoCoreError, ClientError

from oms_pipeline_tests.snowflake.errors import SqlError
from oms_pipeline_tests.snowflake.statement import literal

FILENAME = "METADATA$FILENAME"
ROW_NUMBER = "METADATA$FILE_ROW_NUMBER"
_EMPTY = f"""
    SELECT NULL::VARCHAR AS "{FILENAME}", NULL::BIGINT AS "{ROW_NUMBER}", NULL::MAP(VARCHAR, VARCHAR) AS FIELDS WHERE false
"""


class Bucket:
    """Parquet files on S3 as (file name, row number, field → text), copied to a folder and refreshed when they changed.

    Text keeps decimals exact, and a field that a file lacks is NULL.
    """

    def __init__(self, endpoint: str, folder: Path):
        self._s3: Any = boto3.client(
            "s3",
            endpoint_url=endpoint,
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106
            region_name="us-east-1",
        )
        self._folder = folder
        self._lock = threading.RLock()
        self._duck = duckdb.connect(config={"threads": 1})
        self._duck.execute("SET TimeZone = 'UTC'")

    def list(self, url: str) -> list[dict[str, Any]]:
        """Objects whose URL starts with `url`, by key: `url`, `key`, `size`, `etag`, `modified`."""
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        try:
            found = [item for page in pages for item in page.get("Contents", [])]
        except (BotoCoreError, ClientError) as error:
            raise SqlError(f"Failure using stage area. Cause: [{error}]", 91003, "22000") from error
        return [
            {
                "url": f"s3://{bucket}/{item['Key']}",
                "key": item["Key"],
                "size": item["Size"],
                "etag": item["ETag"].strip('"'),
                "modified": item["LastModified"].strftime("%a, %d %b %Y %H:%M:%S GMT"),
            }
            for item in sorted(found, key=lambda item: item["Key"])
        ]

    def pattern(self, name: str) -> str:
        """The glob that reads a table's copies."""
        self._write(self._folder / name / "empty.parquet", _EMPTY)
        return str(self._folder / name / "*.parquet")

    def bring(self, name: str, url: str, urls: set[str]) -> None:
        """Makes a table's copies those of the objects `urls` below `url`, as they are on S3 now. Broken files give no rows."""
        with self._lock:
            now = {item["url"]: item for item in self.list(url)} if urls else {}
            wanted = {
                self._folder / name / f"{hashlib.sha256((u + now[u]['etag']).encode()).hexdigest()}.parquet": now[u]
                for u in urls
                if u in now
            }
            for path in (self._folder / name).glob("*.parquet"):
                if path not in wanted and path.name != "empty.parquet":
                    path.unlink()
            for path, item in wanted.items():
                if not path.exists():
                    self._copy(item, path)

    def forget(self, name: str) -> None:
        """Drops a table's copies."""
        shutil.rmtree(self._folder / name, ignore_errors=True)

    def _copy(self, item: dict[str, Any], path: Path) -> None:
        bucket = re.sub(r"^s3://([^/]+)/.*$", r"\1", item["url"])
        content = self._s3.get_object(Bucket=bucket, Key=item["key"])["Body"].read()
        try:
            landed = pq.ParquetFile(BytesIO(content)).read()
        except (pa.ArrowException, OSError):
            # Snowflake skips a file that it cannot read, and says nothing.
            self._write(path, _EMPTY)
            return
        names = ", ".join(literal(name) for name in landed.column_names)
        texts = ", ".join(f'CAST("{name}" AS VARCHAR)' for name in landed.column_names)
        self._duck.register("landed", landed)
        self._write(
            path,
            f'SELECT {literal(item["key"])} AS "{FILENAME}", row_number() OVER () AS "{ROW_NUMBER}", '
            f"MAP([{names}], [{texts}]) AS FIELDS FROM landed",
        )
        self._duck.unregister("landed")

    def _write(self, path: Path, select: str) -> None:
        with self._lock:
            if path.exists():
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(".part")
            self._duck.execute(f"COPY ({select}) TO {literal(part)} (FORMAT parquet)")
            part.rename(path)
