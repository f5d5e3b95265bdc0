"""What is in the files: exact money, whole types, columns nobody had announced; and what cannot be landed says so."""

import datetime as dt
import io
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oms_pipeline.contract import load_contract
from oms_pipeline.errors import SourceError
from oms_pipeline.raw import FolderStore
from oms_pipeline.raw.landing import write_parquet
from oms_pipeline_tests.raw.conftest import Landing
from oms_pipeline_tests.source.real_oms import Oms

DAY = dt.date(2026, 3, 2)
PAYMENT = """
insert into payments (order_id, kind, method, status, amount, currency, updated_at)
values (1, 'charge', 'card', 'captured', {amount}, 'EUR', '2026-03-02 10:00+00')
"""


def test_money_is_landed_to_the_last_digit(landing: Landing) -> None:
    landing.oms.order(1, "2026-03-02 10:00+00")
    amounts = ["0.00", "0.01", "0.10", "-0.01", "999999999999.99", "-999999999999.99", "90071992547.41", "1.10"]
    for amount in amounts:
        landing.oms.execute(PAYMENT.format(amount=amount))
    landing.oms.execute(
        "update products set unit_cost = 1234567890.1234, updated_at = '2026-03-02' where product_id = 1"
    )
    manifest = landing.land("2026-03-02")
    assert [row["amount"] for row in landing.rows(manifest, "payments")] == [Decimal(amount) for amount in amounts]
    assert landing.table(manifest, "payments").schema.field("amount").type == pa.decimal128(14, 2)
    assert [row["unit_cost"] for row in landing.rows(manifest, "products")] == [Decimal("1234567890.1234")]


def test_sums_over_the_files_are_the_sums_of_the_source(life: Oms, tmp_path: Path) -> None:
    landing = Landing(life, tmp_path)
    manifest = landing.land("2026-03-05")
    window = "updated_at >= '2026-03-05' and updated_at < '2026-03-06'"
    landed = sum(row["grand_total"] for row in landing.rows(manifest, "orders"))
    assert landed == Decimal(landing.oms.value(f"select sum(grand_total) from orders where {window}"))


def test_times_are_landed_to_the_microsecond_in_utc_and_nulls_stay_null(landing: Landing) -> None:
    landing.oms.order(1, "2026-03-02 23:59:59.999999+00")
    landing.oms.execute("""
        update orders set placed_at = '2026-03-02 01:02:03.000004+09', updated_at = '2026-03-02 12:00:00.000001+00';
        update employees set left_on = '2026-03-31' where employee_id = 1
    """)
    manifest = landing.land("2026-03-02")
    (order,) = landing.rows(manifest, "orders")
    assert order["updated_at"] == dt.datetime(2026, 3, 2, 12, 0, 0, 1, dt.UTC)
    assert order["placed_at"] == dt.datetime(2026, 3, 1, 16, 2, 3, 4, dt.UTC)
    assert order["customer_id"] is None
    assert order["paid_at"] is None
    assert order["is_test"] is False
    employees = {row["employee_id"]: row["left_on"] for row in landing.rows(manifest, "employees")}
    assert employees == {1: dt.date(2026, 3, 31), 2: None, 3: None, 4: None}


def test_text_is_landed_as_it_is(landing: Landing) -> None:
    texts = ["Ärger & Söhne", "日本", "a\\nb", "", "'); drop table orders; --", "🙂"]
    for n, text in enumerate(texts, start=1):
        landing.oms.order(n, "2026-03-02 10:00+00")
        landing.oms.execute(f"update orders set cancel_reason = $text${text}$text$ where order_id = {n}")
    landing.oms.execute("update orders set updated_at = '2026-03-02 11:00+00'")
    manifest = landing.land("2026-03-02")
    assert {row["order_id"]: row["cancel_reason"] for row in landing.rows(manifest, "orders")} == dict(
        enumerate(texts, 1)
    )


def test_an_empty_table_is_a_file_without_rows_but_with_all_columns(landing: Landing) -> None:
    manifest = landing.land("2026-03-02")
    returns = landing.table(manifest, "returns")
    assert returns.num_rows == manifest.files["returns"].rows == 0
    assert returns.schema.equals(load_contract()["returns"].landed_schema)


def test_a_new_column_is_landed_and_reported_and_stops_nothing(landing: Landing) -> None:
    landing.land("2026-03-01")
    landing.oms.execute("""
        alter table orders add column gift_note text;
        alter table order_items add column engraving jsonb;
        alter table stores add column opened_on date default '2020-01-01'
    """)
    landing.oms.order(1, "2026-03-02 10:00+00", lines=1)
    landing.oms.execute("""
        update orders set gift_note = 'for you', updated_at = '2026-03-02 11:00+00';
        update order_items set engraving = '{"text": "A"}', updated_at = '2026-03-02 11:00+00'
    """)
    manifest = landing.land("2026-03-02")
    told = {name: file.new_columns for name, file in manifest.files.items() if file.new_columns}
    assert told == {"orders": ("gift_note",), "order_items": ("engraving",), "stores": ("opened_on",)}
    assert landing.rows(manifest, "orders")[0]["gift_note"] == "for you"
    assert landing.rows(manifest, "order_items")[0]["engraving"] == '{"text": "A"}'
    assert landing.table(manifest, "stores").schema.names[-2:] == ["_extracted_at", "opened_on"]
    assert landing.table(manifest, "order_items").schema.names[-3:] == [
        "_extracted_at",
        "_parent_updated_at",
        "engraving",
    ]
    first = landing.zone.manifest(dt.date(2026, 3, 1))
    assert first is not None
    assert first.files["orders"].schema != manifest.files["orders"].schema
    assert first.files["payments"].schema == manifest.files["payments"].schema


@pytest.mark.parametrize("change", ["drop table returns", "alter table orders alter column version type text"])
def test_nothing_is_written_when_the_source_does_not_fit_the_contract(landing: Landing, change: str) -> None:
    landing.oms.execute(change)
    with pytest.raises(SourceError, match="does not match the contract"):
        landing.land("2026-03-02")
    assert landing.files() == {}


def test_narrower_types_are_landed_as_the_contracts(landing: Landing) -> None:
    landing.oms.order(1, "2026-03-02 10:00+00")
    landing.oms.execute("""
        alter table orders alter column version type smallint, alter column currency type char(3),
            alter column grand_total type numeric(9, 1)
    """)
    manifest = landing.land("2026-03-02")
    assert landing.table(manifest, "orders").schema.equals(load_contract()["orders"].landed_schema)


def test_a_value_that_is_no_number_names_its_column_and_leaves_the_day_as_it_was(landing: Landing) -> None:
    landing.oms.order(1, "2026-03-02 10:00+00")
    landing.oms.execute(PAYMENT.format(amount="5"))
    old = landing.land("2026-03-02")
    landing.oms.execute(PAYMENT.format(amount="'NaN'"))
    with pytest.raises(SourceError) as error:
        landing.land("2026-03-02", reextract=True)
    assert "payments.amount holds a value that is no decimal128(14, 2)" in str(error.value)
    assert "Correct it at the source, or widen the type in _oms__sources.yml." in str(error.value)
    assert "\n" not in str(error.value)
    assert landing.zone.manifest(DAY) == old
    landing.zone.verify(old)
    assert [name for name in landing.files() if name.endswith(".unfinished")] == []


@pytest.mark.parametrize("text", ["1234567890123.45", "1.005", "NaN", "Infinity", "1e30", "abc", ""])
@pytest.mark.parametrize("rows_before", [0, 200_000], ids=["in the first group", "in a later group"])
def test_a_number_that_does_not_fit_is_never_rounded_or_cut(text: str, rows_before: int) -> None:
    table = load_contract()["payments"]
    good = pa.record_batch({"amount": pa.array(["1.00"] * max(rows_before, 1))})
    bad = pa.record_batch({"amount": pa.array(["1.00", text])})
    schema = pa.schema([table.landed_schema.field("amount")])
    written = io.BytesIO()
    with pytest.raises(SourceError, match=r"payments\.amount holds a value"):
        write_parquet(iter([good, bad, good]), schema, dt.datetime.now(dt.UTC), written, "payments")  # type: ignore[arg-type]


def test_an_error_of_the_reader_is_the_error_of_the_write() -> None:
    def batches() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"n": pa.array(range(200_000), pa.int64())})
        raise SourceError("The reader stops here.")

    with pytest.raises(SourceError, match="The reader stops here"):
        write_parquet(batches(), pa.schema({"n": pa.int64()}), dt.datetime.now(dt.UTC), io.BytesIO(), "orders")  # type: ignore[arg-type]


def test_many_batches_become_few_row_groups_in_the_order_they_came(landing: Landing) -> None:
    store = FolderStore(landing.folder)
    batches = (pa.record_batch({"n": pa.array(range(n * 1000, (n + 1) * 1000), pa.int64())}) for n in range(300))
    schema = pa.schema({"n": pa.int64()})
    with store.create("n.parquet") as sink:
        assert write_parquet(batches, schema, dt.datetime.now(dt.UTC), sink, "orders") == 300_000
    file = pq.ParquetFile(landing.folder / "n.parquet")
    assert file.num_row_groups == 3
    assert file.read()["n"].to_pylist() == list(range(300_000))
    assert store.sha256("n.parquet") == (sink.size, sink.sha256)


MEASURE = """
import resource, sys
from pathlib import Path
from oms_pipeline_tests.raw.conftest import Landing
from oms_pipeline_tests.source.real_oms import Oms
from oms_pipeline_tests.source.real_oms import Oms
manifest = Landing(Oms(sys.argv[1]), Path(sys.argv[2])).land("2026-03-02")
print(manifest.files["payments"].rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_rows(landing: Landing) -> None:
    landing.oms.execute("alter table payments rename to payments_of_the_shop")
    used = {}
    for rows in (1_000, 1_000_000):
        landing.oms.execute(f"""
            drop view if exists payments;
            create view payments as
            select n::bigint as payment_id, n::bigint as order_id, 'charge'::text as kind, 'card'::text as method,
                'captured'::text as status, (n / 100.0)::numeric(14, 2) as amount, 'EUR'::text as currency,
                n::bigint as parent_payment_id, now() as occurred_at, now() as created_at,
                timestamptz '2026-03-02 10:00+00' as updated_at
            from generate_series(1, {rows}) as n
        """)
        command = [sys.executable, "-c", MEASURE, landing.oms.dsn, str(landing.folder / str(rows))]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        landed, used[rows] = map(int, output.split())
        assert landed == rows
    assert used[1_000_000] - used[1_000] < 250, f"megabytes at their most: {used}"
