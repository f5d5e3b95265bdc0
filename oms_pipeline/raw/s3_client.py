"""The connection to S3, through dagster-aws, and what its errors say. Knows nothing of files or days."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from boto3.exceptions import Boto3Error
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    ResponseStreamingError,
    SSLError,
    SSOError,
    TokenRetrievalError,
)
from botocore.exceptions import (
    ConnectionError as S3ConnectionError,
)
from dagster_aws.s3 import S3Resource

from oms_pipeline.errors import RawZoneError, TransientRawZoneError

# With at most 20 seconds between two of them, a bucket that throttles gets about a minute and a half to recover.
ATTEMPTS: Final = 8

_NO_CREDENTIALS: Final = (
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
_EXPIRED: Final = {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken"}
_WRONG: Final = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "AuthorizationHeaderMalformed"}
_TRANSIENT: Final = {"SlowDown", "RequestTimeout", "Throttling", "ThrottlingException", "TooManyRequestsException"}
UNREACHED: Final = (S3ConnectionError, HTTPClientError, ResponseStreamingError, IncompleteReadError)
_NOT_IMPLEMENTED: Final = 501


def make_client(endpoint: str | None, attempts: int = ATTEMPTS) -> Any:
    """A client of S3, with credentials and region by the standard AWS chain; sends nothing yet.

    Args:
        endpoint: Address of an S3-compatible server; None for AWS.
        attempts: How often a request is sent before its error is told, with growing pauses.
    """
    # What it calls attempts is how often a request is repeated.
    return S3Resource(endpoint_url=endpoint, max_attempts=attempts - 1).get_client()


@contextmanager
def s3_errors(place: str, endpoint: str | None) -> Iterator[None]:
    """Turns what boto3 raises into one line with a remedy.

    Args:
        place: The raw zone, as it may be shown.
        endpoint: The server's address; None for AWS.

    Raises:
        TransientRawZoneError: The same request may succeed later.
        RawZoneError: It will not, until somebody does what the text says.
    """
    try:
        yield
    except (ClientError, BotoCoreError, Boto3Error) as error:
        raise _told(error, place, endpoint) from error


def error_code(error: ClientError) -> str:
    """S3's name of an error, such as `NoSuchKey`; a number where S3 answers without a body."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _told(error: Exception, place: str, endpoint: str | None) -> RawZoneError:
    server = endpoint or "AWS"
    if isinstance(error, ClientError):
        return _answered(error, place, server)
    if isinstance(error, _NO_CREDENTIALS):
        return RawZoneError(
            f"There are no credentials for {place}. Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
            "log in anew (aws sso login), or give this machine a role."
        )
    if isinstance(error, NoRegionError):
        return RawZoneError(f"The region of {place} is not known. Set AWS_REGION to the bucket's region.")
    if isinstance(error, UNREACHED) and not isinstance(error, SSLError):
        return TransientRawZoneError(
            f"{place} cannot be reached at {server} ({type(error).__name__}). "
            "Check the network and OMS_S3_ENDPOINT, and run again."
        )
    return RawZoneError(f"{place} cannot be used: {_one_line(error)}. Check the AWS settings of this machine.")


def _answered(error: ClientError, place: str, server: str) -> RawZoneError:
    code, operation = error_code(error), error.operation_name
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    bucket = place.removeprefix("s3://").partition("/")[0]
    if code == "NoSuchBucket":
        return RawZoneError(f"There is no bucket {bucket} at {server}. Create it, or set OMS_RAW_URL to another.")
    if code in _EXPIRED:
        return RawZoneError(
            f"The credentials for {place} have expired. Log in anew (aws sso login), or set fresh AWS_… variables."
        )
    if code in _WRONG:
        return RawZoneError(
            f"The credentials for {place} are refused ({code}). Check AWS_PROFILE, AWS_ACCESS_KEY_ID and AWS_REGION."
        )
    if code == "RequestTimeTooSkewed":
        return RawZoneError(f"This machine's clock is wrong, so that {place} refuses it. Set the clock.")
    if code in ("PermanentRedirect", "301"):
        return RawZoneError(f"The bucket {bucket} is in another region. Set AWS_REGION to the bucket's region.")
    if code in _TRANSIENT or status == 429 or (status >= 500 and status != _NOT_IMPLEMENTED):
        return TransientRawZoneError(f"{place} is too busy to answer ({code} to {operation}). Run again later.")
    if status == 403 or code == "AccessDenied":
        return RawZoneError(
            f"Access to {place} is denied ({operation}). Grant it to the role or user of these credentials, on the "
            "bucket, on the objects below the prefix and, where there is one, on the KMS key."
        )
    message = _one_line(error.response.get("Error", {}).get("Message", ""))
    return RawZoneError(f"{place} refuses {operation}: {code} ({message}). Check OMS_RAW_URL and OMS_S3_ENCRYPTION.")


def _one_line(text: object) -> str:
    return " ".join(str(text).split())
