"""What docker-compose.yml promises of every service: health, limits, no rights it does not need, no door left open."""

import json
import re
import subprocess
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from dotenv import dotenv_values

from oms_pipeline.settings import PROJECT_DIR, SECRETS, PostgresLogin, Settings, SnowflakeLogin, read_settings

TEXT = (PROJECT_DIR / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
# They do their work and exit, and others wait for that.
ONE_SHOT = {name for name, service in SERVICES.items() if service["restart"] == "no"}
PARTS = {name: service for name, service in SERVICES.items() if "OMS_HOME" in service.get("environment", {})}
every_service = pytest.mark.parametrize("name", SERVICES)
every_part = pytest.mark.parametrize("name", PARTS)
# Its runs do without Metabase, which may not have started yet.
WITHOUT_METABASE = {"demo"}
RUNBOOK = (PROJECT_DIR / "docs" / "runbooks" / "docker.md").read_text(encoding="utf-8")
(PRODUCTION,) = re.findall(r"^## Production\n.*?^```sh\n(.*?)^```", RUNBOOK, re.MULTILINE | re.DOTALL)


def filled_in(text: str, values: Mapping[str, str | None]) -> str:
    """A text of the file as Compose reads it: `${NAME:-default}` from .env, the innermost first."""
    while match := re.search(r"\$\{(\w+):-([^${}]*)\}", text):
        text = text[: match.start()] + (values.get(match[1]) or match[2]) + text[match.end() :]
    return text


def environment_of(name: str, env_file: str = "") -> dict[str, str]:
    """What a service's container gets: .env as it is, and over it what the file sets, which may take it from .env."""
    values = dotenv_values(stream=StringIO(env_file))
    environment = {variable: value or "" for variable, value in values.items()} if "env_file" in SERVICES[name] else {}
    own = {variable: filled_in(str(value), values) for variable, value in SERVICES[name]["environment"].items()}
    return {**environment, **own}


class Stack:
    """The stack's files on this machine: what `secrets` has made, and a folder of one's own."""

    def __init__(self, folder: Path) -> None:
        self.secrets, self.own = folder / "secrets", folder / "own"
        for made in ("databases", "pipeline", "metabase"):
            (self.secrets / made).mkdir(parents=True)
        self.own.mkdir()
        self.make_secrets()

    def make_secrets(self) -> None:
        subprocess.run(["sh", PROJECT_DIR / "deploy" / "docker" / "secrets.sh", self.secrets], check=True)

    def secret(self, path: str) -> str:
        return (self.secrets / path).read_text()

    def settings(self, name: str, env_file: str = "") -> Settings:
        """What the pipeline in a service's container understands."""
        places = {
            "/var/lib/oms-secrets/": f"{self.secrets}/pipeline/",
            "/etc/oms-secrets/": f"{self.own}/",
            "/var/lib/oms": str(self.own.parent / "home"),
        }
        environment = environment_of(name, env_file)
        for inside, here in places.items():
            environment = {variable: value.replace(inside, here) for variable, value in environment.items()}
        return read_settings(environment)


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return Stack(tmp_path)


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


def test_the_airflow_to_look_at_is_the_one_that_the_trigger_is_tested_with() -> None:
    tested = (PROJECT_DIR / "oms_pipeline_tests" / "airflow" / "airflow_3.txt").read_text(encoding="utf-8")
    (version,) = re.findall(r"^apache-airflow==([\d.]+)", tested, re.MULTILINE)
    assert SERVICES["airflow"]["image"].startswith(f"apache/airflow:{version}-")


def test_state_is_in_named_volumes_and_each_of_them_is_used() -> None:
    mounts = [filled_in(volume, {}) for service in SERVICES.values() for volume in service.get("volumes", ())]
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


# What the pipeline is told


@every_part
def test_with_nothing_configured_the_pipeline_gets_settings_it_understands(name: str, stack: Stack) -> None:
    settings = stack.settings(name)
    assert settings.uses_sample
    assert settings.sample_url == f"postgresql://oms:{stack.secret('databases/sample')}@sample-oms:5432/oms"
    dagster = f"postgresql://dagster:{stack.secret('databases/dagster')}@postgres:5432/dagster"
    assert settings.dagster_database_url == dagster
    assert settings.publish_url == f"postgresql://marts:{stack.secret('databases/marts')}@postgres:5432/marts"
    assert settings.smtp is not None
    assert (settings.smtp.host, settings.smtp.port) == ("mailpit", 1025)
    # Runs are children of the code server, and each keeps the dashboards.
    assert (settings.metabase is None) is (name in WITHOUT_METABASE)
    if settings.metabase is not None:
        assert settings.metabase.url == "http://metabase:3000"
        assert settings.metabase.link == "http://localhost:3001"
        assert settings.metabase.password == stack.secret("databases/metabase_admin")
        reader = stack.secret("databases/marts_reader")
        assert settings.metabase.reads == PostgresLogin("postgres", 5432, "marts", "marts_reader", reader)


@every_part
def test_the_runbooks_production_is_understood_by_every_part(name: str, stack: Stack) -> None:
    settings = stack.settings(name, PRODUCTION)
    assert (settings.profile, settings.uses_sample, settings.publish_url) == ("snowflake", False, None)
    assert settings.source_url == dotenv_values(stream=StringIO(PRODUCTION))["OMS_SOURCE_URL"]
    assert settings.smtp is not None
    assert settings.smtp.host == "smtp.example.com"
    assert settings.dagster_database_url == stack.secret("pipeline/dagster_database_url").strip()
    assert (settings.metabase is None) is (name in WITHOUT_METABASE)
    if settings.metabase is not None:
        assert isinstance(settings.metabase.reads, SnowflakeLogin)
        assert settings.metabase.reads.user == "OMS_DASHBOARDS_USER"


def test_the_runbook_quotes_whatever_may_hold_a_dollar_sign() -> None:
    for variable in {*SECRETS} & {*dotenv_values(stream=StringIO(PRODUCTION))}:
        assert re.search(rf"^{variable}='[^']*'$", PRODUCTION, re.MULTILINE), variable


OWN = {
    "OMS_SOURCE_URL": "postgresql://reader:s3cret@db.example.com:5432/oms",
    "OMS_SAMPLE_URL": "postgresql://oms:s3cret@db.example.com:5432/sample",
    "OMS_DAGSTER_DATABASE_URL": "postgresql://dagster:s3cret@db.example.com:5432/dagster",
    "OMS_SMTP_URL": "smtp://me:s3cret@smtp.example.com:587",
    "OMS_PUBLISH_URL": "postgresql://marts:s3cret@db.example.com:5432/marts",
    "OMS_METABASE_PASSWORD": "s3cret horse",
    "OMS_METABASE_DATABASE_URL": "postgresql://reader:s3cret@db.example.com:5432/marts",
}


@every_part
@pytest.mark.parametrize("in_files", [False, True], ids=["in variables", "in files"])
def test_what_the_stack_brings_can_be_ones_own_in_a_variable_or_in_a_file(
    name: str, in_files: bool, stack: Stack
) -> None:
    lines = ["OMS_START_DATE=2026-01-01"]
    for variable, value in OWN.items():
        (stack.own / variable.lower()).write_text(f"{value}\n", encoding="utf-8")
        named = f"{variable}_FILE=/etc/oms-secrets/{variable.lower()}"
        lines.append(named if in_files else f"{variable}='{value}'")
    settings = stack.settings(name, "\n".join(lines))
    assert not settings.uses_sample
    found = (settings.source_url, settings.sample_url, settings.dagster_database_url, settings.publish_url)
    wanted = ("OMS_SOURCE_URL", "OMS_SAMPLE_URL", "OMS_DAGSTER_DATABASE_URL", "OMS_PUBLISH_URL")
    assert found == tuple(OWN[variable] for variable in wanted)
    assert settings.smtp is not None
    assert (settings.smtp.host, settings.smtp.password) == ("smtp.example.com", "s3cret")
    if settings.metabase is not None:
        assert settings.metabase.password == OWN["OMS_METABASE_PASSWORD"]
        assert settings.metabase.reads == PostgresLogin("db.example.com", 5432, "marts", "reader", "s3cret")


@every_part
@pytest.mark.parametrize(
    ("env_file", "url", "link"),
    [
        ("OMS_METABASE_URL=off\nMETABASE=0", None, None),
        ("OMS_METABASE_URL=https://bi.example.com", "https://bi.example.com", "https://bi.example.com"),
        ("OMS_METABASE_WEB_URL=https://bi.example.com", "http://metabase:3000", "https://bi.example.com"),
        ("OMS_METABASE_API_KEY=mb_1", "http://metabase:3000", "http://localhost:3001"),
        ("OMS_METABASE_USER=boss@example.com", "http://metabase:3000", "http://localhost:3001"),
    ],
)
def test_every_part_is_told_of_the_same_metabase(
    name: str, env_file: str, url: str | None, link: str | None, stack: Stack
) -> None:
    metabase = stack.settings(name, env_file).metabase
    if name in WITHOUT_METABASE:
        assert metabase is None
    else:
        assert (metabase and metabase.url, metabase and metabase.link) == (url, link)


def test_what_the_stack_itself_decides_can_still_be_set_in_the_env_file() -> None:
    """A variable in `environment` wins over .env, so it must take the value from there."""
    for name, service in PARTS.items():
        for variable, value in service["environment"].items():
            if not variable.startswith("OMS_") or variable == "OMS_HOME":
                continue
            if variable == "OMS_METABASE_URL" and name in WITHOUT_METABASE:
                continue
            # One that is set here would win over a file that is named in .env.
            assert variable not in SECRETS
            assert value.startswith(f"${{{variable}:-"), variable


def test_those_beside_the_pipeline_are_told_of_its_zone_and_of_the_addresses_that_people_reach() -> None:
    env_file = (
        "OMS_TIMEZONE=Europe/Berlin\nOMS_WEB_URL=https://oms.example.com\nOMS_METABASE_WEB_URL=https://bi.example.com"
    )
    for given, zone, web, metabase in (
        ("", "UTC", "http://localhost:3000", "http://localhost:3001"),
        (env_file, "Europe/Berlin", "https://oms.example.com", "https://bi.example.com"),
    ):
        airflow = environment_of("airflow", given)
        assert airflow["OMS_TIMEZONE"] == zone
        assert json.loads(airflow["AIRFLOW_CONN_OMS_DAGSTER"])["extra"] == {"link": web}
        assert environment_of("metabase", given)["MB_SITE_URL"] == metabase


# Who sees which password


def volumes_of(name: str) -> set[str]:
    return {filled_in(mount, {}).split(":")[0] for mount in SERVICES[name].get("volumes", ())}


@every_service
def test_a_service_sees_only_the_passwords_that_it_logs_in_with(name: str) -> None:
    seen = volumes_of(name) & {"secrets", "logins", "metabase-login"}
    if name == "secrets":
        assert len(seen) == 3
    elif name == "metabase":
        assert seen == {"metabase-login"}
    elif name in PARTS:
        assert seen == {"logins"}
    elif SERVICES[name]["image"].startswith("postgres:"):
        assert seen == {"secrets"}
    else:
        assert not seen
    if name != "secrets":
        mounts = [mount for mount in SERVICES[name].get("volumes", ()) if "-secrets" in mount]
        assert all(mount.endswith(":ro") for mount in mounts)


def test_passwords_stay_what_they_are_and_go_only_where_they_are_needed(stack: Stack) -> None:
    files = [path for path in stack.secrets.rglob("*") if path.is_file()]
    before = {path: path.read_text() for path in files}
    stack.make_secrets()
    assert {path: path.read_text() for path in files} == before
    assert [path.name for path in (stack.secrets / "metabase").iterdir()] == ["password"]
    assert stack.secret("metabase/password") == stack.secret("databases/metabase")
    for_the_pipeline = "".join(path.read_text() for path in (stack.secrets / "pipeline").iterdir())
    for others in ("postgres", "metabase"):
        assert stack.secret(f"databases/{others}") not in for_the_pipeline


def test_a_folder_of_ones_own_takes_the_place_of_an_empty_volume() -> None:
    for name in PARTS:
        (mount,) = [mount for mount in SERVICES[name]["volumes"] if "/etc/oms-secrets" in mount]
        assert filled_in(mount, {"SECRETS_FOLDER": "/srv/oms"}) == "/srv/oms:/etc/oms-secrets:ro"
    assert "own-secrets" not in volumes_of("secrets")


def test_the_host_saves_databases_that_the_stack_has() -> None:
    host = (PROJECT_DIR / "deploy" / "aws" / "oms-host").read_text(encoding="utf-8")
    (service,) = re.findall(r"^service=(\w+)$", host, re.MULTILINE)
    (databases,) = re.findall(r'^databases="([^"]+)"$', host, re.MULTILINE)
    assert any(mount.endswith("databases.sh:ro") for mount in SERVICES[service]["volumes"])
    made = (PROJECT_DIR / "deploy" / "docker" / "databases.sh").read_text(encoding="utf-8")
    (names,) = re.findall(r"^for name in ([\w ]+); do\n.*\ncreate database", made, re.MULTILINE)
    assert set(databases.split()) <= set(names.split())
