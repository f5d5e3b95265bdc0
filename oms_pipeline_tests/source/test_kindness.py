"""Production feels one short, indexed reader."""

import datetime as dt
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from oms_pipeline.contract import Extract, load_contract
from oms_pipeline.raw import FolderStore, RawZone, land_window
from oms_pipeline.source import DaySnapshot
from oms_pipeline_tests.source.real_oms import FIRST_DAY, LIFE_DAYS, Oms, day, windowed

NEWEST = FIRST_DAY + dt.timedelta(LIFE_DAYS - 1)
SCANS = "select relname, seq_scan, idx_scan from pg_stat_user_tables where schemaname = 'oms'"


@contextmanager
def lived_snapshot(oms: Oms) -> Iterator[DaySnapshot]:
    with oms.source().connect() as session, session.snapshot(day(str(NEWEST)), load_contract(), True) as snapshot:
        yield snapshot


def nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def plan_of(snapshot: DaySnapshot, table: str) -> Mapping[str, Any]:
    """The plan by which a table is read, in the session and under the settings that read it."""
    sql = snapshot.query(snapshot.contract[table], open_to_the_past=False)
    with snapshot.session._connection.cursor() as cursor:
        # An EXPLAIN cannot be the subject of COPY, by which the driver fetches everything else.
        cursor.adbc_statement.set_options(**{"adbc.postgresql.use_copy": "false"})
        cursor.execute(f"explain (analyze, buffers, format json) {sql}")
        (text,) = cursor.fetchone()
    plan: Mapping[str, Any] = json.loads(text)[0]["Plan"]
    return plan


@pytest.fixture(params=["with statistics", "never analysed"])
def lived(life: Oms, request: pytest.FixtureRequest) -> Oms:
    if request.param == "never analysed":
        life.execute("delete from pg_statistic; update pg_class set reltuples = -1, relpages = 0 where relkind = 'r'")
    return life


def test_a_day_is_read_by_index_from_every_table_with_a_window(lived: Oms) -> None:
    contract = load_contract()
    with lived.source().connect() as session, session.snapshot(day(str(NEWEST)), contract, True) as snapshot:
        for table in windowed(contract):
            with snapshot.read(table, open_to_the_past=False) as batches:
                rows = sum(batch.num_rows for batch in batches)
            plan = plan_of(snapshot, table.name)
            scans = [node for node in nodes(plan) if "Relation Name" in node or "Index Name" in node]
            kinds = {node["Node Type"] for node in scans}
            assert kinds <= {"Index Scan", "Index Only Scan", "Bitmap Index Scan", "Bitmap Heap Scan"}, table.name
            assert f"{table.name}_updated_at" in {node.get("Index Name") for node in scans}
            assert plan["Actual Rows"] == rows


def test_children_are_looked_up_by_their_changed_parents_however_many_parents_there_are(life: Oms) -> None:
    noon = f"{NEWEST} 12:00+00"
    life.execute(f"""
        set session_replication_role = replica;
        insert into orders overriding system value
        select old.*
        from (select * from orders order by order_id limit 1) as one
        cross join generate_series(1, 200000) as n,
            jsonb_populate_record(null::orders, to_jsonb(one) || jsonb_build_object(
                'order_id', 1000000 + n, 'order_number', 'old ' || n, 'created_at', '2020-01-01',
                'updated_at', case when n % 100 = 0 then '{noon}' else '2020-01-01' end
            )) as old;
        insert into order_items
        select old.*
        from (select * from order_items order by order_id, line_no limit 1) as one
        cross join generate_series(1, 200000) as n,
            jsonb_populate_record(null::order_items, to_jsonb(one) || jsonb_build_object(
                'order_id', 1000000 + n, 'line_no', 1, 'created_at', '2020-01-01',
                'updated_at', case when n % 100 = 0 then '{noon}' else '2020-01-01' end
            )) as old;
        set session_replication_role = origin
    """)
    life.execute("analyze orders, order_items")
    contract = load_contract()
    with lived_snapshot(life) as snapshot, snapshot.read(contract["order_items"], open_to_the_past=False) as batches:
        rows = sum(batch.num_rows for batch in batches)
        plan = plan_of(snapshot, "order_items")
    by_index = [node for node in nodes(plan) if node["Node Type"] in ("Index Scan", "Index Only Scan")]
    assert all("Index Cond" in node for node in by_index), "a whole index is read"
    assert "Gather" not in {node["Node Type"] for node in nodes(plan)}
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 50 * rows


def test_the_rows_looked_at_are_those_of_the_day_and_not_of_the_history(lived: Oms) -> None:
    contract = load_contract()
    with lived.source().connect() as session, session.snapshot(day(str(NEWEST)), contract, True) as snapshot:
        for table in windowed(contract):
            if table.extract is Extract.CHANGES:
                with snapshot.read(table, open_to_the_past=False) as batches:
                    rows = sum(batch.num_rows for batch in batches)
                removed = sum(node.get("Rows Removed by Filter", 0) for node in nodes(plan_of(snapshot, table.name)))
                assert removed <= rows


def test_over_a_whole_landed_day_only_snapshot_tables_are_scanned(life: Oms, tmp_path: Path) -> None:
    contract = load_contract()
    zone = RawZone(FolderStore(tmp_path / "raw"))
    settings = life.settings(tmp_path)
    before = scans_when_quiet(life)
    land_window(day(str(NEWEST)), life.source(), zone, contract, settings, reextract=False)
    after = scans_when_quiet(life)
    scanned = {table for table in contract if after[table][0] > before[table][0]}
    searched = {table for table in contract if after[table][1] > before[table][1]}
    assert scanned == {table.name for table in contract.values() if table.extract is Extract.SNAPSHOT}
    assert searched >= {table.name for table in windowed(contract)}


def scans_when_quiet(oms: Oms) -> dict[str, tuple[int, int]]:
    """Sequential and index scans per table; sessions hand in their counts when they end."""
    deadline = time.monotonic() + 20
    while oms.value("select count(*) from pg_stat_activity where datname = current_database()") > 1:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return {table: (sequential, by_index) for table, sequential, by_index in oms.rows(SCANS)}


def test_a_missing_index_is_told_with_its_ddl(oms: Oms) -> None:
    tables = list(load_contract().values())
    with oms.source().connect() as session:
        assert session.missing_indexes(tables) == []
        oms.execute("""
            drop index orders_updated_at, order_items_updated_at, stores_updated_at;
            create index on orders (order_id, updated_at);
            create index on orders (updated_at) where not is_test;
            create index on order_items ((updated_at at time zone 'UTC'))
        """)
        ddl = session.missing_indexes(tables)
    assert ddl == [
        'create index concurrently on "oms"."orders" ("updated_at")',
        'create index concurrently on "oms"."order_items" ("updated_at")',
    ]
    for statement in ddl:
        oms.execute(statement)
    with oms.source().connect() as session:
        assert session.missing_indexes(tables) == []
