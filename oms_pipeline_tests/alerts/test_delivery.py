"""A mail is delivered once and encrypted, or an error says whether it is worth trying again."""

import email
import ssl
import time
from dataclasses import replace
from email import policy
from email.message import EmailMessage

import pytest

from oms_pipeline.alerts import Envelope, check, deliver, mail_dir, trial_mail
from oms_pipeline.errors import MailError, RefusedMailError, TransientMailError
from oms_pipeline.settings import Settings
from oms_pipeline_tests.alerts.conftest import PASSWORD, USER, StartServer, free_port, using

WRONG = "wr0ng"


@pytest.fixture
def mail(settings: Settings) -> EmailMessage:
    return trial_mail(Envelope.of(settings), 1_770_000_000.0)


def test_a_mail_goes_over_starttls_with_a_login(
    start_server: StartServer, settings: Settings, mail: EmailMessage, trust: ssl.SSLContext
) -> None:
    server = start_server(login=True)
    accepted = deliver(mail, using(settings, server, user=USER, password=PASSWORD), tls=trust)
    assert accepted == f"127.0.0.1:{server.port}"
    assert server.subjects == ["[OMS] Mails arrive"]
    assert server.envelopes[0].rcpt_tos == ["data@example.com"]
    assert server.encrypted == [True]


def test_a_mail_goes_over_implicit_tls(
    start_server: StartServer, settings: Settings, mail: EmailMessage, trust: ssl.SSLContext
) -> None:
    server = start_server(tls="implicit")
    deliver(mail, using(settings, server, implicit_tls=True), tls=trust)
    assert len(server.mails) == 1


def test_a_server_with_a_certificate_that_nobody_vouches_for_gets_nothing(
    start_server: StartServer, settings: Settings, mail: EmailMessage
) -> None:
    server = start_server()
    with pytest.raises(TransientMailError, match="certificate"):
        deliver(mail, using(settings, server, user=USER, password=PASSWORD))
    assert server.mails == []


def test_a_password_is_never_sent_in_the_clear(
    start_server: StartServer, settings: Settings, mail: EmailMessage
) -> None:
    server = start_server(tls="none")
    with pytest.raises(MailError, match="no STARTTLS, and a password is not sent in the clear"):
        deliver(mail, using(settings, server, user=USER, password=PASSWORD))
    assert server.mails == []


def test_a_wrong_password_is_an_error_for_good_that_shows_neither_it_nor_the_user(
    start_server: StartServer, settings: Settings, mail: EmailMessage, trust: ssl.SSLContext
) -> None:
    server = start_server(login=True)
    with pytest.raises(MailError, match=r"refuses the mail: 535 .*Correct user and password") as caught:
        deliver(mail, using(settings, server, user="robbie", password=WRONG), tls=trust)
    assert not isinstance(caught.value, TransientMailError)
    assert WRONG not in str(caught.value) and "robbie" not in str(caught.value)


@pytest.mark.parametrize("answer", ["421 too many", None])
def test_what_may_pass_is_worth_trying_again(
    start_server: StartServer, settings: Settings, mail: EmailMessage, trust: ssl.SSLContext, answer: str | None
) -> None:
    server = start_server()
    server.answers = [answer]
    with pytest.raises(TransientMailError):
        deliver(mail, using(settings, server), tls=trust)
    deliver(mail, using(settings, server), tls=trust)
    assert len(server.mails) == 1


def test_what_may_pass_for_one_mail_keeps_no_other_one_back(
    start_server: StartServer, settings: Settings, mail: EmailMessage, trust: ssl.SSLContext
) -> None:
    server = start_server()
    server.answers = ["451 come back later"]
    with pytest.raises(RefusedMailError, match=r"451 come back later\. It is sent later"):
        deliver(mail, using(settings, server), tls=trust)


@pytest.mark.parametrize("answer", ["552 too large", "554 spam"])
def test_what_will_not_pass_is_not(
    start_server: StartServer, settings: Settings, mail: EmailMessage, trust: ssl.SSLContext, answer: str
) -> None:
    server = start_server()
    server.answers = [answer]
    with pytest.raises(MailError, match=answer) as caught:
        deliver(mail, using(settings, server), tls=trust)
    assert not isinstance(caught.value, TransientMailError)


def test_a_server_that_is_not_there_is_worth_trying_again(settings: Settings, mail: EmailMessage) -> None:
    with pytest.raises(TransientMailError, match=r"does not answer.*OMS_SMTP_URL"):
        deliver(mail, using(settings, free_port()))


def test_a_server_that_takes_too_long_is_not_waited_for(
    start_server: StartServer, settings: Settings, mail: EmailMessage, trust: ssl.SSLContext
) -> None:
    server = start_server()
    server.delay = 2.0
    started = time.monotonic()
    with pytest.raises(TransientMailError, match="timed out"):
        deliver(mail, using(settings, server), timeout=0.5, tls=trust)
    assert time.monotonic() - started < 1.5


def test_a_server_that_answers_each_time_just_in_time_is_not_waited_for_either(
    start_server: StartServer, settings: Settings, mail: EmailMessage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oms_pipeline.alerts.delivery.TOTAL_SECONDS", 1.5)
    server = start_server(tls="none")
    server.delay_each = 0.8
    started = time.monotonic()
    with pytest.raises(TransientMailError, match=r"timed out|took more than"):
        deliver(mail, using(settings, server), timeout=1.0)
    assert time.monotonic() - started < 2.0


def test_one_refused_recipient_keeps_nobody_else_from_the_mail(
    start_server: StartServer, settings: Settings, trust: ssl.SSLContext
) -> None:
    server = start_server()
    two = replace(using(settings, server), mail_to=("gone@example.com", "data@example.com"))
    assert deliver(trial_mail(Envelope.of(two), 0.0), two, tls=trust).endswith(
        "which refused gone@example.com (550 no such mailbox)"
    )
    assert server.envelopes[0].rcpt_tos == ["data@example.com"]
    nobody = replace(two, mail_to=("gone@example.com",))
    with pytest.raises(MailError, match=r"550 no such mailbox.*Check OMS_MAIL_FROM and OMS_MAIL_TO"):
        deliver(trial_mail(Envelope.of(nobody), 0.0), nobody, tls=trust)


def test_without_a_server_a_mail_is_a_file_and_the_same_mail_the_same_file(
    settings: Settings, mail: EmailMessage
) -> None:
    paths = {deliver(mail, settings), deliver(mail, settings)}
    (path,) = mail_dir(settings).iterdir()
    assert paths == {str(path)}
    assert email.message_from_bytes(path.read_bytes(), policy=policy.default)["Subject"] == "[OMS] Mails arrive"


def test_the_check_logs_in_and_sends_nothing(
    start_server: StartServer, settings: Settings, trust: ssl.SSLContext
) -> None:
    server = start_server(login=True)
    good = using(settings, server, user=USER, password=PASSWORD)
    assert check(good, tls=trust) == (
        f"127.0.0.1:{server.port} answers. Mails go by 127.0.0.1:{server.port} to data@example.com."
    )
    assert server.mails == []
    with pytest.raises(MailError, match="535"):
        check(using(settings, server, user=USER, password=WRONG), tls=trust)
    with pytest.raises(MailError, match="OMS_MAIL_TO is not set"):
        check(replace(good, mail_to=()), tls=trust)
    assert "mails become files" in check(settings)
