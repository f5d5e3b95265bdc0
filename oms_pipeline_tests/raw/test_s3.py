"""The bucket under the raw zone: as whole as a folder, and honest about everything S3 can answer."""

import datetime as dt
import hashlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from oms_pipeline.errors import OmsError, RawZoneError, TransientRawZoneError
from oms_pipeline.raw import RawZone
from oms_pipeline.raw.s3 import S3Store
from oms_pipeline.source import PostgresSource
from oms_pipeline_tests.raw.bucket import LOGIN, Bucket, Failure, Proxy
from oms_pipeline_tests.raw.conftest import InBucket
from oms_pipeline_tests.source.real_oms import SCHEMA, Oms

DAY = dt.date(2026, 3, 2)
FOLDER = "raw/year=2026/month=03/day=02"
PART = 16 * 1024 * 1024
NOWHERE = PostgresSource("postgresql://nobody@127.0.0.1:1/nothing", SCHEMA, dt.timedelta(seconds=1), dt.timedelta())


@pytest.fixture
def store(bucket: Bucket, proxy: Proxy) -> S3Store:
    """A store that sends each request twice at most, through the proxy."""
    return S3Store(bucket.name, "raw", proxy.endpoint, attempts=2)


@pytest.fixture
def landing(oms: Oms, store: S3Store, tmp_path: Path) -> InBucket:
    oms.order(1, "2026-03-02 10:00+00", lines=3)
    return InBucket(oms, tmp_path, bucket_store=store)


def one_line(error: pytest.ExceptionInfo[OmsError]) -> str:
    assert "\n" not in str(error.value)
    assert LOGIN["AWS_SECRET_ACCESS_KEY"] not in str(error.value)
    return str(error.value)


def test_a_large_file_is_uploaded_in_parts_with_its_hash_and_a_checksum(store: S3Store, bucket: Bucket) -> None:
    data = bytes(range(256)) * 4096 * 40
    with store.create("a.parquet") as file:
        file.write(data)
        assert bucket.keys() == []
    head = bucket.head("raw/a.parquet")
    assert head["Metadata"] == {"sha256": hashlib.sha256(data).hexdigest()}
    assert head["ChecksumCRC32"]
    assert head["ETag"].endswith('-3"'), "three parts"
    assert bucket.get("raw/a.parquet") == data


@pytest.mark.parametrize(
    ("encryption", "shown"),
    [
        (None, (None, None)),
        ("AES256", ("AES256", None)),
        ("aws:kms", ("aws:kms", None)),
        ("aws:kms:alias/oms", ("aws:kms", "alias/oms")),
    ],
)
@pytest.mark.parametrize("size", [10, PART + 1], ids=["at once", "in parts"])
def test_files_are_encrypted_as_asked(
    store: S3Store, bucket: Bucket, encryption: str | None, shown: tuple[str | None, str | None], size: int
) -> None:
    with replace(store, encryption=encryption).create("a") as file:
        file.write(b"x" * size)
    head = bucket.head("raw/a")
    assert (head.get("ServerSideEncryption"), head.get("SSEKMSKeyId")) == shown


def test_a_bucket_that_refuses_what_is_not_encrypted_is_landed_in(
    landing: InBucket, bucket: Bucket, proxy: Proxy
) -> None:
    refused = [
        Failure(method, "raw/", 403, "AccessDenied", unless="x-amz-server-side-encryption")
        for method in ("PUT", "POST")
    ]
    encrypted = replace(landing.store, encryption="aws:kms:alias/oms")
    proxy.fail(*refused)
    encrypted.check()
    manifest = replace(landing, bucket_store=encrypted).land("2026-03-02")
    assert manifest.files["orders"].rows == 1
    assert bucket.head("raw/.landing.lock")["SSEKMSKeyId"] == "alias/oms"


def test_a_file_that_came_without_its_hash_is_hashed(store: S3Store, bucket: Bucket) -> None:
    bucket.put("raw/restored", b"bytes")
    assert store.sha256("restored") == (5, hashlib.sha256(b"bytes").hexdigest())


def test_a_store_without_a_prefix_is_the_whole_bucket(bucket: Bucket) -> None:
    store = S3Store(bucket.name, endpoint=bucket.endpoint)
    store.write_text("a/b", "text")
    assert bucket.keys() == ["a/b"]
    assert store.url("a/b") == f"s3://{bucket.name}/a/b"
    assert (store.files(""), store.folders(""), store.read_text("a/b")) == (["a/b"], ["a"], "text")


def test_more_files_than_one_request_can_name_are_swept(
    store: S3Store, bucket: Bucket, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oms_pipeline.raw.s3._DELETED_AT_ONCE", 3)
    for n in range(7):
        bucket.put(f"raw/day/{n}", b"")
    assert store.sweep("day", {"day/0", "day/1"}) == [f"day/{n}" for n in range(2, 7)]
    assert bucket.keys() == ["raw/day/0", "raw/day/1"]
    assert len([request for request in proxy.asked if request.startswith("POST")]) == 2


def test_a_file_that_may_not_be_swept_is_told(store: S3Store, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.put("raw/day/a", b"")
    denied = {"Errors": [{"Key": "raw/day/a", "Code": "AccessDenied", "Message": "Access Denied"}]}
    monkeypatch.setattr(store.client, "delete_objects", lambda **_: denied)  # S3 answers 200 to that
    with pytest.raises(RawZoneError, match=r"is denied \(DeleteObjects\)"):
        store.sweep("day", [])


BREAKS = {
    "a part breaks off": Failure("PUT", "partNumber=2", 0),
    "completing fails": Failure("POST", "uploadId=", 500, "InternalError"),
    "S3 throttles": Failure("PUT", "partNumber", 503, "SlowDown"),
}


@pytest.mark.parametrize("failure", BREAKS.values(), ids=BREAKS)
def test_an_upload_that_fails_in_the_middle_leaves_no_file_and_no_upload(
    store: S3Store, bucket: Bucket, proxy: Proxy, failure: Failure
) -> None:
    proxy.fail(failure)
    with pytest.raises(TransientRawZoneError) as error, store.create("a.parquet") as file:
        file.write(b"x" * (2 * PART))
    assert one_line(error).startswith(f"s3://{bucket.name}/raw ")
    assert (bucket.keys(), bucket.uploads()) == ([], [])

    proxy.fail()
    with store.create("a.parquet") as file:
        file.write(b"x" * (2 * PART))
    assert store.sha256("a.parquet") == (file.size, file.sha256)


def test_an_upload_that_cannot_even_be_aborted_shows_nothing_and_is_swept(
    store: S3Store, bucket: Bucket, proxy: Proxy
) -> None:
    proxy.fail(BREAKS["a part breaks off"], Failure("DELETE", "uploadId", 503, "SlowDown"))
    with pytest.raises(TransientRawZoneError), store.create("day/a.parquet") as file:
        file.write(b"x" * (2 * PART))
    assert (bucket.keys(), bucket.uploads()) == ([], ["raw/day/a.parquet"])
    proxy.fail()
    assert store.sweep("day", []) == ["day/a.parquet"]
    assert bucket.uploads() == []


@pytest.mark.parametrize("status", [0, 503], ids=["breaks off", "throttles"])
def test_what_fails_once_is_repeated_and_nobody_notices(
    store: S3Store, bucket: Bucket, proxy: Proxy, status: int
) -> None:
    once = [Failure(method, "raw", status, "SlowDown", times=1) for method in ("PUT", "GET", "HEAD")]
    proxy.fail(*once)
    store.write_text("a", "text")
    assert store.read_text("a") == "text"
    assert store.sha256("a") == (4, hashlib.sha256(b"text").hexdigest())
    assert len(proxy.asked) == 6


def test_an_answer_that_breaks_off_is_asked_for_again(store: S3Store, bucket: Bucket, proxy: Proxy) -> None:
    bucket.put("raw/a", b"0123456789" * 1000)
    proxy.fail(Failure("GET", "raw/a", 1, times=2))
    with store.open("a") as file:
        file.seek(5)
        assert file.read(10) == b"5678901234"
    proxy.fail(Failure("GET", "raw/a", 1))
    with pytest.raises(TransientRawZoneError), store.open("a") as file:
        file.read(10)


ANSWERS = [
    (403, "AccessDenied", "is denied (PutObject). Grant it to the role or user"),
    (400, "ExpiredToken", "have expired. Log in anew"),
    (403, "InvalidAccessKeyId", "are refused (InvalidAccessKeyId). Check AWS_PROFILE"),
    (403, "SignatureDoesNotMatch", "are refused (SignatureDoesNotMatch). Check AWS_PROFILE"),
    (403, "RequestTimeTooSkewed", "clock is wrong"),
    (404, "NoSuchBucket", "There is no bucket oms-data"),
    (501, "NotImplemented", "refuses PutObject: NotImplemented (Made for a test)"),
]


@pytest.mark.parametrize(("status", "code", "told"), ANSWERS, ids=[code for _, code, _ in ANSWERS])
def test_what_will_fail_again_is_told_with_its_remedy_and_lands_nothing(
    landing: InBucket, bucket: Bucket, proxy: Proxy, status: int, code: str, told: str
) -> None:
    proxy.fail(Failure("PUT", "parquet", status, code))
    with pytest.raises(RawZoneError) as error:
        landing.land("2026-03-02")
    assert told in one_line(error)
    assert not isinstance(error.value, TransientRawZoneError)
    assert (bucket.keys(), bucket.uploads(), landing.zone.days()) == ([], [], [])
    proxy.fail()
    landing.zone.verify(landing.land("2026-03-02"))


def test_credentials_that_expire_in_the_middle_of_a_day_land_no_day_and_fresh_ones_heal_it(
    landing: InBucket, bucket: Bucket, proxy: Proxy
) -> None:
    proxy.fail(Failure("PUT", "orders|payments|_manifest", 400, "ExpiredToken"))
    with pytest.raises(RawZoneError, match="have expired"):
        landing.land("2026-03-02")
    assert bucket.keys() != []
    assert landing.zone.days() == []

    proxy.fail()
    manifest = landing.land("2026-03-02")
    assert set(bucket.keys()) == {f"raw/{file.path}" for file in manifest.files.values()} | {f"{FOLDER}/_manifest.json"}
    assert manifest.files["order_items"].rows == 3


@pytest.mark.slow
@pytest.mark.parametrize("part", ["orders/.*parquet", "_manifest"])
def test_a_bucket_that_throttles_for_too_long_lands_no_day_and_the_next_try_does(
    landing: InBucket, bucket: Bucket, proxy: Proxy, part: str
) -> None:
    proxy.fail(Failure("PUT", part, 503, "SlowDown"))
    with pytest.raises(TransientRawZoneError, match=r"too busy to answer \(SlowDown to PutObject\)\. Run again later"):
        landing.land("2026-03-02")
    assert landing.zone.days() == []
    proxy.fail()
    landing.zone.verify(landing.land("2026-03-02"))
    assert landing.zone.days() == [DAY]


def test_a_bucket_that_is_not_there_is_told_before_the_source_is_read(landing: InBucket, store: S3Store) -> None:
    missing = replace(landing, bucket_store=replace(store, bucket="nothing-here"))
    with pytest.raises(RawZoneError) as error:
        missing.land("2026-03-02", source=NOWHERE)
    assert one_line(error) == (
        f"There is no bucket nothing-here at {store.endpoint}. Create it, or set OMS_RAW_URL to another."
    )
    with pytest.raises(RawZoneError, match="There is no bucket"):
        missing.store.check()


def test_a_server_that_is_not_there_is_told(store: S3Store) -> None:
    with pytest.raises(TransientRawZoneError) as error:
        replace(store, endpoint="http://127.0.0.1:1").check()
    assert "cannot be reached at http://127.0.0.1:1" in one_line(error)
    assert "OMS_S3_ENDPOINT" in one_line(error)


def test_missing_credentials_are_told(store: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as environment:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            environment.delenv(name)
        with pytest.raises(RawZoneError, match=r"There are no credentials for s3://oms-data/raw\. Set AWS_PROFILE"):
            store.check()
        environment.setenv("AWS_PROFILE", "of-nobody")
        with pytest.raises(RawZoneError, match="There are no credentials"):
            replace(store).check()


def test_a_store_never_shows_credentials(store: S3Store) -> None:
    store.check()
    assert LOGIN["AWS_SECRET_ACCESS_KEY"] not in repr(store)
    assert LOGIN["AWS_ACCESS_KEY_ID"] not in repr(store)


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("GET", "list-type", "ListObjectsV2"),
        ("PUT", ".check", "PutObject"),
        ("GET", ".check", "GetObject"),
        ("PUT", "landing.lock", "PutObject"),
    ],
)
def test_looking_at_a_bucket_says_what_may_not_be_done(
    store: S3Store, bucket: Bucket, proxy: Proxy, method: str, path: str, operation: str
) -> None:
    store.check()
    proxy.fail(Failure(method, path, 403, "AccessDenied"))
    with pytest.raises(RawZoneError, match=rf"is denied \({operation}\)"):
        store.check()
    assert bucket.keys() == []


def test_looking_at_a_bucket_says_that_files_may_not_be_deleted(store: S3Store, proxy: Proxy) -> None:
    proxy.fail(Failure("DELETE", ".check", 403, "AccessDenied"))
    with pytest.raises(RawZoneError, match=r"is denied \(DeleteObject\)"):
        store.check()


def test_looking_at_a_bucket_neither_waits_for_a_run_that_lands_nor_disturbs_it(store: S3Store, bucket: Bucket) -> None:
    with store.lock():
        inside = bucket.get("raw/.landing.lock")
        replace(store).check()
        assert bucket.get("raw/.landing.lock") == inside
    store.check()
    with replace(store, lock_timeout=dt.timedelta(0)).lock():
        pass


def test_a_bucket_without_versions_is_told_with_the_command_to_turn_them_on(
    store: S3Store, bucket: Bucket, proxy: Proxy
) -> None:
    is_safe, text = store.safety()
    assert not is_safe
    command = "aws s3api put-bucket-versioning --bucket oms-data --versioning-configuration Status=Enabled"
    assert text.endswith(f"Run: {command}")
    bucket.client.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration={"Status": "Enabled"})
    assert store.safety() == (True, "bucket oms-data keeps old versions")
    bucket.client.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration={"Status": "Suspended"})
    assert not store.safety()[0]
    proxy.fail(Failure("GET", "versioning", 403, "AccessDenied"))
    is_safe, text = store.safety()
    assert not is_safe
    assert "cannot be seen" in text
    assert "(GetBucketVersioning)" in text


# The lock


def test_one_waits_until_the_other_is_out(store: S3Store) -> None:
    inside = []
    with ThreadPoolExecutor() as pool:

        def go_in() -> None:
            with replace(store).lock():
                inside.append("second")

        with store.lock():
            second = pool.submit(go_in)
            with pytest.raises(TimeoutError):
                second.result(timeout=1)
            inside.append("first")
        second.result(timeout=5)
    assert inside == ["first", "second"]


def test_of_many_only_one_at_a_time_is_inside(store: S3Store) -> None:
    inside, most, entered = count(), [0], []
    active = []

    def go_in(number: int) -> None:
        with replace(store, lock_timeout=dt.timedelta(seconds=60)).lock():
            active.append(number)
            most[0] = max(most[0], len(active))
            time.sleep(0.05)
            active.remove(number)
            entered.append(next(inside))

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(go_in, range(5)))
    assert (most[0], entered) == (1, [0, 1, 2, 3, 4])


def test_who_waits_too_long_is_told_for_whom(store: S3Store) -> None:
    with (
        store.lock(),
        pytest.raises(RawZoneError) as error,
        replace(store, lock_timeout=dt.timedelta(seconds=0)).lock(),
    ):
        pass
    assert "raw/.landing.lock is held by " in one_line(error)
    assert ", process " in one_line(error)


@pytest.mark.slow
def test_a_holder_that_lives_keeps_the_lock_beyond_its_lease(store: S3Store) -> None:
    short = replace(store, lease=dt.timedelta(seconds=3))
    with short.lock():
        time.sleep(5)
        with pytest.raises(RawZoneError, match="is held by"), replace(short, lock_timeout=dt.timedelta(0)).lock():
            pass


HOLD = """
import sys, datetime as dt
from oms_pipeline.raw.s3 import S3Store
with S3Store(sys.argv[1], "raw", sys.argv[2], lease=dt.timedelta(seconds=3)).lock():
    print("inside", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(bucket: Bucket) -> Iterator[subprocess.Popen[str]]:
    """Another process that is inside."""
    command = [sys.executable, "-c", HOLD, bucket.name, bucket.endpoint]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "inside\n"
        yield process
        process.kill()


def test_a_holder_that_died_lets_go_when_its_lease_ends(store: S3Store, holder: subprocess.Popen[str]) -> None:
    short = replace(store, lease=dt.timedelta(seconds=3), lock_timeout=dt.timedelta(seconds=20))
    with (
        pytest.raises(RawZoneError, match=f"process {holder.pid}"),
        replace(short, lock_timeout=dt.timedelta(0)).lock(),
    ):
        pass
    holder.kill()
    started = time.monotonic()
    with short.lock():
        assert time.monotonic() - started < 10
        short.write_text("a", "text")


@pytest.mark.slow
def test_a_holder_that_stood_still_for_too_long_writes_nothing_more(
    store: S3Store, bucket: Bucket, holder: subprocess.Popen[str]
) -> None:
    mine = replace(store, lease=dt.timedelta(seconds=3))
    holder.kill()
    holder.wait()
    with pytest.raises(TransientRawZoneError, match="taken over by another run"), mine.lock():  # noqa: PT012
        # What S3 sees of a process that was stopped and goes on later: another's lock object in place of its own.
        bucket.put("raw/.landing.lock", b'{"held": true, "holder": "another", "token": "x"}')
        wait_until(mine._held[0].lost.is_set)
        with pytest.raises(TransientRawZoneError, match="Run the day again"):
            mine.write_text("a", "text")
        with pytest.raises(TransientRawZoneError, match="Run the day again"):
            mine.sweep("", [])
    assert bucket.keys() == []
    assert b"another" in bucket.get("raw/.landing.lock"), "what is no longer ours is not freed"


def test_a_holder_that_wakes_up_before_its_heart_does_writes_nothing_more(
    store: S3Store, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oms_pipeline.raw.s3_lock._BEATS_PER_LEASE", 0.01)  # a machine asleep has no heart beat
    short = replace(store, lease=dt.timedelta(seconds=1), lock_timeout=dt.timedelta(seconds=10))
    sleeper, other = replace(short), replace(short)
    with pytest.raises(TransientRawZoneError, match="taken over by another run"), sleeper.lock():  # noqa: PT012
        time.sleep(1.5)
        with other.lock():
            other.write_text("day/manifest", "the other's")
            with pytest.raises(TransientRawZoneError, match="Run the day again"):
                sleeper.write_text("mine", "text")
            with pytest.raises(TransientRawZoneError, match="Run the day again"):
                sleeper.sweep("day", [])
    assert bucket.keys() == ["raw/day/manifest"]


def test_a_holder_that_slept_while_nobody_waited_goes_on(
    store: S3Store, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oms_pipeline.raw.s3_lock._BEATS_PER_LEASE", 0.01)
    sleeper = replace(store, lease=dt.timedelta(seconds=1))
    with sleeper.lock():
        time.sleep(1.5)
        sleeper.write_text("a", "text")
    assert store.read_text("a") == "text"


@pytest.mark.parametrize("there", ["the other's", None], ids=["written", "deleted"])
def test_a_text_is_not_written_over_what_another_has_made_of_it(
    store: S3Store, bucket: Bucket, there: str | None
) -> None:
    over = "as read" if there is None else None
    if there is not None:
        bucket.put("raw/manifest", there.encode())
    with pytest.raises(TransientRawZoneError, match=r"raw/manifest was changed by another run"):
        store.write_text("manifest", "mine", over=over)
    assert store.read_text("manifest") == there


def test_a_text_that_changes_between_the_look_and_the_write_is_kept(
    store: S3Store, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put("raw/manifest", b"as read")
    monkeypatch.setattr(S3Store, "_check_lock", lambda _: bucket.put("raw/manifest", b"the other's"))
    with pytest.raises(TransientRawZoneError, match=r"was changed by another run"):
        store.write_text("manifest", "mine", over="as read")
    assert store.read_text("manifest") == "the other's"


def test_a_text_whose_answer_is_lost_is_not_taken_for_anothers(store: S3Store, bucket: Bucket, proxy: Proxy) -> None:
    proxy.fail(Failure("PUT", "raw/manifest", 1, times=1))
    store.write_text("manifest", "mine")
    proxy.fail(Failure("PUT", "raw/manifest", 1, times=1))
    store.write_text("manifest", "newer", over="mine")
    assert store.read_text("manifest") == "newer"
    assert len([request for request in proxy.asked if request.startswith("PUT")]) == 4


def test_a_write_of_the_lock_whose_answer_is_lost_is_not_taken_for_anothers(store: S3Store, proxy: Proxy) -> None:
    proxy.fail(Failure("PUT", "landing.lock", 1, times=1))
    with replace(store, lock_timeout=dt.timedelta(seconds=5)).lock():
        pass
    assert [request for request in proxy.asked if request.startswith("PUT")] != []


def test_a_lock_object_that_makes_no_sense_holds_nobody_up(store: S3Store, bucket: Bucket) -> None:
    for content in (b"", b"[]", b"\xff"):
        bucket.put("raw/.landing.lock", content)
        with store.lock():
            pass


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


KILLED = """
import sys
from oms_pipeline.raw.s3 import S3Store
with S3Store(sys.argv[1], "raw", sys.argv[2]).create("year=2026/month=03/day=02/orders/a.parquet") as file:
    file.write(b"x" * (3 * 16 * 1024 * 1024))
"""


def test_a_run_killed_in_the_middle_of_an_upload_leaves_nothing_visible_and_the_next_one_cleans_up(
    landing: InBucket, bucket: Bucket, proxy: Proxy
) -> None:
    proxy.fail(Failure("PUT", "partNumber=3", 503, "SlowDown"))
    with subprocess.Popen([sys.executable, "-c", KILLED, bucket.name, proxy.endpoint]) as process:
        wait_until(lambda: any("partNumber=3" in request for request in proxy.asked))
        process.send_signal(signal.SIGKILL)
    assert (bucket.keys(), bucket.uploads()) == ([], [f"{FOLDER}/orders/a.parquet"])
    proxy.fail()
    manifest = landing.land("2026-03-02")
    assert bucket.uploads() == []
    assert set(bucket.keys()) == {f"raw/{file.path}" for file in manifest.files.values()} | {f"{FOLDER}/_manifest.json"}


@pytest.mark.slow
def test_a_zone_finds_its_days_with_few_requests(landing: InBucket, proxy: Proxy) -> None:
    landing.land("2026-03-01", "2026-03-04")
    proxy.asked.clear()
    zone = RawZone(replace(landing.store))
    assert zone.days() == [dt.date(2026, 3, day) for day in (1, 2, 3, 4)]
    assert len(proxy.asked) == 2
    assert zone.newest_before(dt.date(2026, 3, 4)) == zone.manifest(dt.date(2026, 3, 3))
