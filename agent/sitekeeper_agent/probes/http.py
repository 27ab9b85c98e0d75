"""The little of HTTP/1.1 (RFC 9112) that a probe needs, read within a bound of bytes and an instant of time."""

import errno
import re
import socket
from typing import NamedTuple

from sitekeeper_agent.probes.probe import Portal, left_s

MAX_BYTES = 64 * 1024
_HEX = re.compile(rb"[0-9A-Fa-f]{1,12}")


class BadResponse(ValueError):
    """What the other side sent is no HTTP response."""


class Head(NamedTuple):
    """Status code and fields (names in lower case; of a repeated field the first counts)."""

    status: int
    fields: dict[str, str]


class Span(NamedTuple):
    """A part of a resource: ``length`` bytes from ``first`` on."""

    first: int
    length: int


class Response(NamedTuple):
    """``body`` is free of the framing of chunks.

    ``complete`` is false when the deadline cut the body off, and ``sound`` when it ended before its announced end or its
    chunks made no sense.
    """

    head: Head
    body: bytes
    complete: bool
    sound: bool = True


def request(
    portal: Portal, agent: str, span: Span | None = None, fields: tuple[str, ...] = (), *, whole: bool = False
) -> bytes:
    """A GET request for one answer; with ``span``, for that part of it (RFC 9110, section 14.2), which a server may ignore.

    ``fields`` are more lines of its head; ``whole`` names the whole address in it, as a proxy wants it (section 7.1).
    """
    host = _authority(portal, always=False)
    target = f"{portal.scheme}://{host}{portal.target}" if whole else portal.target
    lines = (
        f"GET {target} HTTP/1.1",
        f"Host: {host}",
        f"User-Agent: {agent}",
        "Accept: */*",
        "Accept-Encoding: identity",
        *((f"Range: bytes={span.first}-{span.first + span.length - 1}",) if span else ()),
        *fields,
        "Connection: close",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii", "replace")


def connect(portal: Portal, agent: str) -> bytes:
    """What asks a proxy for a connection to the portal (RFC 9110, section 9.3.6)."""
    host = _authority(portal, always=True)
    return f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\n\r\n".encode("ascii", "replace")


def _authority(portal: Portal, *, always: bool) -> str:
    """Host, and the port where it is not the scheme's own, or ``always``."""
    host = f"[{portal.host}]" if ":" in portal.host else portal.host
    return f"{host}:{portal.port}" if always or portal.port != (443 if portal.secure else 80) else host


class _Stream:
    """What comes in on a connection until ``deadline``, and has not been taken yet."""

    def __init__(self, sock: socket.socket, first: bytes, deadline: float, most: int = 16 * 1024) -> None:
        self._sock, self._deadline, self._most = sock, deadline, most
        self._held = bytearray(first)

    def _receive(self) -> None:
        """Hold more; raises ``OSError`` at the deadline or at the end of the stream."""
        left = left_s(self._deadline)
        if left <= 0:
            raise TimeoutError("the deadline has passed")
        self._sock.settimeout(left)
        part = self._sock.recv(self._most)
        if not part:
            raise ConnectionResetError(errno.ECONNRESET, "the other side closed the connection")
        self._held += part

    def until(self, mark: bytes, most: int) -> bytes:
        """What stands before ``mark``, which is taken, too. Raises ``BadResponse`` if that is more than ``most`` bytes."""
        looked = 0
        while (end := self._held.find(mark, looked)) < 0:
            if len(self._held) > most:
                raise BadResponse(f"more than {most} bytes without an end")
            looked = max(0, len(self._held) - len(mark) + 1)
            self._receive()
        data = bytes(self._held[:end])
        del self._held[: end + len(mark)]
        return data

    def some(self, most: int) -> bytes:
        """At least one byte and at most ``most``."""
        if not self._held:
            self._receive()
        data = bytes(self._held[:most])
        del self._held[:most]
        return data


def read(sock: socket.socket, first: bytes, deadline: float, body_bytes: int) -> Response:
    """The response that begins with ``first``, and up to ``body_bytes`` (64 KiB at most) of its body.

    Raises ``BadResponse``, and ``OSError`` when the head does not come whole.
    """
    stream = _Stream(sock, first, deadline)
    while True:
        head = parse_head(stream.until(b"\r\n\r\n", MAX_BYTES))
        if head.status >= 200 or head.status == 101:
            break
    body = bytearray()
    complete = sound = True
    try:
        _read_body(stream, head, body, min(body_bytes, MAX_BYTES))
    except TimeoutError:
        complete = False
    except (OSError, BadResponse):
        sound = "content-length" not in head.fields and not _chunked(head)
    return Response(head, bytes(body), complete, sound)


def read_head(sock: socket.socket, deadline: float) -> Head:
    """The head alone, and not a byte of what follows it, which is the tunnel's. Raises as ``read`` does."""
    stream = _Stream(sock, b"", deadline, most=1)
    return parse_head(stream.until(b"\r\n\r\n", MAX_BYTES))


def parse_head(data: bytes) -> Head:
    """Status line and fields of a response. Raises ``BadResponse``."""
    start, *lines = data.split(b"\r\n")
    version, _, rest = start.partition(b" ")
    code = rest[:3]
    if not version.startswith(b"HTTP/1.") or not code.isdigit() or rest[3:4] not in (b"", b" ") or not 100 <= int(code) <= 999:
        raise BadResponse("no HTTP status line")
    fields: dict[str, str] = {}
    for line in lines[:200]:
        name, colon, value = line.partition(b":")
        if colon:
            fields.setdefault(name.decode("latin-1").strip().lower(), value.decode("latin-1").strip())
    return Head(int(code), fields)


def _chunked(head: Head) -> bool:
    return "chunked" in head.fields.get("transfer-encoding", "").lower()


def _read_body(stream: _Stream, head: Head, body: bytearray, limit: int) -> None:
    """Add to ``body`` until it is whole or has ``limit`` bytes. Raises ``OSError`` or ``BadResponse`` when it ends before."""
    if head.status in (204, 304):
        return
    if _chunked(head):
        _read_chunks(stream, body, limit)
        return
    length = head.fields.get("content-length", "")
    known = int(length) if length.isascii() and length.isdigit() and len(length) < 16 else limit
    while len(body) < min(limit, known):
        body += stream.some(min(limit, known) - len(body))


def _read_chunks(stream: _Stream, body: bytearray, limit: int) -> None:
    """The chunks of RFC 9112, section 7.1; the trailer is left unread."""
    while len(body) < limit:
        size = stream.until(b"\r\n", 1024).partition(b";")[0].strip()
        if not _HEX.fullmatch(size):
            raise BadResponse("no size of a chunk")
        left = int(size, 16)
        if not left:
            return
        while left and len(body) < limit:
            part = stream.some(min(left, limit - len(body)))
            body += part
            left -= len(part)
        if not left and len(body) < limit and stream.until(b"\r\n", 2):
            raise BadResponse("a chunk is longer than its size")
