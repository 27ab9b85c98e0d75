"""A mail server in a thread of this process that keeps the newest mails and delivers none; on the loopback address only."""

import asyncio
import logging
import queue
import threading
import time
from collections import deque
from typing import NamedTuple

from aiosmtpd.smtp import SMTP, Envelope, Session

HOST = "127.0.0.1"
logging.getLogger("mail.log").setLevel(logging.WARNING)  # aiosmtpd tells every line of every conversation
_START_S = 20.0
_STOP_S = 15.0


class MailCatcherError(RuntimeError):
    """The mail catcher can't be started or stopped; the text says why."""


class CaughtMail(NamedTuple):
    """A mail as it came: who it was from and to by its envelope, and its bytes."""

    number: int
    caught_ms: int
    sender: str
    recipients: tuple[str, ...]
    content: bytes


class MailCatcher:
    """A server that ``start`` brings up and ``stop`` takes away; ``port`` 0 takes a free one at the first start.

    It keeps at most ``most_mails`` and ``most_bytes``, the newest, also over a stop. A mail of more than half of
    ``most_bytes`` is refused (552), so that there is always room for more than one.
    """

    def __init__(self, *, port: int = 0, most_mails: int = 200, most_bytes: int = 8 * 1024 * 1024) -> None:
        self.port = port
        self._most_mails = most_mails
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._mails: deque[CaughtMail] = deque()
        self._bytes = 0
        self._caught = 0
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._sessions: set[_Session] = set()
        self._started: queue.Queue[OSError | None] = queue.Queue()

    @property
    def running(self) -> bool:
        """Whether it listens."""
        return self._thread is not None and self._thread.is_alive()

    def messages(self) -> tuple[CaughtMail, ...]:
        """What is kept, oldest first."""
        with self._lock:
            return tuple(self._mails)

    def start(self) -> None:
        """Listen. Returns once it does; raises ``MailCatcherError`` if it can't."""
        if self.running:
            return
        self._started = queue.Queue()
        self._thread = threading.Thread(target=self._run, name="mail-catcher", daemon=True)
        self._thread.start()
        try:
            failure = self._started.get(timeout=_START_S)
        except queue.Empty:
            raise MailCatcherError(f"the mail catcher did not start within {_START_S:g} s") from None
        if failure is not None:
            self._thread.join(_STOP_S)
            raise MailCatcherError(f"the mail catcher can't listen on {HOST}:{self.port}: {failure}") from failure

    def stop(self) -> None:
        """Close all connections and the port. Does nothing if it does not run."""
        if self._thread is None:
            return
        if self._loop is not None and self._stopping is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(_STOP_S)
        if self._thread.is_alive():
            raise MailCatcherError(f"the mail catcher did not stop within {_STOP_S:g} s")
        self._thread = None

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        """Keep a mail. Called by aiosmtpd."""
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        self._keep(envelope.mail_from or "", tuple(envelope.rcpt_tos), content)
        return "250 OK"

    def _keep(self, sender: str, recipients: tuple[str, ...], content: bytes) -> None:
        with self._lock:
            self._caught += 1
            self._mails.append(CaughtMail(self._caught, time.time_ns() // 1_000_000, sender, recipients, content))
            self._bytes += len(content)
            while len(self._mails) > self._most_mails or self._bytes > self._most_bytes:
                self._bytes -= len(self._mails.popleft().content)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except OSError as err:
            self._started.put(err)

    async def _serve(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        server = await self._loop.create_server(self._session, HOST, self.port)
        self.port = server.sockets[0].getsockname()[1]
        self._started.put(None)
        await self._stopping.wait()
        server.close()
        for session in tuple(self._sessions):
            session.cut_off()
        await server.wait_closed()
        while self._sessions:
            await asyncio.sleep(0)  # until each has seen its connection end

    def _session(self) -> "_Session":
        return _Session(self, self._sessions, most_bytes=self._most_bytes // 2)


class _Session(SMTP):
    """A connection, which can be cut off from our side."""

    def __init__(self, handler: MailCatcher, open_ones: set["_Session"], *, most_bytes: int) -> None:
        super().__init__(
            handler,
            hostname="mail-catcher",
            ident="Sitekeeper mail catcher",
            enable_SMTPUTF8=True,
            data_size_limit=most_bytes,
            loop=asyncio.get_running_loop(),
        )
        self._open_ones = open_ones

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._open_ones.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._open_ones.discard(self)

    def cut_off(self) -> None:
        """End the connection at once."""
        if isinstance(self.transport, asyncio.Transport):
            self.transport.abort()
