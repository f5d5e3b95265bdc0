"""The local report as people read it, from a file, at a desk and on a phone: what it shows is what SQL says."""

import datetime as dt
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

from oms_pipeline.dashboards import load_dashboards
from oms_pipeline.dashboards.data import Scope, read_rows
from oms_pipeline.dashboards.report import chart_library, page
from oms_pipeline_tests.browser.pages import PATIENCE
from oms_pipeline_tests.browser.site import Site

pytestmark = pytest.mark.slow

NAMES = [dashboard.name for dashboard in load_dashboards()]
HOSTILE = "<img src=x onerror=hacked()></script><script>hacked()</script>\"'{data}\u2028&lt;"


class Report:
    """The page in the browser."""

    def __init__(self, chrome: Chrome, path: Path) -> None:
        self.chrome = chrome
        self.url = path.as_uri()

    def open(self, dashboard: str) -> None:
        """Loads the page anew on one of its dashboards."""
        self.chrome.get("about:blank")
        self.chrome.get(f"{self.url}#{dashboard}")
        self.is_drawn(dashboard)

    def is_drawn(self, dashboard: str) -> None:
        """Waits until every chart is."""
        ready = "return document.documentElement.getAttribute('data-ready')"
        WebDriverWait(self.chrome, PATIENCE).until(lambda chrome: chrome.execute_script(ready) == dashboard)

    def choose(self, dashboard: str, name: str, value: str) -> None:
        """Chooses a filter's value."""
        Select(self.chrome.find_element(By.CSS_SELECTOR, f".filters [name={name}]")).select_by_value(value)
        self.is_drawn(dashboard)

    def chosen(self, name: str) -> str:
        """A filter's value."""
        return str(self.chrome.find_element(By.CSS_SELECTOR, f".filters [name={name}]").get_attribute("value"))

    def number(self, card: str) -> Decimal:
        """What a number card shows, unrounded."""
        found = self.chrome.find_element(By.CSS_SELECTOR, f"#card-{card} .value")
        return Decimal(str(found.get_attribute("data-value")))

    def table(self, card: str) -> list[list[str]]:
        """A card's rows, by its button `Table` if it is a chart."""
        element = self.chrome.find_element(By.ID, f"card-{card}")
        for button in element.find_elements(By.CLASS_NAME, "as-table"):
            button.click()
        cells = (
            "return [...arguments[0].querySelectorAll('tbody tr')].map(row => [...row.cells].map(c => c.textContent))"
        )
        return self.chrome.execute_script(cells, element)

    def errors(self) -> list[str]:
        """What the console has complained of since it was last asked."""
        return [entry["message"] for entry in self.chrome.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


@pytest.fixture
def report(site: Site, chrome: Chrome) -> Iterator[Report]:
    chrome.get_log("browser")
    yield Report(chrome, site.home / "report.html")
    chrome.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})


@pytest.fixture
def phone(chrome: Chrome) -> None:
    chrome.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    )


def one(site: Site, query: str) -> Any:
    ((value,),) = site.rows(query)
    return value


def newest_day(site: Site) -> dt.date:
    """The last day that is loaded: other tests load more of them."""
    day: dt.date = one(site, "select max(last_day) from ops.pipeline_runs")
    return day


def test_every_dashboard_draws_without_an_error_or_a_request(report: Report) -> None:
    for name in NAMES:
        report.open(name)
        cards = report.chrome.find_elements(By.CSS_SELECTOR, ".card")
        assert len(cards) == next(len(d.cards) for d in load_dashboards() if d.name == name)
        assert report.errors() == []
        requests = "return performance.getEntriesByType('resource').map(entry => entry.name)"
        assert report.chrome.execute_script(requests) == []


def test_the_head_says_up_to_when_the_data_goes(report: Report, site: Site) -> None:
    report.open("sales")
    day = newest_day(site)
    head = report.chrome.find_element(By.ID, "freshness").text
    assert head.startswith(f"Data up to {day:%a}, {day.day} {day:%b %Y}, loaded ")


def test_numbers_follow_the_filters_as_sql_does(report: Report, site: Site) -> None:
    last = newest_day(site)
    base = (
        "select {} from marts.daily_sales join marts.dim_stores using (store_id)"
        f" where business_day > date '{last}' - 28 and business_day <= date '{last}' and {{}}"
    )
    report.open("sales")
    # A dashboard is of one currency, at first that of most orders, and says which.
    main = report.chosen("currency")
    assert main == one(site, "select currency from marts.fct_orders group by 1 order by count(*) desc, 1 limit 1")
    assert report.number("sales-orders") == one(site, base.format("sum(orders)", f"currency = '{main}'"))

    for currency in ("EUR", "USD"):
        report.choose("sales", "currency", currency)
        where = f"currency = '{currency}'"
        assert report.number("sales-net_sales") == one(site, base.format("sum(net_sales)", where))
        aov = one(site, base.format("sum(gmv - cancelled_value - discounts) / sum(orders - cancelled_orders)", where))
        assert float(report.number("sales-average_order_value")) == pytest.approx(float(aov), rel=1e-12)

    report.choose("sales", "channel", "online")
    where = "currency = 'USD' and channel = 'online'"
    assert report.number("sales-net_sales") == one(site, base.format("sum(net_sales)", where))

    store = one(site, base.format("min(store_name)", where))
    report.choose("sales", "store", store)
    where = f"store_name = '{store}' and currency = 'USD'"
    assert report.number("sales-net_sales") == one(site, base.format("sum(net_sales)", where))

    # The choice holds on the next dashboard.
    report.chrome.find_element(By.ID, "tab-returns").click()
    report.is_drawn("returns")
    assert report.chosen("store") == store


def test_a_period_of_ones_own_is_a_period(report: Report, site: Site) -> None:
    first, last = site.days[1], site.days[2]
    report.open("sales")
    report.choose("sales", "period", "own")
    for name, day in (("from", first), ("to", last)):
        field = report.chrome.find_element(By.CSS_SELECTOR, f".filters [name={name}]")
        change = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('change'))"
        report.chrome.execute_script(change, field, str(day))
        report.is_drawn("sales")
    assert report.number("sales-orders") == one(
        site,
        "select sum(orders) from marts.daily_sales"
        f" where business_day >= date '{first}' and business_day <= date '{last}'"
        f" and currency = '{report.chosen('currency')}'",
    )


def test_a_chart_can_be_read_as_a_table(report: Report, site: Site) -> None:
    last = newest_day(site)
    report.open("sales")
    found = report.table("sales-orders_by_day")
    rows = site.rows(
        "select business_day, sum(orders) from marts.daily_sales"
        f" where business_day > date '{last}' - 28 and business_day <= date '{last}'"
        f" and currency = '{report.chosen('currency')}' group by 1 order by 1"
    )
    assert found == [[f"{day:%a}, {day.day} {day:%b %Y}", f"{orders:,}"] for day, orders in rows]


def test_an_empty_choice_says_so(report: Report, site: Site) -> None:
    report.open("sales")
    report.choose("sales", "period", "own")
    before = newest_day(site) - dt.timedelta(days=90)
    field = report.chrome.find_element(By.CSS_SELECTOR, ".filters [name=from]")
    change = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('change'))"
    report.chrome.execute_script(change, field, str(before))
    field = report.chrome.find_element(By.CSS_SELECTOR, ".filters [name=to]")
    report.chrome.execute_script(change, field, str(before))
    report.is_drawn("sales")
    assert "No data for this choice" in report.chrome.find_element(By.ID, "card-sales-net_sales_by_day").text
    assert report.errors() == []


def test_light_and_dark_follow_the_system_and_the_button_and_print_is_light(report: Report) -> None:
    colours = (
        "const text = document.querySelector('.card svg text');"
        "return [getComputedStyle(document.body.parentElement).backgroundColor, getComputedStyle(text).fill]"
    )
    media = {"media": "", "features": [{"name": "prefers-color-scheme", "value": "light"}]}
    report.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    report.open("sales")
    light = report.chrome.execute_script(colours)
    media["features"] = [{"name": "prefers-color-scheme", "value": "dark"}]
    report.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    wait = WebDriverWait(report.chrome, PATIENCE)
    wait.until(lambda chrome: all(map(str.__ne__, light, chrome.execute_script(colours))))

    report.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {**media, "media": "print"})
    wait.until(lambda chrome: chrome.execute_script(colours)[0] == "rgb(255, 255, 255)")
    report.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", media)

    report.chrome.find_element(By.ID, "theme").click()
    wait.until(lambda chrome: chrome.execute_script(colours) == light)


@pytest.mark.usefixtures("phone")
def test_a_phone_shows_all_of_it_without_scrolling_sideways(report: Report) -> None:
    for name in NAMES:
        report.open(name)
        sizes = report.chrome.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
        assert sizes == [390, 390], name
        boxes = report.chrome.execute_script(
            "return [...document.querySelectorAll('.card')].map(card => { const box = card.getBoundingClientRect();"
            " return [box.left, box.right, box.height]; })"
        )
        assert all(left >= 0 and right <= 390 and height > 60 for left, right, height in boxes), name
        drawings = report.chrome.execute_script(
            "return [...document.querySelectorAll('.card .drawn svg')].map(svg => svg.getBoundingClientRect().right)"
        )
        assert all(right <= 390 for right in drawings), name


def test_a_choice_that_leads_to_nothing_on_one_dashboard_is_kept_for_the_others(
    chrome: Chrome, site: Site, tmp_path: Path
) -> None:
    """Returns are in euro only, and tell yes from no."""
    day = dt.date(2026, 3, 31)
    sales, returns = (next(each for each in load_dashboards() if each.name == name) for name in ("sales", "returns"))
    currencies = {"sales": ["EUR", "USD"], "returns": ["EUR"]}

    def query_of(name: str) -> Callable[[str], pa.Table]:
        def query(sql: str) -> pa.Table:
            columns = [c.strip().split()[-1] for c in sql.removeprefix("select ").partition("\nfrom")[0].split(",")]
            texts = {"store", "channel", "category", "state"}
            values = {c: "Any" if c in texts else True if c == "reason" else Decimal("12.50") for c in columns}
            rows = [{**values, "business_day": day, "currency": currency} for currency in currencies[name]]
            return pa.Table.from_pylist([{c: row[c] for c in columns} for row in rows])

        return query

    rows = {each.name: read_rows(each, query_of(each.name), day) for each in (sales, returns)}
    scope = Scope(day, dt.datetime(2026, 4, 1, 1, 30), "EUR")
    path = tmp_path / "two.html"
    drawn = page([sales, returns], rows, scope, dt.datetime.now(dt.UTC), chart_library(site.home))
    path.write_text(drawn, encoding="utf-8")
    report = Report(chrome, path)
    chrome.get_log("browser")
    report.open("sales")
    report.choose("sales", "currency", "USD")
    chrome.find_element(By.ID, "tab-returns").click()
    report.is_drawn("returns")
    assert report.chosen("currency") == "USD"
    assert "No data for this choice" in chrome.find_element(By.ID, "card-returns-refunds_by_reason").text
    chrome.find_element(By.ID, "tab-sales").click()
    report.is_drawn("sales")
    assert report.chosen("currency") == "USD"

    report.choose("sales", "currency", "EUR")
    chrome.find_element(By.ID, "tab-returns").click()
    report.is_drawn("returns")
    assert report.table("returns-refunds_by_reason")[0][0] == "Yes"
    assert report.errors() == []


def test_what_no_period_can_choose_says_when_it_was_asked(report: Report) -> None:
    report.open("pipeline_health")
    drawn_at = report.chrome.find_element(By.ID, "about").text.partition("drawn ")[2].partition(" UTC")[0]
    note = report.chrome.find_element(By.CSS_SELECTOR, "#card-pipeline_health-days_behind .note").text
    assert note == f"Independent of the period. Drawn {drawn_at} UTC."


def test_a_local_warehouse_has_no_bill_to_show(report: Report) -> None:
    report.open("pipeline_health")
    for card in ("credits", "credits_by_day"):
        assert "No data for this choice" in report.chrome.find_element(By.ID, f"card-pipeline_health-{card}").text


def test_names_are_shown_and_never_run(chrome: Chrome, site: Site, tmp_path: Path) -> None:
    """A store's or a product's name is whatever somebody typed into the OMS."""
    day = dt.date(2026, 3, 31)
    dashboards = [dashboard for dashboard in load_dashboards() if dashboard.name == "sales"]

    def query(sql: str) -> pa.Table:
        columns = [
            column.strip().split()[-1] for column in sql.removeprefix("select ").partition("\nfrom")[0].split(",")
        ]
        kinds = {"business_day": day, "currency": "EUR"}
        texts = {"store", "channel", "category", "state"}
        values = {c: kinds.get(c, HOSTILE if c in texts else Decimal("12.50")) for c in columns}
        return pa.table({name: [value] for name, value in values.items()})

    rows = {"sales": read_rows(dashboards[0], query, day)}
    scope = Scope(day, dt.datetime(2026, 4, 1, 1, 30), "EUR")
    path = tmp_path / "hostile.html"
    path.write_text(page(dashboards, rows, scope, dt.datetime.now(dt.UTC), chart_library(site.home)), encoding="utf-8")
    report = Report(chrome, path)
    chrome.get_log("browser")
    report.open("sales")
    chrome.execute_script("window.hacked = () => { window.wasHacked = true; }")

    assert chrome.find_element(By.CSS_SELECTOR, "#card-sales-stores tbody td").text.startswith("<img src=x onerror=")
    bar = chrome.find_element(By.CSS_SELECTOR, "#card-sales-net_sales_by_store svg path[aria-roledescription=bar]")
    ActionChains(chrome).move_to_element(bar).perform()
    tooltip = WebDriverWait(chrome, PATIENCE).until(
        lambda driver: driver.find_element(By.CSS_SELECTOR, "#vg-tooltip-element.visible")
    )
    assert HOSTILE[:20] in tooltip.text
    assert chrome.find_elements(By.CSS_SELECTOR, "img") == []
    assert chrome.execute_script("return window.wasHacked") is None
    assert report.errors() == []
