"""What is due is sent: nothing is lost while a server is down or refuses, and no more than the limit."""

from dataclasses import replace
from email.message import EmailMessage
from typing import Any

import pytest
from dagster._core.storage.tags import BACKFILL_ID_TAG

from oms_pipeline.alerts.delivery import check
from oms_pipeline.alerts.mail import render
from oms_pipeline.alerts.problems import HOUR, Problem
from oms_pipeline.alerts.sensor import (
    MAILS_PER_HOUR,
)
from oms_pipeline.errors import MailError, TransientMailError
from oms_pipeline_tests.alerts.conftest import StartServer, free_port, using
from oms_pipeline_tests.alerts.room import BROKE, BROKEN, Room, text_of


def test_while_the_server_is_down_mails_wait_and_then_arrive_once(room: Room, start_server: StartServer) -> None:
    port = free_port()
    room.settings = using(room.settings, port)
    BROKEN.update({"2026-01-30": "no", "weekly": "yes"})
    room.run("2026-01-30")
    before = room.cursor
    for _ in range(2):
        with pytest.raises(TransientMailError, match="does not answer"):
            room.tick()
    room.run("", job="weekly")
    BROKEN.clear()
    room.run("2026-01-30")
    with pytest.raises(TransientMailError):
        room.tick()
    assert room.cursor == before

    server = start_server(tls="none", port=port)
    room.tick()
    room.tick()

    assert sorted(server.subjects) == ["[OMS] nightly failed at raw__orders", "[OMS] weekly failed at stumbles"]
    # What had ended before anybody could be told is told as such, and not forgotten.
    states = {mail["Subject"]: text_of(mail).partition(":")[0] for mail in server.mails}
    assert states == {
        "[OMS] nightly failed at raw__orders": "Recovered",
        "[OMS] weekly failed at stumbles": "Needs attention",
    }


def test_a_server_that_breaks_off_between_two_mails_gets_neither_twice(room: Room, start_server: StartServer) -> None:
    server = start_server(tls="none")
    room.settings = using(room.settings, server)
    server.answers = ["250 taken", "421 busy"]
    BROKEN.update({"2026-01-30": "no", "weekly": "yes"})
    room.run("2026-01-30")
    room.run("", job="weekly")
    assert "1 mail sent to 127.0.0.1" in room.tick()
    room.tick()
    assert server.subjects == ["[OMS] nightly failed at raw__orders", "[OMS] weekly failed at stumbles"]


def test_a_mail_that_was_refused_is_tried_again_after_ten_minutes(room: Room, start_server: StartServer) -> None:
    server = start_server(tls="none")
    room.settings = using(room.settings, server)
    server.answers = ["554 spam"]
    room.record("2026-01-30", why=BROKE)
    assert "0 mails sent" in (done := room.tick()) and "554 spam" in done
    assert "Refused" not in room.tick()
    assert server.mails == []
    with pytest.raises(MailError, match=r"was refused, and waits.*554 spam"):
        check(room.settings)
    room.later += 600
    room.tick()
    assert check(room.settings).endswith("to data@example.com.")
    assert server.subjects == ["[OMS] nightly failed"]


def test_one_mail_that_is_refused_keeps_no_other_back(room: Room, start_server: StartServer) -> None:
    server = start_server(tls="none")
    room.settings = using(room.settings, server)
    server.answers = ["554 spam"]
    BROKEN.update({"2026-01-30": "no", "weekly": "yes"})
    room.run("2026-01-30")
    room.run("", job="weekly")
    assert "1 mail sent" in (done := room.tick()) and "Refused: " in done and "554 spam" in done
    assert server.subjects == ["[OMS] weekly failed at stumbles"]
    room.run("", job="hers")
    room.tick()
    assert server.subjects[1:] == ["[OMS] hers failed at stumbles"]
    room.later += 600
    room.tick()
    assert server.subjects[2:] == ["[OMS] nightly failed at raw__orders"]


def test_a_server_that_refuses_whoever_comes_is_tried_every_ten_minutes(room: Room, start_server: StartServer) -> None:
    server = start_server(tls="none")
    room.settings = using(room.settings, server)
    server.senders_refused = 1
    room.record("2026-01-30", why=BROKE)
    with pytest.raises(MailError, match="550 not you"):
        room.tick()
    with pytest.raises(MailError, match=r"550 not you.*tried every 10 minutes"):
        room.tick()
    room.later += 600
    room.tick()
    assert server.subjects == ["[OMS] nightly failed"]


def test_who_is_told_to_come_later_gets_the_mail_later(room: Room, start_server: StartServer) -> None:
    server = start_server(tls="none")
    room.settings = replace(using(room.settings, server), mail_to=("busy@example.com", "data@example.com"))
    server.busy = True
    room.record("2026-01-30", why=BROKE)
    assert "did not take a mail now for busy@example.com (450 greylisted)" in room.tick()
    room.tick()
    assert [envelope.rcpt_tos for envelope in server.envelopes] == [["data@example.com"]]
    server.busy = False
    room.later += 600
    room.tick()
    assert [envelope.rcpt_tos for envelope in server.envelopes] == [["data@example.com"], ["busy@example.com"]]
    assert server.mails[0]["Message-ID"] == server.mails[1]["Message-ID"]
    room.later += 600
    room.tick()
    assert len(server.mails) == 2


def test_who_is_told_to_come_later_keeps_no_mail_to_others_back(room: Room, start_server: StartServer) -> None:
    server = start_server(tls="none")
    room.settings = replace(using(room.settings, server), mail_to=("busy@example.com",))
    server.busy = True
    BROKEN.update({"weekly": "yes"})
    room.record("2026-01-30", why=BROKE)
    room.run("", job="hers")
    room.tick()
    assert [envelope.rcpt_tos for envelope in server.envelopes] == [["bo@example.com"]]
    server.busy = False
    room.later += 600
    room.tick()
    assert server.envelopes[1].rcpt_tos == ["busy@example.com"]


def test_what_cannot_be_written_in_a_mail_keeps_no_other_one_back(
    room: Room, start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = render

    def refuses_weekly(problem: Problem, *others: Any) -> EmailMessage:
        if problem.job == "weekly":
            raise UnicodeEncodeError("utf-8", "x", 0, 1, "surrogates not allowed")
        return written(problem, *others)

    monkeypatch.setattr("oms_pipeline.alerts.sensor.render", refuses_weekly)
    server = start_server(tls="none")
    room.settings = using(room.settings, server)
    BROKEN.update({"weekly": "yes"})
    room.run("", job="weekly")
    room.record("2026-01-30", why=BROKE)
    assert "The mail about weekly failed at stumbles cannot be written" in room.tick()
    assert server.subjects == ["[OMS] nightly failed"]


def test_an_error_that_is_no_text_is_mailed_with_what_can_be_read_of_it(room: Room) -> None:
    BROKEN["2026-01-31"] = "bad file \udce4 name\x1b[31m"
    room.run("2026-01-31")
    (mail,) = room.new_mails()
    assert "Error: bad file ? name [31m" in text_of(mail)
    assert b"bad file" in bytes(mail)


def test_no_more_mails_are_sent_in_an_hour_than_the_limit_and_the_last_tells_of_the_others(room: Room) -> None:
    for n in range(MAILS_PER_HOUR + 5):
        room.record("2026-01-01", why=BROKE, **{BACKFILL_ID_TAG: f"backfill{n}"})
    subjects = room.subjects
    assert len(subjects) == MAILS_PER_HOUR
    assert subjects[-1] == "[OMS] 6 more problems"
    for job in ("weekly", "hers"):
        BROKEN["weekly"] = "yes"
        room.run("", job=job)
    room.record("2026-01-02", why=BROKE)
    assert room.subjects == []
    room.later += HOUR
    (summary,) = room.new_mails()
    assert summary["Subject"] == "[OMS] 3 more problems"
    BROKEN.clear()
    room.run("", job="weekly")
    (over,) = room.new_mails()
    assert (over["Subject"], over["References"]) == ("Re: [OMS] weekly failed at stumbles", summary["Message-ID"])
