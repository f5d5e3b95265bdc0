"""`oms alerts`: a mail to try, and one of each kind to look at."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from oms_pipeline.alerts import Kind, mail_dir
from oms_pipeline.cli import main
from oms_pipeline.cli.alerts import MAIL_KINDS
from oms_pipeline.settings import Settings


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setattr("oms_pipeline.cli.alerts.get_settings", lambda: settings)
    return CliRunner()


def test_every_kind_of_mail_can_be_looked_at(run: CliRunner, settings: Settings) -> None:
    assert list(MAIL_KINDS) == list(Kind)
    pages = set()
    for kind in MAIL_KINDS:
        told = run.invoke(main, ["alerts", "preview", kind])
        path = Path(told.output.strip())
        assert path == mail_dir(settings) / f"preview_{kind}.html"
        pages.add(path.read_text(encoding="utf-8"))
    assert len(pages) == len(MAIL_KINDS)
    assert all(page.startswith("<!doctype html>") for page in pages)


def test_a_trial_without_a_server_is_a_file_and_says_what_to_set(run: CliRunner, settings: Settings) -> None:
    told = run.invoke(main, ["alerts", "test"])
    (mail,) = mail_dir(settings).glob("*.eml")
    assert f"The mail is a file: {mail}" in told.output
    assert "To send them, set OMS_SMTP_URL." in told.output
