"""Environments of tools that must not share the project's own: made once from a lock file, then kept."""

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from oms_pipeline.settings import PROJECT_DIR

ENVIRONMENTS: Final = PROJECT_DIR / ".venv" / "environments"


def environment(lock_file: Path, home: Path = ENVIRONMENTS) -> Path:
    """The `bin` folder of a virtual environment that holds what a lock file pins, and nothing else.

    The first call makes it, which can take minutes; a later one, in any process, only looks. Another content of the file
    is another environment, and the old one goes.

    Args:
        lock_file: Requirements with versions and hashes; its name is the environment's.
        home: Where environments are kept.
    """
    digest = hashlib.sha256(lock_file.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = home / f"{lock_file.stem}-{digest}"
    # A finished environment can't be moved to its place, since its scripts name their folder: this file says that it is.
    ready = folder / ".ready"
    home.mkdir(parents=True, exist_ok=True)
    with (home / f"{lock_file.stem}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            for old in home.glob(f"{lock_file.stem}-{'?' * len(digest)}"):
                shutil.rmtree(old)
            _run(sys.executable, "-m", "venv", str(folder))
            _install(folder / "bin" / "python", lock_file)
            ready.touch()
    return folder / "bin"


def _install(python: Path, lock_file: Path) -> None:
    """As the Makefile does: uv is ten times as fast; where it can't reach the index that pip is set up for, pip does it."""
    pinned = ["--quiet", "--require-hashes", "--no-deps", "-r", str(lock_file)]
    uv = Path(sys.executable).with_name("uv")
    if uv.exists():
        done = subprocess.run([uv, "pip", "install", "--python", python, *pinned], capture_output=True)
        if done.returncode == 0:
            return
    _run(str(python), "-m", "pip", "install", "--disable-pip-version-check", *pinned)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}{done.stderr}"
