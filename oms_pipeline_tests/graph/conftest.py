"""A business replayed once for all tests of the graph; each test that goes on from there has a copy of its own."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest

from oms_pipeline import sample
from oms_pipeline_tests.graph import handmade as days_by_hand
from oms_pipeline_tests.graph.handmade import Handmade
from oms_pipeline_tests.graph.pipeline import Pipeline
from oms_pipeline_tests.graph.replay import Replay
from oms_pipeline_tests.source.real_oms import SCHEMA, Oms

# Up to the night New York's clocks go forward, 8 March; then a jump.
FIRST_DAY = dt.date(2026, 3, 6)
DAILY_RUNS = 3
JUMP = 10


@pytest.fixture(scope="session")
def new_pipeline(
    tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[str], Oms], dbt_dir: Path
) -> Callable[..., Pipeline]:
    """Makes a pipeline with nothing in it but an empty OMS."""

    def make(first_day: dt.date, timezone: str = "America/New_York") -> Pipeline:
        home = tmp_path_factory.mktemp("home")
        dbt_dir.mkdir(parents=True, exist_ok=True)
        (home / "dbt").symlink_to(dbt_dir)
        pipeline = Pipeline(home, new_database("template0"), first_day, timezone)
        sample.create_schema(pipeline.oms.dsn, SCHEMA)
        return pipeline

    return make


@pytest.fixture(scope="session")
def replay(new_pipeline: Callable[..., Pipeline]) -> Replay:
    """Three daily runs, then ten days in one late run; from the third day on orders have a column more."""
    replay = Replay(new_pipeline(FIRST_DAY))
    replay.open(orders_per_day=40, seed=7)
    for number in range(DAILY_RUNS):
        if number == DAILY_RUNS - 1:
            sample.add_column(replay.pipeline.oms.dsn, SCHEMA, "orders", "gift_note", "text")
        replay.run()
    replay.run(JUMP)
    return replay


@pytest.fixture(scope="session")
def handmade(new_pipeline: Callable[..., Pipeline]) -> Handmade:
    return Handmade(new_pipeline(days_by_hand.FIRST_DAY))


@pytest.fixture
def pipeline(replay: Replay, tmp_path: Path, new_database: Callable[[str], Oms]) -> Pipeline:
    """The replayed business, free to go on."""
    return replay.pipeline.copy(tmp_path / "home", new_database)
