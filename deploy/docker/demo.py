"""Fills an empty stack with the sample business, once. With an OMS of your own there is nothing to do.

python deploy/docker/demo.py
"""

from oms_pipeline.cli import main as oms
from oms_pipeline.cli.output import console, one_line_errors
from oms_pipeline.settings import get_settings


@one_line_errors
def fill() -> None:
    """Runs `oms demo`, and keeps in a file that it has."""
    settings = get_settings()
    loaded = settings.home / "demo_loaded"
    if not settings.uses_sample:
        console.print("The OMS is your own: there is no demo to load.")
    elif not loaded.exists():
        oms(["demo"], standalone_mode=False)
        loaded.touch()


if __name__ == "__main__":
    fill()
