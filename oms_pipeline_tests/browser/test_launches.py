"""Days are loaded from the UI, alone and as a range, and are in the marts when the page says so."""

import datetime as dt

import pytest

from oms_pipeline_tests.browser.pages import DIALOG, Pages
from oms_pipeline_tests.browser.site import Site

pytestmark = pytest.mark.slow

PARTITIONS = f"{DIALOG}//input[@type='text']"
RUN_STATUS = "//*[text()='Success' or text()='Failure' or text()='Canceled']"


def orders_landed(site: Site, day: dt.date) -> set[tuple[int, str, dt.datetime]]:
    """Order, status and last change (UTC) of each row in the day's file that a mart should show."""
    [file] = site.landed(day, "orders")
    return set(
        site.rows(
            "select order_id, status, timezone('UTC', updated_at) "
            f"from read_parquet('{file}') where status <> 'draft' and not is_test"
        )
    )


def orders_in_mart(site: Site, day: dt.date) -> set[tuple[int, str, dt.datetime]]:
    """The same of the orders whose last change was on the day, from the mart."""
    zone = site.timezone.key
    return set(
        site.rows(
            "select order_id, status, updated_at from marts.fct_orders "
            f"where cast(timezone('{zone}', timezone('UTC', updated_at)) as date) = date '{day}'"
        )
    )


def assert_whole(site: Site, day: dt.date) -> None:
    """The day is in the marts: every order, and each of them in the daily sums."""
    landed = orders_landed(site, day)
    assert landed
    assert orders_in_mart(site, day) == landed
    by_currency = "select currency, sum(gmv) from marts.{} group by currency order by currency"
    assert site.rows(by_currency.format("daily_sales")) == site.rows(by_currency.format("fct_orders"))


def test_a_day_loaded_from_the_job_page_is_in_the_marts(pages: Pages, site: Site) -> None:
    assert site.landed(site.single, "orders") == []
    pages.open("/locations/oms_pipeline/jobs/daily_oms")
    pages.press("Materialize all…")
    pages.type(PARTITIONS, str(site.single))
    pages.leave_dialog("Launch 1 run")

    pages.open("/runs")
    pages.click(f"//a[starts-with(@href, '/runs/')][ancestor::*[@data-index][contains(., '{site.single}')]]")
    assert pages.read(RUN_STATUS) == "Success"
    pages.sees(f"partition: {site.single}", "Succeeded (5)", "Errored (0)")
    assert_whole(site, site.single)


def test_a_range_backfilled_from_the_lineage_is_one_run_and_in_the_marts(pages: Pages, site: Site) -> None:
    first, last = site.range
    assert site.landed(first, "orders") == site.landed(last, "orders") == []
    pages.open("/asset-groups")
    pages.press("Materialize all…")
    pages.type(PARTITIONS, f"[{first}...{last}]")
    pages.leave_dialog("Launch backfill")

    pages.open("/runs?view=backfills")
    pages.click("//a[starts-with(@href, '/runs/b/')][ancestor::*[@data-index][contains(., '2 partitions')]]")
    assert pages.beside("Partition selection") == f"{first}...{last}"
    pages.wait("the end of the backfill", lambda: pages.beside("Status") in ("Succeeded", "Failed", "Canceled"))
    assert pages.beside("Status") == "Succeeded"

    pages.click("//*[@role='tablist']//*[normalize-space()='Runs']")
    assert pages.read(RUN_STATUS) == "Success"
    run = "//*[@data-index]//a[starts-with(@href, '/runs/') and not(starts-with(@href, '/runs/b/'))]"
    assert len(pages.attributes(run, "href")) == 1
    assert_whole(site, first)
    assert_whole(site, last)
