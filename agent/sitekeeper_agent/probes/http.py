"""The little of HTTP/1.1 (RFC 9112) that a probe needs, read within a bound of bytes and an instant of time."""

import errno
import socket
from typing import NamedTuple

from sitekeeper_agent.probes.probe import Portal, left_s

MAX_BYTES = 64 * 1024


class BadResponse(ValueError):
    """What the other side sent is no HTTP response."""


class Head(NamedTuple):
    """Status code and fields (names in lower case; of a repeated field the first counts)."""

    status: int
    fields: dict[str, str]


class Response(NamedTuple):
    """``complete`` is false when the deadline cut the body off."""

    head: Head
    body: bytes
    complete: bool


def request(portal: Portal, agent: str) -> bytes:
    """A GET request for one answer."""
    host = f"[{portal.host}]" if ":" in portal.host else portal.host
    if portal.port != (443 if portal.secure else 80):
        host += f":{portal.port}"
    lines = (
        f"GET {portal.target} HTTP/1.1",
        f"Host: {host}",
        f"User-Agent: {agent}",
        "Accept: */*",
        "Accept-Encoding: identity",
        "Connection: close",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii", "replace")


def read(sock: socket.socket, first: bytes, deadline: float, body_bytes: int) -> Response:
    """The response that begins with ``first``, and up to ``body_bytes`` of its body.

    Raises ``BadResponse``, and ``OSError`` when the head does not come whole.
    """
    data = first
    while True:
        while (end := data.find(b"\r\n\r\n")) < 0:
            if len(data) > MAX_BYTES:
                raise BadResponse("the head is longer than 64 KiB")
            data += _receive(sock, deadline)
        head = parse_head(data[:end])
        data = data[end + 4 :]
        if head.status >= 200 or head.status == 101:
            break
    body, complete = _body(sock, data, head, deadline, min(body_bytes, MAX_BYTES))
    return Response(head, body, complete)


def _receive(sock: socket.socket, deadline: float) -> bytes:
    """Some bytes; raises ``OSError`` at the deadline or at the end of the stream."""
    left = left_s(deadline)
    if left <= 0:
        raise TimeoutError("the deadline has passed")
    sock.settimeout(left)
    part = sock.recv(16 * 1024)
    if not part:
        raise ConnectionResetError(errno.ECONNRESET, "the other side closed the connection")
    return part


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


def _body(sock: socket.socket, data: bytes, head: Head, deadline: float, limit: int) -> tuple[bytes, bool]:
    length = head.fields.get("content-length", "")
    chunked = "chunked" in head.fields.get("transfer-encoding", "").lower()
    known = int(length) if length.isascii() and length.isdigit() and len(length) < 16 else limit
    wanted = 0 if head.status in (204, 304) else min(limit, limit if chunked else known)
    while len(data) < wanted and not (chunked and data.endswith(b"0\r\n\r\n")):
        try:
            data += _receive(sock, deadline)
        except TimeoutError:
            return data[:limit], False
        except OSError:
            break
    return data[:limit], True
