"""Credits per asset and day, from result tables as Snowflake gives them (`recorded/`)."""

import base64
import datetime as dt
import json
import re
import xml.etree.ElementTree as ET
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner
from sqlfluff.core import FluffConfig, Linter

from oms_pipeline.automation.cost import warehouse_cost
from oms_pipeline.cli import main
from oms_pipeline.errors import CalendarError
from oms_pipeline.raw import FolderStore, RawZone
from oms_pipeline.settings import get_settings, read_settings
from oms_pipeline.warehouse import Purpose
from oms_pipeline.warehouse.bootstrap import render, run_statements, variables
from oms_pipeline.warehouse.cost import (
    LATENCY,
    AssetCost,
    CostReport,
    chart,
    cost_report,
    query_credits_sql,
    read_cost,
    warehouse_credits_sql,
)
from oms_pipeline.warehouse.snowflake import SnowflakeWarehouse
from oms_pipeline.warehouse.snowflake_login import connect
from oms_pipeline_tests.snowflake.conftest import bed, s3_endpoint
from oms_pipeline_tests.snowflake.server import Bed
from oms_pipeline_tests.warehouse.test_deploy_sql import LOGIN

__all__ = ["bed", "s3_endpoint"]

RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
RECORDED = Path(__file__).parent / "recorded"
FIRST, SECOND = dt.date(2026, 3, 20), dt.date(2026, 3, 21)


def recorded(view: str) -> list[dict[str, Any]]:
    return json.loads((RECORDED / f"{view}.json").read_text())  # type: ignore[no-any-return]


def record(bed: Bed) -> None:
    """Fills the two views of SNOWFLAKE.ACCOUNT_USAGE with what was recorded of them."""
    with connect(bed.login(), database=False) as connection:
        for view in ("query_attribution_history", "warehouse_metering_history"):
            rows = recorded(view)
            literals = (", ".join(f"'{v}'" if isinstance(v, str) else str(v) for v in row.values()) for row in rows)
            connection.cursor().execute(
                f"insert into SNOWFLAKE.ACCOUNT_USAGE.{view} ({', '.join(rows[0])}) values "
                + ", ".join(f"({row})" for row in literals)
            )


def spent(view: str, column: str, where: str = "", day: dt.date | None = None) -> float:
    """The same sum, by plain Python: of our warehouses, by UTC day."""
    return sum(
        row[column]
        for row in recorded(view)
        if row["WAREHOUSE_NAME"].startswith("OMS_")
        and where in row.get("QUERY_TAG", "")
        and day in (None, dt.datetime.fromisoformat(row["START_TIME"]).astimezone(dt.UTC).date())
    )


def variables_of(bed: Bed) -> dict[str, str]:
    """The environment that leads to the account as its administrator."""
    login = bed.login()
    return {
        "OMS_PROFILE": "snowflake",
        "OMS_RAW_URL": "s3://my-bucket/raw",
        "SNOWFLAKE_ACCOUNT": login.account,
        "SNOWFLAKE_USER": login.user,
        "SNOWFLAKE_ROLE": login.role,
        "SNOWFLAKE_PRIVATE_KEY": login.private_key,
        "SNOWFLAKE_URL": bed.url,
        "COLUMNS": "200",
    }


@pytest.fixture(scope="module")
def account(bed: Bed) -> Bed:
    """An account in which the bootstrap has made its views over what was recorded."""
    record(bed)
    values = variables(LOGIN)
    with connect(bed.login(), database=False) as connection:
        for script in ("roles", "monitor", "warehouses", "database", "cost"):
            list(run_statements(connection, render(script, values)))
    return bed


def test_credits_are_told_by_asset_and_day_and_idle_time_apart(account: Bed) -> None:
    report = read_cost(account.login(), FIRST, SECOND)
    for cost in report.assets:
        if not cost.asset.startswith("("):
            tag = json.dumps({"asset": cost.asset})[1:-1]
            assert cost.credits == pytest.approx(
                spent("query_attribution_history", "CREDITS_ATTRIBUTED_COMPUTE", tag, cost.day)
            )
    assert {cost.day for cost in report.assets} == {FIRST, SECOND}
    dearest = [cost.asset for cost in report.assets if cost.day == FIRST][:2]
    assert dearest == ["marts/fct_order_lines", "(untagged on oms_dashboards)"]
    assert report.billed == pytest.approx(spent("warehouse_metering_history", "CREDITS_USED_COMPUTE"))
    for day in report.days:
        attributed = spent("query_attribution_history", "CREDITS_ATTRIBUTED_COMPUTE", day=day.day)
        assert day.idle == pytest.approx(day.billed - attributed)
        assert day.cloud_services == pytest.approx(
            spent("warehouse_metering_history", "CREDITS_USED_CLOUD_SERVICES", day=day.day)
        )


def test_a_statement_counts_for_the_utc_day_on_which_it_ran_whatever_zone_its_time_is_in(account: Bed) -> None:
    """The second dashboard's query ran at 00:30 of the 21st in a zone an hour ahead of UTC."""
    report = read_cost(account.login(), FIRST, FIRST)
    assert {cost.day for cost in report.assets} == {FIRST}
    (untagged,) = [cost for cost in report.assets if cost.asset.startswith("(")]
    assert untagged.queries == 2
    assert untagged.credits == pytest.approx(0.0033)


def test_other_teams_warehouses_and_days_outside_the_range_are_left_out(account: Bed) -> None:
    report = read_cost(account.login(), SECOND, SECOND)
    assert [day.day for day in report.days] == [SECOND]
    assert report.billed == pytest.approx(0.044444444)
    assert all(cost.credits < 1 for cost in report.assets)
    tags = [json.loads(s.query_tag) for s in account.statements() if "ops.query_credits where" in s.sql]
    assert {tag["asset"] for tag in tags} == {"ops/warehouse_cost"}
    assert tags[-1]["day"] == str(SECOND)


def test_the_command_lists_assets_idle_time_and_the_total(account: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    get_settings.cache_clear()
    with monkeypatch.context() as context:
        for name, value in variables_of(account).items():
            context.setenv(name, value)
        result = CliRunner().invoke(main, ["cost", "--from", str(FIRST), "--to", str(SECOND)])
    get_settings.cache_clear()
    assert result.exit_code == 0, result.output
    lines = [" ".join(re.findall(r"[^\s│]+", line)) for line in result.stdout.splitlines()]
    assert "2026-03-20 marts/fct_order_lines 2 0.0046" in lines
    assert "total billed 0.1194" in lines
    assert lines[-1] == LATENCY


def test_the_asset_shows_the_picture_and_the_tables_of_its_days(account: Bed, tmp_path: Path) -> None:
    settings = read_settings({**variables_of(account), "OMS_START_DATE": "2026-01-01"})
    asset = warehouse_cost(settings, account.login())
    warehouse = SnowflakeWarehouse(account.login(), RawZone(FolderStore(tmp_path)), dt.timedelta(seconds=5))
    result = dg.materialize(
        [asset], resources={"warehouse": warehouse}, tags={RANGE_START: "2026-03-20", RANGE_END: "2026-03-21"}
    )
    shown = result.get_asset_materialization_events()[0].materialization.metadata
    assert shown["credits"].value == pytest.approx(0.119444447)
    assert str(shown["plot"].value).startswith("![credits per asset](data:image/svg+xml;base64,")
    assert "| 2026-03-21 | marts/fct_orders |" in str(shown["table"].value)


def test_the_asset_records_what_each_day_was_spent_for_and_corrects_the_day_before(
    account: Bed, tmp_path: Path
) -> None:
    settings = read_settings({**variables_of(account), "OMS_START_DATE": "2026-01-01"})
    warehouse = SnowflakeWarehouse(account.login(), RawZone(FolderStore(tmp_path)), dt.timedelta(seconds=5))
    with warehouse.open(Purpose("test")) as session, session.transaction():
        session.execute("delete from ops.warehouse_cost")
        session.execute(
            "insert into ops.warehouse_cost values (date '2026-03-19', 'marts', 7), (date '2026-03-20', 'idle', 9)"
        )

    def materialized() -> list[tuple[Any, ...]]:
        asset = warehouse_cost(settings, account.login())
        dg.materialize([asset], partition_key="2026-03-21", resources={"warehouse": warehouse})
        return [tuple(row.values()) for row in warehouse.read("select * from ops.warehouse_cost order by 1, 2")]

    found = materialized()
    report = read_cost(account.login(), FIRST, SECOND)
    assert found[0] == (dt.date(2026, 3, 19), "marts", Decimal("7.000000"))
    assert {(day, purpose): float(credits) for day, purpose, credits in found[1:]} == {
        key: pytest.approx(credits, abs=1e-6) for key, credits in report.by_purpose().items()
    }
    assert float(sum(credits for *_, credits in found[1:])) == pytest.approx(report.billed, abs=1e-5)
    assert {purpose for _, purpose, _ in found} >= {"marts", "dashboards", "idle"}
    assert materialized() == found


def test_a_local_warehouse_has_no_bill() -> None:
    get_settings.cache_clear()
    result = CliRunner().invoke(main, ["cost", "--from", str(FIRST), "--to", str(SECOND)])
    get_settings.cache_clear()
    assert result.exit_code == 1
    assert result.stderr == "Error: OMS_PROFILE is 'local', which has no Snowflake. Set it to snowflake.\n"


def test_a_range_the_wrong_way_round_is_refused_before_anybody_is_asked() -> None:
    with pytest.raises(CalendarError, match="Put the earlier day first"):
        read_cost(LOGIN, SECOND, FIRST)


def test_while_one_view_is_later_than_the_other_idle_time_is_never_negative() -> None:
    queries = [{"SPENT_ON": FIRST, "ASSET": "marts/fct_orders", "QUERIES": 1, "CREDITS": 0.5}]
    (day,) = cost_report(queries, []).days
    assert (day.billed, day.idle) == (0.0, 0.0)


def test_the_chart_is_a_picture_whose_bars_are_as_long_as_the_credits_and_whose_labels_are_text() -> None:
    assets = [
        AssetCost(FIRST, "marts/<b>&", 1, 0.4),
        AssetCost(SECOND, "marts/<b>&", 1, 0.4),
        AssetCost(FIRST, "raw/x", 1, 0.2),
    ]
    image = re.fullmatch(r"!\[.*\]\(data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)\)", chart(CostReport(assets, [])))
    assert image is not None
    svg = ET.fromstring(base64.b64decode(image[1]))  # noqa: S314 -- our own
    bars = [float(bar.attrib["width"]) for bar in svg.iter("{http://www.w3.org/2000/svg}rect")]
    assert bars[0] == pytest.approx(4 * bars[1], abs=0.2)
    assert [text.text for text in svg.iter("{http://www.w3.org/2000/svg}text")] == [
        "marts/<b>&",
        "0.8000",
        "raw/x",
        "0.2000",
    ]
    assert chart(CostReport([], [])) == ""


def test_the_tables_for_dagsters_page_have_a_line_per_asset_and_day() -> None:
    report = cost_report(
        [{"SPENT_ON": FIRST, "ASSET": "marts/fct_orders", "QUERIES": 3, "CREDITS": 0.01}],
        [{"SPENT_ON": FIRST, "COMPUTE_CREDITS": 0.03, "CLOUD_SERVICES_CREDITS": 0.001}],
    )
    assert "| 2026-03-20 | marts/fct_orders | 3 | 0.0100 |" in report.markdown()
    assert "| 2026-03-20 | 0.0300 | 0.0200 | 0.0010 |" in report.markdown()


@pytest.mark.parametrize("sql", [query_credits_sql("OMS", FIRST, SECOND), warehouse_credits_sql("OMS", FIRST, SECOND)])
def test_the_queries_are_snowflakes_sql(sql: str) -> None:
    parsed = Linter(config=FluffConfig(overrides={"dialect": "snowflake"})).parse_string(sql + "\n")
    assert parsed.violations == []
    assert parsed.tree is not None and not [*parsed.tree.recursive_crawl("unparsable")]
    assert "spent_on >= '2026-03-20'::date and spent_on < '2026-03-22'::date" in sql
