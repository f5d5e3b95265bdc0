"""How much each event matters: read from the contract's block `mails`. Sends nothing."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from oms_pipeline.alerts.problems import Kind
from oms_pipeline.contract import CONTRACT_FILE, load_mails
from oms_pipeline.errors import ContractError


class Severity(StrEnum):
    """How much an event matters."""

    HIGH = "high"
    """Mailed, and flagged as important."""
    NORMAL = "normal"
    """Mailed."""
    NEVER = "never"
    """Not mailed."""


Severities = Mapping[Kind, Severity]

# What was held back is as important as what it holds.
EVENTS: Final = tuple(kind for kind in Kind if kind is not Kind.HELD_BACK)


def load_severities() -> Severities:
    """The severity of every event.

    Raises:
        ContractError: An event or a severity is none of those there are.
    """
    return severities(load_mails())


def severities(written: Mapping[str, str]) -> Severities:
    """The severity of every event; one that is not written down is `normal`.

    Args:
        written: Event → severity, as in the contract.

    Raises:
        ContractError: An event or a severity is none of those there are.
    """
    for event, severity in written.items():
        if event not in EVENTS or severity not in list(Severity):
            raise ContractError(
                f"{CONTRACT_FILE.name}: mails has {event}: {severity}. Events are {', '.join(EVENTS)}; "
                f"each is {', '.join(Severity)}."
            )
    return {kind: Severity(written.get(kind, Severity.NORMAL)) for kind in EVENTS}
