"""The launchers of docs/runbooks/docker.md for more than one host: Dagster takes each in the place of the file's own."""

from pathlib import Path

import dagster as dg
import kubernetes
import pytest
import yaml

from oms_pipeline.settings import PROJECT_DIR

DAGSTER = yaml.safe_load((PROJECT_DIR / "dagster.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def instance(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dg.DagsterInstance:
    """The project's instance with another launcher, as `dagster.yaml` would be with the fragment in it."""
    fragment = yaml.safe_load((PROJECT_DIR / "deploy" / "docker" / request.param).read_text(encoding="utf-8"))
    assert set(fragment) == {"run_launcher"}
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump({**DAGSTER, **fragment}), encoding="utf-8")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    # There is no cluster here; where there is one, it has put its address into the pod.
    monkeypatch.setattr(kubernetes.config, "load_incluster_config", lambda: None)
    return dg.DagsterInstance.from_config(str(tmp_path))


@pytest.mark.parametrize(
    ("instance", "kind"),
    [("launcher-ecs.yaml", "EcsRunLauncher"), ("launcher-kubernetes.yaml", "K8sRunLauncher")],
    indirect=["instance"],
)
def test_a_launcher_is_taken_and_finds_lost_runs(instance: dg.DagsterInstance, kind: str) -> None:
    with instance:
        launcher = instance.run_launcher
        assert type(launcher).__name__ == kind
        assert launcher.supports_check_run_worker_health
        assert instance.run_monitoring_enabled


@pytest.mark.parametrize("instance", ["launcher-kubernetes.yaml"], indirect=True)
def test_a_job_on_kubernetes_has_only_the_rights_it_needs(instance: dg.DagsterInstance) -> None:
    with instance:
        from dagster_k8s.container_context import K8sContainerContext

        context = K8sContainerContext.create_for_run(
            dg.DagsterRun("daily_oms"), instance.run_launcher, include_run_tags=False
        )
        security = context.run_k8s_config.container_config["security_context"]
        assert security["read_only_root_filesystem"] and security["run_as_non_root"]
        assert security["capabilities"] == {"drop": ["ALL"]}
