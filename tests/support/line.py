"""A telecom line on loopback: a TCP relay that can be cut, go silent, and be repaired; it counts what crosses it."""

import contextlib
import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from support.ports import free_port

_BLOCK = 65536


class Line:
    """A relay from its own ``port`` to ``target``. Blocks are forwarded in order by one thread."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self.bytes_up = 0
        self.bytes_down = 0
        self._target = target
        self._whole = True
        self._silent = False
        self._pairs: dict[socket.socket, tuple[socket.socket, bool]] = {}
        self._lock = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._relay, name=f"line-{self.port}", daemon=True)

    def cut(self) -> None:
        """Break every connection, and every new one at once."""
        with self._lock:
            self._whole = False
            for end in list(self._pairs):
                self._drop(end)

    def fall_silent(self) -> None:
        """Keep connections open but let nothing through, as a dead line does."""
        with self._lock:
            self._silent = True

    def repair(self) -> None:
        """Let everything through again; connections that fell silent are broken first, since bytes were lost on them."""
        with self._lock:
            if self._silent:
                for end in list(self._pairs):
                    self._drop(end)
            self._whole, self._silent = True, False

    def close(self) -> None:
        """Break everything and stop."""
        self._closing.set()
        self._thread.join(timeout=10)
        self.cut()
        self._selector.close()
        self._listener.close()

    def _relay(self) -> None:
        while not self._closing.is_set():
            for key, _ in self._selector.select(timeout=0.05):
                with self._lock:
                    if key.fileobj is self._listener:
                        self._accept()
                    elif isinstance(key.fileobj, socket.socket):
                        self._forward(key.fileobj)

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        if not self._whole:
            near.close()
            return
        try:
            far = socket.create_connection(("127.0.0.1", self._target), timeout=5)
        except OSError:
            near.close()
            return
        for end, other, upward in ((near, far, True), (far, near, False)):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._pairs[end] = (other, upward)
            self._selector.register(end, selectors.EVENT_READ)

    def _forward(self, end: socket.socket) -> None:
        if end not in self._pairs:
            return
        other, upward = self._pairs[end]
        try:
            block = end.recv(_BLOCK)
            if block and not self._silent:
                other.sendall(block)
        except OSError:
            block = b""
        if not block:
            self._drop(end)
        elif upward:
            self.bytes_up += len(block)
        else:
            self.bytes_down += len(block)

    def _drop(self, end: socket.socket) -> None:
        other, _ = self._pairs.pop(end, (None, False))
        for half in (end, other):
            if half is None:
                continue
            self._pairs.pop(half, None)
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(half)
            half.close()


@contextmanager
def line_to(target: int) -> Iterator[Line]:
    """A line to a loopback port, gone when the block ends."""
    line = Line(target)
    line._thread.start()
    try:
        yield line
    finally:
        line.close()
