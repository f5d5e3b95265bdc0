"""An environment is made once, holds what its lock file pins, and is never taken for finished when it is not."""

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from oms_pipeline.settings import PROJECT_DIR
from oms_pipeline_tests.environments import environment

pytestmark = pytest.mark.slow


@pytest.fixture
def lock_file(tmp_path: Path) -> Path:
    """Pins one small package, as the project itself does."""
    pins = (PROJECT_DIR / "requirements.lock").read_text(encoding="utf-8")
    [pin] = re.findall(r"^iniconfig==.*\n(?: +--hash.*\n)+", pins, re.MULTILINE)
    path = tmp_path / "tool.txt"
    path.write_text(pin)
    return path


def installed(bin_dir: Path) -> set[str]:
    listed = subprocess.run([bin_dir / "pip", "list", "--format=freeze"], capture_output=True, text=True, check=True)
    return {line.partition("==")[0] for line in listed.stdout.splitlines()} - {"pip", "setuptools"}


def test_processes_that_ask_at_once_share_one_environment_with_what_is_pinned(lock_file: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor() as pool:
        first, second = pool.map(environment, [lock_file] * 2, [tmp_path / "home"] * 2)
    assert first == second
    assert installed(first) == {"iniconfig"}
    made = (first / "python").lstat().st_mtime_ns
    assert environment(lock_file, tmp_path / "home") == first
    assert (first / "python").lstat().st_mtime_ns == made


def test_an_environment_that_was_not_finished_is_made_anew(lock_file: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    first = environment(lock_file, home)
    (first.parent / ".ready").unlink()
    (first / "python").unlink()
    assert installed(environment(lock_file, home)) == {"iniconfig"}


def test_other_pins_are_another_environment_and_the_old_one_goes(lock_file: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    first = environment(lock_file, home)
    lock_file.write_text("")
    second = environment(lock_file, home)
    assert installed(second) == set()
    assert not first.exists()


def test_a_package_with_another_hash_is_not_installed(lock_file: Path, tmp_path: Path) -> None:
    lock_file.write_text(re.sub(r"(?<=sha256:)\w{64}", "0" * 64, lock_file.read_text()))
    with pytest.raises(AssertionError, match=r"(?i)hash"):
        environment(lock_file, tmp_path / "home")
