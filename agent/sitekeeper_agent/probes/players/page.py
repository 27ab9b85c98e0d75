"""A player in a web page: the loopback port to which ``packaging/playback-beacon.js`` tells how it plays.

The watcher's own thread serves the few connections there are; what reads a request is loaded with the first of them.
"""

import selectors
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from sitekeeper_agent.probes.players.playback import Seen
from sitekeeper_agent.probes.players.source import Source, monotonic_ms
from sitekeeper_agent.sitepage.allowance import Allowance

if TYPE_CHECKING:
    from sitekeeper_agent.probes.players.beacon import Beacon

LOOPBACK = "127.0.0.1"
AT_ONCE = 6
"""Connections at a time, as many as a browser opens to one server; the oldest makes place for a new one."""
REQUEST_S = 2.0
"""From the connection to its end, however slowly its bytes drip."""
MAX_BYTES = 64 * 1024
"""Taken from one connection, read or not."""
_BURST, _EVERY_MS = 60, 100


class _Guest(NamedTuple):
    until: float
    held: bytes = b""
    taken: int = 0
    answered: bool = False
    """What still comes is thrown away, so that the answer is not lost with the connection."""


class Page(Source):
    """A source on what the pages of ``origins`` tell."""

    # It is told of things when they occur: looking more often would show nothing more.
    busy_s = idle_s = 5.0

    def __init__(self, port: int, origins: Sequence[str]) -> None:
        self._port, self._origins = port, frozenset(origins)
        self._selector: selectors.BaseSelector | None = None
        self._listener: socket.socket | None = None
        self._guests: dict[socket.socket, _Guest] = {}
        self._beacon: Beacon | None = None
        self._allowed = Allowance.full(_BURST, _EVERY_MS, monotonic_ms())

    def look(self) -> Sequence[Seen]:
        """What silence tells. Raises ``OSError`` while the port can't be had."""
        self._listen()
        return () if self._beacon is None else self._beacon.silence(monotonic_ms())

    def rest(self, seconds: float, stop: threading.Event) -> Sequence[Seen]:
        """Serve until the time is over or something was told."""
        if self._selector is None:
            return super().rest(seconds, stop)
        until = time.monotonic() + seconds
        while not stop.is_set() and (left := until - time.monotonic()) > 0:
            seen = self._serve(self._selector, left)
            if seen:
                return seen
        return ()

    def close(self) -> None:
        """Listen no longer."""
        for connection in list(self._guests):
            self._dismiss(connection)
        if self._selector is not None and self._listener is not None:
            self._selector.close()
            self._listener.close()
        self._selector = self._listener = None

    def _listen(self) -> None:
        if self._listener is None:
            self._listener = socket.create_server((LOOPBACK, self._port), backlog=16)
            self._listener.setblocking(False)
            self._selector = selectors.DefaultSelector()
            self._selector.register(self._listener, selectors.EVENT_READ)

    def _serve(self, selector: selectors.BaseSelector, seconds: float) -> Sequence[Seen]:
        """One round: whoever comes, whatever arrives, and those whose time is over."""
        now = time.monotonic()
        nearest = min((guest.until for guest in self._guests.values()), default=now + seconds)
        seen: list[Seen] = []
        for key, _ in selector.select(max(0.0, min(seconds, nearest - now))):
            if key.fileobj is self._listener:
                self._let_in(selector, self._listener)
            elif isinstance(key.fileobj, socket.socket) and key.fileobj in self._guests:
                seen.extend(self._hear(key.fileobj))
        now = time.monotonic()
        for connection in [connection for connection, guest in self._guests.items() if guest.until <= now]:
            self._dismiss(connection)
        return seen

    def _let_in(self, selector: selectors.BaseSelector, listener: socket.socket) -> None:
        left = self._allowed.spend(monotonic_ms())
        if left is None:
            time.sleep(_EVERY_MS / 1000)  # they wait in the system's own short queue, which drops the rest
            return
        self._allowed = left
        try:
            connection, _ = listener.accept()
        except OSError:  # it is gone already, or there are no descriptors: nothing to serve either way
            return
        connection.setblocking(False)
        if len(self._guests) >= AT_ONCE:
            self._dismiss(next(iter(self._guests)))
        self._guests[connection] = _Guest(time.monotonic() + REQUEST_S)
        selector.register(connection, selectors.EVENT_READ)

    def _hear(self, connection: socket.socket) -> Sequence[Seen]:
        guest = self._guests[connection]
        try:
            data = connection.recv(16 * 1024)
        except BlockingIOError:
            return ()
        except OSError:
            data = b""
        if not data or guest.taken + len(data) > MAX_BYTES:
            self._dismiss(connection)
            return ()
        guest = guest._replace(taken=guest.taken + len(data), held=b"" if guest.answered else guest.held + data)
        self._guests[connection] = guest
        if guest.answered:
            return ()
        told = self._told().take(guest.held, monotonic_ms())
        if told is None:
            return ()
        self._guests[connection] = guest._replace(held=b"", answered=True)
        with suppress(OSError):  # some hundred bytes always fit; whoever has left misses nothing
            connection.send(told.answer)
            connection.shutdown(socket.SHUT_WR)
        return told.seen

    def _told(self) -> "Beacon":
        if self._beacon is None:
            from sitekeeper_agent.probes.players.beacon import Beacon

            self._beacon = Beacon(self._port, self._origins)
        return self._beacon

    def _dismiss(self, connection: socket.socket) -> None:
        del self._guests[connection]
        if self._selector is not None:
            self._selector.unregister(connection)
        connection.close()
