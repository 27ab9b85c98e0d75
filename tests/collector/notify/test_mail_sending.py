"""Sending mail to real servers, obliging and otherwise: what comes of it, and what is never said."""

import asyncio
import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from sitekeeper_collector.notify import smtp
from sitekeeper_collector.notify.mail import Envelope as OurEnvelope
from sitekeeper_collector.notify.mail import Rendered, compose
from sitekeeper_collector.notify.smtp import Encryption, Outcome, Refused, Retry, Sent, SmtpSettings
from support.ports import free_port

PASSWORD = "s3cret-Pass"
HOST = "127.0.0.1"


class Server:
    """A server that answers as it is told at each step, and keeps what it took."""

    def __init__(self, **says: str) -> None:
        self._says = says
        self.taken: list[bytes] = []

    async def handle_MAIL(self, _s: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]) -> str:
        envelope.mail_from = address
        return self._says.get("mail", "250 OK")

    async def handle_RCPT(self, _s: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]) -> str:
        envelope.rcpt_tos.append(address)
        return self._says.get("rcpt", "250 OK")

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:
        if self._says.get("data") == "hang up":
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
            return "250 never heard"
        said = self._says.get("data", "250 OK")
        if said.startswith("2"):
            assert isinstance(envelope.content, bytes)
            self.taken.append(envelope.content)
        return said

    def authenticate(self, _s: SMTP, _session: Session, _e: Envelope, _mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=isinstance(data, LoginPassword) and data.password == PASSWORD.encode(), handled=False)


@pytest.fixture
def running() -> Iterator[Any]:
    """Starts servers, and stops them at the end."""
    started: list[Controller] = []

    def start(server: Server, **options: Any) -> SmtpSettings:
        controller = Controller(server, hostname=HOST, port=free_port(), **options)
        controller.start()
        started.append(controller)
        return SmtpSettings(host=HOST, port=controller.port, encryption=Encryption.NONE, hello_name="test", timeout_s=10)

    yield start
    for controller in started:
        controller.stop()


def _message() -> EmailMessage:
    envelope = OurEnvelope(
        sender="sk@county.example.cn",
        recipient="wang@telecom.example.cn",
        thread="SK-2026-000123/1",
        number=0,
        domain="county.example.cn",
        dated_ms=1_780_000_000_000,
    )
    return compose(Rendered("[SK-2026-000123] 线路中断", "正文", "<p>正文</p>"), envelope)


def test_a_mail_arrives_to_the_byte_and_again_the_same(running: Any) -> None:
    server = Server()
    settings = running(server)
    assert smtp.send(settings, _message()) == Sent() == smtp.send(settings, _message())
    first, second = server.taken
    assert first == second == _message().as_bytes()


@pytest.mark.parametrize(
    ("says", "outcome"),
    [
        pytest.param({"rcpt": "450 4.2.1 busy"}, Retry("the recipient is not taken: 450 4.2.1 busy"), id="450"),
        pytest.param({"rcpt": "451 4.3.0 later"}, Retry("the recipient is not taken: 451 4.3.0 later"), id="451"),
        pytest.param({"rcpt": "550 5.1.1 nobody"}, Refused("the recipient is not taken: 550 5.1.1 nobody"), id="550"),
        pytest.param({"rcpt": "421 closing"}, Retry("the recipient is not taken: 421 closing"), id="421 to the recipient"),
        pytest.param({"mail": "421 closing"}, Retry("the server refuses: 421 closing"), id="421 to the sender"),
        pytest.param({"mail": "553 not you"}, Retry("the server refuses: 553 not you"), id="our own address is refused"),
        pytest.param(
            {"mail": "552 too large"}, Refused("the mail is not taken: 552 too large"), id="552 to the announced size"
        ),
        pytest.param({"data": "452 full"}, Retry("the mail is not taken: 452 full"), id="452 at the end"),
        pytest.param({"data": "554 spam"}, Refused("the mail is not taken: 554 spam"), id="554 at the end"),
    ],
)
def test_what_a_server_says_decides_whether_it_is_tried_again(running: Any, says: dict[str, str], outcome: Outcome) -> None:
    server = Server(**says)
    assert smtp.send(running(server), _message()) == outcome
    assert server.taken == []


def test_a_server_that_hangs_up_amid_the_mail_is_tried_again(running: Any) -> None:
    assert isinstance(smtp.send(running(Server(data="hang up")), _message()), Retry)


def _one_answer(answer: bytes) -> tuple[SmtpSettings, threading.Thread]:
    """A port at which one caller hears ``answer``, and then nothing any more."""
    listener = socket.create_server((HOST, 0))

    def serve() -> None:
        with listener, listener.accept()[0] as caller:
            caller.sendall(answer)
            while caller.recv(4096):
                pass

    thread = threading.Thread(target=serve)
    thread.start()
    port = listener.getsockname()[1]
    return SmtpSettings(host=HOST, port=port, encryption=Encryption.NONE, hello_name="test", timeout_s=0.3), thread


@pytest.mark.parametrize(
    ("greeting", "said"),
    [
        (b"421 too busy\r\n", "421 too busy"),
        (b"554 no mail here\r\n", "554 no mail here"),
        (b"", "connection"),
        (b"\xff\r\n", "-1"),
    ],
)
def test_a_greeting_that_is_none_is_no_verdict_on_the_recipient(greeting: bytes, said: str) -> None:
    settings, thread = _one_answer(greeting)
    outcome = smtp.send(settings, _message())
    thread.join(10)
    assert isinstance(outcome, Retry) and said in outcome.reason.lower()


def test_a_server_that_falls_silent_is_left_after_the_timeout() -> None:
    settings, thread = _one_answer(b"220 hello\r\n")
    outcome = smtp.send(settings, _message())
    thread.join(10)
    assert isinstance(outcome, Retry) and "timed out" in outcome.reason


@pytest.mark.parametrize("encryption", [Encryption.NONE, Encryption.STARTTLS])
def test_a_server_that_never_comes_to_the_point_is_left(encryption: Encryption) -> None:
    """Each line comes well within the timeout, but there is no last one."""
    listener = socket.create_server((HOST, 0))

    def serve() -> None:
        with listener, listener.accept()[0] as caller, suppress(OSError):
            caller.settimeout(1)  # a window that was shut stays so for long, and nobody is told that it is for good
            while True:
                caller.sendall(b"220-and another thing\r\n")

    thread = threading.Thread(target=serve)
    thread.start()
    port = listener.getsockname()[1]
    settings = SmtpSettings(host=HOST, port=port, encryption=encryption, hello_name="test", timeout_s=60)
    outcome = smtp.send(settings, _message(), limit_s=0.3)
    thread.join(20)
    assert isinstance(outcome, Retry) and not thread.is_alive()


def test_a_server_that_stops_answering_over_tls_is_left(authority: trustme.CA, tmp_path: Path) -> None:
    """A last word that never comes, from the first greeting under TLS."""
    context = _context(authority)
    listener = socket.create_server((HOST, 0))

    def serve() -> None:
        with listener, listener.accept()[0] as caller, suppress(OSError), context.wrap_socket(caller, server_side=True) as tls:
            tls.sendall(b"220-wait")
            while tls.recv(4096):
                pass

    thread = threading.Thread(target=serve)
    thread.start()
    settings = SmtpSettings(host=HOST, port=listener.getsockname()[1], hello_name="test", timeout_s=60)
    outcome = smtp.send(_encrypted(settings, authority, tmp_path, encryption=Encryption.TLS), _message(), limit_s=0.5)
    thread.join(20)
    assert isinstance(outcome, Retry) and not thread.is_alive()


def test_nobody_there_is_tried_again() -> None:
    settings = SmtpSettings(host=HOST, port=free_port(), encryption=Encryption.NONE, hello_name="test")
    assert isinstance(smtp.send(settings, _message()), Retry)
    assert isinstance(smtp.send(msgspec.structs.replace(settings, host="a..b"), _message()), Retry)


# --- TLS and login -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def _context(authority: trustme.CA, name: str = HOST) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def _encrypted(settings: SmtpSettings, authority: trustme.CA, folder: Path, **changes: Any) -> SmtpSettings:
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    changed: dict[str, Any] = {"encryption": Encryption.STARTTLS, "ca_file": str(folder / "ca.pem"), **changes}
    return msgspec.structs.replace(settings, **changed)


def _password_file(folder: Path, password: str = PASSWORD) -> str:
    (folder / "password").write_text(f"{password}\n", encoding="utf-8")
    return str(folder / "password")


def test_starttls_and_a_login_from_a_file(running: Any, authority: trustme.CA, tmp_path: Path) -> None:
    server = Server()
    plain = running(
        server,
        tls_context=_context(authority),
        require_starttls=True,
        authenticator=server.authenticate,
        auth_required=True,
    )
    settings = _encrypted(plain, authority, tmp_path, username="sk", password_file=_password_file(tmp_path))
    assert smtp.send(settings, _message()) == Sent() and len(server.taken) == 1
    nobody = msgspec.structs.replace(settings, username="", password_file=None)
    assert isinstance(smtp.send(nobody, _message()), Retry) and len(server.taken) == 1


@pytest.mark.parametrize(
    "reply", ["535 5.7.8 no such password", f"535 {PASSWORD} is wrong"], ids=["plain", "the server repeats the password"]
)
def test_a_wrong_password_is_told_but_never_shown(
    running: Any, authority: trustme.CA, tmp_path: Path, caplog: pytest.LogCaptureFixture, reply: str
) -> None:
    caplog.set_level(logging.DEBUG)
    server = Server()

    def refuse(*_: Any) -> AuthResult:
        return AuthResult(success=False, handled=False, message=reply)

    plain = running(server, tls_context=_context(authority), authenticator=refuse, auth_required=True)
    caplog.clear()
    settings = _encrypted(plain, authority, tmp_path, username="sk", password_file=_password_file(tmp_path))
    outcome = smtp.send(settings, _message())
    assert outcome == Retry("the login is refused: 535") and server.taken == []
    ours = [record for record in caplog.records if record.name.startswith("sitekeeper")]
    assert PASSWORD not in repr(outcome) and PASSWORD not in repr(settings) and PASSWORD not in repr(ours)


@pytest.mark.parametrize(("content", "said"), [("", "first line is empty"), ("密码", "ASCII"), (None, "can't be read")])
def test_a_password_that_can_not_be_used_is_told_without_it(
    running: Any, authority: trustme.CA, tmp_path: Path, content: str | None, said: str
) -> None:
    server = Server()
    plain = running(server, tls_context=_context(authority), authenticator=server.authenticate)
    file = str(tmp_path / "none") if content is None else _password_file(tmp_path, content)
    outcome = smtp.send(_encrypted(plain, authority, tmp_path, username="sk", password_file=file), _message())
    assert isinstance(outcome, Retry) and said in outcome.reason and "密码" not in outcome.reason and server.taken == []


def test_a_server_without_starttls_gets_nothing(running: Any, authority: trustme.CA, tmp_path: Path) -> None:
    server = Server()
    outcome = smtp.send(_encrypted(running(server), authority, tmp_path), _message())
    assert isinstance(outcome, Retry) and "STARTTLS" in outcome.reason and server.taken == []


@pytest.mark.parametrize("wrong", ["name", "authority"])
def test_a_certificate_that_proves_nothing_stops_the_mail(
    running: Any, authority: trustme.CA, tmp_path: Path, wrong: str
) -> None:
    server = Server()
    issuer = trustme.CA() if wrong == "authority" else authority
    plain = running(server, tls_context=_context(issuer, "mail.example.cn" if wrong == "name" else HOST))
    outcome = smtp.send(_encrypted(plain, authority, tmp_path), _message())
    assert isinstance(outcome, Retry) and "certificate" in outcome.reason and server.taken == []


def test_tls_from_the_first_byte(running: Any, authority: trustme.CA, tmp_path: Path) -> None:
    server = Server()
    plain = running(server, ssl_context=_context(authority))
    assert smtp.send(_encrypted(plain, authority, tmp_path, encryption=Encryption.TLS), _message()) == Sent()
    assert len(server.taken) == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"host": "mail", "username": "sk"},
        {"host": "mail", "password_file": "/p"},
        {"host": "mail", "username": "sk", "password_file": "/p", "encryption": "none"},
    ],
)
def test_settings_that_contradict_themselves_or_show_a_password_are_refused(settings: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(settings, SmtpSettings)


def test_the_wait_doubles_from_half_a_minute_to_an_hour() -> None:
    assert [smtp.backoff(attempt) for attempt in (1, 2, 3, 7, 8, 10_000)] == [30, 60, 120, 1920, 3600, 3600]
