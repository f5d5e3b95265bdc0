"""Whether every day is in by its deadline: Dagster's freshness policies, and a check that knows days.

Day D is due on the morning after it, at the contract's deadline in the calendar's time zone. A policy looks at when an
asset was last written, not at which day that was; the check `on_time` looks at the days.
"""

import datetime as dt
import json
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

import dagster as dg

from oms_pipeline.calendar import Window, newest_due
from oms_pipeline.presentation import ON_TIME, late_text
from oms_pipeline.settings import Settings

SENSOR: Final = "on_time_sensor"
LAYERS_DUE: Final = ("raw", "staging", "marts")
SENSOR_SECONDS: Final = 60


def due_days(settings: Settings, deadline: dt.time, now: dt.datetime) -> list[dt.date]:
    """The days that should be in by now.

    Args:
        settings: For the calendar.
        deadline: The local time, on the day after, by which a day is due.
        now: The instant to look at.
    """
    end = newest_due(settings.timezone, deadline, now) + dt.timedelta(days=1)
    return Window(settings.start_date, end, settings.timezone).days


def late_days(days: Collection[dt.date], settings: Settings, deadline: dt.time, now: dt.datetime) -> list[dt.date]:
    """The days that should be in by now and are not.

    Args:
        days: The days that are in.
        settings: For the calendar.
        deadline: The local time, on the day after, by which a day is due.
        now: The instant to look at.
    """
    return sorted(set(due_days(settings, deadline, now)) - set(days))


def late_assets(
    instance: dg.DagsterInstance,
    keys: Collection[dg.AssetKey],
    now: dt.datetime,
    settings: Settings,
    deadline: dt.time,
) -> dict[dg.AssetKey, list[dt.date]]:
    """The late days of each asset, by the partitions it has.

    Args:
        instance: Where Dagster's events are.
        keys: The assets.
        now: The instant to look at.
        settings: For the calendar.
        deadline: The local time, on the day after, by which a day is due.
    """
    late = {}
    for key in keys:
        days = map(dt.date.fromisoformat, instance.get_materialized_partitions(key))
        late[key] = late_days(list(days), settings, deadline, now)
    return late


def freshness_policy(settings: Settings, deadline: dt.time) -> dg.FreshnessPolicy:
    """Written between midnight and the deadline, every day."""
    return dg.FreshnessPolicy.cron(
        deadline_cron=f"{deadline.minute} {deadline.hour} * * *",
        lower_bound_delta=dt.timedelta(hours=deadline.hour, minutes=deadline.minute),
        timezone=settings.timezone.key,
    )


def with_freshness(
    assets: Sequence[dg.AssetsDefinition], settings: Settings, deadline: dt.time
) -> list[dg.AssetsDefinition]:
    """The assets, with the policy on those of the layers that have a deadline."""
    policy = freshness_policy(settings, deadline)

    def fresh(spec: dg.AssetSpec) -> dg.AssetSpec:
        return spec.replace_attributes(freshness_policy=policy) if spec.key.path[0] in LAYERS_DUE else spec

    return [definition.map_asset_specs(fresh) for definition in assets]


def on_time_checks(
    assets: Sequence[dg.AssetsDefinition], settings: Settings, deadline: dt.time
) -> tuple[dg.AssetChecksDefinition, dg.SensorDefinition]:
    """The check `on_time` of every asset that has a deadline, and the sensor that keeps it up to date without a run."""
    keys = [spec.key for definition in assets for spec in definition.specs if spec.key.path[0] in LAYERS_DUE]

    @dg.multi_asset_check(
        name=ON_TIME,
        specs=[
            dg.AssetCheckSpec(
                ON_TIME,
                asset=key,
                description=f"Every day is in by {deadline:%H:%M} {settings.timezone.key} of the day after.",
            )
            for key in keys
        ],
        can_subset=True,
    )
    def on_time(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        asked = sorted(check.asset_key for check in context.selected_asset_check_keys)
        for key, late in late_assets(context.instance, asked, dt.datetime.now(dt.UTC), settings, deadline).items():
            yield dg.AssetCheckResult(asset_key=key, check_name=ON_TIME, **_told(late))

    @dg.sensor(
        name=SENSOR,
        minimum_interval_seconds=SENSOR_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Evaluates the checks `on_time` as days fall due and come in. Starts no run.",
    )
    def on_time_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        before: dict[str, list[str]] = json.loads(context.cursor or "{}")
        after: dict[str, list[str]] = {}
        changed = []
        for key, late in late_assets(context.instance, keys, dt.datetime.now(dt.UTC), settings, deadline).items():
            name = key.to_user_string()
            # A cursor has to stay small: the number and the ends tell whether the days are others than before.
            after[name] = [str(len(late)), *map(str, late[:1] + late[-1:])]
            if after[name] != before.get(name):
                changed.append(dg.AssetCheckEvaluation(asset_key=key, check_name=ON_TIME, **_told(late)))
        return dg.SensorResult(asset_events=changed, cursor=json.dumps(after))

    return on_time, on_time_sensor


def _told(late: Sequence[dt.date]) -> dict[str, Any]:
    """What a check of these late days has to say."""
    if not late:
        return {"passed": True, "metadata": {"late_days": 0}}
    return {
        "passed": False,
        "metadata": {"late_days": len(late), "first_late_day": str(late[0]), "last_late_day": str(late[-1])},
        "description": late_text(late),
    }
