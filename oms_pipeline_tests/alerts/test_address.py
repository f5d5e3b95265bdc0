"""The mail server's address is understood or refused, and its password is shown in neither case."""

import pytest

from oms_pipeline.errors import SettingsError
from oms_pipeline.settings import SmtpServer, read_settings


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail.example.com", SmtpServer("mail.example.com", 587, False)),
        ("smtps://mail.example.com/", SmtpServer("mail.example.com", 465, True)),
        (
            "smtp://ana%40example.com:s3%3Acr%2Fet@mail.example.com:2525",
            SmtpServer("mail.example.com", 2525, False, "ana@example.com", "s3:cr/et"),
        ),
    ],
)
def test_an_address_is_understood(url: str, server: SmtpServer) -> None:
    settings = read_settings({"OMS_SMTP_URL": url})
    assert settings.smtp == server
    assert "s3" not in repr(settings.smtp)


@pytest.mark.parametrize(
    "url",
    ["mail.example.com", "smtp://ana:s3/cret@mail.example.com", "smtp://ana:s3@cret@host", "smtp://ana:s3%@host:99999"],
)
def test_a_wrong_address_is_refused_without_showing_the_password(url: str) -> None:
    with pytest.raises(SettingsError, match="OMS_SMTP_URL is no address") as caught:
        read_settings({"OMS_SMTP_URL": url})
    assert "s3" not in str(caught.value) and "cret" not in str(caught.value)


def test_a_password_that_no_client_can_send_is_refused_without_showing_it() -> None:
    with pytest.raises(SettingsError, match="OMS_SMTP_URL has a user or a password beyond ASCII") as caught:
        read_settings({"OMS_SMTP_URL": "smtp://robot:p%C3%A4ssword@smtp.example.com"})
    assert "ssword" not in str(caught.value).replace("password beyond", "")
