"""`oms`: the command line. Parses words and shows results; the work is done in the rooms."""

import atexit
import gc
import logging
import os
import sys
import warnings
from typing import Final

import click

from oms_pipeline.cli import alerts, dashboards, pipeline, sample, services, snowflake

GARBAGE_THRESHOLD: Final = 50_000


def run() -> None:
    """The console script: `main`, without what Python does for processes that live long.

    Half of a cold start would go to collecting garbage among half a gigabyte of imports that stay anyway, and two
    seconds to taking them apart one by one at the end.
    """
    code: int | str | None = 1
    gc.set_threshold(GARBAGE_THRESHOLD)
    atexit.register(lambda: _end(code))  # registered first, so it runs after everybody else's
    try:
        main()
    except SystemExit as end:
        code = end.code
        raise


def _end(code: int | str | None) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


class _InOrder(click.Group):
    """A group that lists its commands in the order in which one needs them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=_InOrder, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
def main() -> None:
    """Yesterday's orders in the warehouse, every morning.

    \b
    First steps:  oms demo            see it work on a sample OMS
                  oms check           is everything in place?
                  oms run --day D     load one day
                  oms status          what is there, what is missing?

    Settings come from environment variables or a .env file; the README lists them.
    """  # noqa: D301 (click takes the backspace itself as "leave these lines as they are")
    logging.basicConfig(level=logging.ERROR, format="%(message)s")
    logging.getLogger("oms_pipeline").setLevel(logging.INFO)
    # What libraries say of their own future does not concern whoever loads a day.
    warnings.simplefilter("ignore")


for command in (
    pipeline.demo,
    pipeline.run_day,
    pipeline.backfill,
    pipeline.rebuild,
    pipeline.status,
    pipeline.check,
    services.dev,
    services.serve,
    dashboards.report,
    dashboards.group,
    snowflake.cost,
    alerts.group,
    snowflake.group,
    sample.group,
):
    main.add_command(command)
