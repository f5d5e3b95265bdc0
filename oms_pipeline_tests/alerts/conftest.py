"""A real mail server on this machine, with the certificate of an authority that only these tests know."""

import datetime as dt
import ipaddress
import shutil
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from oms_pipeline.instance import prepare_dagster_home
from oms_pipeline.settings import Settings, SmtpServer, read_settings
from oms_pipeline_tests.alerts.room import BROKEN, Room

USER, PASSWORD = "robot", "s3cret:/@%"


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and its certificate for 127.0.0.1, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def trust(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


@dataclass
class MailServer:
    """A running server: what it took, and what it answers next.

    Attributes:
        port: Where it listens.
        answers: Answers to the next mails; a mail without one is accepted. `None` drops the connection.
        delay: Seconds it takes for each mail.
        delay_each: Seconds it takes for each command before that.
        senders_refused: How many of the next senders it refuses.
        busy: Whether it has `busy@example.com` come later.
        envelopes: What it accepted.
        encrypted: Of each, whether it came over TLS.
        stop: Stops it.
    """

    port: int
    answers: list[str | None] = field(default_factory=list)
    delay: float = 0.0
    delay_each: float = 0.0
    senders_refused: int = 0
    busy: bool = False
    envelopes: list[Envelope] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    stop: Callable[[], None] = field(default=lambda: None)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.delay:
            time.sleep(self.delay)
        answer = self.answers.pop(0) if self.answers else "250 taken"
        if answer is None:
            server.transport.abort()
            return "250 nobody hears this"
        if answer.startswith("250"):
            self.envelopes.append(envelope)
            self.encrypted.append(session.ssl is not None)
        return answer

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        time.sleep(self.delay_each)
        if self.senders_refused:
            self.senders_refused -= 1
            return "550 not you"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 ok"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any
    ) -> str:
        time.sleep(self.delay_each)
        if self.busy and address.startswith("busy@"):
            return "450 greylisted"
        if address.startswith("gone@"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    @property
    def mails(self) -> list[EmailMessage]:
        """The accepted mails, as a client reads them."""
        return [message_from_bytes(e.content or b"", policy=policy.default) for e in self.envelopes]  # type: ignore[arg-type, misc]

    @property
    def subjects(self) -> list[str]:
        return [mail["Subject"] for mail in self.mails]


StartServer = Callable[..., MailServer]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def only_the_robot(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    return AuthResult(success=(data.login, data.password) == (USER.encode(), PASSWORD.encode()), handled=False)


@pytest.fixture
def start_server(certificate: Path) -> Iterator[StartServer]:
    """Starts a server: with STARTTLS, with TLS from the first byte, or plain; with or without a login."""
    running: list[Controller] = []

    def start(tls: str = "starttls", login: bool = False, port: int | None = None) -> MailServer:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server = MailServer(port or free_port())
        controller = Controller(
            server,
            hostname="127.0.0.1",
            port=server.port,
            ssl_context=context if tls == "implicit" else None,
            tls_context=context if tls == "starttls" else None,
            require_starttls=tls == "starttls",
            authenticator=only_the_robot if login else None,
            auth_required=login,
            auth_require_tls=tls == "starttls",
        )
        controller.start()
        server.stop = lambda: controller.stop(no_assert=True)
        running.append(controller)
        return server

    yield start
    for controller in running:
        if not controller.loop.is_closed():
            controller.stop(no_assert=True)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """No mail server, one recipient."""
    return read_settings({"OMS_HOME": str(tmp_path / "home"), "OMS_MAIL_TO": "data@example.com"})


def using(settings: Settings, server: MailServer | int, **changes: Any) -> Settings:
    """The settings with a mail server."""
    port = server if isinstance(server, int) else server.port
    return replace(settings, smtp=SmtpServer("127.0.0.1", port, **{"implicit_tls": False, **changes}))


@pytest.fixture(scope="module")
def used_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dagster's databases with one good run in them: making them takes longer than a test."""
    home = tmp_path_factory.mktemp("used")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", "")
        settings = read_settings({"OMS_HOME": str(home)})
        prepare_dagster_home(settings)
        with dg.DagsterInstance.get() as instance:
            Room(instance, settings).run("2026-01-01")
    return home


@pytest.fixture
def room(settings: Settings, used_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    shutil.copytree(used_home, settings.home)
    monkeypatch.setenv("DAGSTER_HOME", "")
    prepare_dagster_home(settings)
    BROKEN.clear()
    with dg.DagsterInstance.get() as instance:
        found = Room(instance, settings)
        found.tick()
        yield found
