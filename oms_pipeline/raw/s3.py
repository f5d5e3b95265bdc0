"""A prefix of an S3 bucket as the raw zone's store. Knows nothing of days, tables or Parquet."""

import datetime as dt
import errno
import hashlib
import secrets
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import IO, Any, Final

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from oms_pipeline.errors import RawZoneError
from oms_pipeline.raw.s3_client import ATTEMPTS, error_code, make_client, s3_errors
from oms_pipeline.raw.s3_files import BucketFiles
from oms_pipeline.raw.s3_lock import OTHERS_WERE_FIRST, S3Lock
from oms_pipeline.raw.store import HashingFile, changed_meanwhile
from oms_pipeline.settings import s3_encryption_options

LEASE: Final = dt.timedelta(minutes=1)
_LOCK: Final = ".landing.lock"
_SHA256: Final = "sha256"
_DELETED_AT_ONCE: Final = 1000
_PART_BYTES: Final = 16 * 1024 * 1024
_ATTEMPTS_WHERE_SOMEBODY_WAITS: Final = 2


@dataclass(frozen=True)
class S3Store:
    """Objects below one prefix, named by paths with forward slashes.

    Credentials and region come by the standard AWS chain. A request is repeated with growing pauses when S3 throttles
    or fails; what still fails then raises TransientRawZoneError. What will fail again raises RawZoneError.

    Attributes:
        bucket: Bucket name.
        prefix: Where the raw zone begins, without slashes at its ends; empty for the whole bucket.
        endpoint: Address of an S3-compatible server; None for AWS.
        encryption: `AES256`, `aws:kms`, `aws:kms:<key id>`; None for the bucket's own default.
        lock_timeout: How long to wait for another run that lands.
        lease: After how long a run that died while landing lets go.
        attempts: How often a request is sent.
    """

    bucket: str
    prefix: str = ""
    endpoint: str | None = None
    encryption: str | None = None
    lock_timeout: dt.timedelta = dt.timedelta(minutes=15)
    lease: dt.timedelta = LEASE
    attempts: int = ATTEMPTS
    _held: list[S3Lock] = field(default_factory=list, init=False, repr=False, compare=False)

    @cached_property
    def client(self) -> Any:
        """A client of S3, made when first asked for."""
        with self._errors():
            return make_client(self.endpoint, self.attempts)

    def url(self, path: str) -> str:
        """Where an object lies, as a warehouse reads it."""
        return f"s3://{self.bucket}/{self._key(path)}"

    def filesystem(self) -> BucketFiles:
        """What reads `url(...)`, for a warehouse that knows no S3 itself."""
        return BucketFiles(self.client, self.bucket, self.endpoint)

    def open(self, path: str) -> IO[bytes]:
        """An object to read from, at any place.

        Raises:
            FileNotFoundError: There is none.
        """
        file: IO[bytes] = self.filesystem().open(self.url(path))
        return file

    @contextmanager
    def create(self, path: str) -> Iterator[HashingFile]:
        """A file to write, which appears under `path` only when the block ends without an error.

        It is written to this machine first: its hash belongs in the object's metadata, which S3 takes before the first
        byte. A multipart upload shows nothing until it is complete, and one that fails is aborted; should that fail
        too, or the process be killed, `sweep` aborts it.

        Raises:
            RawZoneError: The bucket cannot be written, this machine's temporary folder is full, or the lock has been
                lost to another run.
        """
        with self._errors(), _local_errors(), tempfile.TemporaryFile(prefix="oms-") as file:
            sink = HashingFile(file)
            yield sink
            file.seek(0)
            self._check_lock()
            self.client.upload_fileobj(
                file,
                self.bucket,
                self._key(path),
                # S3 itself checks what arrives, part by part, against a checksum of what was sent.
                ExtraArgs={
                    "Metadata": {_SHA256: sink.sha256},
                    "ChecksumAlgorithm": "CRC32",
                    **s3_encryption_options(self.encryption),
                },
                # The classic client is the one that aborts what it has begun and takes the client's retries.
                Config=TransferConfig(
                    multipart_threshold=_PART_BYTES,
                    multipart_chunksize=_PART_BYTES,
                    max_concurrency=4,
                    preferred_transfer_client="classic",
                ),
            )

    def write_text(self, path: str, text: str, over: str | None = None) -> None:
        """Writes a small object in one step, if there is what is expected: `over`, or nothing.

        S3 itself looks, in the same step: a process that slept in between replaces nothing of another's.
        """
        condition = {"IfNoneMatch": "*"}
        if over is not None:
            there, etag = self._get(path) or ("", "")
            if there != over:
                raise changed_meanwhile(self.url(path))
            condition = {"IfMatch": etag}
        data = text.encode()
        with self._errors():
            self._check_lock()
            try:
                self.client.put_object(
                    Bucket=self.bucket,
                    Key=self._key(path),
                    Body=data,
                    Metadata={_SHA256: hashlib.sha256(data).hexdigest()},
                    ChecksumAlgorithm="CRC32",
                    **s3_encryption_options(self.encryption),
                    **condition,
                )
            except ClientError as error:
                if error_code(error) not in OTHERS_WERE_FIRST:
                    raise
                # Or the write got through, its answer did not, and the repeated one found what it had written itself.
                if self.read_text(path) != text:
                    raise changed_meanwhile(self.url(path)) from None

    def read_text(self, path: str) -> str | None:
        """A small object's text, or None if there is none."""
        found = self._get(path)
        return None if found is None else found[0]

    def sha256(self, path: str) -> tuple[int, str] | None:
        """An object's size and SHA-256, or None if there is none.

        The hash is the one its writer has computed: S3 keeps an object as it was written, with checks of its own. An
        object that carries none, restored from elsewhere for instance, is read and hashed.
        """
        with self._errors():
            try:
                head = self.client.head_object(Bucket=self.bucket, Key=self._key(path))
            except ClientError as error:
                if error_code(error) not in ("404", "NoSuchKey"):
                    raise
                return None
            if digest := head["Metadata"].get(_SHA256):
                return head["ContentLength"], digest
        with self.open(path) as file:
            return head["ContentLength"], hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]

    def files(self, prefix: str) -> list[str]:
        """Every object below a prefix."""
        below = self._key(f"{prefix}/" if prefix else "")
        with self._errors():
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=below)
            keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        # Some tools make an empty object for a folder.
        return sorted(self._path(key) for key in keys if not key.endswith("/"))

    def folders(self, prefix: str) -> list[str]:
        """Names of the folders right below a prefix, sorted."""
        below = self._key(f"{prefix}/" if prefix else "")
        with self._errors():
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=below, Delimiter="/"
            )
            found = [entry["Prefix"] for page in pages for entry in page.get("CommonPrefixes", [])]
        return sorted(name.removeprefix(below).rstrip("/") for name in found)

    def delete(self, path: str) -> None:
        """Deletes an object; it may be gone already."""
        with self._errors():
            self.client.delete_object(Bucket=self.bucket, Key=self._key(path))

    def sweep(self, prefix: str, keep: Collection[str]) -> list[str]:
        """Deletes every object below a prefix but the given ones, and aborts unfinished uploads; says what it was."""
        stray = [path for path in self.files(prefix) if path not in keep]
        with self._errors():
            self._check_lock()
            for start in range(0, len(stray), _DELETED_AT_ONCE):
                batch = [{"Key": self._key(path)} for path in stray[start : start + _DELETED_AT_ONCE]]
                answer = self.client.delete_objects(Bucket=self.bucket, Delete={"Objects": batch, "Quiet": True})
                if errors := answer.get("Errors"):
                    raise ClientError({"Error": errors[0]}, "DeleteObjects")
            uploads = self.client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self.bucket, Prefix=self._key(f"{prefix}/")
            )
            for upload in [upload for page in uploads for upload in page.get("Uploads", [])]:
                self.client.abort_multipart_upload(Bucket=self.bucket, Key=upload["Key"], UploadId=upload["UploadId"])
                stray.append(self._path(upload["Key"]))
        return stray

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Only one process at a time is inside, on whichever machine; the others wait.

        A killed process lets go when its lease ends; see `S3Lock` for how. A process that was stopped for so long that
        another went in writes nothing more.

        Raises:
            TransientRawZoneError: The lock was lost while the block ran.
            RawZoneError: Another run holds it for longer than `lock_timeout`.
        """
        with self._errors():
            lock = self._lock()
            with lock.held():
                self._held.append(lock)
                try:
                    yield
                    lock.assure()
                finally:
                    self._held.remove(lock)

    def check(self) -> None:
        """Lists, writes, reads and deletes an object, and takes the lock.

        Raises:
            RawZoneError: One of them failed; the text says which.
        """
        probe = f".check-{secrets.token_hex(4)}"
        hasty = replace(self, attempts=min(self.attempts, _ATTEMPTS_WHERE_SOMEBODY_WAITS))
        hasty.folders("")
        hasty.write_text(probe, probe)
        try:
            found = hasty.read_text(probe)
        finally:
            hasty.delete(probe)
        if found != probe:
            raise RawZoneError(f"{self.url('')} does not return what was written. Check the server.")
        with hasty._errors():
            hasty._lock().try_out()

    def safety(self) -> tuple[bool, str]:
        """Whether the bucket keeps what is overwritten or deleted, and what to do if it does not."""
        command = f"aws s3api put-bucket-versioning --bucket {self.bucket} --versioning-configuration Status=Enabled"
        try:
            with self._errors():
                status = self.client.get_bucket_versioning(Bucket=self.bucket).get("Status")
        except RawZoneError as error:
            return False, f"whether the bucket keeps old versions cannot be seen. {error}"
        if status == "Enabled":
            return True, f"bucket {self.bucket} keeps old versions"
        return False, f"bucket {self.bucket} keeps no old versions, what is deleted by mistake is gone. Run: {command}"

    def _key(self, path: str) -> str:
        return f"{self.prefix}/{path}" if self.prefix else path

    def _path(self, key: str) -> str:
        return key.removeprefix(f"{self.prefix}/") if self.prefix else key

    def _get(self, path: str) -> tuple[str, str] | None:
        """A small object's text and ETag."""
        with self._errors():
            try:
                answer = self.client.get_object(Bucket=self.bucket, Key=self._key(path))
                data: bytes = answer["Body"].read()
            except ClientError as error:
                if error_code(error) != "NoSuchKey":
                    raise
                return None
        try:
            return data.decode(), answer["ETag"]
        except UnicodeDecodeError:
            raise RawZoneError(
                f"{self.url(path)} is not a text file. Delete it, and run its day again to read it anew."
            ) from None

    def _lock(self) -> S3Lock:
        return S3Lock(
            self.client,
            self.bucket,
            self._key(_LOCK),
            self.lease,
            self.lock_timeout,
            s3_encryption_options(self.encryption),
        )

    def _check_lock(self) -> None:
        for lock in self._held:
            lock.assure()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        with s3_errors(self.url("").rstrip("/"), self.endpoint):
            yield


@contextmanager
def _local_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = "is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else f"cannot be used: {error.strerror}"
        raise RawZoneError(
            f"The temporary folder {tempfile.gettempdir()} {reason}. Free some space, or set TMPDIR to a larger disk."
        ) from error
