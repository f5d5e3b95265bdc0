"""Makes the Snowflake side: fills the numbered SQL of `deploy/snowflake` with values and runs it, or takes it away.

Each file is idempotent, so that all of them can be applied again after a value has changed. Reads and writes no data.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from oms_pipeline.errors import WarehouseError
from oms_pipeline.settings import PROJECT_DIR, SnowflakeLogin

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

SCRIPTS: Final = PROJECT_DIR / "deploy" / "snowflake"
TEARDOWN: Final = "teardown"
CREDIT_QUOTA: Final = 20
ADMIN_ROLE: Final = "ACCOUNTADMIN"

# Made for those who have handed over the user's public key.
_OPTIONAL: Final = {"pipeline_user": "pipeline_public_key", "dashboards_user": "dashboards_public_key"}
_OPTIONS: Final = {
    "bucket_url": "OMS_RAW_URL to the bucket, such as s3://my-bucket/raw",
    "aws_role_arn": "--aws-role-arn to the role that Snowflake assumes, such as arn:aws:iam::123456789012:role/oms-raw",
    "pipeline_public_key": "--pipeline-public-key to the file of the pipeline user's public key",
    "dashboards_public_key": "--dashboards-public-key to the file of the dashboards user's public key",
}
_VARIABLE: Final = re.compile(r"\{\{ (\w+) \}\}")


@dataclass(frozen=True)
class Statement:
    """One statement of a script.

    Attributes:
        script: The script's name, such as `roles`.
        sql: The statement, values filled in, without a semicolon.
    """

    script: str
    sql: str

    @property
    def title(self) -> str:
        """Its first line, to be shown while it runs."""
        first = next(line for line in self.sql.splitlines() if not line.startswith("--"))
        return first.rstrip(" (").removesuffix(" set").removesuffix(" with").removesuffix(" as")


def script_names() -> list[str]:
    """Names of the scripts that `bootstrap` applies, in order; the teardown is not among them."""
    return [name for name in _scripts() if name != TEARDOWN]


def variables(
    login: SnowflakeLogin,
    *,
    admin_role: str = ADMIN_ROLE,
    credit_quota: int = CREDIT_QUOTA,
    raw_url: str | None = None,
    aws_role_arn: str | None = None,
    pipeline_public_key: str | None = None,
    dashboards_public_key: str | None = None,
) -> dict[str, str]:
    """What the scripts are filled with: names checked, texts quoted. What was not given is left out.

    Args:
        login: Its role, warehouse and database are the ones to make.
        admin_role: The role that makes them.
        credit_quota: Credits that both warehouses may use in a month.
        raw_url: The raw zone, `s3://bucket/prefix`; a folder counts as not given.
        aws_role_arn: The AWS role that Snowflake assumes to read the bucket.
        pipeline_public_key: Public key of the pipeline's user, PEM text.
        dashboards_public_key: Public key of the dashboards' user, PEM text.

    Raises:
        WarehouseError: A value cannot be what it should be.
    """
    names = {
        "admin_role": admin_role,
        "transformer": login.role,
        "warehouse": login.warehouse,
        "database": login.database,
    }
    for name, value in names.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_$]*", value):
            raise WarehouseError(
                f"'{value}' cannot be the {name.replace('_', ' ')}: use letters, digits and underscores."
            )
    given = {name: value.lower() for name, value in names.items()}
    given |= {"credit_quota": str(credit_quota), "warehouse_text": _quoted(login.warehouse.upper())}
    if raw_url is not None and "://" in raw_url:
        given["bucket_url"] = _quoted(_bucket_url(raw_url))
    if aws_role_arn is not None:
        if not re.fullmatch(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+", aws_role_arn):
            raise WarehouseError(f"'{aws_role_arn}' is no AWS role. Set {_OPTIONS['aws_role_arn']}.")
        given["aws_role_arn"] = _quoted(aws_role_arn)
    for name, key in {
        "pipeline_public_key": pipeline_public_key,
        "dashboards_public_key": dashboards_public_key,
    }.items():
        if key is not None:
            given[name] = _quoted(_public_key(name, key))
    return given


def bootstrap_statements(values: Mapping[str, str], only: Sequence[str] = ()) -> list[Statement]:
    """The statements to run, in order.

    Args:
        values: See `variables`.
        only: Names of the scripts to apply; none stands for all whose optional values are given.

    Raises:
        WarehouseError: A script has no such name, or needs a value that was not given.
    """
    unknown = [name for name in only if name not in script_names()]
    if unknown:
        raise WarehouseError(f"There is no script '{unknown[0]}'. Choose from: {', '.join(script_names())}.")
    chosen = [name for name in script_names() if (name in only if only else _OPTIONAL.get(name, "database") in values)]
    return [statement for name in chosen for statement in render(name, values)]


def render(script: str, values: Mapping[str, str]) -> list[Statement]:
    """One script's statements, values filled in; a comment belongs to the statement that follows it.

    Raises:
        WarehouseError: The script needs a value that was not given.
    """
    text = _scripts()[script].read_text(encoding="utf-8")
    for name in _VARIABLE.findall(text):
        if name not in values:
            raise WarehouseError(f"deploy/snowflake/{_scripts()[script].name} lacks a value. Set {_OPTIONS[name]}.")
    parts = re.split(r";\s*$", text, flags=re.MULTILINE)
    return [Statement(script, _VARIABLE.sub(lambda m: values[m[1]], part.strip())) for part in parts if part.strip()]


def run_statements(connection: "SnowflakeConnection", statements: Sequence[Statement]) -> Iterator[Statement]:
    """Runs statements one after the other.

    Yields:
        Each statement, once it has run.
    """
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement.sql)
            yield statement


def trust_policy(connection: "SnowflakeConnection", admin_role: str = ADMIN_ROLE) -> str:
    """The trust policy that the AWS role needs, as JSON, so that Snowflake, and nobody else, may assume it.

    Raises:
        WarehouseError: There is no storage integration.
    """
    with connection.cursor() as cursor:
        cursor.execute(f"use role {admin_role}")
        cursor.execute("desc integration oms_raw")
        found = {row[0]: row[2] for row in cursor.fetchall()}
    try:
        user, external_id = found["STORAGE_AWS_IAM_USER_ARN"], found["STORAGE_AWS_EXTERNAL_ID"]
    except KeyError as missing:
        raise WarehouseError(
            f"The storage integration oms_raw has no {missing.args[0]}. Make it: "
            "oms snowflake bootstrap --only integration"
        ) from None
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": user},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": external_id}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, indent=2)


def _scripts() -> dict[str, Path]:
    """Name → file, in the order of the files' numbers."""
    return {path.stem.partition("_")[2]: path for path in sorted(SCRIPTS.glob("[0-9][0-9]_*.sql"))}


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"


def _bucket_url(raw_url: str) -> str:
    if not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w!.*()=-]+)*/?", raw_url):
        raise WarehouseError(f"Snowflake cannot read a raw zone at '{raw_url}'. Set {_OPTIONS['bucket_url']}.")
    return raw_url.rstrip("/") + "/"


def _public_key(name: str, pem: str) -> str:
    """The key as Snowflake takes it: the PEM text without its first and last line."""
    body = re.fullmatch(r"-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----", pem.strip())
    if body is None:
        raise WarehouseError(
            f"That is no public key in PEM. Make one: openssl rsa -in key.p8 -pubout -out key.pub, and set "
            f"{_OPTIONS[name]}."
        )
    return "".join(body[1].split())
