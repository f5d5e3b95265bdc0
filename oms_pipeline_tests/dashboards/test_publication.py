"""The marts in PostgreSQL: the same rows and types, all at once, and nothing of what others made there is lost."""

import datetime as dt
import threading
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import adbc_driver_manager
import duckdb
import pytest
from adbc_driver_postgresql import dbapi
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oms_pipeline.dashboards import publication
from oms_pipeline.dashboards.definition import REPORT_DAYS
from oms_pipeline.dashboards.metabase.assets import newest_days
from oms_pipeline.dashboards.publication import Newest, Publication, create_table, postgres_type, reader_of
from oms_pipeline.errors import PublicationError, RowCountError, WarehouseError
from oms_pipeline.raw import FolderStore, RawZone
from oms_pipeline.warehouse import DuckDBWarehouse
from oms_pipeline_tests.dashboards.conftest import a_role
from oms_pipeline_tests.source.real_oms import Oms, run

SCHEMAS = ("marts", "ops")
OF_EVERY_TYPE = """
create table marts.types as select
    cast(12345678901234.56 as decimal(18, 2)) as amount, cast(-0.0001 as decimal(9, 4)) as tiny,
    timestamptz '2026-03-08 06:59:59.123456+00' as moment, date '2026-03-08' as business_day, 'Zoë' as name,
    true as is_guest, 7::integer as quantity, 9007199254740993 as order_id, 0.1::double as share,
    10::hugeint as units, timestamp '1999-12-31 23:59:59' as local_time, 3::smallint as month_no,
    cast(null as decimal(18, 2)) as nothing
"""


@pytest.fixture
def warehouse(tmp_path: Path) -> DuckDBWarehouse:
    warehouse = DuckDBWarehouse(
        tmp_path / "oms.duckdb", RawZone(FolderStore(tmp_path / "raw")), dt.timedelta(seconds=5)
    )
    change(
        warehouse,
        "create schema marts; create schema staging",
        "create table marts.sales as select 1 as run, cast(n as decimal(18, 2)) as net_sales from range(1000) as t(n)",
        "create table marts.stores as select 1 as run, n as store_id from range(10) as t(n)",
        "create table staging.secret as select 1 as n",
    )
    return warehouse


@pytest.fixture
def postgres(new_database: Callable[[str], Oms]) -> Oms:
    return new_database("template0")


@pytest.fixture
def to(postgres: Oms) -> Publication:
    return Publication(postgres.dsn, None, dt.timedelta(seconds=5))


def change(warehouse: DuckDBWarehouse, *statements: str) -> None:
    with duckdb.connect(str(warehouse.path)) as connection:
        connection.execute("set TimeZone = 'UTC'")
        for statement in statements:
            connection.execute(statement)


def second_run(warehouse: DuckDBWarehouse) -> None:
    change(warehouse, "update marts.sales set run = 2", "update marts.stores set run = 2")


def schemas(postgres: Oms) -> list[str]:
    rows = postgres.rows(
        "select nspname from pg_namespace where nspname !~ '^(pg_|information_schema|public)' order by 1"
    )
    return [name for (name,) in rows]


def test_every_table_of_the_schemas_arrives_with_its_rows_and_nothing_else_does(
    warehouse: DuckDBWarehouse, to: Publication, postgres: Oms
) -> None:
    published = to.publish(warehouse, SCHEMAS)

    assert [(table.schema, table.name, table.rows, table.columns) for table in published] == [
        ("marts", "sales", 1000, 2),
        ("marts", "stores", 10, 2),
    ]
    assert postgres.value("select sum(net_sales)::text from marts.sales") == "499500.00"
    assert schemas(postgres) == ["marts"]


def test_another_schema_is_published_with_the_first_as_soon_as_it_is_there(
    warehouse: DuckDBWarehouse, to: Publication, postgres: Oms
) -> None:
    to.publish(warehouse, SCHEMAS)
    change(warehouse, "create schema ops", "create table ops.runs as select 'r' as run_id")
    to.publish(warehouse, SCHEMAS)
    assert schemas(postgres) == ["marts", "ops"]
    assert postgres.value("select run_id from ops.runs") == "r"


def test_of_a_view_that_computes_days_only_the_newest_are_published(
    warehouse: DuckDBWarehouse, to: Publication, postgres: Oms
) -> None:
    change(
        warehouse,
        "create table staging.days as select date '2026-03-01' + n::integer as on_day from range(30) as t(n)",
        # The view cannot compute the first days: whoever asks for them, or for all days that there are, fails.
        "create view marts.stock as select on_day, n from (select on_day, case when on_day < '2026-03-10'"
        " then cast(error('asked') as integer) end as n from staging.days) as computed where n is null",
    )
    last = "select max(on_day) from staging.days"
    done = to.publish(warehouse, SCHEMAS, {"marts.stock": Newest("on_day", 7, last)})
    assert next(table.rows for table in done if table.name == "stock") == 7
    assert postgres.rows("select min(on_day), max(on_day) from marts.stock") == [
        (dt.date(2026, 3, 24), dt.date(2026, 3, 30))
    ]


def test_of_the_daily_inventory_the_newest_days_are_told_by_the_table_of_its_snapshots(
    manifest: Mapping[str, Any],
) -> None:
    last = "select max(landed_on) from intermediate.int_inventory__snapshots"
    assert newest_days(manifest) == {"marts.fct_inventory_daily": Newest("business_day", REPORT_DAYS, last)}


def test_types_and_values_are_exact(warehouse: DuckDBWarehouse, to: Publication, postgres: Oms) -> None:
    change(warehouse, OF_EVERY_TYPE)
    to.publish(warehouse, SCHEMAS)
    types = dict(
        postgres.rows(
            "select attname, format_type(atttypid, atttypmod) from pg_attribute"
            " where attrelid = 'marts.types'::regclass and attnum > 0"
        )
    )
    assert types == {
        "amount": "numeric(18,2)",
        "tiny": "numeric(9,4)",
        "moment": "timestamp with time zone",
        "business_day": "date",
        "name": "text",
        "is_guest": "boolean",
        "quantity": "integer",
        "order_id": "bigint",
        "share": "double precision",
        "units": "numeric(38,0)",
        "local_time": "timestamp without time zone",
        "month_no": "smallint",
        "nothing": "numeric(18,2)",
    }
    assert postgres.rows("select amount::text, tiny::text, moment, name, order_id, nothing from marts.types") == [
        (
            "12345678901234.56",
            "-0.0001",
            dt.datetime(2026, 3, 8, 6, 59, 59, 123456, tzinfo=dt.UTC),
            "Zoë",
            9007199254740993,
            None,
        )
    ]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.decimals(min_value=-(10**13), max_value=10**13, places=4, allow_nan=False, allow_infinity=False), min_size=1
    )
)
def test_any_amount_of_money_is_the_same_to_the_last_digit(
    warehouse: DuckDBWarehouse, to: Publication, postgres: Oms, amounts: list[Decimal]
) -> None:
    values = ", ".join(f"({number}, {amount:f})" for number, amount in enumerate(amounts))
    change(
        warehouse,
        f"create or replace table marts.sales as select n, cast(a as decimal(18, 4)) as a from (values {values}) t(n, a)",
    )
    to.publish(warehouse, SCHEMAS)
    found = [Decimal(text) for (text,) in postgres.rows("select a::text from marts.sales order by n")]
    assert found == amounts


def test_a_reader_in_a_long_query_neither_waits_nor_makes_anybody_wait_and_sees_one_run(
    warehouse: DuckDBWarehouse, to: Publication, postgres: Oms
) -> None:
    to.publish(warehouse, SCHEMAS)
    second_run(warehouse)
    seen: list[Any] = []

    def read_slowly() -> None:
        seen.append(
            postgres.rows("select min(run), max(run), count(*), pg_sleep(3)::text from marts.sales group by ()")[0][:3]
        )

    reader = threading.Thread(target=read_slowly)
    reader.start()
    wait_until(
        lambda: bool(postgres.value("select count(*) > 0 from pg_locks where relation = 'marts.sales'::regclass"))
    )
    started = time.monotonic()
    to.publish(warehouse, SCHEMAS)
    assert postgres.rows("select distinct run from marts.sales union all select distinct run from marts.stores") == [
        (2,),
        (2,),
    ]
    assert reader.is_alive(), "the swap waited for the reader"
    assert time.monotonic() - started < 3
    reader.join()
    assert seen == [(1, 1, 1000)]
    # What the reader held goes with the next publication.
    assert any(name.startswith("marts__before_") for name in schemas(postgres))
    to.publish(warehouse, SCHEMAS)
    assert schemas(postgres) == ["marts"]


@pytest.mark.slow
def test_whoever_asks_all_the_time_sees_tables_of_one_run_only(
    warehouse: DuckDBWarehouse, to: Publication, postgres: Oms
) -> None:
    to.publish(warehouse, SCHEMAS)
    stop = threading.Event()
    seen: list[list[tuple[Any, ...]]] = []
    errors: list[Exception] = []

    def read() -> None:
        try:
            while not stop.is_set():
                seen.append(
                    postgres.rows(
                        "select distinct run from (select run from marts.sales union all select run from marts.stores) t"
                    )
                )
        except adbc_driver_manager.Error as error:
            errors.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(2, 8):
        change(warehouse, f"update marts.sales set run = {number}", f"update marts.stores set run = {number}")
        to.publish(warehouse, SCHEMAS)
    stop.set()
    for reader in readers:
        reader.join()
    assert errors == []
    assert all(len(runs) == 1 for runs in seen)
    assert [(7,)] in seen


def test_a_failure_in_the_middle_leaves_what_was_published(
    warehouse: DuckDBWarehouse, to: Publication, postgres: Oms
) -> None:
    to.publish(warehouse, SCHEMAS)
    second_run(warehouse)
    # The second table cannot be filled: the first one is by then.
    change(warehouse, "create table marts.text as select 'a' || chr(0) || 'b' as broken")
    with pytest.raises(
        PublicationError, match=r"The marts were not published to .*: .* Mend that, and run the day again"
    ):
        to.publish(warehouse, SCHEMAS)
    assert postgres.rows("select distinct run from marts.sales") == [(1,)]
    assert schemas(postgres) == ["marts"]
    change(warehouse, "drop table marts.text")
    to.publish(warehouse, SCHEMAS)
    assert postgres.rows("select distinct run from marts.sales") == [(2,)]


def test_a_table_that_lost_rows_on_the_way_is_not_published(
    warehouse: DuckDBWarehouse, to: Publication, postgres: Oms, monkeypatch: pytest.MonkeyPatch
) -> None:
    to.publish(warehouse, SCHEMAS)
    second_run(warehouse)
    real = publication.run_statement

    def lose_a_row(connection: dbapi.Connection, statement: str) -> None:
        real(connection, statement)
        if statement.startswith("analyze"):
            relation = statement.partition(" ")[2]
            real(connection, f"delete from {relation} where ctid = (select max(ctid) from {relation})")

    monkeypatch.setattr(publication, "run_statement", lose_a_row)
    with pytest.raises(
        RowCountError, match=r"marts.sales has 1000 rows in the warehouse and 999 in PostgreSQL"
    ) as error:
        to.publish(warehouse, SCHEMAS)
    assert (error.value.table, error.value.expected, error.value.found) == ("sales", 1000, 999)
    assert postgres.rows("select count(*), max(run) from marts.sales") == [(1000, 1)]


def test_grants_are_kept_and_the_reader_may_read_tables_that_are_new(
    warehouse: DuckDBWarehouse, to: Publication, postgres: Oms
) -> None:
    with a_role(postgres, "metabase_reader") as reader, a_role(postgres, "analyst") as analyst:
        to = Publication(postgres.dsn, "metabase_reader", to.lock_timeout)
        to.publish(warehouse, SCHEMAS)
        postgres.execute("grant usage on schema marts to analyst; grant select on marts.sales to analyst")
        change(warehouse, "create table marts.new as select 1 as n")
        to.publish(warehouse, SCHEMAS)

        assert Oms(reader).value("select count(*) from marts.new") == 1
        assert Oms(analyst).value("select count(*) from marts.sales") == 1000
        with pytest.raises(adbc_driver_manager.Error, match="permission denied"):
            Oms(analyst).value("select count(*) from marts.stores")
        with pytest.raises(adbc_driver_manager.Error, match="permission denied"):
            Oms(reader).execute("delete from marts.sales")


def test_rights_of_every_kind_are_kept_and_no_other_is_given(
    warehouse: DuckDBWarehouse, to: Publication, postgres: Oms
) -> None:
    with a_role(postgres, "intern") as intern, a_role(postgres, "analyst") as analyst, a_role(postgres, "lead") as lead:
        to.publish(warehouse, SCHEMAS)
        postgres.execute(
            "grant usage on schema marts to analyst, intern, lead;"
            "grant select (net_sales) on marts.sales to intern;"
            "grant select on marts.sales to analyst with grant option;"
            "alter default privileges in schema marts grant select on tables to lead with grant option"
        )
        # Rights that were there before the default are its own: the default is for tables to come.
        for number in (1, 2):
            change(warehouse, f"create table marts.new_{number} as select {number} as n")
            to.publish(warehouse, SCHEMAS)

        assert Oms(intern).value("select sum(net_sales)::text from marts.sales") == "499500.00"
        with pytest.raises(adbc_driver_manager.Error, match="permission denied"):
            Oms(intern).value("select run from marts.sales")
        Oms(analyst).execute("grant select on marts.sales to intern")
        assert Oms(intern).value("select max(run) from marts.sales") == 1
        for number in (1, 2):
            assert Oms(lead).value(f"select n from marts.new_{number}") == number
        Oms(lead).execute("grant select on marts.new_2 to intern")
        with pytest.raises(adbc_driver_manager.Error, match="permission denied"):
            Oms(lead).value("select run from marts.sales")


@pytest.mark.parametrize(
    ("made", "told", "undone"),
    [
        (
            "alter table marts.sales enable row level security; create policy few on marts.sales using (run = 9)",
            r"has a policy few on table marts.sales, which every run replaces.*Drop it\. To show somebody some rows or",
            "drop policy few on marts.sales; alter table marts.sales disable row level security",
        ),
        (
            "alter table marts.sales enable row level security",
            r"has a row level security of table marts.sales, which every run replaces",
            "alter table marts.sales disable row level security",
        ),
        (
            "create function marts.doubled(n bigint) returns bigint language sql as 'select 2 * n'",
            r"Move it: alter function marts.doubled\(bigint\) set schema public",
            "alter function marts.doubled(bigint) set schema public",
        ),
        (
            "create type marts.size as enum ('s', 'm')",
            r"Move it: alter type marts.size set schema public",
            "alter type marts.size set schema public",
        ),
        (
            "create view marts.mine as select * from marts.sales",
            r"Move it: alter view marts.mine set schema public",
            "drop view marts.mine",
        ),
        (
            "create rule mine as on delete to marts.sales do instead nothing",
            r"has a rule mine on table marts.sales, which every run replaces",
            "drop rule mine on marts.sales",
        ),
        (
            "alter table marts.stores add primary key (store_id);"
            "create table public.visits (store_id bigint references marts.stores)",
            r"has a constraint visits_store_id_fkey on table (public\.)?visits, which every run replaces",
            "drop table public.visits",
        ),
    ],
)
def test_what_people_made_on_published_tables_stops_the_run_before_it_is_lost(
    warehouse: DuckDBWarehouse, to: Publication, postgres: Oms, made: str, told: str, undone: str
) -> None:
    to.publish(warehouse, SCHEMAS)
    postgres.execute(made)
    second_run(warehouse)
    with pytest.raises(PublicationError, match=told):
        to.publish(warehouse, SCHEMAS)
    assert postgres.value("select max(run) from marts.stores") == 1
    postgres.execute(undone)
    to.publish(warehouse, SCHEMAS)
    assert postgres.value("select max(run) from marts.stores") == 2
    assert schemas(postgres) == ["marts"]


def test_a_schema_that_is_no_publication_is_never_replaced(
    warehouse: DuckDBWarehouse, to: Publication, postgres: Oms
) -> None:
    postgres.execute("create schema marts; create table marts.precious (n integer)")
    with pytest.raises(
        PublicationError, match=r"a schema marts that is not a publication.*Set OMS_PUBLISH_URL to another"
    ):
        to.publish(warehouse, SCHEMAS)
    assert postgres.rows("select n from marts.precious") == []


def test_a_table_made_by_hand_in_the_schema_is_not_lost(
    warehouse: DuckDBWarehouse, to: Publication, postgres: Oms
) -> None:
    to.publish(warehouse, SCHEMAS)
    postgres.execute("create table marts.mine as select 1 as n")
    with pytest.raises(PublicationError, match=r"Move it: alter table marts.mine set schema public"):
        to.publish(warehouse, SCHEMAS)
    postgres.execute("alter table marts.mine set schema public")
    to.publish(warehouse, SCHEMAS)
    assert postgres.value("select n from public.mine") == 1


def test_a_view_made_of_a_published_table_is_told_before_it_goes_stale(
    warehouse: DuckDBWarehouse, to: Publication, postgres: Oms
) -> None:
    to.publish(warehouse, SCHEMAS)
    postgres.execute("create view public.mine as select * from marts.sales")
    second_run(warehouse)
    with pytest.raises(PublicationError, match=r"public.mine is made of marts.sales, which every run replaces"):
        to.publish(warehouse, SCHEMAS)
    assert postgres.rows("select distinct run from public.mine") == [(1,)]


def test_a_table_that_is_no_longer_a_mart_is_gone_from_the_publication(
    warehouse: DuckDBWarehouse, to: Publication, postgres: Oms
) -> None:
    to.publish(warehouse, SCHEMAS)
    change(warehouse, "drop table marts.stores")
    to.publish(warehouse, SCHEMAS)
    assert postgres.rows("select tablename from pg_tables where schemaname = 'marts'") == [("sales",)]


def test_a_second_publication_waits_and_says_so_when_it_waited_for_too_long(
    warehouse: DuckDBWarehouse, postgres: Oms
) -> None:
    with postgres.connection() as other:
        run(other, f"select pg_advisory_lock({publication._LOCK})")
        with pytest.raises(PublicationError, match=r"Another publication to .* is under way; waited 0:00:00.300000"):
            Publication(postgres.dsn, None, dt.timedelta(seconds=0.3)).publish(warehouse, SCHEMAS)


def test_a_server_that_does_not_answer_is_told_without_its_password(warehouse: DuckDBWarehouse) -> None:
    to = Publication("postgresql://oms:s3cret@127.0.0.1:1/oms", None, dt.timedelta(seconds=1))
    with pytest.raises(
        PublicationError, match=r"not published to 127.0.0.1:1/oms.*Check that it runs, and OMS_PUBLISH_URL"
    ) as e:
        to.publish(warehouse, SCHEMAS)
    assert "s3cret" not in str(e.value) + repr(to)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    "dsn",
    ["postgresql://oms:s3cret@[]/oms", "postgresql://oms@localhost/oms?passwort=s3cret", "host=db sslmode=s3cret"],
)
def test_a_dsn_that_postgresql_cannot_read_is_told_without_its_password(
    dsn: str, warehouse: DuckDBWarehouse, caplog: pytest.LogCaptureFixture
) -> None:
    to = Publication(dsn, None, dt.timedelta(seconds=1))
    with pytest.raises(PublicationError, match=r"^OMS_PUBLISH_URL, which names .* PostgreSQL does not know. Corr") as e:
        to.publish(warehouse, SCHEMAS)
    assert "s3cret" not in str(e.value) + caplog.text
    assert e.value.__cause__ is None, "the driver's own error may quote the DSN"
    assert e.value.__suppress_context__, "the driver's own error may quote the DSN"


def test_a_role_that_may_not_make_schemas_is_told_what_to_grant(
    warehouse: DuckDBWarehouse, to: Publication, postgres: Oms
) -> None:
    with a_role(postgres, "powerless") as dsn:
        powerless = Publication(dsn, None, to.lock_timeout)
        with pytest.raises(PublicationError, match=r"grant create on database … to powerless"):
            powerless.check()
        with pytest.raises(PublicationError, match=r"permission denied for database .* grant create on database"):
            powerless.publish(warehouse, SCHEMAS)
    assert "answers" in to.check()


def test_a_role_whose_name_has_to_be_quoted_publishes_too(
    warehouse: DuckDBWarehouse, to: Publication, postgres: Oms
) -> None:
    database = postgres.value("select quote_ident(current_database())")
    with a_role(postgres, '"Oms-Pub"') as dsn:
        postgres.execute(f'grant create on database {database} to "Oms-Pub"')
        own = Publication(dsn.replace('"', ""), None, to.lock_timeout)
        own.publish(warehouse, SCHEMAS)
        second_run(warehouse)
        own.publish(warehouse, SCHEMAS)
        assert postgres.value("select max(run) from marts.sales") == 2


def test_a_warehouse_without_a_day_is_told(tmp_path: Path, to: Publication) -> None:
    nothing = DuckDBWarehouse(tmp_path / "none.duckdb", RawZone(FolderStore(tmp_path)), dt.timedelta(seconds=1))
    with pytest.raises(WarehouseError, match="Load a day first: oms run --day D"):
        to.publish(nothing, SCHEMAS)


def test_a_type_that_would_lose_something_is_refused_by_name() -> None:
    with pytest.raises(PublicationError, match=r"marts.t has a column tags of type VARCHAR\[\].*Cast it in the model"):
        create_table("marts.t", [("tags", "VARCHAR[]")])
    assert postgres_type("marts.t", "a", "DECIMAL(38,10)") == "numeric(38, 10)"


def test_the_reader_is_whom_metabase_logs_in_as_if_that_is_another() -> None:
    publisher = "postgresql://oms:a@db/oms"
    assert reader_of("metabase", publisher) == "metabase"
    assert reader_of("oms", publisher) is None
    assert reader_of("o@ms", "postgresql://o%40ms:a@db/oms") is None
    assert reader_of("oms", "postgresql://oms:a[#?b@db/oms") is None
    assert reader_of(None, publisher) is None


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
