"""Which samples of a run are stored, dropped or refused, and what a receipt may say of it."""

from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Struct

from sitekeeper_protocol.intervals import Intervals
from sitekeeper_protocol.messages import RunReceipt

MAX_SPANS = 4096
"""More separate spans than this no honest agent needs: it fills its gaps, lowest first."""
MAX_RANGES = 16

Span = tuple[int, int]


class TooScattered(ValueError):
    """A run has more gaps than can be kept."""


class Coverage:
    """The numbers of one run, each in at most one of three sets. Mutable; ``copy`` before a change that may be undone.

    ``stored``: the sample is in the store. ``dropped``: the agent no longer holds it. ``refused``: it came in a report that
    could not be read. A sample that does arrive after all is stored, whatever was said of it before.
    """

    __slots__ = ("dropped", "refused", "stored")

    def __init__(self, stored: Iterable[Span] = (), dropped: Iterable[Span] = (), refused: Iterable[Span] = ()) -> None:
        self.stored = Intervals(stored)
        self.dropped = Intervals(dropped)
        self.refused = Intervals(refused)

    def store(self, first: int, last: int) -> list[Span]:
        """Book samples as stored; what of them is new, as spans. Raises ``TooScattered``, with nothing changed."""
        new = self.stored.missing(first, last)
        if not new:
            return new
        if len(self.stored) > MAX_SPANS:
            raise TooScattered(f"more than {MAX_SPANS} separate spans of samples in one run")
        self.stored.add(first, last)
        for lost in (self.dropped, self.refused):
            if lost:
                lost.discard(first, last)
        return new

    def drop(self, first: int, last: int) -> list[Span]:
        """Book samples that the agent no longer holds; what of them was not accounted for, as spans."""
        return self._lose(self.dropped, first, last)

    def refuse(self, first: int, last: int) -> list[Span]:
        """Book samples of a report that can't be read; what of them was not accounted for, as spans."""
        return self._lose(self.refused, first, last)

    def _lose(self, lost: Intervals, first: int, last: int) -> list[Span]:
        new = self.covered().missing(first, last)
        if len(lost) + len(new) > MAX_SPANS:
            raise TooScattered(f"more than {MAX_SPANS} separate spans of lost samples in one run")
        for a, b in new:
            lost.add(a, b)
        return new

    def covered(self) -> Intervals:
        """All numbers that an agent need not send again. Not to be changed."""
        if not self.dropped and not self.refused:
            return self.stored
        union = self.stored.copy()
        union.update(self.dropped)
        union.update(self.refused)
        return union

    def copy(self) -> "Coverage":
        """An independent copy."""
        twin = Coverage()
        twin.stored, twin.dropped, twin.refused = self.stored.copy(), self.dropped.copy(), self.refused.copy()
        return twin

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Coverage) and (
            (self.stored, self.dropped, self.refused) == (other.stored, other.dropped, other.refused)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Coverage(stored={self.stored}, dropped={self.dropped}, refused={self.refused})"


def receipt(run: int, coverage: Coverage, answered: Sequence[Span] = ()) -> RunReceipt:
    """What a receipt says of ``run``: all up to ``through``, and at most 16 ranges beyond it.

    The ranges that hold ``answered`` samples, newest answer first, go before the lowest others. An agent takes what it just
    sent and does not find here for lost, and would send it again and again.
    """
    covered = coverage.covered()
    through = covered.through
    beyond = [(first, last) for first, last in covered if first > through]
    if len(beyond) > MAX_RANGES:
        chosen = {span: None for first, last in reversed(answered) for span in beyond if span[0] <= last and first <= span[1]}
        chosen.update(dict.fromkeys(beyond))
        beyond = sorted(list(chosen)[:MAX_RANGES])
    return RunReceipt(run, through, beyond)


class _Packed(Struct, array_like=True, frozen=True):
    stored: list[Span]
    dropped: list[Span] = []
    refused: list[Span] = []


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Packed).decode


def pack(coverage: Coverage) -> bytes:
    """``coverage`` as bytes."""
    return _encode(_Packed(list(coverage.stored), list(coverage.dropped), list(coverage.refused)))


def unpack(payload: bytes) -> Coverage:
    """What ``pack`` packed."""
    packed = _decode(payload)
    return Coverage(packed.stored, packed.dropped, packed.refused)
