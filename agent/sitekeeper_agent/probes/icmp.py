"""ICMP echo (RFC 792, RFC 4443) without privileges where the system allows it: ping socket, raw socket, `ping` program."""

import os
import re
import select
import socket
import struct
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sitekeeper_agent.probes.probe import address_family, left_s, reason_of, sockaddr
from sitekeeper_protocol.vocabulary import Method, Reason

_SPACING_S = 0.2
_LINGER_S = 1.5
_TOKEN_BYTES = 16


class Echoes(NamedTuple):
    """How one address answered. ``rtt_ms`` is the mean of the answers; ``method`` NONE: nothing here may send an echo."""

    sent: int = 0
    received: int = 0
    rtt_ms: float | None = None
    method: Method = Method.NONE
    reason: Reason = Reason.TIMEOUT
    rtts_ms: tuple[float, ...] = ()
    """Each answer's time; empty where only the mean is known."""

    @property
    def loss_ratio(self) -> float | None:
        return 1 - self.received / self.sent if self.sent else None


def echo(addresses: Iterable[str], count: int, deadline: float) -> dict[str, Echoes]:
    """Send ``count`` echo requests to each address, all at once, and wait at most 1.5 s for the last answers."""
    result: dict[str, Echoes] = {}
    wanted = list(dict.fromkeys(addresses))
    for family in (socket.AF_INET, socket.AF_INET6):
        some = [a for a in wanted if address_family(a) == family]
        if some:
            result.update(_echo_family(family, some, count, deadline))
    return result


def _echo_family(family: socket.AddressFamily, addresses: Sequence[str], count: int, deadline: float) -> dict[str, Echoes]:
    for kind, method in ((socket.SOCK_DGRAM, Method.PING_SOCKET), (socket.SOCK_RAW, Method.RAW_SOCKET)):
        protocol = socket.IPPROTO_ICMP if family == socket.AF_INET else socket.IPPROTO_ICMPV6
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError:
            continue  # not permitted or not supported: the next way
        with sock:
            return _Exchange(sock, family, method, addresses).run(count, deadline)
    return {a: _ping_program(a, count, deadline) for a in addresses}


class _Exchange:
    """The requests of one socket that wait for their answers."""

    def __init__(self, sock: socket.socket, family: socket.AddressFamily, method: Method, addresses: Sequence[str]) -> None:
        self.sock, self.family, self.method, self.addresses = sock, family, method, addresses
        self.id = int.from_bytes(os.urandom(2), "big")
        # The kernel answers to nobody but us on a ping socket; on a raw one every program's answers arrive.
        self.token = os.urandom(_TOKEN_BYTES)
        self.sent_at: dict[int, tuple[str, float]] = {}
        self.rtts: dict[str, list[float]] = {a: [] for a in addresses}
        self.failed: dict[str, Reason] = {}
        self.sent: dict[str, int] = dict.fromkeys(addresses, 0)

    def run(self, count: int, deadline: float) -> dict[str, Echoes]:
        self.sock.setblocking(False)
        for at in range(count):
            for place, address in enumerate(self.addresses):
                self._send(address, at * len(self.addresses) + place)
            # What can't be answered in time is not sent: the line would be blamed for a loss.
            last = at == count - 1 or left_s(deadline) < 2 * _SPACING_S
            self._receive(min(deadline, time.monotonic() + (_LINGER_S if last else _SPACING_S)), early=last)
            if last:
                break
        return {a: self._echoes(a) for a in self.addresses}

    def _send(self, address: str, sequence: int) -> None:
        kind = 8 if self.family == socket.AF_INET else 128
        packet = _packet(kind, self.id, sequence, self.token)
        self.sent[address] += 1
        try:
            self.sock.sendto(packet, sockaddr(address))
        except OSError as err:
            self.failed[address] = reason_of(err)
            return
        self.sent_at[sequence] = address, time.monotonic()

    def _receive(self, until: float, early: bool) -> None:
        """Take answers until ``until``; with ``early``, no longer than something is outstanding."""
        while (self.sent_at or not early) and (left := left_s(until)) > 0:
            if not select.select([self.sock], [], [], left)[0]:
                return
            now = time.monotonic()
            try:
                data, sender = self.sock.recvfrom(2048)
            except OSError:
                continue  # an ICMP error of the network: it stays unanswered
            sequence = self._sequence(data)
            if sequence in self.sent_at:
                address, at = self.sent_at[sequence]
                if sender[0].partition("%")[0] == sockaddr(address)[0]:
                    del self.sent_at[sequence]
                    self.rtts[address].append((now - at) * 1000)

    def _sequence(self, data: bytes) -> int:
        """The sequence number of an answer to one of our requests, else -1."""
        if self.method == Method.RAW_SOCKET and self.family == socket.AF_INET and data:
            data = data[(data[0] & 15) * 4 :]
        if len(data) < 8 + _TOKEN_BYTES or data[8 : 8 + _TOKEN_BYTES] != self.token:
            return -1
        kind, code, number = data[0], data[1], int.from_bytes(data[4:6], "big")
        # A ping socket's id is its port, which the kernel has checked.
        ours = number == self.id or self.method == Method.PING_SOCKET
        return (
            int.from_bytes(data[6:8], "big")
            if ours and code == 0 and kind == (0 if self.family == socket.AF_INET else 129)
            else -1
        )

    def _echoes(self, address: str) -> Echoes:
        rtts = self.rtts[address]
        if not rtts:
            return Echoes(self.sent[address], 0, None, self.method, self.failed.get(address, Reason.TIMEOUT))
        return Echoes(self.sent[address], len(rtts), sum(rtts) / len(rtts), self.method, Reason.NONE, tuple(rtts))


def _packet(kind: int, number: int, sequence: int, token: bytes) -> bytes:
    head = struct.pack("!BBHHH", kind, 0, 0, number, sequence)
    # The kernel fills in the checksum of ICMPv6 and of ping sockets; a raw IPv4 socket sends what it is given.
    return struct.pack("!BBHHH", kind, 0, checksum(head + token), number, sequence) + token


def checksum(data: bytes) -> int:
    """The Internet checksum of RFC 1071."""
    total = sum(data[0::2]) * 256 + sum(data[1::2])
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _ping_program(address: str, count: int, deadline: float) -> Echoes:
    """Ask the system's own `ping`, which carries the privilege that this process lacks."""
    import subprocess

    if (left := left_s(deadline)) <= 0:
        return Echoes()
    if os.name == "nt":
        command = ["ping", "-n", str(count), "-w", "1000", address]
    else:
        command = ["ping", "-n", "-q", "-c", str(count), "-i", "0.2", "-W", "1", "--", address]
    try:
        done = subprocess.run(command, capture_output=True, timeout=left, check=False, env={**os.environ, "LC_ALL": "C"})
    except FileNotFoundError:
        return Echoes(reason=Reason.NO_PERMISSION)
    except (OSError, subprocess.SubprocessError):
        return Echoes(count, 0, None, Method.PING_PROGRAM, Reason.TIMEOUT)
    return parse_ping(done.stdout.decode("utf-8", "replace"), done.returncode, count)


_RECEIVED = re.compile(r"(\d{1,6}) (?:packets )?received")
_RTT = re.compile(r" = [\d.]+/(\d+(?:\.\d+)?)/")


def parse_ping(text: str, code: int, count: int) -> Echoes:
    """The findings of `ping`: iputils and busybox sum up, Windows writes a line for each answer."""
    total, mean = _RECEIVED.search(text), _RTT.search(text)
    received = min(int(total[1]) if total else text.count("TTL="), count)
    if total is None and not received and (code > 1 or "ermission" in text or "not permitted" in text):
        return Echoes(reason=Reason.NO_PERMISSION)
    reason = Reason.NONE if received else Reason.TIMEOUT
    return Echoes(count, received, float(mean[1]) if mean else None, Method.PING_PROGRAM, reason)
