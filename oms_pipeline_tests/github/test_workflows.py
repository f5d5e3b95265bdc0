"""The workflows do what they promise: every supported Python, nothing that can be swapped, a release that is scanned first.

What they may not contain is zizmor's business, and their syntax the schema's: see `make lint`.
"""

import re
import tomllib
from typing import Any

import pytest
import yaml

from oms_pipeline.settings import PROJECT_DIR

WORKFLOWS = sorted((PROJECT_DIR / ".github" / "workflows").glob("*.yml"))


def jobs(name: str) -> dict[str, Any]:
    text = (PROJECT_DIR / ".github" / "workflows" / name).read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text)["jobs"]
    return found


def actions(job: dict[str, Any]) -> list[str]:
    return [step["uses"].partition("@")[0] for step in job["steps"] if "uses" in step]


def test_every_supported_python_is_tested() -> None:
    project = tomllib.loads((PROJECT_DIR / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lowest, highest = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", project["requires-python"]).groups()  # type: ignore[union-attr]
    tested = jobs("ci.yml")["test"]["strategy"]["matrix"]["python"]
    assert tested == [f"3.{minor}" for minor in range(int(lowest), int(highest))]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_by_commit_with_its_version_beside_it(workflow: Any) -> None:
    uses = re.findall(r"uses: (.*)", workflow.read_text(encoding="utf-8"))
    assert uses
    for each in uses:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each), each


def test_an_action_has_one_version_in_all_workflows() -> None:
    pinned = {use for path in WORKFLOWS for use in re.findall(r"uses: (\S+)", path.read_text(encoding="utf-8"))}
    assert len({use.partition("@")[0] for use in pinned}) == len(pinned)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_no_job_runs_for_ever_or_may_more_than_it_says(workflow: Any) -> None:
    assert yaml.safe_load(workflow.read_text(encoding="utf-8"))["permissions"] == {}
    for name, job in jobs(workflow.name).items():
        assert job["timeout-minutes"] <= 60, name
        writes = {scope for scope, access in job["permissions"].items() if access == "write"}
        assert writes == ({"id-token", "attestations"} if job.get("environment") else set()), name


def test_what_is_pushed_was_tested_and_scanned_and_is_attested_by_digest() -> None:
    release = jobs("release.yml")["image"]
    assert release["needs"] == "test"
    order = actions(release)
    assert order.index("anchore/scan-action") < order.index("docker/login-action")
    pushes = [step for step in release["steps"] if step.get("with", {}).get("push")]
    (push,) = pushes
    assert push["with"]["provenance"] == "mode=max" and push["with"]["sbom"] is True
    (attest,) = [step for step in release["steps"] if step.get("uses", "").startswith("actions/attest")]
    assert attest["with"]["subject-digest"] == f"${{{{ steps.{push['id']}.outputs.digest }}}}"
