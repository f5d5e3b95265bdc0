"""A business replayed once for all tests of the graph; each test that goes on from there has a copy of its own."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from oms_pipeline import sample
from oms_pipeline.automation import RunReport
from oms_pipeline.calendar import Window
from oms_pipeline_tests.graph import handmade as handmade_days
from oms_pipeline_tests.graph.handmade import Handmade
from oms_pipeline_tests.graph.pipeline import Pipeline
from oms_pipeline_tests.source.real_oms import SCHEMA, Oms

# Across the night New York's clocks go forward, 8 March.
FIRST_DAY = dt.date(2026, 3, 6)
DAILY_RUNS = 4
JUMP = 10
NEW_COLUMN_ON = FIRST_DAY + dt.timedelta(days=2)


@dataclass
class Replay:
    """A business run day by day, and what was seen after each run.

    Attributes:
        pipeline: As the last run left it.
        windows: Of the runs, in order.
        reports: Of the runs.
        differences: From the oracle, after each run.
    """

    pipeline: Pipeline
    windows: list[Window] = field(default_factory=list)
    reports: list[RunReport] = field(default_factory=list)
    differences: list[list[str]] = field(default_factory=list)

    @property
    def last_day(self) -> dt.date:
        return self.windows[-1].last

    def run(self, days: int = 1) -> None:
        """Lets days pass at the source, and then loads them in one run."""
        last = self.pipeline.simulate(days)
        window = self.pipeline.window(last - dt.timedelta(days=days - 1), last)
        self.windows.append(window)
        self.reports.append(self.pipeline.run(window))
        self.differences.append(self.pipeline.differences(last))


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
    """Four daily runs, from the second on with a column the contract does not know, then ten days in one late run."""
    pipeline = new_pipeline(FIRST_DAY)
    sample.open_business(pipeline.oms.dsn, SCHEMA, FIRST_DAY, 40, 7, pipeline.timezone)
    replay = Replay(pipeline)
    for _ in range(DAILY_RUNS):
        if replay.windows and replay.last_day + dt.timedelta(days=1) == NEW_COLUMN_ON:
            sample.add_column(pipeline.oms.dsn, SCHEMA, "orders", "gift_note", "text")
        replay.run()
    replay.run(JUMP)
    return replay


@pytest.fixture
def pipeline(replay: Replay, tmp_path: Path, new_database: Callable[[str], Oms]) -> Pipeline:
    """The replayed business, free to go on."""
    return replay.pipeline.copy(tmp_path / "home", new_database)


@pytest.fixture(scope="session")
def handmade(new_pipeline: Callable[..., Pipeline]) -> Handmade:
    return Handmade(new_pipeline(handmade_days.FIRST_DAY))
