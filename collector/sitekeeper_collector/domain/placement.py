"""When a sample was taken, from clocks that may be wrong: the site's wall clock, its boot-time clock, and ours.

Only a round trip proves an offset (RFC 5905, section 8, is the same thought). Without one, the time of arrival gives a bound
that the sample can't be later than, and the site's wall clock is believed if it does not contradict it.
"""

from enum import StrEnum, unique
from typing import NamedTuple

from sitekeeper_protocol import RELEASED_MS

WALL_TOLERANCE_MS = 120_000
"""A wall clock may be this far ahead of the bound and still be right: ours may be slow, and nobody's is perfect."""
MAX_CLOCK_ERROR_MS = 30_000
_SAME_CLOCK_MS = 3_600_000
DRIFT_PER_MILLION = 100
"""How fast an oscillator that nobody disciplines may run away: 100 ppm, 8.6 s a day."""


@unique
class Placement(StrEnum):
    """How a sample got its time."""

    EXACT = "exact"
    """Boot time plus an offset from a round trip."""
    WALL = "wall"
    """The site's own wall clock, which contradicts nothing."""
    RECEIVED = "received"
    """Its wall clock is wrong; a live sample can't be much older than its arrival."""
    HELD = "held"
    """Its wall clock is wrong and nothing else says when: it has no time, until a round trip gives one."""


class KnownClock(NamedTuple):
    """Server time minus boot time, as of ``learned_boottime_ms``."""

    offset_ms: int
    error_ms: int
    learned_boottime_ms: int


class Arrival(NamedTuple):
    """What the report that brought a sample says about its time."""

    received_ms: int
    sent_boottime_ms: int
    same_boot: bool
    """The sample was taken in the boot in which it was sent."""
    live: bool


class Placed(NamedTuple):
    """A sample's time (``None``: none), how it came about, and the bound that it can't be later than."""

    placed_ms: int | None
    placement: Placement
    not_after_ms: int


def place(wall_ms: int, boottime_ms: int, arrival: Arrival, clock: KnownClock | None) -> Placed:
    """When a sample was taken: never after its bound, never before this software was released."""
    not_after = bound(boottime_ms, arrival)
    if clock is not None:
        exact = exactly(boottime_ms, not_after, clock)
        if exact is not None:
            return Placed(exact, Placement.EXACT, not_after)
    if RELEASED_MS <= wall_ms <= not_after + WALL_TOLERANCE_MS and not_after >= RELEASED_MS:
        return Placed(min(wall_ms, not_after), Placement.WALL, not_after)
    if arrival.live and not_after >= RELEASED_MS:
        return Placed(not_after, Placement.RECEIVED, not_after)
    return Placed(None, Placement.HELD, not_after)


def exact_shift(arrival: Arrival, clock: KnownClock | None) -> int | None:
    """What to add to boot times to place a report's samples exactly, all alike; ``None`` if each must be looked at.

    For samples of the sending boot that were not taken after the sending: for these, bound and exact instant run parallel.
    """
    if clock is None or not arrival.same_boot:
        return None
    to_bound = arrival.received_ms - arrival.sent_boottime_ms
    if clock.offset_ms > to_bound + allowance(clock):
        return None
    return min(clock.offset_ms, to_bound)


def bound(boottime_ms: int, arrival: Arrival) -> int:
    """The latest instant, in server time, at which a sample can have been taken."""
    if not arrival.same_boot:
        # Taken before the boot that sent it began.
        return arrival.received_ms - arrival.sent_boottime_ms
    return arrival.received_ms - max(0, arrival.sent_boottime_ms - boottime_ms)


def exactly(boottime_ms: int, not_after_ms: int, clock: KnownClock) -> int | None:
    """The instant by ``clock``, or ``None`` if that would be impossible, so that the clock can't be right."""
    exact = boottime_ms + clock.offset_ms
    if exact > not_after_ms + allowance(clock):
        return None
    exact = min(exact, not_after_ms)
    return exact if exact >= RELEASED_MS else None


def allowance(clock: KnownClock) -> int:
    """How far beyond its bound an instant by ``clock`` may lie: its error, and a server clock that was set meanwhile."""
    return clock.error_ms + WALL_TOLERANCE_MS


def usable(offset_ms: int, error_ms: int) -> bool:
    """Whether an agent's clock is worth using."""
    return error_ms <= MAX_CLOCK_ERROR_MS


def better(known: KnownClock | None, reported: KnownClock) -> KnownClock:
    """The clock of a boot after a report: the new one, unless the old one is still surer after drifting until now."""
    if known is None:
        return reported
    age_ms = max(0, reported.learned_boottime_ms - known.learned_boottime_ms)
    if (known.offset_ms, known.error_ms) == (reported.offset_ms, reported.error_ms) and age_ms < _SAME_CLOCK_MS:
        return known  # the same round trip, told again: nothing to note
    drifted = known.error_ms + age_ms * DRIFT_PER_MILLION // 1_000_000
    return reported if reported.error_ms <= drifted else known
