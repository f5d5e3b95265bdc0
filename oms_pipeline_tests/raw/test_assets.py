"""The raw assets as Dagster shows and retries them."""

import datetime as dt
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import dagster as dg
import pytest

from oms_pipeline.contract import load_contract
from oms_pipeline.errors import CalendarError
from oms_pipeline.raw import RawConfig, RawZone, raw_assets
from oms_pipeline.raw.landing import write_parquet
from oms_pipeline.raw.manifest import manifest_path
from oms_pipeline_tests.raw.conftest import Landing


def materialise(landing: Landing, first: str, last: str = "", *, reextract: bool = False) -> dict[str, dict[str, Any]]:
    """Runs the step by itself; table name → metadata."""
    results = materialise_and_check(landing, first, last, reextract=reextract)
    return {
        result.asset_key.path[1]: dict(result.metadata or {})
        for result in results
        if isinstance(result, dg.MaterializeResult) and result.asset_key
    }


def materialise_and_check(
    landing: Landing, first: str, last: str = "", *, reextract: bool = False
) -> list[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    """Runs the step by itself."""
    assets = raw_assets(landing.oms.settings(landing.folder), load_contract())
    context = dg.build_asset_context(partition_key_range=dg.PartitionKeyRange(first, last or first))
    results: Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult] = assets(
        context, RawConfig(reextract=reextract), source=landing.oms.source(), raw_zone=landing.zone
    )
    return list(results)


def checks(landing: Landing, first: str, last: str = "") -> dict[tuple[str, str], dg.AssetCheckResult]:
    """(Table, check) → its result."""
    return {
        (result.asset_key.path[1], result.check_name or ""): result
        for result in materialise_and_check(landing, first, last)
        if isinstance(result, dg.AssetCheckResult) and result.asset_key
    }


def figures(check: dg.AssetCheckResult) -> dict[str, Any]:
    return {name: getattr(value, "value", value) for name, value in (check.metadata or {}).items()}


def test_there_is_one_asset_per_table_in_the_raw_layer(landing: Landing) -> None:
    assets = raw_assets(landing.oms.settings(landing.folder), load_contract())
    specs = {spec.key.to_user_string(): spec for spec in assets.specs}
    assert list(specs) == [f"raw/{table}" for table in load_contract()]
    assert {spec.group_name for spec in specs.values()} == {"raw"}
    assert {spec.partitions_def for spec in specs.values()} == {assets.partitions_def}
    schema = specs["raw/orders"].metadata["dagster/column_schema"]
    assert [column.name for column in schema.columns] == [column.name for column in load_contract()["orders"].columns]
    assert all(column.description for column in schema.columns)


def test_each_asset_tells_its_rows_bytes_path_and_snapshot(landing: Landing) -> None:
    landing.oms.order(1, "2026-03-02 10:00+00", lines=2)
    told = materialise(landing, "2026-03-02")
    manifest = landing.zone.manifest(dt.date(2026, 3, 2))
    assert manifest is not None
    for name, file in manifest.files.items():
        assert told[name]["dagster/row_count"] == file.rows
        assert told[name]["bytes"] == file.bytes
        assert told[name]["sha256"] == file.sha256
        assert told[name]["path"].value == landing.zone.url(file)
        assert told[name]["snapshot"] == manifest.snapshot
        assert told[name]["settled"] is True
    assert "N-1" in told["orders"]["preview"].value


def test_a_range_tells_the_sum_of_its_days(landing: Landing) -> None:
    landing.oms.order(1, "2026-03-02 10:00+00", lines=2)
    landing.oms.order(2, "2026-03-03 10:00+00", lines=1)
    told = materialise(landing, "2026-03-02", "2026-03-03")
    assert told["order_items"]["dagster/row_count"] == 3
    assert told["order_items"]["window"] == "2026-03-02 to 2026-03-03"
    assert told["inventory"]["dagster/row_count"] == 16


def test_an_asset_without_a_file_says_why(landing: Landing) -> None:
    materialise(landing, "2026-03-02", "2026-03-04")
    told = materialise(landing, "2026-03-02")
    assert told["stores"]["dagster/row_count"] == 0
    assert "last day of a range only" in told["stores"]["note"]


def test_a_preview_shows_no_personal_data(landing: Landing) -> None:
    landing.oms.execute("update customers set updated_at = '2026-03-02 10:00+00'")
    told = materialise(landing, "2026-03-02")
    for table, hidden in (("customers", ["customer1@example.com", "Customer 1"]), ("employees", ["Employee 1"])):
        preview = told[table]["preview"].value
        assert "•••" in preview
        assert not [text for text in hidden if text in preview]


def test_a_new_column_is_reported(landing: Landing) -> None:
    landing.oms.execute("alter table orders add column gift_note text, add column channel text")
    told = materialise(landing, "2026-03-02")
    assert told["orders"]["new_columns"] == "channel, gift_note"
    assert "new_columns" not in told["payments"]


def test_a_new_column_is_a_warning_that_passes(landing: Landing) -> None:
    landing.oms.execute("alter table orders add column gift_note text")
    found = checks(landing, "2026-03-02")
    drifted, as_ever = found["orders", "contract"], found["payments", "contract"]
    assert (drifted.passed, drifted.severity) == (True, dg.AssetCheckSeverity.WARN)
    assert figures(drifted) == {"new_columns": "gift_note"}
    assert drifted.description == "New at the source, landed, not in the contract: gift_note."
    assert (as_ever.passed, figures(as_ever), as_ever.description) == (True, {}, None)


def test_the_rows_of_every_file_of_a_range_are_counted(landing: Landing) -> None:
    landing.oms.order(1, "2026-03-02 10:00+00", lines=2)
    landing.oms.order(2, "2026-03-03 10:00+00", lines=1)
    check = checks(landing, "2026-03-02", "2026-03-03")["order_items", "reconciled"]
    assert check.passed
    assert figures(check) == {"rows_expected": 3, "rows_found": 3, "files": 2}


def failed_check(landing: Landing, zone: RawZone) -> tuple[dg.AssetCheckEvaluation, str]:
    """Runs the step, which has to fail on one check and materialise nothing."""
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [raw_assets(landing.oms.settings(landing.folder), load_contract())],
            partition_key="2026-03-02",
            resources={"source": landing.oms.source(), "raw_zone": zone},
            instance=instance,
            raise_on_error=False,
        )
    assert not result.success
    assert result.asset_materializations_for_node("raw") == []
    (failed,) = result.get_asset_check_evaluations()
    failure = result.failure_data_for_node("raw")
    assert failure is not None and failure.user_failure_data is not None
    return failed, str(failure.user_failure_data.description)


def test_a_row_lost_while_a_file_is_written_fails_the_check_before_the_day_is_landed(
    landing: Landing, monkeypatch: pytest.MonkeyPatch
) -> None:
    landing.oms.order(1, "2026-03-02 10:00+00", lines=3)

    def write_all_but_one(batches: Any, schema: Any, extracted_at: Any, sink: Any, table: str) -> int:
        rows = list(batches)
        kept = [batch.slice(1) if table == "order_items" else batch for batch in rows]
        write_parquet(iter(kept), schema, extracted_at, sink, table)
        return sum(batch.num_rows for batch in rows)

    monkeypatch.setattr("oms_pipeline.raw.zone.write_parquet", write_all_but_one)
    failed, why = failed_check(landing, landing.zone)

    assert (failed.check_name, failed.passed, failed.asset_key.path) == ("reconciled", False, ["raw", "order_items"])
    assert {name: value.value for name, value in failed.metadata.items()} == {"rows_expected": 3, "rows_found": 2}
    assert "holds 2 rows, 3 were read. Run the day again." in why
    assert landing.zone.days() == []


def test_a_column_that_is_missing_fails_the_check_of_its_table(landing: Landing) -> None:
    landing.oms.order(1, "2026-03-02 10:00+00")
    landing.oms.execute("alter table oms.orders rename column cancel_reason to reason")

    failed, why = failed_check(landing, landing.zone)

    assert (failed.asset_key.to_user_string(), failed.check_name) == ("raw/orders", "contract")
    assert failed.severity is dg.AssetCheckSeverity.ERROR
    assert failed.description == "orders.cancel_reason is missing, expected text."
    assert "orders.cancel_reason is missing, expected text. Correct OMS_SOURCE_SCHEMA" in why
    assert landing.zone.days() == []


def test_a_landed_file_with_other_rows_than_its_manifest_says_fails_the_check(landing: Landing) -> None:
    landing.oms.order(1, "2026-03-02 10:00+00", lines=3)
    manifest = landing.land("2026-03-02")
    items = replace(manifest.files["order_items"], rows=5)
    wrong = replace(manifest, files={**manifest.files, "order_items": items})
    (landing.folder / "raw" / manifest_path(manifest.day)).write_text(wrong.to_json())

    failed, why = failed_check(landing, landing.zone)

    assert {name: value.value for name, value in failed.metadata.items()} == {"rows_expected": 5, "rows_found": 3}
    assert "holds 3 rows, 5 were landed" in why


def test_an_empty_day_is_odd_once_four_of_its_weekdays_are_known(landing: Landing) -> None:
    yesterday = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
    for week in range(4, 0, -1):
        day = yesterday - dt.timedelta(weeks=week)
        for number in range(20):
            landing.oms.order(week * 20 + number + 1, f"{day} 10:00+00")
        found = checks(landing, str(day))["orders", "volume"]
        assert (found.passed, figures(found)) == (True, {})
        assert found.description is not None
        assert found.description.startswith("Not compared: it takes 4 of the same weekday before")
        pretend_it_was_read_promptly(landing, day)

    found = checks(landing, str(yesterday))["orders", "volume"]

    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert found.description == f"{yesterday:%A} {yesterday}: 0 rows, usually 20."
    assert figures(found) == {
        "day": str(yesterday),
        "rows": 0,
        "usual_rows": 20.0,
        "days_compared": 4,
        "factor": 20.0,
        "limit": 3.0,
    }


def pretend_it_was_read_promptly(landing: Landing, day: dt.date) -> None:
    manifest = landing.zone.manifest(day)
    assert manifest is not None
    files = {name: replace(file, extracted_at=manifest.ends_at) for name, file in manifest.files.items()}
    (landing.folder / "raw" / manifest_path(day)).write_text(replace(manifest, files=files).to_json())


@pytest.mark.slow
def test_a_source_that_is_full_for_a_moment_is_tried_again_later(landing: Landing) -> None:
    database = landing.oms.value("select current_database()::text")
    role = f"reader_{time.monotonic_ns()}"
    landing.oms.execute(f"""
        create role {role} login;
        grant usage on schema oms to {role};
        grant select on all tables in schema oms to {role};
        alter database {database} connection limit 0
    """)
    threading.Timer(3, landing.oms.execute, (f"alter database {database} connection limit -1",)).start()
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [raw_assets(landing.oms.settings(landing.folder), load_contract())],
            partition_key="2026-03-02",
            resources={
                "source": landing.oms.source(dsn=landing.oms.dsn.replace("postgres@", f"{role}@")),
                "raw_zone": landing.zone,
            },
            instance=instance,
        )
    retries = [event for event in result.all_events if event.event_type == dg.DagsterEventType.STEP_UP_FOR_RETRY]
    assert [retry.step_retry_data.seconds_to_wait for retry in retries] == [5]
    assert result.success
    assert landing.zone.days() == [dt.date(2026, 3, 2)]
    landing.oms.execute(f"drop owned by {role}; drop role {role}")


def test_what_only_people_can_mend_is_not_tried_again(landing: Landing) -> None:
    landing.oms.execute("drop table returns")
    with pytest.raises(dg.Failure, match=r"table oms\.returns is missing") as failure:
        materialise(landing, "2026-03-02")
    assert not failure.value.allow_retries


def test_reading_anew_is_asked_for_by_the_run_config(landing: Landing) -> None:
    materialise(landing, "2026-03-02")
    landing.oms.order(1, "2026-03-02 10:00+00")
    assert materialise(landing, "2026-03-02")["orders"]["dagster/row_count"] == 0
    assert materialise(landing, "2026-03-02", reextract=True)["orders"]["dagster/row_count"] == 1


def test_a_day_that_has_not_ended_is_refused(landing: Landing) -> None:
    tomorrow = (dt.datetime.now(dt.UTC) + dt.timedelta(days=1)).date().isoformat()
    with pytest.raises(CalendarError, match="has not ended in UTC"):
        materialise(landing, tomorrow)
    assert landing.files() == {}
