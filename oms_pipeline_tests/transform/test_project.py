"""The parsed dbt project: parsed when a file has changed, else read back."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from oms_pipeline.transform import DBT_PROJECT_DIR, DbtProjectFiles
from oms_pipeline.transform.project import environment, project_files


def parsed_at(project: DbtProjectFiles) -> int:
    """When the manifest was written, as the file system tells."""
    assert project.manifest
    return (project.target_dir / "manifest.json").stat().st_mtime_ns


def again(project: DbtProjectFiles, **variables: str) -> DbtProjectFiles:
    """The same project as another process sees it."""
    return replace(project, environment={**project.environment, **variables})


def test_a_project_that_has_not_changed_is_not_parsed_again(project: DbtProjectFiles) -> None:
    before = parsed_at(project)

    moved = Path(project.environment["OMS_DUCKDB_PATH"])

    assert parsed_at(again(project)) == before
    assert parsed_at(again(project, OMS_DUCKDB_PATH=str(moved.parent / "elsewhere" / moved.name))) == before


@pytest.mark.slow
def test_a_changed_file_and_another_name_of_the_warehouse_are_parsed_anew(
    project: DbtProjectFiles, tmp_path: Path
) -> None:
    own = replace(project, state_dir=tmp_path)
    first = parsed_at(own)
    (tmp_path / "target" / "parsed_from").write_text("what the files once were")
    second = parsed_at(again(own))
    assert second > first

    renamed = again(own, OMS_DUCKDB_PATH=str(tmp_path / "another.duckdb"))
    assert parsed_at(renamed) > second
    assert {node["database"] for node in renamed.manifest["nodes"].values()} == {"another"}


def test_models_macros_and_descriptions_are_what_parsing_depends_on() -> None:
    files = {path.relative_to(DBT_PROJECT_DIR).as_posix() for path in project_files()}

    assert {
        "dbt_project.yml",
        "profiles.yml",
        "models/marts/fct_orders.sql",
        "models/staging/_oms__sources.yml",
    } <= files
    assert any(file.startswith("macros/") for file in files)
    assert not any(file.startswith(("target/", "logs/")) for file in files)


def test_dbts_variables_are_set_for_its_run_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMS_WINDOW_FROM", "before")
    monkeypatch.delenv("OMS_WINDOW_TO", raising=False)

    with (
        pytest.raises(KeyboardInterrupt),
        environment({"OMS_WINDOW_FROM": "2026-03-01", "OMS_WINDOW_TO": "2026-03-02"}),
    ):
        interrupt_if(os.environ["OMS_WINDOW_FROM"] == "2026-03-01" and os.environ["OMS_WINDOW_TO"] == "2026-03-02")

    assert os.environ["OMS_WINDOW_FROM"] == "before"
    assert "OMS_WINDOW_TO" not in os.environ


def interrupt_if(condition: bool) -> None:
    if condition:
        raise KeyboardInterrupt
