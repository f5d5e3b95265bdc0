"""What docker-compose.yml promises of every service: health, limits, no rights it does not need, no door left open."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from oms_pipeline.settings import PROJECT_DIR, PostgresLogin, read_settings

TEXT = (PROJECT_DIR / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
# They do their work and exit, and others wait for that.
ONE_SHOT = {name for name, service in SERVICES.items() if service["restart"] == "no"}
PARTS = {name: service for name, service in SERVICES.items() if "OMS_HOME" in service.get("environment", {})}
every_service = pytest.mark.parametrize("name", SERVICES)


@every_service
def test_a_service_has_only_the_rights_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["read_only"] is True
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "pid", "ipc"} & set(service)
    assert not any("docker.sock" in str(volume) for volume in service.get("volumes", ()))


@every_service
def test_a_service_is_limited_started_in_order_and_started_again(name: str) -> None:
    service = SERVICES[name]
    limits = service["deploy"]["resources"]["limits"]
    assert {"cpus", "memory", "pids"} <= set(limits)
    assert service["logging"]["options"]["max-size"]
    if name in ONE_SHOT:
        return
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] == "CMD"
    for waited_for, wait in service.get("depends_on", {}).items():
        expected = "service_completed_successfully" if waited_for in ONE_SHOT else "service_healthy"
        assert wait["condition"] == expected, waited_for


def test_whoever_exits_is_waited_for_by_somebody_or_up_would_call_it_a_failure() -> None:
    waited_for = {dependency for service in SERVICES.values() for dependency in service.get("depends_on", {})}
    assert ONE_SHOT
    assert waited_for >= ONE_SHOT


@every_service
def test_ports_are_published_on_this_machine_only_and_databases_not_at_all(name: str) -> None:
    ports = SERVICES[name].get("ports", [])
    assert all(re.fullmatch(r"\$\{\w+:-127\.0\.0\.1:\d+\}:\d+", port) for port in ports)
    if SERVICES[name]["image"].startswith("postgres:"):
        assert not ports
        assert SERVICES[name]["networks"] == ["databases"]


def test_the_databases_network_leads_nowhere() -> None:
    assert COMPOSE["networks"]["databases"] == {"internal": True}


@every_service
def test_an_image_is_named_by_version(name: str) -> None:
    image = SERVICES[name]["image"]
    assert re.search(r":[\w.-]*\d[\w.-]*(@sha256:[0-9a-f]{64})?$", image) or image.startswith("${OMS_IMAGE:-")
    assert not image.endswith("latest")


def test_state_is_in_named_volumes_and_each_of_them_is_used() -> None:
    mounts = [volume for service in SERVICES.values() for volume in service.get("volumes", ())]
    folders = [mount for mount in mounts if mount.startswith(("/", "."))]
    assert all(mount.startswith("./deploy/") and mount.endswith(":ro") for mount in folders)
    for mount in folders:
        assert (PROJECT_DIR / mount.split(":")[0]).exists(), mount
    named = {mount.split(":")[0] for mount in mounts if mount not in folders}
    assert named == set(COMPOSE["volumes"])


def test_no_secret_stands_in_the_file_and_passwords_are_nobodys_business() -> None:
    assert not re.search(r"PASS(WORD)?: *[^$\s]", TEXT)
    for service in SERVICES.values():
        if "POSTGRES_USER" in service.get("environment", {}):
            assert service["environment"]["POSTGRES_PASSWORD_FILE"].startswith("/var/lib/oms-secrets/")


@pytest.mark.parametrize("name", PARTS)
def test_with_nothing_configured_the_pipeline_gets_settings_it_understands(name: str, tmp_path: Path) -> None:
    subprocess.run(["sh", PROJECT_DIR / "deploy" / "docker" / "secrets.sh", tmp_path], check=True)
    environment = {
        variable: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(value)).replace("/var/lib/oms-secrets", str(tmp_path))
        for variable, value in PARTS[name]["environment"].items()
    }
    settings = read_settings({**environment, "OMS_HOME": str(tmp_path)})
    assert settings.uses_sample
    assert settings.sample_url == "postgresql://oms@sample-oms:5432/oms"
    assert settings.dagster_database_url == "postgresql://dagster@postgres:5432/dagster"
    assert settings.smtp is not None
    # Runs are children of the code server, and each keeps the dashboards.
    assert (settings.metabase is not None) is (name in {"code", "dashboards"})
    if settings.metabase is not None:
        assert settings.metabase.url == "http://metabase:3000"
        assert settings.metabase.password == (tmp_path / "metabase_admin").read_text()
        reader = (tmp_path / "marts_reader").read_text()
        assert settings.metabase.reads == PostgresLogin("postgres", 5432, "marts", "marts_reader", reader)


def test_the_host_saves_databases_that_the_stack_has() -> None:
    host = (PROJECT_DIR / "deploy" / "aws" / "oms-host").read_text(encoding="utf-8")
    (service,) = re.findall(r"^service=(\w+)$", host, re.MULTILINE)
    (databases,) = re.findall(r'^databases="([^"]+)"$', host, re.MULTILINE)
    assert any(mount.endswith("databases.sh:ro") for mount in SERVICES[service]["volumes"])
    made = (PROJECT_DIR / "deploy" / "docker" / "databases.sh").read_text(encoding="utf-8")
    (names,) = re.findall(r"^for name in ([\w ]+); do\n.*\ncreate database", made, re.MULTILINE)
    assert set(databases.split()) <= set(names.split())


def test_what_the_stack_itself_decides_can_still_be_set_in_the_env_file() -> None:
    """A variable in `environment` wins over .env, so it must take the value from there."""
    for service in PARTS.values():
        for variable, value in service["environment"].items():
            # A secret set in .env wins over the file that is named here.
            if not variable.startswith("OMS_") or variable in {"OMS_HOME", "OMS_SAMPLE_URL"} or "_FILE" in variable:
                continue
            assert value.startswith(f"${{{variable}:-"), variable
