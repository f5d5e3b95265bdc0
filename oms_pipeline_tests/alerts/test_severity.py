"""How much an event matters is read from the contract; what is not known there is refused."""

from pathlib import Path

import pytest
import yaml

from oms_pipeline.alerts import Kind, load_severities
from oms_pipeline.alerts.severity import Severity, severities
from oms_pipeline.contract import load_mails
from oms_pipeline.errors import ContractError


def test_what_has_to_be_mended_is_important_and_the_rest_is_not() -> None:
    high = {kind for kind, severity in load_severities().items() if severity is Severity.HIGH}
    assert high == {Kind.RUN_FAILED, Kind.CHECK_FAILED, Kind.FRESHNESS_MISSED}


def test_an_event_that_is_not_written_down_is_normal() -> None:
    found = severities({"digest": "never"})
    assert found[Kind.DIGEST] is Severity.NEVER
    assert found[Kind.RUN_FAILED] is Severity.NORMAL


@pytest.mark.parametrize("written", [{"run_fails": "high"}, {"run_failed": "False"}, {"held_back": "high"}])
def test_an_event_or_a_severity_that_nobody_knows_is_refused(written: dict[str, str]) -> None:
    with pytest.raises(ContractError, match=r"Events are run_failed, .*digest; each is high, normal, never\."):
        severities(written)


def test_a_list_of_events_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "_oms__sources.yml"
    source = {"name": "oms", "config": {"meta": {"mails": ["run_failed"]}}, "tables": []}
    file.write_text(yaml.safe_dump({"sources": [source]}))
    with pytest.raises(ContractError, match=r"mails is \['run_failed'\]\. Write under the source's config\.meta"):
        load_mails(file)
