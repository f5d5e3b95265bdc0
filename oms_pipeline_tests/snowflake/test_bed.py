"""The test bed answers as Snowflake does, where the project depends on it; asked by Snowflake's own clients."""

import base64
import datetime as dt
import io
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dagster_snowflake import SnowflakeResource
from dbt.cli.main import dbtRunner
from snowflake.connector import SnowflakeConnection
from snowflake.connector.errors import DatabaseError, NotSupportedError, ProgrammingError

from oms_pipeline_tests.snowflake.conftest import BUCKET, Query, connect
from oms_pipeline_tests.snowflake.server import Bed, new_key_pair

DAY = "raw/year=2026/month=03/day=20"
INTEGRATION = f"""
    create or replace storage integration OMS_RAW type = external_stage storage_provider = 'S3' enabled = true
    storage_aws_role_arn = 'arn:aws:iam::000000000001:role/oms' storage_allowed_locations = ('s3://{BUCKET}/raw/')
"""
EXTERNAL_TABLE = r"""
    create external table if not exists WORK.ORDERS (
        order_id number(38, 0) as (value:"order_id"::number(38, 0)),
        total number(38, 2) as (value:"total"::number(38, 2)),
        placed_at timestamp_tz as (value:"placed_at"::timestamp_tz),
        due date as (value:"due"::date),
        is_test boolean as (value:"is_test"::boolean),
        note varchar as (value:"note"::varchar),
        landed_on date as (
            to_date(regexp_replace(metadata$filename, '.*year=(\\d+)/month=(\\d+)/day=(\\d+)/.*', '\\1-\\2-\\3'))
        )
    )
    partition by (landed_on)
    location = @WORK.RAW/
    pattern = '.*/orders/[^/]+[.]parquet'
    file_format = (format_name = 'WORK.PARQUET')
    auto_refresh = false
    refresh_on_create = false
    comment = 'Orders as landed.'
"""
REFRESH = "alter external table WORK.ORDERS refresh 'year=2026/month=03/day=20/orders/'"


def parquet(**columns: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


@pytest.fixture
def other(bed: Bed, query: Query) -> Iterator[SnowflakeConnection]:
    """A second session."""
    with closing(connect(bed.login(), schema="WORK")) as connection:
        yield connection


@pytest.fixture
def landed(bucket: Any, query: Query) -> Any:
    """An external table over an empty bucket."""
    query(INTEGRATION)
    query("create file format WORK.PARQUET type = parquet")
    query(f"create stage WORK.RAW url = 's3://{BUCKET}/raw/' storage_integration = OMS_RAW file_format = WORK.PARQUET")
    query(EXTERNAL_TABLE)
    return bucket


def ran(connection: Any, sql: str, **more: Any) -> Any:
    """The cursor after a statement."""
    return connection.cursor().execute(sql, **more)


def refused(code: int, query: Query, sql: str) -> str:
    with pytest.raises(DatabaseError) as error:
        query(sql)
    assert error.value.errno == code, error.value
    return str(error.value)


def test_a_key_that_was_not_registered_is_turned_away(bed: Bed) -> None:
    with pytest.raises(DatabaseError, match="JWT token is invalid"):
        connect(bed.login(keys=new_key_pair()))


def test_a_user_logs_in_with_the_roles_it_was_granted_and_no_other(bed: Bed, query: Query) -> None:
    keys = new_key_pair()
    query(f"create or replace user ROBOT type = service rsa_public_key = '{keys.public}'")
    for role in ("LOADER", "TRANSFORMER", "OWNER"):
        query(f"create role if not exists {role}")
    query("grant role LOADER to role TRANSFORMER")
    query("grant role TRANSFORMER to user ROBOT")
    for role in ("TRANSFORMER", "LOADER"):
        with closing(connect(bed.login(user="ROBOT", keys=keys, role=role))) as connection:
            assert ran(connection, "select current_role(), current_user()").fetchall() == [(role, "ROBOT")]
    with pytest.raises(DatabaseError, match="OWNER"):
        connect(bed.login(user="ROBOT", keys=keys, role="OWNER"))


def test_an_external_table_shows_what_was_refreshed_exactly(landed: Any, query: Query) -> None:
    at = dt.datetime(2026, 3, 20, 1, 2, 3, 456789, tzinfo=dt.UTC)
    landed.put_object(
        Key=f"{DAY}/orders/a.parquet",
        Body=parquet(
            order_id=pa.array([1, 2], pa.int64()),
            total=pa.array([Decimal("123456789012345678.91"), None], pa.decimal128(38, 2)),
            placed_at=pa.array([at, None], pa.timestamp("us", "UTC")),
            due=[dt.date(2026, 4, 1), None],
            is_test=[True, False],
        ),
    )
    landed.put_object(Key=f"{DAY}/orders_2/b.parquet", Body=parquet(order_id=[3]))
    assert query("select count(*) from WORK.ORDERS") == [(0,)]
    assert [row[1] for row in query(REFRESH)] == ["REGISTERED_NEW"]
    assert query(REFRESH) == []
    rows = query("select order_id, total, placed_at, due, is_test, note, landed_on from WORK.ORDERS order by 1")
    assert rows == [
        (1, Decimal("123456789012345678.91"), at, dt.date(2026, 4, 1), True, None, dt.date(2026, 3, 20)),
        (2, None, None, None, False, None, dt.date(2026, 3, 20)),
    ]
    assert query("select distinct metadata$filename from WORK.ORDERS") == [(f"{DAY}/orders/a.parquet",)]
    assert query(
        "select file_name from table(information_schema.external_table_files(table_name => 'OMS.WORK.ORDERS'))"
    ) == [(f"{DAY}/orders/a.parquet",)]


def test_a_broken_file_is_skipped_without_a_word(landed: Any, query: Query) -> None:
    good = parquet(order_id=[1])
    landed.put_object(Key=f"{DAY}/orders/a.parquet", Body=good)
    landed.put_object(Key=f"{DAY}/orders/truncated.parquet", Body=good[:-30])
    landed.put_object(Key=f"{DAY}/orders/none.parquet", Body=b"not parquet")
    query(REFRESH)
    assert query("select order_id from WORK.ORDERS") == [(1,)]


def test_a_refresh_registers_only_its_path_and_forgets_what_is_gone_there(landed: Any, query: Query) -> None:
    landed.put_object(Key=f"{DAY}/orders/a.parquet", Body=parquet(order_id=[1]))
    landed.put_object(Key="raw/year=2026/month=03/day=21/orders/a.parquet", Body=parquet(order_id=[2]))
    query(REFRESH)
    assert query("select order_id from WORK.ORDERS") == [(1,)]
    query("alter external table WORK.ORDERS refresh 'year=2026/month=03/day=21/orders/'")
    assert query("select order_id from WORK.ORDERS where landed_on = date '2026-03-21'") == [(2,)]
    landed.Object(f"{DAY}/orders/a.parquet").delete()
    assert [row[1] for row in query(REFRESH)] == ["UNREGISTERED"]
    assert query("select order_id from WORK.ORDERS") == [(2,)]


def test_external_tables_are_listed_with_their_comment(landed: Any, query: Query) -> None:
    found = "select table_name, table_type, comment from information_schema.tables where table_schema = 'WORK'"
    assert query(found) == [("ORDERS", "EXTERNAL TABLE", "Orders as landed.")]
    assert [row[1] for row in query("show external tables in schema OMS.WORK")] == ["ORDERS"]
    query(EXTERNAL_TABLE)
    query("drop external table WORK.ORDERS")
    assert query(found) == []
    refused(2003, query, REFRESH)


@pytest.mark.parametrize(
    ("there", "wrong", "code"),
    [
        ("auto_refresh", "autorefresh", 1003),
        ("location = @WORK.RAW/", "", 2144),
        ("@WORK.RAW/", "@WORK.NONE/", 2003),
        ("partition by (landed_on)", "partition by (landed)", 904),
    ],
)
def test_a_wrong_external_table_is_refused(landed: Any, query: Query, there: str, wrong: str, code: int) -> None:
    query("drop external table WORK.ORDERS")
    refused(code, query, EXTERNAL_TABLE.replace(there, wrong))


def test_a_stage_is_listed_and_kept_to_the_places_its_integration_allows(landed: Any, query: Query) -> None:
    landed.put_object(Key=f"{DAY}/_manifest.json", Body=b"{}")
    assert [row[0] for row in query("list @WORK.RAW/year=2026/")] == [f"s3://{BUCKET}/{DAY}/_manifest.json"]
    refused(3144, query, "create stage WORK.ELSEWHERE url = 's3://other/raw/' storage_integration = OMS_RAW")
    refused(2003, query, f"create stage WORK.X url = 's3://{BUCKET}/raw/' storage_integration = NOBODY")


def test_nobody_sees_a_transaction_before_its_commit(query: Query, other: SnowflakeConnection) -> None:
    seen = "select count(*), coalesce(sum(a), 0) from WORK.T"
    query("create table WORK.T (a int)")
    query("create table WORK.U (a int)")
    query("begin")
    query("insert into WORK.T values (1)")
    query("insert overwrite into WORK.T select a + 10 from WORK.T")
    query(
        "merge into WORK.T using (select 11 as a union all select 5) as s on t.a = s.a when not matched then insert (a) values (a)"
    )
    query("update WORK.T set a = a + 1")
    query("delete from WORK.T where a = 6")
    query("insert into WORK.U values (1)")
    assert query(seen) == [(1, 12)]
    assert ran(other, seen).fetchall() == [(0, 0)]
    query("rollback")
    assert query(seen) == [(0, 0)]
    query("begin")
    query("insert into WORK.T values (1)")
    query("commit")
    assert ran(other, seen).fetchall() == [(1, 1)]


def test_ddl_commits_the_open_transaction(query: Query) -> None:
    query("create table WORK.T (a int)")
    query("begin")
    query("insert into WORK.T values (1)")
    query("comment on table WORK.T is 'x'")
    query("rollback")
    assert query("select a from WORK.T") == [(1,)]


def test_a_session_that_ends_undoes_what_it_did_not_commit(bed: Bed, query: Query) -> None:
    query("create table WORK.T (a int)")
    with closing(connect(bed.login())) as left:
        ran(left, "begin")
        ran(left, "delete from WORK.T")
        ran(left, "insert into WORK.T values (1)")
    query("update WORK.T set a = 2")
    assert query("select count(*) from WORK.T") == [(0,)]


@pytest.mark.parametrize(
    "write",
    [
        "update WORK.LOCKED set a = a + 1",
        "merge into WORK.LOCKED as t using (select 2 as a) as s on t.a = s.a when matched then update set a = 3",
        "delete from WORK.LOCKED where a = 2",
    ],
)
def test_a_writer_waits_for_the_other_writer_and_then_sees_its_work(
    query: Query, other: SnowflakeConnection, write: str
) -> None:
    query("create table WORK.LOCKED (a int)")
    query("insert into WORK.LOCKED values (1)")
    query("begin")
    query("update WORK.LOCKED set a = 2")
    ran(other, "begin")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lambda: ran(other, write).rowcount)
        time.sleep(0.5)
        assert not waiting.done()
        query("commit")
        assert waiting.result(10) == 1
    ran(other, "commit")
    assert query("select a from WORK.LOCKED") == ([] if write.startswith("delete") else [(3,)])


def test_waiting_ends_with_the_statement_timeout(query: Query, other: SnowflakeConnection) -> None:
    query("create table WORK.LOCKED as select 1 as a")
    query("begin")
    query("update WORK.LOCKED set a = 2")
    with pytest.raises(ProgrammingError, match="timeout of 1 second") as error:
        ran(other, "delete from WORK.LOCKED", _statement_params={"STATEMENT_TIMEOUT_IN_SECONDS": "1"})
    assert error.value.errno == 630
    query("rollback")


@pytest.mark.slow
def test_the_connector_waits_patiently_for_a_long_lock(query: Query, other: SnowflakeConnection) -> None:
    query("create table WORK.LOCKED as select 1 as a")
    query("begin")
    query("update WORK.LOCKED set a = 2")
    threading.Timer(25, lambda: query("commit")).start()
    assert ran(other, "update WORK.LOCKED set a = a + 1").rowcount == 1
    assert query("select a from WORK.LOCKED") == [(3,)]


def test_a_merge_counts_its_work_and_honours_its_conditions(query: Query, other: SnowflakeConnection) -> None:
    query("create table WORK.T (a int, b number(10, 2))")
    query("insert into WORK.T values (1, 1.5), (2, 2.5), (3, 3.5)")
    merge = """
        merge into WORK.T as stored
        using (select column1 as a, column2 as b from values (1, 9.25), (2, -1), (3, 0), (4, 4), (5, -5)) as landed
        on stored.a = landed.a
        when matched and landed.b < 0 then delete
        when matched and landed.b > stored.b then update set b = landed.b
        when not matched and landed.b > 0 then insert (a, b) values (a, landed.b)
    """
    cursor = ran(other, merge)
    assert [column.name for column in cursor.description] == [
        "number of rows inserted",
        "number of rows updated",
        "number of rows deleted",
    ]
    assert (cursor.rowcount, cursor.fetchall()) == (3, [(1, 1, 1)])
    assert query("select * from WORK.T order by a") == [(1, Decimal("9.25")), (3, Decimal("3.5")), (4, Decimal(4))]


def test_a_merge_refuses_a_row_that_matches_twice(query: Query) -> None:
    query("create table WORK.T as select 1 as a, 1 as b")
    twice = "merge into WORK.T using (select 1 as a, 2 as b union all select 1, 3) as s on t.a = s.a"
    assert "Duplicate row" in refused(100090, query, f"{twice} when matched then update set b = s.b")
    assert query("select b from WORK.T") == [(1,)]


def test_every_statement_is_logged_with_its_tag_and_its_error(bed: Bed, query: Query) -> None:
    bed.forget()
    query("select 1", _statement_params={"QUERY_TAG": '{"asset": "marts/fct_orders"}'})
    query("select 2")
    query("alter session set query_tag = 'of the session'")
    query("select 3")
    refused(2003, query, "select * from WORK.NOTHING")
    log = bed.statements()
    assert [(entry.sql[:8], entry.query_tag) for entry in log] == [
        ("select 1", '{"asset": "marts/fct_orders"}'),
        ("select 2", ""),
        ("alter se", ""),
        ("select 3", "of the session"),
        ("select *", "of the session"),
    ]
    assert [entry.error for entry in log[:4]] == [None] * 4
    assert "NOTHING" in (log[4].error or "")
    assert all(entry.seconds is not None and entry.role == "ACCOUNTADMIN" for entry in log)


ACCOUNT = [
    "create warehouse if not exists W warehouse_size = xsmall auto_suspend = 60 auto_resume = true "
    "initially_suspended = true",
    "create resource monitor if not exists M with credit_quota = 10 frequency = monthly start_timestamp = immediately "
    "triggers on 75 percent do notify on 100 percent do suspend",
    "create role if not exists R comment = 'reads'",
    INTEGRATION,
    "alter warehouse W set resource_monitor = M statement_timeout_in_seconds = 3600",
]


def test_account_objects_are_made_once_and_shown(bed: Bed, query: Query) -> None:
    for sql in ACCOUNT * 2:
        query(sql)
    assert {"W"} <= {row[0] for row in query("show warehouses like 'W'")}
    assert [row[0] for row in query("show resource monitors")] == ["M"]
    described = {row[0]: row[2] for row in query("desc integration OMS_RAW")}
    assert described["STORAGE_AWS_IAM_USER_ARN"].startswith("arn:aws:iam::")
    assert (
        described["STORAGE_AWS_EXTERNAL_ID"]
        == {r[0]: r[2] for r in query("desc integration OMS_RAW")}["STORAGE_AWS_EXTERNAL_ID"]
    )
    query("use warehouse W")
    assert query("select current_warehouse()") == [("W",)]
    refused(2043, query, "use warehouse NONE_SUCH")


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("create warehouse X auto_suspends = 60", 1420),
        ("create resource monitor X with credit_quota = 1 triggers on 75 percent do mail", 1003),
        ("create storage integration X type = external_stage enabled = true", 2144),
        ("alter warehouse NOBODY set auto_suspend = 60", 2003),
        ("grant selects on table T to role PUBLIC", 1003),
        ("grant usage on warehouse NOBODY to role PUBLIC", 2003),
        ("grant usage on database OMS to role NOBODY", 2003),
        ("grant usage on schema OMS.NOTHING to role PUBLIC", 2003),
        ("grant select on future table in schema OMS.WORK to role PUBLIC", 1003),
    ],
)
def test_a_typo_in_an_account_object_is_refused(query: Query, sql: str, code: int) -> None:
    refused(code, query, sql)


def test_grants_are_shown_and_taken_back(query: Query) -> None:
    query("create or replace role READER")
    query("grant usage on database OMS to role READER")
    query("grant select on future tables in schema OMS.WORK to role READER")
    query("grant select, insert on all tables in schema OMS.WORK to READER")
    columns = "show grants to role READER"
    assert [row[1:4] for row in query(columns)] == [
        ("USAGE", "DATABASE", "OMS"),
        ("SELECT", "TABLE", "OMS.WORK.*"),
        ("INSERT", "TABLE", "OMS.WORK.*"),
    ]
    assert [row[1:4] for row in query("show future grants in schema OMS.WORK")] == [
        ("SELECT", "TABLE", "OMS.WORK.<TABLE>")
    ]
    query("revoke usage on database OMS from role READER")
    assert [row[1] for row in query(columns)] == ["SELECT", "INSERT"]


def test_row_counts_are_exact_and_a_new_table_has_no_comment(query: Query) -> None:
    listed = "select row_count, comment from information_schema.tables where table_schema = 'WORK' and table_name = 'T'"
    query("create transient table WORK.T as select 1 as a")
    query("insert overwrite into WORK.T select 1 union all select 2")
    query("delete from WORK.T where a = 1")
    query("comment on table WORK.T is 'window 2026-03-20 2026-03-21'")
    assert query(listed) == [(1, "window 2026-03-20 2026-03-21")]
    query("create or replace transient table WORK.T as select 1 as a")
    assert query(listed) == [(1, None)]


def test_a_schema_or_database_that_is_made_anew_holds_nothing(landed: Any, query: Query) -> None:
    found = "select table_name, comment from OMS.information_schema.tables where table_schema = 'WORK'"
    query("comment on table WORK.ORDERS is 'x'")
    query("create or replace schema OMS.WORK")
    assert query(found) == []
    query("create table WORK.ORDERS (a int)")
    assert query(found) == [("ORDERS", None)]
    query("drop database OMS")
    refused(2003, query, "drop database OMS")
    query("create database OMS")
    assert query(found) == []


def test_cost_can_be_asked_for_and_is_nothing(query: Query) -> None:
    assert (
        query(
            "select try_parse_json(query_tag):asset::varchar as asset, sum(credits_attributed_compute) as credits "
            "from snowflake.account_usage.query_attribution_history group by all"
        )
        == []
    )
    query("create role if not exists ACCOUNTANT")
    query("grant database role snowflake.usage_viewer to role ACCOUNTANT")


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("select sum(a) from values (0.10::number(18, 2)), (0.20) as t (a)", Decimal("0.30")),
        (
            "select cast(convert_timezone('UTC', '2026-03-20 23:30:00 -0500'::timestamp_tz) as timestamp_ntz)",
            dt.datetime(2026, 3, 21, 4, 30),
        ),
        (
            "select cast(convert_timezone('UTC', zone, at_utc) as date) "
            "from (select 'America/New_York' as zone, '2026-03-21 03:30:00'::timestamp_ntz as at_utc)",
            dt.date(2026, 3, 20),
        ),
        (
            "select max(date_day) from (select dateadd('day', row_number() over (order by null) - 1, date '2026-01-01') "
            "as date_day from table(generator(rowcount => 31)))",
            dt.date(2026, 1, 31),
        ),
        ("select a from (select 1 as a union all select 2) as t qualify row_number() over (order by a desc) = 1", 2),
        ("select * exclude (b) from (select 1 as a, 2 as b)", 1),
        ("select object_construct('a', 1):a::int", 1),
        ("select weekiso(date '2026-01-01') * 10 + dayofweekiso(date '2026-01-01')", 14),
        ("select cast(date_trunc('month', date '2026-03-20') as date)", dt.date(2026, 3, 1)),
        (
            "select cast(cast(sign(7) * ((2 * abs(7) + 2) - mod(2 * abs(7) + 2, 2 * 2)) / (2 * 2) as decimal(18, 0)) "
            "* cast(0.01 as decimal(3, 2)) as decimal(9, 2))",
            Decimal("0.04"),
        ),
        ("select max(a) over () from (select count_if(x) as a from values (true), (false) as t (x))", 1),
    ],
)
def test_the_models_sql_gives_what_snowflake_gives(query: Query, sql: str, value: Any) -> None:
    assert query(sql) == [(value,)]


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("select * from NO_SUCH_TABLE", 2003),
        ("select nothing from (select 1 as a)", 904),
        ("selec 1", 1003),
        ("select 1; select 2", 8),
        ("select 'x'::number(3, 0)", 100035),
    ],
)
def test_errors_come_at_once_and_as_the_connector_knows_them(query: Query, sql: str, code: int) -> None:
    started = time.monotonic()
    refused(code, query, sql)
    assert time.monotonic() - started < 5


def test_dagsters_resource_works_on_it(bed: Bed, query: Query) -> None:
    login = bed.login()
    host, port = bed.url.removeprefix("http://").split(":")
    resource = SnowflakeResource(
        account=login.account,
        user=login.user,
        private_key=base64.b64encode(login.private_key.encode()).decode(),
        role=login.role,
        database="OMS",
        schema="WORK",
        additional_snowflake_connection_args={"host": host, "port": int(port), "protocol": "http"},
    )
    with resource.get_connection() as connection:
        assert ran(connection, "select current_role(), current_schema()").fetchall() == [("ACCOUNTADMIN", "WORK")]


DBT_MODEL = """
{{ config(materialized='incremental', unique_key='order_id', incremental_strategy='merge', transient=false) }}
select order_id, total from OMS.WORK.LANDED
"""


@pytest.mark.slow
def test_dbt_merges_into_an_incremental_model(bed: Bed, query: Query, tmp_path: Path) -> None:
    host, port = bed.url.removeprefix("http://").split(":")
    key = tmp_path / "key.pem"
    key.write_text(bed.login().private_key)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "facts.sql").write_text(DBT_MODEL)
    (tmp_path / "models" / "facts.yml").write_text(
        "models: [{name: facts, description: Orders., config: {persist_docs: {relation: true}}, "
        "columns: [{name: order_id, data_tests: [unique, not_null]}]}]"
    )
    (tmp_path / "dbt_project.yml").write_text("{name: bed, profile: bed, flags: {send_anonymous_usage_stats: false}}")
    (tmp_path / "profiles.yml").write_text(
        f"bed: {{target: t, outputs: {{t: {{type: snowflake, account: testbed, user: ADMIN, role: ACCOUNTADMIN, "
        f"private_key_path: '{key}', host: '{host}', port: {port}, protocol: http, database: OMS, schema: WORK, "
        f"query_tag: dbt, threads: 1}}}}}}"
    )
    query("create table WORK.LANDED as select 1 as order_id, 1.50 as total union all select 2, 2.50")
    arguments = ["build", "--project-dir", str(tmp_path), "--profiles-dir", str(tmp_path), "--quiet"]
    first = dbtRunner().invoke(arguments)
    assert first.success, [result.message for result in first.result or []] or first.exception
    query("insert overwrite into WORK.LANDED select 2, 9.75 union all select 3, 3.25")
    bed.forget()
    second = dbtRunner().invoke(arguments)
    assert second.success, [result.message for result in second.result or []] or second.exception
    assert query("select order_id, total from WORK.FACTS order by 1") == [
        (1, Decimal("1.50")),
        (2, Decimal("9.75")),
        (3, Decimal("3.25")),
    ]
    assert query("select comment from information_schema.tables where table_name = 'FACTS'") == [("Orders.",)]
    merges = [entry for entry in bed.statements() if entry.sql.lstrip().lower().startswith("merge into")]
    assert [entry.query_tag for entry in merges] == ["dbt"]


@pytest.mark.parametrize("sql", ["show schemas", "show warehouses", "desc table WORK.T", "show objects in schema WORK"])
def test_only_queries_are_answered_in_arrow(bed: Bed, query: Query, sql: str) -> None:
    query("create or replace table WORK.T as select 1 as a, true as b, 'x' as c")
    with closing(connect(bed.login())) as connection:
        cursor = ran(connection, "select a, b, c from OMS.WORK.T")
        assert cursor.fetch_arrow_all().num_rows == 1  # type: ignore[union-attr]
        connection.cursor().execute("use schema OMS.WORK")
        shown = ran(connection, sql)
        with pytest.raises(NotSupportedError):
            shown.fetch_arrow_all()
        assert all(len(row) == len(shown.description) for row in ran(connection, sql).fetchall())


def test_a_bed_holds_no_secret_of_its_own(bed: Bed) -> None:
    assert bed.login().private_key not in repr(replace(bed.login(), role="X"))
