"""Dagster's own state: where it is kept, what becomes of a lost run, and a SQLite event log written in batches."""

import fcntl
import inspect
import os
import sqlite3
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from functools import wraps
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from threading import RLock
from typing import Any, Final

import sqlalchemy.event
import sqlalchemy.exc
from dagster import DagsterInstance, DagsterRun, EventLogEntry
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS, BATCH_WRITABLE_EVENTS
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.compute_log_manager import ComputeLogManager
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
from dagster._serdes import ConfigurableClassData, deserialize_value, serialize_value
from sqlalchemy import create_engine
from sqlalchemy.engine import Connection
from sqlalchemy.pool import NullPool

from oms_pipeline.errors import SettingsError
from oms_pipeline.settings import PROJECT_DIR, Settings, get_settings, s3_encryption_options, s3_place

EVENT_BATCH: Final = "1000"
OPEN_DATABASES: Final = 4
BUSY_SECONDS: Final = 60
PATIENCE_SECONDS: Final = 20.0
LOST_AT_MOST: Final = 3
SILENCE_SECONDS: Final = 120.0


def prepare_dagster_home(settings: Settings) -> None:
    """Points Dagster at its instance: `DAGSTER_HOME` if set, else a folder beside the project's other state.

    Dagster wants its `dagster.yaml` in the folder it writes to; the checkout's file is copied there, so that a checkout
    stays clean.
    """
    if os.environ.get("DAGSTER_HOME"):
        return
    home = settings.home / "dagster"
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"Dagster's state cannot be kept in {home}: {error.strerror}. Set OMS_HOME to a folder you can write to."
        ) from error
    os.environ["DAGSTER_HOME"] = str(home)
    with (home / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        config = home / "dagster.yaml"
        text = (PROJECT_DIR / "dagster.yaml").read_text(encoding="utf-8")
        if not config.exists() or config.read_text(encoding="utf-8") != text:
            draft = config.with_suffix(".draft")
            draft.write_text(text, encoding="utf-8")
            draft.replace(config)
        # Two processes that make or migrate Dagster's databases at once fail on each other's tables.
        made = home / ".made"
        in_this_folder = settings.dagster_database_url is None
        if in_this_folder and made.exists() and made.read_text(encoding="utf-8") == version("dagster"):
            return
        # A database elsewhere is asked each time, which is soon done: somebody may have put back an older one.
        # Dagster prints each file that it looks at.
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()), DagsterInstance.get() as instance:
            instance.upgrade()
        if in_this_folder:
            made.write_text(version("dagster"), encoding="utf-8")


class ComputeLogs(LocalComputeLogManager):
    """The output of runs: in Dagster's folder, or in a bucket where `OMS_COMPUTE_LOGS_URL` says so.

    `dagster.yaml` knows no conditions; this one name in it stands for both.
    """

    @classmethod
    def from_config_value(  # type: ignore[override]  # Dagster itself is content with any manager
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> ComputeLogManager[Any]:
        """Makes the manager that the settings ask for.

        Raises:
            SettingsError: The output belongs in a bucket, and what that takes is not installed.
        """
        settings = get_settings()
        local = str(Path(config_value["base_dir"]) / "storage")
        if settings.compute_logs_url is None:
            return LocalComputeLogManager(local, inst_data=inst_data)
        try:
            from dagster_aws.s3 import S3ComputeLogManager
        except ImportError as error:
            raise SettingsError(
                f"OMS_COMPUTE_LOGS_URL is set, and {error.name} is not installed. "
                "Install the project with its extra `snowflake`, or unset it."
            ) from error
        bucket, prefix = s3_place(settings.compute_logs_url)
        return S3ComputeLogManager(
            bucket=bucket,
            prefix=prefix,
            local_dir=local,
            endpoint_url=settings.s3_endpoint,
            upload_extra_args=s3_encryption_options(settings.s3_encryption),
            skip_empty_files=True,
            inst_data=inst_data,
        )


class Storage(DagsterSqliteStorage):
    """Runs, events, schedules: SQLite in Dagster's folder, or the database that `OMS_DAGSTER_DATABASE_URL` names."""

    @classmethod
    def from_config_value(  # type: ignore[override]  # Dagster itself is content with any storage
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> DagsterStorage[Any]:
        """Makes the storage that the settings ask for.

        Raises:
            SettingsError: It belongs in PostgreSQL, and what that takes is not installed.
        """
        # Dagster reads this whenever it has events to store; unset, it never hands over more than one.
        os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", EVENT_BATCH)
        url = get_settings().dagster_database_url
        if url is None:
            return cls.from_local(config_value["base_dir"], inst_data)
        try:
            from dagster_postgres import DagsterPostgresStorage
        except ImportError as error:
            raise SettingsError(
                f"OMS_DAGSTER_DATABASE_URL is set, and {error.name} is not installed. "
                "Install the project with its extra `postgres`, or unset it."
            ) from error
        storage = DagsterPostgresStorage(url, inst_data=inst_data)
        parts: list[Any] = [storage.run_storage, storage.event_log_storage, storage.schedule_storage]
        for part in parts:
            sqlalchemy.event.listen(part._engine, "do_connect", _connect_patiently)
            _survive_restarts(part)
        return storage

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(base_dir, inst_data)
        self._event_log_storage = SqliteEventLog(str(Path(base_dir) / "history" / "runs"))


def _connect_patiently(dialect: Any, _: Any, arguments: Any, parameters: Any) -> Any:
    """Waits for a server that restarts; Dagster asks six times.

    On its own it would give up after ten seconds, and with it the run, and the thread that looks after lost runs.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return dialect.connect(*arguments, **parameters)
        except dialect.loaded_dbapi.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def _survive_restarts(part: Any) -> None:
    """Has each of a storage's methods called again where the server went down in the middle of a statement.

    Events are stored in the middle of a step, so Dagster would take that for a failure of the step, and of the run.
    What a lost statement had begun, the server has rolled back; an event that takes two transactions may be there
    twice, and says the same.
    """
    for name, _ in inspect.getmembers(type(part), inspect.isfunction):
        if not name.startswith("_"):
            setattr(part, name, _again_if_lost(getattr(part, name)))


def _again_if_lost(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def call(*arguments: Any, **parameters: Any) -> Any:
        for _ in range(LOST_AT_MOST):
            try:
                return method(*arguments, **parameters)
            except sqlalchemy.exc.DBAPIError as error:
                if not error.connection_invalidated:
                    raise
        return method(*arguments, **parameters)

    return call


class RunLauncher(DefaultRunLauncher):
    """Dagster's launcher, which can also tell whether a run is still alive.

    Runs are processes of the code server. One that dies on its own is reported by the server; one that dies with the
    server would be shown as running for ever, and would keep its place in the queue.
    """

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(inst_data)
        self._silent_since: dict[str, float] = {}

    @property
    def supports_check_run_worker_health(self) -> bool:
        """That it can be asked."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Asks the code server; one that does not answer for two minutes has taken its runs with it.

        A run in the process of `oms` itself has no server, and holds a lock instead.
        """
        client = self._get_grpc_client_for_termination(run.run_id)
        if client is None:
            if _is_abandoned(_run_lock(self._instance, run.run_id)):
                return CheckRunHealthResult(WorkerStatus.NOT_FOUND, "The process that ran it is gone.")
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        try:
            answer = client.can_cancel_execution(CanCancelExecutionRequest(run_id=run.run_id), timeout=10)
        except DagsterUserCodeUnreachableError:
            silent_since = self._silent_since.setdefault(run.run_id, time.monotonic())
            if time.monotonic() - silent_since < SILENCE_SECONDS:
                return CheckRunHealthResult(WorkerStatus.RUNNING)
            return CheckRunHealthResult(WorkerStatus.NOT_FOUND, "The code server that ran it does not answer.")
        self._silent_since.pop(run.run_id, None)
        if deserialize_value(answer, CanCancelExecutionResult).can_cancel:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.NOT_FOUND, "The code server has restarted, and its process is gone.")


@contextmanager
def own_process(instance: DagsterInstance, run_id: str) -> Iterator[None]:
    """Tells `RunLauncher` that a run lives in this process: the system lets go of the lock however the process ends."""
    path = _run_lock(instance, run_id)
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            path.unlink()


def _run_lock(instance: DagsterInstance, run_id: str) -> Path:
    return Path(instance.root_directory) / "running" / run_id


def _is_abandoned(path: Path) -> bool:
    try:
        with path.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:  # no such file, or it is held
        return False
    path.unlink(missing_ok=True)
    return True


class SqliteEventLog(SqliteEventLogStorage):
    """Dagster's SQLite event log, with connections kept open and one transaction per batch of events.

    A daily run is some two hundred events, a backfill of a year some twenty thousand. Dagster opens, flushes and closes
    two database files for each of them, which costs more than the work they tell of. A batch is what Dagster itself
    hands over as one.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._open: OrderedDict[str, Connection] = OrderedDict()
        self._lock = RLock()  # a batch holds a run's database and the index at once
        super().__init__(*args, **kwargs)

    def store_event(self, event: EventLogEntry) -> None:
        """Stores one event, and has whoever watches the run look at it."""
        with self.index_transaction():  # what an event changes there is one change
            super().store_event(event)
        self._tell_watchers(event.run_id)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Stores the events of one run: all, or none."""
        with self.run_connection(events[0].run_id) as run, self.index_transaction() as index:
            if any(event.dagster_event_type not in BATCH_WRITABLE_EVENTS for event in events):
                for event in events:
                    self.store_event(event)
                return
            rows = [self._event_to_row(event) for event in events]
            run.execute(SqlEventLogStorageTable.insert(), rows)
            insert = SqlEventLogStorageTable.insert().returning(
                SqlEventLogStorageTable.c.id, sort_by_parameter_order=True
            )
            stored = list(zip(events, index.execute(insert, rows).scalars(), strict=True))
            self._store_asset_events(index, [at for at in stored if at[0].dagster_event_type in ASSET_EVENTS])
            self._store_planned_checks(index, [at for at in stored if at[0].dagster_event_type in ASSET_CHECK_EVENTS])
        self._tell_watchers(events[0].run_id)

    def _store_asset_events(self, index: Connection, stored: Sequence[tuple[EventLogEntry, int]]) -> None:
        self._store_asset_event_tags(index, [event for event, _ in stored], [event_id for _, event_id in stored])
        # Of each asset only the newest event is kept beside its name.
        newest = {event.get_dagster_event().asset_key: (event, event_id) for event, event_id in stored}
        for event, event_id in newest.values():
            self._store_asset_event(index, event, event_id)

    def _store_planned_checks(self, index: Connection, stored: Sequence[tuple[EventLogEntry, int]]) -> None:
        """A row per check and day; Dagster writes the event out anew for each of them."""
        for event, event_id in stored:
            planned: Any = event.get_dagster_event().event_specific_data
            row = {
                "asset_key": planned.asset_key.to_string(),
                "check_name": planned.check_name,
                "run_id": event.run_id,
                "execution_status": AssetCheckExecutionRecordStatus.PLANNED.value,
                "evaluation_event": serialize_value(event),
                "evaluation_event_timestamp": self._event_insert_timestamp(event),
                "evaluation_event_storage_id": event_id,
            }
            days = planned.partitions_subset.get_partition_keys() if planned.partitions_subset else [None]
            index.execute(AssetCheckExecutionsTable.insert(), [{**row, "partition": day} for day in days])

    def dispose(self) -> None:
        """Closes what is open; whoever asks again opens it again."""
        super().dispose()
        with self._lock:
            while self._open:
                self._open.popitem()[1].close()

    def _tell_watchers(self, run_id: str) -> None:
        # The UI watches this file, and SQLite writes to the log beside it first.
        os.utime(self.path_for_shard(run_id))

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._lock:
            connection = self._connection(shard)
            if connection.in_transaction():
                yield connection
            else:
                with connection.begin():
                    yield connection

    def _is_made(self, shard: str) -> bool:
        """Whether a database has its tables; Dagster looks that up by loading all revisions there ever were."""
        path = Path(self.path_for_shard(shard))
        if not path.exists():
            return False
        with closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as database:
            try:
                # The revision is written last.
                return database.execute("select 1 from alembic_version").fetchone() is not None
            except sqlite3.OperationalError:
                return False

    def _connection(self, shard: str) -> Connection:
        if shard not in self._open:
            if not self._is_made(shard):
                with super()._connect(shard):
                    pass  # makes the file and its tables
            while len(self._open) >= OPEN_DATABASES:
                self._open.popitem(last=False)[1].close()
            engine = create_engine(
                self.conn_string_for_shard(shard),
                poolclass=NullPool,
                connect_args={"check_same_thread": False, "timeout": BUSY_SECONDS},
            )
            self._open[shard] = engine.connect()
            # In WAL mode this loses nothing when a process dies, and spares a disk flush per commit.
            self._open[shard].exec_driver_sql("pragma synchronous = normal")
            self._open[shard].commit()
        self._open.move_to_end(shard)
        return self._open[shard]
