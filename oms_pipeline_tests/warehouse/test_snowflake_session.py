"""A session on Snowflake: what it commits, and what it refuses."""

import datetime as dt
from collections.abc import Iterator

import pytest

from oms_pipeline.errors import WarehouseError
from oms_pipeline.raw import RawZone
from oms_pipeline.raw.s3 import S3Store
from oms_pipeline.warehouse import Purpose
from oms_pipeline.warehouse.base import RelationFacts, Shown
from oms_pipeline.warehouse.bootstrap import bootstrap_statements, run_statements, variables
from oms_pipeline.warehouse.snowflake import SnowflakeSession, SnowflakeWarehouse
from oms_pipeline.warehouse.snowflake_login import connect
from oms_pipeline_tests.raw.bucket import LOGIN, Bucket, new_bucket
from oms_pipeline_tests.snowflake.conftest import bed, s3_endpoint
from oms_pipeline_tests.snowflake.server import Bed

__all__ = ["bed", "s3_endpoint"]

HOLD = """
    merge into external.held_windows as stored
    using (select 'marts' as relation, current_session() as held) as made on stored.relation = made.relation
    when matched then update set held = made.held
    when not matched then insert (relation, held) values (made.relation, made.held)
"""


@pytest.fixture
def bucket(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    for name, value in LOGIN.items():
        monkeypatch.setenv(name, value)
    with new_bucket(s3_endpoint, "oms-raw") as found:
        yield found


@pytest.fixture
def warehouse(bed: Bed, bucket: Bucket) -> SnowflakeWarehouse:
    """An account as bootstrap leaves it, with one table without rows."""
    login = bed.login()
    values = variables(login, raw_url="s3://oms-raw/raw", aws_role_arn="arn:aws:iam::123456789012:role/oms-raw")
    with connect(login, database=False) as connection:
        for _ in run_statements(connection, bootstrap_statements(values)):
            pass
        connection.cursor().execute("create or replace table OMS.MARTS.FACTS (n number)")
    return over(bed, bucket, "raw")


def over(bed: Bed, bucket: Bucket, prefix: str) -> SnowflakeWarehouse:
    zone = RawZone(S3Store(bucket.name, prefix, bucket.endpoint))
    return SnowflakeWarehouse(bed.login(), zone, dt.timedelta(seconds=10))


def facts(session: SnowflakeSession) -> RelationFacts:
    return session.facts({"marts.facts": Shown(("n",))})["marts.facts"]


def test_what_a_session_has_written_is_there_once_its_transaction_ends(warehouse: SnowflakeWarehouse) -> None:
    with warehouse.open(Purpose("transform")) as session, session.transaction():
        session.execute(HOLD)
        session.execute("insert into marts.facts values (1)")
        assert facts(session).rows == 1
        assert warehouse.read("select n from marts.facts") == []
    assert warehouse.read("select n from marts.facts") == [{"n": 1}]


def test_a_session_whose_transaction_was_rolled_back_commits_nothing_of_what_came_after(
    warehouse: SnowflakeWarehouse, bed: Bed
) -> None:
    def lose() -> None:
        """What Snowflake does to a session that stands still for five minutes while another waits."""
        aborted = bed.statements()[-1].session
        warehouse.read(f"select system$abort_transaction({aborted})")

    with warehouse.open(Purpose("transform")) as before, before.transaction():
        before.execute(HOLD)
        facts(before)
    with (  # noqa: PT012
        pytest.raises(WarehouseError, match=r"has ended this run's transaction.* Nothing was changed; run it again\."),
        warehouse.open(Purpose("transform")) as session,
        session.transaction(),
    ):
        session.execute(HOLD)
        session.execute("insert into marts.facts values (1)")
        lose()
        session.execute("insert into marts.facts values (2)")
        facts(session)
    assert warehouse.read("select n from marts.facts") == []


def test_a_stage_that_reads_another_place_than_the_raw_zone_is_told_with_the_remedy(
    warehouse: SnowflakeWarehouse, bed: Bed, bucket: Bucket
) -> None:
    assert warehouse.check().endswith("lists s3://oms-raw/raw/")
    with pytest.raises(WarehouseError) as error:
        over(bed, bucket, "moved").check()
    assert str(error.value) == (
        "The stage external.raw reads s3://oms-raw/raw/, and OMS_RAW_URL is s3://oms-raw/moved/. Set OMS_RAW_URL back, "
        "or let the stage follow: oms snowflake bootstrap --only integration --only stage --aws-role-arn ARN"
    )


def test_marts_that_no_run_has_made_yet_are_told_with_the_remedy(warehouse: SnowflakeWarehouse) -> None:
    with (
        warehouse.reading(Purpose("report")) as query,
        pytest.raises(WarehouseError, match=r"DAILY_SALES.* does not exist .*\. Load a day: oms run --day D"),
    ):
        query("select * from marts.daily_sales")
    assert warehouse.read("select * from marts.daily_sales") == []


def test_a_missing_stage_is_told(warehouse: SnowflakeWarehouse, bed: Bed) -> None:
    with connect(bed.login()) as connection:
        connection.cursor().execute("drop stage external.raw")
    with pytest.raises(WarehouseError, match=r"There is no stage external\.raw for role .*: oms snowflake bootstrap"):
        warehouse.check()
