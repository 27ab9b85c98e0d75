"""A real mail server that keeps what it takes, and can be busy, refuse somebody, or be away for a while."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import NamedTuple

from aiosmtpd.smtp import SMTP, Envelope, Session

from support.ports import free_port
from support.wait import wait_until

BUSY = "451 4.3.2 try later"
REFUSED = "550 5.1.1 no such mailbox"


class Letter(NamedTuple):
    """A mail as it was taken: for whom, when by the steady clock, and its bytes."""

    recipient: str
    at_s: float
    raw: bytes

    @property
    def message(self) -> EmailMessage:
        found = message_from_bytes(self.raw, policy=policy.default)
        assert isinstance(found, EmailMessage)
        return found

    @property
    def message_id(self) -> str:
        return str(self.message["Message-ID"])

    @property
    def subject(self) -> str:
        return str(self.message["Subject"])

    @property
    def text(self) -> str:
        return self._body("plain")

    @property
    def html(self) -> str:
        return self._body("html")

    @property
    def grade_line(self) -> str:
        """The first line: grade, what happened, how bad, which kind."""
        return self.text.splitlines()[0]

    def _body(self, form: str) -> str:
        part = self.message.get_body((form,))
        assert part is not None, f"no {form} part"
        return str(part.get_content()).replace("\r\n", "\n")


class PostOffice:
    """Listens on ``port`` from ``open`` to ``close``. ``busy`` and ``refusing`` say what becomes of recipients; ``at_data`` is
    called with each mail once it is kept, before the sender hears so."""

    def __init__(self, listener: socket.socket | None = None) -> None:
        self.port = free_port() if listener is None else int(listener.getsockname()[1])
        self.busy = False
        self.refusing: set[str] = set()
        self.at_data: Callable[[Letter], None] = lambda _: None
        self.turned_away = 0
        self._listener = listener
        self._letters: list[Letter] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._sessions: set[_Session] = set()

    @property
    def letters(self) -> list[Letter]:
        """All that was taken so far, in the order in which it came."""
        return list(self._letters)

    def to(self, recipient: str) -> list[Letter]:
        return [letter for letter in self.letters if letter.recipient == recipient]

    def open(self) -> None:
        listener = self._listener or socket.create_server(("127.0.0.1", self.port))
        self._listener = None
        ready = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(listener, ready)), name="post-office", daemon=True
        )
        self._thread.start()
        assert ready.wait(20), "the mail server did not start"

    def close(self) -> None:
        thread, self._thread = self._thread, None
        if thread is None:
            return
        assert self._loop is not None and self._closing is not None
        self._loop.call_soon_threadsafe(self._closing.set)
        thread.join(20)
        assert not thread.is_alive()

    def wait_for(self, count: int, what: str, timeout_s: float = 60) -> list[Letter]:
        """The letters, once there are ``count``; ``what`` says which are waited for."""
        wait_until(lambda: len(self._letters) >= count, lambda: f"{count} mails have come ({what})\n{self.told()}", timeout_s)
        return self.letters

    def told(self) -> str:
        """What has come, for the text of a failure."""
        return "\n".join(f"{letter.recipient}: {letter.subject} | {letter.grade_line}" for letter in self._letters)

    async def _serve(self, listener: socket.socket, ready: threading.Event) -> None:
        self._loop, self._closing = asyncio.get_running_loop(), asyncio.Event()
        server = await self._loop.create_server(lambda: _Session(self, self._sessions), sock=listener)
        ready.set()
        await self._closing.wait()
        server.close()
        for session in list(self._sessions):
            session.hang_up()
        await server.wait_closed()
        await asyncio.sleep(0)  # what was hung up is told so by the loop

    # --- what aiosmtpd asks --------------------------------------------------------------------------------------------

    async def handle_RCPT(self, _s: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]) -> str:
        if self.busy or address in self.refusing:
            self.turned_away += 1
            return BUSY if self.busy else REFUSED
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _s: SMTP, _session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        for recipient in envelope.rcpt_tos:
            letter = Letter(recipient, time.monotonic(), envelope.content)
            self._letters.append(letter)
            self.at_data(letter)
        return "250 OK"


class _Session(SMTP):
    """One connection, known to its office as long as it lasts."""

    def __init__(self, office: PostOffice, sessions: "set[_Session]") -> None:
        super().__init__(office, hostname="post.test", loop=asyncio.get_running_loop())
        self._all = sessions

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._all.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._all.discard(self)
        super().connection_lost(error)

    def hang_up(self) -> None:
        if isinstance(self.transport, asyncio.Transport):
            self.transport.abort()


@contextmanager
def post_office(listener: socket.socket | None = None) -> Iterator[PostOffice]:
    """An open office, on a listening socket that somebody made elsewhere, or on a free loopback port."""
    office = PostOffice(listener)
    office.open()
    try:
        yield office
    finally:
        office.close()
