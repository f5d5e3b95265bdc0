"""Puts the dashboards into Metabase if there is something to show; then it waits for the next start.

python deploy/docker/dashboards.py
"""

import os
from pathlib import Path

from oms_pipeline.cli import main as oms
from oms_pipeline.cli.output import console, one_line_errors
from oms_pipeline.settings import get_settings
from oms_pipeline.warehouse import PIPELINE_RUNS

DONE = Path("/tmp/done")  # noqa: S108 (of the container, and gone with its next start)


@one_line_errors
def put() -> None:
    """Runs `oms dashboards sync`, as each run does once there are marts."""
    settings = get_settings()
    if settings.metabase is None:
        console.print("OMS_METABASE_URL is off: there are no dashboards to put anywhere.")
        return

    from oms_pipeline.definitions import make_warehouse

    if make_warehouse(settings).read(f"select 1 as one from {PIPELINE_RUNS} limit 1"):
        oms(["dashboards", "sync"], standalone_mode=False)
    else:
        console.print("No day is loaded yet: the first run puts the dashboards into Metabase.")


if __name__ == "__main__":
    put()
    DONE.touch()
    os.execvp("sleep", ["sleep", "infinity"])  # noqa: S606, S607 (unlike this process it takes no memory)
