"""The contract: the real one holds every table, and a wrong one says which table and what of it."""

import datetime as dt
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from oms_pipeline.contract import EXTRACTED_AT, PARENT_UPDATED_AT, Extract, load_contract, load_deadline
from oms_pipeline.errors import ContractError

UTC_MICROSECONDS = pa.timestamp("us", tz="UTC")

# Key columns, how it is read, and the columns beside the key and the two timestamps.
TABLES = {
    "customers": (
        ["customer_id"],
        "changes",
        "email full_name phone city region country marketing_opt_in deleted_at",
    ),
    "stores": (["store_id"], "snapshot", "store_name channel timezone city region country closed_on"),
    "employees": (["employee_id"], "snapshot", "full_name job_title manager_id store_id hired_on left_on"),
    "suppliers": (["supplier_id"], "snapshot", "supplier_name email lead_time_days deleted_at"),
    "products": (
        ["product_id"],
        "changes",
        "sku product_name category supplier_id retail_price unit_cost currency discontinued_at deleted_at",
    ),
    "inventory": (["store_id", "product_id"], "snapshot", "on_hand reserved reorder_point"),
    "orders": (
        ["order_id"],
        "changes",
        "order_number customer_id store_id employee_id currency status placed_at paid_at promised_ship_by "
        "cancelled_at cancel_reason discount_total shipping_total tax_total grand_total version is_test",
    ),
    "order_items": (
        ["order_id", "line_no"],
        "with_parent",
        "product_id quantity cancelled_quantity unit_price unit_cost discount_amount tax_amount",
    ),
    "payments": (
        ["payment_id"],
        "changes",
        "order_id kind method status amount currency parent_payment_id occurred_at",
    ),
    "shipments": (
        ["shipment_id"],
        "changes",
        "order_id store_id carrier tracking_no status cost shipped_at promised_delivery_on delivered_at",
    ),
    "shipment_items": (["shipment_id", "order_id", "line_no"], "with_parent", "quantity"),
    "returns": (
        ["return_id"],
        "changes",
        "order_id line_no quantity reason status requested_at received_at refund_amount refund_payment_id restocked",
    ),
}


def entry(**changes: Any) -> dict[str, Any]:
    """A table's entry that is right, but for the changes; None takes a key away."""
    meta = {"primary_key": ["id"], "cursor": "updated_at", "extract": "changes"}
    table = {
        "name": "things",
        "description": "One row per thing.",
        "columns": [
            {"name": "id", "data_type": "bigint", "description": "Thing."},
            {"name": "updated_at", "data_type": "timestamptz", "description": "Last change."},
        ],
    }
    for name, value in changes.items():
        (meta if name in (*meta, "parent", "shrink_limit", "volume_limit") else table)[name] = value
    table["config"] = {"meta": {name: value for name, value in meta.items() if value is not None}}
    return {name: value for name, value in table.items() if value is not None}


def column(**changes: Any) -> list[dict[str, Any]]:
    """The right columns and one more, with changes; None takes a key away."""
    more = {"name": "amount", "data_type": "bigint", "description": "Amount.", **changes}
    return [*entry()["columns"], {name: value for name, value in more.items() if value is not None}]


def contract_file(folder: Path, *tables: dict[str, Any]) -> Path:
    file = folder / "_oms__sources.yml"
    file.write_text(yaml.safe_dump({"version": 2, "sources": [{"name": "oms", "tables": list(tables)}]}))
    return file


def test_a_tables_volume_limit_is_three_unless_it_says_another(tmp_path: Path) -> None:
    assert load_contract(contract_file(tmp_path, entry()))["things"].volume_limit == 3.0
    (tmp_path / "other").mkdir()
    assert load_contract(contract_file(tmp_path / "other", entry(volume_limit=1.5)))["things"].volume_limit == 1.5
    (tmp_path / "wrong").mkdir()
    with pytest.raises(ContractError, match=r"table things: volume_limit is 1\. Write a factor above 1\."):
        load_contract(contract_file(tmp_path / "wrong", entry(volume_limit=1)))


def test_yesterday_is_due_at_six() -> None:
    assert load_deadline() == dt.time(6)


@pytest.mark.parametrize("deadline", ["25:00", "6", "00:00", "06:00:00", "", 360, None])
def test_a_deadline_that_is_no_time_after_midnight_is_refused(tmp_path: Path, deadline: Any) -> None:
    source = {"name": "oms", "config": {"meta": {"deadline": deadline}}, "tables": [entry()]}
    file = tmp_path / "_oms__sources.yml"
    file.write_text(yaml.safe_dump({"sources": [source]}))
    with pytest.raises(ContractError, match=re.escape(f"the deadline is {deadline!r}. Write under")):
        load_deadline(file)


def test_the_contract_holds_every_table_of_the_oms() -> None:
    assert list(load_contract()) == list(TABLES)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_its_key_its_columns_and_its_two_timestamps(name: str) -> None:
    key, extract, others = TABLES[name]
    table = load_contract()[name]
    assert table.primary_key == tuple(key)
    assert table.extract == extract
    assert table.cursor == "updated_at"
    assert {c.name for c in table.columns} == {*key, *others.split(), "created_at", "updated_at"}
    assert all(c.description for c in (table, *table.columns))


def test_children_are_read_with_the_parent_they_refer_to() -> None:
    contract = load_contract()
    assert (contract["order_items"].parent, contract["order_items"].parent_key) == ("orders", ("order_id",))
    assert (contract["shipment_items"].parent, contract["shipment_items"].parent_key) == (
        "shipments",
        ("shipment_id",),
    )
    assert all((table.parent is None) == (table.extract != "with_parent") for table in contract.values())


def test_landed_types_are_exact() -> None:
    contract = load_contract()
    products = contract["products"].landed_schema
    assert products.field("product_id").type == pa.int64()
    assert products.field("sku").type == pa.string()
    assert products.field("retail_price").type == pa.decimal128(14, 2)
    assert products.field("unit_cost").type == pa.decimal128(14, 4)
    assert products.field("updated_at").type == UTC_MICROSECONDS
    assert contract["customers"].landed_schema.field("marketing_opt_in").type == pa.bool_()
    assert contract["employees"].landed_schema.field("hired_on").type == pa.date32()
    assert contract["order_items"].landed_schema.field("line_no").type == pa.int32()


def test_no_column_of_money_is_a_float() -> None:
    types = [field.type for table in load_contract().values() for field in table.landed_schema]
    assert any(pa.types.is_decimal(kind) for kind in types)
    assert not any(pa.types.is_floating(kind) for kind in types)


def test_a_landed_file_says_when_it_was_read_and_children_with_which_parent() -> None:
    for table in load_contract().values():
        own = [c.name for c in table.columns]
        added = [EXTRACTED_AT, PARENT_UPDATED_AT] if table.extract is Extract.WITH_PARENT else [EXTRACTED_AT]
        assert table.landed_schema.names == own + added
        assert {table.landed_schema.field(name).type for name in added} == {UTC_MICROSECONDS}


def test_personal_columns_are_marked_and_keys_are_never_null() -> None:
    contract = load_contract()
    assert {c.name for c in contract["customers"].columns if c.pii} >= {"email", "full_name", "phone"}
    for table in contract.values():
        assert not [c.name for c in table.columns if c.nullable and c.name in (*table.primary_key, table.cursor)]


def test_an_own_contract_is_read_with_its_own_values(tmp_path: Path) -> None:
    file = contract_file(
        tmp_path,
        entry(extract="snapshot", shrink_limit=0.9, columns=column(data_type="numeric(38, 10)")),
        entry(name="parts", extract="with_parent", parent="things"),
    )
    things, parts = load_contract(file).values()
    assert (things.extract, things.shrink_limit) == (Extract.SNAPSHOT, 0.9)
    assert things.landed_schema.field("amount").type == pa.decimal128(38, 10)
    assert (parts.parent, parts.parent_key) == ("things", ("id",))


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        (entry(primary_key=None), "primary_key"),
        (entry(cursor=None), "cursor"),
        (entry(extract=None), "extract"),
        (entry(extract="weekly"), "weekly"),
        (entry(extract="with_parent"), "parent"),
        (entry(extract="with_parent", parent="nowhere"), "nowhere"),
        (entry(description=None), "description"),
        (entry(description=7), "Correct its entry"),
        (entry(columns=None), "columns"),
        (entry(columns=["id", "updated_at"]), "Correct its entry"),
        (entry(primary_key=["other_id"]), "other_id"),
        (entry(cursor="changed_at"), "changed_at"),
        (entry(shrink_limit="half"), "half"),
        (entry(columns=column(data_type="money")), "amount has type 'money'"),
        (entry(columns=column(data_type="numeric")), "amount has type 'numeric'"),
        (entry(columns=column(data_type="numeric(39,2)")), "amount has type 'numeric(39,2)'"),
        (entry(columns=column(data_type="numeric(0,0)")), "amount has type 'numeric(0,0)'"),
        (entry(columns=column(data_type=None)), "data_type"),
        (entry(columns=column(name=None)), "name"),
        (entry(columns=column(description=None)), "description"),
        ({**entry(), "config": {}}, "meta"),
        ({**entry(), "config": None}, "Correct its entry"),
    ],
)
def test_a_wrong_entry_names_file_table_and_key(tmp_path: Path, wrong: dict[str, Any], key: str) -> None:
    with pytest.raises(ContractError) as error:
        load_contract(contract_file(tmp_path, wrong))
    text = str(error.value)
    assert text.startswith("_oms__sources.yml: table things")
    assert re.search(rf"\b{re.escape(key)}", text.removeprefix("_oms__sources.yml: table things")), text
    assert "\n" not in text


def test_an_unknown_type_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"Use one of: bigint, integer, text, .*numeric\(p,s\) of up to 38 digits"):
        load_contract(contract_file(tmp_path, entry(columns=column(data_type="money"))))


@pytest.mark.parametrize(
    "text", ["", "sources:\n  - name: oms\n", "sources: [}", "- just a list", "sources: [{tables: [7]}]"]
)
def test_a_file_that_is_no_contract_is_told_of_in_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "_oms__sources.yml"
    file.write_text(text)
    with pytest.raises(ContractError) as error:
        load_contract(file)
    assert str(error.value).startswith(f"The contract {file} cannot be read (")
    assert str(error.value).endswith("Restore it from version control.")
    assert "\n" not in str(error.value)


def test_a_missing_contract_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="Restore it from version control"):
        load_contract(tmp_path / "gone.yml")
