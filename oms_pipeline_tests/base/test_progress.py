"""Long work says how far it is, to whoever listens just then."""

import pytest

from oms_pipeline.progress import Progress, listening, report


def test_a_listener_hears_what_is_reported_while_it_listens_and_nothing_else() -> None:
    heard: list[Progress] = []
    report("landing", "before", 3)
    with listening(heard.append):
        report("landing", "2026-03-01", 3)
        report("reading", "orders")
    report("landing", "after", 3)
    assert heard == [Progress("landing", "2026-03-01", 3), Progress("reading", "orders", None)]


def test_two_listeners_hear_the_same_and_one_that_fails_is_gone() -> None:
    first: list[Progress] = []
    second: list[Progress] = []
    with listening(first.append):
        with pytest.raises(ZeroDivisionError), listening(second.append):
            raise ZeroDivisionError(report("landing", "one"))
        report("landing", "two")
    assert [progress.step for progress in first] == ["one", "two"]
    assert [progress.step for progress in second] == ["one"]
