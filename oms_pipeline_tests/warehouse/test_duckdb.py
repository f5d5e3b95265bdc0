"""The DuckDB file: who holds it, what is registered in it, and that a transaction is all or nothing."""

import datetime as dt
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from oms_pipeline.contract import load_contract
from oms_pipeline.errors import WarehouseError
from oms_pipeline.raw import FolderStore, RawZone
from oms_pipeline.warehouse import LAYERS, DuckDBWarehouse, Purpose, RelationFacts, Shown
from oms_pipeline_tests.raw.conftest import Landing
from oms_pipeline_tests.source.real_oms import days

D1, D2, D3 = "2026-03-01", "2026-03-02", "2026-03-03"

HOLD = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held_by_another_process(path: Path) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.stdin.close()
        process.wait()


def orders(
    warehouse: DuckDBWarehouse, columns: str = "order_id, cast(landed_on as varchar)"
) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for row in warehouse.read(f"select {columns} from external.orders order by all")]


def register(warehouse: DuckDBWarehouse, *manifests: object) -> dict[tuple[str, str], int]:
    """Registers landed days; returns what the warehouse finds in their orders and order items."""
    with warehouse.open(Purpose("test")) as session:
        found = session.register(manifests, load_contract())  # type: ignore[arg-type]
    return {(day.table, str(day.day)): day.rows for day in found if day.table in ("orders", "order_items")}


# Who holds the file


def test_opening_makes_the_file_and_its_layers_and_reading_makes_nothing(warehouse: DuckDBWarehouse) -> None:
    assert warehouse.read("select 1 as one") == []
    assert not warehouse.path.exists()

    with warehouse.open(Purpose("test")):
        pass

    schemas = warehouse.read("select schema_name as name from duckdb_schemas() where not internal order by all")
    assert {row["name"] for row in schemas} >= set(LAYERS)
    assert warehouse.read("select count(*) as n from external.registered_files") == [{"n": 0}]
    assert warehouse.read("select * from marts.not_yet_there") == []


def test_whoever_comes_second_waits_until_the_first_lets_go(warehouse: DuckDBWarehouse) -> None:
    with warehouse.open(Purpose("test")):
        pass
    with held_by_another_process(warehouse.path) as holder:
        assert holder.stdin is not None
        waiting = subprocess.Popen(
            [sys.executable, "-c", WAIT, str(warehouse.path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert waiting.stderr is not None
        line = waiting.stderr.readline()
        assert line.startswith(f"Waiting to wait in a test: {warehouse.path} is held by ")
        assert waiting.poll() is None
        holder.stdin.close()
        assert waiting.communicate(timeout=60)[0] == "opened\n"


WAIT = """
import datetime, logging, pathlib, sys
from oms_pipeline.raw import FolderStore, RawZone
from oms_pipeline.warehouse import DuckDBWarehouse, Purpose
logging.basicConfig(level=logging.INFO, format="%(message)s")
path = pathlib.Path(sys.argv[1])
warehouse = DuckDBWarehouse(path, RawZone(FolderStore(path.parent)), datetime.timedelta(minutes=1))
with warehouse.open(Purpose("wait in a test")):
    print("opened")
"""


def read(warehouse: DuckDBWarehouse) -> None:
    warehouse.read("select 1")


def load_a_day(warehouse: DuckDBWarehouse) -> None:
    with warehouse.open(Purpose("load a day")):
        pass


@pytest.mark.parametrize("use", [read, load_a_day])
def test_who_waits_for_too_long_is_told_who_holds_the_file(
    warehouse: DuckDBWarehouse, use: Callable[[DuckDBWarehouse], None]
) -> None:
    impatient = replace(warehouse, lock_timeout=dt.timedelta(seconds=0.3))
    with held_by_another_process(warehouse.path) as holder, pytest.raises(WarehouseError) as error:
        use(impatient)

    message = str(error.value)
    assert message.startswith(f"{warehouse.path} is held by ")
    assert f"(PID {holder.pid})" in message
    assert f"waited 0:00:00.300000 to {use.__name__.replace('_', ' ')}." in message
    assert message.endswith("Close that program, or wait for its run to end, and try again.")


def test_a_file_that_is_no_warehouse_is_told_of_in_one_line(warehouse: DuckDBWarehouse) -> None:
    warehouse.path.write_text("not a database, however long it may be " * 500)

    with pytest.raises(WarehouseError) as error, warehouse.open(Purpose("test")):
        pass

    message = str(error.value)
    assert message.startswith(f"The warehouse {warehouse.path} cannot be opened: ")
    assert message.endswith("Make it a writable DuckDB file, or set OMS_DUCKDB_PATH to another place.")
    assert "\n" not in message


def test_a_place_that_cannot_be_a_folder_is_told_of(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    nowhere = replace(warehouse, path=tmp_path / "file" / "oms.duckdb")

    with (
        pytest.raises(WarehouseError, match=r"cannot be opened: .*set OMS_DUCKDB_PATH to another place"),
        nowhere.open(Purpose("")),
    ):
        pass


# What is registered


def test_a_landed_day_is_registered_with_the_rows_the_warehouse_finds(
    landing: Landing, warehouse: DuckDBWarehouse
) -> None:
    landing.oms.order(1, f"{D1} 10:00", lines=2)
    landing.oms.order(2, f"{D2} 10:00", lines=3)
    first, second = landing.land(D1), landing.land(D2)

    assert register(warehouse, first) == {("orders", D1): 1, ("order_items", D1): 2}
    assert orders(warehouse) == [(1, D1)]
    assert register(warehouse, second) == {("orders", D2): 1, ("order_items", D2): 3}
    assert orders(warehouse) == [(1, D1), (2, D2)]

    with warehouse.open(Purpose("test")) as session:
        rows = session.registered_rows(days(D2, D2), load_contract())
    assert {table for table, _ in rows} == set(load_contract())
    assert {day for _, day in rows} == {dt.date.fromisoformat(D2)}
    assert rows["order_items", dt.date.fromisoformat(D2)] == 3


def test_registering_a_day_again_replaces_it_and_no_other(landing: Landing, warehouse: DuckDBWarehouse) -> None:
    landing.oms.order(1, f"{D1} 10:00")
    landing.oms.order(2, f"{D2} 10:00")
    first, second = landing.land(D1), landing.land(D2)
    register(warehouse, first, second)
    listed = "select * exclude (registered_at) from external.registered_files order by all"
    before = warehouse.read(listed)

    register(warehouse, second)
    assert warehouse.read(listed) == before

    landing.oms.order(3, f"{D2} 11:00")
    register(warehouse, landing.land(D2, reextract=True))
    assert orders(warehouse) == [(1, D1), (2, D2), (3, D2)]
    unchanged = [row for row in warehouse.read(listed) if str(row["landed_on"]) == D1]
    assert unchanged == [row for row in before if str(row["landed_on"]) == D1]


def test_a_file_that_nobody_registered_is_not_shown(landing: Landing, warehouse: DuckDBWarehouse) -> None:
    landing.oms.order(1, f"{D1} 10:00")
    register(warehouse, landing.land(D1))

    landing.oms.order(2, f"{D2} 10:00")
    landing.land(D2)

    assert orders(warehouse) == [(1, D1)]


def test_a_view_shows_the_contracts_columns_and_what_an_old_file_lacks_as_null(
    landing: Landing, warehouse: DuckDBWarehouse
) -> None:
    contract = load_contract()
    older = replace(
        contract["orders"], columns=tuple(c for c in contract["orders"].columns if c.name != "cancel_reason")
    )
    landing.oms.order(1, f"{D1} 10:00")
    first = landing.land(D1, contract={**contract, "orders": older})
    landing.oms.execute("alter table orders add column gift_note text default 'hello'")
    landing.oms.order(2, f"{D2} 10:00")
    landing.oms.execute(
        "update orders set cancel_reason = 'late', updated_at = updated_at + interval '1 s' where order_id = 2"
    )

    register(warehouse, first, landing.land(D2))

    assert orders(warehouse, "order_id, cancel_reason") == [(1, None), (2, "late")]
    described = warehouse.read("describe external.orders")
    assert [row["column_name"] for row in described] == [
        *(column.name for column in contract["orders"].columns),
        "_extracted_at",
        "landed_on",
    ]
    types = {row["column_name"]: row["column_type"] for row in described}
    assert (types["order_id"], types["tax_total"], types["placed_at"], types["landed_on"]) == (
        "BIGINT",
        "DECIMAL(14,2)",
        "TIMESTAMP WITH TIME ZONE",
        "DATE",
    )


def test_a_question_about_one_day_reads_that_days_file_alone(landing: Landing, warehouse: DuckDBWarehouse) -> None:
    manifests = []
    for number, day in enumerate((D1, D2, D3), 1):
        landing.oms.order(number, f"{day} 10:00")
        manifests.append(landing.land(day))
    register(warehouse, *manifests)

    plan = warehouse.read(f"explain analyze select order_id from external.orders where landed_on = date '{D2}'")

    assert "Scanning Files: 1/3" in plan[0]["explain_value"]


def test_views_are_made_once_and_not_with_every_day(landing: Landing, warehouse: DuckDBWarehouse) -> None:
    made = "select view_oid as oid from duckdb_views() where schema_name = 'external' order by all"
    landing.oms.order(1, f"{D1} 10:00")
    register(warehouse, landing.land(D1))
    before = warehouse.read(made)

    landing.oms.order(2, f"{D2} 10:00")
    register(warehouse, landing.land(D2))

    assert warehouse.read(made) == before
    assert len(before) == len(load_contract())


def test_a_raw_zone_may_lie_below_a_folder_with_a_quote_in_its_name(landing: Landing) -> None:
    quoted = replace(landing, folder=landing.folder / "the team's")
    landing.oms.order(1, f"{D1} 10:00")
    warehouse = DuckDBWarehouse(quoted.folder / "oms.duckdb", quoted.zone, dt.timedelta(seconds=60))

    register(warehouse, quoted.land(D1))

    assert orders(warehouse) == [(1, D1)]


def test_a_table_that_left_the_contract_is_left_out(landing: Landing, warehouse: DuckDBWarehouse) -> None:
    manifest = landing.land(D1)
    contract = {name: table for name, table in load_contract().items() if name != "returns"}

    with warehouse.open(Purpose("test")) as session:
        found = session.register([manifest], contract)

    assert {day.table for day in found} == set(contract)
    assert warehouse.read("select view_name from duckdb_views() where view_name = 'returns'") == []


@pytest.mark.parametrize("content", [None, b"", b"not Parquet"])
def test_a_day_with_a_file_that_cannot_be_read_is_not_registered(
    landing: Landing, warehouse: DuckDBWarehouse, content: bytes | None
) -> None:
    register(warehouse, landing.land(D1))
    second = landing.land(D2)
    path = landing.path(second, "orders")
    path.unlink() if content is None else path.write_bytes(content)

    with pytest.raises(WarehouseError) as error:
        register(warehouse, second)

    assert str(error.value).startswith("A landed file cannot be read: ")
    assert "\n" not in str(error.value)
    assert warehouse.read("select distinct cast(landed_on as varchar) as day from external.registered_files") == [
        {"day": D1}
    ]


# Transactions


def test_what_is_done_in_a_transaction_appears_at_its_end_or_not_at_all(warehouse: DuckDBWarehouse) -> None:
    with warehouse.open(Purpose("test")) as session, session.transaction():
        session.query("create table marts.one as select 1 as n")

    with warehouse.open(Purpose("test")) as session, suppress(KeyboardInterrupt), session.transaction():
        session.query("update marts.one set n = 2")
        session.query("create table marts.two as select 2 as n")
        session.query("create or replace table marts.one as select 3 as n")
        raise KeyboardInterrupt

    assert warehouse.read("select * from marts.one") == [{"n": 1}]
    assert warehouse.read("select * from marts.two") == []
    assert warehouse.layer_rows() == {"external": 0, "marts": 1, "ops": 0}


def test_a_session_goes_on_after_a_transaction_that_failed(warehouse: DuckDBWarehouse) -> None:
    with warehouse.open(Purpose("test")) as session:
        with pytest.raises(Exception, match="no_such_table"), session.transaction():
            session.query("select * from no_such_table")
        with session.transaction():
            session.query("create table marts.one as select 1 as n")

    assert warehouse.read("select * from marts.one") == [{"n": 1}]


# What is worth showing


def test_facts_count_tables_and_only_show_views_and_only_the_rows_asked_for(warehouse: DuckDBWarehouse) -> None:
    with warehouse.open(Purpose("test")) as session:
        with session.transaction():
            session.query("create table marts.numbers as select range as n from range(7)")
            session.query("create view marts.doubled as select n * 2 as n from marts.numbers")
            session.query("create table marts.nothing as select 1 as n where false")
        facts = session.facts(
            {
                "marts.numbers": Shown(("n",)),
                "marts.doubled": Shown(("n",), is_view=True, condition="n > 4"),
                "marts.nothing": Shown(("n",)),
            }
        )

    def shown(found: RelationFacts) -> tuple[int | None, list[int]]:
        return found.rows, found.preview.column("n").to_pylist()

    assert shown(facts["marts.numbers"]) == (7, [0, 1, 2, 3, 4])
    assert shown(facts["marts.doubled"]) == (None, [6, 8, 10, 12])
    assert shown(facts["marts.nothing"]) == (0, [])
    assert warehouse.layer_rows() == {"external": 0, "marts": 7, "ops": 0}


def test_timestamps_with_a_zone_are_told_in_utc_whatever_the_machines_zone(
    warehouse: DuckDBWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    instant = "select cast(timestamptz '2026-03-01 00:00:00+00' as varchar) as instant"
    with warehouse.open(Purpose("test")) as session:
        assert session.query(instant).to_pylist() == [{"instant": "2026-03-01 00:00:00+00"}]
    assert warehouse.read(instant) == [{"instant": "2026-03-01 00:00:00+00"}]


def test_dbt_finds_the_file_by_its_environment(tmp_path: Path) -> None:
    warehouse = DuckDBWarehouse(tmp_path / "w.duckdb", RawZone(FolderStore(tmp_path)), dt.timedelta(seconds=1))
    assert warehouse.dbt_environment() == {"OMS_DUCKDB_PATH": str(tmp_path / "w.duckdb")}
