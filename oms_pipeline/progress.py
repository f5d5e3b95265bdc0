"""Long work says how far it is. Whoever started it may listen; by default nobody does.

The work and the terminal know nothing of each other: a step running under Dagster's daemon reports to nobody, the same
step under `oms` moves a progress bar.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """One step forward.

    Attributes:
        task: What is being done, such as `landing`.
        step: What was just finished, such as a day.
        total: How many steps there are, if that is known.
    """

    task: str
    step: str
    total: int | None = None


_listeners: list[Callable[[Progress], None]] = []


def report(task: str, step: str, total: int | None = None) -> None:
    """Says that one step of a task is done."""
    for listener in _listeners:
        listener(Progress(task, step, total))


@contextmanager
def listening(listener: Callable[[Progress], None]) -> Iterator[None]:
    """Calls `listener` for every step that is reported while the block runs."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
