"""The demo: a sample business from its first day to yesterday, by the same jobs as in production."""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adbc_driver_postgresql import dbapi
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table

from oms_pipeline import sample
from oms_pipeline.calendar import Window, today, window_between, yesterday
from oms_pipeline.errors import OmsError, SettingsError, SourceError
from oms_pipeline.instance import prepare_dagster_home
from oms_pipeline.progress import Progress, listening
from oms_pipeline.settings import Settings, describe_dsn, sample_opened_file
from oms_pipeline.source import PostgresSource

DAILY_RUNS = 2
LAYERS = ("raw", "external", "staging", "intermediate", "marts")

HEADLINES = """
with sales as (
    select
        currency,
        sum(net_sales) as net_sales,
        sum(orders) as orders,
        round(sum(gmv - cancelled_value - discounts) / nullif(sum(orders - cancelled_orders), 0), 2) as aov
    from marts.daily_sales
    group by currency
)

select currency, net_sales, cast(orders as bigint) as orders, cast(aov as decimal(18, 2)) as aov
from sales
order by orders desc
"""

RATES = """
select
    cast(100.0 * sum(units_returned) / nullif(sum(units_shipped), 0) as decimal(9, 1)) as return_rate,
    cast(
        100.0 * sum(shipments_on_time) filter (business_day < date '{today}')
        / nullif(sum(shipments_due) filter (business_day < date '{today}'), 0) as decimal(9, 1)
    ) as on_time_rate
from marts.fulfilment_daily
"""


@dataclass(frozen=True)
class DemoOutcome:
    """What the demo did.

    Attributes:
        reports: One per run: the backfill, then the daily runs.
        sales: One row per currency: net sales, orders, AOV.
        rates: Return rate and on-time shipment, in per cent.
        report: The page that the last run has drawn.
    """

    reports: Sequence[Any]
    sales: Sequence[dict[str, Any]]
    rates: dict[str, Any]
    report: Path

    def show(self, console: Console) -> None:
        """Prints the runs, the headline numbers and what to do next."""
        console.print(Group(reports_table(self.reports), "", self._headlines()))
        console.print(
            f"\nOpen   {escape(str(self.report))}\n       the dashboards in one page, as the last run has left them",
            highlight=False,
            soft_wrap=True,
        )
        console.print(
            "\nNext:  [bold]make dev[/]      the graph, its days and its data on http://localhost:3000\n"
            "       [bold]oms status[/]    what is there, what is missing\n"
            "       [bold]oms check[/]     before you point OMS_SOURCE_URL at your own OMS"
        )

    def _headlines(self) -> RenderableType:
        table = Table("currency", "net sales", "orders", "AOV", title="Headline numbers, by currency")
        for column in table.columns[1:]:
            column.justify = "right"
        for row in self.sales:
            table.add_row(row["currency"], f"{row['net_sales']:,}", f"{row['orders']:,}", f"{row['aov']:,}")
        return Group(
            table,
            f"Returned units, of shipped: {self.rates['return_rate']} %   "
            f"Shipments on time, of those due: {self.rates['on_time_rate']} %",
        )


def run_demo(settings: Settings, orders_per_day: int, step: Callable[[Progress], None]) -> DemoOutcome:
    """Simulates and loads everything up to yesterday; the last two days as daily runs, all before as one backfill.

    Raises:
        OmsError: A run failed, or the source is not the sample OMS.
    """
    dsn = _sample_dsn(settings)
    if sample.state(dsn) is None:
        open_sample(settings, settings.start_date, orders_per_day, seed=7)
    prepare_dagster_home(settings)

    from oms_pipeline.automation import DAILY_JOB, run_job
    from oms_pipeline.definitions import defs, make_warehouse

    newest = yesterday(settings)
    first_daily = newest - dt.timedelta(days=DAILY_RUNS - 1)
    windows = [
        window_between(day, day, settings) for day in Window(first_daily, today(settings), settings.timezone).days
    ]
    if settings.start_date < first_daily:
        windows.insert(0, window_between(settings.start_date, first_daily - dt.timedelta(days=1), settings))
    reports = []
    with listening(step):
        for window in windows:
            _simulate_until(dsn, window.end, step)
            report = run_job(defs, DAILY_JOB, window)
            if report.error is not None:
                raise OmsError(report.error)
            reports.append(report)
    warehouse = make_warehouse(settings)
    return DemoOutcome(
        reports,
        warehouse.read(HEADLINES),
        warehouse.read(RATES.format(today=today(settings)))[0],
        settings.report_file,
    )


def reports_table(reports: Sequence[Any]) -> Table:
    """Runs as rows; per layer the rows its tables hold for the run and the seconds it took."""
    table = Table("day", *LAYERS, "total", title="Rows and seconds per layer")
    for column in table.columns[1:]:
        column.justify = "right"
    for report in reports:
        cells = []
        for layer in LAYERS:
            done = report.layers.get(layer)
            cells.append("–" if done is None else f"{done.rows:,}\n[dim]{done.seconds:.1f} s[/]")
        table.add_row(str(report.window), *cells, f"\n{report.seconds:.1f} s")
    return table


def create_tables(settings: Settings) -> None:
    """Creates the empty OMS tables on the source. Drops and changes nothing.

    Raises:
        SourceError: The server does not answer, or does not let this role create them.
    """
    dsn = settings.source_url or sample.dsn(settings)
    _expect_an_answer(dsn, settings)
    try:
        sample.create_schema(dsn, settings.source_schema)
    except dbapi.Error as error:
        reason = str(error).split("ERROR:")[-1].splitlines()[0].strip()
        raise SourceError(
            f"The OMS at {describe_dsn(dsn)} does not let this role create the OMS tables: {reason}. "
            "Set OMS_SOURCE_URL to a role that may create them."
        ) from None


def open_sample(settings: Settings, first_day: dt.date, orders_per_day: int, seed: int) -> sample.Business:
    """Opens the sample business, or returns the one that is open.

    Raises:
        OmsError: The source is somebody's own OMS.
    """
    dsn = _sample_dsn(settings)
    business = sample.state(dsn)
    if business is None:
        business = sample.open_business(
            dsn, settings.source_schema, first_day, orders_per_day, seed, settings.timezone.key
        )
        settings.home.mkdir(parents=True, exist_ok=True)
        sample_opened_file(settings.home).write_text(f"{first_day}\n", encoding="utf-8")
    return business


def simulate_days(settings: Settings, days: int, step: Callable[[Progress], None]) -> dt.date:
    """Lets the sample business live its next days, up to yesterday at the latest.

    Returns:
        The day after them.

    Raises:
        OmsError: There is no sample business, or it would live in the future.
    """
    dsn = _sample_dsn(settings)
    business = sample.state(dsn)
    if business is None:
        raise OmsError("The sample OMS has no business yet. Run: oms sample init")
    last = business.next_day + dt.timedelta(days=days - 1)
    if last > yesterday(settings):
        raise OmsError(
            f"{last} has not ended; the sample OMS can live up to {yesterday(settings)}. "
            f"Simulate {max((yesterday(settings) - business.next_day).days + 1, 0)} days, or wait for tomorrow."
        )
    return sample.simulate(dsn, days, lambda day: step(Progress("simulating", str(day), days)))


def _simulate_until(dsn: str, end: dt.date, step: Callable[[Progress], None]) -> None:
    business = sample.state(dsn)
    days = (end - business.next_day).days if business is not None else 0
    if days > 0:
        sample.simulate(dsn, days, lambda day: step(Progress("simulating", str(day), days)))


def _sample_dsn(settings: Settings) -> str:
    if settings.source_url is not None:
        raise SettingsError("OMS_SOURCE_URL names an OMS of your own; the sample does not touch it. Unset it first.")
    dsn = sample.dsn(settings)
    if settings.sample_url is not None:
        _expect_an_answer(dsn, settings)
    return dsn


def _expect_an_answer(dsn: str, settings: Settings) -> None:
    """Tells of a server that does not answer as a run would tell of it."""
    with PostgresSource(dsn, settings.source_schema, settings.statement_timeout, settings.overlap).connect():
        pass
