"""A two-way stream of bytes to a program on this machine: a unix socket, or on Windows a named pipe."""

import errno
import os
import select
import socket
import sys
import time
from typing import Protocol

_PART = 16 * 1024


class Closed(Exception):
    """The other side is gone."""


class Channel(Protocol):
    """What sources need of a stream; instants are of ``time.monotonic()``."""

    def send(self, data: bytes, until: float) -> None:
        """Send all of ``data``, or as much as the other side takes until then. Raises ``Closed``."""

    def receive(self, until: float) -> bytes:
        """Some bytes as soon as there are any; empty if none came until then. Raises ``Closed``."""

    def close(self) -> None:
        """Close this side."""


def open_channel(path: str) -> Channel:
    """The stream at ``path``. Raises ``OSError``, which says who is to blame: nothing there, nobody listens, no permission."""
    if sys.platform == "win32":
        return _Pipe(path)
    return _Socket(path)


class _Socket:
    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.setblocking(False)
            # A full queue of a hanging program is EAGAIN on Linux: it is there, and it does not answer.
            self._socket.connect(path)
        except BaseException:
            self._socket.close()
            raise

    def send(self, data: bytes, until: float) -> None:
        left = memoryview(data)
        while left and _ready(self._socket, until, write=True):
            try:
                left = left[self._socket.send(left) :]
            except BlockingIOError:
                continue
            except OSError as err:
                raise Closed from err

    def receive(self, until: float) -> bytes:
        while _ready(self._socket, until, write=False):
            try:
                data = self._socket.recv(_PART)
            except BlockingIOError:
                continue
            except OSError as err:
                raise Closed from err
            if not data:
                raise Closed
            return data
        return b""

    def close(self) -> None:
        self._socket.close()


def _ready(sock: socket.socket, until: float, *, write: bool) -> bool:
    # Not select(), which can't watch descriptors above 1023.
    poll = select.poll()
    poll.register(sock, select.POLLOUT if write else select.POLLIN)
    return bool(poll.poll(max(0.0, until - time.monotonic()) * 1000))


class _Pipe:
    """A named pipe of Windows, looked into before each read, for a read can't be given a deadline."""

    _LOOK_S = 0.1

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))

    def send(self, data: bytes, until: float) -> None:
        try:
            os.write(self._file, data)
        except OSError as err:
            raise Closed from err

    def receive(self, until: float) -> bytes:
        while True:
            try:
                waiting = _waiting(self._file)
                if waiting:
                    return os.read(self._file, min(waiting, _PART))
            except OSError as err:
                raise Closed from err
            left = until - time.monotonic()
            if left <= 0:
                return b""
            time.sleep(min(left, self._LOOK_S))

    def close(self) -> None:
        os.close(self._file)


def _waiting(file: int) -> int:
    """Bytes that can be read at once, by PeekNamedPipe."""
    if sys.platform == "win32":
        import _winapi
        import msvcrt

        return int(_winapi.PeekNamedPipe(msvcrt.get_osfhandle(file), 0)[0])
    raise OSError(errno.ENOSYS, "named pipes are of Windows")
