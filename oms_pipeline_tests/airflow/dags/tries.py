"""DAGs that use the operator as the tests need it: with short waits. Read by Airflow, never by the tests."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import pendulum

try:
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow import DAG

from oms_dagster import DagsterDaysOperator

TIMEZONE = os.environ["OMS_TIMEZONE"]


def dag(name: str, **arguments: Any) -> None:
    """A DAG with one task; a retry comes at once."""
    with DAG(name, schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz=TIMEZONE), is_paused_upon_creation=False):
        DagsterDaysOperator(
            task_id="run",
            first_day="{{ dag_run.conf.get('first_day', '') }}",
            timezone=TIMEZONE,
            poll_seconds=1,
            retry_delay=timedelta(seconds=1),
            **arguments,
        )


dag("once", retries=0)
dag("twice", retries=1)
dag("impatient", retries=20, timeout=timedelta(seconds=3))
dag("cancelling", retries=0, cancel_run=True)
dag("stranger", retries=0, connection_id="stranger")
