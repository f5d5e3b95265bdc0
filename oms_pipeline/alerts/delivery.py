"""Hands mails to a server, or to a folder where there is none; says whether trying again can help. Decides nothing."""

import smtplib
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from oms_pipeline.alerts.problems import one_line
from oms_pipeline.errors import MailError, RefusedMailError, TransientMailError
from oms_pipeline.settings import Settings, SmtpServer

TIMEOUT_SECONDS: Final = 10.0
# A server may answer each time just before the limit; Dagster ends a tick that takes a minute.
TOTAL_SECONDS: Final = 15.0
REFUSED_SECONDS: Final = 600.0
SERVER_CLOSES: Final = 421
NO_RECIPIENT: Final = "OMS_MAIL_TO is not set. Set it to who gets the mails, such as data@example.com."


def mail_dir(settings: Settings) -> Path:
    """Where mails go while no server is set."""
    return settings.home / "mail"


def destination(settings: Settings) -> str:
    """Where mails go, as a sentence."""
    if settings.smtp is None:
        return f"No mail server is set: mails become files in {mail_dir(settings)}. To send them, set OMS_SMTP_URL."
    to = ", ".join(settings.mail_to) or "owners only, and what has none to nobody: set OMS_MAIL_TO"
    return f"Mails go by {_where(settings.smtp)} to {to}."


def deliver(
    message: EmailMessage,
    settings: Settings,
    only: Sequence[str] = (),
    timeout: float = TIMEOUT_SECONDS,
    tls: ssl.SSLContext | None = None,
) -> str:
    """Delivers one mail; returns once it is accepted.

    Args:
        message: The mail.
        settings: For the server, or the folder.
        only: Who of its recipients is to get it; empty for all of them.
        timeout: Limit for each answer of the server, in seconds; once there is a connection, all together have about
            `TOTAL_SECONDS`.
        tls: Whom to trust; by default whom the system trusts.

    Returns:
        Who accepted it, as it may be shown, and whom of the recipients it refused for good.

    Raises:
        TransientMailError: It was not accepted now, but may be later.
        RefusedMailError: It was not accepted for everybody; other mails may be.
        MailError: It will not be accepted until something is changed.
    """
    if settings.smtp is None:
        return _keep(message, mail_dir(settings))
    if not message["To"]:
        raise RefusedMailError(NO_RECIPIENT)
    where = _where(settings.smtp)
    refused: Mapping[str, tuple[int, bytes]] = {}
    with _explained(settings.smtp), _connected(settings.smtp, timeout, tls) as client:
        refused = client.send_message(message, to_addrs=only or None)
    later = {address: answer for address, answer in refused.items() if answer[0] < 500}
    if later:
        told = f"The mail server {where} did not take a mail now for {_told(later, settings.smtp)}. It is tried again."
        raise RefusedMailError(told, sorted(later))
    return f"{where}, which refused {_told(refused, settings.smtp)}" if refused else where


def check(settings: Settings, timeout: float = TIMEOUT_SECONDS, tls: ssl.SSLContext | None = None) -> str:
    """Whether a mail could be delivered now: logs in, sends nothing; tells what was refused last.

    Args:
        settings: For the server, or the folder.
        timeout: Limit for each answer of the server, in seconds.
        tls: Whom to trust; by default whom the system trusts.

    Returns:
        Where mails go.

    Raises:
        MailError: They would not arrive.
    """
    if settings.smtp is None:
        return destination(settings)
    with _explained(settings.smtp), _connected(settings.smtp, timeout, tls):
        pass
    if not settings.mail_to:
        raise MailError(NO_RECIPIENT)
    for refused in (_refusal_file(settings), _refused_mail_file(settings)):
        if refused.exists():
            raise MailError(f"A mail was refused, and waits. {refused.read_text(encoding='utf-8')}")
    return f"{_where(settings.smtp)} answers. {destination(settings)}"


def remember_refusal(settings: Settings, error: MailError) -> None:
    """Keeps what a server refused, for `oms check`: one mail, or for good whatever comes."""
    if isinstance(error, TransientMailError):
        return
    file = _refused_mail_file(settings) if isinstance(error, RefusedMailError) else _refusal_file(settings)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(str(error), encoding="utf-8")


def wait_after_refusal(settings: Settings, now: float) -> None:
    """Servers lock out who comes again and again with what they refused.

    Args:
        settings: For where a refusal is kept.
        now: Seconds since 1970.

    Raises:
        MailError: It is too early to try again.
    """
    file = _refusal_file(settings)
    if file.exists() and now - file.stat().st_mtime < REFUSED_SECONDS:
        raise MailError(f"{file.read_text(encoding='utf-8')} (tried every {REFUSED_SECONDS / 60:.0f} minutes)")
    file.unlink(missing_ok=True)


def forget_refusal(settings: Settings) -> None:
    """Lets the next tick try again at once: a mail was accepted, so whatever was refused is mended."""
    _refusal_file(settings).unlink(missing_ok=True)


def forget_refused_mails(settings: Settings) -> None:
    """No single mail waits any more."""
    _refused_mail_file(settings).unlink(missing_ok=True)


class _Smtp(smtplib.SMTP):
    """A client whose conversation as a whole has a limit, beside that of each answer."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.ends = time.monotonic() + TOTAL_SECONDS
        super().__init__(*args, **options)

    def getreply(self) -> tuple[int, bytes]:
        left = self.ends - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"it took more than {TOTAL_SECONDS:.0f} seconds")
        if self.sock is not None:
            self.sock.settimeout(min(self.timeout, left))
        return super().getreply()


class _SmtpOverTls(_Smtp, smtplib.SMTP_SSL):
    pass


@contextmanager
def _connected(server: SmtpServer, timeout: float, tls: ssl.SSLContext | None) -> Iterator[smtplib.SMTP]:
    context = tls or ssl.create_default_context()
    if server.implicit_tls:
        client: smtplib.SMTP = _SmtpOverTls(server.host, server.port, timeout=timeout, context=context)
    else:
        client = _Smtp(server.host, server.port, timeout=timeout)
    try:
        client.ehlo()
        if not server.implicit_tls and client.has_extn("starttls"):
            client.starttls(context=context)
            client.ehlo()
        elif not server.implicit_tls and server.user is not None:
            raise smtplib.SMTPNotSupportedError(
                "it offers no STARTTLS, and a password is not sent in the clear. Use smtps://, or no user."
            )
        if server.user is not None:
            client.login(server.user, server.password)
        yield client
        # What was accepted stays accepted, whatever the server says to a goodbye.
        with suppress(OSError, smtplib.SMTPException):
            client.quit()
    finally:
        client.close()


@contextmanager
def _explained(server: SmtpServer) -> Iterator[None]:
    """Errors as they may be shown, told apart by whether trying again can help."""
    where = _where(server)
    try:
        yield
    except smtplib.SMTPRecipientsRefused as error:
        raise _refusal(where, list(error.recipients.values()), server, RefusedMailError) from error
    except smtplib.SMTPDataError as error:
        raise _refusal(where, [(error.smtp_code, error.smtp_error)], server, RefusedMailError) from error
    except smtplib.SMTPResponseException as error:
        raise _refusal(where, [(error.smtp_code, error.smtp_error)], server) from error
    except smtplib.SMTPNotSupportedError as error:
        raise MailError(f"The mail server {where} lacks what is needed: {error}") from error
    except (OSError, smtplib.SMTPException) as error:
        reason = _shown(str(error) or type(error).__name__, server)
        raise TransientMailError(
            f"The mail server {where} does not answer: {reason}. Mails wait until it does. Check OMS_SMTP_URL."
        ) from error


def _refusal_file(settings: Settings) -> Path:
    return mail_dir(settings) / "refused.txt"


def _refused_mail_file(settings: Settings) -> Path:
    return mail_dir(settings) / "refused_mail.txt"


def _told(refused: Mapping[str, tuple[int, bytes]], server: SmtpServer) -> str:
    """Recipients and what the server said of each."""
    return ", ".join(
        f"{address} ({code} {_shown(answer.decode(errors='replace'), server)})"
        for address, (code, answer) in sorted(refused.items())
    )


def _where(server: SmtpServer) -> str:
    return f"{server.host}:{server.port}"


def _refusal(
    where: str,
    answers: Sequence[tuple[int, bytes | str]],
    server: SmtpServer,
    for_good: type[MailError] = MailError,
) -> MailError:
    code, answer = answers[0]
    text = _shown(answer.decode(errors="replace") if isinstance(answer, bytes) else answer, server)
    if any(code < 500 for code, _ in answers):
        # With 421 the server itself goes; any other answer may be about this mail only.
        passing = RefusedMailError if for_good is RefusedMailError and code != SERVER_CLOSES else TransientMailError
        return passing(f"The mail server {where} did not take the mail now: {code} {text}. It is sent later.")
    if code in (530, 534, 535, 538):
        remedy = "Correct user and password in OMS_SMTP_URL, percent-encoded."
    elif code in (550, 551, 553, 554):
        remedy = "Check OMS_MAIL_FROM and OMS_MAIL_TO, and what the server lets this user send."
    else:
        remedy = "Look up its answer in the server's manual."
    return for_good(f"The mail server {where} refuses the mail: {code} {text}. {remedy} Then try: oms alerts test")


def _shown(text: str, server: SmtpServer) -> str:
    for secret in (server.password, server.user):
        if secret:
            text = text.replace(secret, "…")
    return one_line(text).rstrip(".")


def _keep(message: EmailMessage, folder: Path) -> str:
    # The same mail delivered twice is one file.
    path = folder / f"{sha256(str(message['Message-ID']).encode()).hexdigest()[:16]}.eml"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".draft")
        draft.write_bytes(bytes(message))
        draft.replace(path)
    except OSError as error:
        raise TransientMailError(
            f"{path} cannot be written: {error.strerror}. Set OMS_HOME to another folder."
        ) from error
    return str(path)
