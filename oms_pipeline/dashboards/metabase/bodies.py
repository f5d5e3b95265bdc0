"""Turns the states of `wanted` into request bodies, with Metabase's ids in them. Pure.

Only keys that Metabase's request schemas name are sent: newer versions refuse any other.
"""

from collections.abc import Mapping
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from oms_pipeline.dashboards.metabase.seen import PARAMETER_CHOICES, SUBSCRIPTION_SUFFIX, TAG_CHOICES, Ids, chosen

State = Mapping[str, Any]


def collection(state: State, ids: Ids, description: str) -> dict[str, Any]:
    """Of `POST` and `PUT /api/collection`."""
    parent = None if state["place"] == "top" else ids.objects[state["place"]]
    return {"name": state["name"], "description": description, "parent_id": parent}


def card(state: State, ids: Ids, description: str, key: str) -> dict[str, Any]:
    """Of `POST` and `PUT /api/card`."""
    tags = {
        name: {
            # Anything that is the same each time, or every run would change the query.
            "id": str(uuid5(NAMESPACE_URL, f"{key}/{name}")),
            "name": name,
            "display-name": each["label"],
            "type": "dimension",
            "dimension": ["field", ids.fields[each["field"]], None],
            "widget-type": each["widget"],
            "alias": each["alias"],
            **chosen(each, TAG_CHOICES),
        }
        for name, each in state["filters"].items()
    }
    return {
        "name": state["name"],
        "description": description,
        "type": "question",
        "dataset_query": {
            "type": "native",
            "database": ids.database,
            "native": {"query": state["sql"], "template-tags": tags},
        },
        "display": state["display"],
        "visualization_settings": state["settings"],
        "collection_id": ids.objects[state["place"]],
    }


def new_dashboard(state: State, ids: Ids, description: str) -> dict[str, Any]:
    """Of `POST /api/dashboard`, which takes no cards."""
    return {
        "name": state["name"],
        "description": description,
        "parameters": parameters(state),
        "collection_id": ids.objects[state["place"]],
    }


def dashboard(state: State, ids: Ids, description: str, key: str) -> dict[str, Any]:
    """Of `PUT /api/dashboard`, which replaces all its cards: known places keep their id, new ones have one below 0."""
    dashcards = [
        {
            "id": ids.dashcards.get((key, place["card"]), -number),
            "card_id": ids.objects[place["card"]],
            "row": place["row"],
            "col": place["col"],
            "size_x": place["size_x"],
            "size_y": place["size_y"],
            "parameter_mappings": [
                {
                    "parameter_id": name,
                    "card_id": ids.objects[place["card"]],
                    "target": ["dimension", ["template-tag", name]],
                }
                for name in place["filters"]
            ],
            "series": [],
            "visualization_settings": {},
        }
        for number, place in enumerate(state["cards"], 1)
    ]
    return {**new_dashboard(state, ids, description), "dashcards": dashcards, "tabs": []}


def parameters(state: State) -> list[dict[str, Any]]:
    """A dashboard's filters."""
    return [
        {
            "id": each["id"],
            "slug": each["id"],
            "name": each["name"],
            "type": each["type"],
            "sectionId": each["type"].partition("/")[0],
            **({} if each["default"] is None else {"default": each["default"]}),
            **chosen(each, PARAMETER_CHOICES),
        }
        for each in state["parameters"]
    ]


def subscription(state: State, ids: Ids) -> dict[str, Any]:
    """Of `POST /api/pulse`, with every card of its dashboard."""
    key = state["dashboard"]
    kind, day, hour = state["schedule"]
    return {
        "name": state["name"] + SUBSCRIPTION_SUFFIX,
        "dashboard_id": ids.objects[key],
        "cards": [
            {
                "id": ids.objects[card_key],
                "dashboard_card_id": dashcard,
                "include_csv": False,
                "include_xls": False,
            }
            for (of, card_key), dashcard in sorted(ids.dashcards.items(), key=lambda item: item[1])
            if of == key and card_key in ids.objects
        ],
        "channels": [
            {
                "channel_type": "email",
                "enabled": True,
                "recipients": [{"email": address} for address in state["emails"]],
                "details": {},
                "schedule_type": kind,
                "schedule_day": day,
                "schedule_hour": hour,
                "schedule_frame": None,
            }
        ],
        "parameters": [],
        "skip_if_empty": False,
    }
