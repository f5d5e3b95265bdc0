"""The dbt project as parsed: kept on disk, parsed anew only when one of its files has changed. Runs no model."""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from oms_pipeline.errors import TransformError
from oms_pipeline.settings import PROJECT_DIR

DBT_PROJECT_DIR: Final = PROJECT_DIR / "oms_dbt"
# Where an image keeps the project as parsed when it was built, by profile.
_BUILT_DIR: Final = DBT_PROJECT_DIR / "target"
_PARSED_SUFFIXES: Final = {".sql", ".yml", ".csv", ".md"}


@dataclass(frozen=True)
class DbtProjectFiles:
    """The project and where dbt keeps what it makes of it.

    Attributes:
        state_dir: Folder for dbt's target and logs.
        environment: Variables that the project's profile reads.
    """

    state_dir: Path
    environment: Mapping[str, str]

    @property
    def target_dir(self) -> Path:
        """Where dbt writes the parsed project."""
        return self.state_dir / "target"

    @property
    def lineage_file(self) -> Path:
        """Where the column lineage of the project as parsed is kept."""
        return self.target_dir / "lineage.json"

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """dbt's manifest of the project as its files are now.

        Raises:
            TransformError: The project does not parse; the text is dbt's own.
        """
        self._parse_if_changed()
        manifest: dict[str, Any] = json.loads((self.target_dir / "manifest.json").read_text(encoding="utf-8"))
        return manifest

    def parsed(self) -> Any:
        """The parsed project as dbt's own object, so that a run needs no parsing."""
        from dbt.contracts.graph.manifest import Manifest
        from dbt.parser.manifest import extended_mashumuro_decoder

        self._parse_if_changed()
        packed = (self.target_dir / "partial_parse.msgpack").read_bytes()
        parsed = Manifest.from_msgpack(packed, decoder=extended_mashumuro_decoder)
        parsed.build_flat_graph()
        return parsed

    def arguments(self, target_dir: Path | None = None) -> list[str]:
        """The command-line arguments that every dbt command of this project takes."""
        return [
            "--project-dir", str(DBT_PROJECT_DIR),
            "--profiles-dir", str(DBT_PROJECT_DIR),
            "--target-path", str(target_dir or self.target_dir),
            "--log-path", str(self.state_dir / "logs"),
            "--log-level", "none",
            "--log-level-file", "none",
        ]  # fmt: skip

    def _parse_if_changed(self) -> None:
        with self._lock():
            state = self._files_state()
            stamp = self.target_dir / "parsed_from"
            if stamp.exists() and stamp.read_text() == state:
                return
            built = _BUILT_DIR / self.state_dir.name
            if (built / stamp.name).exists() and (built / stamp.name).read_text() == state:
                shutil.copytree(built, self.target_dir, ignore=lambda *_: [stamp.name], dirs_exist_ok=True)
                stamp.write_text(state)
                return
            from dbt.cli.main import dbtRunner

            with environment(self.environment):
                result = dbtRunner().invoke(["parse", "--no-partial-parse", *self.arguments()])
            if not result.success:
                raise TransformError(f"The dbt project does not parse: {result.exception}. Correct it in oms_dbt/.")
            self.lineage_file.unlink(missing_ok=True)
            stamp.write_text(state)

    def _files_state(self) -> str:
        digest = hashlib.sha256(f"{version('dbt-core')}".encode())
        for name, value in sorted(self.environment.items()):
            # dbt names the database after its file, whatever folder that is in.
            digest.update(f"{name}={Path(value).name}".encode())
        for path in project_files():
            digest.update(path.as_posix().encode())
            digest.update(path.read_bytes())
        return digest.hexdigest()

    @contextmanager
    def _lock(self) -> Iterator[None]:
        self.target_dir.mkdir(parents=True, exist_ok=True)
        with (self.state_dir / ".parse.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def project_files() -> Sequence[Path]:
    """Every file of the dbt project that parsing depends on."""
    return sorted(
        path
        for path in DBT_PROJECT_DIR.rglob("*")
        if path.suffix in _PARSED_SUFFIXES and not {"target", "logs", "dbt_packages"} & set(path.parts)
    )


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Sets environment variables for dbt, which reads its inputs from nowhere else, and puts the old ones back."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
