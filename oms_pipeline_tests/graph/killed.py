"""Runs `oms` and kills its own process at a given point, as a machine that is switched off would; for one test.

python -m oms_pipeline_tests.graph.killed 'reported models and tests fct_orders' run --day 2026-03-20
"""

import os
import signal
import sys

from oms_pipeline.cli import main
from oms_pipeline.progress import Progress, listening


def die_at(point: str, reached: str) -> None:
    happening, _, where = point.partition(" ")
    if reached.startswith(happening) and where in reached:
        os.kill(os.getpid(), signal.SIGKILL)


def run(point: str, arguments: list[str]) -> None:
    """Runs `oms` with arguments.

    Args:
        point: `reported`, `renamed` or `opened`, then part of the `<task> <step>` of progress, or of the path of a file.
        arguments: Of `oms`.
    """

    def watch_progress(progress: Progress) -> None:
        die_at(point, f"reported {progress.task} {progress.step}")

    def watch_files(event: str, args: tuple[object, ...]) -> None:
        if event == "os.rename":
            die_at(point, f"renamed {args[1]}")
        elif event == "open":
            die_at(point, f"opened {args[0]}")

    sys.addaudithook(watch_files)
    with listening(watch_progress):
        main(arguments, standalone_mode=False)


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2:])
