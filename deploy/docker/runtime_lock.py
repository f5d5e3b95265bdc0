"""Prints the part of requirements.lock that runs in production: without tests, linters and benchmarks.

python deploy/docker/runtime_lock.py postgres snowflake > runtime.lock

What is tested and what runs have the same versions and hashes, out of one lock file. Needs Python only.
"""

import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


def runtime_lock(pyproject: str, lock: str, extras: Iterable[str]) -> str:
    """The lock's entries that the project needs with some of its extras.

    Args:
        pyproject: Text of pyproject.toml.
        lock: Text of the lock file. uv notes below each entry who asks for it.
        extras: Names of extras.
    """
    project = tomllib.loads(pyproject)["project"]
    asked = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    entries = re.findall(r"^\S.*?(?=^\S|\Z)", lock, re.MULTILINE | re.DOTALL)
    needed: set[str] = set()
    found = {_name(line) for line in asked}
    while found:
        needed |= found
        found = {_name(entry) for entry in entries if _parents(entry) & found} - needed
    return "".join(entry for entry in entries if _name(entry) in needed)


def _name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    return re.sub(r"[-_.]+", "-", found[0]).lower() if found else ""


def _parents(entry: str) -> set[str]:
    _, _, comment = entry.partition("# via")
    return {_name(line) for line in re.findall(r"^[\s#]*(\S+)", comment, re.MULTILINE)}


if __name__ == "__main__":
    texts = ((PROJECT / name).read_text(encoding="utf-8") for name in ("pyproject.toml", "requirements.lock"))
    sys.stdout.write(runtime_lock(*texts, extras=sys.argv[1:]))
