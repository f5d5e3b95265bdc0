"""Dagster's own state: where it is kept, and a SQLite event log that is written in batches."""

import fcntl
import os
import sqlite3
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from threading import RLock
from typing import Any, Final

from dagster import DagsterInstance, EventLogEntry
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS, BATCH_WRITABLE_EVENTS
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.compute_log_manager import ComputeLogManager
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._serdes import ConfigurableClassData, serialize_value
from sqlalchemy import create_engine
from sqlalchemy.engine import Connection
from sqlalchemy.pool import NullPool

from oms_pipeline.errors import SettingsError
from oms_pipeline.settings import PROJECT_DIR, Settings, get_settings, s3_encryption_options, s3_place

EVENT_BATCH: Final = "1000"
OPEN_DATABASES: Final = 4
BUSY_SECONDS: Final = 60


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
        # Two processes that make Dagster's databases at once fail on each other's tables.
        made = home / ".made"
        if not made.exists():
            with DagsterInstance.get():
                made.touch()


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

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "SqliteEventLog":
        """Makes the storage that `dagster.yaml` asks for, where Dagster itself would put it."""
        # Dagster reads this whenever it has events to store; unset, it never hands over more than one.
        os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", EVENT_BATCH)
        return cls(base_dir=str(Path(config_value["base_dir"]) / "history" / "runs"), inst_data=inst_data)

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
