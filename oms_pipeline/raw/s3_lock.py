"""A lock that is an object in a bucket. Knows nothing of what it guards."""

import datetime as dt
import json
import logging
import os
import secrets
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from threading import Event, Lock, Thread
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from oms_pipeline.errors import RawZoneError, TransientRawZoneError
from oms_pipeline.raw.s3_client import error_code

log = logging.getLogger(__name__)

OTHERS_WERE_FIRST: Final = {"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey", "412", "409", "404"}
_BEATS_PER_LEASE: Final = 6
_POLL_SECONDS: Final = 0.5


@dataclass
class S3Lock:
    """Lets in one process at a time, on any machine.

    S3 has no locks; it has writes that succeed only if the object is absent (If-None-Match) or still the one that was
    read (If-Match). Whoever's write succeeds is inside. The holder writes the object anew several times per lease; one
    that has died stops doing so, and when its object is older than the lease, the next in line replaces it. Age is told
    by S3's clock alone (`Date` less `Last-Modified`), so that clocks which differ between machines do no harm. The
    object stays when the lock is free and says so: a conditional delete is not known everywhere.

    Attributes:
        client: A client of S3.
        bucket: Bucket name.
        key: The lock object's key.
        lease: How old the object of a holder that lives can be at most.
        timeout: How long to wait for the lock.
        options: What each write of the object asks of S3 besides, such as its encryption.
        lost: Set when another has taken the lock over because this process was stopped for longer than the lease.
    """

    client: Any
    bucket: str
    key: str
    lease: dt.timedelta
    timeout: dt.timedelta
    options: Mapping[str, str] = field(default_factory=dict)
    lost: Event = field(default_factory=Event)
    _token: str = field(default_factory=lambda: secrets.token_hex(8))
    _etag: str = ""
    _written: tuple[float, float] = (0.0, 0.0)
    _renewing: Any = field(default_factory=Lock, repr=False)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Waits for the lock, keeps it alive while the block runs, and frees it.

        Raises:
            RawZoneError: Another holds it for longer than `timeout`; the text says who.
        """
        self._wait()
        done = Event()
        heart = Thread(target=self._beat, args=(done,), name="s3 lock", daemon=True)
        heart.start()
        try:
            yield
        finally:
            done.set()
            heart.join()
            if not self.lost.is_set():
                self._free()

    def try_out(self) -> None:
        """Takes the lock and frees it at once; where another holds it, that shows as much."""
        if self._take() is None:
            self._free()

    def assure(self) -> None:
        """Makes sure that the lock is still this process's, before it does what cannot be taken back.

        Asks S3 only if no beat got through for half a lease: this process, or its machine, may have been asleep, and
        wake up here before its heart does.

        Raises:
            TransientRawZoneError: Another has taken the lock over.
        """
        # The clock that stands still while a machine sleeps, and the one that may be set: whichever went further.
        age = max(time.time() - self._written[0], time.monotonic() - self._written[1])
        if age >= self.lease.total_seconds() / 2:
            self._renew()
        if self.lost.is_set():
            raise TransientRawZoneError(
                f"s3://{self.bucket}/{self.key} was taken over by another run while this one stood still. "
                "Run the day again."
            )

    def _wait(self) -> None:
        started = time.monotonic()
        told = False
        while (holder := self._take()) is not None:
            if time.monotonic() - started >= self.timeout.total_seconds():
                raise RawZoneError(
                    f"s3://{self.bucket}/{self.key} is held by {holder}; waited {self.timeout}. "
                    "Wait for its run to end, and try again."
                )
            if not told:
                log.info("Waiting to land: the raw zone is held by %s", holder)
                told = True
            time.sleep(_POLL_SECONDS)

    def _take(self) -> str | None:
        """Takes the lock; if another holds it, says who."""
        state, etag, age = self._look()
        if state.get("token") == self._token:
            # The write got through and its answer did not: the repeated one found the lock taken, by ourselves.
            self._etag = etag
            return None
        if state.get("held") and age < self.lease:
            return str(state.get("holder"))
        try:
            self._write(True, {"IfMatch": etag} if etag else {"IfNoneMatch": "*"})
        except ClientError as error:
            if error_code(error) not in OTHERS_WERE_FIRST:
                raise
            return "another run"
        return None

    def _look(self) -> tuple[dict[str, Any], str, dt.timedelta]:
        """What the lock object says, its ETag and its age; without one, nothing."""
        try:
            answer = self.client.get_object(Bucket=self.bucket, Key=self.key)
        except ClientError as error:
            if error_code(error) != "NoSuchKey":
                raise
            return {}, "", dt.timedelta()
        date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        now = parsedate_to_datetime(date) if date else dt.datetime.now(dt.UTC)
        try:
            state = json.loads(answer["Body"].read())
        except ValueError:
            state = {}
        return state if isinstance(state, dict) else {}, answer["ETag"], now - answer["LastModified"]

    def _write(self, held: bool, condition: dict[str, str]) -> None:
        holder = f"{socket.gethostname()}, process {os.getpid()}"
        # Every write differs, so that each has an ETag of its own.
        state = {"held": held, "holder": holder, "token": self._token, "beat": secrets.token_hex(4)}
        body = json.dumps(state).encode()
        now = time.time(), time.monotonic()
        answer = self.client.put_object(Bucket=self.bucket, Key=self.key, Body=body, **self.options, **condition)
        self._etag, self._written = answer["ETag"], now

    def _beat(self, done: Event) -> None:
        while not self.lost.is_set() and not done.wait(self.lease.total_seconds() / _BEATS_PER_LEASE):
            # The next beat may get through; if none does in time, the one after it finds the lock lost.
            with suppress(ClientError, BotoCoreError):
                self._renew()

    def _renew(self) -> None:
        """Writes the object anew, or notes that it is another's by now."""
        with self._renewing:
            try:
                self._write(True, {"IfMatch": self._etag})
            except ClientError as error:
                if error_code(error) not in OTHERS_WERE_FIRST:
                    raise
                state, etag, _ = self._look()
                if state.get("token") != self._token:
                    self.lost.set()
                    return
                # An earlier write got through and its answer did not.
                self._write(True, {"IfMatch": etag})

    def _free(self) -> None:
        try:
            self._write(False, {"IfMatch": self._etag})
        except (ClientError, BotoCoreError) as error:
            # What was done under the lock is done; the next in line waits for the lease to end.
            log.warning("The lock %s could not be freed (%s); it frees itself in %s", self.key, error, self.lease)
