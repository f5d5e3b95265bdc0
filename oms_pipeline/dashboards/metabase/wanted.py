"""What Metabase is to have, from the definition and dbt's descriptions. Knows no ids; sends nothing.

Everything is a plain state, in which tables, fields, cards and collections go by name: the same state is read back out
of Metabase by `seen`, and turned into requests by `bodies`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from oms_pipeline.dashboards.definition import FILTERS, REPORT_DAYS, Card, Chart, Dashboard, Filter, Format
from oms_pipeline.dashboards.metabase.marks import fingerprint

COLLECTION: Final = "collection/main"
CARDS: Final = "collection/cards"
SCHEMAS: Final = ("marts", "ops")
DATABASE: Final = "database/marts"
DATABASE_NAME: Final = "OMS marts"
WEEKLY: Final = {"schedule_type": "weekly", "schedule_day": "mon", "schedule_hour": 8}

# What gives a filter its kind and its list of values, whatever a data set calls the column.
FILTER_FIELDS: Final[Mapping[str, str]] = {
    "period": "marts.dim_dates.date_day",
    "store": "marts.dim_stores.store_name",
    "channel": "marts.dim_stores.channel",
    "currency": "marts.daily_sales.currency",
}

_DISPLAYS: Final = {
    Chart.NUMBER: "scalar",
    Chart.LINE: "line",
    Chart.AREA: "area",
    Chart.BAR: "bar",
    Chart.RANKING: "row",
    Chart.STACKED_BAR: "bar",
    Chart.TABLE: "table",
    Chart.HEATMAP: "table",
}
_NUMBERS: Final[Mapping[Format, Mapping[str, Any]]] = {
    Format.MONEY: {"number_style": "decimal", "decimals": 2},
    Format.COUNT: {"number_style": "decimal", "decimals": 0},
    Format.PERCENT: {"number_style": "percent", "decimals": 1},
    Format.DAYS: {"number_style": "decimal", "decimals": 1, "suffix": " d"},
    Format.SECONDS: {"number_style": "decimal", "decimals": 1, "suffix": " s"},
    Format.CREDITS: {"number_style": "decimal", "decimals": 3},
}
_HEAT: Final = ["#FFFFFF", "#509EE3"]
# Columns that mean the same wherever they are. dbt's tests tell keys; that a text is an address, only its name does.
_SEMANTIC_TYPES: Final = {
    "email": "type/Email",
    "city": "type/City",
    "region": "type/State",
    "country": "type/Country",
    "currency": "type/Category",
    "channel": "type/Category",
    "status": "type/Category",
    "category": "type/Category",
}


class Kind(StrEnum):
    """Kinds of objects, in the order in which they need each other."""

    DATABASE = "database"
    TABLE = "table"
    COLLECTION = "collection"
    CARD = "card"
    DASHBOARD = "dashboard"
    SUBSCRIPTION = "subscription"


@dataclass(frozen=True)
class Wanted:
    """One object as it is to be.

    Attributes:
        kind: What it is.
        key: Its name for good: kind, then names of the definition.
        state: What it is to be like, by names only.
        secret: Fingerprint of what Metabase does not tell again; "" where there is no such thing.
    """

    kind: Kind
    key: str
    state: Mapping[str, Any]
    secret: str = ""

    @property
    def name(self) -> str:
        """As people know it."""
        return str(self.state.get("name") or self.key.partition("/")[2])

    @property
    def fingerprint(self) -> str:
        """Differs when anything that is wanted does."""
        return fingerprint({**self.state, "secret": self.secret} if self.secret else self.state)


@dataclass(frozen=True)
class Column:
    """What dbt says of a column.

    Attributes:
        description: Its meaning.
        semantic_type: Metabase's name for what kind of value it is, or None.
        refers_to: The column it is a key of, as `schema.table.column`, or None.
        is_personal: Whether it holds personal data: then Metabase is told to show it nowhere.
    """

    description: str
    semantic_type: str | None
    refers_to: str | None
    is_personal: bool


@dataclass(frozen=True)
class Table:
    """What dbt says of a mart.

    Attributes:
        name: `schema.table`.
        description: What a row is.
        columns: By name, in order.
    """

    name: str
    description: str
    columns: Mapping[str, Column]


def tables(manifest: Mapping[str, Any]) -> list[Table]:
    """The marts as dbt's manifest describes them, by name."""
    nodes = manifest["nodes"].values()
    marts = [node for node in nodes if node["resource_type"] == "model" and node["schema"] == "marts"]
    keys, references = _keys(manifest)
    found = []
    for node in sorted(marts, key=lambda node: str(node["name"])):
        name = f"marts.{node['name']}"
        columns = {}
        for column in node["columns"].values():
            path = f"{name}.{column['name']}"
            refers_to = references.get(path)
            kind = "type/PK" if path in keys else "type/FK" if refers_to else _SEMANTIC_TYPES.get(column["name"])
            personal = bool(column.get("meta", {}).get("pii"))
            columns[column["name"]] = Column(_one_line(column["description"]), kind, refers_to, personal)
        found.append(Table(name, _one_line(node["description"]), columns))
    return found


def wanted(
    database: Mapping[str, Any],
    dashboards: Sequence[Dashboard],
    described: Sequence[Table],
    mail_to: Sequence[str],
    defaults: Mapping[str, str],
    spelled: Callable[[str], str] = str,
    secret: str = "",
) -> list[Wanted]:
    """Everything Metabase is to have, in the order in which it is made.

    Args:
        database: The database's state.
        dashboards: The definition.
        described: The marts.
        mail_to: Who gets the first dashboard by mail every week; nobody means no subscription.
        defaults: Filter name → value it starts with.
        spelled: How the database spells the names of a result's columns.
        secret: Fingerprint of the database's password or key.
    """
    objects = [
        Wanted(Kind.DATABASE, DATABASE, database, secret),
        *(Wanted(Kind.TABLE, f"table/{table.name}", _table(table)) for table in described),
        Wanted(Kind.COLLECTION, COLLECTION, _collection("OMS Pipeline", "Dashboards over the marts.", "top")),
        Wanted(Kind.COLLECTION, CARDS, _collection("Cards", "What the dashboards are made of.", COLLECTION)),
    ]
    for dashboard in dashboards:
        objects += [
            Wanted(Kind.CARD, card_key(dashboard, card), _card(card, defaults, spelled)) for card in dashboard.cards
        ]
    objects += [
        Wanted(Kind.DASHBOARD, f"dashboard/{dashboard.name}", _dashboard(dashboard, defaults))
        for dashboard in dashboards
    ]
    if mail_to and dashboards:
        objects.append(Wanted(Kind.SUBSCRIPTION, f"subscription/{dashboards[0].name}", _weekly(dashboards[0], mail_to)))
    return objects


def card_key(dashboard: Dashboard, card: Card) -> str:
    """A card's name for good."""
    return f"card/{dashboard.name}/{card.name}"


def filter_clause(each: Filter, column: str) -> str:
    """A card's condition in Metabase's SQL: nothing at all while the filter is empty."""
    return f"[[and {{{{{each.name}}}}}]]"


def _collection(name: str, description: str, place: str) -> dict[str, Any]:
    return {"name": name, "description": description, "place": place, "archived": False}


def _table(table: Table) -> dict[str, Any]:
    return {
        "description": table.description,
        "columns": {name: column.description for name, column in table.columns.items() if not column.is_personal},
        # A field that Metabase is to show nowhere is missing from what it tells of a table.
        "personal_data_shown": [],
    }


def _card(card: Card, defaults: Mapping[str, str], spelled: Callable[[str], str]) -> dict[str, Any]:
    return {
        "name": card.title,
        "description": "\n\n".join([card.question, *(f"{m.label}: {m.description}" for m in card.measures)]),
        "sql": card.sql(filter_clause),
        "filters": {
            name: {
                "label": name.capitalize(),
                "field": FILTER_FIELDS[name],
                "widget": _widget(name),
                "alias": f"{card.dataset.name}.{column}",
                **_one_value(FILTERS[name], defaults),
            }
            for name, column in card.dataset.filters.items()
            if column is not None
        },
        "display": _display(card),
        "settings": _settings(card, spelled),
        "database": "ours",
        "place": CARDS,
        "archived": False,
    }


def _widget(name: str) -> str:
    return "date/all-options" if name == "period" else "string/="


def _display(card: Card) -> str:
    if card.chart is Chart.NUMBER and len(card.measures) > 1:
        return "table"
    return _DISPLAYS[card.chart]


def _settings(card: Card, spelled: Callable[[str], str]) -> dict[str, Any]:
    measures = [spelled(measure.name) for measure in card.measures]
    settings: dict[str, Any] = {
        "column_settings": {
            f'["name","{spelled(measure.name)}"]': {"column_title": measure.label, **_NUMBERS[measure.format]}
            for measure in card.measures
        }
    }
    display = _display(card)
    if display == "scalar":
        settings["scalar.field"] = measures[0]
    elif display in ("line", "area", "bar", "row"):
        settings["graph.dimensions"] = [spelled(dimension) for dimension in card.dimensions]
        settings["graph.metrics"] = measures
        if card.chart in (Chart.AREA, Chart.STACKED_BAR):
            settings["stackable.stack_type"] = "stacked"
        if card.target is not None:
            settings |= {"graph.show_goal": True, "graph.goal_value": card.target, "graph.goal_label": "Target"}
    elif card.chart is Chart.HEATMAP:
        settings |= _heatmap(spelled(card.dimensions[1]), measures[0])
    return settings


def _heatmap(across: str, measure: str) -> dict[str, Any]:
    return {
        "table.pivot": True,
        "table.pivot_column": across,
        "table.cell_column": measure,
        "table.column_formatting": [
            {"columns": [measure], "type": "range", "colors": _HEAT, "min_type": "all", "max_type": "all"}
        ],
    }


def _dashboard(dashboard: Dashboard, defaults: Mapping[str, str]) -> dict[str, Any]:
    return {
        "name": dashboard.title,
        "description": dashboard.question,
        "parameters": [_parameter(each, defaults) for each in dashboard.filters],
        "cards": [
            {
                "card": card_key(dashboard, card),
                "row": card.place.row,
                "col": card.place.column,
                "size_x": card.place.width,
                "size_y": card.place.height,
                "filters": sorted(name for name, column in card.dataset.filters.items() if column is not None),
            }
            for card in sorted(dashboard.cards, key=lambda card: (card.place.row, card.place.column))
        ],
        "place": COLLECTION,
        "archived": False,
    }


def _parameter(each: Filter, defaults: Mapping[str, str]) -> dict[str, Any]:
    if each.is_period:
        return {"id": each.name, "name": each.label, "type": "date/all-options", "default": f"past{REPORT_DAYS}days"}
    one = _one_value(each, defaults)
    only_one = {"isMultiSelect": False} if one else {}
    return {"id": each.name, "name": each.label, "type": "string/=", "default": None, **one, **only_one}


def _one_value(each: Filter, defaults: Mapping[str, str]) -> dict[str, Any]:
    """What keeps a filter from being empty; nothing, if it may be, or while there is no value yet."""
    default = defaults.get(each.name)
    return {"required": True, "default": [default]} if each.is_required and default is not None else {}


def _weekly(dashboard: Dashboard, mail_to: Sequence[str]) -> dict[str, Any]:
    return {
        "name": f"{dashboard.title}, every week",
        "dashboard": f"dashboard/{dashboard.name}",
        "emails": sorted(mail_to),
        "schedule": [WEEKLY["schedule_type"], WEEKLY["schedule_day"], WEEKLY["schedule_hour"]],
        "archived": False,
    }


def _keys(manifest: Mapping[str, Any]) -> tuple[set[str], dict[str, str]]:
    """Columns that are unique in their mart, and column → the column of another mart it refers to, from dbt's tests."""
    nodes = manifest["nodes"]
    keys: set[str] = set()
    references: dict[str, str] = {}
    for node in nodes.values():
        test, attached = node.get("test_metadata"), nodes.get(node.get("attached_node"))
        if not test or attached is None or attached["schema"] != "marts":
            continue
        path = f"marts.{attached['name']}.{test['kwargs'].get('column_name')}"
        if test["name"] == "unique":
            keys.add(path)
        elif test["name"] == "relationships":
            target = re.search(r"ref\(['\"](\w+)['\"]\)", test["kwargs"]["to"])
            if target:
                references[path] = f"marts.{target[1]}.{test['kwargs']['field']}"
    return keys, references


def _one_line(text: str) -> str:
    return " ".join(text.split())
