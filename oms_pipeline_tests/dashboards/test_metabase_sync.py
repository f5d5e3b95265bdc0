"""A sync with Metabase: everything is made once, and a second sync changes what the definition changed."""

import base64
import copy
import dataclasses
import datetime as dt
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest

from oms_pipeline.dashboards.metabase.sync import Definition
from oms_pipeline.errors import MetabaseError
from oms_pipeline.settings import MetabaseServer, PostgresLogin, SnowflakeLogin
from oms_pipeline_tests.dashboards.conftest import (
    ADMINISTRATOR,
    LOGIN,
    QUICK,
    SNOWFLAKE,
    VALUES,
    World,
    field,
    is_write,
    keeps,
    mine,
    names,
    table,
    title_changed,
)
from oms_pipeline_tests.dashboards.metabase_server import Catalog, Json, Metabase, Recorded, running

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
