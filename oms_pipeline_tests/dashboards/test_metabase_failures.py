"""A sync that breaks off, a Metabase that is not there, a login that is refused, two syncs at once."""

import datetime as dt
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest

from oms_pipeline.dashboards.metabase import lease
from oms_pipeline.dashboards.metabase.client import Client, connected
from oms_pipeline.dashboards.metabase.sync import Definition, check
from oms_pipeline.errors import MetabaseError
from oms_pipeline_tests.dashboards.conftest import (
    ADMINISTRATOR,
    QUICK,
    World,
    is_write,
    keeps,
    names,
)
from oms_pipeline_tests.dashboards.metabase_server import Catalog, Json, Metabase, Recorded, running


def at(number: int) -> Callable[[Recorded], bool]:
    """True at the n-th write."""
    seen = iter(range(10_000))
    return lambda recorded: is_write(recorded) and next(seen) == number


def writes_of_a_first_sync(world: World) -> int:
    return len([each for each in world.metabase.requests if is_write(each)])


def without_ids(world: World) -> dict[str, list[str]]:
    """What there is, told apart by name and not by number."""
    described = {kind: world.metabase.all(kind) for kind in ("card", "dashboard", "collection", "database", "pulse")}
    return {kind: names(things) for kind, things in described.items()}


@pytest.mark.slow
@pytest.mark.parametrize("how", ["answer is lost", "connection is cut"])
def test_wherever_a_sync_breaks_off_the_next_one_finishes_it_and_nothing_is_there_twice(
    catalog: Callable[[Json], Catalog], few: Definition, synced: Metabase, how: str
) -> None:
    # The last dashboard, so that there are fewer places to break off at.
    small = replace(few, dashboards=few.dashboards[1:], tables=few.tables[:1])
    expected, total, number = None, 1, -1
    while number < total:
        with running(catalog) as metabase:
            world = World(metabase, keeps(metabase), small)
            # At -1 nothing breaks: that is what there is to compare with.
            setattr(metabase, "lose_answer" if how == "answer is lost" else "cut", at(number))
            with suppress(MetabaseError):
                world.sync()
            if expected is None:
                expected, total = without_ids(world), writes_of_a_first_sync(world)
                assert total > 20
            world.sync()
            assert without_ids(world) == expected, number
            assert world.steps() == [], number
        number += 1


def test_a_restart_in_the_middle_is_waited_for(fresh: World) -> None:
    def restart(recorded: Recorded) -> bool:
        if recorded.method == "PUT" and "/api/card/" in recorded.path and not restarted:
            restarted.append(True)
            fresh.metabase.down_until = time.monotonic() + 0.3
            fresh.metabase.starting = 3
        return False

    restarted: list[bool] = []
    fresh.metabase.cut = restart
    fresh.sync()
    assert restarted
    assert fresh.steps() == []


@pytest.mark.parametrize("status", [502, 504])
def test_a_proxy_that_loses_metabase_at_a_post_is_told_as_no_answer_and_is_not_asked_again(
    fresh: World, status: int
) -> None:
    fresh.metabase.proxy = lambda recorded: status if (recorded.method, recorded.path) == at_card else None
    at_card = ("POST", "/api/card")
    with pytest.raises(
        MetabaseError, match=rf"does not answer: POST /api/card: it answers {status}\. Check that it runs"
    ):
        fresh.sync()
    assert len([each for each in fresh.metabase.requests if (each.method, each.path) == at_card]) == 1
    fresh.metabase.proxy = lambda _: None
    fresh.sync()
    assert fresh.steps() == []


def test_a_metabase_that_is_starting_is_waited_for(fresh: World) -> None:
    fresh.metabase.starting = 5
    assert fresh.sync().steps


def test_a_session_that_ended_in_the_middle_is_opened_again(fresh: World) -> None:
    ended: list[bool] = []

    def end(recorded: Recorded) -> None:
        if recorded.route == "/api/dashboard" and recorded.method == "POST" and not ended:
            ended.append(True)
            fresh.metabase.sessions.clear()

    fresh.metabase.before = end
    fresh.sync()
    assert fresh.steps() == []


def test_an_api_key_is_enough_and_one_of_another_group_is_refused_with_the_remedy(fresh: World) -> None:
    fresh.metabase.add_user(*ADMINISTRATOR)
    fresh.metabase.api_keys = {"mb_admin": True, "mb_reader": False}
    key = fresh.login(api_key="mb_admin", user=None, password="")
    fresh.sync(server=key)
    assert fresh.steps(server=key) == []
    assert not any(each.path == "/api/session" for each in fresh.metabase.requests)
    with pytest.raises(MetabaseError, match=r"is not an administrator's.*the group Administrators"):
        fresh.sync(server=fresh.login(api_key="mb_reader"))
    with pytest.raises(
        MetabaseError, match=r"refuses the login: Unauthenticated\. Correct OMS_METABASE_API_KEY"
    ) as error:
        fresh.sync(server=fresh.login(api_key="mb_s3cret"))
    assert "mb_s3cret" not in str(error.value)


def test_a_key_cannot_set_metabase_up(fresh: World) -> None:
    with pytest.raises(MetabaseError, match=r"is not set up yet\. Set OMS_METABASE_USER and OMS_METABASE_PASSWORD"):
        fresh.sync(server=fresh.login(api_key="mb_admin", user=None, password=""))


def test_a_wrong_password_is_told_once_and_not_shown(fresh: World) -> None:
    fresh.metabase.add_user(*ADMINISTRATOR)
    with pytest.raises(MetabaseError, match="Correct OMS_METABASE_USER and OMS_METABASE_PASSWORD") as error:
        fresh.sync(server=fresh.login(password="s3cret wrong"))  # noqa: S106
    assert "s3cret" not in str(error.value)
    assert len([each for each in fresh.metabase.requests if each.path == "/api/session"]) == 1


def test_a_password_that_is_too_simple_is_told(fresh: World) -> None:
    with pytest.raises(MetabaseError, match=r"password is too common.*choose a stronger OMS_METABASE_PASSWORD"):
        fresh.sync(server=fresh.login(password="1234"))  # noqa: S106


def test_nobody_at_the_address_is_told_with_the_remedy(fresh: World) -> None:
    nobody = fresh.login(url="http://127.0.0.1:1")
    with pytest.raises(
        MetabaseError, match=r"Metabase at http://127.0.0.1:1 does not answer: .*refused.*OMS_METABASE_URL"
    ):
        fresh.sync(server=nobody)


def test_a_database_that_metabase_cannot_log_in_to_is_told(fresh: World) -> None:
    login = replace(fresh.server.reads, password="wrong")  # type: ignore[type-var]  # noqa: S106
    with pytest.raises(MetabaseError, match="password authentication failed") as error:
        fresh.sync(server=fresh.login(reads=login))
    assert "\n" not in str(error.value)


# Looking only


def test_a_look_says_whether_a_sync_could_log_in_and_changes_nothing(fresh: World, synced: Metabase) -> None:
    assert check(fresh.server, QUICK) == f"{fresh.metabase.url} answers, and is not set up yet: the first run does that"
    assert fresh.metabase.users == {}
    fresh.metabase.become(synced)
    before = fresh.snapshot()
    assert check(fresh.server, QUICK) == f"{fresh.metabase.url} answers, to an administrator"
    with pytest.raises(MetabaseError):
        check(fresh.login(password="wrong"), QUICK)  # noqa: S106
    assert fresh.snapshot() == before
    assert fresh.metabase.sessions == set()


# Two at once


def test_two_syncs_at_once_make_everything_once(fresh: World) -> None:
    outcomes: list[list[str]] = []
    threads = [threading.Thread(target=lambda: outcomes.append(fresh.steps())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(bool(steps) for steps in outcomes) == [False, False, True]
    assert len(fresh.metabase.all("card")) == 5
    assert len(fresh.metabase.all("dashboard")) == 2
    assert fresh.steps() == []


def test_a_lease_that_a_dead_sync_left_is_taken_over_when_nobody_can_hold_it_any_more(world: World) -> None:
    world.metabase.add("group", name=lease.NAME)
    patient = replace(QUICK, answer=dt.timedelta(seconds=0.5))
    started = time.monotonic()
    with connected(world.server, patient) as client:
        client.log_in()
        with lease.lease(client, dt.timedelta(seconds=1)):
            assert time.monotonic() - started >= 1.5
            assert len(world.metabase.all("group", name=lease.NAME)) == 1
    assert world.metabase.all("group", name=lease.NAME) == []


def test_a_sync_whose_time_is_up_stops_before_it_changes_anything_more(fresh: World) -> None:
    fresh.metabase.polls_until_synced = 5
    with pytest.raises(MetabaseError, match=r"took more than .* and was stopped\. Run it again"):
        fresh.sync(patience=replace(QUICK, whole=QUICK.poll))
    assert fresh.metabase.all("card") == []


def test_the_client_shows_no_secret(fresh: World) -> None:
    client = Client(replace(fresh.server, api_key="mb_s3cret"), QUICK)
    assert "s3cret" not in repr(client) + repr(client.server)
