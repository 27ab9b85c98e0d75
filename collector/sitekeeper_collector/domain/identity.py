"""Whether two machines call themselves by one site's name: live reports of their runs come interleaved.

A restart gives a new run and the old one is never live again. A cloned image gives two runs that are live in turns, each
bringing new samples. One return may be a report that was late; two are not.
"""

from enum import StrEnum, unique

import msgspec
from msgspec import Struct

RETURNS = 2
REMEMBERED = 4
WINDOW_MS = 86_400_000
"""Returns that lie further apart prove nothing together."""


@unique
class Found(StrEnum):
    """What a live report says about who sent it."""

    SAME = "same"
    NEW = "new"
    STALE = "stale"
    """An earlier run, with nothing new: a duplicate of what it sent when it was live."""
    RETURNED = "returned"
    DUPLICATE = "duplicate"


class LiveRuns(Struct, frozen=True, array_like=True):
    """The last runs of a site that were live, newest last, and when the latest returns were."""

    runs: tuple[int, ...] = ()
    returned_ms: tuple[int, ...] = ()


def judge(known: LiveRuns, run: int, *, new_samples: bool, now_ms: int) -> tuple[LiveRuns, Found]:
    """What a live report of ``run`` says; ``new_samples``: it brought some that were not stored yet."""
    if known.runs and known.runs[-1] == run:
        return known, Found.SAME
    if run not in known.runs:
        return LiveRuns((*known.runs, run)[-REMEMBERED:], known.returned_ms), Found.NEW
    if not new_samples:
        return known, Found.STALE
    runs = (*(r for r in known.runs if r != run), run)
    returned = (*(ms for ms in known.returned_ms if now_ms - ms <= WINDOW_MS), now_ms)[-RETURNS:]
    found = Found.DUPLICATE if len(returned) >= RETURNS else Found.RETURNED
    return LiveRuns(runs, returned), found


pack = msgspec.msgpack.Encoder().encode
unpack = msgspec.msgpack.Decoder(LiveRuns).decode
