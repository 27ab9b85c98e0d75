"""Real web servers on loopback whose behaviour a test chooses, good, broken and hostile."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Behaviour = Callable[[socket.socket], None]


@contextmanager
def serve(behave: Behaviour, *, tls: ssl.SSLContext | None = None, address: str = "127.0.0.1") -> Iterator[int]:
    """Run ``behave`` on each connection, in a thread of its own; yields the port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.create_server((address, 0), family=family)
    accepted: list[socket.socket] = []
    threading.Thread(target=_accept, args=(listener, behave, tls, accepted), daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        # Without the shutdown the thread would go on accepting a connection that is already on its way.
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in accepted:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


def _accept(listener: socket.socket, behave: Behaviour, tls: ssl.SSLContext | None, accepted: list[socket.socket]) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        accepted.append(connection)
        threading.Thread(target=_one, args=(connection, behave, tls, accepted), daemon=True).start()


def _one(connection: socket.socket, behave: Behaviour, tls: ssl.SSLContext | None, accepted: list[socket.socket]) -> None:
    with suppress(OSError):
        if tls is not None:
            connection = tls.wrap_socket(connection, server_side=True)
            accepted.append(connection)
        behave(connection)
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def request_of(connection: socket.socket) -> bytes:
    """The head of the request that comes in."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(4096)
        if not part:
            break
        data += part
    return data


def answering(status: str, body: bytes = b"hello", *fields: str) -> Behaviour:
    """A server that gives every request the same answer."""
    head = "\r\n".join((f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields))

    def behave(connection: socket.socket) -> None:
        request_of(connection)
        connection.sendall(head.encode() + b"\r\n\r\n" + body)

    return behave


def raw(data: bytes) -> Behaviour:
    """A server that answers with these bytes, whatever they are."""

    def behave(connection: socket.socket) -> None:
        request_of(connection)
        connection.sendall(data)

    return behave


def dripping(start: bytes, drip: bytes) -> Behaviour:
    """A server that says ``start`` and then a little more, again and again, for ever."""

    def behave(connection: socket.socket) -> None:
        request_of(connection)
        connection.sendall(start)
        pause = threading.Event()
        while not pause.wait(0.05):
            connection.sendall(drip)

    return behave
