"""What a sample says of each kind that is measured and not a rung of the ladder, as two bits of one number.

Noise is taken out before: a mark changes only where a decision does, so that a steady site stays one span.
"""

from enum import IntEnum, unique

from sitekeeper_protocol.vocabulary import Kind


@unique
class Level(IntEnum):
    """What is said of one kind. The numbers are stored."""

    UNKNOWN = 0
    GOOD = 1
    BAD = 2
    WORSE = 3
    """Bad enough to count alone where several samples must, or beyond doubt where a class must be on."""


MARKED: tuple[Kind, ...] = (
    Kind.PLAYBACK_FAILURE,
    Kind.PLAYBACK_STALLING,
    Kind.PLAYER_MISSING,
    Kind.DISPLAY_MISSING,
    Kind.AUDIO_MISSING,
    Kind.DEVICE_MISSING,
    Kind.DISK_FAILING,
    Kind.OVERHEATING,
    Kind.OVERLOADED,
    Kind.CLOCK_WRONG,
    Kind.SETTINGS_CHANGED,
    Kind.LINE_SLOW,
    Kind.AGENT_TROUBLE,
)
"""Kinds that have a mark. The places are stored: new ones go to the end."""
SHIFT: dict[Kind, int] = {kind: 2 * place for place, kind in enumerate(MARKED)}


def mark(kind: Kind, level: Level) -> int:
    """The bits of ``kind`` at ``level``; marks of different kinds are joined by ``|``."""
    return level.value << SHIFT[kind]


def level(kind: Kind, marks: int) -> Level:
    """What ``marks`` say of ``kind``; unknown for a kind that has none."""
    shift = SHIFT.get(kind)
    return Level.UNKNOWN if shift is None else Level((marks >> shift) & 3)


def bad_bits(kinds: tuple[Kind, ...] = MARKED) -> int:
    """The bits of which one is set in marks that say of any of ``kinds`` that it is there."""
    return sum(2 << SHIFT[kind] for kind in kinds if kind in SHIFT)
