"""Lets one sync at a time work on a Metabase, from whatever machine.

Metabase is all that two syncs are sure to share, and among its things a permission group is one whose name is unique in
its database: who makes the group holds the lease. It has no members and no meaning, and is gone when the sync is.
"""

import datetime as dt
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from oms_pipeline.dashboards.metabase.client import Client, RefusedError
from oms_pipeline.errors import MetabaseError

log = logging.getLogger(__name__)

NAME: Final = "OMS Pipeline: a sync of dashboards is under way"
GROUPS: Final = "/api/permissions/group"


@contextmanager
def lease(client: Client, longest: dt.timedelta) -> Iterator[Callable[[], None]]:
    """Holds the lease for the block.

    A holder that died leaves the group behind. Nobody may hold it for more than `longest`, so whoever has seen the same
    group for that long and one more answer's time takes it over.

    Args:
        client: A Metabase, logged in to as an administrator.
        longest: How long a sync may take.

    Yields:
        Called before each change; raises if the time is up, since another may hold the lease by then.

    Raises:
        MetabaseError: The lease could not be had, or the time is up.
    """
    number, ends_at = _take(client, longest)

    def still_held() -> None:
        if time.monotonic() >= ends_at:
            raise MetabaseError(
                f"The sync with Metabase at {client.server.url} took more than {longest} and was stopped. "
                "Run it again: it goes on where it was."
            )

    try:
        yield still_held
    finally:
        try:
            client.delete(f"{GROUPS}/{number}")
        except MetabaseError as error:
            # The next sync waits for it, and then takes it over.
            log.warning("The group '%s' is left in Metabase: %s", NAME, error)


def _take(client: Client, longest: dt.timedelta) -> tuple[int, float]:
    patience = longest + client.patience.answer
    seen, since, told = None, 0.0, False
    # Long enough to see one dead holder out, and to be beaten to it by another that is alive.
    for _ in client.patience.pauses(patience * 3):
        ends_at = time.monotonic() + longest.total_seconds()  # before it is made, so it ends before others think so
        try:
            return int(client.post(GROUPS, {"name": NAME})["id"]), ends_at
        except RefusedError as error:
            held = [group["id"] for group in client.get(GROUPS) if group["name"] == NAME]
            if not held and error.status < 500 and "exist" not in str(error):
                raise
        if not held or held[0] != seen:
            seen, since = (held[0] if held else None), time.monotonic()
        elif time.monotonic() - since >= patience.total_seconds():
            log.warning("A sync of dashboards was interrupted; taking over from it")
            client.delete(f"{GROUPS}/{seen}")
        if not told:
            log.info("Waiting for another sync of dashboards to end")
            told = True
    raise MetabaseError(
        f"Other syncs with Metabase at {client.server.url} do not end. Try again later, or delete the group "
        f"'{NAME}' in Metabase under Admin settings, People."
    )
