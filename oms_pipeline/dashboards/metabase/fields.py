"""Columns in Metabase: what is said of them, and the lists of values that filters offer. Reads no warehouse."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from oms_pipeline.dashboards.definition import FILTERS
from oms_pipeline.dashboards.metabase.client import Client, RefusedError
from oms_pipeline.dashboards.metabase.seen import Ids
from oms_pipeline.dashboards.metabase.wanted import FILTER_FIELDS, Column

log = logging.getLogger(__name__)

_LIST: Final = "list"
_CHOSEN_FROM: Final = frozenset(path for name, path in FILTER_FIELDS.items() if not FILTERS[name].is_period)


def changes(
    raw: Mapping[str, Any], path: str, column: Column | None, ids: Ids, fill_only: bool
) -> Mapping[str, str | int | None]:
    """The body of `PUT /api/field/:id`; {} where there is nothing to change.

    Args:
        raw: The field as it is.
        path: `schema.table.column`.
        column: What dbt says of it; None for nothing.
        ids: For the field that it refers to.
        fill_only: Whether nobody has described the table yet: then what somebody has set stays.
    """
    if column is None:
        return {}
    if column.is_personal:
        return {"visibility_type": "sensitive"} if raw.get("visibility_type") != "sensitive" else {}
    body: dict[str, str | int | None] = {}
    has = raw.get("description") or ""
    if has != column.description and not (fill_only and has):
        body["description"] = column.description or None
    target = ids.fields.get(column.refers_to) if column.refers_to else None
    if column.semantic_type and not raw.get("semantic_type") and (column.semantic_type != "type/FK" or target):
        body["semantic_type"] = column.semantic_type
        if target:
            body["fk_target_field_id"] = target
    # Metabase says "search" where somebody chose that, and where nobody has chosen yet. So it is chosen once, with the
    # first description; what Metabase says later is somebody's choice.
    if fill_only and path in _CHOSEN_FROM and raw.get("has_field_values") == "search":
        body["has_field_values"] = _LIST
    return body


def tell_values(
    client: Client, ids: Ids, values: Mapping[str, Sequence[str]], before_each_change: Callable[[], None]
) -> None:
    """Tells Metabase the values of filters, so that it need not ask the warehouse.

    A filter without its list still works, so neither somebody's choice of another widget nor a refusal ends a sync.

    Args:
        client: A Metabase, logged in to.
        ids: What it calls the fields.
        values: Filter name → its values.
        before_each_change: Raises if nothing may be changed any more.
    """
    for name, choices in values.items():
        path = FILTER_FIELDS[name]
        number = ids.fields.get(path)
        if number is None:
            continue
        if client.get(f"/api/field/{number}").get("has_field_values") != _LIST:
            log.info("Metabase offers no list of values for %s, as somebody chose there", path)
            continue
        known = [pair[0] for pair in client.get(f"/api/field/{number}/values").get("values") or []]
        if known == sorted(choices):
            continue
        before_each_change()
        try:
            client.post(f"/api/field/{number}/values", {"values": [[value] for value in sorted(choices)]})
        except RefusedError as error:
            log.warning(
                '%s Readers type the values of %s until its "Filtering on this field" is "A list of all values": '
                "choose that in Metabase, Admin settings, Table metadata.",
                error,
                path,
            )
