"""Commands that run Dagster itself: all of it on one machine, or one part of it in each container."""

import os
import sys
from typing import Final

import click

from oms_pipeline.cli.output import one_line_errors
from oms_pipeline.settings import PROJECT_DIR, get_settings

PARTS: Final = ("code", "web", "daemon")


@click.command()
@click.option("--port", default=3000, show_default=True, help="Port of the web UI.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address the web UI listens on.")
@one_line_errors
def dev(port: int, host: str) -> None:
    """Start Dagster's web UI and daemon for this checkout."""
    settings = get_settings()

    from oms_pipeline.instance import prepare_dagster_home

    prepare_dagster_home(settings)
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    os.chdir(settings.home)  # not the checkout, whose dagster.yaml Dagster would warn that it is not its own
    arguments = ["dagster", "dev", "-w", str(PROJECT_DIR / "workspace.yaml"), "-h", host, "-p", str(port)]
    os.execv(sys.executable, [sys.executable, "-m", *arguments])  # noqa: S606 (no shell is what is wanted)


@click.command()
@click.argument("part", metavar="PART", type=click.Choice(PARTS))
@one_line_errors
def serve(part: str) -> None:
    """Run one part of Dagster in the foreground, as each container does.

    PART is code (the code server, which also runs the jobs), web or daemon. They find each other as
    deploy/docker/workspace.yaml says.
    """
    settings = get_settings()

    from oms_pipeline.instance import prepare_dagster_home

    prepare_dagster_home(settings)
    os.chdir(settings.home)
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    workspace = ["-w", str(PROJECT_DIR / "deploy" / "docker" / "workspace.yaml")]
    everyone = ["-h", "0.0.0.0"]  # noqa: S104 (of the container)
    arguments = {
        "code": ["dagster", "api", "grpc", *everyone, "-p", "4000", "-m", "oms_pipeline.definitions"],
        "web": ["dagster_webserver", *everyone, "-p", "3000", *workspace],
        "daemon": ["dagster._daemon", "run", *workspace],
    }
    os.execv(sys.executable, [sys.executable, "-m", *arguments[part]])  # noqa: S606 (no shell is what is wanted)
