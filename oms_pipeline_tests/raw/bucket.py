"""A real S3 to test against: moto's server on 127.0.0.1, and a proxy before it that fails as S3 can fail."""

import http.client
import logging
import re
import threading
from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import boto3
from moto.server import ThreadedMotoServer

REGION = "us-east-1"
LOGIN = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "not-a-secret",
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}


@dataclass(frozen=True)
class Bucket:
    """A bucket, and what a bystander sees in it."""

    name: str
    endpoint: str

    @property
    def client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=LOGIN["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=LOGIN["AWS_SECRET_ACCESS_KEY"],
        )

    def keys(self, prefix: str = "") -> list[str]:
        """All objects but the lock."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        return [key for key in keys if not key.endswith(".landing.lock")]

    def uploads(self) -> list[str]:
        """Keys of multipart uploads that were begun and neither completed nor aborted."""
        return [upload["Key"] for upload in self.client.list_multipart_uploads(Bucket=self.name).get("Uploads", [])]

    def head(self, key: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.client.head_object(Bucket=self.name, Key=key, ChecksumMode="ENABLED")
        return answer

    def put(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=data)

    def get(self, key: str) -> bytes:
        data: bytes = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return data


@contextmanager
def s3_server() -> Iterator[str]:
    """A server of S3's protocol; gives its address."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@contextmanager
def new_bucket(endpoint: str, name: str = "oms-data") -> Iterator[Bucket]:
    """A bucket without versions, gone afterwards with all it holds."""
    bucket = Bucket(name, endpoint)
    bucket.client.create_bucket(Bucket=name)
    try:
        yield bucket
    finally:
        for upload in bucket.client.list_multipart_uploads(Bucket=name).get("Uploads", []):
            bucket.client.abort_multipart_upload(Bucket=name, Key=upload["Key"], UploadId=upload["UploadId"])
        versions = bucket.client.list_object_versions(Bucket=name)
        for version in [*versions.get("Versions", []), *versions.get("DeleteMarkers", [])]:
            bucket.client.delete_object(Bucket=name, Key=version["Key"], VersionId=version["VersionId"])
        bucket.client.delete_bucket(Bucket=name)


@dataclass(frozen=True)
class Failure:
    """What the proxy does with some requests instead of passing them on.

    Attributes:
        method: HTTP method.
        path: Pattern, searched in path and query.
        status: Status to answer; 0 breaks the connection in the middle of the request's body, 1 in the middle of the
            answer's.
        code: S3's name of the error.
        times: How often; None for always.
        unless: Name of a header; requests that have it are passed on.
    """

    method: str
    path: str
    status: int
    code: str = ""
    times: int | None = None
    unless: str = ""


@dataclass
class Proxy:
    """Stands before a server. Fails as `failures` say, and keeps what was asked."""

    endpoint: str = ""
    failures: list[Failure] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    _failed: dict[Failure, int] = field(default_factory=dict)
    _lock: Any = field(default_factory=threading.Lock)

    def fail(self, *failures: Failure) -> None:
        self.failures = list(failures)
        self._failed.clear()

    def failure(self, method: str, path: str, headers: Container[str] = ()) -> Failure | None:
        with self._lock:
            self.asked.append(f"{method} {path}")
            for failure in self.failures:
                done = self._failed.get(failure, 0)
                meant = failure.method == method and re.search(failure.path, path) and failure.unless not in headers
                if meant and done != failure.times:
                    self._failed[failure] = done + 1
                    return failure
        return None


@contextmanager
def s3_proxy(server: str) -> Iterator[Proxy]:
    """A proxy before a server, on a port of its own."""
    proxy = Proxy()
    listener = ThreadingHTTPServer(("127.0.0.1", 0), _handler(proxy, urlsplit(server).netloc))
    listener.daemon_threads = True
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    proxy.endpoint = f"http://127.0.0.1:{listener.server_port}"
    try:
        yield proxy
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()


def _handler(proxy: Proxy, server: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def _pass_on(self) -> None:
            failure = proxy.failure(self.command, self.path, self.headers)
            length = int(self.headers.get("Content-Length", 0))
            if failure is not None and failure.status == 0:
                self.rfile.read(length // 2)
                self._hang_up()
                return
            body = self.rfile.read(length)
            if failure is not None and failure.status > 1:
                text = f"<Error><Code>{failure.code}</Code><Message>Made for a test</Message></Error>".encode()
                self._answer(failure.status, {"Content-Type": "application/xml"}, text)
                return
            connection = http.client.HTTPConnection(server, timeout=30)
            connection.request(self.command, self.path, body, dict(self.headers))
            answer = connection.getresponse()
            data = answer.read()
            if failure is not None and not data:
                self._hang_up()
                return
            headers = {name: value for name, value in answer.getheaders() if name.lower() not in _OF_ONE_HOP}
            if self.command == "HEAD":
                headers["Content-Length"] = answer.getheader("Content-Length") or "0"
            self._answer(answer.status, headers, data, broken=failure is not None)
            connection.close()

        def _answer(self, status: int, headers: dict[str, str], data: bytes, broken: bool = False) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if self.command != "HEAD":
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data[: len(data) // 2] if broken else data)
            if broken:
                self._hang_up()

        def _hang_up(self) -> None:
            self.close_connection = True
            self.wfile.flush()
            self.connection.shutdown(2)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass_on  # noqa: N815 (the base class asks for these names)

    return Handler


_OF_ONE_HOP = {"content-length", "connection", "transfer-encoding", "server"}
