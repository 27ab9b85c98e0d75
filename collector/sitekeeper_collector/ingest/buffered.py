"""paho's client with buffers between it and its socket.

paho asks the system for a packet in three or more calls and sends each acknowledgement with one: of a message of 200 bytes
these calls are most of what it costs. Here one call reads what has come, and one sends what a whole batch has to say.
"""

import ssl
from contextlib import suppress
from socket import socket
from typing import cast

from paho.mqtt.client import Client

_READ_BYTES = 128 * 1024
_SEND_AT_BYTES = 64 * 1024
_MOST_UNSENT_BYTES = 1024 * 1024
_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class BufferedSocket:
    """A non-blocking socket that reads ahead, and sends when it is told to or much is waiting.

    Raises what the socket raises; ``BlockingIOError`` where nothing can be read, or too much waits to be sent.
    """

    def __init__(self, connected: socket) -> None:
        self._socket = connected
        self._read = memoryview(b"")
        self._unsent = bytearray()

    def recv(self, size: int) -> bytes:
        """At most ``size`` bytes; none at the end of the connection."""
        if not self._read:
            self._read = memoryview(self._socket.recv(_READ_BYTES))
        taken = bytes(self._read[:size])
        self._read = self._read[size:]
        return taken

    def send(self, data: bytes | bytearray) -> int:
        """Take all of ``data``; it goes out with the next ``flush`` at the latest."""
        if len(self._unsent) >= _SEND_AT_BYTES:
            self.flush()
            if len(self._unsent) >= _MOST_UNSENT_BYTES:
                raise BlockingIOError
        self._unsent += data
        return len(data)

    def flush(self) -> None:
        """Send what the socket takes now."""
        while self._unsent:
            try:
                sent = self._socket.send(self._unsent)
            except _WOULD_BLOCK:
                return
            del self._unsent[:sent]

    @property
    def unsent(self) -> int:
        """Bytes that wait to be sent."""
        return len(self._unsent)

    def pending(self) -> int:
        """Bytes that can be read although the system says nothing of them."""
        behind = self._socket.pending() if isinstance(self._socket, ssl.SSLSocket) else 0
        return len(self._read) + behind

    def fileno(self) -> int:
        """The system's number of the socket, -1 when it is closed."""
        return self._socket.fileno()

    def setblocking(self, flag: bool) -> None:
        """As ``socket.setblocking``."""
        self._socket.setblocking(flag)

    def close(self) -> None:
        """Send what can be sent, and close."""
        with suppress(OSError):  # the other side may be gone
            self.flush()
        self._socket.close()


class BufferedClient(Client):
    """A client that is driven by its owner: ``loop_read``, ``loop_write`` and ``loop_misc``, and ``flush`` after them."""

    buffered: BufferedSocket | None = None

    def _create_socket(self) -> BufferedSocket:  # where paho itself puts its WebSocket in between
        self.buffered = BufferedSocket(cast(socket, super()._create_socket()))
        return self.buffered
