"""Nothing a user can set, call or query goes undocumented, and no document points to what is not there."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml

from oms_pipeline.cli import main
from oms_pipeline.settings import PROJECT_DIR, VARIABLES

README = (PROJECT_DIR / "README.md").read_text(encoding="utf-8")
MODELS = sorted((PROJECT_DIR / "oms_dbt" / "models").rglob("*.sql"))
MARTS_PAGE = (PROJECT_DIR / "docs" / "concepts" / "marts.md").read_text(encoding="utf-8")


def commands(group: click.Group, prefix: str = "oms") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", command


def tracked_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT_DIR,
        capture_output=True,
        text=True,
        check=True,
    )
    return [PROJECT_DIR / name for name in listed.stdout.splitlines() if (PROJECT_DIR / name).is_file()]


@pytest.mark.parametrize(
    ("name", "command"), list(commands(main)), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_command_and_option_is_in_the_readme_and_explains_itself(name: str, command: click.Command) -> None:
    assert f"`{name}" in README
    assert command.help
    row = next(line for line in README.splitlines() if line.startswith(f"| `{name}"))
    for parameter in command.params:
        assert isinstance(parameter, click.Option)
        assert parameter.help, f"{name} {parameter.opts[0]} has no help"
        assert parameter.opts[0] in row, f"{name} {parameter.opts[0]} is not in the README"


def test_every_variable_is_in_the_readme_and_in_the_example_file() -> None:
    rows = set(re.findall(r"^\| `(OMS_\w+)`", README, re.MULTILINE))
    example = set(re.findall(r"^#(OMS_\w+)=", (PROJECT_DIR / ".env.example").read_text(), re.MULTILINE))
    assert rows == example == set(VARIABLES)


def test_no_module_but_settings_reads_the_projects_variables() -> None:
    reading = re.compile(r"environ[^\n]*OMS_|getenv\([^\n]*OMS_")
    for path in (PROJECT_DIR / "oms_pipeline").rglob("*.py"):
        assert path.name == "settings.py" or not reading.search(path.read_text()), path


@pytest.mark.parametrize("sql", MODELS, ids=lambda path: path.stem)
def test_every_model_and_column_is_described_beside_its_sql(sql: Path) -> None:
    (model,) = yaml.safe_load(sql.with_suffix(".yml").read_text(encoding="utf-8"))["models"]
    assert model["name"] == sql.stem
    assert model["description"].strip()
    assert model["columns"]
    assert all(column["description"].strip() for column in model["columns"])


def test_every_mart_is_in_the_list_of_marts() -> None:
    for sql in MODELS:
        if sql.parent.name == "marts":
            assert f"`{sql.stem}`" in MARTS_PAGE


def test_every_target_that_a_document_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT_DIR / "Makefile").read_text(), re.MULTILINE))
    for page in [PROJECT_DIR / "README.md", *(PROJECT_DIR / "docs").rglob("*.md")]:
        assert set(re.findall(r"\bmake ([a-z-]+)\b", page.read_text())) - {"it"} <= targets, page


def test_every_relative_link_leads_somewhere() -> None:
    for page in [PROJECT_DIR / "README.md", *(PROJECT_DIR / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page}: {link}"


def test_every_document_is_reached_from_the_readme() -> None:
    reached, to_read = set(), [PROJECT_DIR / "README.md"]
    while to_read:
        page = to_read.pop().resolve()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        to_read += [page.parent / link for link in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text())]
    assert {page.resolve() for page in (PROJECT_DIR / "docs").rglob("*.md")} <= reached


def test_no_file_names_a_package_index() -> None:
    index = re.compile("|".join(["py" + r"pi\.org", "pythonhosted" + r"\.org", "registry" + r"\.npmjs"]))
    for path in tracked_files():
        if path.suffix not in {".png", ".parquet"}:
            assert not index.search(path.read_text(encoding="utf-8", errors="ignore")), path
