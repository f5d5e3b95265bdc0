"""What the raw zone asks of a store, and a folder as one: files appear whole or not at all.

Knows nothing of days, tables or Parquet.
"""

import datetime as dt
import errno
import fcntl
import hashlib
import io
import logging
import os
import secrets
import socket
import time
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Protocol

from oms_pipeline.errors import RawZoneError, TransientRawZoneError

log = logging.getLogger(__name__)

_LOCK: Final = ".landing.lock"
_POLL_SECONDS: Final = 0.1
_UNFINISHED: Final = ".unfinished"
# A network share that stalls or a disk that is busy may answer later; a full or read-only one will not.
_TRANSIENT: Final = {errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.EIO, errno.ESTALE, errno.ETIMEDOUT}


class Store(Protocol):
    """Files named by paths with forward slashes, in one place.

    Every method raises RawZoneError for what the user has to mend, and TransientRawZoneError for what may go well when
    it is done again.
    """

    def url(self, path: str) -> str:
        """Where a file lies, as a warehouse reads it."""

    def filesystem(self) -> Any | None:
        """An fsspec file system that reads `url(...)`; None where everybody can read it."""

    def open(self, path: str) -> IO[bytes]:
        """A file to read from, at any place.

        Raises:
            FileNotFoundError: There is none.
        """

    def create(self, path: str) -> AbstractContextManager["HashingFile"]:
        """A file to write, which appears under `path` only when the block ends without an error."""

    def write_text(self, path: str, text: str, over: str | None = None) -> None:
        """Writes a small file in one step, if there is what is expected: `over`, or nothing."""

    def read_text(self, path: str) -> str | None:
        """A small file's text, or None if there is none."""

    def sha256(self, path: str) -> tuple[int, str] | None:
        """A file's size in bytes and SHA-256, or None if there is none."""

    def files(self, prefix: str) -> list[str]:
        """Every file below a prefix, sorted."""

    def folders(self, prefix: str) -> list[str]:
        """Names of the folders right below a prefix, sorted."""

    def delete(self, path: str) -> None:
        """Deletes a file; it may be gone already."""

    def sweep(self, prefix: str, keep: Collection[str]) -> list[str]:
        """Deletes everything below a prefix but the given files, what is unfinished included; says what it was."""

    def lock(self) -> AbstractContextManager[None]:
        """Only one process at a time is inside; the others wait. A killed process lets go."""

    def check(self) -> None:
        """Writes, reads and deletes a file."""

    def safety(self) -> tuple[bool, str] | None:
        """Whether what is deleted by mistake can be brought back, and a remedy if not; None where nobody can tell."""


@dataclass(frozen=True)
class FolderStore:
    """Files below one folder, named by paths with forward slashes.

    Attributes:
        root: The folder; made when first written to.
        lock_timeout: How long to wait for another run that lands.
    """

    root: Path
    lock_timeout: dt.timedelta = dt.timedelta(minutes=15)

    def url(self, path: str) -> str:
        """Where a file lies, as a warehouse reads it."""
        return str(self.root / path)

    def filesystem(self) -> None:
        """None: everybody can read a folder."""

    def open(self, path: str) -> IO[bytes]:
        """A file to read from, at any place.

        Raises:
            FileNotFoundError: There is none.
        """
        return (self.root / path).open("rb")

    @contextmanager
    def create(self, path: str) -> Iterator["HashingFile"]:
        """A file to write, which appears under `path` only when the block ends without an error.

        Raises:
            RawZoneError: The folder cannot be written, or is full.
        """
        target = self.root / path
        unfinished = target.with_name(f".{target.name}.{secrets.token_hex(4)}{_UNFINISHED}")
        with self._errors():
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with unfinished.open("wb") as file:
                    sink = HashingFile(file)
                    yield sink
                    file.flush()
                    os.fsync(file.fileno())
                unfinished.replace(target)
            finally:
                unfinished.unlink(missing_ok=True)

    def write_text(self, path: str, text: str, over: str | None = None) -> None:
        """Writes a small file in one step, if there is what is expected: `over`, or nothing."""
        if self.read_text(path) != over:
            raise changed_meanwhile(self.url(path))
        with self.create(path) as file:
            file.write(text.encode())

    def read_text(self, path: str) -> str | None:
        """A small file's text, or None if there is none."""
        with self._errors():
            try:
                return (self.root / path).read_text(encoding="utf-8")
            except FileNotFoundError:
                return None
            except UnicodeDecodeError:
                raise RawZoneError(
                    f"{self.url(path)} is not a text file. Delete it, and run its day again to read it anew."
                ) from None

    def sha256(self, path: str) -> tuple[int, str] | None:
        """A file's size and SHA-256, or None if there is none."""
        with self._errors():
            try:
                with (self.root / path).open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256")
                    return file.tell(), digest.hexdigest()
            except FileNotFoundError:
                return None

    def files(self, prefix: str) -> list[str]:
        """Every file below a prefix, unfinished ones included."""
        folder = self.root / prefix
        return sorted(path.relative_to(self.root).as_posix() for path in folder.rglob("*") if path.is_file())

    def folders(self, prefix: str) -> list[str]:
        """Names of the folders right below a prefix, sorted."""
        folder = self.root / prefix
        with self._errors():
            return sorted(entry.name for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []

    def delete(self, path: str) -> None:
        """Deletes a file; it may be gone already."""
        with self._errors():
            (self.root / path).unlink(missing_ok=True)

    def sweep(self, prefix: str, keep: Collection[str]) -> list[str]:
        """Deletes every file below a prefix but the given ones, unfinished ones included; says which."""
        stray = [path for path in self.files(prefix) if path not in keep]
        for path in stray:
            self.delete(path)
        return stray

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Only one process at a time is inside; the others wait. A killed process lets go.

        Raises:
            RawZoneError: Another run holds it for longer than `lock_timeout`; the text says which.
        """
        with self._errors():
            self.root.mkdir(parents=True, exist_ok=True)
            lock = (self.root / _LOCK).open("a+")
        with lock:
            with self._errors():
                self._wait_for(lock)
            yield

    def _wait_for(self, lock: IO[str]) -> None:
        """Waits for the lock, and writes into its file who has it from now on."""
        started = time.monotonic()
        told = False
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                holder = self.read_text(_LOCK) or "another run"
            if time.monotonic() - started >= self.lock_timeout.total_seconds():
                raise RawZoneError(
                    f"{self.url(_LOCK)} is held by {holder}; waited {self.lock_timeout}. "
                    "Wait for its run to end, and try again."
                )
            if not told:
                log.info("Waiting to land: the raw zone is held by %s", holder)
                told = True
            time.sleep(_POLL_SECONDS)
        with suppress(OSError):  # of a full disk whoever writes rows will tell
            os.ftruncate(lock.fileno(), 0)
            os.write(lock.fileno(), f"{socket.gethostname()}, process {os.getpid()}".encode())

    def check(self) -> None:
        """Writes, reads and deletes a file.

        Raises:
            RawZoneError: One of them failed.
        """
        probe = f".check-{secrets.token_hex(4)}"
        self.write_text(probe, probe)
        try:
            if self.read_text(probe) != probe:
                raise RawZoneError(f"The raw zone {self.root} does not return what was written. Check the disk.")
        finally:
            with suppress(RawZoneError):
                self.delete(probe)

    def safety(self) -> None:
        """None: whether a folder is backed up cannot be seen from here."""

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise RawZoneError(
                    f"The raw zone {self.root} is full. Free some space, or set OMS_RAW_URL to a larger disk."
                ) from error
            kind = TransientRawZoneError if error.errno in _TRANSIENT else RawZoneError
            raise kind(
                f"The raw zone {self.root} cannot be used: {error.strerror}. "
                "Make the folder writable for this user, or set OMS_RAW_URL to another."
            ) from error


def changed_meanwhile(place: str) -> TransientRawZoneError:
    """Another process has written, or deleted, what was to be replaced."""
    return TransientRawZoneError(f"{place} was changed by another run meanwhile. It is kept; run the day again.")


class HashingFile(io.RawIOBase):
    """A file to write to that keeps the size and SHA-256 of what was written; the store closes the file itself."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        """True."""
        return True

    def write(self, data: Any) -> int:
        """Writes all of `data`, any object with the buffer protocol."""
        self._digest.update(data)
        self.size += memoryview(data).nbytes
        self._file.write(data)
        return memoryview(data).nbytes

    @property
    def sha256(self) -> str:
        """SHA-256 of everything written so far."""
        return self._digest.hexdigest()
