"""A Snowflake to test against, without an account: a process of its own, started and stopped here.

Real: the Snowflake connector, its login by key pair (the token's signature is verified), HTTP, Arrow results,
dbt-snowflake and dagster-snowflake; SQL runs in DuckDB, translated by fakesnow. S3 is moto's server.

Imitated by this folder, in front of fakesnow's server (`front.py`):
- external tables over Parquet on S3: registered by REFRESH alone, a broken file skipped without a word;
- transactions: nothing is seen before COMMIT; DDL commits first; UPDATE, DELETE, MERGE, TRUNCATE and INSERT OVERWRITE
  wait for the table's lock. Reads before the first write see every commit, as in Snowflake. From the first write on they
  see the state of that moment and their own changes, where Snowflake would go on showing the commits of others. A
  statement that fails at run time spoils its transaction until ROLLBACK, where Snowflake undoes the statement alone;
- MERGE, which refuses a target row that matches twice, also where both matches delete it, which Snowflake allows;
- comments, exact row counts, sums of decimals;
- roles, users, warehouses, resource monitors, integrations, grants: properties are checked and remembered, no more;
- answers as Snowflake sends them: queries in Arrow, everything else (SHOW, DESC, LIST, ALTER) in JSON;
- a log of all statements with their query tags (`Bed.statements`).

Never there: privileges, credits, suspended warehouses, history (two tables of ACCOUNT_USAGE are there, empty), time
travel, streams, tasks, deadlock detection, reading a file that S3 has lost (it counts as broken), VARIANT values of any
type but text in external tables.

The folder is no package on purpose: pytest would import it as `snowflake`, in the place of the connector.
"""

import base64
import json
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from oms_pipeline.settings import PROJECT_DIR, SnowflakeLogin


@dataclass(frozen=True)
class LoggedStatement:
    """A statement that the bed has received.

    Attributes:
        sql: As sent.
        query_tag: The tag in force, the statement's own or the session's; empty for none.
        session: Number of the login, from 1.
        role: Role in force.
        warehouse: Warehouse in force, or None.
        seconds: How long it took; None while it runs.
        error: What it failed with, or None.
    """

    sql: str
    query_tag: str
    session: int
    role: str
    warehouse: str | None
    seconds: float | None
    error: str | None


@dataclass(frozen=True)
class KeyPair:
    """A key pair: `private`, PEM (PKCS #8); `public`, base64 of the DER, as ALTER USER … SET RSA_PUBLIC_KEY takes it."""

    private: str
    public: str


def new_key_pair() -> KeyPair:
    """A key pair made on the spot."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return KeyPair(private.decode(), base64.b64encode(public).decode())


class Bed:
    """A running Snowflake. Holds an empty account with one administrator."""

    def __init__(self, process: "subprocess.Popen[str]", url: str):
        self._process = process
        self.url = url
        self._keys = new_key_pair()
        self._send("POST", "/bed/administrator", {"user": "ADMIN", "public_key": self._keys.public})

    def login(
        self,
        *,
        user: str = "ADMIN",
        keys: KeyPair | None = None,
        role: str = "ACCOUNTADMIN",
        warehouse: str = "OMS_PIPELINE",
        database: str = "OMS",
    ) -> SnowflakeLogin:
        """How to log in: as the administrator, or as a user that SQL has made, with its keys."""
        return SnowflakeLogin(
            account="testbed",
            user=user,
            private_key=(keys or self._keys).private,
            passphrase=None,
            role=role,
            warehouse=warehouse,
            database=database,
            url=self.url,
        )

    def statements(self) -> list[LoggedStatement]:
        """Every statement received since the start, or since `forget`, in order."""
        return [LoggedStatement(**entry) for entry in json.loads(self._send("GET", "/bed/statements"))]

    def forget(self) -> None:
        """Empties the log of statements."""
        self._send("DELETE", "/bed/statements")

    def stop(self) -> None:
        """Ends the process."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _send(self, method: str, path: str, body: Any = None) -> bytes:
        request = urllib.request.Request(  # noqa: S310 -- an address of 127.0.0.1
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
            content: bytes = response.read()
        return content


def start(s3_endpoint: str) -> Bed:
    """Starts a Snowflake on 127.0.0.1 that reads `s3://` from `s3_endpoint`, an address such as http://127.0.0.1:5000."""
    process = subprocess.Popen(
        [sys.executable, "-m", "oms_pipeline_tests.snowflake.front", s3_endpoint],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=PROJECT_DIR,
    )
    assert process.stdout is not None
    port = process.stdout.readline().strip()
    if not port:
        process.wait(10)
        raise RuntimeError("The test bed's Snowflake did not start; see its output above.")
    return Bed(process, f"http://127.0.0.1:{port}")
