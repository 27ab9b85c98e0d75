"""Who stands at the second hop: a datagram that lives for two hops, and the router that says where it ended.

On Linux no privilege is needed: with IP_RECVERR the kernel hands the ICMP error to the socket that caused it (ip(7), recvmsg(2)
under MSG_ERRQUEUE). Elsewhere the system's ``ping`` with a small TTL tells the same in words.
"""

import errno
import os
import re
import select
import socket
import struct
import time
from typing import NamedTuple

from sitekeeper_agent.probes.probe import address_family, family_of, left_s, reason_of, sockaddr
from sitekeeper_protocol.vocabulary import Method, Reason

HOPS = 2
_TRIES = 3
_WAIT_S = 1.0
_FIRST_PORT = 33434
"""Where traceroute(8) begins: ports at which nothing listens."""
# ip(7) and ipv6(7); the socket module names none of them.
_IP_RECVERR, _IPV6_RECVERR = 11, 25
_MSG_ERRQUEUE = 0x2000
_ORIGIN_ICMP, _ORIGIN_ICMP6 = 2, 3
# include/uapi/linux/errqueue.h: errno, origin, type, code, pad, info, data
_EXTENDED_ERROR = struct.Struct("=IBBBBII")


class Hop(NamedTuple):
    """The router at that hop; ``address`` is "" where nobody told, for ``reason``.

    ``exceeded`` is false where it said "unreachable": a router whose own line is gone does so, but so may one before it.
    """

    address: str = ""
    rtt_ms: float | None = None
    method: Method = Method.NONE
    reason: Reason = Reason.TIMEOUT
    exceeded: bool = True


def ask(destination: str, deadline: float, hops: int = HOPS) -> Hop:
    """Send up to three datagrams towards ``destination`` that end after ``hops`` hops."""
    if not hasattr(socket.socket, "recvmsg"):
        return _by_ping(destination, deadline, hops)
    return _by_error_queue(destination, deadline, hops)


def _by_error_queue(destination: str, deadline: float, hops: int) -> Hop:
    family = address_family(destination)
    six = family == socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            if six:
                sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, hops)
            else:
                sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, hops)
            for at in range(_TRIES):
                if left_s(deadline) <= 0:
                    break
                begun = time.monotonic()
                _send(sock, destination, _FIRST_PORT + at)
                until = min(deadline, begun + _WAIT_S)
                address, exceeded = _first_teller(sock, six, until)
                if address:
                    return Hop(address, (time.monotonic() - begun) * 1000, Method.HOP_LIMIT, Reason.NONE, exceeded)
    except OSError as err:
        return Hop(method=Method.HOP_LIMIT, reason=reason_of(err))
    return Hop(method=Method.HOP_LIMIT)


def _send(sock: socket.socket, destination: str, port: int) -> None:
    """Send one datagram; an error that an earlier one has left on the socket comes up here, and is none of this one."""
    for _ in range(_TRIES):
        try:
            sock.sendto(b"\0" * 8, sockaddr(destination, port))
        except (ConnectionRefusedError, TimeoutError):
            continue
        except OSError as err:
            if err.errno != errno.EHOSTUNREACH:  # what a "time exceeded" leaves behind
                raise
            continue
        return


def _first_teller(sock: socket.socket, six: bool, until: float) -> tuple[str, bool]:
    """The router that tells of the datagram's end, until ``until`` ("" if nobody does), and whether its hops were used up."""
    poll = select.poll()
    poll.register(sock, 0)  # POLLERR needs no asking for
    while (left := left_s(until)) > 0:
        if not poll.poll(left * 1000):
            break
        try:
            _, ancillary, _, _ = sock.recvmsg(512, 512, _MSG_ERRQUEUE)
        except OSError:
            break
        for _, _, data in ancillary:
            address, exceeded = teller(data, six)
            if address:
                return address, exceeded
    return "", True


def teller(data: bytes, six: bool) -> tuple[str, bool]:
    """Who sent the ICMP error of a ``sock_extended_err`` ("": nobody whose word counts), and if it says "time exceeded"."""
    if len(data) < _EXTENDED_ERROR.size + (24 if six else 8):
        return "", True
    _, origin, kind, _, _, _, _ = _EXTENDED_ERROR.unpack_from(data)
    # Time exceeded and unreachable, RFC 792 and RFC 4443.
    exceeded = (origin, kind) in ((_ORIGIN_ICMP, 11), (_ORIGIN_ICMP6, 3))
    if not exceeded and (origin, kind) not in ((_ORIGIN_ICMP, 3), (_ORIGIN_ICMP6, 1)):
        return "", True
    offender = data[_EXTENDED_ERROR.size :]
    address = socket.inet_ntop(socket.AF_INET6, offender[8:24]) if six else socket.inet_ntoa(offender[4:8])
    return address, exceeded


def _by_ping(destination: str, deadline: float, hops: int) -> Hop:
    import subprocess

    if (left := left_s(deadline)) <= 0:
        return Hop()
    command = ["ping", "-n", "2", "-w", "1000", "-i", str(hops), destination]
    begun = time.monotonic()
    try:
        done = subprocess.run(command, capture_output=True, timeout=left, check=False, env={**os.environ, "LC_ALL": "C"})
    except FileNotFoundError:
        return Hop(reason=Reason.NO_PERMISSION)
    except (OSError, subprocess.SubprocessError):
        return Hop(method=Method.PING_PROGRAM)
    address = parse_ping(done.stdout, destination)
    took_ms = (time.monotonic() - begun) * 1000
    return Hop(address, took_ms, Method.PING_PROGRAM, Reason.NONE) if address else Hop(method=Method.PING_PROGRAM)


_TOKEN = re.compile(r"[0-9A-Fa-f:.]{3,45}")
_ENDED = ("ttl expired", "ttl 传输中过期", "time to live exceeded", "time exceeded", "hop limit")


def parse_ping(output: bytes, destination: str) -> str:
    """The router that `ping` names as the one at which its request ended; Windows in English and Chinese (GBK), iputils."""
    try:
        text = output.decode("utf-8")
    except UnicodeDecodeError:
        text = output.decode("gbk", "replace")
    for line in text.splitlines():
        if any(mark in line.lower() for mark in _ENDED):
            for token in _TOKEN.findall(line):
                address = str(token).rstrip(":.")
                if family_of(address) and address != destination:
                    return address
    return ""
