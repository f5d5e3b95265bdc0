"""What people find in the UI: layers, assets with all that is known of them, the daily job and its schedule."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from oms_pipeline.contract import load_contract
from oms_pipeline.dashboards import load_dashboards
from oms_pipeline.settings import PROJECT_DIR
from oms_pipeline_tests.browser.pages import Pages
from oms_pipeline_tests.browser.site import Site

pytestmark = pytest.mark.slow

MODELS = PROJECT_DIR / "oms_dbt" / "models"
ASSETS = {
    "raw": set(load_contract()),
    "external": set(load_contract()),
    **{layer: {path.stem for path in (MODELS / layer).glob("*.sql")} for layer in ("staging", "intermediate", "marts")},
    "ops": {"pipeline_runs"},
    "dashboards": {"report", *(dashboard.name for dashboard in load_dashboards())},
}


NODE = "//*[local-name()='foreignObject']//*[@data-tooltip]"
COLUMNS = "//table[thead//td[1][normalize-space()='Column name']]"
CODE_LINKS = "//a[contains(., 'in editor')]"


def model(layer: str, name: str) -> dict[str, Any]:
    """What a model's YAML says of it."""
    return yaml.safe_load((MODELS / layer / f"{name}.yml").read_text())["models"][0]


def shown(text: str) -> str:
    """A Markdown text of one paragraph as it reads on a page."""
    return " ".join(text.replace("`", "").split())


def linked_file(href: str) -> Path:
    """The file an editor link opens."""
    return Path(href.removeprefix("vscode://file/").rpartition(":")[0])


def test_the_lineage_shows_each_layer_as_a_group(pages: Pages) -> None:
    pages.open("/asset-groups")

    pages.wait("a group per layer", lambda: pages.attributes(NODE, "data-tooltip") == set(ASSETS))


@pytest.mark.parametrize("layer", ASSETS)
def test_a_layer_opens_to_all_its_assets(pages: Pages, layer: str) -> None:
    pages.open("/asset-groups")
    row = f"//button[.//*[@title='{layer}']]"
    pages.click(f"{row}/parent::*/parent::*/preceding-sibling::button")

    pages.wait(
        f"the assets of {layer}", lambda: pages.attributes("//button/*[@title]", "title") - set(ASSETS) == ASSETS[layer]
    )


def test_a_group_of_the_graph_opens_on_a_click(pages: Pages) -> None:
    pages.open("/asset-groups")
    pages.click(f"{NODE}[@data-tooltip='raw']")
    pages.find("//*[local-name()='foreignObject']//*[text()='customers']")


def test_a_mart_says_what_it_is(pages: Pages) -> None:
    fct_orders = model("marts", "fct_orders")
    pages.open("/assets/marts/fct_orders")
    pages.sees(shown(fct_orders["description"]))
    assert pages.beside("Owners") == "data"
    assert set(pages.beside("Kinds").split()) == {"dbt", "DuckDB"}
    columns = [[column["name"], column["data_type"], shown(column["description"])] for column in fct_orders["columns"]]
    pages.wait(f"the columns {columns}", lambda: pages.table(COLUMNS) == columns)
    assert MODELS / "marts" / "fct_orders.sql" in map(linked_file, pages.attributes(CODE_LINKS, "href"))


def test_a_raw_table_says_what_it_is(pages: Pages) -> None:
    orders = load_contract()["orders"]
    pages.open("/assets/raw/orders")
    pages.sees(shown(orders.description))
    assert pages.beside("Owners") == "data"
    assert set(pages.beside("Kinds").split()) == {"Parquet", "Postgres"}
    columns = [[column.name, column.data_type, shown(column.description)] for column in orders.columns]
    pages.wait(f"the columns {columns}", lambda: pages.table(COLUMNS) == columns)
    assert PROJECT_DIR / "oms_pipeline" / "raw" / "assets.py" in map(linked_file, pages.attributes(CODE_LINKS, "href"))


def test_a_mart_shows_how_many_rows_it_has_and_some_of_them(pages: Pages, site: Site) -> None:
    pages.open("/assets/marts/fct_orders")
    [(count,)] = site.rows("select count(*) from marts.fct_orders")
    assert pages.beside("Row count") == f"{count:,}"

    numbers = {number for (number,) in site.rows("select order_number from marts.fct_orders")}
    previewed = pages.markdown_table("preview")
    assert len(previewed) == 5
    assert {row[1] for row in previewed} <= numbers


def test_a_raw_table_shows_the_bytes_of_its_day_and_some_of_its_rows(pages: Pages, site: Site) -> None:
    pages.open(f"/assets/raw/orders?view=partitions&partition={site.loaded}")
    facts = {row[0]: row[1] for row in pages.table("//table[.//tr[normalize-space(td[1])='bytes']]")}
    first, _, last = facts["window"].partition(" to ")
    days = [day for day in site.days if first <= str(day) <= (last or first)]
    files = [file for day in days for file in site.landed(day, "orders")]
    assert int(facts["bytes"]) == sum(file.stat().st_size for file in files)
    assert Path(facts["path"]) in files

    previewed = pages.markdown_table("preview")
    landed = {str(row[0]) for row in site.rows(f"select order_id from read_parquet({[str(file) for file in files]})")}
    assert previewed
    assert {row[0] for row in previewed} <= landed


def test_personal_data_is_never_previewed(pages: Pages) -> None:
    names = [column.name for column in load_contract()["customers"].columns]
    personal = [column.name for column in load_contract()["customers"].columns if column.pii]
    pages.open("/assets/raw/customers")
    for row in pages.markdown_table("preview"):
        assert {row[names.index(name)] for name in personal} == {"•••"}


def test_a_column_of_a_mart_shows_the_columns_it_is_made_of(pages: Pages) -> None:
    pages.open("/assets/marts/fct_orders")
    made_of = dict(pages.markdown_table("column_lineage"))
    assert {"marts.fct_order_lines.gmv", "marts.fct_returns.refund_amount"} <= set(made_of["net_sales"].split(", "))
    assert set(made_of) == {column["name"] for column in model("marts", "fct_orders")["columns"]}

    pages.open("/assets/staging/stg_oms__orders")
    assert dict(pages.markdown_table("column_lineage"))["placed_at"] == "external.orders.placed_at"


def test_an_asset_shows_which_days_it_has(pages: Pages, site: Site) -> None:
    for asset in ("marts/fct_orders", "raw/orders"):
        pages.open(f"/assets/{asset}?view=partitions")
        pages.click(f"//*[@title='{site.loaded}']")
        pages.sees("\nMaterialized\nLatest materialization")
        pages.click(f"//*[@title='{site.unloaded}']")
        pages.sees(f"{site.unloaded}\nLatest materialization\nNone")


def test_a_mart_shows_that_its_grain_was_checked(pages: Pages) -> None:
    pages.open("/assets/marts/fct_orders?view=checks")
    pages.sees("grain_fct_orders_order_id", "This is a blocking asset check.", "Passed", "failing_rows")


def test_every_hop_shows_that_it_lost_no_row(pages: Pages) -> None:
    for asset in ("raw/orders", "external/orders", "staging/stg_oms__orders"):
        pages.open(f"/assets/{asset}?view=checks")
        pages.click("//*[normalize-space(text())='reconciled']")
        pages.sees("reconciled", "This is a blocking asset check.", "Passed", "rows_expected", "rows_found", "files")


def test_the_daily_job_has_a_schedule_that_runs(pages: Pages) -> None:
    pages.open("/jobs")
    pages.click("//a[normalize-space()='daily_oms']")
    assets = sum(len(names) for names in ASSETS.values())
    pages.sees(f"View {assets} assets", "One day, or a range of days in a single run, from the OMS to the marts.")

    pages.open("/automation")
    pages.click("//span[normalize-space()='daily_oms_schedule']")
    pages.sees("Schedule has never run", "1:30:00 AM", "(30 1 * * *)")
    assert pages.find("//tr[normalize-space(td[1])='Running']//input").is_selected()
    target = pages.attributes("//tr[normalize-space(td[1])='Target']//a", "href")
    assert target == {f"{pages.url}/locations/oms_pipeline/jobs/daily_oms"}
