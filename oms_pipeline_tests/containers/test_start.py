"""What the stack does once when it starts: the demo, and the dashboards."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from deploy.docker import dashboards, demo
from oms_pipeline.definitions import make_warehouse
from oms_pipeline.settings import Settings, read_settings
from oms_pipeline.warehouse import PIPELINE_RUNS, Purpose


@dataclass
class Oms:
    """Stands in for the command line: keeps what it is asked."""

    asked: list[list[str]] = field(default_factory=list)
    fails: bool = False

    def __call__(self, words: list[str], standalone_mode: bool) -> None:
        self.asked.append(words)
        if self.fails:
            raise SystemExit(1)


@pytest.fixture
def oms(monkeypatch: pytest.MonkeyPatch) -> Oms:
    oms = Oms()
    for script in (demo, dashboards):
        monkeypatch.setattr(script, "oms", oms)
    return oms


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Of the stack with nothing configured, as far as the scripts look at them."""
    made = read_settings(
        {
            "OMS_HOME": str(tmp_path),
            "OMS_PUBLISH_URL": "postgresql://marts@postgres/marts",
            "OMS_METABASE_URL": "http://metabase:3000",
            "OMS_METABASE_API_KEY": "mb_1",
        }
    )
    use(made, monkeypatch)
    return made


def use(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for script in (demo, dashboards):
        monkeypatch.setattr(script, "get_settings", lambda: settings)


def test_the_demo_is_loaded_once(settings: Settings, oms: Oms) -> None:
    demo.fill()
    demo.fill()
    assert oms.asked == [["demo"]]


def test_a_demo_that_failed_is_loaded_at_the_next_start(settings: Settings, oms: Oms) -> None:
    oms.fails = True
    with pytest.raises(SystemExit):
        demo.fill()
    oms.fails = False
    demo.fill()
    assert oms.asked == [["demo"], ["demo"]]


def test_with_an_oms_of_ones_own_there_is_no_demo_even_if_its_address_is_in_a_file(
    tmp_path: Path, oms: Oms, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "source_url").write_text("postgresql://reader@db.example.com/oms")
    own = {"OMS_SOURCE_URL_FILE": str(tmp_path / "source_url"), "OMS_START_DATE": "2026-01-01"}
    use(read_settings({"OMS_HOME": str(tmp_path), **own}), monkeypatch)
    demo.fill()
    assert oms.asked == []


def test_before_a_day_is_loaded_the_dashboards_wait_for_the_first_run(
    settings: Settings, oms: Oms, capsys: pytest.CaptureFixture[str]
) -> None:
    dashboards.put()
    assert "the first run puts the dashboards into Metabase" in capsys.readouterr().out
    with make_warehouse(settings).open(Purpose("fail")):
        pass  # a run that failed leaves tables without rows
    dashboards.put()
    assert oms.asked == []


def test_once_a_day_is_loaded_the_dashboards_are_put_into_metabase_and_a_failure_is_one(
    settings: Settings, oms: Oms
) -> None:
    with make_warehouse(settings).open(Purpose("load")) as session:
        session.execute(
            f"insert into {PIPELINE_RUNS} values"
            " ('run', 'daily_oms', '2026-01-01', '2026-01-01', 'raw', 1, 1.0, '2026-01-02', '2026-01-02')"
        )
    dashboards.put()
    assert oms.asked == [["dashboards", "sync"]]
    oms.fails = True
    with pytest.raises(SystemExit):
        dashboards.put()


def test_without_metabase_there_is_nothing_to_put(
    settings: Settings, oms: Oms, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(replace(settings, metabase=None), monkeypatch)
    dashboards.put()
    assert "OMS_METABASE_URL is off" in capsys.readouterr().out
    assert oms.asked == []
