"""A day is read from one snapshot, through one session that cannot write."""

import datetime as dt
import time

import pytest

from oms_pipeline.contract import load_contract
from oms_pipeline.errors import SourceError, TransientSourceError
from oms_pipeline.source import SourceSession
from oms_pipeline_tests.source.real_oms import Oms, day, read, rows_of

READERS = """
select pid, xact_start, state from pg_stat_activity
where application_name = 'oms-pipeline' and datname = current_database()
"""


def setting(session: SourceSession, name: str) -> str:
    value: str = session.execute(f"select current_setting('{name}') as value")[0]["value"]
    return value


def test_what_is_committed_while_a_day_is_read_is_not_in_it(oms: Oms) -> None:
    contract = load_contract()
    oms.order(1, "2026-03-02 10:00+00", lines=2)
    found = {}
    with oms.source().connect() as session, session.snapshot(day("2026-03-02"), contract, settled=True) as snapshot:
        with snapshot.read(contract["orders"], False) as batches:
            found["orders"] = rows_of(batches)
        oms.order(2, "2026-03-02 11:00+00", lines=3)
        oms.execute("""
            delete from order_items where order_id = 1 and line_no = 2;
            delete from inventory;
            insert into payments (order_id, kind, method, status, amount, currency, created_at, updated_at)
            values (1, 'charge', 'card', 'captured', 10, 'EUR', '2026-03-02 11:00+00', '2026-03-02 11:00+00')
        """)
        for table in ("order_items", "payments", "inventory", "orders"):
            with snapshot.read(contract[table], False) as batches:
                found[table] = rows_of(batches)
    assert [row["order_id"] for row in found["orders"]] == [1]
    assert [(row["order_id"], row["line_no"]) for row in found["order_items"]] == [(1, 1), (1, 2)]
    assert found["payments"] == []
    assert len(found["inventory"]) == 16

    assert len(read(oms, "order_items", day("2026-03-02"))) == 4
    assert len(read(oms, "payments", day("2026-03-02"))) == 1


def test_a_day_is_read_in_one_transaction_on_one_connection(oms: Oms) -> None:
    contract = load_contract()
    seen = set()
    with oms.source().connect() as session, session.snapshot(day("2026-03-02"), contract, settled=True) as snapshot:
        for table in contract.values():
            with snapshot.read(table, True) as batches:
                seen |= set(oms.rows(f"select pid, xact_start from ({READERS})"))
                rows_of(batches)
        state = session.execute("select pg_current_snapshot()::text as snapshot, now() as began")[0]
    assert len(seen) == 1
    (_, began), *_ = seen
    assert began == state["began"]
    assert snapshot.snapshot_id == state["snapshot"]
    assert snapshot.taken_at >= began


def test_the_transaction_is_read_only_repeatable_read_and_ends_with_the_day(oms: Oms) -> None:
    with oms.source().connect() as session:
        with session.snapshot(day("2026-03-02"), load_contract(), settled=True):
            names = ("transaction_isolation", "transaction_read_only")
            assert [setting(session, name) for name in names] == ["repeatable read", "on"]
        assert [(start, state) for _, start, state in oms.rows(READERS)] == [(None, "idle")]
        with pytest.raises(ZeroDivisionError), session.snapshot(day("2026-03-02"), load_contract(), settled=True):
            _ = 1 / 0
        assert [(start, state) for _, start, state in oms.rows(READERS)] == [(None, "idle")]
    wait_until_gone(oms)


def wait_until_gone(oms: Oms) -> None:
    """A closed connection takes the server a moment to notice."""
    deadline = time.monotonic() + 10
    while oms.rows(READERS):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("inside", [True, False], ids=["inside a day", "outside"])
def test_the_server_itself_refuses_to_write_for_the_reader(oms: Oms, inside: bool) -> None:
    with oms.source().connect() as session:
        if inside:
            session.execute("begin transaction isolation level repeatable read read only")
        with pytest.raises(SourceError, match="cannot execute INSERT in a read-only transaction"):
            session.execute(
                "insert into oms.stores (store_name, channel, timezone, city, country) values ('', '', '', '', '')"
            )


def test_limits_on_time_and_the_readers_name_are_set_for_the_session(oms: Oms) -> None:
    with oms.source(statement_timeout=dt.timedelta(seconds=90)).connect() as session:
        names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "application_name")
        settings = {name: setting(session, name) for name in names}
    assert settings == {
        "statement_timeout": "90s",
        "lock_timeout": "10s",
        "idle_in_transaction_session_timeout": "90s",
        "application_name": "oms-pipeline",
    }


def test_a_statement_that_takes_too_long_is_cancelled_with_a_next_step(oms: Oms) -> None:
    with (
        oms.source(statement_timeout=dt.timedelta(seconds=0.2)).connect() as session,
        pytest.raises(
            SourceError, match=r"took longer than 0:00:00\.2.* to dream\. .*oms check; or raise OMS_SOURCE_"
        ) as e,
    ):
        session.execute("select pg_sleep(30)", "dream")
    assert not isinstance(e.value, TransientSourceError)


def customers_without_end(oms: Oms, per_row: str = "''") -> None:
    """Puts a view in the place of the customers, which gives rows for as long as somebody reads them."""
    oms.execute(f"""
        drop table customers cascade;
        create view customers as
        select n::bigint as customer_id, {per_row}::text as email, repeat('x', 500) as full_name, ''::text as phone,
            ''::text as city, ''::text as region, ''::text as country, false as marketing_opt_in, now() as deleted_at,
            now() as created_at, timestamptz '2026-03-02 10:00+00' as updated_at
        from generate_series(1, 1000000) as n
    """)


def test_reading_a_table_that_takes_too_long_is_cancelled_too(oms: Oms) -> None:
    customers_without_end(oms, per_row="pg_sleep(0.1)")
    contract = load_contract()
    with (
        oms.source(statement_timeout=dt.timedelta(seconds=0.3)).connect() as session,
        session.snapshot(day("2026-03-02"), contract, settled=True) as snapshot,
        pytest.raises(SourceError, match=r"took longer than .* to read customers"),
        snapshot.read(contract["customers"], False) as batches,
    ):
        list(batches)


def test_a_lock_on_a_table_is_not_waited_for_long_and_counts_as_passing(oms: Oms) -> None:
    contract = load_contract()
    with oms.connection() as migration, migration.cursor() as cursor, oms.source().connect() as session:
        session.execute("set lock_timeout = '200ms'")
        with session.snapshot(day("2026-03-02"), contract, settled=True) as snapshot:
            cursor.execute("begin")
            cursor.execute("lock table orders in access exclusive mode")
            with (
                pytest.raises(TransientSourceError, match=r"kept a lock .* to read orders: .* run the day again"),
                snapshot.read(contract["orders"], False) as batches,
            ):
                rows_of(batches)


def test_a_connection_lost_in_the_middle_of_a_table_counts_as_passing(oms: Oms) -> None:
    customers_without_end(oms)
    contract = load_contract()

    def lose_connection(_: object) -> None:
        oms.execute(f"select pg_terminate_backend(pid) from ({READERS})")

    with (
        pytest.raises(TransientSourceError) as error,
        oms.source().connect() as session,
        session.snapshot(day("2026-03-02"), contract, settled=True) as snapshot,
        snapshot.read(contract["customers"], False) as batches,
    ):
        list(map(lose_connection, batches))
    assert "\n" not in str(error.value)
    assert "to read customers" in str(error.value)
    assert "Check that the server runs" in str(error.value)
