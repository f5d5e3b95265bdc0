"""The mail of every morning: what is in it, and when it is sent."""

import pytest

from oms_pipeline.alerts.digest import Business, Chart
from oms_pipeline.alerts.mail import html_of
from oms_pipeline.alerts.problems import DAY
from oms_pipeline.errors import TransientMailError, WarehouseError
from oms_pipeline_tests.alerts.conftest import StartServer, free_port, using
from oms_pipeline_tests.alerts.room import BROKE, BROKEN, PNG, Room, text_of


def test_every_morning_a_digest_tells_what_ran_what_it_made_and_how_business_was(room: Room) -> None:
    BROKEN.update({"volume": "yes", "weekly": "yes"})
    room.run("2026-01-30")
    room.run("2026-01-31")
    room.run("", job="weekly")
    room.business = Business([("Net sales", "12,345.67 EUR", "+4.2 %")], [Chart("Sales", "Sales by day", PNG)])
    assert room.subjects == ["[OMS] weekly failed at stumbles"]
    room.sleep_until_the_digest()

    (mail,) = room.new_mails()

    text = text_of(mail)
    assert mail["Subject"].endswith(": worth a look")
    assert mail["To"] == "data@example.com"
    for line in (
        "Net sales: 12,345.67 EUR, +4.2 %",
        "nightly 2026-01-01, 2026-01-30 to 2026-01-31: 3 succeeded, ",
        "weekly: failed, ",
        "raw: 1,200 rows, ",
        "marts: 300 rows, 1.5 s",
        "Credits: 0.250",
        "All 2 assets have every day that is due.",
        "marts/sales, volume: twice as many as usual",
        "open: weekly failed at stumbles",
    ):
        assert line in text
    (picture,) = [part for part in mail.walk() if part.get_content_type() == "image/png"]
    assert picture.get_content() == PNG
    assert f'src="cid:{picture["Content-ID"][1:-1]}"' in mail.get_body(("html",)).get_content()  # type: ignore[union-attr]
    assert "data:image/png;base64," in html_of(mail)
    assert room.new_mails() == []
    room.later += DAY
    assert len(room.new_mails()) == 1


def test_a_digest_waits_for_its_server_and_comes_once(room: Room, start_server: StartServer) -> None:
    port = free_port()
    room.settings = using(room.settings, port)
    room.sleep_until_the_digest()
    with pytest.raises(TransientMailError):
        room.tick()
    server = start_server(tls="none", port=port)
    room.tick()
    room.tick()
    assert len(server.mails) == 1


def test_a_digest_without_its_numbers_says_why_and_keeps_no_other_mail_back(room: Room) -> None:
    room.business = WarehouseError("oms.duckdb is in use by another run. Try again later.")
    room.record("2026-01-30", why=BROKE)
    room.sleep_until_the_digest()
    failed, digest = room.new_mails()
    assert failed["Subject"] == "[OMS] nightly failed"
    assert "the business numbers are not known: oms.duckdb is in use" in text_of(digest)
    assert room.new_mails() == []


def test_late_data_makes_a_digest_late(room: Room) -> None:
    room.late = {"raw/orders": ["2026-01-30"]}
    room.tick()
    room.sleep_until_the_digest()
    (digest,) = room.new_mails()
    assert digest["Subject"].endswith(": late")
    assert "1 of 2 assets are late: raw/orders." in text_of(digest)
