"""A sync with Metabase: everything is made once, whoever edits something keeps it, and every failure is healed."""

import base64
import copy
import dataclasses
import datetime as dt
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest

from oms_pipeline.dashboards import Dashboard
from oms_pipeline.dashboards.metabase import lease, marks
from oms_pipeline.dashboards.metabase.client import Client, connected
from oms_pipeline.dashboards.metabase.sync import Definition, check
from oms_pipeline.errors import MetabaseError
from oms_pipeline.settings import MetabaseServer, PostgresLogin, SnowflakeLogin
from oms_pipeline_tests.dashboards.conftest import ADMINISTRATOR, LOGIN, QUICK, SNOWFLAKE, VALUES, World, keeps
from oms_pipeline_tests.dashboards.metabase_server import Catalog, Json, Metabase, Recorded, running


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


# The first sync


def test_a_metabase_that_nobody_has_set_up_ends_with_everything_in_the_definition(
    fresh: World, definition: Definition
) -> None:
    fresh.definition = definition
    outcome = fresh.sync()
    metabase, dashboards = fresh.metabase, fresh.definition.dashboards
    assert metabase.users == dict([ADMINISTRATOR])
    assert names(metabase.all("dashboard")) == [each.title for each in dashboards]
    assert names(metabase.all("card")) == [card.title for each in dashboards for card in each.cards]
    assert names(metabase.all("collection")) == ["OMS Pipeline", "Cards"]
    assert metabase.one("database")["details"]["password"] == LOGIN.password
    assert {step.action for step in outcome.steps} == {"create", "describe"}
    assert outcome.links == {
        each.name: f"{metabase.url}/dashboard/{metabase.one('dashboard', name=each.title)['id']}" for each in dashboards
    }
    # Nobody keeps a session or a lease.
    assert metabase.sessions == set()
    assert names(metabase.all("group")) == ["All Users", "Administrators"]


def test_a_dashboard_has_its_cards_where_the_definition_puts_them_with_every_filter_mapped(world: World) -> None:
    for dashboard in world.definition.dashboards:
        number = mine(world, "dashboard", f"dashboard/{dashboard.name}")["id"]
        places = {each["card_id"]: each for each in world.metabase.all("dashcard", dashboard_id=number)}
        assert len(places) == len(dashboard.cards)
        for card in dashboard.cards:
            place = places[mine(world, "card", f"card/{dashboard.name}/{card.name}")["id"]]
            assert [place[name] for name in ("row", "col", "size_x", "size_y")] == list(dataclasses.astuple(card.place))
            mapped = {name for name, column in card.dataset.filters.items() if column is not None}
            assert {each["target"][1][1] for each in place["parameter_mappings"]} == mapped


def test_a_cards_filters_are_optional_field_filters_over_the_data_sets_own_column(world: World) -> None:
    query = mine(world, "card", "card/sales/net_sales")["dataset_query"]["native"]
    assert "[[and {{period}}]]" in query["query"]
    tag = query["template-tags"]["period"]
    day = world.metabase.one("field", name="date_day")["id"]
    assert (tag["type"], tag["dimension"], tag["widget-type"]) == (
        "dimension",
        ["field", day, None],
        "date/all-options",
    )
    assert tag["alias"] == "sales.business_day"


def test_currency_starts_with_the_most_frequent_and_choices_come_from_the_run_and_not_from_a_query(
    world: World,
) -> None:
    parameters = {each["id"]: each for each in world.metabase.one("dashboard", name="Sales")["parameters"]}
    assert parameters["currency"]["default"] == ["USD"]
    assert "default" not in parameters["store"]
    assert parameters["period"]["default"] == "past91days"
    assert world.metabase.one("field", name="currency", table_id=table(world, "daily_sales")["id"])["values"] == [
        ["EUR"],
        ["USD"],
    ]
    world.sync(definition=replace(world.definition, values={**VALUES, "store": ["Store 1", "Store 2", "Store 3"]}))
    assert [each.route for each in world.metabase.writes()] == ["/api/field/:id/values"]
    store = world.metabase.one("field", name="store_name", table_id=table(world, "dim_stores")["id"])
    assert store["values"] == [["Store 1"], ["Store 2"], ["Store 3"]]


def table(world: World, name: str) -> Json:
    return world.metabase.one("table", name=name)


def test_money_is_of_one_currency_whatever_a_reader_clears_and_on_a_card_by_itself(world: World) -> None:
    (currency,) = [
        each for each in world.metabase.one("dashboard", name="Sales")["parameters"] if each["id"] == "currency"
    ]
    assert (currency["required"], currency["default"], currency["isMultiSelect"]) == (True, ["USD"], False)
    tags = mine(world, "card", "card/sales/net_sales")["dataset_query"]["native"]["template-tags"]
    assert (tags["currency"]["required"], tags["currency"]["default"]) == (True, ["USD"])
    assert not {"required", "default"} & set(tags["store"])


def test_before_the_first_order_no_currency_is_required(fresh: World) -> None:
    fresh.sync(definition=replace(fresh.definition, values={**VALUES, "currency": []}))
    (currency,) = [
        each for each in fresh.metabase.one("dashboard", name="Sales")["parameters"] if each["id"] == "currency"
    ]
    assert not {"required", "default", "isMultiSelect"} & set(currency)
    assert fresh.steps() != []
    tags = mine(fresh, "card", "card/sales/net_sales")["dataset_query"]["native"]["template-tags"]
    assert tags["currency"]["default"] == ["USD"]


def field(world: World, of_table: str, name: str) -> Json:
    return world.metabase.one("field", table_id=table(world, of_table)["id"], name=name)


def test_a_filters_column_offers_a_list_though_metabase_has_not_looked_at_its_values_yet(world: World) -> None:
    assert field(world, "dim_stores", "store_name")["has_field_values"] == "list"
    assert field(world, "dim_stores", "city")["has_field_values"] is None
    assert field(world, "dim_dates", "date_day")["has_field_values"] is None


@pytest.mark.parametrize("choice", ["search", "none"])
def test_how_somebody_lets_readers_choose_is_kept_and_gets_no_list(world: World, choice: str) -> None:
    store = field(world, "dim_stores", "store_name")
    store["has_field_values"] = choice
    more = replace(world.definition, values={**VALUES, "store": ["Store 1", "Store 2", "Store 3"]})
    for force in (False, True):
        assert world.steps(definition=more, force=force) == []
        assert store["has_field_values"] == choice
    assert world.metabase.writes() == []


def test_values_that_metabase_refuses_end_no_sync_and_are_told_with_the_remedy(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    def hide(recorded: Recorded) -> None:
        if recorded.route == "/api/field/:id/values" and recorded.method == "POST":
            store["has_field_values"] = None

    store = field(world, "dim_stores", "store_name")
    world.metabase.before = hide
    more = replace(world.definition, values={**VALUES, "store": ["Store 3"], "channel": ["online"]})
    assert world.steps(definition=more) == []
    assert field(world, "dim_stores", "channel")["values"] == [["online"]]
    assert "marts.dim_stores.store_name" in caplog.text
    assert "Filtering on this field" in caplog.text


def test_tables_and_columns_say_what_dbt_says_and_keys_are_known(world: World) -> None:
    described = {each.name: each for each in world.definition.tables}
    sales = table(world, "daily_sales")
    assert sales["description"].startswith(described["marts.daily_sales"].description)
    columns = {each["name"]: each for each in world.metabase.all("field", table_id=sales["id"])}
    assert columns["net_sales"]["description"] == described["marts.daily_sales"].columns["net_sales"].description
    stores = {each["name"]: each for each in world.metabase.all("field", table_id=table(world, "dim_stores")["id"])}
    assert stores["store_id"]["semantic_type"] == "type/PK"
    assert columns["store_id"]["semantic_type"] == "type/FK"
    assert columns["store_id"]["fk_target_field_id"] == stores["store_id"]["id"]
    assert columns["currency"]["semantic_type"] == "type/Category"


def test_personal_data_is_shown_nowhere(world: World) -> None:
    customers = {
        each["name"]: each for each in world.metabase.all("field", table_id=table(world, "dim_customers")["id"])
    }
    assert customers["email"]["visibility_type"] == "sensitive"
    assert customers["customer_id"]["visibility_type"] == "normal"


def test_the_first_dashboard_goes_out_every_monday(world: World) -> None:
    pulse = world.metabase.one("pulse")
    assert pulse["dashboard_id"] == world.metabase.one("dashboard", name="Sales")["id"]
    assert [each["email"] for each in pulse["channels"][0]["recipients"]] == ["boss@example.com", "data@example.com"]
    assert (pulse["channels"][0]["schedule_type"], pulse["channels"][0]["schedule_day"]) == ("weekly", "mon")
    assert len(pulse["cards"]) == len(world.definition.dashboards[0].cards)


def test_without_anybody_to_mail_to_there_is_no_subscription(fresh: World) -> None:
    fresh.sync(definition=replace(fresh.definition, mail_to=()))
    assert fresh.metabase.all("pulse") == []


def test_links_lead_to_the_address_that_people_reach(world: World) -> None:
    outcome = world.sync(server=world.login(web_url="https://metabase.example.com"))
    assert outcome.links
    assert all(link.startswith("https://metabase.example.com/dashboard/") for link in outcome.links.values())


def test_the_definition_is_waited_for_while_metabase_looks_for_the_tables(fresh: World) -> None:
    fresh.metabase.polls_until_synced = 4
    fresh.sync()
    assert len(fresh.metabase.all("card")) > 0


def test_tables_that_do_not_come_are_told_by_name_when_the_time_is_up(fresh: World) -> None:
    fresh.metabase.polls_until_synced = 10_000
    with pytest.raises(
        MetabaseError, match=r"Metabase has not found marts\.\w+\.\w+ in 0:00:03 .* may read that table"
    ):
        fresh.sync()


def test_snowflake_is_reached_with_the_key_pair_of_the_dashboards_user(
    catalog: Callable[[Json], Catalog], few: Definition
) -> None:
    seen: list[Json] = []

    def in_upper_case(details: Json) -> Catalog:
        seen.append(details)
        found = catalog({"password": "s3cret"})
        return {path.upper(): {name.upper(): kind for name, kind in columns.items()} for path, columns in found.items()}

    with running(in_upper_case) as metabase:
        user, password = ADMINISTRATOR
        server = MetabaseServer(metabase.url, SNOWFLAKE, user=user, password=password)
        world = World(metabase, server, few)
        world.sync()
        database = metabase.one("database")
        assert database["engine"] == "snowflake"
        assert {name: database["details"][name] for name in ("account", "user", "role", "warehouse", "db")} == {
            "account": "myorg-account",
            "user": "OMS_DASHBOARDS_USER",
            "role": "OMS_REPORTER",
            "warehouse": "OMS_DASHBOARDS",
            "db": "OMS",
        }
        assert database["details"]["use-password"] is False
        sent = database["details"]["private-key-value"].partition("base64,")[2]
        assert base64.b64decode(sent).decode() == SNOWFLAKE.private_key
        # Metabase neither syncs nor scans by itself at other times, which would wake the warehouse.
        assert (database["is_full_sync"], database["is_on_demand"]) == (False, False)
        card = mine(world, "card", "card/sales/net_sales_by_day")
        assert card["visualization_settings"]["graph.metrics"] == ["NET_SALES"]
        assert world.steps() == []


# Running it again


def test_a_second_sync_changes_nothing_and_sends_no_write(world: World) -> None:
    before = copy.deepcopy(world.snapshot())
    assert world.steps() == []
    assert world.snapshot() == before
    assert world.metabase.writes() == []


def test_a_dry_run_says_what_it_would_do_and_writes_nothing(fresh: World) -> None:
    planned = fresh.steps(dry_run=True)
    assert fresh.metabase.users == {}
    assert fresh.metabase.writes() == []
    fresh.metabase.add_user(*ADMINISTRATOR)
    assert fresh.steps(dry_run=True) == planned
    assert fresh.metabase.writes() == []
    done = fresh.steps()
    # A table that Metabase knows is not made but described.
    assert [line.replace("describe table", "create table") for line in done] == planned
    assert fresh.steps(dry_run=True) == []


def test_a_new_title_keeps_the_id_and_the_places(world: World) -> None:
    before = mine(world, "card", "card/sales/net_sales")["id"]
    places = {each["id"]: each["card_id"] for each in world.metabase.all("dashcard")}
    definition = title_changed(title_changed(world.definition, "Net sales", "Sales, net"), "Sales", "What we sell")
    steps = world.steps(definition=definition)
    assert steps == ["update card Sales, net: name", "update dashboard What we sell: name", *steps[2:]]
    assert all(step.startswith("update subscription") for step in steps[2:])
    card = mine(world, "card", "card/sales/net_sales")
    assert (card["id"], card["name"]) == (before, "Sales, net")
    assert {each["id"]: each["card_id"] for each in world.metabase.all("dashcard")} == places
    assert world.steps(definition=definition) == []


def test_a_card_that_is_no_longer_defined_goes_to_the_trash_and_comes_back_with_its_id(world: World) -> None:
    sales = world.definition.dashboards[0]
    without = replace(sales, cards=sales.cards[1:])
    less = replace(world.definition, dashboards=[without, *world.definition.dashboards[1:]])
    gone = mine(world, "card", "card/sales/net_sales")["id"]
    steps = world.steps(definition=less)
    assert steps == [
        "update dashboard Sales: cards",
        "archive card Net sales: not in the definition any more",
    ]
    assert world.metabase.one("card", id=gone)["archived"]
    assert world.steps(definition=less) == []
    assert [line.partition(":")[0] for line in world.steps()] == ["update card Net sales", "update dashboard Sales"]
    assert not world.metabase.one("card", id=gone)["archived"]
    assert world.steps() == []


def test_a_dashboard_that_is_no_longer_defined_is_archived_before_its_cards(world: World) -> None:
    less = replace(world.definition, dashboards=world.definition.dashboards[:-1])
    last = world.definition.dashboards[-1]
    steps = world.steps(definition=less)
    assert steps[0] == f"archive dashboard {last.title}: not in the definition any more"
    assert len(steps) == 1 + len(last.cards)
    assert world.steps(definition=less) == []


def test_a_dashboard_that_is_defined_again_comes_back_with_its_id_and_its_cards(world: World) -> None:
    last = world.definition.dashboards[-1]
    before = mine(world, "dashboard", f"dashboard/{last.name}")["id"]
    world.sync(definition=replace(world.definition, dashboards=world.definition.dashboards[:-1]))
    assert f"update dashboard {last.title}: archived" in world.steps()
    back = mine(world, "dashboard", f"dashboard/{last.name}")
    assert (back["id"], back["archived"]) == (before, False)
    assert len(world.metabase.all("dashcard", dashboard_id=before)) == len(last.cards)
    assert world.steps() == []


def test_a_dashboard_that_is_out_of_the_trash_and_no_more_is_finished_by_the_next_sync(world: World) -> None:
    last = world.definition.dashboards[-1]
    world.sync(definition=replace(world.definition, dashboards=world.definition.dashboards[:-1]))
    world.metabase.cut = lambda recorded: "dashcards" in (recorded.body or {})
    with pytest.raises(MetabaseError):
        world.sync(patience=replace(QUICK, outage=dt.timedelta(seconds=0.1)))
    world.metabase.cut = lambda _: False
    assert f"finish dashboard {last.title}" in world.steps()
    assert world.steps() == []


def test_another_password_reaches_metabase_with_the_next_sync(world: World) -> None:
    # The server's password changed: Metabase cannot log in any more.
    world.metabase.one("database")["details"]["password"] = "old"  # noqa: S105
    assert world.steps() == []
    assert world.metabase.one("database")["details"]["password"] == LOGIN.password


@pytest.mark.parametrize("reads", [LOGIN, SNOWFLAKE], ids=["password", "key"])
def test_a_new_secret_reaches_metabase_while_the_old_one_still_works_and_no_description_has_it(
    catalog: Callable[[Json], Catalog], few: Definition, reads: PostgresLogin | SnowflakeLogin
) -> None:
    with running(lambda _: catalog({"password": LOGIN.password})) as metabase:
        world = World(metabase, replace(keeps(metabase), reads=reads), few)
        world.sync()
        assert world.steps() == []
        rotated = replace(reads, **{"password" if reads is LOGIN else "private_key": "rotated"})
        assert world.steps(server=world.login(reads=rotated)) == ["update database OMS marts: password or key"]
        database = metabase.one("database")
        kept = base64.b64encode(b"rotated").decode()
        assert (
            database["details"]
            .get("password", database["details"].get("private-key-value", ""))
            .endswith(("rotated", kept))
        )
        assert "rotated" not in database["description"]
        assert world.steps(server=world.login(reads=rotated)) == []


def test_a_sync_that_breaks_off_after_a_new_secret_leaves_nothing_that_looks_edited(
    catalog: Callable[[Json], Catalog], few: Definition
) -> None:
    with running(lambda _: catalog({"password": LOGIN.password})) as metabase:
        world = World(metabase, keeps(metabase), few)
        world.sync()
        rotated = world.login(reads=replace(LOGIN, password="rotated"))  # noqa: S106
        changed: list[Recorded] = []

        def comes_next(recorded: Recorded) -> bool:
            """True at whatever is written after the database."""
            was_changed = bool(changed)
            if recorded.method == "PUT" and recorded.path.startswith("/api/database/"):
                changed.append(recorded)
            return was_changed and is_write(recorded)

        metabase.cut = comes_next
        with suppress(MetabaseError):
            world.sync(server=rotated)
        assert changed
        metabase.cut = lambda _: False
        assert world.steps(server=rotated) == []


def test_what_somebody_wrote_of_the_database_stays_beside_the_mark(fresh: World, synced: Metabase) -> None:
    fresh.metabase.add_user(*ADMINISTRATOR)
    made = {name: value for name, value in synced.one("database").items() if name != "id"}
    by_hand = fresh.metabase.add("database", **{**made, "description": "Ask Finance first."})
    assert fresh.steps()[0] == "finish database OMS marts"
    assert by_hand["description"].startswith("Ask Finance first.\n\nKept by OMS Pipeline (database/marts")
    assert by_hand["description"].count("Kept by") == 1
    by_hand["description"] = f"Mondays too. {by_hand['description']}"
    assert fresh.steps() == []
    by_hand["name"] = "Warehouse"
    fresh.sync(force=True)
    assert by_hand["description"].startswith("Mondays too. Ask Finance first.\n\nKept by")
    assert fresh.steps() == []


def test_the_same_connection_made_by_hand_is_used_and_not_doubled(fresh: World) -> None:
    fresh.sync()
    made = {name: value for name, value in fresh.metabase.one("database").items() if name != "id"}
    fresh.metabase.things["database"].clear()
    by_hand = fresh.metabase.add("database", **{**made, "description": None})
    fresh.sync()
    assert fresh.metabase.one("database")["id"] == by_hand["id"]


# What people do


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


# Failures


def is_write(recorded: Recorded) -> bool:
    return recorded.method in ("POST", "PUT") and not recorded.path.startswith(("/api/session", "/api/permissions"))


def at(number: int) -> Callable[[Recorded], bool]:
    """True at the n-th write."""
    seen = iter(range(10_000))
    return lambda recorded: is_write(recorded) and next(seen) == number


def writes_of_a_first_sync(world: World) -> int:
    return len([each for each in world.metabase.requests if is_write(each)])


def without_ids(world: World) -> dict[str, list[str]]:
    """What there is, told apart by name and not by number."""
    described = {kind: world.metabase.all(kind) for kind in ("card", "dashboard", "collection", "database", "pulse")}
    return {kind: names(things) for kind, things in described.items()}


@pytest.mark.slow
@pytest.mark.parametrize("how", ["answer is lost", "connection is cut"])
def test_wherever_a_sync_breaks_off_the_next_one_finishes_it_and_nothing_is_there_twice(
    catalog: Callable[[Json], Catalog], few: Definition, synced: Metabase, how: str
) -> None:
    # The last dashboard, so that there are fewer places to break off at.
    small = replace(few, dashboards=few.dashboards[1:], tables=few.tables[:1])
    expected, total, number = None, 1, -1
    while number < total:
        with running(catalog) as metabase:
            world = World(metabase, keeps(metabase), small)
            # At -1 nothing breaks: that is what there is to compare with.
            setattr(metabase, "lose_answer" if how == "answer is lost" else "cut", at(number))
            with suppress(MetabaseError):
                world.sync()
            if expected is None:
                expected, total = without_ids(world), writes_of_a_first_sync(world)
                assert total > 20
            world.sync()
            assert without_ids(world) == expected, number
            assert world.steps() == [], number
        number += 1


def test_a_restart_in_the_middle_is_waited_for(fresh: World) -> None:
    def restart(recorded: Recorded) -> bool:
        if recorded.method == "PUT" and "/api/card/" in recorded.path and not restarted:
            restarted.append(True)
            fresh.metabase.down_until = time.monotonic() + 0.3
            fresh.metabase.starting = 3
        return False

    restarted: list[bool] = []
    fresh.metabase.cut = restart
    fresh.sync()
    assert restarted
    assert fresh.steps() == []


@pytest.mark.parametrize("status", [502, 504])
def test_a_proxy_that_loses_metabase_at_a_post_is_told_as_no_answer_and_is_not_asked_again(
    fresh: World, status: int
) -> None:
    fresh.metabase.proxy = lambda recorded: status if (recorded.method, recorded.path) == at_card else None
    at_card = ("POST", "/api/card")
    with pytest.raises(
        MetabaseError, match=rf"does not answer: POST /api/card: it answers {status}\. Check that it runs"
    ):
        fresh.sync()
    assert len([each for each in fresh.metabase.requests if (each.method, each.path) == at_card]) == 1
    fresh.metabase.proxy = lambda _: None
    fresh.sync()
    assert fresh.steps() == []


def test_a_metabase_that_is_starting_is_waited_for(fresh: World) -> None:
    fresh.metabase.starting = 5
    assert fresh.sync().steps


def test_a_session_that_ended_in_the_middle_is_opened_again(fresh: World) -> None:
    ended: list[bool] = []

    def end(recorded: Recorded) -> None:
        if recorded.route == "/api/dashboard" and recorded.method == "POST" and not ended:
            ended.append(True)
            fresh.metabase.sessions.clear()

    fresh.metabase.before = end
    fresh.sync()
    assert fresh.steps() == []


def test_an_api_key_is_enough_and_one_of_another_group_is_refused_with_the_remedy(fresh: World) -> None:
    fresh.metabase.add_user(*ADMINISTRATOR)
    fresh.metabase.api_keys = {"mb_admin": True, "mb_reader": False}
    key = fresh.login(api_key="mb_admin", user=None, password="")
    fresh.sync(server=key)
    assert fresh.steps(server=key) == []
    assert not any(each.path == "/api/session" for each in fresh.metabase.requests)
    with pytest.raises(MetabaseError, match=r"is not an administrator's.*the group Administrators"):
        fresh.sync(server=fresh.login(api_key="mb_reader"))
    with pytest.raises(
        MetabaseError, match=r"refuses the login: Unauthenticated\. Correct OMS_METABASE_API_KEY"
    ) as error:
        fresh.sync(server=fresh.login(api_key="mb_s3cret"))
    assert "mb_s3cret" not in str(error.value)


def test_a_key_cannot_set_metabase_up(fresh: World) -> None:
    with pytest.raises(MetabaseError, match=r"is not set up yet\. Set OMS_METABASE_USER and OMS_METABASE_PASSWORD"):
        fresh.sync(server=fresh.login(api_key="mb_admin", user=None, password=""))


def test_a_wrong_password_is_told_once_and_not_shown(fresh: World) -> None:
    fresh.metabase.add_user(*ADMINISTRATOR)
    with pytest.raises(MetabaseError, match="Correct OMS_METABASE_USER and OMS_METABASE_PASSWORD") as error:
        fresh.sync(server=fresh.login(password="s3cret wrong"))  # noqa: S106
    assert "s3cret" not in str(error.value)
    assert len([each for each in fresh.metabase.requests if each.path == "/api/session"]) == 1


def test_a_password_that_is_too_simple_is_told(fresh: World) -> None:
    with pytest.raises(MetabaseError, match=r"password is too common.*choose a stronger OMS_METABASE_PASSWORD"):
        fresh.sync(server=fresh.login(password="1234"))  # noqa: S106


def test_nobody_at_the_address_is_told_with_the_remedy(fresh: World) -> None:
    nobody = fresh.login(url="http://127.0.0.1:1")
    with pytest.raises(
        MetabaseError, match=r"Metabase at http://127.0.0.1:1 does not answer: .*refused.*OMS_METABASE_URL"
    ):
        fresh.sync(server=nobody)


def test_a_database_that_metabase_cannot_log_in_to_is_told(fresh: World) -> None:
    login = replace(fresh.server.reads, password="wrong")  # type: ignore[type-var]  # noqa: S106
    with pytest.raises(MetabaseError, match="password authentication failed") as error:
        fresh.sync(server=fresh.login(reads=login))
    assert "\n" not in str(error.value)


# Looking only


def test_a_look_says_whether_a_sync_could_log_in_and_changes_nothing(fresh: World, synced: Metabase) -> None:
    assert check(fresh.server, QUICK) == f"{fresh.metabase.url} answers, and is not set up yet: the first run does that"
    assert fresh.metabase.users == {}
    fresh.metabase.become(synced)
    before = fresh.snapshot()
    assert check(fresh.server, QUICK) == f"{fresh.metabase.url} answers, to an administrator"
    with pytest.raises(MetabaseError):
        check(fresh.login(password="wrong"), QUICK)  # noqa: S106
    assert fresh.snapshot() == before
    assert fresh.metabase.sessions == set()


# Two at once


def test_two_syncs_at_once_make_everything_once(fresh: World) -> None:
    outcomes: list[list[str]] = []
    threads = [threading.Thread(target=lambda: outcomes.append(fresh.steps())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(bool(steps) for steps in outcomes) == [False, False, True]
    assert len(fresh.metabase.all("card")) == 5
    assert len(fresh.metabase.all("dashboard")) == 2
    assert fresh.steps() == []


def test_a_lease_that_a_dead_sync_left_is_taken_over_when_nobody_can_hold_it_any_more(world: World) -> None:
    world.metabase.add("group", name=lease.NAME)
    patient = replace(QUICK, answer=dt.timedelta(seconds=0.5))
    started = time.monotonic()
    with connected(world.server, patient) as client:
        client.log_in()
        with lease.lease(client, dt.timedelta(seconds=1)):
            assert time.monotonic() - started >= 1.5
            assert len(world.metabase.all("group", name=lease.NAME)) == 1
    assert world.metabase.all("group", name=lease.NAME) == []


def test_a_sync_whose_time_is_up_stops_before_it_changes_anything_more(fresh: World) -> None:
    fresh.metabase.polls_until_synced = 5
    with pytest.raises(MetabaseError, match=r"took more than .* and was stopped\. Run it again"):
        fresh.sync(patience=replace(QUICK, whole=QUICK.poll))
    assert fresh.metabase.all("card") == []


def test_the_client_shows_no_secret(fresh: World) -> None:
    client = Client(replace(fresh.server, api_key="mb_s3cret"), QUICK)
    assert "s3cret" not in repr(client) + repr(client.server)
