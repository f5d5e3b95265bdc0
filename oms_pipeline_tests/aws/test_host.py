"""`oms-host` on a machine: settings, updates, and backups that can be restored. To AWS it is the machine's role."""

import atexit
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from dotenv import dotenv_values

from oms_pipeline import sample
from oms_pipeline_tests.aws.conftest import BUCKET, IMAGE, Stacks
from oms_pipeline_tests.aws.machine import Machine
from oms_pipeline_tests.environments import environment

pytestmark = pytest.mark.slow

NEWER = IMAGE.replace("0.1.0", "0.2.0")
DATABASES = ("dagster", "metabase")


@pytest.fixture(scope="module")
def dsn() -> str:
    """A database server of its own: a backup takes all databases of a server."""
    # Not below pytest's own folder, which other users cannot enter, and PostgreSQL is one.
    folder = Path(tempfile.mkdtemp(prefix="oms-backups-"))
    atexit.register(shutil.rmtree, folder)  # runs after the server's own stop, which is registered later
    return sample.start(folder / "data")


@pytest.fixture(scope="module")
def tools() -> Path:
    """AWS's command line, which insists on a botocore of its own."""
    return environment(Path(__file__).with_name("awscli.txt"))


@pytest.fixture
def machine(stacks: Stacks, dsn: str, tools: Path, tmp_path: Path) -> Machine:
    """A machine after its first start, with two databases and no backup."""
    account = stacks.account
    account.client("ssm").put_parameter(Name="/oms/image", Value=IMAGE, Overwrite=True)
    empty_backups(stacks)
    credentials = account.environment(account.assume_as_service(stacks.host["RoleArn"]))
    machine = Machine(tmp_path / "root", tmp_path, dsn, tools, credentials)
    machine.prepare(BUCKET, "/oms")
    for name in DATABASES:
        machine.sql("postgres", f"drop database if exists {name} with (force)", f"drop role if exists {name}_owner")
        machine.sql("postgres", f"create role {name}_owner", f"create database {name} owner {name}_owner")
        machine.sql(name, "create table runs as select n, 'run ' || n as title from generate_series(1, 500) as n")
    return machine


@pytest.fixture
def parameters(stacks: Stacks) -> Iterator[dict[str, str]]:
    """What somebody has put into Parameter Store."""
    values = {
        "OMS_SOURCE_URL": "postgresql://reader:p%40ss@db.example.com:5432/oms",
        "SNOWFLAKE_PRIVATE_KEY": "-----BEGIN PRIVATE KEY-----\\nMII+/=\\n-----END PRIVATE KEY-----",
        "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE": 'it\'s $HOME, #1 "quoted"',
    }
    ssm = stacks.account.client("ssm")
    for name, value in values.items():
        ssm.put_parameter(Name=f"/oms/env/{name}", Value=value, Type="SecureString")
    yield values
    ssm.delete_parameters(Names=[f"/oms/env/{name}" for name in values])


def empty_backups(stacks: Stacks) -> None:
    s3 = stacks.account.client("s3")
    for entry in s3.list_objects_v2(Bucket=BUCKET, Prefix="backups/").get("Contents", []):
        s3.delete_object(Bucket=BUCKET, Key=entry["Key"])


def keys_of_backups(stacks: Stacks) -> list[str]:
    found = stacks.account.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="backups/").get("Contents", [])
    return [entry["Key"] for entry in found]


def succeeds(machine: Machine, *arguments: str) -> str:
    done = machine.run(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def fails(machine: Machine, *arguments: str) -> str:
    done = machine.run(*arguments)
    assert done.returncode != 0, done.stdout
    return done.stderr


def rows(machine: Machine) -> dict[str, object]:
    return {name: machine.sql(name, "select count(*), max(title) from runs") for name in DATABASES}


def names_and_owners(machine: Machine) -> set[tuple[object, ...]]:
    query = "select datname, pg_get_userbyid(datdba) from pg_database where not datistemplate"
    return set(machine.sql("postgres", query))


# Starting and updating


def test_the_containers_get_every_parameter_as_it_was_written(machine: Machine, parameters: dict[str, str]) -> None:
    assert succeeds(machine, "up").splitlines()[-1] == f"Running {IMAGE}"
    file = machine.root / "opt" / "oms" / ".env"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert dotenv_values(file, interpolate=False) == {
        **parameters,
        "OMS_IMAGE": IMAGE,
        "OMS_PROFILE": "snowflake",
        "OMS_RAW_URL": f"s3://{BUCKET}/raw",
        "OMS_COMPUTE_LOGS_URL": f"s3://{BUCKET}/compute-logs",
        "AWS_REGION": "eu-central-1",
        "SAMPLE": "0",
        "MAILPIT": "0",
    }


def test_the_first_start_pulls_starts_waits_and_plans_backups(machine: Machine) -> None:
    succeeds(machine, "up")
    assert machine.asked() == [
        f"docker pull --quiet {IMAGE}",
        f"docker image inspect --format {{{{.Config.WorkingDir}}}} {IMAGE}",
        f"docker create {IMAGE} none",
        f"docker cp --quiet a-container:/opt/oms/docker-compose.yml {machine.root}/opt/oms/docker-compose.yml",
        f"docker cp --quiet a-container:/opt/oms/deploy {machine.root}/opt/oms/deploy",
        "docker rm a-container",
        "docker compose up --detach --wait --no-build --remove-orphans",
        "systemctl daemon-reload",
        "systemctl enable --now oms-backup.timer",
        "docker image prune --all --force",
    ]
    units = sorted(path.name for path in (machine.root / "etc" / "systemd" / "system").iterdir())
    assert units == ["oms-backup.service", "oms-backup.timer"]


def test_an_update_saves_the_databases_first_and_hands_over_to_the_new_versions_script(
    machine: Machine, stacks: Stacks
) -> None:
    succeeds(machine, "up")
    machine.say_running()
    machine.forget()
    stacks.account.client("ssm").put_parameter(Name="/oms/image", Value=NEWER, Overwrite=True)
    script = machine.folder / "image" / "deploy" / "aws" / "oms-host"
    script.write_text(f'#!/bin/sh\necho "version two: $1"; docker ps; ls "{machine.root}/opt/oms"\n')
    assert "version two: start" in succeeds(machine, "up")
    assert f"docker pull --quiet {NEWER}" in machine.asked()
    assert machine.asked()[-1] == "docker ps"
    assert [key.rpartition("/")[2] for key in keys_of_backups(stacks)] == [
        "SHA256SUMS",
        "dagster.dump",
        "metabase.dump",
    ]


def test_without_the_new_image_nothing_changes(machine: Machine, stacks: Stacks) -> None:
    succeeds(machine, "up")
    machine.say_running()
    machine.forget()
    machine.fail("docker pull")
    fails(machine, "up")
    assert machine.asked() == [f"docker pull --quiet {IMAGE}"]


def test_a_parameter_of_several_lines_is_refused_and_the_settings_stay(machine: Machine, stacks: Stacks) -> None:
    succeeds(machine, "up")
    before = (machine.root / "opt" / "oms" / ".env").read_text()
    machine.forget()
    ssm = stacks.account.client("ssm")
    ssm.put_parameter(Name="/oms/env/SNOWFLAKE_PRIVATE_KEY", Value="-----BEGIN\nMII\n-----END", Type="SecureString")
    try:
        assert "Write line ends as \\n." in fails(machine, "up")
    finally:
        ssm.delete_parameter(Name="/oms/env/SNOWFLAKE_PRIVATE_KEY")
    assert (machine.root / "opt" / "oms" / ".env").read_text() == before
    assert machine.asked("compose up") == []


def test_whoever_asks_for_something_else_is_told_what_there_is(machine: Machine) -> None:
    for arguments in ((), ("restore",), ("destroy",), ("up", "now")):
        told = machine.run(*arguments)
        assert told.returncode == 2
        assert [line.split()[1] for line in told.stderr.splitlines()] == ["up", "backup", "backups", "restore"]


# Backups


def test_what_was_saved_can_be_restored_whatever_happened_since(machine: Machine, stacks: Stacks) -> None:
    saved, owners = rows(machine), names_and_owners(machine)
    (name,) = [succeeds(machine, "backup").split()[-1]]
    assert succeeds(machine, "backups").split() == [name]
    machine.sql("dagster", "delete from runs where n > 10", "create table from_a_newer_version (x int)")
    machine.sql("metabase", "drop table runs")
    machine.forget()

    assert succeeds(machine, "restore", "latest").strip() == f"Restored {name}"

    assert rows(machine) == saved
    assert names_and_owners(machine) == owners
    assert machine.sql("dagster", "select from pg_tables where tablename = 'from_a_newer_version'") == []
    # Nobody writes in between.
    assert machine.asked("compose") == [
        "docker compose stop",
        "docker compose up --detach --wait postgres",
        "docker compose up --detach --wait",
    ]


def test_a_backup_is_told_to_the_alarm_that_waits_for_it(machine: Machine, stacks: Stacks) -> None:
    cloudwatch = stacks.account.client("cloudwatch")
    before = len(cloudwatch.list_metrics(Namespace="OMS")["Metrics"])
    succeeds(machine, "backup")
    metrics = cloudwatch.list_metrics(Namespace="OMS", MetricName="Backups")["Metrics"]
    (alarm,) = [each for each in cloudwatch.describe_alarms()["MetricAlarms"] if each["Namespace"] == "OMS"]
    assert len(metrics) >= before
    assert alarm["Dimensions"] in [metric["Dimensions"] for metric in metrics]


def test_of_two_backups_the_older_can_be_chosen_by_name(machine: Machine, stacks: Stacks) -> None:
    older = succeeds(machine, "backup").split()[-1]
    saved = rows(machine)
    machine.sql("dagster", "delete from runs")
    s3 = stacks.account.client("s3")
    newer = "2999-01-01T00-00-00Z"
    s3.put_object(Bucket=BUCKET, Key=f"backups/{newer}/SHA256SUMS", Body=b"nothing")
    assert succeeds(machine, "backups").split() == [older, newer]
    succeeds(machine, "restore", older)
    assert rows(machine) == saved


def test_a_damaged_backup_is_refused_before_anything_stops(machine: Machine, stacks: Stacks) -> None:
    name = succeeds(machine, "backup").split()[-1]
    saved = rows(machine)
    machine.forget()
    stacks.account.client("s3").put_object(Bucket=BUCKET, Key=f"backups/{name}/metabase.dump", Body=b"damaged")
    assert f"Backup {name} is damaged" in fails(machine, "restore", name)
    assert rows(machine) == saved
    assert machine.asked() == []


def test_an_unfinished_backup_does_not_exist(machine: Machine, stacks: Stacks) -> None:
    name = succeeds(machine, "backup").split()[-1]
    stacks.account.client("s3").delete_object(Bucket=BUCKET, Key=f"backups/{name}/SHA256SUMS")
    machine.forget()
    assert succeeds(machine, "backups") == ""
    assert "There is no backup in" in fails(machine, "restore", "latest")
    assert f"There is no backup {name}" in fails(machine, "restore", name)
    assert machine.asked() == []


def test_a_database_that_cannot_be_dumped_leaves_no_backup_behind(machine: Machine, stacks: Stacks) -> None:
    machine.sql("postgres", "alter database metabase allow_connections false")
    assert "metabase" in fails(machine, "backup")
    assert keys_of_backups(stacks) == []


def test_a_restore_that_fails_half_way_changes_neither_database_and_starts_everything_again(
    machine: Machine, stacks: Stacks
) -> None:
    machine.sql("metabase", "create role reader", "grant select on runs to reader")
    name = succeeds(machine, "backup").split()[-1]
    machine.sql("metabase", "drop owned by reader", "drop role reader")
    machine.sql("dagster", "delete from runs where n > 10")
    before = rows(machine)
    machine.forget()
    assert 'role "reader" does not exist' in fails(machine, "restore", name)
    assert rows(machine) == before
    assert machine.asked("compose")[-1] == "docker compose up --detach --wait"
    # The next one clears up after it.
    machine.sql("metabase", "create role reader")
    succeeds(machine, "restore", name)
    assert {name for name, _ in names_and_owners(machine)} == {"postgres", *DATABASES}
    assert machine.sql("dagster", "select count(*) from runs") == [(500,)]
    machine.sql("metabase", "drop owned by reader", "drop role reader")
