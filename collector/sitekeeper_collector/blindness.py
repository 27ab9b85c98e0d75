"""The collector's own sight: it publishes echoes to itself, and what does not come back says that nothing else did.

Only an echo of this process that came back through the broker, the queue and into a transaction is a heartbeat. A longer gap
between two of them is a time in which silence proves nothing about any site.
"""

import secrets
from enum import StrEnum, unique
from typing import NamedTuple


@unique
class Cause(StrEnum):
    """Why the collector could not hear."""

    STOPPED = "stopped"
    BROKER = "broker"
    STALL = "stall"
    """Connected all the time, but nothing came through: this machine or the broker stood still."""


class Gap(NamedTuple):
    """A time of blindness."""

    from_ms: int
    to_ms: int
    cause: Cause


class Seen(NamedTuple):
    """An instant by the wall clock and by one that nobody sets. ``steady_ms`` is ``None`` for another process's."""

    wall_ms: int
    steady_ms: int | None


def gap_between(before: Seen | None, now: Seen, *, was_disconnected: bool, limit_ms: int) -> Gap | None:
    """The blindness between two heartbeats, if they lie further apart than ``limit_ms``."""
    if before is None:
        return None
    if before.steady_ms is None or now.steady_ms is None:
        missed_ms, cause = now.wall_ms - before.wall_ms, Cause.STOPPED
    else:
        # The steady clock: a server clock that is set is no blindness.
        missed_ms = now.steady_ms - before.steady_ms
        cause = Cause.BROKER if was_disconnected else Cause.STALL
    return Gap(now.wall_ms - missed_ms, now.wall_ms, cause) if missed_ms > limit_ms else None


class Beat(NamedTuple):
    """A heartbeat to be stored."""

    seen: Seen
    gap: Gap | None
    after_loss: bool = False
    """Its echo was sent after the connection was last lost, so that it shows that there is one again."""


class Sight:
    """What this process knows of its own sight."""

    def __init__(self, *, interval_s: float, limit_s: float, last_seen_ms: int | None) -> None:
        self._interval_ms = round(interval_s * 1000)
        self._limit_ms = round(limit_s * 1000)
        self._token = secrets.token_hex(8)
        self._before = None if last_seen_ms is None else Seen(last_seen_ms, None)
        self._sent_ms: int | None = None
        self._newest_sent_ms = -1
        self._lost_after_ms: int | None = None
        """When the newest echo before the loss of the connection was sent, until a later one comes back."""

    def echo_due(self, steady_ms: int) -> bytes | None:
        """The echo to publish now, if it is time for one."""
        if self._sent_ms is not None and steady_ms - self._sent_ms < self._interval_ms:
            return None
        self._sent_ms = self._newest_sent_ms = steady_ms
        return f"{self._token} {steady_ms}".encode()

    def disconnected(self) -> None:
        """The connection to the broker was lost; the next one sends an echo at once."""
        self._lost_after_ms = self._newest_sent_ms
        self._sent_ms = None

    def judge(self, payload: bytes, now: Seen) -> Beat | None:
        """The heartbeat that a message on the echo topic proves; ``None`` for another process's, or one that is too old."""
        token, _, sent = payload[:64].partition(b" ")
        if token != self._token.encode() or not sent.isdigit() or now.steady_ms is None:
            return None
        if not 0 <= now.steady_ms - int(sent) <= self._limit_ms:
            return None
        # One that was under way when the connection ended may be read after that; it says nothing of a new one.
        after_loss = self._lost_after_ms is not None and int(sent) > self._lost_after_ms
        gap = gap_between(self._before, now, was_disconnected=after_loss, limit_ms=self._limit_ms)
        return Beat(now, gap, after_loss)

    def seeing(self, steady_ms: int) -> bool:
        """Whether this process has just heard itself: else the silence of others proves nothing."""
        before = self._before
        return before is not None and before.steady_ms is not None and steady_ms - before.steady_ms <= self._limit_ms

    def settle(self, beat: Beat) -> None:
        """``beat`` is stored."""
        self._before = beat.seen
        if beat.after_loss:
            self._lost_after_ms = None
