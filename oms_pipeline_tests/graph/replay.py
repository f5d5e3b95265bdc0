"""A simulated business, run day by day, and what was seen after each run."""

import datetime as dt
from dataclasses import dataclass, field

from oms_pipeline import sample
from oms_pipeline.automation import RunReport
from oms_pipeline.calendar import Window
from oms_pipeline_tests.graph.pipeline import Pipeline
from oms_pipeline_tests.source.real_oms import SCHEMA


@dataclass
class Replay:
    """Runs as they happened.

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

    def open(self, orders_per_day: int, seed: int) -> None:
        """Opens the business on the first day of the calendar."""
        pipeline = self.pipeline
        sample.open_business(pipeline.oms.dsn, SCHEMA, pipeline.first_day, orders_per_day, seed, pipeline.timezone)

    def run(self, days: int = 1) -> None:
        """Lets days pass at the source, and then loads them in one run."""
        last = self.pipeline.simulate(days)
        window = self.pipeline.window(last - dt.timedelta(days=days - 1), last)
        self.windows.append(window)
        self.reports.append(self.pipeline.run(window))
        self.differences.append(self.pipeline.differences(last))
