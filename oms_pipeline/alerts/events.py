"""Reads what Dagster recorded of runs and checks, and tells it as events. Decides nothing, sends nothing."""

import datetime as dt
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import dagster as dg
from dagster._core.event_api import EventLogCursor
from dagster._core.execution.backfill import BULK_ACTION_TERMINAL_STATUSES
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    ASSET_RESUME_RETRY_TAG,
    BACKFILL_ID_TAG,
    PARTITION_NAME_TAG,
    RESUME_RETRY_TAG,
    WILL_RETRY_TAG,
)

from oms_pipeline.alerts.problems import Failure, Kind, Lateness, RunEnded, days_between, one_line
from oms_pipeline.presentation import NEW_COLUMNS, ON_TIME, late_text, loads_marts, step_error

BATCH: Final = 250
READ_SECONDS: Final = 15.0
# A run's event is recorded before the tag that says whether it will be retried, and on a server database events can
# become visible out of order: the newest seconds are left for the next tick.
SETTLE_SECONDS: Final = 5.0
CHECKS_SHOWN: Final = 3

RUN_ENDS: Final = (dg.DagsterEventType.RUN_FAILURE, dg.DagsterEventType.RUN_SUCCESS)

LateOf = Callable[[dg.DagsterInstance, Collection[dg.AssetKey], dt.datetime], Mapping[dg.AssetKey, Sequence[dt.date]]]
"""Tells the late days of some assets at an instant."""

Evaluations = Mapping[dg.AssetCheckKey, tuple[float, dg.AssetCheckEvaluation]]


@dataclass(frozen=True)
class Catalog:
    """What the code location knows of its jobs, assets and checks.

    Attributes:
        by_step: Step → its assets.
        owners: Asset → who looks after it.
        job_owners: Job → who looks after it.
        job_assets: Job → the assets it makes.
        checks: The checks of all assets.
        location: Name of the code location; None where there is one only.
    """

    by_step: Mapping[str, frozenset[str]]
    owners: Mapping[str, tuple[str, ...]]
    job_owners: Mapping[str, tuple[str, ...]]
    job_assets: Mapping[str, frozenset[str]]
    checks: Sequence[dg.AssetCheckKey]
    location: str | None = None

    @classmethod
    def of(cls, repository: dg.RepositoryDefinition, location: str | None = None) -> "Catalog":
        """The catalog of a code location."""
        by_step: dict[str, set[str]] = {}
        for key, definition in repository.assets_defs_by_key.items():
            if definition.is_executable:
                by_step.setdefault(definition.node_def.name, set()).add(key.to_user_string())
        graph, jobs = repository.asset_graph, repository.get_all_jobs()
        return cls(
            {step: frozenset(names) for step, names in by_step.items()},
            {key.to_user_string(): tuple(graph.get(key).owners) for key in graph.get_all_asset_keys()},
            {job.name: tuple(job.owners or ()) for job in jobs},
            {
                job.name: frozenset(key.to_user_string() for key in job.asset_layer.executable_asset_keys)
                for job in jobs
            },
            sorted(graph.asset_check_keys),
            location,
        )

    @property
    def due(self) -> list[dg.AssetKey]:
        """The assets that have a deadline."""
        return [check.asset_key for check in self.checks if check.name == ON_TIME]

    def owners_of(self, assets: Sequence[str]) -> tuple[str, ...]:
        """Who looks after some assets."""
        return tuple(sorted({owner for asset in assets for owner in self.owners.get(asset, ())}))


def newest(instance: dg.DagsterInstance) -> int:
    """The newest end of a run there is; 0 if there is none."""
    records = [instance.fetch_run_status_changes(kind, limit=1).records for kind in RUN_ENDS]
    return max((record.storage_id for found in records for record in found), default=0)


def ended_runs(
    instance: dg.DagsterInstance, catalog: Catalog, seen: int, now: float
) -> Iterator[tuple[int, float, list[RunEnded]]]:
    """The runs that ended since, in their order and in batches, as far as there is time to read.

    Args:
        instance: Where Dagster's events are.
        catalog: The assets.
        seen: The newest end of a run that was read before.
        now: Seconds since 1970.

    Yields:
        The newest end of a run that is read by then, up to when in seconds since 1970 all ends are read, and the runs
        that will not be retried.
    """
    started = time.monotonic()
    has_more = True
    while has_more and time.monotonic() - started < READ_SECONDS:
        records, has_more = _new_records(instance, seen, now - SETTLE_SECONDS)
        seen = records[-1].storage_id if records else seen
        read_until = records[-1].timestamp if has_more else now - SETTLE_SECONDS
        yield seen, read_until, list(_ended(instance, catalog, records))


def lateness(instance: dg.DagsterInstance, catalog: Catalog, late_of: LateOf, now: float) -> Lateness:
    """Which assets are late, by the days they have.

    Args:
        instance: Where Dagster's events are.
        catalog: The assets.
        late_of: Tells late days.
        now: Seconds since 1970.
    """
    found = late_of(instance, catalog.due, dt.datetime.fromtimestamp(now, dt.UTC))
    late = {key.to_user_string(): days for key, days in found.items() if days}
    return Lateness(
        now,
        {name: late_text(days) for name, days in late.items()},
        max((str(days[-1]) for days in late.values()), default=""),
        catalog.owners_of(sorted(late)),
        len(found),
    )


def evaluations(instance: dg.DagsterInstance, checks: Sequence[dg.AssetCheckKey]) -> Evaluations:
    """The newest evaluation of each check that has one, and when it was, in seconds since 1970."""
    found: dict[dg.AssetCheckKey, tuple[float, dg.AssetCheckEvaluation]] = {}
    for key, record in instance.event_log_storage.get_latest_asset_check_execution_by_key(checks).items():
        event = record.event.dagster_event if record.event is not None else None
        if event is not None and event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            found[key] = (record.create_timestamp, event.asset_check_evaluation_data)
    return found


def is_over(instance: dg.DagsterInstance, backfill: str, read_until: float) -> bool:
    """Whether a backfill has ended, and all of its runs are read.

    Args:
        instance: Where Dagster's backfills are.
        backfill: Its identifier.
        read_until: Up to when the ends of runs are read, in seconds since 1970.
    """
    found = instance.get_backfill(backfill)
    if found is None:
        return True
    return found.status in BULK_ACTION_TERMINAL_STATUSES and (found.backfill_end_timestamp or 0.0) <= read_until


def days_of_run(tags: Mapping[str, str]) -> list[str]:
    """The partitions of a run, by its tags."""
    if ASSET_PARTITION_RANGE_START_TAG in tags:
        return days_between(tags[ASSET_PARTITION_RANGE_START_TAG], tags[ASSET_PARTITION_RANGE_END_TAG])
    return [tags[PARTITION_NAME_TAG]] if PARTITION_NAME_TAG in tags else []


def _new_records(instance: dg.DagsterInstance, seen: int, until: float) -> tuple[list[dg.EventLogRecord], bool]:
    """The next events of all kinds in their order, and whether there are more."""
    cursor = EventLogCursor.from_storage_id(seen).to_string()
    batches = [
        instance.fetch_run_status_changes(kind, limit=BATCH, cursor=cursor, ascending=True).records for kind in RUN_ENDS
    ]
    # Beyond the end of a full batch, a kind may have more events than were read.
    full = [batch[-1].storage_id for batch in batches if len(batch) == BATCH]
    records = sorted((record for batch in batches for record in batch), key=lambda record: record.storage_id)
    if full:
        records = [record for record in records if record.storage_id <= min(full)]
    for n, record in enumerate(records):
        if record.timestamp > until:
            return records[:n], False
    return records, bool(full)


def _ended(instance: dg.DagsterInstance, catalog: Catalog, records: Sequence[dg.EventLogRecord]) -> Iterator[RunEnded]:
    run_ids = [record.run_id for record in records]
    runs = {run.run_id: run for run in instance.get_runs(dg.RunsFilter(run_ids=run_ids))} if run_ids else {}
    for record in records:
        # A run that was deleted since has nobody to tell of it.
        run, event = runs.get(record.run_id), record.event_log_entry.dagster_event
        if run is not None and event is not None and run.tags.get(WILL_RETRY_TAG) != "true":
            yield _run_ended(instance, catalog, record.timestamp, run, event)


def _run_ended(
    instance: dg.DagsterInstance, catalog: Catalog, at: float, run: dg.DagsterRun, end: dg.DagsterEvent
) -> RunEnded:
    origin = run.remote_job_origin
    location = origin.repository_origin.code_location_origin.location_name if origin is not None else None
    # A run of the command line has no location; one of another location may have a job of the same name.
    is_ours = location is None or catalog.location is None or location == catalog.location
    plan = _first(instance, run)
    # Limited to no assets means not limited, unless it is limited to checks, or to some ops.
    selected = frozenset(key.to_user_string() for key in plan.asset_selection or ())
    is_whole = not selected and plan.asset_check_selection is None and not plan.resolved_op_selection
    of_job = catalog.job_assets.get(run.job_name, frozenset()) if is_ours and is_whole else frozenset()
    assets = selected or of_job
    failed_step, error, checks = _steps_and_checks(instance, run.run_id)
    return RunEnded(
        at=at,
        job=run.job_name if is_ours else f"{location}: {run.job_name}",
        run_id=run.run_id,
        failure=_failure(catalog, assets, end, failed_step, error, checks),
        days=tuple(days_of_run(run.tags)),
        backfill=run.tags.get(BACKFILL_ID_TAG),
        assets=assets,
        is_whole=is_whole,
        # A first execution may list its steps too: all of them.
        steps=frozenset(plan.step_keys_to_execute) if plan.parent_run_id and plan.step_keys_to_execute else None,
        new_columns=tuple(sorted(_new_columns(checks))),
        owners=catalog.job_owners.get(run.job_name, ()) if is_ours else (),
    )


def _first(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRun:
    """The run whose work a run ends: itself, or the one that it goes on with from where that failed."""
    while run.parent_run_id and "true" in (run.tags.get(RESUME_RETRY_TAG), run.tags.get(ASSET_RESUME_RETRY_TAG)):
        parent = instance.get_run_by_id(run.parent_run_id)
        if parent is None:
            break
        run = parent
    return run


def _steps_and_checks(instance: dg.DagsterInstance, run_id: str) -> tuple[str, str, list[dg.AssetCheckEvaluation]]:
    """The first step of a run that failed and why, empty if none did, and the last evaluation of each of its checks."""
    kinds = {
        dg.DagsterEventType.STEP_SUCCESS,
        dg.DagsterEventType.STEP_FAILURE,
        dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    }
    failed_step = error = ""
    marts_are_loaded = False
    checks: dict[dg.AssetCheckKey, dg.AssetCheckEvaluation] = {}
    for record in instance.get_records_for_run(run_id, of_type=kinds).records:
        event = record.event_log_entry.dagster_event
        if event is None:
            continue
        if event.event_type == dg.DagsterEventType.STEP_FAILURE:
            if not error:
                failed_step, error = event.step_key or "", step_error(event, marts_are_loaded)
        elif event.event_type == dg.DagsterEventType.STEP_SUCCESS:
            marts_are_loaded |= loads_marts(event)
        else:
            check = event.asset_check_evaluation_data
            # The order tells which failed first.
            checks.pop(check.asset_check_key, None)
            checks[check.asset_check_key] = check
    return failed_step, error, list(checks.values())


def _new_columns(checks: Sequence[dg.AssetCheckEvaluation]) -> Iterator[str]:
    for check in checks:
        if NEW_COLUMNS in check.metadata:
            for column in str(check.metadata[NEW_COLUMNS].value).split(", "):
                yield f"{check.asset_key.path[-1]}.{column}"


def _failure(
    catalog: Catalog,
    of_run: frozenset[str],
    end: dg.DagsterEvent,
    step: str,
    error: str,
    checks: Sequence[dg.AssetCheckEvaluation],
) -> Failure | None:
    """What went wrong: the first step that failed, or the checks that failed for good, also in a run that succeeded."""
    # What is late is told as such, whoever evaluates it.
    failed_checks = [
        check
        for check in checks
        if not check.passed and check.severity is dg.AssetCheckSeverity.ERROR and check.check_name != ON_TIME
    ]
    if end.event_type == dg.DagsterEventType.RUN_SUCCESS and not failed_checks:
        return None
    errors = [error or end.message or "The run failed."]
    # A run that ends without a step, as when its process is lost, fails all that it was to make, and that is nobody's
    # asset in particular.
    assets = sorted(catalog.by_step.get(step.partition(".")[0], frozenset()) & of_run if step else of_run)
    if failed_checks:
        found = [_found(check) for check in failed_checks]
        more = [f"and {len(found) - CHECKS_SHOWN} more"] if len(found) > CHECKS_SHOWN else []
        errors = ["; ".join(found[:CHECKS_SHOWN] + more), *(errors if error else [])]
        assets = sorted({check.asset_key.to_user_string() for check in failed_checks})
    return Failure(
        Kind.CHECK_FAILED if failed_checks else Kind.RUN_FAILED,
        step or ("checks" if failed_checks else ""),
        one_line(". ".join(each.rstrip(". ") for each in errors)),
        tuple(assets),
        catalog.owners_of(assets) if step or failed_checks else (),
    )


def _found(check: dg.AssetCheckEvaluation) -> str:
    numbers = [
        f"{label} {value.value}"
        for label, value in check.metadata.items()
        if isinstance(value, dg.IntMetadataValue | dg.FloatMetadataValue | dg.TextMetadataValue)
    ]
    details = ", ".join([check.description, *numbers] if check.description else numbers)
    name = f"{check.check_name} on {check.asset_key.to_user_string()}"
    return f"{name}: {details}" if details else name
