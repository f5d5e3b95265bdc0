"""What the machine does when it starts for the first time: the script in its user data, as CloudFormation has filled it."""

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest

from oms_pipeline_tests.aws.conftest import BUCKET, IMAGE, Stacks
from oms_pipeline_tests.aws.machine import Machine
from oms_pipeline_tests.aws.test_host import dsn, machine, tools

__all__ = ["dsn", "machine", "tools"]

pytestmark = pytest.mark.slow

# The folders of a machine that the script writes to.
FOLDERS = ("/etc/", "/opt/aws/", "/usr/local/", "/usr/bin")


@pytest.fixture
def script(stacks: Stacks) -> str:
    ec2 = stacks.account.client("ec2")
    answer = ec2.describe_instance_attribute(InstanceId=stacks.host["InstanceId"], Attribute="userData")
    return base64.b64decode(answer["UserData"]["Value"]).decode()


def start(machine: Machine, script: str) -> subprocess.CompletedProcess[str]:
    """Runs the script with the machine's root instead of this one's."""
    first, _, rest = script.partition("\n")
    assert first == "#!/bin/bash"
    for folder in FOLDERS:
        rest = rest.replace(folder, f"{machine.root}{folder}")
    (machine.root / "usr" / "bin" / "oms-host").unlink()
    (machine.root / "etc" / "oms-host").unlink()
    return machine.shell("bash", "-c", rest)


def test_the_script_is_sound_and_small_enough(script: str, tmp_path: Path) -> None:
    assert len(script.encode()) < 16 * 1024
    (tmp_path / "script.sh").write_text(script)
    options = ["--external-sources", "--exclude=SC1091"]  # /etc/oms-host, which is on the machine only
    found = subprocess.run(
        [Path(sys.executable).with_name("shellcheck"), *options, tmp_path / "script.sh"], capture_output=True, text=True
    )
    assert found.returncode == 0, found.stdout


def test_the_machine_installs_docker_starts_the_containers_saves_once_and_says_that_it_is_done(
    machine: Machine, script: str
) -> None:
    done = start(machine, script)
    assert done.returncode == 0, done.stderr
    etc = machine.root / "etc"
    assert (etc / "oms-host").read_text().split() == [
        f"BUCKET={BUCKET}",
        "SETTINGS=/oms",
        "export",
        "AWS_REGION=eu-central-1",
    ]
    assert json.loads((etc / "docker" / "daemon.json").read_text())["live-restore"] is True
    plugins = machine.root / "usr" / "local" / "lib" / "docker" / "cli-plugins"
    assert [path.name for path in plugins.iterdir()] == ["docker-compose"]
    asked = machine.asked()
    assert asked[:2] == ["dnf install --assumeyes docker aws-cfn-bootstrap", "systemctl enable --now docker"]
    assert f"docker pull --quiet {IMAGE}" in asked
    assert asked.index("docker compose up --detach --wait --no-build --remove-orphans") < len(asked) - 1
    assert asked[-1] == "cfn-signal --exit-code 0 --region eu-central-1 --stack oms --resource Host"
    assert len(machine.run("backups").stdout.split()) == 1


def test_a_new_machine_goes_on_where_the_last_one_was(machine: Machine, script: str) -> None:
    assert machine.run("backup").returncode == 0
    machine.sql("dagster", "delete from runs")
    assert start(machine, script).returncode == 0
    assert machine.sql("dagster", "select count(*) from runs") == [(500,)]


def test_a_start_that_fails_fails_the_stack(machine: Machine, script: str) -> None:
    machine.fail("up --detach --wait --no-build")
    assert start(machine, script).returncode == 1
    assert machine.asked()[-1].startswith("cfn-signal --exit-code 1 ")
