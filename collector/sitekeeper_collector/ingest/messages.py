"""What goes into the pipeline, what comes out, and what an incoming message turns out to be."""

from functools import lru_cache
from typing import NamedTuple

from sitekeeper_protocol import codec, topics
from sitekeeper_protocol.errors import ProtocolError
from sitekeeper_protocol.messages import Header, Result, Status
from sitekeeper_protocol.opened import OpenedReport
from sitekeeper_protocol.topics import Address, Leaf


class Inbound(NamedTuple):
    """A message as the broker delivered it."""

    topic: str
    payload: bytes
    received_ms: int
    retained: bool = False


class Outbound(NamedTuple):
    """A message to publish."""

    topic: str
    payload: bytes


class Refusal(NamedTuple):
    """A message that can't be taken in, and why. ``header`` is set if its samples can be told and are its sender's own."""

    code: str
    detail: str
    header: Header | None = None


FOREIGN = "foreign_topic"
POISON = "poison"
Content = OpenedReport | Status | Result | Refusal

address_of = lru_cache(maxsize=65536)(topics.parse)
"""``topics.parse``, remembered: a site's topics come again and again."""
check_of = lru_cache(maxsize=65536)(codec.site_check)


def read(address: Address, payload: bytes) -> Content:
    """What a message from an agent says. Never raises for what the payload holds."""
    try:
        if address.leaf is Leaf.REPORT:
            report = codec.open_report(payload)
            if report.header.site_check != check_of(address.site):
                return _foreign(address)
            return report
        if address.leaf is Leaf.STATUS:
            return codec.decode_status(payload)
        if address.leaf is Leaf.RESULT:
            return codec.decode_result(payload)
    except ProtocolError as err:
        return _refused(address, payload, err.code, err.detail)
    return Refusal("bad_topic", f"agents don't publish {address.leaf}")


def header_of(address: Address, payload: bytes) -> Header | Refusal:
    """The header of a report whose body nobody needs to read yet."""
    try:
        header = codec.decode_header(payload)
    except ProtocolError as err:
        return Refusal(err.code, err.detail)
    return header if header.site_check == check_of(address.site) else _foreign(address)


def poisoned(address: Address, payload: bytes, detail: str) -> Refusal:
    """The refusal of a message that made the collector fail."""
    return _refused(address, payload, POISON, detail)


def _refused(address: Address, payload: bytes, code: str, detail: str) -> Refusal:
    if address.leaf is not Leaf.REPORT:
        return Refusal(code, detail)
    header = header_of(address, payload)
    if isinstance(header, Refusal):
        return header if header.code == FOREIGN else Refusal(code, detail)
    return Refusal(code, detail, header)


def _foreign(address: Address) -> Refusal:
    return Refusal(FOREIGN, f"a report of another site came under the topic of {address.site}")
