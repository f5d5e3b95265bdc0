"""Stands in for a machine's programs that cannot run in a test: docker, systemctl, dnf, cfn-signal.

Writes down what was asked. An image is a folder; a command in the database's container runs on this machine, with the
database that `POSTGRES_USER`, `PGHOST` and `PGPORT` name. All the rest is the real thing.

Run as: stand_in.py PROGRAM ARGUMENT…, with the folder that holds `asked` and `image` in `STAND_IN`.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(os.environ["STAND_IN"])
WORKING_DIR = "/opt/oms"


def main(program: str, arguments: list[str]) -> int:
    """Does as the program would; gives its exit status."""
    asked = " ".join([Path(program).name, *arguments])
    with (FOLDER / "asked").open("a") as log:
        print(asked, file=log)
    failing = FOLDER / "failing"
    if failing.exists() and failing.read_text() in asked:
        return 1
    match [Path(program).name, *arguments]:
        case ["docker", "image", "inspect", *_]:
            print(WORKING_DIR)
        case ["docker", "create", *_]:
            print("a-container")
        case ["docker", "cp", "--quiet", source, "-"]:
            path = _in_image(source)
            return subprocess.run(["tar", "--create", "--directory", path.parent, path.name]).returncode
        case ["docker", "cp", "--quiet", source, target]:
            path = _in_image(source)
            if path.is_dir():
                shutil.copytree(path, target)
            else:
                shutil.copyfile(path, target)
        case ["docker", "compose", _, _, _, _, "ps", *_]:
            print("a-container" if (FOLDER / "running").exists() else "", end="")
        case ["docker", "compose", _, _, _, _, "exec", "-T", "postgres", *command]:
            return subprocess.run(command).returncode
    return 0


def _in_image(source: str) -> Path:
    return FOLDER / "image" / source.partition(":")[2].removeprefix(WORKING_DIR).lstrip("/")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
