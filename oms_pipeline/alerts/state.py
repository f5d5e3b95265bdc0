"""The cursor of the sensor `alerts`, its outbox: what was read, what is open, what was sent. Reads no events."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import SensorInstigatorData

from oms_pipeline.alerts.problems import Kind, Problem, Problems, days_of, ranges
from oms_pipeline.errors import OmsError

SENSOR: Final = "alerts"
DIGEST_KEY: Final = "digest"


@dataclass(frozen=True)
class Refusal:
    """A mail that was refused, and is tried again.

    Attributes:
        at: When it was refused, in seconds since 1970.
        message_id: Which mail.
        later: Who has not got it, where others have; empty if nobody has.
    """

    at: float
    message_id: str
    later: tuple[str, ...] = ()


@dataclass(frozen=True)
class State:
    """The cursor.

    Attributes:
        seen: The newest event that was read.
        problems: What is open, by key.
        sent: When the mails of the last hour were sent, in seconds since 1970.
        columns: The new columns that were told of, or are about to be, as `table.column`.
        digested: The day of the newest digest, ISO.
        refused: Mails the server refused, by problem or `DIGEST_KEY`.
        held: The problems that waited because of the limit of mails per hour.
    """

    seen: int
    problems: Mapping[str, Problem] = field(default_factory=dict)
    sent: tuple[float, ...] = ()
    columns: frozenset[str] = frozenset()
    digested: str = ""
    refused: Mapping[str, Refusal] = field(default_factory=dict)
    held: frozenset[str] = frozenset()

    def dump(self) -> str:
        """The state as compact JSON."""
        problems = [
            {
                name: value
                for name, value in {**asdict(p), "days": ranges(p.days)}.items()
                if value not in (None, (), [], "")
            }
            for p in self.problems.values()
        ]
        values = {
            "seen": self.seen,
            "sent": self.sent,
            "columns": sorted(self.columns),
            "digested": self.digested,
            "refused": {key: asdict(refusal) for key, refusal in self.refused.items()},
            "held": sorted(self.held),
        }
        return json.dumps({**values, "problems": problems}, separators=(",", ":"))

    @classmethod
    def load(cls, cursor: str) -> "State":
        """The state that `dump` wrote.

        Raises:
            OmsError: The cursor is something else.
        """
        try:
            values = json.loads(cursor)
            problems = [_problem(entry) for entry in values["problems"]]
            return cls(
                int(values["seen"]),
                {problem.key: problem for problem in problems},
                tuple(values["sent"]),
                frozenset(values["columns"]),
                values["digested"],
                {
                    key: Refusal(**{**each, "later": tuple(each["later"])})
                    for key, each in values.get("refused", {}).items()
                },
                frozenset(values.get("held", ())),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise OmsError(
                f"The cursor of sensor {SENSOR} cannot be read. Reset it on the sensor's page; it then starts from now."
            ) from error


def known_problems(instance: dg.DagsterInstance) -> Problems:
    """The problems that were open at the sensor's last tick, by key; none if it never ran.

    Args:
        instance: Where Dagster keeps the cursors of sensors.

    Raises:
        OmsError: The cursor is something else.
    """
    cursors = [
        sensor.instigator_data.cursor
        for sensor in instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
        if sensor.instigator_name == SENSOR and isinstance(sensor.instigator_data, SensorInstigatorData)
    ]
    # A code location that was renamed has left its cursor.
    newest = max((State.load(cursor) for cursor in cursors if cursor), key=lambda state: state.seen, default=State(0))
    return {key: problem for key, problem in newest.problems.items() if problem.recovered is None}


def _problem(entry: dict[str, Any]) -> Problem:
    lists = {name: tuple(value) for name, value in entry.items() if isinstance(value, list)}
    values = {"job": "", "step": "", "errors": (), **entry, **lists, "days": days_of(entry.get("days", []))}
    return Problem(**{**values, "kind": Kind(values["kind"])})
