"""What a sample says of each kind of fault: that it is there, that it is not, or nothing.

A sample carries one verdict of the ladder and some measurements beside it. ``Signs`` keep of it what detection and ledger need,
and no more: whatever changes from sample to sample without changing a decision would cut time into pieces that say the same.
"""

from enum import Enum, unique
from typing import NamedTuple

from sitekeeper_collector.domain.marks import SHIFT, Level, bad_bits, level
from sitekeeper_protocol.vocabulary import GRADE_NUMBERS, KIND_NUMBERS, Grade, Kind, Rung, State

RUNG_OF_KIND: dict[Kind, Rung] = {
    Kind.LINK_DOWN: Rung.LINK,
    Kind.NO_ADDRESS: Rung.ADDRESS,
    Kind.GATEWAY_DOWN: Rung.GATEWAY,
    Kind.MODEM_DOWN: Rung.MODEM,
    Kind.LINE_DOWN: Rung.ISP,
    Kind.ARREARS: Rung.ISP,
    Kind.DNS_FAILURE: Rung.DNS,
    Kind.PORTAL_DOWN: Rung.PORTAL,
    Kind.MEDIA_DOWN: Rung.MEDIA,
}
"""The kinds that the ladder proves, each with the rung that must hold again for it to be over."""
LADDER_KINDS = tuple(RUNG_OF_KIND)

VERDICT_KINDS = (*LADDER_KINDS, Kind.LINE_DEGRADED)
"""The kinds that a verdict names."""
_PROVEN = GRADE_NUMBERS[Grade.PROVEN]
_DEGRADED = KIND_NUMBERS[Kind.LINE_DEGRADED]
_ANY_BAD = bad_bits()
_RUNG_OF_NUMBER = {KIND_NUMBERS[kind]: rung for kind, rung in RUNG_OF_KIND.items()}


@unique
class Disk(Enum):
    """How much room the volumes have. The values are stored."""

    UNKNOWN = 0
    ROOMY = 1
    FULL = 2


@unique
class Play(Enum):
    """Whether something is being played. The values are stored."""

    UNKNOWN = 0
    NO = 1
    YES = 2


class Signs(NamedTuple):
    """What is kept of a sample. ``state`` and ``rung`` are the verdict's; ``kind``, ``party`` and ``grade`` its fault's numbers
    (``vocabulary.KIND_NUMBERS`` and so on), 0 where it names none. ``media_silent``: the stream's probe could not tell.
    ``state`` is -1 for a sample without a verdict. ``marks``: what is measured (``domain.marks``); ``io_errors``: errors that
    the disks have counted, -1 if none tells.
    """

    state: int = -1
    rung: int = 0
    kind: int = 0
    party: int = 0
    grade: int = 0
    disk: int = Disk.UNKNOWN.value
    play: int = Play.UNKNOWN.value
    media_silent: bool = False
    marks: int = 0
    io_errors: int = -1


NOTHING = Signs()


def names_a_fault(signs: Signs) -> bool:
    """Whether a sample says of any kind that it is there."""
    return bool(
        signs.kind in _RUNG_OF_NUMBER
        or signs.disk == Disk.FULL.value
        or signs.marks & _ANY_BAD
        or signs.io_errors > 0
        or signs.kind == _DEGRADED
    )


@unique
class Sign(Enum):
    """What a sample says of one kind of fault."""

    BAD = "bad"
    GOOD = "good"
    UNKNOWN = "unknown"


def sign(kind: Kind, signs: Signs) -> Sign:
    """What ``signs`` say of ``kind``."""
    if kind is Kind.DISK_FULL:
        return _DISK_SIGNS[signs.disk]
    if kind in SHIFT:
        return _SIGN_OF_LEVEL[level(kind, signs.marks)]
    if signs.kind == KIND_NUMBERS[kind]:
        return Sign.BAD
    rung = RUNG_OF_KIND.get(kind)
    if rung is not None:
        return _ladder_sign(rung, signs)
    # The lowest rung that is not right is named: what is slow above the line shows that the line is not.
    above = signs.state == State.DEGRADED and signs.rung > Rung.ISP
    return Sign.GOOD if kind is Kind.LINE_DEGRADED and (signs.state == State.OK or above) else Sign.UNKNOWN


_SIGN_OF_LEVEL = {Level.UNKNOWN: Sign.UNKNOWN, Level.GOOD: Sign.GOOD, Level.BAD: Sign.BAD, Level.WORSE: Sign.BAD}
_DISK_SIGNS = {Disk.UNKNOWN.value: Sign.UNKNOWN, Disk.ROOMY.value: Sign.GOOD, Disk.FULL.value: Sign.BAD}


def _ladder_sign(rung: Rung, signs: Signs) -> Sign:
    """Of a kind that is not the one the verdict names. What lies above a failing rung can't be told; what lies below it
    holds only if the fault is proven, which means that it was seen to hold."""
    if signs.state == State.OK:
        return Sign.UNKNOWN if rung is Rung.MEDIA and signs.media_silent else Sign.GOOD
    if signs.state == State.DEGRADED:
        return Sign.GOOD if rung <= signs.rung else Sign.UNKNOWN
    if signs.state == State.FAIL:
        failing = _RUNG_OF_NUMBER.get(signs.kind, signs.rung)
        proven_above = signs.grade == _PROVEN and failing >= rung
        return Sign.GOOD if proven_above else Sign.UNKNOWN
    return Sign.UNKNOWN
