"""The same graph on Snowflake and S3: the same marts, one transaction a day, and a short list of statements."""

import dataclasses
import datetime as dt
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import duckdb
import pyarrow as pa
import pytest

from oms_pipeline import sample
from oms_pipeline.automation import REBUILD_JOB
from oms_pipeline.calendar import Window
from oms_pipeline.contract import load_contract
from oms_pipeline.errors import WarehouseError
from oms_pipeline.raw.manifest import day_prefix
from oms_pipeline.settings import get_settings
from oms_pipeline.transform import assets
from oms_pipeline.warehouse.bootstrap import bootstrap_statements, run_statements, variables
from oms_pipeline.warehouse.snowflake_login import connect
from oms_pipeline_tests.graph.pipeline import BESIDE_THE_ORACLE, Pipeline, unequal
from oms_pipeline_tests.oracle import GRAIN
from oms_pipeline_tests.raw.bucket import LOGIN, Bucket, new_bucket, s3_server
from oms_pipeline_tests.snowflake.server import Bed, LoggedStatement, new_key_pair, start
from oms_pipeline_tests.source.real_oms import SCHEMA, Oms
from oms_pipeline_tests.warehouse.test_snowflake import unparsable

FIRST = dt.date(2026, 3, 6)  # before the night New York's clocks go forward
DAYS = [FIRST + dt.timedelta(days=number) for number in range(8)]
GOLDEN = Path(__file__).parent / "statements_of_a_day.sql"
# What each run has of its own, and what stands for it in the kept list.
OF_ONE_RUN = {
    r"'[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}'": "'this run'",
    r"cast\([0-9.]+ as double\) as seconds": "cast(1.5 as double) as seconds",
    r"timestamp '[^']+' as (started_at|finished_at)": r"timestamp '2026-03-08 02:00:00' as \1",
}


@dataclass(frozen=True)
class InBucket(Pipeline):
    """A pipeline on DuckDB whose raw zone is in the bucket."""

    variables: Mapping[str, str]

    @property
    def environment(self) -> Mapping[str, str]:
        return {**super().environment, **self.variables}


@dataclass(frozen=True)
class OnSnowflake(InBucket):
    """A pipeline on Snowflake."""

    bed: Bed
    bucket: Bucket

    def rows(self, sql: str) -> pa.Table:
        """Asks as somebody else, outside every run; the types are Snowflake's."""
        with connect(self.settings.snowflake) as connection:  # type: ignore[arg-type]
            table = connection.cursor().execute(sql).fetch_arrow_all(force_return_table=True)
        return table.rename_columns([name.strip('"').lower() for name in table.column_names])

    def execute(self, sql: str) -> None:
        """Does something as somebody else."""
        with connect(self.settings.snowflake) as connection:  # type: ignore[arg-type]
            connection.cursor().execute(sql)

    def tables(self, *, lasting: bool = False) -> dict[str, pa.Table]:
        names = self.rows(
            "select lower(table_schema) || '.' || lower(table_name) as name from information_schema.tables"
            " where table_schema in ('STAGING', 'INTERMEDIATE', 'MARTS')"
        )
        return {name: self.rows(f"select * from {name}") for name in names.column("name").to_pylist()}

    def marts(self, day: dt.date) -> dict[str, pa.Table]:
        found = {mart: self.rows(f"select * from marts.{mart}") for mart in GRAIN if mart != "fct_inventory_daily"}
        found["fct_inventory_daily"] = self.rows(
            f"select * from marts.fct_inventory_daily where business_day = date '{day}'"
        )
        return {
            mart: with_days(table.select([c for c in table.column_names if c not in BESIDE_THE_ORACLE.get(mart, ())]))
            for mart, table in found.items()
        }

    def statements_of(self, action: Callable[[], None]) -> list[LoggedStatement]:
        """What Snowflake is sent while something is done."""
        self.bed.forget()
        action()
        return self.bed.statements()


@pytest.fixture(scope="module")
def aws() -> Iterator[None]:
    """Credentials that the S3 server takes."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in LOGIN.items():
            patch.setenv(name, value)
        yield


@pytest.fixture
def lived(
    aws: None, tmp_path: Path, new_database: Callable[[str], Oms], dbt_dir: Path
) -> Iterator[tuple[OnSnowflake, InBucket]]:
    """An open business and two pipelines over one bucket, on Snowflake and on DuckDB, that have loaded nothing.

    The account is as `oms snowflake bootstrap` leaves it, and the pipeline logs in as its own user.
    """
    with s3_server() as endpoint, new_bucket(endpoint, "oms-raw") as bucket:
        bed = start(endpoint)
        try:
            keys = new_key_pair()
            login = bed.login(user="OMS_PIPELINE_USER", keys=keys, role="OMS_TRANSFORMER")
            with connect(bed.login(), database=False) as connection:
                values = variables(
                    login,
                    raw_url="s3://oms-raw/raw",
                    aws_role_arn="arn:aws:iam::123456789012:role/oms-raw",
                    pipeline_public_key=f"-----BEGIN PUBLIC KEY-----\n{keys.public}\n-----END PUBLIC KEY-----\n",
                )
                for _ in run_statements(connection, bootstrap_statements(values)):
                    pass
            oms = new_database("template0")
            sample.create_schema(oms.dsn, SCHEMA)
            sample.open_business(oms.dsn, SCHEMA, FIRST, 30, 7, "America/New_York")
            in_bucket = {"OMS_RAW_URL": "s3://oms-raw/raw", "OMS_S3_ENDPOINT": endpoint}
            on_snowflake = {
                "OMS_PROFILE": "snowflake",
                "SNOWFLAKE_ACCOUNT": login.account,
                "SNOWFLAKE_USER": login.user,
                "SNOWFLAKE_PRIVATE_KEY": login.private_key,
                "SNOWFLAKE_URL": bed.url,
            }
            homes = [tmp_path / "snowflake", tmp_path / "duckdb"]
            for home in homes:
                home.mkdir()
                dbt_dir.mkdir(parents=True, exist_ok=True)
                (home / "dbt").symlink_to(dbt_dir)
            snowflake = OnSnowflake(
                homes[0], oms, FIRST, "America/New_York", {**in_bucket, **on_snowflake}, bed, bucket
            )
            yield snowflake, InBucket(homes[1], oms, FIRST, "America/New_York", in_bucket)
        finally:
            bed.stop()


def loaded(pipeline: Pipeline, first: dt.date, last: dt.date | None = None) -> None:
    assert pipeline.run(pipeline.window(first, last)).error is None


def differing(snowflake: OnSnowflake, duckdb_twin: Pipeline) -> list[str]:
    """Where the two warehouses differ, whatever was made of one window alone left out, row by row."""
    expected = duckdb_twin.tables(lasting=True)
    found = {name: table for name, table in snowflake.tables().items() if name in expected}
    return unequal({name: as_in(expected[name], table) for name, table in found.items()}, expected)


def with_days(table: pa.Table) -> pa.Table:
    """The same rows; the connector hands over the dates of an empty result as milliseconds."""
    fields = [pa.field(f.name, pa.date32()) if pa.types.is_date(f.type) else f for f in table.schema]
    return table.cast(pa.schema(fields))


def as_in(model: pa.Table, table: pa.Table) -> pa.Table:
    """The same rows in another table's types and order: of numbers, Snowflake knows only one kind."""
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.register("typed", table.select(model.column_names).cast(model.schema))
        return connection.sql("select * from typed order by all").to_arrow_table()


@pytest.mark.slow
def test_days_a_range_a_re_run_and_a_day_out_of_order_end_as_on_duckdb_and_as_the_source_says(
    lived: tuple[OnSnowflake, InBucket],
) -> None:
    snowflake, twin = lived
    snowflake.simulate(len(DAYS))
    for pipeline in (snowflake, twin):
        loaded(pipeline, DAYS[0])
        loaded(pipeline, DAYS[1])
        loaded(pipeline, DAYS[3])
        loaded(pipeline, DAYS[2])
        loaded(pipeline, DAYS[1])
        loaded(pipeline, DAYS[4], DAYS[7])
    assert differing(snowflake, twin) == []
    assert snowflake.differences(DAYS[7]) == []


def test_a_day_takes_at_most_sixty_statements_each_with_its_tag_and_no_scan_without_its_day(
    lived: tuple[OnSnowflake, InBucket],
) -> None:
    snowflake, twin = lived
    snowflake.simulate(2)
    for pipeline in (snowflake, twin):
        loaded(pipeline, DAYS[0])
    statements = snowflake.statements_of(lambda: loaded(snowflake, DAYS[1]))
    loaded(twin, DAYS[1])

    assert differing(snowflake, twin) == []
    assert [statement.error for statement in statements if statement.error] == []
    tags = [json.loads(statement.query_tag) for statement in statements]
    assert all(tag["run_id"] and tag["asset"] and tag["day"] == str(DAYS[1]) for tag in tags)
    assert {"external/orders", "staging/stg_oms__orders", "marts/fct_orders"} <= {tag["asset"] for tag in tags}
    after_the_marts = Counter(tag["asset"] for tag in tags if tag["asset"].startswith(("ops/", "dashboards")))
    assert len(tags) - after_the_marts.total() <= 60
    assert after_the_marts["ops/pipeline_runs"] <= 2
    assert after_the_marts["dashboards"] <= 21
    for statement in statements:
        if " refresh " in statement.sql:
            assert re.search(rf"refresh '{day_prefix(DAYS[1])}/\w+/'$", statement.sql)
        for scan in re.finditer(r"from (?:OMS\.)?external\.(\w+)\b(.*?)(?=from |$)", statement.sql, re.DOTALL):
            if scan[1] in load_contract():
                assert "where landed_on >= date" in scan[2]
    assert as_kept(statements) == GOLDEN.read_text(encoding="utf-8"), (
        f"The statements of a day have changed. Look at what they cost, then keep them: {write_golden(statements)}"
    )


@pytest.mark.slow
def test_what_else_is_sent_is_snowflakes_sql_as_a_day_is(lived: tuple[OnSnowflake, InBucket]) -> None:
    snowflake, _ = lived
    snowflake.simulate(2)

    def everything_but_a_day() -> None:
        snowflake.warehouse.check()
        loaded(snowflake, DAYS[0])
        snowflake.run_assets(DAYS[1], ["marts", "dim_products"])
        rebuilt(snowflake, snowflake.window(DAYS[0]))
        snowflake.warehouse.layer_rows()
        snowflake.warehouse.registered_days(load_contract())

    sent = {statement.sql.strip().rstrip(";") for statement in snowflake.statements_of(everything_but_a_day)}
    kinds = {" ".join(sql.split()[:2]).lower() for sql in sent}
    assert {
        "create or",
        "create table",
        "create transient",
        "create view",
        "insert overwrite",
        "list @external.raw/year=0000/",
    } <= kinds
    assert {sql: found for sql in sent if (found := unparsable(f"{sql};\n"))} == {}


def as_kept(statements: list[LoggedStatement]) -> str:
    """The statements with what differs from run to run left out."""
    texts = [
        f"-- {json.loads(statement.query_tag).get('asset', 'session')}\n{statement.sql.strip().rstrip(';')};"
        for statement in statements
    ]
    text = re.sub(r"[ \t]+$", "", "\n\n".join(texts), flags=re.MULTILINE)
    for pattern, stand_in in OF_ONE_RUN.items():
        text = re.sub(pattern, stand_in, text)
    return re.sub(r"\n{3,}", "\n\n", text) + "\n"


def write_golden(statements: list[LoggedStatement]) -> str:
    """Writes the new list beside the kept one; returns the command that keeps it."""
    found = GOLDEN.with_suffix(".found.sql")
    found.write_text(as_kept(statements), encoding="utf-8")
    return f"mv {found} {GOLDEN}"


@pytest.mark.slow
def test_what_is_wrong_in_a_day_is_caught_before_the_marts_change(lived: tuple[OnSnowflake, InBucket]) -> None:
    snowflake, _ = lived
    snowflake.simulate(3)
    loaded(snowflake, DAYS[0])
    before = snowflake.marts(DAYS[0])

    # A broken file, which Snowflake leaves out without a word.
    assert snowflake.run_assets(DAYS[1], *[["raw", table] for table in load_contract()]).success
    (key,) = snowflake.bucket.keys(f"raw/{day_prefix(DAYS[1])}/payments/")
    whole = snowflake.bucket.get(key)
    snowflake.bucket.put(key, b"PAR1" + whole[4:-300] + b"PAR1")
    broken = snowflake.run_assets(DAYS[1], *[["external", table] for table in load_contract()])
    assert "external.payments shows 0 rows" in failure_of(broken)
    snowflake.bucket.put(key, whole)

    # A registration that has gone stale: another process has counted, a file is gone since.
    assert snowflake.run_assets(DAYS[1], *[["external", table] for table in load_contract()]).success
    snowflake.execute("alter external table external.payments refresh 'year=1999/'")
    snowflake.bucket.client.delete_object(Bucket=snowflake.bucket.name, Key=key)
    everything = [
        key.path for key in snowflake.definitions.resolve_all_asset_keys() if key.path[0] not in ("raw", "ops")
    ]
    stale = snowflake.run_assets(DAYS[1], *[path for path in everything if path[0] != "external"])
    assert "stg_oms__payments holds 0 rows" in failure_of(stale)
    snowflake.bucket.put(key, whole)

    # Staging that holds another day.
    other = snowflake.run_assets(DAYS[1], ["marts", "dim_products"])
    assert "staging.stg_oms__products holds [2026-03-06, 2026-03-07), not [2026-03-07, 2026-03-08)" in failure_of(other)

    assert unequal(before, snowflake.marts(DAYS[0])) == []
    loaded(snowflake, DAYS[1], DAYS[2])
    assert snowflake.differences(DAYS[2]) == []


@pytest.mark.slow
def test_a_key_twice_in_what_is_merged_stops_the_day(lived: tuple[OnSnowflake, InBucket]) -> None:
    snowflake, _ = lived
    snowflake.simulate(2)
    loaded(snowflake, DAYS[0])
    before = snowflake.marts(DAYS[0])
    admin = dataclasses.replace(snowflake.settings.snowflake, role="OMS_TRANSFORMER")
    with connect(admin) as connection:
        connection.cursor().execute("insert into marts.dim_stores select * from marts.dim_stores where store_id = 1")
    report = snowflake.run(snowflake.window(DAYS[1]))
    assert report.error is not None
    assert "Nothing was changed" in report.error
    unchanged = {mart: table for mart, table in before.items() if mart != "dim_stores"}
    after = snowflake.marts(DAYS[0])
    assert unequal(unchanged, {mart: table for mart, table in after.items() if mart != "dim_stores"}) == []


@pytest.mark.slow
@pytest.mark.parametrize("where", ["between two models", "before the commit"])
def test_a_run_whose_transaction_has_been_rolled_back_commits_no_part_of_the_day(
    lived: tuple[OnSnowflake, InBucket], monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Snowflake does so to a session that stood still for five minutes while another waited."""
    snowflake, _ = lived
    snowflake.simulate(2)
    loaded(snowflake, DAYS[0])
    before = snowflake.tables()

    def roll_back() -> None:
        session = snowflake.bed.statements()[-1].session
        snowflake.execute(f"select system$abort_transaction({session})")

    def after_a_fact(task: str, step: str, total: int) -> None:
        if step == "fct_orders":
            roll_back()

    with monkeypatch.context() as patch:
        if where == "between two models":
            patch.setattr(assets, "report", after_a_fact)
        else:
            patch.setattr(assets, "run_tests", lambda *_: [roll_back()][:0])
        report = snowflake.run(snowflake.window(DAYS[1]))
    assert report.error is not None
    assert "Snowflake has ended this run's transaction" in report.error
    assert unequal(before, snowflake.tables()) == []

    loaded(snowflake, DAYS[1])
    assert snowflake.differences(DAYS[1]) == []


@pytest.mark.slow
def test_runs_at_the_same_time_wait_for_each_other_and_lose_no_day(lived: tuple[OnSnowflake, InBucket]) -> None:
    snowflake, twin = lived
    snowflake.simulate(4)
    loaded(snowflake, DAYS[0])
    runs = [
        snowflake.process("-c", "from oms_pipeline.cli import main; main()", "run", "--day", str(day))
        for day in DAYS[1:4]
    ]
    outputs = [run.communicate(timeout=900)[0] for run in runs]
    assert [run.returncode for run in runs] == [0] * 3, "\n".join(outputs)
    for day in DAYS[:4]:
        loaded(twin, day)
    assert differing(snowflake, twin) == []
    assert snowflake.differences(DAYS[3]) == []


@pytest.mark.slow
def test_a_rebuild_is_one_transaction_too_and_mends_a_table_whose_columns_have_changed(
    lived: tuple[OnSnowflake, InBucket],
) -> None:
    snowflake, twin = lived
    snowflake.simulate(3)
    for pipeline in (snowflake, twin):
        loaded(pipeline, DAYS[0])
        loaded(pipeline, DAYS[1])
    span = snowflake.window(DAYS[0], DAYS[1])

    statements = snowflake.statements_of(lambda: rebuilt(snowflake, span))
    assert differing(snowflake, twin) == []
    made = [s.sql for s in statements if s.sql.lower().startswith(("create", "drop", "alter"))]
    assert all(" view " in sql.split("as (")[0] for sql in made), "a table that is right was made anew"

    with connect(snowflake.settings.snowflake) as connection:  # type: ignore[arg-type]
        for change in ("add column mood varchar", "drop column closed_on", "add column closed_on varchar"):
            connection.cursor().execute(f"alter table marts.dim_stores {change}")
    report = snowflake.run(snowflake.window(DAYS[2]))
    assert report.error == (
        "marts.dim_stores is stored with other columns than the model now has: mood is no longer in the model, "
        "closed_on is text instead of date. "
        "Build it anew from the raw zone: oms rebuild"
    )
    rebuilt(snowflake, snowflake.window(DAYS[0], DAYS[2]))
    loaded(twin, DAYS[2])
    assert differing(snowflake, twin) == []


@pytest.mark.slow
def test_a_raw_zone_that_has_moved_is_told_and_bootstrap_lets_the_stage_follow(
    lived: tuple[OnSnowflake, InBucket],
) -> None:
    snowflake, _ = lived
    snowflake.simulate(2)
    loaded(snowflake, DAYS[0])
    for key in snowflake.bucket.keys("raw/"):
        snowflake.bucket.put(f"moved/{key.removeprefix('raw/')}", snowflake.bucket.get(key))
        snowflake.bucket.client.delete_object(Bucket=snowflake.bucket.name, Key=key)
    moved = dataclasses.replace(snowflake, variables={**snowflake.variables, "OMS_RAW_URL": "s3://oms-raw/moved"})

    told = "The stage external.raw reads s3://oms-raw/raw/, and OMS_RAW_URL is s3://oms-raw/moved/. "
    with pytest.raises(WarehouseError, match=re.escape(told)):
        moved.warehouse.check()
    assert told in (moved.run(moved.window(DAYS[1])).error or "")

    with connect(snowflake.bed.login(), database=False) as connection:
        values = variables(
            moved.settings.snowflake,  # type: ignore[arg-type]
            raw_url="s3://oms-raw/moved",
            aws_role_arn="arn:aws:iam::123456789012:role/oms-raw",
        )
        for _ in run_statements(connection, bootstrap_statements(values, ["integration", "stage"])):
            pass
    assert "s3://oms-raw/moved/" in moved.warehouse.check()
    loaded(moved, DAYS[1])
    assert moved.differences(DAYS[1]) == []
    assert sorted(moved.warehouse.registered_days(load_contract())) == DAYS[:2]


def rebuilt(pipeline: Pipeline, window: Window) -> None:
    assert pipeline.run(window, job=REBUILD_JOB).error is None


def failure_of(result: dg.ExecuteInProcessResult) -> str:
    """What a failed run tells."""
    assert not result.success
    failed = next(event for event in result.all_events if event.is_step_failure)
    data = failed.step_failure_data.user_failure_data
    assert data is not None
    return data.description or ""


def test_the_profile_shows_no_key(lived: tuple[OnSnowflake, InBucket]) -> None:
    snowflake, _ = lived
    secret = snowflake.settings.snowflake.private_key.splitlines()[1]  # type: ignore[union-attr]
    assert secret not in repr(snowflake.settings) + repr(snowflake.warehouse)
    assert get_settings().snowflake is None
