"""Does anything answer there? TCP connects to several addresses and ports at once, where ping is not allowed."""

import errno
import select
import socket
import time
from collections.abc import Iterable
from typing import NamedTuple

from sitekeeper_agent.probes.probe import address_family, left_s, reason_of, sockaddr
from sitekeeper_protocol.vocabulary import Reason

PORTS = (443, 80, 53)
_IN_PROGRESS = {0, errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", 0)}


class Answer(NamedTuple):
    """``rtt_ms`` is ``None`` where nobody answered, for ``reason``; ``port`` is the one that answered."""

    rtt_ms: float | None = None
    reason: Reason = Reason.TIMEOUT
    port: int = 0


def answers(addresses: Iterable[str], deadline: float, ports: Iterable[int] = PORTS) -> dict[str, Answer]:
    """Connect to each address on each port; the first connection or refusal is an answer: somebody is there."""
    result: dict[str, Answer] = {}
    waiting: dict[socket.socket, tuple[str, int, float]] = {}
    try:
        for address in dict.fromkeys(addresses):
            result[address] = Answer()
            for port in ports:
                _start(address, port, waiting, result)
        while waiting and (left := left_s(deadline)) > 0:
            # Windows reports a refusal as an exceptional condition, everybody else as writable.
            _, writable, failed = select.select([], list(waiting), list(waiting), left)
            for sock in set(writable) | set(failed):
                _finish(sock, waiting, result)
    finally:
        for sock in waiting:
            sock.close()
    return result


def _start(address: str, port: int, waiting: dict[socket.socket, tuple[str, int, float]], result: dict[str, Answer]) -> None:
    begun = time.monotonic()
    try:
        sock = socket.socket(address_family(address), socket.SOCK_STREAM)
    except OSError as err:
        result[address] = Answer(None, reason_of(err))
        return
    try:
        sock.setblocking(False)
        code = sock.connect_ex(sockaddr(address, port))
    except OSError as err:
        code = err.errno or errno.EINVAL
    if code in _IN_PROGRESS:
        waiting[sock] = address, port, begun
        return
    sock.close()
    _note(address, port, code, begun, result)


def _finish(sock: socket.socket, waiting: dict[socket.socket, tuple[str, int, float]], result: dict[str, Answer]) -> None:
    if sock not in waiting:
        return
    address, port, begun = waiting.pop(sock)
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    sock.close()
    _note(address, port, code, begun, result)
    if result[address].rtt_ms is not None:
        for other in [s for s, (a, _, _) in waiting.items() if a == address]:
            del waiting[other]
            other.close()


def _note(address: str, port: int, code: int, begun: float, result: dict[str, Answer]) -> None:
    if result[address].rtt_ms is not None:
        return
    if code in (0, errno.ECONNREFUSED, errno.ECONNRESET):
        result[address] = Answer((time.monotonic() - begun) * 1000, Reason.NONE, port)
    else:
        result[address] = Answer(None, reason_of(OSError(code, "")))
