"""DNS messages (RFC 1035): one query out, one answer in, safe against whatever comes back."""

import socket
import struct
from typing import NamedTuple

from sitekeeper_protocol.vocabulary import Reason

A, AAAA, CNAME = 1, 28, 5
_IN = 1
_MAX_RECORDS = 64
_RESPONSE, _TRUNCATED, _RECURSION_DESIRED, _OPCODE = 0x8000, 0x0200, 0x0100, 0x7800
_RCODES = {0: Reason.NONE, 3: Reason.NAME_NOT_FOUND, 5: Reason.REFUSED}


class BadMessage(ValueError):
    """Bytes that are no answer to our query: forged, damaged or meant for somebody else."""


class Reply(NamedTuple):
    """``reason`` is NONE for an answer; ``addresses`` may be empty then: the name is there, this type of record is not."""

    reason: Reason
    addresses: tuple[str, ...] = ()
    truncated: bool = False


def query(number: int, name: str, kind: int) -> bytes:
    """A recursive query. Raises ``BadMessage`` for a name that DNS can't carry."""
    return struct.pack("!6H", number, _RECURSION_DESIRED, 1, 0, 0, 0) + _encode(name) + struct.pack("!2H", kind, _IN)


def _encode(name: str) -> bytes:
    try:
        labels = [label.encode("ascii") for label in name.rstrip(".").split(".")]
    except UnicodeEncodeError:
        raise BadMessage("a name outside of ASCII") from None
    if not all(1 <= len(label) <= 63 for label in labels) or sum(len(label) + 1 for label in labels) > 254:
        raise BadMessage("a label or the name is too long")
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def reply(data: bytes, number: int, name: str, kind: int) -> Reply:
    """The answer in ``data`` to the query with these arguments. Raises ``BadMessage`` for anything else."""
    try:
        return _reply(data, number, name.rstrip(".").lower().encode("ascii"), kind)
    except (struct.error, IndexError, UnicodeError):
        raise BadMessage("the message ends too early") from None


def _reply(data: bytes, number: int, name: bytes, kind: int) -> Reply:
    got, flags, questions, answers, _, _ = struct.unpack_from("!6H", data)
    if got != number or not flags & _RESPONSE or flags & _OPCODE:
        raise BadMessage("no answer to this query")
    at = 12
    if questions == 1:
        asked, at = _name(data, at)
        if asked != name or struct.unpack_from("!2H", data, at) != (kind, _IN):
            raise BadMessage("an answer to another question")
        at += 4
    elif questions or not flags & 15:
        # Servers that can't or won't read a query may leave it out of their error; an answer must carry it.
        raise BadMessage("an answer without the question")
    reason = _RCODES.get(flags & 15, Reason.SERVER_FAILURE)
    truncated = bool(flags & _TRUNCATED)
    if reason is not Reason.NONE:
        return Reply(reason, (), truncated)
    if answers > _MAX_RECORDS:
        raise BadMessage(f"{answers} records")
    return Reply(reason, _addresses(data, at, answers, name, kind, truncated), truncated)


def _addresses(data: bytes, at: int, count: int, name: bytes, kind: int, truncated: bool) -> tuple[str, ...]:
    """Addresses of ``name``, or of what it is an alias for (RFC 1034, 3.6.2)."""
    aliases: dict[bytes, bytes] = {}
    found: list[tuple[bytes, str]] = []
    for _ in range(count):
        if truncated and at >= len(data):
            break
        owner, at = _name(data, at)
        kind_found, class_found, _, length = struct.unpack_from("!2HIH", data, at)
        at += 10
        if at + length > len(data):
            raise BadMessage("a record is longer than the message")
        if class_found == _IN and kind_found == CNAME:
            aliases[owner] = _name(data, at)[0]
        elif class_found == _IN and kind_found == kind:
            found.append((owner, _address(data[at : at + length], kind)))
        at += length
    names = {name}
    while (name := aliases.get(name, name)) not in names:
        names.add(name)
    return tuple(dict.fromkeys(address for owner, address in found if owner in names))


def _address(data: bytes, kind: int) -> str:
    if len(data) != (4 if kind == A else 16):
        raise BadMessage("an address of a wrong length")
    return socket.inet_ntop(socket.AF_INET if kind == A else socket.AF_INET6, data)


def _name(data: bytes, at: int) -> tuple[bytes, int]:
    """(name in lower case, where the message goes on). A pointer must lead backwards, so no chain of them is endless."""
    labels: list[bytes] = []
    size, end, limit = 0, -1, len(data)
    while (length := data[at]) != 0:
        if length >= 0xC0:
            target = (length & 0x3F) << 8 | data[at + 1]
            end = at + 2 if end < 0 else end
            if target >= min(at, limit):
                raise BadMessage("a compression pointer that does not lead backwards")
            at = limit = target
            continue
        if length > 63:
            raise BadMessage("an unknown kind of label")
        label = data[at + 1 : at + 1 + length]
        size += length + 1
        if len(label) < length or size > 254:
            raise BadMessage("a name that is too long")
        labels.append(label.lower())
        at += length + 1
    return b".".join(labels), at + 1 if end < 0 else end
