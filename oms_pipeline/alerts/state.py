"""The cursor of the sensor `alerts`, its outbox: what was read, what is open, what was sent. Reads no events."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from oms_pipeline.alerts.problems import Kind, Problem, days_of, ranges
from oms_pipeline.errors import MailError

SENSOR: Final = "alerts"


@dataclass(frozen=True)
class State:
    """The cursor.

    Attributes:
        seen: The newest event that was read.
        problems: What is open, by key.
        sent: When the mails of the last hour were sent, in seconds since 1970.
        columns: The new columns that were told of, or are about to be, as `table.column`.
        digested: The day of the newest digest, ISO.
    """

    seen: int
    problems: Mapping[str, Problem] = field(default_factory=dict)
    sent: tuple[float, ...] = ()
    columns: frozenset[str] = frozenset()
    digested: str = ""

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
        values = {"seen": self.seen, "sent": self.sent, "columns": sorted(self.columns), "digested": self.digested}
        return json.dumps({**values, "problems": problems}, separators=(",", ":"))

    @classmethod
    def load(cls, cursor: str) -> "State":
        """The state that `dump` wrote.

        Raises:
            MailError: The cursor is something else.
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
            )
        except (ValueError, KeyError, TypeError) as error:
            raise MailError(
                f"The cursor of sensor {SENSOR} cannot be read. Reset it on the sensor's page; it then starts from now."
            ) from error


def _problem(entry: dict[str, Any]) -> Problem:
    lists = {name: tuple(value) for name, value in entry.items() if isinstance(value, list)}
    values = {"job": "", "step": "", "errors": (), **entry, **lists, "days": days_of(entry.get("days", []))}
    return Problem(**{**values, "kind": Kind(values["kind"])})
