"""Staging and intermediate: the newest version of everything, whatever order the days run in."""

import datetime as dt
import re
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

import pytest
import yaml

from oms_pipeline.contract import load_contract
from oms_pipeline.errors import TransformError
from oms_pipeline.transform import DBT_PROJECT_DIR, DbtProjectFiles
from oms_pipeline_tests.transform.landing import Landing, Row, instant

STAGING = ["path:models/staging"]
CURRENT = [
    *STAGING,
    *(f"int_{table}__current" for table in ("orders", "order_items", "shipments", "shipment_items")),
]
EVERYTHING = ["path:models"]
D1, D2, D3 = "2026-01-01", "2026-01-02", "2026-01-03"


def order(order_id: int, updated_at: str, **columns: object) -> Row:
    return {"order_id": order_id, "status": "placed", "updated_at": instant(updated_at), **columns}


def item(order_id: int, line_no: int, order_updated_at: str, **columns: object) -> Row:
    return {"order_id": order_id, "line_no": line_no, "_parent_updated_at": instant(order_updated_at), **columns}


def shipment(shipment_id: int, updated_at: str, **columns: object) -> Row:
    return {"shipment_id": shipment_id, "status": "pending", "updated_at": instant(updated_at), **columns}


def packed(shipment_id: int, line_no: int, shipment_updated_at: str) -> Row:
    updated_at = instant(shipment_updated_at)
    return {"shipment_id": shipment_id, "order_id": 1, "line_no": line_no, "_parent_updated_at": updated_at}


def store(store_id: int, timezone: str) -> Row:
    return {"store_id": store_id, "channel": "online", "timezone": timezone}


def lines(landing: Landing) -> list[tuple[int, int]]:
    return landing.rows("intermediate.int_order_items__current", "order_id", "line_no")


@pytest.mark.parametrize("sequence", list(permutations((D1, D2, D3))), ids=lambda days: " ".join(d[-2:] for d in days))
def test_the_newest_version_of_everything_wins_in_any_order_of_days(landing: Landing, sequence: Sequence[str]) -> None:
    landing.land(
        D1,
        orders=[order(1, f"{D1} 10:00", grand_total=10), order(2, f"{D1} 11:00")],
        order_items=[item(1, 1, f"{D1} 10:00"), item(1, 2, f"{D1} 10:00"), item(2, 1, f"{D1} 11:00")],
        shipments=[shipment(7, f"{D1} 12:00")],
        shipment_items=[packed(7, 1, f"{D1} 12:00"), packed(7, 2, f"{D1} 12:00")],
    )
    landing.land(
        D2,
        orders=[order(1, f"{D2} 10:00", grand_total=20)],
        order_items=[item(1, 2, f"{D2} 10:00")],
        shipments=[shipment(7, f"{D2} 12:00")],
    )
    landing.land(D3, orders=[order(2, f"{D3} 10:00", status="cancelled")])

    for day in [*sequence, sequence[0]]:
        landing.build(day, models=CURRENT)

    assert landing.rows("intermediate.int_orders__current", "order_id", "status", "cast(grand_total as integer)") == [
        (1, "placed", 20),
        (2, "cancelled", 0),
    ]
    assert lines(landing) == [(1, 2)]
    assert landing.rows("intermediate.int_shipment_items__current") == []


def test_a_range_of_days_ends_where_its_days_one_by_one_end(landing: Landing) -> None:
    landing.land(D1, orders=[order(1, f"{D1} 10:00")], order_items=[item(1, 1, f"{D1} 10:00")])
    landing.land(D2, orders=[order(1, f"{D2} 10:00")], order_items=[item(1, 2, f"{D2} 10:00")])
    landing.land(D3, orders=[order(1, f"{D3} 10:00")])

    landing.build(D1, D2, models=CURRENT)
    assert lines(landing) == [(1, 2)]

    landing.build(D1, D3, models=CURRENT)
    assert lines(landing) == []


def test_of_two_extractions_of_one_version_the_later_one_wins(landing: Landing) -> None:
    landing.land(D1, f"{D3} 01:00", orders=[order(1, f"{D1} 10:00", status="paid")])
    landing.land(D2, f"{D2} 23:00", orders=[order(1, f"{D1} 10:00", status="placed")])

    for days in ((D1, D2), (D2, D1)):
        for day in days:
            landing.build(day, models=CURRENT)
        assert landing.rows("intermediate.int_orders__current", "status") == [("paid",)]


def test_a_set_landed_before_its_parent_is_replaced_by_the_parents_own_day_and_not_by_an_older_one(
    landing: Landing,
) -> None:
    landing.land(D1, orders=[order(1, f"{D1} 10:00")], order_items=[item(1, 1, f"{D1} 10:00")])
    # Read late: a line changed on the second day, the order again on the third, before the second day was read.
    landing.land(D2, f"{D3} 20:00", order_items=[item(1, 1, f"{D3} 10:00"), item(1, 2, f"{D3} 10:00")])
    landing.land(D3, f"{D3} 23:00", orders=[order(1, f"{D3} 12:00")], order_items=[item(1, 3, f"{D3} 12:00")])

    landing.build(D2, models=CURRENT)
    assert lines(landing) == [(1, 1), (1, 2)]
    landing.build(D1, models=CURRENT)
    assert lines(landing) == [(1, 1), (1, 2)]
    landing.build(D3, models=CURRENT)
    landing.build(D2, models=CURRENT)
    assert lines(landing) == [(1, 3)]


def test_a_full_refresh_gives_the_same_tables(landing: Landing) -> None:
    landing.land(D1, orders=[order(1, f"{D1} 10:00")], order_items=[item(1, 1, f"{D1} 10:00")])
    landing.land(D2, orders=[order(1, f"{D2} 10:00"), order(2, f"{D2} 11:00")], order_items=[item(2, 1, f"{D2} 11:00")])
    for day in (D2, D1):
        landing.build(day, models=CURRENT)
    tables = [f"intermediate.{name}" for name in CURRENT if name.startswith("int_")]
    before = {table: landing.rows(table) for table in tables}

    landing.build(D1, D2, models=CURRENT, full_refresh=True)

    assert {table: landing.rows(table) for table in tables} == before


def test_a_store_that_moves_to_another_time_zone_affects_its_orders_and_what_it_ships(landing: Landing) -> None:
    landing.land(
        D1,
        stores=[store(1, "Europe/Berlin"), store(2, "Europe/Berlin")],
        orders=[order(order_id, f"{D1} 10:00", store_id=1 if order_id < 3 else 2) for order_id in (1, 2, 3, 4)],
        shipments=[shipment(7, f"{D1} 12:00", order_id=3, store_id=1)],
    )
    landing.land(D2, stores=[store(1, "Asia/Tokyo"), store(2, "Europe/Berlin")], orders=[order(5, f"{D2} 10:00")])
    landing.build(D1, models=EVERYTHING)
    landing.build(D2, models=EVERYTHING)

    assert landing.rows("intermediate.int_orders__affected") == [(1,), (2,), (3,), (5,)]

    landing.build(D2, models=EVERYTHING)
    assert landing.rows("intermediate.int_orders__affected") == [(5,)]


def test_an_order_is_affected_by_whatever_belongs_to_it(landing: Landing) -> None:
    payment = {"kind": "charge", "status": "captured"}
    landing.land(D1, stores=[store(1, "UTC")], shipments=[shipment(7, f"{D1} 12:00", order_id=5)])
    landing.land(
        D2,
        order_items=[item(2, 1, f"{D1} 10:00")],
        payments=[{"payment_id": 1, "order_id": 3, **payment}],
        returns=[{"return_id": 1, "order_id": 4, "status": "requested"}],
        shipment_items=[packed(7, 1, f"{D1} 12:00")],
        shipments=[shipment(8, f"{D2} 12:00", order_id=6)],
    )
    landing.build(D1, models=EVERYTHING)
    landing.build(D2, models=EVERYTHING)

    assert landing.rows("intermediate.int_orders__affected") == [(order_id,) for order_id in (1, 2, 3, 4, 5, 6)]


def test_an_order_that_changes_day_and_customer_takes_both_out_of_their_old_place(landing: Landing) -> None:
    for day, customer in ((D1, 1), (D2, 2)):
        moved = order(1, f"{day} 10:00", customer_id=customer, placed_at=instant(f"{day} 10:00"))
        landing.land(day, stores=[store(1, "UTC")], orders=[moved])
    landing.build(D1, models=EVERYTHING)
    landing.build(D2, models=EVERYTHING)

    first, second = dt.date(2026, 1, 1), dt.date(2026, 1, 2)
    assert landing.rows("intermediate.int_days__before") == [(first,)]
    assert landing.rows("intermediate.int_days__affected") == [(first,), (second,)]
    assert landing.rows("marts.daily_sales", "business_day", "orders") == [(second, 1)]
    assert landing.rows("intermediate.int_customers__affected", "customer_id") == [(1,), (2,)]
    assert landing.rows("intermediate.int_customers__orders", "customer_id", "first_order_day") == [(2, second)]


def test_staging_takes_files_that_lack_a_column_have_another_or_do_not_exist(landing: Landing) -> None:
    landing.land(D1, without=["cancel_reason"], orders=[order(1, f"{D1} 10:00")])
    landing.land(D2, new_columns={"gift_note": "hello"}, orders=[order(2, f"{D2} 10:00", cancel_reason="late")])
    landing.forget(D2, "returns")

    landing.build(D1, D2, models=STAGING)

    assert landing.rows("staging.stg_oms__orders", "order_id", "cancel_reason", "landed_on") == [
        (1, None, dt.date(2026, 1, 1)),
        (2, "late", dt.date(2026, 1, 2)),
    ]
    assert landing.rows("staging.stg_oms__returns") == []


def test_staging_holds_every_landed_version_with_timestamps_in_utc(landing: Landing) -> None:
    landing.land(D1, orders=[order(1, f"{D1} 23:30")])
    landing.land(D2, orders=[order(1, f"{D2} 10:00")])

    landing.build(D1, D2, models=STAGING)

    assert landing.rows("staging.stg_oms__orders", "updated_at", "typeof(updated_at)") == [
        (dt.datetime(2026, 1, 1, 23, 30), "TIMESTAMP"),
        (dt.datetime(2026, 1, 2, 10, 0), "TIMESTAMP"),
    ]


@pytest.mark.parametrize(
    ("orders", "violation"),
    [
        ([order(1, f"{D1} 10:00"), order(1, f"{D1} 11:00")], "the same key twice in a landed day"),
        ([order(1, f"{D1} 10:00", currency=None)], "currency is null"),
        ([order(1, f"{D1} 10:00", status="lost")], "status has a value that is not accepted"),
    ],
)
def test_staging_fails_on_rows_that_break_the_contract(landing: Landing, orders: list[Row], violation: str) -> None:
    landing.land(D1, orders=orders)

    test = next(r for r in landing.run(D1, models=STAGING) if "matches_contract_stg_oms__orders" in r.unique_id)

    assert (test.succeeded, test.failures) == (False, 1)
    assert violation in test.compiled


def test_models_refuse_staging_tables_of_another_window(landing: Landing) -> None:
    for day in (D1, D2):
        landing.land(day, orders=[order(1, f"{day} 10:00")])
    landing.build(D2, models=CURRENT)

    told = (
        "staging.stg_oms__orders holds [2026-01-02, 2026-01-03), not [2026-01-01, 2026-01-02). "
        "Materialise it for that window first: oms run --day 2026-01-01 "
    )
    with pytest.raises(TransformError, match=re.escape(told)):
        landing.run(D1, models=["int_orders__current"])
    landing.build(D2, models=["int_orders__current"])


@pytest.mark.parametrize("part", [["fct_orders"], ["dim_stores"], ["fct_orders+"], ["int_customers__orders"]])
def test_what_can_only_be_computed_together_is_refused_apart(landing: Landing, part: list[str]) -> None:
    with pytest.raises(TransformError, match=r"cannot be computed without .* or all models: oms run --day 2026-01-01"):
        landing.run(D1, models=part)


def test_a_full_refresh_refuses_a_window_that_leaves_landed_days_out(landing: Landing) -> None:
    for day in (D1, D2):
        landing.land(day)

    with pytest.raises(TransformError, match=r"days from 2026-01-01 to 2026-01-01 are landed outside it.*oms rebuild"):
        landing.run(D2, models=STAGING, full_refresh=True)


def test_what_reads_a_model_as_committed_runs_before_that_model(project: DbtProjectFiles) -> None:
    nodes = project.manifest["nodes"]
    parents = project.manifest["parent_map"]

    def ancestors(unique_id: str) -> set[str]:
        found: set[str] = set()
        waiting = [unique_id]
        while waiting:
            new = set(parents.get(waiting.pop(), ())) - found
            found |= new
            waiting += new
        return found

    read = {
        (unique_id, f"model.oms.{name}")
        for unique_id, node in nodes.items()
        if node["resource_type"] == "model"
        for name in node["config"]["meta"].get("committed", ())
    }

    assert len(read) >= 7
    assert {(reader, model) for reader, model in read if reader not in ancestors(model)} == set()


def test_every_staging_model_describes_the_contracts_columns() -> None:
    technical = {"extracted_at", "landed_on", "parent_updated_at"}
    for name, table in load_contract().items():
        path = Path(DBT_PROJECT_DIR) / "models" / "staging" / f"stg_oms__{name}.yml"
        described = yaml.safe_load(path.read_text(encoding="utf-8"))["models"][0]["columns"]
        assert [column["name"] for column in described if column["name"] not in technical] == [
            column.name for column in table.columns
        ]
