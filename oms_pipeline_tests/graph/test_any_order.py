"""Days in any order, repeated, in ranges, interrupted: the warehouse ends as a rebuild over the same files makes it."""

import datetime as dt
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from oms_pipeline import sample
from oms_pipeline_tests.graph import handmade as case
from oms_pipeline_tests.graph.handmade import Handmade
from oms_pipeline_tests.graph.pipeline import Interrupted, Pipeline, unequal
from oms_pipeline_tests.source.real_oms import SCHEMA


@dataclass(frozen=True)
class Load:
    """Materialises the days from `first` to `last`; if interrupted, everything but the commit is done."""

    first: dt.date
    last: dt.date
    interrupted: bool = False

    def __str__(self) -> str:
        days = f"{self.first:%m-%d}" + (f"…{self.last:%m-%d}" if self.last != self.first else "")
        return f"{days}✗" if self.interrupted else days


class Warehouses:
    """Warehouses over one raw zone, each made by its own sequence of loads."""

    def __init__(self, landed: Pipeline, folder: Path) -> None:
        self._landed = landed
        self._folder = folder
        self._made: Iterator[int] = iter(range(10_000))

    def empty(self) -> Pipeline:
        home = self._folder / str(next(self._made))
        home.mkdir(parents=True)
        for name in ("raw", "dbt"):
            (home / name).symlink_to(self._landed.home / name)
        return replace(self._landed, home=home)

    def rebuilt(self, days: set[dt.date]) -> Pipeline:
        """The warehouse that a full refresh makes of some days and no others."""
        pipeline = self.empty()
        pipeline.register(sorted(days))
        pipeline.transform(pipeline.window(min(days), max(days)), full_refresh=True)
        return pipeline

    def check(self, loads: Sequence[Load], stops: set[int]) -> None:
        """Runs loads one after the other; at the stops and at the end the warehouse must be as if rebuilt."""
        pipeline, days = self.empty(), set[dt.date]()
        for number, load in enumerate(loads):
            window = pipeline.window(load.first, load.last)
            pipeline.register(window.days)
            with suppress(Interrupted):
                pipeline.transform(window, interrupted=load.interrupted)
                days |= set(window.days)
            if days and (number in stops or number == len(loads) - 1):
                found = unequal(pipeline.tables(lasting=True), self.rebuilt(days).tables(lasting=True))
                assert found == [], f"after {' '.join(map(str, loads[: number + 1]))}"


def test_handmade_days_backwards_with_a_gap_repeats_and_an_interruption_equal_a_rebuild(
    handmade: Handmade, tmp_path: Path
) -> None:
    first, second, third = case.FIRST_DAY, case.SECOND_DAY, case.THIRD_DAY
    december, (spring, last) = case.FORTY_DAYS_LATER, case.SPRING
    middle = spring + dt.timedelta(days=1)
    warehouses = Warehouses(handmade.pipeline, tmp_path)

    # Backwards, with a gap of two days at the stop.
    backwards = [Load(middle, last), Load(december, december), Load(third, third), Load(second, second, True)]
    backwards += [Load(first, first), Load(second, second), Load(spring, middle)]
    warehouses.check(backwards, stops={4})


@dataclass(frozen=True)
class LandedLife:
    """A business whose days were landed one by one, with edits by hand between them."""

    pipeline: Pipeline
    days: Sequence[dt.date]


# What the simulated business does rarely or never, each somewhere in the middle of some day.
EDITS = (
    "update stores set timezone = (array['Asia/Tokyo', 'America/Los_Angeles', 'Europe/Berlin'])[1 + {n} % 3]"
    " where store_id = 1 + {n} % 8",
    "delete from order_items where order_id in (select order_id from orders where status <> 'draft'"
    " order by hashint8(order_id * {n}) limit 3); "
    "update orders set version = version + 1, grand_total = 0 where status <> 'draft' and not exists"
    " (select from order_items as i where i.order_id = orders.order_id)",
    "update orders set is_test = not is_test where order_id in"
    " (select order_id from orders order by hashint8(order_id * {n}) limit 4)",
    "update orders set store_id = 1 + (store_id + {n}) % 8, customer_id = (select min(customer_id) + {n} from customers)"
    " where order_id in (select order_id from orders order by hashint8(order_id * {n}) limit 4)",
    "update orders set status = 'cancelled', cancelled_at = now() where order_id in"
    " (select order_id from orders where status <> 'draft' order by hashint8(order_id * {n}) limit 4)",
    "update returns set status = 'refunded', refund_amount = 3.50 where return_id in"
    " (select return_id from returns order by hashint8(return_id * {n}) limit 4)",
    "update orders set placed_at = placed_at - interval '40 days' where order_id in"
    " (select order_id from orders order by hashint8(order_id * {n}) limit 2)",
    "update shipments set store_id = 1 + (store_id + {n}) % 8, shipped_at = shipped_at - interval '9 hours'"
    " where shipment_id in (select shipment_id from shipments order by hashint8(shipment_id * {n}) limit 4)",
    "delete from shipment_items where shipment_id in (select shipment_id from shipments"
    " order by hashint8(shipment_id * {n}) limit 2); "
    "update shipments set cost = cost where not exists"
    " (select from shipment_items as i where i.shipment_id = shipments.shipment_id)",
)


@pytest.fixture(scope="module")
def life(new_pipeline: Callable[..., Pipeline]) -> LandedLife:
    first_day, days = dt.date(2026, 3, 25), 10
    pipeline = new_pipeline(first_day, "Europe/Berlin")
    sample.open_business(pipeline.oms.dsn, SCHEMA, first_day, 30, 5, pipeline.timezone)
    rng = random.Random(1)  # noqa: S311
    for number in range(days):
        day = pipeline.simulate()
        if number > 1:
            for edit in rng.sample(EDITS, 4):
                pipeline.edit(f"{day} 11:00", edit.format(n=number))
        pipeline.load(day)
    assert pipeline.differences(day) == []
    return LandedLife(pipeline, [first_day + dt.timedelta(days=n) for n in range(days)])


@st.composite
def sequences(draw: st.DrawFn) -> tuple[list[tuple[int, int, bool]], list[int], set[int]]:
    """Some loads by number of first and last day, whether interrupted; an order for the missing days; stops."""
    loads = []
    for _ in range(draw(st.integers(2, 7))):
        first = draw(st.integers(0, 9))
        last = min(9, first + draw(st.sampled_from([0, 0, 0, 1, 3])))
        loads.append((first, last, draw(st.sampled_from([False, False, False, True]))))
    return loads, draw(st.permutations(range(10))), set(draw(st.lists(st.integers(0, 6), max_size=1)))


@pytest.mark.slow
def test_days_in_any_order_repeated_in_ranges_and_interrupted_equal_a_rebuild(
    life: LandedLife, tmp_path_factory: pytest.TempPathFactory
) -> None:
    warehouses = Warehouses(life.pipeline, tmp_path_factory.mktemp("any_order"))

    @settings(
        max_examples=12,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],  # shrinking would take hours; the message shows the whole sequence
    )
    @given(sequences())
    def holds(sequence: tuple[list[tuple[int, int, bool]], list[int], set[int]]) -> None:
        loads, rest, stops = sequence
        chosen = [Load(life.days[first], life.days[last], interrupted) for first, last, interrupted in loads]
        done = {day for load in chosen if not load.interrupted for day in life.days if load.first <= day <= load.last}
        missing = [life.days[number] for number in rest if life.days[number] not in done]
        warehouses.check(chosen + [Load(day, day) for day in missing], stops)

    holds()
