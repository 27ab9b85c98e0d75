"""True time by round trip: server time against CLOCK_BOOTTIME, never against the site's wall clock. Pure.

A receipt says what time it was at the collector at some moment between the sending of the report that it answers and its
arrival, so the offset lies within half the round trip of the middle (Cristian 1989, "Probabilistic clock synchronization").
"""

from typing import NamedTuple

MAX_ERROR_MS = 30_000
"""A measurement that may be wrong by more than this is not used."""
DRIFT_PPM = 100
"""How fast a PC's clock may run away; quartz clocks keep to 50 ppm, with room for heat."""


class ServerClock(NamedTuple):
    """Server time minus CLOCK_BOOTTIME of one boot, right within ``error_ms`` at ``learned_boottime_ms``."""

    offset_ms: int
    error_ms: int
    learned_boottime_ms: int

    def error_at(self, boottime_ms: int) -> int:
        """The error bound at ``boottime_ms``, drift included."""
        return self.error_ms + abs(boottime_ms - self.learned_boottime_ms) * DRIFT_PPM // 1_000_000

    def server_ms(self, boottime_ms: int) -> int:
        """Server time at ``boottime_ms`` of the same boot."""
        return self.offset_ms + boottime_ms


def measure(server_time_ms: int, sent_boottime_ms: int, received_boottime_ms: int) -> ServerClock | None:
    """The clock that a round trip shows; ``None`` if it took too long to say anything."""
    round_trip_ms = received_boottime_ms - sent_boottime_ms
    if not 0 <= round_trip_ms <= 2 * MAX_ERROR_MS or server_time_ms <= 0:
        return None
    middle_ms = sent_boottime_ms + round_trip_ms // 2
    return ServerClock(server_time_ms - middle_ms, (round_trip_ms + 1) // 2, received_boottime_ms)


def better(known: ServerClock | None, measured: ServerClock) -> ServerClock:
    """The more exact of the two at the moment of ``measured``.

    Two that contradict each other can't both be right: the server's clock was set, and the newer one counts.
    """
    if known is None:
        return measured
    known_error_ms = known.error_at(measured.learned_boottime_ms)
    if abs(known.offset_ms - measured.offset_ms) > known_error_ms + measured.error_ms:
        return measured
    return measured if measured.error_ms <= known_error_ms else known
