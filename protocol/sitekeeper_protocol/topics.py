"""Names of MQTT topics: ``sk/v1/{area}/{site}/{leaf}``."""

import re
from enum import StrEnum, unique
from typing import NamedTuple

from sitekeeper_protocol.errors import ProtocolError

PREFIX = "sk/v1"

# Site ids are at once topic level, client id, user name of the broker's password file and part of file names,
# so they keep to what is harmless in all of them (no "/", "+", "#", ":", "$", no space).
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,47}")


@unique
class Leaf(StrEnum):
    """The last level of a topic: what kind of message it carries."""

    STATUS = "status"
    REPORT = "report"
    RECEIPT = "receipt"
    CONFIG = "config"
    COMMAND = "command"
    RESULT = "result"


FROM_AGENT = (Leaf.STATUS, Leaf.REPORT, Leaf.RESULT)
TO_AGENT = (Leaf.RECEIPT, Leaf.CONFIG, Leaf.COMMAND)


class Address(NamedTuple):
    """Where a message belongs: an area, a site and the kind of message."""

    area: str
    site: str
    leaf: Leaf


def check_id(text: str, what: str = "site id") -> str:
    """``text`` if it can be an area or a site id; else ``ProtocolError`` says what would be right."""
    if _ID.fullmatch(text):
        return text
    raise ProtocolError(
        "bad_id",
        f"{what} {text[:60]!r} is not usable: 1 to 48 of A-Z a-z 0-9 . _ -, beginning with a letter or digit",
    )


def topic(area: str, site: str, leaf: Leaf) -> str:
    """The topic's name. Raises ``ProtocolError`` for an area or site id that can't stand in a topic."""
    return f"{PREFIX}/{check_id(area, 'area')}/{check_id(site)}/{leaf}"


def subscription(leaf: Leaf, area: str = "+") -> str:
    """The filter under which a collector receives ``leaf`` messages of all sites of an area, or of all areas."""
    return f"{PREFIX}/{area if area == '+' else check_id(area, 'area')}/+/{leaf}"


def parse(name: str) -> Address:
    """Take a topic apart. Raises ``ProtocolError`` for anything that is not a topic of this version."""
    levels = name.split("/")
    if len(levels) != 5 or "/".join(levels[:2]) != PREFIX:
        raise ProtocolError("bad_topic", f"{name[:120]!r} is not {PREFIX}/area/site/kind")
    try:
        leaf = Leaf(levels[4])
    except ValueError:
        raise ProtocolError("bad_topic", f"{name[:120]!r} ends in an unknown kind of message") from None
    return Address(check_id(levels[2], "area"), check_id(levels[3]), leaf)
