"""What people do in Metabase: it is told, kept, and undone by force only; what is theirs is never touched."""

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest

from oms_pipeline_tests.dashboards.conftest import ADMINISTRATOR, World, mine, table, title_changed
from oms_pipeline_tests.dashboards.metabase_server import Json

EDITS = [
    ("card", "card/sales/net_sales", {"name": "Revenue"}, "name"),
    ("card", "card/sales/net_sales", {"display": "table"}, "display"),
    ("card", "card/sales/net_sales", {"visualization_settings": {}}, "settings"),
    ("card", "card/sales/net_sales", {"collection_id": None}, "place"),
    ("card", "card/sales/net_sales", {"archived": True}, "archived"),
    ("dashboard", "dashboard/sales", {"parameters": []}, "parameters"),
    ("dashboard", "dashboard/sales", {"name": "Turnover"}, "name"),
    ("dashboard", "dashboard/sales", {"archived": True}, "archived"),
    ("collection", "collection/main", {"name": "Ours"}, "name"),
    ("database", "database/marts", {"name": "Warehouse"}, "name"),
]


@pytest.mark.parametrize(("kind", "key", "edit", "part"), EDITS, ids=[f"{e[0]} {e[3]}" for e in EDITS])
def test_an_edit_by_hand_is_reported_kept_and_undone_only_by_force(
    world: World, kind: str, key: str, edit: Json, part: str
) -> None:
    thing = mine(world, kind, key)
    original = copy.deepcopy(thing)
    thing.update(edit)
    edited = copy.deepcopy(thing)

    for _ in range(2):
        (step,) = world.sync().steps
        assert (step.action, step.kind, step.key) == ("leave", kind, key)
        assert step.reason == f"edited in Metabase ({part}); --force undoes that"
        assert world.metabase.one(kind, id=thing["id"]) == edited
    assert world.metabase.writes() == []

    (step,) = world.sync(force=True).steps
    assert str(step) == f"restore {kind} {edited['name']}: edited in Metabase ({part})"
    restored = world.metabase.one(kind, id=thing["id"])
    assert {name: restored[name] for name in edit} == {name: original[name] for name in edit}
    assert world.steps() == []


def of_dashcard(world: World) -> Json:
    number = mine(world, "dashboard", "dashboard/sales")["id"]
    return world.metabase.all("dashcard", dashboard_id=number)[0]


def of_parameter(world: World) -> Json:
    parameters = mine(world, "dashboard", "dashboard/sales")["parameters"]
    store: Json = next(each for each in parameters if each["id"] == "store")
    return store


def of_tag(world: World) -> Json:
    store: Json = mine(world, "card", "card/sales/net_sales")["dataset_query"]["native"]["template-tags"]["store"]
    return store


def of_mapping(world: World) -> Json:
    mappings: list[Json] = of_dashcard(world)["parameter_mappings"]
    return next(each for each in mappings if each["parameter_id"] == "store")


INNER_EDITS: list[tuple[Callable[[World], Json], Json, str, str]] = [
    (of_dashcard, {"visualization_settings": {"card.title": "What we took"}}, "dashboard/sales", "cards"),
    (of_dashcard, {"series": [{"id": 1}]}, "dashboard/sales", "cards"),
    (of_mapping, {"target": ["dimension", ["template-tag", "channel"]]}, "dashboard/sales", "cards"),
    (of_parameter, {"required": True}, "dashboard/sales", "parameters"),
    (of_parameter, {"isMultiSelect": False}, "dashboard/sales", "parameters"),
    (of_parameter, {"filteringParameters": ["channel"]}, "dashboard/sales", "parameters"),
    (of_parameter, {"values_source_type": "static-list"}, "dashboard/sales", "parameters"),
    (of_tag, {"default": ["Store 1"]}, "card/sales/net_sales", "filters"),
    (of_tag, {"required": True, "default": ["Store 1"]}, "card/sales/net_sales", "filters"),
    (lambda world: mine(world, "card", "card/sales/net_sales"), {"type": "model"}, "card/sales/net_sales", "type"),
]


@pytest.mark.parametrize(
    ("of", "edit", "key", "part"), INNER_EDITS, ids=[f"{part} {next(iter(edit))}" for _, edit, _, part in INNER_EDITS]
)
def test_an_edit_inside_an_object_is_reported_and_kept_through_a_new_definition_until_force(
    world: World, of: Callable[[World], Json], edit: Json, key: str, part: str
) -> None:
    of(world).update(copy.deepcopy(edit))
    assert [(step.action, step.key) for step in world.sync().steps] == [("leave", key)]
    renamed = title_changed(title_changed(world.definition, "Net sales", "Sales, net"), "Sales", "What we sell")
    (left,) = [step for step in world.sync(definition=renamed).steps if step.key == key]
    assert (left.action, part in left.reason) == ("leave", True)
    assert {name: of(world)[name] for name in edit} == edit
    world.sync(definition=renamed, force=True)
    assert {name: of(world).get(name) for name in edit} != edit
    assert world.steps(definition=renamed) == []


def test_tabs_that_somebody_made_are_kept_until_force_puts_every_card_on_one_page(world: World) -> None:
    dashboard = mine(world, "dashboard", "dashboard/sales")
    places = world.metabase.all("dashcard", dashboard_id=dashboard["id"])
    dashboard["tabs"] = [{"id": 901, "name": "Today"}, {"id": 902, "name": "History"}]
    for number, place in enumerate(places):
        place["dashboard_tab_id"] = 901 + number % 2
    assert world.steps() == ["leave dashboard Sales: edited in Metabase (cards, tabs); --force undoes that"]
    left, *_ = world.steps(definition=title_changed(world.definition, "Sales", "What we sell"))
    assert left.startswith("leave dashboard Sales: edited in Metabase (cards, name, tabs)")
    assert len(dashboard["tabs"]) == 2
    world.sync(force=True)
    assert dashboard["tabs"] == []
    assert len(world.metabase.all("dashcard", dashboard_id=dashboard["id"])) == len(places)
    assert world.steps() == []


def test_sql_that_somebody_edited_is_kept(world: World) -> None:
    card = mine(world, "card", "card/sales/orders")
    card["dataset_query"]["native"]["query"] = "select 1"
    assert world.steps() == ["leave card Orders: edited in Metabase (sql); --force undoes that"]
    world.sync(force=True)
    assert "from marts.daily_sales" in mine(world, "card", "card/sales/orders")["dataset_query"]["native"]["query"]


def test_text_that_somebody_added_to_a_description_is_kept_with_the_mark(world: World) -> None:
    card = mine(world, "card", "card/sales/orders")
    card["description"] += "\n\nAsk Finance about returns."
    assert world.steps() == ["leave card Orders: edited in Metabase (description); --force undoes that"]


def test_an_edited_object_whose_definition_changed_is_kept_and_says_so(world: World) -> None:
    mine(world, "card", "card/sales/orders")["display"] = "table"
    definition = title_changed(world.definition, "Orders", "Orders placed")
    (line,) = world.steps(definition=definition)
    assert line == (
        "leave card Orders: edited in Metabase (display, name), and its definition has changed since; "
        "--force undoes that"
    )
    assert world.steps(definition=definition, force=True)[0].startswith(
        "restore card Orders: edited in Metabase (display, name)"
    )


def test_a_card_that_somebody_put_on_our_dashboard_stays_there(world: World) -> None:
    dashboard = mine(world, "dashboard", "dashboard/sales")
    theirs = world.metabase.add("card", name="Mine", description=None, dataset_query={}, archived=False)
    place = world.metabase.add(
        "dashcard", dashboard_id=dashboard["id"], card_id=theirs["id"], row=40, col=0, size_x=4, size_y=4
    )
    assert world.steps() == ["leave dashboard Sales: edited in Metabase (cards); --force undoes that"]
    assert world.metabase.one("dashcard", id=place["id"])["card_id"] == theirs["id"]
    world.sync(force=True)
    assert world.metabase.all("dashcard", id=place["id"]) == []
    assert world.metabase.one("card", id=theirs["id"])["name"] == "Mine"


def test_what_people_made_by_hand_is_never_touched_not_even_by_force(world: World) -> None:
    metabase = world.metabase
    ours = mine(world, "collection", "collection/main")["id"]
    theirs = [
        metabase.add("card", name="Net sales", description=None, dataset_query={}, archived=False, collection_id=ours),
        metabase.add("dashboard", name="Sales", description="Mine", parameters=[], archived=False, collection_id=ours),
        metabase.add("collection", name="OMS Pipeline", description="", archived=False, location="/"),
        metabase.add("database", name="OMS marts", engine="postgres", details={"host": "elsewhere"}, description=None),
        metabase.add("database", name="Sample", engine="h2", details={}, description=None),
    ]
    pulse = metabase.add(
        "pulse", name="My sales", dashboard_id=mine(world, "dashboard", "dashboard/sales")["id"], channels=[], cards=[]
    )
    before = copy.deepcopy([*theirs, pulse])
    assert world.steps() == []
    world.sync(force=True, definition=title_changed(world.definition, "Sales", "Turnover"))
    assert [*theirs, pulse] == before


def test_a_copy_is_its_makers_even_when_the_original_is_deleted(world: World) -> None:
    original = mine(world, "card", "card/sales/orders")
    made = world.metabase.copy_of("card", original["id"])
    before = copy.deepcopy(made)
    assert world.steps() == []
    del world.metabase.things["card"][original["id"]]
    steps = world.steps()
    assert steps[0] == "create card Orders"
    assert made == before
    assert mine(world, "card", "card/sales/orders")["id"] not in (original["id"], made["id"])


def test_who_deletes_the_mark_has_taken_the_object_over(world: World) -> None:
    card = mine(world, "card", "card/sales/orders")
    card |= {"name": "My orders", "description": "Mine now."}
    before = copy.deepcopy(card)
    assert "create card Orders" in world.steps(force=True)
    assert world.metabase.one("card", id=card["id"]) == before


def test_a_description_that_somebody_wrote_first_is_kept_and_a_later_edit_too(fresh: World) -> None:
    fresh.metabase.add_user(*ADMINISTRATOR)
    fresh.metabase.polls_until_synced = 0
    fresh.sync()
    sales = table(fresh, "daily_sales")
    fields = fresh.metabase.all("field", table_id=sales["id"])
    # As if there had been a Metabase before.
    sales["description"] = "Our day book."
    fields[0]["description"] = "By hand."
    assert "describe table marts.daily_sales" in fresh.steps()
    assert sales["description"].startswith("Our day book.\n\nKept by")
    assert fields[0]["description"] == "By hand."
    assert fresh.steps() == []
    fields[3]["description"] = "By hand as well."
    assert fresh.steps() == [
        "leave table marts.daily_sales: edited in Metabase (columns, description); --force undoes that"
    ]
    fresh.sync(force=True)
    assert fields[3]["description"] != "By hand as well."


def test_what_dbt_says_anew_is_what_metabase_says(world: World) -> None:
    first = world.definition.tables[0]
    column = next(name for name, each in first.columns.items() if not each.is_personal)
    changed = replace(
        first, columns={**first.columns, column: replace(first.columns[column], description="New words.")}
    )
    definition = replace(world.definition, tables=[changed, *world.definition.tables[1:]])
    assert world.steps(definition=definition) == [f"update table {first.name}: columns"]
    of_table = table(world, first.name.partition(".")[2])["id"]
    assert world.metabase.one("field", table_id=of_table, name=column)["description"] == "New words."
    assert world.steps(definition=definition) == []


def test_a_subscription_that_somebody_changed_or_ended_stays_so(world: World) -> None:
    pulse = world.metabase.one("pulse")
    pulse["channels"][0]["schedule_day"] = "fri"
    left = "leave subscription Sales, every week: edited in Metabase (schedule); --force undoes that"
    assert world.steps() == [left]
    assert world.metabase.one("pulse")["channels"][0]["schedule_day"] == "fri"
    pulse["archived"] = True
    assert len(world.steps()) == 1
    world.sync(force=True)
    assert (pulse["archived"], pulse["channels"][0]["schedule_day"]) == (False, "mon")
