"""Column lineage, read out of compiled SQL."""

from pathlib import Path

import dagster as dg

from oms_pipeline.transform.lineage import KnownLineage, column_lineage

STAGED = """
select cast(order_id as bigint) as order_id, timezone('UTC', placed_at) as placed_at
from (
    select cast(null as bigint) as order_id, cast(null as timestamptz) as placed_at where false
    union all by name
    select *, cast(make_date(year, month, day) as date) as landed_on
    from read_parquet(['/raw/orders.parquet'], union_by_name = true)
) as landed
"""
MART = """
with orders as (select * from "oms"."staging"."stg_oms__orders"),
items as (select * from "oms"."intermediate"."int_order_items__current")
select
    orders.order_id,
    sum(items.quantity * items.unit_price) as gmv,
    cast(1 as integer) as one
from orders left join items on orders.order_id = items.order_id
group by orders.order_id
"""
COLUMNS = {
    "external.orders": ("order_id", "placed_at"),
    "staging.stg_oms__orders": ("order_id", "placed_at"),
    "intermediate.int_order_items__current": ("order_id", "quantity", "unit_price"),
    "marts.m": ("order_id", "gmv", "one"),
}


def read(schema: str, name: str, sql: str, depends_on: str = "model.oms.x") -> dict[str, set[str]] | None:
    node = {"schema": schema, "name": name, "depends_on": {"nodes": [depends_on]}}
    found = column_lineage(node, sql, COLUMNS, "duckdb")
    if found is None:
        return None
    return {
        column: {f"{dep.asset_key.to_user_string()}.{dep.column_name}" for dep in deps}
        for column, deps in found.deps_by_column.items()
    }


def test_a_column_is_made_of_the_columns_in_its_expression() -> None:
    assert read("marts", "m", MART) == {
        "order_id": {"staging/stg_oms__orders.order_id"},
        "gmv": {
            "intermediate/int_order_items__current.quantity",
            "intermediate/int_order_items__current.unit_price",
        },
        "one": set(),
    }


def test_a_staging_table_is_made_of_the_external_one_although_it_reads_files() -> None:
    assert read("staging", "stg_oms__orders", STAGED, "source.oms.oms.orders") == {
        "order_id": {"external/orders.order_id"},
        "placed_at": {"external/orders.placed_at"},
    }


def test_sql_that_cannot_be_read_has_no_lineage_and_stops_nothing() -> None:
    assert read("marts", "m", "select from where )(") is None


def test_lineage_is_read_once_and_known_to_the_next_run(tmp_path: Path) -> None:
    lineage = dg.TableColumnLineage({"gmv": [dg.TableColumnDep(dg.AssetKey(["staging", "t"]), "quantity")], "one": []})
    first = KnownLineage(tmp_path / "lineage.json")
    assert first.get("model.oms.m", lambda: lineage) == lineage
    assert first.get("model.oms.unreadable", lambda: None) is None
    first.save()

    second = KnownLineage(tmp_path / "lineage.json")
    assert second.get("model.oms.m", lambda: None) == lineage
    assert second.get("model.oms.unreadable", lambda: lineage) is None
