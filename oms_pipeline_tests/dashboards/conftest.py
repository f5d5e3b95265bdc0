"""A Metabase over the marts as dbt describes them, and the definition it is made from."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from oms_pipeline.dashboards import Dashboard, load_dashboards
from oms_pipeline.dashboards.metabase import marks
from oms_pipeline.dashboards.metabase.client import Patience
from oms_pipeline.dashboards.metabase.sync import Definition, Outcome, sync
from oms_pipeline.dashboards.metabase.wanted import Table, tables
from oms_pipeline.settings import MetabaseServer, PostgresLogin, SnowflakeLogin
from oms_pipeline.transform import DbtProjectFiles
from oms_pipeline_tests.dashboards.metabase_server import Catalog, Json, Metabase, Recorded, running
from oms_pipeline_tests.source.real_oms import Oms

LOGIN = PostgresLogin("db", 5432, "marts", "metabase", "s3cret")
ADMINISTRATOR = ("data@example.com", "correct horse battery")
QUICK = Patience(
    connect=dt.timedelta(seconds=2),
    answer=dt.timedelta(seconds=5),
    outage=dt.timedelta(seconds=3),
    sync=dt.timedelta(seconds=3),
    poll=dt.timedelta(milliseconds=10),
)
VALUES = {"store": ["Store 1", "Store 2"], "channel": ["online", "in_store"], "currency": ["USD", "EUR"]}


@pytest.fixture(scope="session")
def manifest(dbt_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    environment = {"OMS_PROFILE": "local", "OMS_DUCKDB_PATH": str(tmp_path_factory.mktemp("parsed") / "oms.duckdb")}
    return DbtProjectFiles(dbt_dir / "local", environment).manifest


@pytest.fixture(scope="session")
def described(manifest: Mapping[str, Any]) -> list[Table]:
    return tables(manifest)


@pytest.fixture(scope="session")
def definition(described: list[Table]) -> Definition:
    return Definition(load_dashboards(), described, ("boss@example.com", "data@example.com"), VALUES)


@pytest.fixture(scope="session")
def few(definition: Definition) -> Definition:
    """Two dashboards of a few cards, and four tables: every kind of thing, and soon done."""
    sales, *others = definition.dashboards
    needed = {"marts.daily_sales", "marts.dim_stores", "marts.dim_customers", "marts.dim_dates"}
    chosen = [each for each in sales.cards if each.name in ("net_sales", "orders", "net_sales_by_day")]
    return replace(
        definition,
        dashboards=[replace(sales, cards=tuple(chosen)), replace(others[0], cards=others[0].cards[:2])],
        tables=[table for table in definition.tables if table.name in needed],
    )


@pytest.fixture(scope="session")
def catalog(described: list[Table]) -> Callable[[Json], Catalog]:
    """What a sync finds: the marts, to whoever has the password."""
    found = {table.name: dict.fromkeys(table.columns, "type/Text") for table in described}
    found["ops.pipeline_runs"] = dict.fromkeys(("run_id", "finished_at", "first_day", "last_day"), "type/Text")

    def tables_of(details: Json) -> Catalog:
        if details.get("password") != LOGIN.password:
            raise ConnectionError("FATAL: password authentication failed for user")
        return found

    return tables_of


@dataclass
class World:
    """A Metabase, and who keeps it."""

    metabase: Metabase
    server: MetabaseServer
    definition: Definition

    def sync(self, **options: Any) -> Outcome:
        definition = options.pop("definition", self.definition)
        return sync(options.pop("server", self.server), definition, **{"patience": QUICK, **options})

    def steps(self, **options: Any) -> list[str]:
        """What a sync did, in words."""
        return [str(step) for step in self.sync(**options).steps]

    def snapshot(self) -> dict[str, list[Json]]:
        """Everything there is."""
        return {kind: [dict(thing) for thing in self.metabase.all(kind)] for kind in self.metabase.things}

    def login(self, **changes: Any) -> MetabaseServer:
        return replace(self.server, **changes)


def keeps(metabase: Metabase) -> MetabaseServer:
    """How the pipeline reaches a Metabase of a test."""
    user, password = ADMINISTRATOR
    return MetabaseServer(metabase.url, LOGIN, user=user, password=password)


@pytest.fixture
def fresh(catalog: Callable[[Json], Catalog], few: Definition) -> Iterator[World]:
    """A Metabase that nobody has set up yet."""
    with running(catalog) as metabase:
        yield World(metabase, keeps(metabase), few)


@pytest.fixture(scope="session")
def synced(catalog: Callable[[Json], Catalog], few: Definition) -> Metabase:
    """What a Metabase holds after its first sync."""
    with running(catalog) as metabase:
        sync(keeps(metabase), few, patience=QUICK)
    return metabase


@pytest.fixture
def world(fresh: World, synced: Metabase) -> World:
    """A Metabase that is set up and in sync."""
    fresh.metabase.become(synced)
    return fresh


SNOWFLAKE = SnowflakeLogin("myorg-account", "OMS_DASHBOARDS_USER", "-----BEGIN PRIVATE KEY-----\nMII\n", None,
                           "OMS_REPORTER", "OMS_DASHBOARDS", "OMS")  # fmt: skip


@contextmanager
def a_role(postgres: Oms, name: str) -> Iterator[str]:
    """A role of the server for the block; gives the DSN with which it logs in."""
    postgres.execute(f"create role {name} login")
    try:
        yield postgres.dsn.replace("://postgres@", f"://{name}@")
    finally:
        postgres.execute(f"drop owned by {name}; drop role {name}")


def title_changed(definition: Definition, old: str, new: str) -> Definition:
    """The same definition with one dashboard or card of another title."""

    def dashboard(each: Dashboard) -> Dashboard:
        cards = tuple(replace(card, title=new if card.title == old else card.title) for card in each.cards)
        return replace(each, title=new if each.title == old else each.title, cards=cards)

    return replace(definition, dashboards=[dashboard(each) for each in definition.dashboards])


def names(things: list[Json]) -> list[str]:
    return [thing["name"] for thing in things]


def mine(world: World, kind: str, key: str) -> Json:
    """Our object with a key."""
    (found,) = [
        thing
        for thing in world.metabase.all(kind)
        if (mark := marks.read(thing["description"])[1]) and mark.key == key and mark.id == thing["id"]
    ]
    return found


def table(world: World, name: str) -> Json:
    return world.metabase.one("table", name=name)


def field(world: World, of_table: str, name: str) -> Json:
    return world.metabase.one("field", table_id=table(world, of_table)["id"], name=name)


def is_write(recorded: Recorded) -> bool:
    return recorded.method in ("POST", "PUT") and not recorded.path.startswith(("/api/session", "/api/permissions"))
