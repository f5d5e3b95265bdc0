"""Tells what the pipeline keeps in Metabase from what people made there: by a line in the description. Pure.

The line holds a name that never changes, the object's own id, and fingerprints of what was last written. A copy that
somebody makes carries the original's id, so it is theirs; who deletes the line has taken the object over.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

_TEXT: Final = "Kept by OMS Pipeline ({}). Edits are undone on request; to make it your own, delete this line."
_LINE: Final = re.compile(
    r"\n*Kept by OMS Pipeline \((?P<key>[a-z0-9_/.]+)(?: #(?P<id>\d+))? "
    r"(?P<wanted>[0-9a-f]{12})(?:/(?P<stored>[0-9a-f]{12}))?\)\. [^\n]*delete this line\."
)


@dataclass(frozen=True)
class Mark:
    """What the line says.

    Attributes:
        key: Which object of the definition it is, such as `card/sales/net_sales`.
        id: Its id in Metabase; None until it is known.
        wanted: Fingerprint of what was last to be written.
        stored: Fingerprint of what Metabase made of it, where that is something else.
    """

    key: str
    id: int | None
    wanted: str
    stored: str | None = None

    def __str__(self) -> str:
        number = "" if self.id is None else f" #{self.id}"
        stored = "" if self.stored is None else f"/{self.stored}"
        return _TEXT.format(f"{self.key}{number} {self.wanted}{stored}")

    def describes(self, state: Mapping[str, Any]) -> bool:
        """Whether an object is as it was last written."""
        return fingerprint(state) == (self.stored or self.wanted)

    def of_stored(self, state: Mapping[str, Any]) -> "Mark":
        """The mark that fits what Metabase made of it."""
        found = fingerprint(state)
        return replace(self, stored=None if found == self.wanted else found)


def fingerprint(state: Mapping[str, Any]) -> str:
    """Twelve hexadecimal digits that differ when anything in it does."""
    return hashlib.sha256(json.dumps(state, sort_keys=True, default=str).encode()).hexdigest()[:12]


def described(text: str, mark: Mark) -> str:
    """A description with its mark."""
    return f"{text}\n\n{mark}" if text else str(mark)


def read(description: str | None) -> tuple[str, Mark | None]:
    """A description without its mark, and the mark if it has one."""
    text = description or ""
    match = _LINE.search(text)
    if match is None:
        return text, None
    number = int(match["id"]) if match["id"] else None
    return text[: match.start()] + text[match.end() :], Mark(match["key"], number, match["wanted"], match["stored"])
