"""A portal of one's own that can be stopped and comes back at the same address."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from support.ports import free_port

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 21\r\nConnection: close\r\n\r\n<title>portal</title>"


class Portal:
    """Answers every request with a page from ``start`` to ``stop``; while it is stopped its port refuses connections."""

    def __init__(self) -> None:
        self.port = free_port()
        self._listener: socket.socket | None = None
        self._thread: threading.Thread | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self, listener: socket.socket | None = None) -> None:
        self._listener = listener or socket.create_server(("127.0.0.1", self.port))
        self._thread = threading.Thread(target=_serve, args=(self._listener,), name="portal", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        listener, self._listener = self._listener, None
        if listener is None:
            return
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        if self._thread is not None:
            self._thread.join(20)


def _serve(listener: socket.socket) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection, suppress(OSError):
            connection.settimeout(2)
            if connection.recv(4096):
                connection.sendall(_ANSWER)


@contextmanager
def portal(listener: socket.socket | None = None) -> Iterator[Portal]:
    """A portal that answers; on a listening socket that somebody made elsewhere, or on a free loopback port."""
    made = Portal()
    if listener is not None:
        made.port = int(listener.getsockname()[1])
    made.start(listener)
    try:
        yield made
    finally:
        made.stop()
