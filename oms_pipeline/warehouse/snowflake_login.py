"""One connection to Snowflake, through dagster-snowflake, with a key pair. Its errors: one line with the next step."""

import datetime as dt
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from oms_pipeline.errors import WarehouseError
from oms_pipeline.settings import SnowflakeLogin

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

_LOGIN_TIMEOUT: Final = dt.timedelta(seconds=30)
# The connector cancels a statement after its network timeout, whatever the network does. The warehouse's own limits for
# queueing and running (see deploy/snowflake) add up to less, and tell better what happened.
_NETWORK_TIMEOUT: Final = dt.timedelta(hours=1)

_WRONG_KEY: Final = (
    "Snowflake refuses user {user} of account {account} with this private key. "
    "See which key the user has: desc user {user}; set the matching public key: "
    "alter user {user} set rsa_public_key = '…'"
)
# Server codes of a refused login. https://docs.snowflake.com/en/user-guide/key-pair-auth-troubleshooting
_LOGIN_ERRORS: Final = {
    390100: _WRONG_KEY,
    390144: _WRONG_KEY,
    390101: "Snowflake user {user} is disabled. Enable it: alter user {user} set disabled = false",
    390102: "Snowflake user {user} is locked. Wait 15 minutes, or unlock it: alter user {user} set mins_to_unlock = 0",
    390189: "Snowflake user {user} may not work as role {role}, or there is no such role. "
    "Set SNOWFLAKE_ROLE to another, or grant it: grant role {role} to user {user}",
    390201: "There is no warehouse {warehouse} or database {database} in Snowflake for role {role}. Make them and "
    "their grants with oms snowflake bootstrap, or set SNOWFLAKE_WAREHOUSE and SNOWFLAKE_DATABASE to others",
    390422: "Snowflake's network policy does not let this address in. Add it to the policy of user {user}",
}
_WRONG_ACCOUNT: Final = (
    "There is no Snowflake account at {address}. Set SNOWFLAKE_ACCOUNT to organisation-account, as Snowsight shows it "
    "under 'View account details'"
)
_UNREACHABLE: Final = (
    "Snowflake cannot be reached at {address}. Check the network and proxy, SNOWFLAKE_ACCOUNT and SNOWFLAKE_URL"
)
# Codes of failed statements. What is not listed speaks for itself.
_NEXT_STEPS: Final = {
    606: "Set SNOWFLAKE_WAREHOUSE to a warehouse that the role may use",
    625: "Another run held the table for too long; run it again",
    630: "Look at the statement in Snowsight; raise the warehouse's statement_timeout_in_seconds if it is right",
    2003: "Make it and its grants: oms snowflake bootstrap",
    2043: "Make it and its grants: oms snowflake bootstrap",
    3001: "Grant it: oms snowflake bootstrap",
    90073: "The credit quota is used up; raise it: oms snowflake bootstrap --only monitor --credit-quota N",
}


@contextmanager
def connect(
    login: SnowflakeLogin,
    *,
    role: str | None = None,
    database: bool = True,
    autocommit: bool = True,
    lock_timeout: dt.timedelta | None = None,
) -> "Iterator[SnowflakeConnection]":
    """A connection for the block: in UTC, with `?` as the mark of a bound value and a query tag to be found by.

    What the block has begun and not committed is rolled back at its end.

    Args:
        login: Account, user and key.
        role: The role to work as instead of the login's own.
        database: Whether to use the login's database and warehouse, which must exist; without, only account objects
            can be worked on, and nothing is computed.
        autocommit: Whether a statement outside `begin` and `commit` is a transaction of its own.
        lock_timeout: How long a statement waits for a table that another transaction has changed; None for the
            account's own limit.

    Raises:
        WarehouseError: Nobody answers, the login is refused, or a statement of the block fails; in one line, with the
            next step.
    """
    # Half a second to import, and not installed with the local profile.
    import snowflake.connector.errors as connector

    worker = role or login.role
    resource = _resource(login, worker, database, autocommit, lock_timeout).get_connection()
    try:
        connection = resource.__enter__()
    except connector.Error as error:
        raise _login_error(error, login, worker) from None
    except (ValueError, TypeError):  # cryptography's; the connector never sees such a key
        raise WarehouseError(
            f"The private key of Snowflake user {login.user} cannot be opened: it is damaged, or its passphrase is "
            "another. Check SNOWFLAKE_PRIVATE_KEY_FILE and SNOWFLAKE_PRIVATE_KEY_PASSPHRASE."
        ) from None
    try:
        yield connection
    except connector.Error as error:
        raise statement_error(error) from error
    finally:
        # dagster-snowflake's own end of the block would commit, and leave the session open where the block fails.
        with suppress(connector.Error):
            connection.close()


def statement_error(error: BaseException, step: str | None = None) -> WarehouseError:
    """A failed statement as one line: what Snowflake said, and the next step.

    Args:
        error: The connector's.
        step: A better step than what its code alone suggests.
    """
    said = re.sub(r"^\d{6} \(\w+\): ", "", " ".join(str(error).split()))
    step = step or _NEXT_STEPS.get(getattr(error, "errno", -1))
    query = getattr(error, "sfqid", None)
    found_by = f" (query {query})" if query else ""
    return WarehouseError(f"Snowflake says: {said.rstrip('.')}{found_by}." + (f" {step}." if step else ""))


def _resource(
    login: SnowflakeLogin, role: str, database: bool, autocommit: bool, lock_timeout: dt.timedelta | None
) -> Any:
    from dagster_snowflake import SnowflakeResource

    parameters: dict[str, Any] = {"TIMEZONE": "UTC", "QUERY_TAG": json.dumps({"app": "oms_pipeline"})}
    if lock_timeout is not None:
        parameters["LOCK_TIMEOUT"] = int(lock_timeout.total_seconds())
    more: dict[str, Any] = {"session_parameters": parameters}
    if login.url is not None:
        address = urlsplit(login.url)
        port = address.port or (443 if address.scheme == "https" else 80)
        more |= {"host": address.hostname, "port": port, "protocol": address.scheme}
    return SnowflakeResource(
        account=login.account,
        user=login.user,
        private_key=login.private_key,
        private_key_password=login.passphrase,
        role=role,
        warehouse=login.warehouse if database else None,
        database=login.database if database else None,
        validate_default_parameters=database or None,
        autocommit=autocommit,
        paramstyle="qmark",
        login_timeout=int(_LOGIN_TIMEOUT.total_seconds()),
        network_timeout=int(_NETWORK_TIMEOUT.total_seconds()),
        additional_snowflake_connection_args=more,
    )


def _login_error(error: Exception, login: SnowflakeLogin, role: str) -> WarehouseError:
    code = getattr(error, "errno", -1)
    address = login.url or f"https://{login.account}.snowflakecomputing.com"
    if code in _LOGIN_ERRORS:
        text = _LOGIN_ERRORS[code]
    elif "JWT" in str(error):
        text = _WRONG_KEY
    elif code in (290404, 290403) or "Verify the account name" in str(error):
        text = _WRONG_ACCOUNT
    elif 250000 <= code < 252000 or 290000 <= code < 291000 or code == -1:
        text = _UNREACHABLE
    else:
        return statement_error(error)
    names = {"user": login.user, "account": login.account, "warehouse": login.warehouse, "database": login.database}
    return WarehouseError(text.format(**names, role=role, address=address) + ".")
