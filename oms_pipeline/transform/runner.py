"""Runs dbt inside this process and says what became of every model and test. Knows nothing of Dagster."""

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from oms_pipeline.errors import TransformError
from oms_pipeline.transform.project import DbtProjectFiles, environment


@dataclass(frozen=True)
class NodeResult:
    """What became of one model or test.

    Attributes:
        unique_id: dbt's name of the node.
        succeeded: Whether it did what it should; warnings count as success.
        skipped: Whether it did not run because something before it failed.
        message: dbt's own words, one line.
        seconds: Time it took.
        failures: Rows a test returned; None for a model.
        compiled: The SQL that ran.
    """

    unique_id: str
    succeeded: bool
    skipped: bool
    message: str
    seconds: float
    failures: int | None
    compiled: str

    @property
    def is_test(self) -> bool:
        """Whether the node is a test."""
        return self.unique_id.startswith(("test.", "unit_test."))

    @property
    def name(self) -> str:
        """The node's short name."""
        return self.unique_id.split(".")[2]


def run_dbt(
    project: DbtProjectFiles,
    command: Sequence[str],
    variables: Mapping[str, str],
    on_finished: Callable[[str], None] = lambda _: None,
) -> list[NodeResult]:
    """Runs one dbt command on the project as parsed.

    Args:
        project: The dbt project.
        command: Such as `["build", "--select", "fct_orders"]`.
        variables: Environment variables for this invocation.
        on_finished: Called with the unique id of each node when it is done.

    Returns:
        One result per model or test, in the order in which they ran.

    Raises:
        TransformError: dbt could not start, or refused the run before its first node; the text is dbt's own.
    """
    return [
        NodeResult(
            unique_id=result.node.unique_id,
            succeeded=result.status in ("success", "pass", "warn"),
            skipped=result.status == "skipped",
            message=_one_line(result.message or ""),
            seconds=result.execution_time,
            failures=result.failures,
            compiled=getattr(result.node, "compiled_code", None) or "",
        )
        for result in _invoke(project, command, variables, on_finished)
        # Hooks and exposures have results, too.
        if result.node.resource_type not in ("operation", "exposure")
    ]


def run_tests(
    project: DbtProjectFiles,
    selection: Sequence[str],
    variables: Mapping[str, str],
    query: Callable[[str], pa.Table],
    on_finished: Callable[[str], None] = lambda _: None,
) -> list[NodeResult]:
    """Runs tests as one query, where every statement has its price.

    Args:
        project: The dbt project.
        selection: dbt's arguments that select the models; their tests are run.
        variables: Environment variables for this invocation.
        query: Runs one SELECT.
        on_finished: Called with the unique id of each test when it is done.

    Returns:
        One result per test.

    Raises:
        TransformError: A test does not compile; the text is dbt's own.
    """
    command = ["compile", *_tests_of(selection), "--no-populate-cache"]
    nodes = [result.node for result in _invoke(project, command, variables)]
    tests = sorted((node for node in nodes if node.resource_type == "test"), key=lambda test: test.unique_id)
    if not tests:
        return []
    started = time.monotonic()
    counts = query(
        "\nunion all\n".join(
            f"select '{test.unique_id}' as test, count(*) as failures from (\n{test.compiled_code}\n) as failing"
            for test in tests
        )
    )
    seconds = (time.monotonic() - started) / len(tests)
    failures = {row["test"]: int(row["failures"]) for row in counts.to_pylist()}
    results = []
    for test in tests:
        found = failures[test.unique_id]
        results.append(
            NodeResult(
                unique_id=test.unique_id,
                succeeded=found == 0 or test.config.severity.lower() == "warn",
                skipped=False,
                message=f"Got {found} results, configured to fail if != 0" if found else "",
                seconds=seconds,
                failures=found,
                compiled=test.compiled_code,
            )
        )
        on_finished(test.unique_id)
    return results


def _tests_of(selection: Sequence[str]) -> list[str]:
    """The same selection of models, of their tests alone."""
    if "--select" not in selection:
        return [*selection, "--select", "resource_type:test"]
    start = selection.index("--select") + 1
    return [*selection[:start], *(f"{name},resource_type:test" for name in selection[start:])]


def _invoke(
    project: DbtProjectFiles,
    command: Sequence[str],
    variables: Mapping[str, str],
    on_finished: Callable[[str], None] = lambda _: None,
) -> list[Any]:
    from dbt.cli.main import dbtRunner

    def listen(event: Any) -> None:
        if event.info.name == "NodeFinished":
            on_finished(event.data.node_info.unique_id)

    # A target folder of its own: two runs must not write over each other's compiled SQL.
    with tempfile.TemporaryDirectory(prefix="oms-dbt-") as target, environment({**project.environment, **variables}):
        runner = dbtRunner(manifest=project.parsed(), callbacks=[listen])
        outcome = runner.invoke([*command, "--no-write-json", *project.arguments(Path(target))])
    if outcome.exception is not None:
        raise TransformError(_one_line(str(outcome.exception)))
    results: list[Any] = outcome.result.results
    return results


def _one_line(text: str) -> str:
    return " ".join(text.split())
