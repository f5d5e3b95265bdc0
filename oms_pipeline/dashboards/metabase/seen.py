"""Reads Metabase's answers as the states of `wanted`. Pure: whatever else Metabase tells of an object is left out."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from oms_pipeline.dashboards.metabase import marks
from oms_pipeline.dashboards.metabase.marks import Mark
from oms_pipeline.dashboards.metabase.wanted import Kind, Table

SUBSCRIPTION_SUFFIX = " · OMS Pipeline"
"""A subscription has no description to mark: its name, which is the mail's subject, ends like this."""

# What people choose inside an object, and what it is until they do. Each is part of a state only where it is something
# else: so a state stays what it was when one more of these is looked at.
PARAMETER_CHOICES: Final[Mapping[str, Any]] = {
    "required": False,
    "isMultiSelect": True,
    "filteringParameters": [],
    "values_query_type": "list",
    "values_source_type": None,
    "values_source_config": {},
}
TAG_CHOICES: Final[Mapping[str, Any]] = {"required": False, "default": None}


@dataclass
class Ids:
    """What Metabase calls things, found or just made.

    Attributes:
        database: The database with the marts; None until there is one.
        tables: `schema.table` → id.
        fields: `schema.table.column` → id.
        objects: Key of an object of the definition → id.
        dashcards: (Dashboard's key, card's key) → id of the card's place on it.
    """

    database: int | None = None
    tables: dict[str, int] = field(default_factory=dict)
    fields: dict[str, int] = field(default_factory=dict)
    objects: dict[str, int] = field(default_factory=dict)
    dashcards: dict[tuple[str, str], int] = field(default_factory=dict)

    def key_of(self, kind: Kind, number: int | None) -> str:
        """The key of an object by its id; `?` and the id for one that is not ours."""
        return next((key for key, of in self.objects.items() if of == number and key.startswith(kind)), f"? {number}")

    def field_of(self, number: Any) -> str:
        """The path of a field by its id; `?` and the id for one of another database."""
        return next((path for path, of in self.fields.items() if of == number), f"? {number}")


@dataclass(frozen=True)
class Found:
    """An object of Metabase that the pipeline has made.

    Attributes:
        kind: What it is.
        id: Its id.
        mark: What its description says of it; none on a table that was never written.
        state: What it is like.
    """

    kind: Kind
    id: int
    mark: Mark | None
    state: Mapping[str, Any]

    @property
    def name(self) -> str:
        """As people know it."""
        return str(self.state.get("name", self.id))


def ours(kind: Kind, raw: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Key → the object that bears its mark; of several, the one whose own id the mark has, then the oldest."""
    found: dict[str, Mapping[str, Any]] = {}
    for item in sorted(raw, key=lambda item: int(item["id"])):
        _, mark = marks.read(item.get("description"))
        if mark is None or not mark.key.startswith(f"{kind}/") or mark.id not in (None, item["id"]):
            continue
        held = found.get(mark.key)
        if held is None or (marks.read(held["description"])[1].id is None and mark.id is not None):  # type: ignore[union-attr]
            found[mark.key] = item
    return found


def collection(raw: Mapping[str, Any], ids: Ids) -> dict[str, Any]:
    """A collection's state."""
    above = re.findall(r"\d+", raw.get("location") or "")
    place = ids.key_of(Kind.COLLECTION, int(above[-1])) if above else "top"
    return {
        "name": raw["name"],
        "description": _text(raw),
        # What is in the trash has lost its place, and that is all there is to tell of it.
        "place": place,
        "archived": bool(raw.get("archived")),
    }


def card(raw: Mapping[str, Any], ids: Ids) -> dict[str, Any]:
    """A card's state, from either form of query that Metabase gives."""
    sql, tags = _native(raw.get("dataset_query") or {})
    return {
        "name": raw["name"],
        "description": _text(raw),
        "sql": sql,
        "filters": {
            name: {
                "label": tag.get("display-name"),
                "field": ids.field_of(_field_id(tag.get("dimension"))),
                "widget": tag.get("widget-type"),
                "alias": tag.get("alias"),
                **chosen(tag, TAG_CHOICES),
            }
            for name, tag in tags.items()
        },
        "display": raw.get("display"),
        "settings": raw.get("visualization_settings") or {},
        "database": "ours" if raw.get("database_id") == ids.database else f"? {raw.get('database_id')}",
        "place": ids.key_of(Kind.COLLECTION, raw.get("collection_id")),
        "archived": bool(raw.get("archived")),
        **chosen(raw, {"type": "question"}),
    }


def dashboard(raw: Mapping[str, Any], ids: Ids) -> dict[str, Any]:
    """A dashboard's state."""
    places = [_place(dashcard, ids) for dashcard in raw.get("dashcards") or []]
    tabs = [tab.get("name") for tab in raw.get("tabs") or []]
    return {
        "name": raw["name"],
        "description": _text(raw),
        "parameters": [
            {
                "id": each["id"],
                "name": each.get("name"),
                "type": each["type"],
                "default": each.get("default"),
                **chosen(each, PARAMETER_CHOICES),
            }
            for each in raw.get("parameters") or []
        ],
        "cards": sorted(places, key=lambda place: (place["row"], place["col"])),
        "place": ids.key_of(Kind.COLLECTION, raw.get("collection_id")),
        "archived": bool(raw.get("archived")),
        **chosen({"tabs": tabs}, {"tabs": []}),
    }


READERS: Final[Mapping[Kind, Callable[[Mapping[str, Any], Ids], dict[str, Any]]]] = {
    Kind.COLLECTION: collection,
    Kind.CARD: card,
    Kind.DASHBOARD: dashboard,
}
"""What is found by its mark, and whose state needs nothing but ids."""


def subscription(raw: Mapping[str, Any], ids: Ids) -> dict[str, Any]:
    """A subscription's state."""
    mails = [channel for channel in raw.get("channels") or [] if channel.get("channel_type") == "email"]
    channel = mails[0] if mails else {}
    return {
        "name": str(raw["name"]).removesuffix(SUBSCRIPTION_SUFFIX),
        "dashboard": ids.key_of(Kind.DASHBOARD, raw.get("dashboard_id")),
        "emails": sorted(recipient.get("email", "?") for recipient in channel.get("recipients") or []),
        "schedule": [channel.get(name) for name in ("schedule_type", "schedule_day", "schedule_hour")],
        "archived": bool(raw.get("archived")),
    }


def table(raw: Mapping[str, Any], of: Table) -> dict[str, Any]:
    """A table's state: what is said of it and its columns, and whether personal data is shown."""
    personal = {name for name, column in of.columns.items() if column.is_personal}
    fields = {str(each["name"]).lower(): each for each in raw.get("fields") or []}
    return {
        "description": _text(raw),
        "columns": {name: each.get("description") or "" for name, each in fields.items() if name not in personal},
        "personal_data_shown": sorted(personal & set(fields)),
    }


def chosen(raw: Mapping[str, Any], choices: Mapping[str, Any]) -> dict[str, Any]:
    """Those of an object's `choices` that somebody has made: that are there, and not what they are by themselves."""
    return {name: raw[name] for name, unchosen in choices.items() if raw.get(name) not in (None, unchosen)}


def _place(raw: Mapping[str, Any], ids: Ids) -> dict[str, Any]:
    """Where a card is on its dashboard, and what is special about it there."""
    series = [ids.key_of(Kind.CARD, each.get("id")) for each in raw.get("series") or []]
    return {
        "card": ids.key_of(Kind.CARD, raw.get("card_id")),
        "row": raw["row"],
        "col": raw["col"],
        "size_x": raw["size_x"],
        "size_y": raw["size_y"],
        "filters": sorted(_mapped(mapping) for mapping in raw.get("parameter_mappings") or []),
        **chosen({**raw, "series": series}, {"visualization_settings": {}, "series": [], "dashboard_tab_id": None}),
    }


def _mapped(mapping: Mapping[str, Any]) -> str:
    """The filter's name, where it is mapped to the card's tag of that name; else what it is mapped to besides."""
    name, target = str(mapping["parameter_id"]), mapping.get("target") or []
    return name if list(target[:2]) == ["dimension", ["template-tag", name]] else f"{name} to {target}"


def _text(raw: Mapping[str, Any]) -> str:
    return marks.read(raw.get("description"))[0]


def _native(query: Mapping[str, Any]) -> tuple[str | None, Mapping[str, Mapping[str, Any]]]:
    """SQL and template tags: of MBQL 5, or of the form before."""
    stages = query.get("stages")
    native: Mapping[str, Any] = stages[-1] if stages else query.get("native") or {}
    return native.get("native" if stages else "query"), native.get("template-tags") or {}


def _field_id(clause: Any) -> Any:
    """The id in `["field", id, options]` or MBQL 5's `["field", options, id]`."""
    return next((part for part in clause or [] if isinstance(part, int)), None)
