"""A Snowflake and an S3 to test against."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any, Protocol

import boto3
import pytest
import snowflake.connector
from cryptography.hazmat.primitives import serialization
from moto.server import ThreadedMotoServer
from snowflake.connector import SnowflakeConnection

from oms_pipeline.settings import SnowflakeLogin
from oms_pipeline_tests.snowflake.server import Bed, start

BUCKET = "oms-raw"


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """Address of an S3 server."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_endpoint: str) -> Iterator[Any]:
    """An empty bucket, boto3's resource; gone with the test."""
    s3: Any = boto3.resource(
        "s3",
        endpoint_url=s3_endpoint,
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106
        region_name="us-east-1",
    )
    found = s3.create_bucket(Bucket=BUCKET)
    yield found
    found.objects.all().delete()
    found.delete()


@pytest.fixture(scope="module")
def bed(s3_endpoint: str) -> Iterator[Bed]:
    """A Snowflake account, empty at first, for the tests of a module."""
    running = start(s3_endpoint)
    yield running
    running.stop()


def connect(login: SnowflakeLogin, **more: Any) -> SnowflakeConnection:
    """The real connector's connection, by key pair."""
    assert login.url is not None
    key = serialization.load_pem_private_key(login.private_key.encode(), None)
    host, port = login.url.removeprefix("http://").split(":")
    return snowflake.connector.connect(
        account=login.account,
        user=login.user,
        private_key=key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        host=host,
        port=int(port),
        protocol="http",
        role=login.role,
        warehouse=login.warehouse,
        database=login.database,
        login_timeout=10,
        network_timeout=60,
        **more,
    )


class Query(Protocol):
    """Runs one statement; gives its rows."""

    def __call__(self, sql: str, **more: Any) -> list[tuple[Any, ...]]: ...


@pytest.fixture
def query(bed: Bed) -> Iterator[Query]:
    """A session of the administrator in database OMS and an empty schema WORK."""
    with closing(connect(bed.login())) as connection:
        for sql in ("create database if not exists OMS", "create or replace schema OMS.WORK", "use schema OMS.WORK"):
            connection.cursor().execute(sql)

        def run(sql: str, **more: Any) -> list[tuple[Any, ...]]:
            cursor = connection.cursor().execute(sql, **more)
            assert cursor is not None
            return cursor.fetchall()

        yield run
