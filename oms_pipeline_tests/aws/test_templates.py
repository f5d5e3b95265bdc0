"""The templates as they are written: what moto does not keep, and what CloudFormation would notice too late."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cfnlint.decode.cfn_yaml import load

from oms_pipeline.settings import PROJECT_DIR
from oms_pipeline_tests.environments import environment

TEMPLATES = PROJECT_DIR / "deploy" / "aws"


def resources(template: str) -> dict[str, Any]:
    found: dict[str, Any] = load(str(TEMPLATES / template))["Resources"]
    return found


def test_what_holds_the_data_stays_when_its_stack_goes_or_is_changed() -> None:
    bucket = resources("storage.yml")["Bucket"]
    assert bucket["DeletionPolicy"] == bucket["UpdateReplacePolicy"] == "Retain"


def test_credentials_take_a_session_token_that_a_container_can_still_get() -> None:
    assert resources("host.yml")["Host"]["Properties"]["MetadataOptions"] == {
        "HttpTokens": "required",
        "HttpPutResponseHopLimit": 2,
    }


def test_the_machine_lets_nobody_in_and_reaches_no_more_than_it_needs() -> None:
    group = resources("host.yml")["SecurityGroup"]["Properties"]
    assert group["SecurityGroupIngress"] == []
    out = {(str(rule["FromPort"]), str(rule["CidrIp"])) for rule in group["SecurityGroupEgress"]}
    assert out == {
        ("443", "0.0.0.0/0"),
        ("80", "0.0.0.0/0"),
        ("{'Ref': 'MailPort'}", "0.0.0.0/0"),
        ("{'Ref': 'SourcePort'}", "{'Ref': 'SourceCidr'}"),
    }
    assert all(rule["FromPort"] == rule["ToPort"] and rule["Description"] for rule in group["SecurityGroupEgress"])
    assert "KeyName" not in resources("host.yml")["Host"]["Properties"]


def test_every_setting_is_there_before_the_machine_asks_for_it() -> None:
    found = resources("host.yml")
    settings = {name for name, each in found.items() if each["Type"] == "AWS::SSM::Parameter"}
    assert settings and settings == set(found["Host"]["DependsOn"])


def test_no_policy_allows_everything_of_a_service_or_hands_rights_on() -> None:
    for template in ("storage.yml", "host.yml"):
        for name, resource in resources(template).items():
            for policy in resource.get("Properties", {}).get("Policies", []):
                for statement in policy["PolicyDocument"]["Statement"]:
                    actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
                    for action in actions:
                        assert "*" not in action and not action.startswith(("iam:", "sts:")), f"{name}: {action}"


def test_every_exception_from_a_rule_says_why() -> None:
    for template in TEMPLATES.glob("*.yml"):
        for reason in re.findall(r"checkov:skip=\w+:?(.*)", template.read_text(encoding="utf-8")):
            assert len(reason.split()) > 5, reason


@pytest.mark.slow
def test_checkov_finds_nothing_that_has_no_reason() -> None:
    tools = environment(Path(__file__).with_name("checkov.txt"))
    command = [tools / "checkov", "--directory", TEMPLATES, "--framework", "cloudformation", "--compact", "--quiet"]
    found = subprocess.run([*command, "--skip-download"], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr
    assert re.search(r"Passed checks: \d\d, Failed checks: 0", found.stdout), found.stdout
