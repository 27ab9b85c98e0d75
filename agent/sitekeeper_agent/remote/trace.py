"""The way to a host, hop by hop: datagrams that live for 1, 2, 3 ... hops, and who says where each ended.

No privilege is needed on Linux: with IP_RECVERR the kernel hands the ICMP error to the socket that caused it (ip(7), recvmsg(2)
under MSG_ERRQUEUE). Each hop is asked by UDP first and, if it says nothing and the system lets us, by an ICMP echo: some
routers answer one, some the other.
"""

import os
import select
import socket
import struct
import time
from typing import NamedTuple

from sitekeeper_agent.probes.icmp import checksum
from sitekeeper_agent.probes.probe import address_family, left_s, sockaddr

MOST_HOPS, SILENT_HOPS = 20, 5
LONGEST_S = 40.0
_WAIT_S = 1.0
_FIRST_PORT = 33434
"""Where traceroute(8) begins: ports at which nothing listens."""
# ip(7) and ipv6(7); the socket module names none of them.
_IP_RECVERR, _IPV6_RECVERR = 11, 25
_MSG_ERRQUEUE = 0x2000
# include/uapi/linux/errqueue.h: errno, origin, type, code, pad, info, data
_EXTENDED_ERROR = struct.Struct("=IBBBBII")
_EXCEEDED, _UNREACHABLE = ((2, 11), (3, 3)), ((2, 3), (3, 1))
"""(origin, ICMP type) of either family (RFC 792, RFC 4443)."""
_PORT_CODES = ((2, 3), (3, 4))
"""(origin, code) of "port unreachable", which only the destination itself says."""


class Hop(NamedTuple):
    """Who answered at a hop ("": nobody), after how long, and whether the way ends there.

    ``reached``: it was the destination; ``blocked``: a router that says that there is no way on.
    """

    address: str = ""
    rtt_ms: float | None = None
    reached: bool = False
    blocked: bool = False


class TraceUnsupported(Exception):
    """This system tells no errors to the socket that caused them."""


def trace(destination: str, *, most: int = MOST_HOPS, longest_s: float = LONGEST_S) -> list[Hop]:
    """The hops to a numeric address, up to it, to a dead end, or to five in a row that say nothing.

    Raises ``TraceUnsupported``, and ``OSError`` for an address that nothing can be sent to from here.
    """
    if not hasattr(socket.socket, "recvmsg") or os.name == "nt":
        raise TraceUnsupported("a trace needs Linux")
    deadline = time.monotonic() + longest_s
    hops: list[Hop] = []
    while len(hops) < most and left_s(deadline) > 0:
        hops.append(_hop(destination, len(hops) + 1, deadline))
        if hops[-1].reached or hops[-1].blocked:
            break
        if len(hops) >= SILENT_HOPS and not any(hop.address for hop in hops[-SILENT_HOPS:]):
            break
    return hops


def _hop(destination: str, number: int, deadline: float) -> Hop:
    hop = _by_udp(destination, number, min(deadline, time.monotonic() + _WAIT_S))
    if hop.address or left_s(deadline) <= 0:
        return hop
    return _by_echo(destination, number, min(deadline, time.monotonic() + _WAIT_S))


def _prepared(sock: socket.socket, six: bool, number: int) -> None:
    sock.setblocking(False)
    if six:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, number)
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, number)


def _by_udp(destination: str, number: int, until: float) -> Hop:
    family = address_family(destination)
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        _prepared(sock, family == socket.AF_INET6, number)
        begun = time.monotonic()
        sock.sendto(b"\0" * 8, sockaddr(destination, _FIRST_PORT + number))
        return _answer(sock, destination, begun, until)


def _by_echo(destination: str, number: int, until: float) -> Hop:
    family = address_family(destination)
    six = family == socket.AF_INET6
    try:
        sock = socket.socket(family, socket.SOCK_DGRAM, socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP)
    except OSError:
        return Hop()  # the system lets us send no echo (net.ipv4.ping_group_range)
    with sock:
        _prepared(sock, six, number)
        head = struct.pack("!BBHHH", 128 if six else 8, 0, 0, 0, number)
        token = os.urandom(16)
        packet = head[:2] + struct.pack("!H", checksum(head + token)) + head[4:] + token
        begun = time.monotonic()
        sock.sendto(packet, sockaddr(destination))
        return _answer(sock, destination, begun, until)


def _answer(sock: socket.socket, destination: str, begun: float, until: float) -> Hop:
    """What comes back to ``sock`` until ``until``: an error of a router, or an answer of the destination."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    while (left := left_s(until)) > 0:
        events = poll.poll(left * 1000)
        if not events:
            return Hop()
        rtt_ms = (time.monotonic() - begun) * 1000
        try:
            if events[0][1] & select.POLLERR:
                _, ancillary, _, _ = sock.recvmsg(512, 512, _MSG_ERRQUEUE)
                for _, _, data in ancillary:
                    if hop := told(data):
                        return hop._replace(rtt_ms=rtt_ms)
            else:
                _, sender = sock.recvfrom(512)
                if sender[0].partition("%")[0] == destination.partition("%")[0]:
                    return Hop(destination, rtt_ms, reached=True)
        except OSError:
            continue  # the error itself comes up once as the socket's own; the queue has more to say
    return Hop()


def told(data: bytes) -> Hop | None:
    """What a ``sock_extended_err`` with its address says, without a time; ``None`` if it is no word about the way."""
    if len(data) < _EXTENDED_ERROR.size + 8:
        return None
    _, origin, kind, code, _, _, _ = _EXTENDED_ERROR.unpack_from(data)
    offender = data[_EXTENDED_ERROR.size :]
    if (origin, kind) not in _EXCEEDED + _UNREACHABLE or (origin == 3 and len(offender) < 24):
        return None
    address = socket.inet_ntop(socket.AF_INET6, offender[8:24]) if origin == 3 else socket.inet_ntoa(offender[4:8])
    if (origin, kind) in _EXCEEDED:
        return Hop(address)
    reached = (origin, code) in _PORT_CODES
    return Hop(address, reached=reached, blocked=not reached)
