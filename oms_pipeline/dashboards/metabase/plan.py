"""Holds what Metabase is to have against what it has, and says what to do. Pure.

Three states decide: what is wanted now, what was last written, and what is there. Where the last two differ, somebody
has edited the object, and it is left alone unless that is to be undone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from oms_pipeline.dashboards.metabase.seen import Found
from oms_pipeline.dashboards.metabase.wanted import Kind, Wanted


class Action(StrEnum):
    """What becomes of an object."""

    CREATE = "create"
    FINISH = "finish"
    """It was made, and whoever made it was interrupted."""
    DESCRIBE = "describe"
    """A table gets the descriptions that nobody has written yet."""
    UPDATE = "update"
    RESTORE = "restore"
    """It was edited by hand, and that is undone."""
    ARCHIVE = "archive"
    """The definition has it no longer; it can be taken out of the trash."""
    LEAVE = "leave"
    """It was edited by hand, and stays so."""


@dataclass(frozen=True)
class Step:
    """What becomes of one object.

    Attributes:
        action: What to do.
        kind: What it is.
        key: Its name for good.
        name: As people know it.
        reason: Why, in a few words; "" where the action says it.
    """

    action: Action
    kind: Kind
    key: str
    name: str
    reason: str = ""

    @property
    def changes(self) -> bool:
        """Whether anything is written."""
        return self.action is not Action.LEAVE

    def __str__(self) -> str:
        return f"{self.action} {self.kind} {self.name}{f': {self.reason}' if self.reason else ''}"


def plan(wanted: Sequence[Wanted], found: Mapping[str, Found], force: bool) -> list[Step]:
    """The steps that make what is found what is wanted, in the order in which to take them; none where it is.

    Args:
        wanted: In the order in which they are made.
        found: Key → the object that bears the mark, or the table.
        force: Whether to undo what was edited by hand.
    """
    steps = [step for each in wanted if (step := _step(each, found.get(each.key), force)) is not None]
    keys = {each.key for each in wanted}
    return steps + _archived((each for key, each in found.items() if key not in keys), force)


def _step(wanted: Wanted, found: Found | None, force: bool) -> Step | None:
    if found is None:
        return Step(Action.CREATE, wanted.kind, wanted.key, wanted.name)
    mark = found.mark
    if mark is None and wanted.kind is Kind.TABLE:
        return Step(Action.DESCRIBE, wanted.kind, wanted.key, wanted.name)
    if mark is None or mark.id is None:
        return Step(Action.FINISH, wanted.kind, wanted.key, wanted.name)
    outdated = wanted.fingerprint != mark.wanted
    parts = differences(wanted, found)
    # Where nothing remembers what was last written, or somebody wrote something else, people are right.
    edited = not mark.describes(found.state)
    if wanted.kind is Kind.SUBSCRIPTION:
        edited, outdated = outdated and parts != "name", outdated and parts == "name"
    if wanted.kind is Kind.TABLE and outdated:
        edited = False  # its columns may have changed, and with them what is there: dbt's new words win
    if not edited:
        reason = parts or ("password or key" if wanted.secret else "")
        return Step(Action.UPDATE, wanted.kind, wanted.key, wanted.name, reason) if outdated else None
    name = str(found.state.get("name") or wanted.name)
    reason = f"edited in Metabase ({parts or 'other than before'})"
    if force:
        return Step(Action.RESTORE, wanted.kind, wanted.key, name, reason)
    if outdated and wanted.kind is not Kind.SUBSCRIPTION:
        reason += ", and its definition has changed since"
    return Step(Action.LEAVE, wanted.kind, wanted.key, name, f"{reason}; --force undoes that")


def _archived(found: Iterable[Found], force: bool) -> list[Step]:
    """What the definition has no longer: dashboards before their cards, and those before what they are in."""
    steps = []
    order = list(Kind)
    for each in sorted(found, key=lambda each: order.index(each.kind), reverse=True):
        mark = each.mark
        if mark is None or each.state.get("archived") or each.kind in (Kind.DATABASE, Kind.TABLE):
            continue
        if mark.id is not None and not mark.describes(each.state) and not force:
            reason = "not in the definition any more, but edited in Metabase; --force archives it"
            steps.append(Step(Action.LEAVE, each.kind, mark.key, each.name, reason))
        else:
            steps.append(Step(Action.ARCHIVE, each.kind, mark.key, each.name, "not in the definition any more"))
    return steps


def differences(wanted: Wanted, found: Found) -> str:
    """Which parts of an object are not as wanted, by name."""
    parts = sorted(name for name in {*wanted.state, *found.state} if wanted.state.get(name) != found.state.get(name))
    return ", ".join(part.replace("_", " ") for part in parts)
