"""The OMS's tables, against the contract."""

import datetime as dt

import pytest
from adbc_driver_postgresql import dbapi

from oms_pipeline import sample
from oms_pipeline.contract import load_contract

from .conftest import execute, rows

STORE = (
    "insert into oms.stores (store_name, channel, timezone, city, country, updated_at) "
    "values ('Store 1', 'online', 'UTC', 'City 1', 'DE', '2020-01-01')"
)

COLUMNS = """
    select c.relname, a.attname, format_type(a.atttypid, a.atttypmod), not a.attnotnull
    from pg_attribute as a inner join pg_class as c on c.oid = a.attrelid
    where c.relnamespace = 'oms'::regnamespace and c.relkind = 'r' and a.attnum > 0
    order by c.relname, a.attnum
"""
PRIMARY_KEYS = """
    select c.conrelid::regclass::text, array_agg(a.attname::text order by array_position(c.conkey, a.attnum))
    from pg_constraint as c inner join pg_attribute as a on a.attrelid = c.conrelid and a.attnum = any (c.conkey)
    where c.contype = 'p' and c.connamespace = 'oms'::regnamespace
    group by c.conrelid
"""
FOREIGN_KEYS = """
    select c.conrelid::regclass::text, a.attname::text
    from pg_constraint as c inner join pg_attribute as a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
    where c.contype = 'f' and c.connamespace = 'oms'::regnamespace
"""
INDEXED = """
    select i.indrelid::regclass::text, a.attname::text
    from pg_index as i inner join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
"""
DEFINITION = """
    select array_agg(relname || ' ' || oid order by oid)::text from pg_class where relnamespace = 'oms'::regnamespace
"""


def test_the_tables_are_those_of_the_contract_column_by_column(empty: str) -> None:
    found: dict[str, list[tuple[str, str, bool]]] = {}
    for table, column, data_type, nullable in rows(empty, COLUMNS):
        agreed_type = data_type.replace("timestamp with time zone", "timestamptz")
        found.setdefault(table, []).append((column, agreed_type, nullable))
    assert found == {
        name: [(column.name, column.data_type, column.nullable) for column in table.columns]
        for name, table in load_contract().items()
    }


def test_the_primary_keys_are_those_of_the_contract(empty: str) -> None:
    found = {table: tuple(key) for table, key in rows(empty, PRIMARY_KEYS)}
    assert found == {name: table.primary_key for name, table in load_contract().items()}


def test_updated_at_and_every_foreign_key_lead_an_index(empty: str) -> None:
    wanted = {*rows(empty, FOREIGN_KEYS), *((table, "updated_at") for table in load_contract())}
    assert wanted - set(rows(empty, INDEXED)) == set()


def test_an_update_is_stamped_with_its_transactions_start(empty: str) -> None:
    execute(empty, STORE)
    with dbapi.connect(empty) as connection, connection.cursor() as cursor:
        cursor.execute("select now()")
        started = cursor.fetchone()[0]
        cursor.execute("update oms.stores set city = 'City 2'")
        connection.commit()
    assert rows(empty, "select updated_at from stores") == [(started,)]


def test_an_update_that_dates_itself_keeps_its_date(empty: str) -> None:
    execute(empty, STORE, "update oms.stores set city = 'City 2', updated_at = '2021-02-03 00:00+00'")
    assert rows(empty, "select updated_at from stores") == [(dt.datetime(2021, 2, 3, tzinfo=dt.UTC),)]


def test_deleting_an_order_deletes_its_lines(empty: str) -> None:
    execute(
        empty,
        STORE,
        "insert into oms.products (sku, product_name, category, retail_price, unit_cost, currency) "
        "values ('SKU-1', 'Product 1', 'Home', 1, 1, 'EUR')",
        "insert into oms.orders (order_number, store_id, currency, status) values ('SO-1', 1, 'EUR', 'draft')",
        "insert into oms.order_items (order_id, line_no, product_id, quantity, unit_price, unit_cost) "
        "values (1, 1, 1, 1, 1, 1)",
        "delete from oms.orders",
    )
    assert rows(empty, "select * from order_items") == []


def test_creating_the_tables_again_changes_nothing(empty: str) -> None:
    execute(empty, STORE)
    before = rows(empty, DEFINITION), rows(empty, "select * from stores")
    sample.create_schema(empty, "oms")
    assert (rows(empty, DEFINITION), rows(empty, "select * from stores")) == before


@pytest.mark.parametrize("schema", ["shop", 'Odd "Name"'])
def test_the_tables_go_to_any_schema(empty: str, schema: str) -> None:
    sample.create_schema(empty, schema)
    assert len(rows(empty, f"select tablename from pg_tables where schemaname = '{schema}'")) == len(load_contract())


def test_a_column_added_one_day_is_null_and_no_change(empty: str) -> None:
    execute(empty, STORE)
    before = rows(empty, "select updated_at from stores")
    sample.add_column(empty, "oms", "stores", "floor_space", "integer")
    assert rows(empty, "select floor_space, updated_at from stores") == [(None, before[0][0])]
