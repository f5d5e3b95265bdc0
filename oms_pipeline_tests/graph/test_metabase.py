"""The graph with Metabase: a run ends in PostgreSQL and in Metabase, and every card says there what it says on DuckDB."""

import datetime as dt
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

import dagster as dg
import pyarrow as pa
import pytest
from click.testing import CliRunner

from oms_pipeline import sample
from oms_pipeline.cli import main
from oms_pipeline.dashboards import Card, load_dashboards
from oms_pipeline.dashboards.metabase import definition
from oms_pipeline.dashboards.metabase.wanted import Kind, Wanted, wanted
from oms_pipeline.definitions import build_definitions
from oms_pipeline.errors import DashboardError
from oms_pipeline.settings import Settings
from oms_pipeline.warehouse import Purpose
from oms_pipeline_tests.dashboards.conftest import ADMINISTRATOR, a_role
from oms_pipeline_tests.dashboards.metabase_server import Catalog, Json, Metabase, running
from oms_pipeline_tests.graph.pipeline import Pipeline
from oms_pipeline_tests.graph.test_snowflake import InBucket, OnSnowflake, aws, lived, loaded
from oms_pipeline_tests.source.real_oms import SCHEMA, Oms

__all__ = ["aws", "lived"]

FIRST: Final = dt.date(2026, 3, 1)
DAYS: Final = 20
READER: Final = "metabase"
CARDS: Final = [
    pytest.param(f"card/{dashboard.name}/{card.name}", card, id=f"{dashboard.name}.{card.name}")
    for dashboard in load_dashboards()
    for card in dashboard.cards
]
CHOICES: Final[list[Json]] = [
    {},
    {"period": ("2026-03-05", "2026-03-12"), "channel": ["online", "in_store"], "currency": ["EUR"]},
]


@dataclass(frozen=True)
class WithMetabase(Pipeline):
    """A pipeline that publishes its marts and keeps a Metabase."""

    variables: Mapping[str, str]
    metabase: Metabase
    postgres: Oms

    @property
    def environment(self) -> Mapping[str, str]:
        return {**super().environment, **self.variables}

    def published(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows as the user that Metabase logs in as reads them."""
        return Oms(self.postgres.dsn.replace("://postgres@", f"://{READER}@")).rows(sql)

    def metadata(self, *key: str) -> Mapping[str, Any]:
        """What an asset told of itself last."""
        self.use_dagster_home()
        with dg.DagsterInstance.get() as instance:
            event = instance.get_latest_materialization_event(dg.AssetKey(key))
        assert event is not None
        assert event.asset_materialization is not None
        return {name: value.value for name, value in event.asset_materialization.metadata.items()}


def tables_of(postgres: Oms) -> Callable[[Json], Catalog]:
    """What a sync of Metabase finds: what the user that it logs in as may read in the real PostgreSQL."""

    def catalog(details: Json) -> Catalog:
        if details.get("password") != "s3cret":
            raise ConnectionError("password authentication failed")
        schemas = ", ".join(f"'{schema}'" for schema in details["schema-filters-patterns"].split(","))
        found: dict[str, dict[str, str]] = {}
        for schema, table, column, data_type in Oms(
            postgres.dsn.replace("://postgres@", f"://{details['user']}@")
        ).rows(
            "select table_schema, table_name, column_name, data_type from information_schema.columns"
            f" where table_schema in ({schemas}) order by 1, 2, ordinal_position"
        ):
            found.setdefault(f"{schema}.{table}", {})[column] = data_type
        return found

    return catalog


@pytest.fixture(scope="module")
def pipeline(new_pipeline: Callable[..., Pipeline], new_database: Callable[[str], Oms]) -> Iterator[WithMetabase]:
    """Twenty days in one run through the whole graph."""
    plain = new_pipeline(FIRST)
    sample.open_business(plain.oms.dsn, SCHEMA, FIRST, 40, 7, "America/New_York")
    postgres = new_database("template0")
    with a_role(postgres, READER), running(tables_of(postgres)) as metabase:
        user, password = ADMINISTRATOR
        variables = {
            "OMS_PUBLISH_URL": postgres.dsn,
            "OMS_METABASE_URL": metabase.url,
            "OMS_METABASE_USER": user,
            "OMS_METABASE_PASSWORD": password,
            "OMS_METABASE_DATABASE_URL": f"postgresql://{READER}:s3cret@db.example.com/marts",
            "OMS_MAIL_TO": "boss@example.com",
        }
        made = WithMetabase(plain.home, plain.oms, FIRST, plain.timezone, variables, metabase, postgres)
        last = made.simulate(DAYS)
        report = made.run(made.window(FIRST, last))
        assert report.error is None
        yield made


def rendered(card: Wanted, chosen: Json) -> str:
    """The SQL that Metabase makes of a card's: a field filter becomes a condition on its alias, an empty one nothing."""
    sql = card.state["sql"]
    defaults = {name: tag["default"] for name, tag in card.state["filters"].items() if "default" in tag}
    chosen = {**defaults, **chosen}
    for name, tag in card.state["filters"].items():
        condition = ""
        if name in chosen:
            if tag["widget"].startswith("date/"):
                first, last = chosen[name]
                condition = f"and {tag['alias']} BETWEEN date '{first}' AND date '{last}'"
            else:
                values = ", ".join("'" + value.replace("'", "''") + "'" for value in chosen[name])
                condition = f"and {tag['alias']} IN ({values})"
        sql, found = re.subn(rf"\[\[and \{{\{{{name}\}}\}}\]\]", condition, sql)
        assert found == 1
    assert "{{" not in sql
    return sql


def cards_of(pipeline: Pipeline) -> dict[str, Wanted]:
    """Key → card, as it is sent to Metabase."""
    with pipeline.warehouse.reading(Purpose("test")) as query:
        made = definition(pipeline.settings, pipeline.project.manifest, query)
    defaults = {name: values[0] for name, values in made.values.items() if values}
    everything = wanted({"name": ""}, made.dashboards, [], (), defaults)
    return {each.key: each for each in everything if each.kind is Kind.CARD}


def comparable(card: Card, rows: list[tuple[Any, ...]]) -> dict[tuple[Any, ...], list[Decimal | None]]:
    """Groups → numbers; quotients, which each database rounds in its own way, to nine digits."""
    width = len(card.group_by)
    found: dict[tuple[Any, ...], list[Decimal | None]] = {}
    for row in rows:
        group = tuple(value.isoformat()[:10] if isinstance(value, dt.date) else value for value in row[:width])
        numbers = [None if value is None else Decimal(str(value)) for value in row[width:]]
        assert group not in found
        found[group] = [
            number if number is None or measure.denominator is None else Decimal(f"{number:.9e}")
            for number, measure in zip(numbers, card.measures, strict=True)
        ]
    return found


def on_duckdb(pipeline: Pipeline, sql: str) -> list[tuple[Any, ...]]:
    with pipeline.warehouse.reading(Purpose("test")) as query:
        return [tuple(row.values()) for row in query(sql).to_pylist()]


def same(card: Card, one: list[tuple[Any, ...]], other: list[tuple[Any, ...]]) -> None:
    left, right = comparable(card, one), comparable(card, other)
    if card.limit is not None and len(one) == card.limit:
        # Where the last ones are equally large, each database may choose another.
        assert sorted(map(str, left.values())) == sorted(map(str, right.values()))
    else:
        assert left == right


# A run


def test_a_run_ends_with_the_marts_in_postgresql_as_they_are_in_duckdb(pipeline: WithMetabase) -> None:
    relations = on_duckdb(
        pipeline,
        "select distinct schema_name || '.' || table_name from duckdb_columns() where schema_name in ('marts', 'ops')",
    )
    assert ("ops.pipeline_runs",) in relations
    for (relation,) in relations:
        assert pipeline.published(f"select count(*) from {relation}") == on_duckdb(
            pipeline, f"select count(*) from {relation}"
        )
    told = pipeline.metadata("dashboards", "published_marts")
    assert told["tables"] == len(relations)
    assert told["dagster/row_count"] == sum(
        on_duckdb(pipeline, f"select count(*) from {relation}")[0][0] for (relation,) in relations
    )


def test_a_run_ends_with_metabase_as_the_definition_says_and_links_to_it(pipeline: WithMetabase) -> None:
    dashboards = {each["name"]: each["id"] for each in pipeline.metabase.all("dashboard")}
    assert list(dashboards) == [each.title for each in load_dashboards()]
    told = pipeline.metadata("dashboards", "metabase")
    assert told["dashboard_sales"] == f"{pipeline.metabase.url}/dashboard/{dashboards['Sales']}"
    assert told["edited_by_hand"] == 0
    store = pipeline.metabase.one(
        "field", name="store_name", table_id=pipeline.metabase.one("table", name="dim_stores")["id"]
    )
    assert [(value,) for (value,) in store["values"]] == on_duckdb(
        pipeline, "select distinct store_name from marts.dim_stores order by 1"
    )


@pytest.mark.parametrize(("key", "card"), CARDS)
def test_a_card_says_on_postgresql_what_it_says_on_duckdb(pipeline: WithMetabase, key: str, card: Card) -> None:
    in_metabase = cards_of(pipeline)[key]
    for chosen in CHOICES:
        sql = rendered(in_metabase, chosen)
        same(card, pipeline.published(sql), on_duckdb(pipeline, sql))


def test_a_card_that_somebody_opens_by_itself_adds_no_two_currencies_up(pipeline: WithMetabase) -> None:
    assert len(on_duckdb(pipeline, "select distinct currency from marts.daily_sales")) > 1
    in_metabase = cards_of(pipeline)
    for key, card in [param.values for param in CARDS]:
        added = card.group_by[len(card.dimensions) :]
        if added:
            rows = pipeline.published(rendered(in_metabase[key], {}))
            assert len({row[len(card.dimensions)] for row in rows}) <= 1, key


def test_a_metabase_that_is_away_fails_its_asset_and_nothing_else(pipeline: WithMetabase) -> None:
    pipeline.metabase.refuses_logins = True
    try:
        day = pipeline.simulate()
        report = pipeline.run(pipeline.window(day))
    finally:
        pipeline.metabase.refuses_logins = False
    assert report.error is not None
    assert "refuses the login" in report.error
    assert pipeline.published("select max(last_day) from ops.pipeline_runs") == [(day,)]
    next_day = pipeline.simulate()
    assert pipeline.run(pipeline.window(next_day)).error is None
    assert pipeline.metadata("dashboards", "metabase")["changed"] == 0


def test_a_data_set_with_a_column_that_no_mart_has_is_told_before_metabase_or_the_warehouse_is_asked(
    pipeline: WithMetabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(sql: str) -> pa.Table:
        raise AssertionError(sql)

    first, *_ = load_dashboards()
    wrong = replace(first.datasets[0], sql="select net_slaes from marts.daily_sales as sales")
    broken = replace(first, datasets=(wrong,))
    monkeypatch.setattr("oms_pipeline.dashboards.metabase.assets.load_dashboards", lambda: (broken,))
    with pytest.raises(DashboardError, match=r"sales\.yml: datasets sales: .*net_slaes"):
        definition(pipeline.settings, pipeline.project.manifest, never)


# The command and the graph


def test_the_command_says_what_it_did_and_where_to_look(
    pipeline: WithMetabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oms_pipeline.cli.dashboards.get_settings", lambda: pipeline.settings)
    card = next(each for each in pipeline.metabase.all("card") if each["name"] == "Net sales")
    card["display"] = "table"
    left = CliRunner().invoke(main, ["dashboards", "sync"])
    assert left.exit_code == 0
    assert "! leave card Net sales: edited in Metabase (display); --force undoes that" in left.output
    assert f"sales: {pipeline.metabase.url}/dashboard/" in left.output
    planned = CliRunner().invoke(main, ["dashboards", "sync", "--force", "--dry-run"])
    assert "· restore card Net sales: edited in Metabase (display)" in planned.output
    assert card["display"] == "table"
    done = CliRunner().invoke(main, ["dashboards", "sync", "--force"])
    assert "✓ restore card Net sales: edited in Metabase (display)" in done.output
    assert "Metabase is as the definition says." in CliRunner().invoke(main, ["dashboards", "sync"]).output


def test_without_its_address_there_is_no_metabase_in_the_graph_and_the_command_says_what_to_set(
    pipeline: WithMetabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dashboards(settings: Settings) -> dict[str, set[str]]:
        specs = build_definitions(settings).resolve_all_asset_specs()
        return {
            spec.key.path[1]: {"/".join(dep.asset_key.path) for dep in spec.deps}
            for spec in specs
            if spec.key.path[0] == "dashboards"
        }

    with_metabase = dashboards(pipeline.settings)
    assert with_metabase["metabase"] >= {"dashboards/sales", "dashboards/published_marts"}
    assert with_metabase["published_marts"] >= {"marts/daily_sales", "ops/pipeline_runs"}
    none = replace(pipeline.settings, metabase=None, publish_url=None)
    assert set(with_metabase) - set(dashboards(none)) == {"metabase", "published_marts"}
    monkeypatch.setattr("oms_pipeline.cli.dashboards.get_settings", lambda: none)
    said = CliRunner().invoke(main, ["dashboards", "sync"])
    assert said.exit_code == 1
    assert "OMS_METABASE_URL is not set" in said.output + said.stderr


# Snowflake


@pytest.mark.slow
def test_every_card_says_on_snowflake_what_it_says_on_duckdb(lived: tuple[OnSnowflake, InBucket]) -> None:
    snowflake, twin = lived
    last = snowflake.simulate(5)
    for each in (snowflake, twin):
        loaded(each, each.first_day, last)
    in_metabase = cards_of(twin)
    chosen = {"period": (snowflake.first_day.isoformat(), last.isoformat()), "currency": ["EUR"]}
    for key, card in [param.values for param in CARDS]:
        sql = rendered(in_metabase[key], chosen)
        rows = [tuple(row.values()) for row in snowflake.rows(sql).to_pylist()]
        if "ops.pipeline_runs" in card.dataset.relations:
            assert len(rows) == len(on_duckdb(twin, sql)), (
                key
            )  # each has its own runs, and they took as long as they took
        else:
            same(card, rows, on_duckdb(twin, sql))
