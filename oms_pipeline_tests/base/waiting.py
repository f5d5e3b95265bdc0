"""A code location whose only job waits for a file; for the tests of lost runs."""

import os
import time
from pathlib import Path

import dagster as dg


@dg.op
def wait() -> None:
    while not Path(os.environ["WAIT_FOR"]).exists():
        time.sleep(0.1)


@dg.job(executor_def=dg.in_process_executor)
def waiting() -> None:
    wait()


defs = dg.Definitions(jobs=[waiting])
