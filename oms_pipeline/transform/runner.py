"""Runs dbt inside this process and says what became of every model and test. Knows nothing of Dagster."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
        One result per node, in the order in which they ran.

    Raises:
        TransformError: dbt could not start, or refused the run before its first node; the text is dbt's own.
    """
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
        for result in outcome.result.results
        if result.node.resource_type != "operation"
    ]


def _one_line(text: str) -> str:
    return " ".join(text.split())
