"""What every command shows the same way: progress, errors in one line. Knows no command."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressBars

from oms_pipeline.errors import OmsError
from oms_pipeline.progress import Progress

console: Final = Console()
errors: Final = Console(stderr=True)

DAY: Final = click.DateTime(["%Y-%m-%d"])


def one_line_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Shows what the user can mend as one line and exits with 1; anything else is a bug and keeps its traceback."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except OmsError as error:
            errors.print(f"[bold red]Error:[/] {escaped(str(error))}", highlight=False, soft_wrap=True)
            sys.exit(1)

    return run


@contextmanager
def progress_bars() -> Iterator[Callable[[Progress], None]]:
    """Bars that appear when a task reports its first step; on something that is no terminal, nothing moves."""
    bars = ProgressBars(
        TextColumn("{task.description:<18}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[step]}"),
        console=console,
    )
    tasks: dict[str, Any] = {}

    def step(progress: Progress) -> None:
        if progress.task not in tasks:
            tasks[progress.task] = bars.add_task(progress.task, total=progress.total, step="")
        task = bars.tasks[tasks[progress.task]]
        if task.total is not None and task.completed >= task.total:  # the next run goes on with the same bar
            bars.update(task.id, total=task.total + (progress.total or 0))
        bars.update(task.id, advance=1, step=progress.step)

    with bars:
        yield step
        for task in tasks.values():
            bars.update(task, step="")


def escaped(text: str) -> str:
    """Text in which brackets are no markup."""
    return text.replace("[", r"\[")
