"""Dagster's state: its place, and an event log that keeps in batches what Dagster's own keeps one by one."""

import multiprocessing
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest
import sqlalchemy
from dagster._core.events import DagsterEvent, StepMaterializationData

from oms_pipeline import instance as oms_instance
from oms_pipeline.errors import SettingsError
from oms_pipeline.instance import OPEN_DATABASES, SqliteEventLog, prepare_dagster_home
from oms_pipeline.settings import PROJECT_DIR, read_settings
from oms_pipeline_tests.source.real_oms import Oms

DAYS = [f"2026-01-{day:02}" for day in range(1, 11)]
PARTITIONS = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-01-11")
ORDERS, ITEMS, TOTALS = (dg.AssetKey(["raw", name]) for name in ("orders", "items", "totals"))
CHECK = dg.AssetCheckKey(ORDERS, "counted")


@dg.multi_asset(
    name="raw",
    # Without a version of the code, Dagster makes data versions of the run's id.
    specs=[dg.AssetSpec(ORDERS, code_version="1"), dg.AssetSpec(ITEMS, code_version="1", deps=[ORDERS])],
    check_specs=[dg.AssetCheckSpec("counted", asset=ORDERS)],
    partitions_def=PARTITIONS,
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def raw(context: dg.AssetExecutionContext) -> Iterator[Any]:
    yield dg.MaterializeResult(
        asset_key=ORDERS,
        metadata={"dagster/row_count": len(context.partition_keys)},
        data_version=dg.DataVersion(f"v{len(context.partition_keys)}"),
        tags={"kind": "orders"},
    )
    yield dg.AssetCheckResult(check_name="counted", asset_key=ORDERS, passed=len(context.partition_keys) > 1)
    yield dg.AssetObservation(ORDERS, partition=context.partition_keys[0], metadata={"seen": True})
    yield dg.MaterializeResult(asset_key=ITEMS)


@dg.asset(
    key=TOTALS,
    code_version="1",
    deps=[ITEMS],
    partitions_def=PARTITIONS,
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def totals(context: dg.AssetExecutionContext) -> None:
    if "2026-01-08" in context.partition_keys:
        raise dg.Failure("No totals for the eighth.", allow_retries=False)


DEFINITIONS = dg.Definitions(
    assets=[raw, totals], jobs=[dg.define_asset_job("load", "*")], executor=dg.in_process_executor
)
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.fixture
def new_instance(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dg.DagsterInstance]:
    """Makes an instance in a folder: with the project's configuration, or with Dagster's own storage."""
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "0")  # so that it is put back
    monkeypatch.setenv("DAGSTER_HOME", "")

    def make(home: Path, dagsters_own: bool = False) -> dg.DagsterInstance:
        home.mkdir(exist_ok=True)
        os.environ["DAGSTER_HOME"] = str(home)
        if dagsters_own:
            os.environ["DAGSTER_EVENT_BATCH_SIZE"] = "0"
            (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        else:
            os.environ.pop("DAGSTER_EVENT_BATCH_SIZE", None)
            shutil.copy(PROJECT_DIR / "dagster.yaml", home)
        return dg.DagsterInstance.from_config(str(home))

    return make


def load(instance: dg.DagsterInstance, first: str, last: str) -> str:
    """Runs the job for a range of days, as the project does."""
    tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    job = DEFINITIONS.resolve_job_def("load")
    if first == last:
        tags = {"dagster/partition": first}
    return job.execute_in_process(QUIET, instance, tags=tags, raise_on_error=False).run_id


def story(instance: dg.DagsterInstance, runs: list[str]) -> dict[str, Any]:
    """Everything the UI and the project ask a storage, without what differs from run to run: ids and times."""
    log = instance.event_log_storage
    names = {run: f"run {n}" for n, run in enumerate(runs)}

    def told(entry: dg.EventLogEntry | None) -> Any:
        if entry is None:
            return None
        event = entry.dagster_event
        is_materialization = event is not None and event.is_step_materialization
        materialization = event.step_materialization_data.materialization if event and is_materialization else None
        return (
            names.get(entry.run_id, entry.run_id),
            event.event_type_value if event else entry.user_message,
            event.asset_key.to_user_string() if event and event.asset_key else None,
            event.partition if event else None,
            sorted(materialization.metadata.items()) if materialization else None,
            sorted((k, v) for k, v in (materialization.tags or {}).items() if "event_pointer" not in k)
            if materialization
            else None,
        )

    def in_order(ids: Any) -> list[Any]:
        return sorted(ids, key=ids.get)

    keys = [ORDERS, ITEMS, TOTALS]
    records = {record.asset_entry.asset_key: record.asset_entry for record in log.get_asset_records(keys)}
    latest = log.get_latest_materialization_events(keys)
    checks = log.get_asset_check_execution_history(CHECK, limit=100)
    latest_check = log.get_latest_asset_check_execution_by_key([CHECK])[CHECK]
    return {
        "events of each run": [[told(entry) for entry in instance.all_logs(run)] for run in runs],
        "statistics of each run": [
            (s.steps_succeeded, s.steps_failed, s.materializations) for s in map(log.get_stats_for_run, runs)
        ],
        "materialisations": [
            [told(r.event_log_entry) for r in log.fetch_materializations(key, limit=1000, ascending=True).records]
            for key in keys
        ],
        "observations": [told(r.event_log_entry) for r in log.fetch_observations(ORDERS, limit=1000).records],
        "planned": [
            told(r.event_log_entry)
            for r in log.get_event_records(
                dg.EventRecordsFilter(dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED), ascending=True
            )
        ],
        "latest": {key.to_user_string(): told(latest.get(key)) for key in keys},
        "records": {
            key.to_user_string(): (
                told(entry.last_materialization),
                names.get(entry.last_run_id or ""),
                entry.last_observation_storage_id is not None,
            )
            for key, entry in records.items()
        },
        "assets": sorted(log.all_asset_keys()),
        "partitions": {key.to_user_string(): sorted(log.get_materialized_partitions(key)) for key in keys},
        "partitions by age": {
            key.to_user_string(): in_order(
                log.get_latest_storage_id_by_partition(key, dg.DagsterEventType.ASSET_MATERIALIZATION)
            )
            for key in keys
        },
        "data versions by partition": log.get_latest_tags_by_partition(
            ORDERS, dg.DagsterEventType.ASSET_MATERIALIZATION, ["dagster/data_version"]
        ),
        "planned and never done": {
            key.to_user_string(): {
                partition: names[run]
                for partition, (
                    run,
                    _,
                ) in log.get_latest_asset_partition_materialization_attempts_without_materializations(key).items()
            }
            for key in keys
        },
        "event tags": sorted(
            (dict(tags).get("dagster/partition", ""), dict(tags).get("kind", ""))
            for tags in log.get_event_tags_for_asset(ORDERS)
        ),
        "checks": [(check.status, check.partition, names[check.run_id], told(check.event)) for check in checks],
        "latest check": (latest_check.status, names[latest_check.run_id]),
        "ends of runs": [
            told(record.event_log_entry)
            for kind in (dg.DagsterEventType.RUN_SUCCESS, dg.DagsterEventType.RUN_FAILURE)
            for record in log.fetch_run_status_changes(kind, limit=100).records
        ],
    }


def materialised(run_id: str, days: list[str], key: dg.AssetKey = ORDERS) -> list[dg.EventLogEntry]:
    """What Dagster hands over as one batch: an asset of one run, all its days."""
    return [
        dg.EventLogEntry(
            error_info=None,
            level="debug",
            user_message="",
            run_id=run_id,
            timestamp=time.time(),
            step_key="raw",
            job_name="load",
            dagster_event=DagsterEvent(
                event_type_value=dg.DagsterEventType.ASSET_MATERIALIZATION.value,
                job_name="load",
                step_key="raw",
                event_specific_data=StepMaterializationData(dg.AssetMaterialization(key, partition=day)),
            ),
        )
        for day in days
    ]


def counts(log: SqliteEventLog, runs: list[str]) -> tuple[int, list[int]]:
    """Materialisations in the index, and in each run's own database."""
    index = len(log.fetch_materializations(ORDERS, limit=10_000).records)
    return index, [len(log.get_logs_for_run(run)) for run in runs]


def test_batches_are_read_back_as_dagsters_own_storage_keeps_single_events(
    tmp_path: Path, new_instance: Callable[..., dg.DagsterInstance]
) -> None:
    stories = []
    for folder, dagsters_own in (("own", True), ("batches", False)):
        with new_instance(tmp_path / folder, dagsters_own) as instance:
            assert isinstance(instance.event_log_storage, SqliteEventLog) is not dagsters_own
            runs = [
                load(instance, "2026-01-01", "2026-01-05"),
                load(instance, "2026-01-03", "2026-01-03"),  # a day again
                load(instance, "2026-01-06", "2026-01-09"),  # fails at its last step
            ]
            stories.append(story(instance, runs))
    dagsters, ours = stories
    assert dagsters["partitions"]["raw/orders"] == DAYS[:9]
    assert "2026-01-09" in dagsters["latest"]["raw/orders"]
    assert dagsters["partitions"]["raw/totals"] == DAYS[:5]
    assert set(dagsters["planned and never done"]["raw/totals"]) == set(DAYS[5:9])
    for question, answer in dagsters.items():
        assert ours[question] == answer, question


def test_a_run_is_read_again_without_looking_for_its_databases_revision(
    tmp_path: Path, new_instance: Callable[..., dg.DagsterInstance], monkeypatch: pytest.MonkeyPatch
) -> None:
    with new_instance(tmp_path / "home") as instance:
        run_id = load(instance, "2026-01-01", "2026-01-01")
        written = len(instance.all_logs(run_id))

    def look(*_: Any) -> None:
        pytest.fail("Dagster looked for the revision, which loads every one there ever was")

    monkeypatch.setattr("dagster._core.storage.event_log.sqlite.sqlite_event_log.check_alembic_revision", look)
    with new_instance(tmp_path / "home") as instance:
        assert len(instance.all_logs(run_id)) == written


def test_a_runs_materialisations_are_handed_over_in_batches(
    tmp_path: Path, new_instance: Callable[..., dg.DagsterInstance], monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = []
    store = SqliteEventLog.store_event_batch

    def watched(self: SqliteEventLog, events: Any) -> None:
        batches.append(len(events))
        store(self, events)

    monkeypatch.setattr(SqliteEventLog, "store_event_batch", watched)
    with new_instance(tmp_path) as instance:
        load(instance, "2026-01-01", "2026-01-07")
    assert batches.count(7) == 3  # one for each asset


def test_a_batch_is_stored_whole_or_not_at_all(tmp_path: Path, new_instance: Callable[..., dg.DagsterInstance]) -> None:
    with new_instance(tmp_path) as instance:
        log: Any = instance.event_log_storage
        log.store_event_batch(materialised("one", DAYS[:2]))
        broken = materialised("one", DAYS[2:5])
        broken[-1] = broken[-1]._replace(timestamp="not a time")  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            log.store_event_batch(broken)
        assert counts(log, ["one"]) == (2, [2])
        assert log.get_materialized_partitions(ORDERS) == set(DAYS[:2])
        log.store_event_batch(materialised("one", DAYS[2:5]))
        assert counts(log, ["one"]) == (5, [5])


def test_two_threads_writing_at_once_lose_nothing(
    tmp_path: Path, new_instance: Callable[..., dg.DagsterInstance]
) -> None:
    runs = [f"run-{n}" for n in range(4)]
    with new_instance(tmp_path) as instance:
        log: Any = instance.event_log_storage

        def write(run: str) -> None:
            for _ in range(5):
                log.store_event_batch(materialised(run, DAYS))
                log.store_event(materialised(run, DAYS[:1])[0])

        with ThreadPoolExecutor(2) as threads:
            list(threads.map(write, runs))
        assert counts(log, runs) == (4 * 5 * 11, [5 * 11] * 4)


def write_in_own_process(home: Path, run: str, batches: int) -> None:
    with dg.DagsterInstance.from_config(str(home)) as instance:
        for _ in range(batches):
            instance.event_log_storage.store_event_batch(materialised(run, DAYS))


def test_two_processes_writing_at_once_lose_nothing(
    tmp_path: Path, new_instance: Callable[..., dg.DagsterInstance]
) -> None:
    new_instance(tmp_path).dispose()
    runs = ["one", "two"]
    fork = multiprocessing.get_context("fork")
    writers = [fork.Process(target=write_in_own_process, args=(tmp_path, run, 20)) for run in runs]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers] == [0, 0]
    with new_instance(tmp_path) as instance:
        assert counts(instance.event_log_storage, runs) == (2 * 20 * 10, [200, 200])  # type: ignore[arg-type]
        assert instance.event_log_storage.get_materialized_partitions(ORDERS) == set(DAYS)


def test_a_second_process_sees_what_the_first_wrote_while_both_are_open(
    tmp_path: Path, new_instance: Callable[..., dg.DagsterInstance]
) -> None:
    with new_instance(tmp_path) as one, new_instance(tmp_path) as two:
        for n in range(3):
            writer, reader = (one, two) if n % 2 else (two, one)
            writer.event_log_storage.store_event_batch(materialised("shared", DAYS))
            assert counts(reader.event_log_storage, ["shared"]) == (10 * (n + 1), [10 * (n + 1)])  # type: ignore[arg-type]


def open_databases(home: Path) -> set[str]:
    return {file.path for file in psutil.Process().open_files() if file.path.startswith(f"{home}/history/runs/")}


def test_only_a_few_databases_are_open_however_many_runs_there_are(
    tmp_path: Path, new_instance: Callable[..., dg.DagsterInstance]
) -> None:
    with new_instance(tmp_path) as instance:
        log: Any = instance.event_log_storage
        for n in range(OPEN_DATABASES + 2):
            log.store_event_batch(materialised(f"run-{n}", DAYS[:1]))
            databases = {path for path in open_databases(tmp_path) if path.endswith(".db")}
            assert len(databases) <= OPEN_DATABASES
        assert str(tmp_path / "history" / "runs" / "index.db") in databases
    assert open_databases(tmp_path) == set()


def test_dagster_lives_in_the_home_with_the_checkouts_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "")
    settings = read_settings({"OMS_HOME": str(tmp_path / "home")})
    prepare_dagster_home(settings)
    home = tmp_path / "home" / "dagster"
    assert os.environ["DAGSTER_HOME"] == str(home)
    assert (home / "dagster.yaml").read_text() == (PROJECT_DIR / "dagster.yaml").read_text()


def test_a_changed_configuration_reaches_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dagster").mkdir()
    (tmp_path / "dagster" / "dagster.yaml").write_text("telemetry: {enabled: true}\n")
    monkeypatch.setenv("DAGSTER_HOME", "")
    prepare_dagster_home(read_settings({"OMS_HOME": str(tmp_path)}))
    assert (tmp_path / "dagster" / "dagster.yaml").read_text() == (PROJECT_DIR / "dagster.yaml").read_text()


def test_a_dagster_home_of_ones_own_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "own"))
    prepare_dagster_home(read_settings({"OMS_HOME": str(tmp_path / "home")}))
    assert os.environ["DAGSTER_HOME"] == str(tmp_path / "own")
    assert list(tmp_path.iterdir()) == []


def test_whoever_watches_a_run_sees_each_event_while_the_writer_keeps_its_database_open(
    new_instance: Callable[..., dg.DagsterInstance], tmp_path: Path
) -> None:
    writer, reader = new_instance(tmp_path / "home"), new_instance(tmp_path / "home")
    job = DEFINITIONS.resolve_job_def("load")
    run = writer.create_run_for_job(job, tags={"dagster/partition": DAYS[0]})
    seen: list[str] = []
    writer.report_engine_event("before", run)
    reader.watch_event_logs(run.run_id, None, lambda event, _: seen.append(event.message))
    for number in range(3):
        writer.report_engine_event(f"news {number}", run)
        deadline = time.monotonic() + 20
        while f"news {number}" not in seen:
            assert time.monotonic() < deadline, seen
            time.sleep(0.02)
    writer.dispose()
    reader.dispose()


# PostgreSQL


@pytest.fixture
def on_postgres(
    new_instance: Callable[..., dg.DagsterInstance],
    new_database: Callable[[str], Oms],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> dg.DagsterInstance:
    """The instance that the project's one dagster.yaml gives, where a database is named."""
    url = new_database("template0").dsn
    settings = read_settings({"OMS_DAGSTER_DATABASE_URL": f"{url}&application_name=s3cret"})
    monkeypatch.setattr(oms_instance, "get_settings", lambda: settings)
    return new_instance(tmp_path / "postgres")


def test_with_a_database_named_the_same_file_keeps_everything_in_postgresql(
    on_postgres: dg.DagsterInstance, tmp_path: Path, new_instance: Callable[..., dg.DagsterInstance]
) -> None:
    stories = []
    for instance in (on_postgres, new_instance(tmp_path / "own", dagsters_own=True)):
        with instance:
            runs = [load(instance, "2026-01-01", "2026-01-05"), load(instance, "2026-01-06", "2026-01-09")]
            stories.append(story(instance, runs))
    assert type(on_postgres.event_log_storage).__name__ == "PostgresEventLogStorage"
    for question, answer in stories[1].items():
        assert stories[0][question] == answer, question
    assert not list((tmp_path / "postgres").rglob("*.db"))


def test_whoever_runs_a_run_is_told_of_the_instance_without_the_databases_password(
    on_postgres: dg.DagsterInstance,
) -> None:
    with on_postgres:
        assert "s3cret" not in dg.serialize_value(on_postgres.get_ref())


def test_an_older_database_that_was_put_back_is_migrated_by_whoever_starts_next(
    on_postgres: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_postgres.dispose()
    settings = replace(oms_instance.get_settings(), home=tmp_path / "home")

    def start() -> None:
        monkeypatch.setenv("DAGSTER_HOME", "")
        prepare_dagster_home(settings)

    def ask(*statements: str) -> list[Any]:
        engine = sqlalchemy.create_engine(settings.dagster_database_url or "")
        with engine.begin() as connection:
            answers = [connection.exec_driver_sql(statement) for statement in statements]
            return list(answers[-1].scalars()) if answers[-1].returns_rows else []

    start()
    newest = ask("select version_num from alembic_version")
    ask(
        "alter table concurrency_limits drop column using_default_limit",
        "update alembic_version set version_num = '6b7fb194ff9c'",  # of the version before that column
    )
    start()
    assert ask("select version_num from alembic_version") == newest
    ask("select using_default_limit from concurrency_limits")


def test_a_database_that_restarts_is_waited_for(
    on_postgres: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    with on_postgres:
        engine: Any = on_postgres.run_storage._engine  # type: ignore[attr-defined]
        connect, refused = engine.dialect.connect, []

        def refuse_at_first(*arguments: Any, **parameters: Any) -> Any:
            if len(refused) < 3:
                refused.append(time.monotonic())
                raise engine.dialect.loaded_dbapi.OperationalError("the server is starting up")
            return connect(*arguments, **parameters)

        monkeypatch.setattr(engine.dialect, "connect", refuse_at_first)
        assert on_postgres.get_runs() == []
        assert len(refused) == 3
        refused.clear()
        monkeypatch.setattr(oms_instance, "PATIENCE_SECONDS", 0.0)
        with pytest.raises(engine.dialect.loaded_dbapi.OperationalError):
            oms_instance._connect_patiently(engine.dialect, None, [], {})


def test_a_statement_that_a_restart_of_the_database_cuts_off_is_sent_again(on_postgres: dg.DagsterInstance) -> None:
    days = {"2026-01-01", "2026-01-02", "2026-01-03"}
    with on_postgres:
        engine: Any = on_postgres.event_log_storage._engine  # type: ignore[attr-defined]
        killer = sqlalchemy.create_engine(oms_instance.get_settings().dagster_database_url or "")
        cut_off: list[str] = []

        def end_its_session(connection: Any, _: Any, statement: str, values: Any, *__: Any) -> None:
            if not cut_off and "STEP_START" in str(values):  # stored alone, not in a batch
                cut_off.append(statement)
                pid = connection.connection.dbapi_connection.get_backend_pid()
                with killer.begin() as other:
                    other.exec_driver_sql(f"select pg_terminate_backend({pid}, 5000)")

        sqlalchemy.event.listen(engine, "before_cursor_execute", end_its_session)
        run = load(on_postgres, min(days), max(days))
        killer.dispose()
        assert cut_off
        kinds = [event.dagster_event_type for event in on_postgres.all_logs(run)]
        assert kinds.count(dg.DagsterEventType.RUN_SUCCESS) == 1
        assert on_postgres.get_materialized_partitions(ORDERS) == days


def test_a_database_without_its_driver_says_which_extra_is_missing(
    new_instance: Callable[..., dg.DagsterInstance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = read_settings({"OMS_DAGSTER_DATABASE_URL": "postgresql://dagster@db/dagster"})
    monkeypatch.setattr(oms_instance, "get_settings", lambda: settings)
    monkeypatch.setitem(sys.modules, "dagster_postgres", None)
    with pytest.raises(SettingsError, match="Install the project with its extra `postgres`, or unset it"):
        new_instance(tmp_path)
