"""Looks at the UI's pages, clicks on them and waits for them. Knows nothing of what should be on them."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from selenium.common.exceptions import (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    NoSuchElementException,
    StaleElementReferenceException,
    TimeoutException,
)
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

T = TypeVar("T")

PATIENCE: Final = 240.0
"""Seconds for anything to happen: a page, a server's start, a run. Only a hung machine takes that long."""

DIALOG: Final = "//*[@role='dialog']"

_PAGE_CHANGED_MEANWHILE: Final = (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    NoSuchElementException,
    StaleElementReferenceException,
)


class Pages:
    """One browser window on one Dagster.

    Every method waits for what it needs and fails, with what the page shows instead, when it never comes.
    """

    def __init__(self, driver: Chrome, url: str, screenshot: Path) -> None:
        self.driver = driver
        self.url = url
        self.screenshot = screenshot

    def open(self, path: str) -> None:
        """Goes to a path, such as `/runs`."""
        self.driver.get(self.url + path)

    def wait(self, what: str, condition: Callable[[], T]) -> T:
        """Waits until a condition holds, and returns what it gave.

        Args:
            what: What is waited for, for the error.
            condition: Called until it returns something true; the page may change under it.
        """
        try:
            return WebDriverWait(self.driver, PATIENCE, 0.5, _PAGE_CHANGED_MEANWHILE).until(lambda _: condition())
        except TimeoutException:
            raise AssertionError(
                f"{what}: not on {self.driver.current_url} within {PATIENCE:.0f} s, which shows\n{self.text()}"
            ) from None

    def text(self) -> str:
        """All that can be read on the page."""
        return self.driver.find_element(By.TAG_NAME, "body").text

    def sees(self, *texts: str) -> None:
        """Waits until all of the texts can be read at once."""
        self.wait(" and ".join(map(repr, texts)), lambda: all(text in self.text() for text in texts))

    def find(self, xpath: str) -> WebElement:
        """The first element, once there is one."""
        return self.wait(xpath, lambda: self.driver.find_element(By.XPATH, xpath))

    def read(self, xpath: str) -> str:
        """The text of the first element, once it has any."""
        return self.wait(f"a text in {xpath}", lambda: self.driver.find_element(By.XPATH, xpath).text)

    def beside(self, label: str) -> str:
        """The text that follows a label, as in the page's side bar."""
        return self.read(f"//*[text()='{label}']/following-sibling::*[1]")

    def attributes(self, xpath: str, name: str) -> set[str]:
        """An attribute of all the elements that are there now."""
        return {str(element.get_attribute(name)) for element in self.driver.find_elements(By.XPATH, xpath)}

    def click(self, xpath: str) -> None:
        """Clicks on the first element as soon as it can be clicked on."""

        def clicked() -> bool:
            element = self.driver.find_element(By.XPATH, xpath)
            if not element.is_enabled():
                return False
            element.click()
            return True

        self.wait(f"{xpath} to click on", clicked)

    def press(self, button: str) -> None:
        """Clicks on the button with this label."""
        self.click(f"//button[normalize-space()='{button}']")

    def type(self, xpath: str, text: str) -> None:
        """Replaces a field's text and leaves the field."""
        field = self.find(xpath)
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(text, Keys.TAB)

    def leave_dialog(self, button: str) -> None:
        """Presses a dialog's button, and waits until what it does is done and the dialog gone."""
        self.press(button)
        self.wait("the dialog to close", lambda: not self.driver.find_elements(By.XPATH, DIALOG))

    def table(self, xpath: str) -> list[list[str]]:
        """The cells of a table's rows, headings left out, once there are any."""
        cells = "return [...arguments[0].tBodies[0].rows].map(row => [...row.cells].map(cell => cell.innerText.trim()))"
        return self.wait(
            f"rows in {xpath}", lambda: self.driver.execute_script(cells, self.driver.find_element(By.XPATH, xpath))
        )

    def markdown_table(self, key: str) -> list[list[str]]:
        """The table behind a metadata entry's `[Show Markdown]`."""
        self.click(f"//tr[normalize-space(td[1])='{key}']//*[text()='[Show Markdown]']")
        cells = self.table(f"{DIALOG}//table")
        self.leave_dialog("Close")
        return cells
