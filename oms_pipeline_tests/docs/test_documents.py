"""Nothing a user can set, call or query goes undocumented, and no document points to what is not there."""

import ast
import datetime as dt
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from oms_pipeline.cli import main
from oms_pipeline.contract import load_contract
from oms_pipeline.definitions import defs
from oms_pipeline.raw import FolderStore, RawZone
from oms_pipeline.settings import DEFAULTS, PROJECT_DIR, SECRETS, VARIABLES, read_settings
from oms_pipeline.transform import DbtProjectFiles, run_dbt
from oms_pipeline.warehouse import DuckDBWarehouse, Purpose

DOCS = PROJECT_DIR / "docs"
README = (PROJECT_DIR / "README.md").read_text(encoding="utf-8")
EXAMPLE = (PROJECT_DIR / ".env.example").read_text(encoding="utf-8")
MAKEFILE = (PROJECT_DIR / "Makefile").read_text(encoding="utf-8")
PAGES = [PROJECT_DIR / "README.md", *sorted(DOCS.rglob("*.md"))]
MODELS = sorted((PROJECT_DIR / "oms_dbt" / "models").rglob("*.sql"))

# The window reaches dbt through these; the pipeline sets them, and nobody else needs to know them.
FOR_DBT = {"OMS_OUTDATED", "OMS_PREPARE", "OMS_WINDOW_FROM", "OMS_WINDOW_TO"}
WITHOUT_DEFAULT = {"OMS_SOURCE_URL", "OMS_START_DATE"}
OPTIONAL = {
    "OMS_SAMPLE_URL",
    "OMS_S3_ENDPOINT",
    "OMS_S3_ENCRYPTION",
    "OMS_DAGSTER_DATABASE_URL",
    "OMS_COMPUTE_LOGS_URL",
    "OMS_SMTP_URL",
    "OMS_MAIL_TO",
} | {
    name
    for name in VARIABLES
    if name.startswith(("SNOWFLAKE_", "OMS_METABASE_", "OMS_PUBLISH_")) and name not in DEFAULTS
}
# Variables that mean nothing without others.
TOGETHER = {"OMS_METABASE_URL": ("OMS_METABASE_API_KEY", "OMS_PUBLISH_URL")}
# Each secret may lie in a file.
IN_FILES = {f"{name}_FILE" for name in SECRETS}
# Read by docker-compose.yml alone.
OF_COMPOSE = {"OMS_IMAGE"}
# Names of roles, warehouses and the like, which are spelled as variables are.
IN_SNOWFLAKE = {
    "OMS_OWNER",
    "OMS_LOADER",
    "OMS_TRANSFORMER",
    "OMS_REPORTER",
    "OMS_PIPELINE",
    "OMS_DASHBOARDS",
    "OMS_DASHBOARDS_USER",
    "OMS_MONITOR",
    "OMS_PIPELINE_USER",
}

LINK = re.compile(r"\]\((?!https?://)([^)#]*)(?:#([^)]*))?\)")


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def name_of(page: Path) -> str:
    return page.relative_to(PROJECT_DIR).as_posix()


def commands(group: click.Group, prefix: str = "oms") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", command


COMMANDS = dict(commands(main))


def rows(text: str, name: str) -> list[str]:
    """The cells after the first of the table row that starts with `name`."""
    (row,) = [line for line in text.splitlines() if re.match(rf"\| `{name}[` ]", line)]
    return [cell.strip() for cell in row.strip("|").split("|")][1:]


def quoted_in(text: str) -> set[str]:
    return set(re.findall(r"`([^`\n]+)`", text))


def properties(sql: Path) -> dict[str, Any]:
    """A model's entry in the .yml beside its SQL."""
    (model,) = yaml.safe_load(text_of(sql.with_suffix(".yml")))["models"]
    return dict(model)


def tracked_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT_DIR,
        capture_output=True,
        text=True,
        check=True,
    )
    return [PROJECT_DIR / name for name in listed.stdout.splitlines() if (PROJECT_DIR / name).is_file()]


# Commands


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_in_the_readme_and_explains_itself(name: str) -> None:
    command = COMMANDS[name]
    row = next(line for line in README.splitlines() if re.match(rf"\| `{name}[ `]", line))
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            assert parameter.metavar and f"{name} {parameter.metavar}" in row
            assert parameter.metavar in command.help
            continue
        assert isinstance(parameter, click.Option)
        assert parameter.help, f"{name} {parameter.opts[0]} has no help"
        assert parameter.opts[0] in row, f"{name} {parameter.opts[0]} is not in the README"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_that_a_document_names_exists_with_its_options(page: Path) -> None:
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", text_of(page), re.MULTILINE | re.DOTALL)
    spoken = [*quoted_in(text_of(page)), *(line.strip() for block in blocks for line in block.splitlines())]
    for text in spoken:
        words = re.match(r"(?:\.venv/bin/)?(oms(?: [a-z]+)+)(.*)", text)
        if words is None:
            continue
        command = next((COMMANDS[name] for name in COMMANDS if (words[1] + " ").startswith(name + " ")), None)
        assert command is not None, text
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        assert set(re.findall(r"--[a-z-]+", words[2].partition("#")[0])) <= known, text


def test_every_target_of_make_is_documented_and_every_documented_target_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", MAKEFILE, re.MULTILINE))
    (listed,) = re.findall(r"`make help` lists the targets: ([^.]+)\.", README)
    assert quoted_in(listed) == targets - {"help"}
    for page in PAGES:
        called = {
            *re.findall(r"`make ([a-z-]+)", text_of(page)),
            *re.findall(r"^make ([a-z-]+)", text_of(page), re.MULTILINE),
        }
        assert called <= targets, page


# Environment variables


def test_every_variable_is_in_the_readme_and_in_the_example_file() -> None:
    listed = re.findall(r"^\| `((?:OMS|SNOWFLAKE)_\w+)` \|", README, re.MULTILINE)
    example = re.findall(r"^#((?:OMS|SNOWFLAKE)_\w+)=", EXAMPLE, re.MULTILINE)
    assert listed == example == list(VARIABLES)


def test_the_defaults_in_the_readme_are_those_of_the_settings(tmp_path: Path) -> None:
    # Of a business that has opened, or the first day would depend on the day of the test.
    (tmp_path / "sample_opened_on").write_text("2026-01-01\n")
    unset = read_settings({"OMS_HOME": str(tmp_path)})
    for name in VARIABLES:
        default = rows(README, name)[0].strip("`")
        if name in DEFAULTS:
            assert default == DEFAULTS[name]
        elif name in WITHOUT_DEFAULT:
            assert "sample" in default
        elif name in OPTIONAL:
            assert "`" not in rows(README, name)[0], name
        elif name != "OMS_HOME":
            moved = str(tmp_path / Path(default).relative_to(".oms"))
            assert read_settings({"OMS_HOME": str(tmp_path), name: moved}) == unset, name
    assert read_settings({"OMS_HOME": rows(README, "OMS_HOME")[0].strip("`")}).home == read_settings({}).home


@pytest.mark.parametrize("name", VARIABLES)
def test_every_example_in_the_readme_is_understood(name: str) -> None:
    examples = {each: rows(README, each)[1].strip("`") for each in (name, *TOGETHER.get(name, ()))}
    assert read_settings({"OMS_START_DATE": "2026-01-01", **examples}) is not None


def test_the_example_file_says_what_is_the_case_without_it() -> None:
    lines = dict(re.findall(r"^#(OMS_\w+)=(.*)$", EXAMPLE, re.MULTILINE))
    defaults = {name: value for name, value in lines.items() if name not in WITHOUT_DEFAULT | OPTIONAL}
    start = {"OMS_START_DATE": "2026-01-01"}
    assert read_settings({**defaults, **start}) == read_settings(start)
    assert read_settings(lines).source_url == lines["OMS_SOURCE_URL"]


def test_no_module_but_settings_reads_the_projects_variables() -> None:
    for path in (PROJECT_DIR / "oms_pipeline").rglob("*.py"):
        if path.parent.name == "settings":
            continue
        for node in ast.walk(ast.parse(text_of(path))):
            if isinstance(node, ast.Subscript | ast.Call) and re.match(r"os\.(environ|getenv)\b", ast.unparse(node)):
                assert "OMS_" not in ast.unparse(node), f"{path}:{node.lineno}"


def test_no_variable_is_named_that_does_not_exist() -> None:
    known = {*VARIABLES, *IN_FILES, *FOR_DBT, *IN_SNOWFLAKE, *OF_COMPOSE}
    code = [path for name in ("oms_pipeline", "oms_dbt") for path in (PROJECT_DIR / name).rglob("*")]
    for path in [*PAGES, PROJECT_DIR / ".env.example", *code]:
        if path.suffix in {".md", ".example", ".py", ".sql", ".yml", ".yaml"}:
            named = set(re.findall(r"(?<![\w.])OMS_[A-Z_]+\b", text_of(path)))
            assert named <= known, f"{path}: {named - known}"


# Models, assets, metrics


@pytest.mark.parametrize("sql", MODELS, ids=lambda path: path.stem)
def test_every_model_and_column_is_described_beside_its_sql(sql: Path) -> None:
    model = properties(sql)
    assert model["name"] == sql.stem
    assert model["description"].strip()
    assert model["columns"]
    assert all(column["description"].strip() and column["data_type"] for column in model["columns"])


def test_the_described_columns_are_the_columns_that_are_built(tmp_path: Path, dbt_dir: Path) -> None:
    warehouse = DuckDBWarehouse(tmp_path / "oms.duckdb", RawZone(FolderStore(tmp_path / "raw")), dt.timedelta(0))
    environment = warehouse.dbt_environment()
    window = {"OMS_WINDOW_FROM": "2026-01-01", "OMS_WINDOW_TO": "2026-01-02"}
    project = DbtProjectFiles(dbt_dir, {"OMS_PROFILE": "local", **environment})
    with warehouse.open(Purpose("build nothing")) as session, session.transaction():
        results = run_dbt(project, ["run"], {**environment, **window})
        assert [result.message for result in results if not result.succeeded] == []
        found = session.query("select table_name, column_name from duckdb_columns()").to_pylist()
    for sql in MODELS:
        built = {row["column_name"] for row in found if row["table_name"] == sql.stem}
        assert {column["name"] for column in properties(sql)["columns"]} == built, sql.stem


def test_every_asset_is_in_the_pages_on_layers_contract_and_marts_and_in_the_picture() -> None:
    contract, layers, marts, dashboards = (
        {name.rpartition("/")[2] for name in quoted_in(text_of(DOCS / "concepts" / page))}
        for page in ("contract.md", "layers.md", "marts.md", "dashboards.md")
    )
    picture = set(re.findall(r"\w+", text_of(DOCS / "graph.svg")))
    for key in defs.resolve_all_asset_keys():
        layer, name = key.path
        table = name.removeprefix("stg_oms__")
        known = {"intermediate": layers, "marts": marts, "ops": layers, "dashboards": dashboards}.get(layer, contract)
        assert table in known, f"{layer}/{name} is in no page"
        assert table in picture, f"{layer}/{name} is not in the picture"
        assert f"`{layer}`" in text_of(DOCS / "concepts" / "layers.md")


def test_every_figure_of_the_aggregates_is_on_the_page_of_the_marts() -> None:
    named = {name.rpartition(".")[2] for name in quoted_in(text_of(DOCS / "concepts" / "marts.md"))}
    for sql in MODELS:
        if sql.parent.name != "marts" or (sql.stem.startswith(("fct_", "dim_")) and sql.stem != "fct_inventory_daily"):
            continue
        model = properties(sql)
        grain = next(test["grain"]["arguments"]["key"] for test in model["data_tests"] if "grain" in test)
        for column in model["columns"]:
            if re.match("bigint|integer|decimal", column["data_type"]) and not column["name"].endswith("_id"):
                assert column["name"] in {*named, *grain}, f"{sql.stem}.{column['name']}"


def test_personal_columns_are_on_their_page_and_marked_in_every_model_that_carries_them() -> None:
    page = quoted_in(text_of(DOCS / "concepts" / "personal-data.md"))
    models = {sql.stem: properties(sql) for sql in MODELS}
    for table in load_contract().values():
        personal = {column.name for column in table.columns if column.pii}
        assert personal <= page, table.name
        for name in (f"stg_oms__{table.name}", f"dim_{table.name}"):
            columns = models.get(name, {}).get("columns", [])
            marked = {column["name"] for column in columns if column.get("config", {}).get("meta", {}).get("pii")}
            assert marked == personal & {column["name"] for column in columns}, name


# Documents


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for link, anchor in LINK.findall(text_of(page)):
        target = page.parent / link if link else page
        assert target.exists(), link
        assert not target.is_dir() or any(target.iterdir()), f"{link} is empty"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", text_of(target), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_every_document_is_reached_from_the_readme() -> None:
    reached, to_read = set(), [PROJECT_DIR / "README.md"]
    while to_read:
        page = to_read.pop().resolve()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        to_read += [page.parent / link for link, _ in LINK.findall(text_of(page)) if link]
    assert {page.resolve() for page in PAGES} <= reached


def test_every_error_that_the_runbooks_quote_is_one_the_code_raises() -> None:
    code = "".join(text_of(path) for path in sorted((PROJECT_DIR / "oms_pipeline").rglob("*.py")))
    quoted = re.findall(r'"([^"\n]+)"', text_of(DOCS / "runbooks" / "README.md"))
    assert quoted
    for phrase in quoted:
        assert phrase in code, phrase


def test_every_folder_of_tests_that_the_readme_promises_has_tests() -> None:
    folders = set(re.findall(r"\((oms_pipeline_tests/\w+)\)", README))
    assert folders
    for folder in folders:
        assert list((PROJECT_DIR / folder).glob("test_*.py")), folder


def test_no_file_names_a_place_on_one_machine_or_a_package_index() -> None:
    # Written in pieces, or this file would name them.
    folders = "|".join(["home/(?!analyst)", "Users/", "root/", "work/"])
    machine = re.compile(rf"(?<![\w.$}}])/(?:{folders})")
    hosts = "|".join(["py" + r"pi\.", "pythonhosted" + r"\.", "npm" + r"js\.", "(?<!emit-)index-" + "url[ =]"])
    index = re.compile(hosts)
    for path in tracked_files():
        if path.suffix not in {".png", ".parquet"}:
            text = path.read_text(encoding="utf-8", errors="ignore")
            assert not machine.search(text), path
            assert not index.search(text), path
