"""Runs the OMS pipeline for the day before, or for the days that you choose when you trigger it.

A range is one run in Dagster. Its steps, logs and checks are on its page there; the task's log tells the address.
"""

from __future__ import annotations

import os
from datetime import timedelta

import pendulum

try:
    from airflow.sdk import DAG, Param
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.models.param import Param

from oms_dagster import DagsterDaysOperator

TIMEZONE = os.environ.get("OMS_TIMEZONE") or "UTC"
"""Where a day starts and ends: the same as the pipeline's own `OMS_TIMEZONE`."""


def day(description: str) -> Param:
    """An optional day in the form that Airflow shows."""
    return Param(None, type=["null", "string"], format="date", description=description)


with DAG(
    "daily_oms",
    schedule="30 1 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz=TIMEZONE),
    catchup=False,
    max_active_runs=1,
    params={
        "first_day": day("The day to run. Empty: the day before."),
        "last_day": day("The last day of a range. Empty: one day only."),
    },
    doc_md=__doc__,
    tags=["oms"],
):
    DagsterDaysOperator(
        task_id="run",
        first_day="{{ params.first_day or '' }}",
        last_day="{{ params.last_day or '' }}",
        timezone=TIMEZONE,
        retries=2,
        retry_delay=timedelta(minutes=5),
    )
