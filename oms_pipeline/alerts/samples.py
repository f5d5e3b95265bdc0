"""A mail of each kind of problem, about what nobody has, to see how it reads. Sends nothing."""

from dataclasses import replace
from email.message import EmailMessage

from oms_pipeline.alerts.mail import render, render_held_back
from oms_pipeline.alerts.page import Envelope
from oms_pipeline.alerts.problems import Kind, Problem
from oms_pipeline.alerts.severity import Severities

DAY = "2026-01-31"


def sample(kind: Kind, envelope: Envelope, severities: Severities, now: float) -> EmailMessage:
    """A mail of a kind; any but a digest, which is better looked at with the numbers that are there.

    Args:
        kind: The kind.
        envelope: Sender, recipients, links.
        severities: How much each event matters.
        now: Seconds since 1970.
    """
    failed = Problem(
        key="daily_oms/raw",
        kind=Kind.RUN_FAILED,
        job="daily_oms",
        step="raw",
        opened=now,
        errors=(
            "The OMS at db.example.com:5432/oms does not answer: connection refused. Start it, run the day again.",
        ),
        assets=tuple(
            f"raw/{table}" for table in ("customers", "order_items", "orders", "payments", "returns", "stores")
        ),
        days=("2026-01-30", DAY),
        owners=("team:data",),
        run_id="00000000-0000-0000-0000-000000000000",
        count=2,
    )
    check = replace(
        failed,
        key="daily_oms/transform",
        kind=Kind.CHECK_FAILED,
        step="transform",
        errors=("matches_contract_stg_oms__orders on staging/stg_oms__orders: expected 0 failing rows, found 3",),
        assets=("staging/stg_oms__orders",),
        days=(DAY,),
        count=1,
    )
    late = Problem(
        key="freshness",
        kind=Kind.FRESHNESS_MISSED,
        job="",
        step="",
        opened=now,
        errors=(f"1 day is late: {DAY}. Run: oms backfill --from {DAY} --to {DAY}",),
        assets=("marts/daily_sales", "marts/fct_orders"),
        days=(DAY,),
        owners=("team:data",),
    )
    drift = Problem(
        key="schema drift",
        kind=Kind.SCHEMA_DRIFT,
        job="",
        step="",
        opened=now,
        errors=(),
        columns=("orders.gift_note", "orders.loyalty_tier"),
        days=(DAY,),
        run_id=failed.run_id,
    )
    if kind is Kind.HELD_BACK:
        return render_held_back([failed, check, late], envelope, severities, now)
    over = replace(failed, mails=1, recovered=now)
    problems = {
        Kind.RECOVERED: over,
        Kind.CHECK_FAILED: check,
        Kind.FRESHNESS_MISSED: late,
        Kind.SCHEMA_DRIFT: drift,
    }
    return render(problems.get(kind, failed), envelope, severities, now)
