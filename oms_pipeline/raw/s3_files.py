"""A bucket as a file system to read from, for what opens files by itself: DuckDB and Parquet readers."""

import datetime as dt
from typing import Any, Final

from botocore.exceptions import ClientError
from fsspec import AbstractFileSystem
from fsspec.spec import AbstractBufferedFile

from oms_pipeline.raw.s3_client import UNREACHED, error_code, s3_errors

# Most files of a day are smaller, so that one request reads footer and columns; of larger ones a few blocks are kept.
_BLOCK_BYTES: Final = 4 * 1024 * 1024
_BLOCKS_KEPT: Final = 8
_READS: Final = 3


class BucketFiles(AbstractFileSystem):
    """The objects of one bucket, named `s3://bucket/key`, through the store's own client, retries and credentials.

    What was listed once is remembered: a landed file never changes, and is registered before it is read. Make a new one
    for every connection.

    Args:
        client: A client of S3.
        bucket: Bucket name.
        endpoint: The server's address, for errors; None for AWS.
    """

    protocol = "s3"
    cachable = False

    def __init__(self, client: Any, bucket: str, endpoint: str | None) -> None:
        super().__init__()
        self._client = client
        self._bucket = bucket
        self._endpoint = endpoint
        self._known: dict[str, dict[str, Any]] = {}
        self._listed: dict[str, list[str]] = {}

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        """Name, size in bytes, type and time of an object.

        Raises:
            FileNotFoundError: There is no such object.
            RawZoneError: S3 cannot be asked.
        """
        path = self._strip_protocol(path)
        if path not in self._known:
            with s3_errors(f"s3://{self._bucket}", self._endpoint):
                try:
                    head = self._client.head_object(Bucket=self._bucket, Key=self._key(path))
                except ClientError as error:
                    if error_code(error) not in ("404", "NoSuchKey"):
                        raise
                    raise FileNotFoundError(f"s3://{path}") from None
            self._remember(path, head["ContentLength"], head["LastModified"])
        return self._known[path]

    def exists(self, path: str, **kwargs: Any) -> bool:
        """Whether there is such an object; fsspec's own method takes every error for a no."""
        try:
            self.info(path)
        except FileNotFoundError:
            return False
        return True

    def find(
        self, path: str, maxdepth: int | None = None, withdirs: bool = False, detail: bool = False, **kwargs: Any
    ) -> Any:
        """Every object below a path, however deep: a thousand per request, and once per path."""
        path = self._strip_protocol(path).rstrip("/")
        if path not in self._listed:
            prefix = f"{self._key(path)}/" if self._key(path) else ""
            names = []
            with s3_errors(f"s3://{path}", self._endpoint):
                pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
                for entry in (entry for page in pages for entry in page.get("Contents", [])):
                    names.append(f"{self._bucket}/{entry['Key']}")
                    self._remember(names[-1], entry["Size"], entry["LastModified"])
            self._listed[path] = names
        names = self._listed[path]
        return {name: self._known[name] for name in names} if detail else list(names)

    def modified(self, path: str) -> dt.datetime:
        """When an object was written."""
        written: dt.datetime = self.info(path)["modified"]
        return written

    def read_range(self, path: str, start: int, end: int) -> bytes:
        """Bytes `start` to `end` (not included) of an object."""
        with s3_errors(f"s3://{path}", self._endpoint):
            for attempt in range(_READS):
                try:
                    answer = self._client.get_object(
                        Bucket=self._bucket, Key=self._key(path), Range=f"bytes={start}-{end - 1}"
                    )
                    data: bytes = answer["Body"].read()
                except UNREACHED:
                    # botocore repeats a request, but not one whose answer breaks off.
                    if attempt == _READS - 1:
                        raise
                else:
                    return data
        raise AssertionError  # the last attempt returns or raises

    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> "BucketFile":
        if mode != "rb":
            raise ValueError("Files of a bucket are opened for reading only.")
        return BucketFile(
            self,
            path,
            size=self.info(path)["size"],
            block_size=_BLOCK_BYTES,
            cache_type="blockcache",
            cache_options={"maxblocks": _BLOCKS_KEPT},
        )

    def _key(self, path: str) -> str:
        return path.partition("/")[2]

    def _remember(self, path: str, size: int, modified: dt.datetime) -> None:
        self._known[path] = {"name": path, "size": size, "type": "file", "modified": modified}


class BucketFile(AbstractBufferedFile):
    """One object, read where it is asked for."""

    def _fetch_range(self, start: int, end: int) -> bytes:
        data: bytes = self.fs.read_range(self.path, start, end)
        return data
