"""The DNS parser against right, wrong and hostile messages (RFC 1035)."""

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sitekeeper_agent.probes.dnswire import AAAA, A, BadMessage, Reply, query, reply
from sitekeeper_protocol.vocabulary import Reason
from support.name_servers import answer

NUMBER, NAME = 0x1234, "portal.example.cn"
QUERY = query(NUMBER, NAME, A)


def record(owner: bytes, kind: int, data: bytes) -> bytes:
    return owner + struct.pack("!2HIH", kind, 1, 60, len(data)) + data


def message(*records: bytes, flags: int = 0x8180, count: int | None = None) -> bytes:
    head = struct.pack("!6H", NUMBER, flags, 1, len(records) if count is None else count, 0, 0)
    return head + QUERY[12:] + b"".join(records)


def test_a_right_answer_gives_its_addresses_once_each() -> None:
    data = answer(QUERY, "203.0.113.7", "203.0.113.8", "203.0.113.7")
    assert reply(data, NUMBER, NAME, A) == Reply(Reason.NONE, ("203.0.113.7", "203.0.113.8"))


def test_the_case_of_a_name_does_not_matter() -> None:
    data = answer(query(NUMBER, "PORTAL.Example.CN", A), "203.0.113.7")
    assert reply(data, NUMBER, NAME + ".", A).addresses == ("203.0.113.7",)


def test_an_alias_is_followed_and_a_stranger_in_the_answer_is_not_believed() -> None:
    alias = b"\x03cdn\x03net\x00"
    data = message(
        record(b"\xc0\x0c", 5, alias), record(alias, A, bytes([203, 0, 113, 9])), record(b"\x04evil\x00", A, bytes(4))
    )
    assert reply(data, NUMBER, NAME, A).addresses == ("203.0.113.9",)


def test_aliases_that_go_in_a_circle_end() -> None:
    one, two = b"\x01a\x00", b"\x01b\x00"
    data = message(record(b"\xc0\x0c", 5, one), record(one, 5, two), record(two, 5, one), record(two, A, bytes([10, 0, 0, 1])))
    assert reply(data, NUMBER, NAME, A).addresses == ("10.0.0.1",)


def test_ipv6_addresses_are_read() -> None:
    asked = query(NUMBER, NAME, AAAA)
    data = asked[:2] + struct.pack("!5H", 0x8180, 1, 1, 0, 0) + asked[12:] + record(b"\xc0\x0c", AAAA, bytes(15) + b"\1")
    assert reply(data, NUMBER, NAME, AAAA).addresses == ("::1",)


@pytest.mark.parametrize(
    ("rcode", "reason"),
    [(1, Reason.SERVER_FAILURE), (2, Reason.SERVER_FAILURE), (3, Reason.NAME_NOT_FOUND), (5, Reason.REFUSED)],
)
def test_error_codes_become_reasons(rcode: int, reason: Reason) -> None:
    assert reply(message(flags=0x8180 | rcode), NUMBER, NAME, A).reason is reason


def test_no_record_of_the_type_is_an_answer_without_addresses() -> None:
    assert reply(message(), NUMBER, NAME, A) == Reply(Reason.NONE, ())


HOSTILE = {
    "empty": b"",
    "half a header": answer(QUERY, "203.0.113.7")[:7],
    "another id": b"\0\0" + answer(QUERY, "203.0.113.7")[2:],
    "a query sent back": QUERY,
    "another question": answer(query(NUMBER, "other.example.cn", A), "203.0.113.7"),
    "another type asked": answer(query(NUMBER, NAME, AAAA), "203.0.113.7"),
    "no question": struct.pack("!6H", NUMBER, 0x8180, 0, 0, 0, 0),
    "a pointer to itself": struct.pack("!6H", NUMBER, 0x8180, 1, 0, 0, 0) + b"\xc0\x0c" + b"\0\1\0\1",
    "a pointer ahead": struct.pack("!6H", NUMBER, 0x8180, 1, 0, 0, 0) + b"\xc0\x20" + b"\0\1\0\1" + bytes(40),
    "two pointers at each other": message(b"\xc0\x25\xc0\x23" + bytes(12)),
    "an unknown label": message(record(b"\x80\x00", A, bytes(4))),
    "a name without end": message(b"\x3f" * 600),
    "a record cut off": answer(QUERY, "203.0.113.7")[:-2],
    "a record longer than the message": message(b"\xc0\x0c" + struct.pack("!2HIH", A, 1, 60, 60000)),
    "an address of three bytes": message(record(b"\xc0\x0c", A, b"abc")),
    "more records promised than there": message(count=9),
    "65535 records": message(count=65535),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_answer_is_refused(data: bytes) -> None:
    with pytest.raises(BadMessage):
        reply(data, NUMBER, NAME, A)


@given(st.binary(max_size=600), st.booleans())
@example(b"\xc0\x0c" * 300, True)
def test_no_bytes_give_anything_but_a_reply_or_bad_message(data: bytes, headed: bool) -> None:
    try:
        found = reply(message(data, count=3) if headed else data, NUMBER, NAME, A)
    except BadMessage:
        return
    assert isinstance(found, Reply)


@pytest.mark.parametrize("name", ["a..b", "x" * 64, ".".join(["abcdefgh"] * 30), "学习.cn", ""])
def test_a_name_that_dns_cannot_carry_is_refused(name: str) -> None:
    with pytest.raises(BadMessage):
        query(NUMBER, name, A)
