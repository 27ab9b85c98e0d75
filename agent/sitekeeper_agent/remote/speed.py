"""The speed test: a timed download of one configured file, bounded in bytes and time."""

import socket
import time
from collections.abc import Callable
from typing import NamedTuple

from sitekeeper_agent import __version__
from sitekeeper_agent.platform import Family
from sitekeeper_agent.probes import fetch, http
from sitekeeper_agent.probes.fetch import Failed
from sitekeeper_agent.probes.probe import Context, Portal, left_s, reason_of
from sitekeeper_agent.probes.reference import redirect
from sitekeeper_protocol.vocabulary import Reason

MOST_BYTES = 4 * 1024 * 1024
LONGEST_S = 15.0
LEAST_BYTES = 64 * 1024
"""Of less than this the rate says nothing: it is all slow start (RFC 5681)."""
_CHUNK = 64 * 1024
_AGENT = f"sitekeeper-agent/{__version__}"


class Speed(NamedTuple):
    """``taken_bytes`` came in all; the rate is that after the first bytes. ``stopped``: something began to play."""

    kbps: float | None
    taken_bytes: int
    took_ms: float
    first_byte_ms: float | None
    status: int | None
    reason: Reason = Reason.NONE
    stopped: bool = False


def measure(
    address: Portal,
    path: Family,
    context: Context,
    *,
    most_bytes: int,
    playing: Callable[[], bool],
    longest_s: float = LONGEST_S,
) -> Speed:
    """Download up to ``most_bytes`` for at most ``longest_s``, by the site's proxy if it has one, over up to five redirects.

    Never raises for what a server says or a line does.
    """
    deadline = time.monotonic() + longest_s
    seen: set[Portal] = set()
    spent = 0
    while True:
        answer = _ask(address, path, context, deadline, most_bytes - spent, playing)
        found = answer.speed._replace(taken_bytes=answer.speed.taken_bytes + spent)
        seen.add(address)
        if answer.onward is None:
            return found
        if answer.onward in seen or len(seen) > fetch.MAX_REDIRECTS or most_bytes - found.taken_bytes < LEAST_BYTES:
            return found._replace(reason=Reason.WRONG_CONTENT)
        address, spent = answer.onward, found.taken_bytes


class _Answer(NamedTuple):
    """What one server came to; ``onward``: it only sends to another address."""

    speed: Speed
    onward: Portal | None = None


def _ask(
    address: Portal, path: Family, context: Context, deadline: float, most_bytes: int, playing: Callable[[], bool]
) -> _Answer:
    try:
        sock = fetch.dial(address, path, context, deadline, context.proxy)[0]
    except Failed as failed:
        return _Answer(Speed(None, 0, 0.0, None, None, failed.reason))
    with sock:
        begun = time.monotonic()
        held = b""
        try:
            sock.settimeout(left_s(deadline) or 0.001)
            whole = context.proxy is not None and not address.secure
            sock.sendall(http.request(address, _AGENT, http.Span(0, most_bytes), whole=whole))
            while b"\r\n\r\n" not in held and len(held) < _CHUNK:
                sock.settimeout(left_s(deadline) or 0.001)
                part = sock.recv(4096)
                if not part:
                    return _Answer(Speed(None, len(held), 0.0, None, None, Reason.MALFORMED_REPLY))
                held += part
            first_ms = (time.monotonic() - begun) * 1000
            head = http.parse_head(held.partition(b"\r\n\r\n")[0])
        except http.BadResponse:
            return _Answer(Speed(None, len(held), 0.0, None, None, Reason.MALFORMED_REPLY))
        except OSError as err:
            return _Answer(Speed(None, len(held), 0.0, None, None, reason_of(err)))
        if head.status not in (200, 206):
            refused = Speed(None, len(held), 0.0, first_ms, head.status, _refusal(head.status))
            return _Answer(refused, redirect(address, head))
        speed = _drain(sock, len(held), most_bytes, deadline, playing)
        return _Answer(speed._replace(first_byte_ms=first_ms, status=head.status))


def _refusal(status: int) -> Reason:
    if status < 400:
        return Reason.WRONG_CONTENT
    return Reason.HTTP_SERVER_ERROR if status >= 500 else Reason.HTTP_CLIENT_ERROR


def _drain(sock: socket.socket, head: int, most: int, deadline: float, playing: Callable[[], bool]) -> Speed:
    """Take in what comes, and forget it; the rate is that of all that follows the head."""
    begun, taken = time.monotonic(), head
    reason, stopped = Reason.NONE, False
    while taken < most and (left := left_s(deadline)) > 0:
        if playing():
            stopped = True
            break
        sock.settimeout(left)
        try:
            part = sock.recv(min(_CHUNK, most - taken))
        except TimeoutError:
            break
        except OSError as err:
            reason = reason_of(err)
            break
        if not part:
            break
        taken += len(part)
    took_s = time.monotonic() - begun
    body = taken - head
    kbps = body * 8 / 1000 / took_s if body >= LEAST_BYTES and took_s > 0 else None
    return Speed(kbps, taken, took_s * 1000, None, None, reason, stopped)
