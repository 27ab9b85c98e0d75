"""Echo requests: the packets, the checks on what comes back, and the `ping` program's words."""

import os
import socket
import time

import pytest

from sitekeeper_agent.probes.icmp import Echoes, _Exchange, _packet, checksum, echo, parse_ping
from sitekeeper_protocol.vocabulary import Method, Reason


def test_the_checksum_is_that_of_rfc_1071() -> None:
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0x220D
    assert checksum(b"\x01") == 0xFEFF
    packet = _packet(8, 7, 1, b"0123456789abcdef")
    assert checksum(packet) == 0, "a packet with its checksum sums up to nothing"


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_loopback_answers_or_says_that_nobody_may_ask(address: str) -> None:
    found = echo([address], 2, time.monotonic() + 20)[address]
    if found.method == Method.NONE:
        assert found.reason is Reason.NO_PERMISSION and os.getuid() != 0
        return
    assert (found.sent, found.received, found.loss_ratio, found.reason) == (2, 2, 0.0, Reason.NONE)
    assert found.rtt_ms is not None and found.rtt_ms >= 0


def test_what_there_is_no_time_to_hear_is_not_sent_and_so_not_lost() -> None:
    found = echo(["127.0.0.1"], 8, time.monotonic() + 0.5)["127.0.0.1"]
    assert found.method == Method.NONE or (0 < found.sent < 8 and found.loss_ratio == 0.0)


def exchange(method: Method) -> _Exchange:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        return _Exchange(sock, socket.AF_INET, method, ["127.0.0.1"])


def test_only_an_answer_to_our_own_request_counts() -> None:
    ours = exchange(Method.RAW_SOCKET)
    ip = bytes([0x45]) + bytes(19)
    right = _packet(0, ours.id, 3, ours.token)
    assert ours._sequence(ip + right) == 3
    assert ours._sequence(bytes([0x46]) + bytes(23) + right) == 3, "an IP header with options is longer"
    wrong = {
        "request": _packet(8, ours.id, 3, ours.token),
        "id": _packet(0, ours.id ^ 1, 3, ours.token),
        "token": _packet(0, ours.id, 3, bytes(16)),
        "short": right[:-1],
        "code": right[:1] + b"\1" + right[2:],
    }
    assert {what: ours._sequence(ip + data) for what, data in wrong.items()} == dict.fromkeys(wrong, -1)
    assert ours._sequence(b"") == -1


IPUTILS = """PING 192.0.2.1 (192.0.2.1) 56(84) bytes of data.

--- 192.0.2.1 ping statistics ---
4 packets transmitted, 3 received, 25% packet loss, time 603ms
rtt min/avg/max/mdev = 0.361/0.522/0.711/0.144 ms
"""
IPUTILS_DEAD = """PING 192.0.2.9 (192.0.2.9) 56(84) bytes of data.

--- 192.0.2.9 ping statistics ---
4 packets transmitted, 0 received, +4 errors, 100% packet loss, time 3050ms
"""
BUSYBOX = """PING 127.0.0.1 (127.0.0.1): 56 data bytes

--- 127.0.0.1 ping statistics ---
4 packets transmitted, 4 packets received, 0% packet loss
round-trip min/avg/max = 0.041/0.060/0.100 ms
"""
WINDOWS_ZH = (
    "来自 192.168.1.1 的回复: 字节=32 时间=1ms TTL=64\r\n来自 192.168.1.1 的回复: 字节=32 时间<1ms TTL=64\r\n请求超时。\r\n"
)


@pytest.mark.parametrize(
    ("text", "code", "found"),
    [
        (IPUTILS, 0, Echoes(4, 3, 0.522, Method.PING_PROGRAM, Reason.NONE)),
        (IPUTILS_DEAD, 1, Echoes(4, 0, None, Method.PING_PROGRAM, Reason.TIMEOUT)),
        (BUSYBOX, 0, Echoes(4, 4, 0.06, Method.PING_PROGRAM, Reason.NONE)),
        (WINDOWS_ZH, 0, Echoes(4, 2, None, Method.PING_PROGRAM, Reason.NONE)),
        ("ping: socket: Operation not permitted", 2, Echoes(0, 0, None, Method.NONE, Reason.NO_PERMISSION)),
        ("", 1, Echoes(4, 0, None, Method.PING_PROGRAM, Reason.TIMEOUT)),
        ("x received = /", 0, Echoes(4, 0, None, Method.PING_PROGRAM, Reason.TIMEOUT)),
    ],
)
def test_the_ping_programs_words_are_understood(text: str, code: int, found: Echoes) -> None:
    assert parse_ping(text, code, 4) == found
