"""How long the PC was on today, in use and idle: counters of one day that go on over restarts of the agent and of the PC. Pure.

They need no write of their own: each sample carries them, and the newest sample in the spool is where the next run goes on.
"On" is what the machine's steady clock counts, so that a suspend is not, and the time before the agent has started is. "In use"
is only what is known to be: a watched player plays, or the desktop says that keys or mouse are used. Where nothing can tell,
time is on, and neither in use nor idle.
"""

from collections.abc import Mapping
from typing import NamedTuple

from sitekeeper_agent.journal import Now
from sitekeeper_protocol.messages import SeriesKey
from sitekeeper_protocol.vocabulary import METRICS, Metric

DAY_MS = 86_400_000
EARLIEST_MS = 1_735_689_600_000
"""2025-01-01: no clock that is right shows less."""
_SET_MS = 60_000
"""A clock that moves this much more or less than the machine lived was set."""
_ON, _IN_USE, _IDLE = ((metric.value, "") for metric in (Metric.DAY_ON_S, Metric.DAY_IN_USE_S, Metric.DAY_IDLE_S))
_PLAYING, _ACTIVE = (Metric.PLAYING.value, ""), (Metric.SESSION_ACTIVE.value, "")
_PLAY_STEP_MS = round(METRICS[Metric.PLAYER_PLAY_S].step * 1000)


class Day(NamedTuple):
    """The counters of local day ``number`` (days since 1970), in ms; ``told``: something could tell of use on this day."""

    number: int
    on_ms: int = 0
    in_use_ms: int = 0
    idle_ms: int = 0
    told: bool = False

    def plus(self, more: "Day") -> "Day":
        """With the counters of another part of the same day."""
        return Day(
            self.number,
            self.on_ms + more.on_ms,
            self.in_use_ms + more.in_use_ms,
            self.idle_ms + more.idle_ms,
            self.told or more.told,
        )

    def values(self) -> dict[SeriesKey, int]:
        """As values of a sample, in whole seconds."""
        values = {_ON: self.on_ms // 1000}
        if self.told:
            values |= {_IN_USE: self.in_use_ms // 1000, _IDLE: self.idle_ms // 1000}
        return values


def told_by(values: Mapping[SeriesKey, int], number: int) -> Day | None:
    """Day ``number`` as a sample's values have it; ``None`` for a sample of an agent that did not count."""
    if _ON not in values:
        return None
    on_ms, in_use_ms, idle_ms = (1000 * max(0, values.get(key, 0)) for key in (_ON, _IN_USE, _IDLE))
    return Day(number, on_ms, in_use_ms, idle_ms, told=_IN_USE in values)


def day_of(values: Mapping[SeriesKey, int], local_ms: int) -> Day | None:
    """The day to go on with after a sample taken at ``local_ms``; ``None`` if it has carried none.

    ``None`` also for a date that can't be: where each boot begins in 1970 or 2010, the same date is not the same day.
    """
    return told_by(values, local_ms // DAY_MS) if local_ms >= EARLIEST_MS else None


class Counter:
    """Counts one run. ``before`` is the day as the newest sample of an earlier run has it."""

    def __init__(self, before: Day | None, *, same_boot: bool, started: Now, local_ms: int) -> None:
        self._kept = before
        self._before = started
        self._local_ms = local_ms
        self._today = Day(local_ms // DAY_MS)
        if before is not None and before.number == self._today.number:
            self._today, self._kept = before, None
        if not same_boot:
            # Awake since it booted, and nobody has counted that yet; of a PC on since yesterday, today's part.
            self._today = self._today.plus(Day(self._today.number, min(started.monotonic_ms, local_ms % DAY_MS)))

    def step(self, now: Now, local_ms: int, values: Mapping[SeriesKey, int]) -> Day:
        """The day after a sample. ``values`` are the sample's own, ``local_ms`` is the site's local time by the best clock."""
        before, self._before = self._before, now
        before_ms, self._local_ms = self._local_ms, local_ms
        passed_ms = max(0, now.monotonic_ms - before.monotonic_ms)
        number = local_ms // DAY_MS
        if number != self._today.number:
            lived_ms = now.boottime_ms - before.boottime_ms
            self._turn(number, was_set=abs(local_ms - before_ms - lived_ms) > _SET_MS)
        elapsed = _elapsed(number, passed_ms, values)
        self._today = _within(self._today.plus(elapsed), local_ms % DAY_MS)
        return self._today

    def _turn(self, number: int, *, was_set: bool) -> None:
        """Another day: midnight has passed, or the clock was set; then what was counted under the wrong date comes along."""
        fresh = self._today._replace(number=number) if was_set else Day(number)
        if self._kept is not None and self._kept.number == number:
            fresh, self._kept = fresh.plus(self._kept), None
        self._today = fresh


def _elapsed(number: int, passed_ms: int, values: Mapping[SeriesKey, int]) -> Day:
    """What the time since the sample before was."""
    played = [amount * _PLAY_STEP_MS for (metric, _), amount in values.items() if metric == Metric.PLAYER_PLAY_S]
    told = bool(played) or _PLAYING in values or _ACTIVE in values
    if not told:
        return Day(number, passed_ms)
    in_use_ms = passed_ms if values.get(_ACTIVE) else max(0, min(passed_ms, max(played, default=0)))
    return Day(number, passed_ms, in_use_ms, passed_ms - in_use_ms, told=True)


def _within(day: Day, of_day_ms: int) -> Day:
    """No more than has passed of the day: what a sample just after midnight brings is mostly yesterday's."""
    on_ms = min(day.on_ms, of_day_ms)
    in_use_ms = min(day.in_use_ms, on_ms)
    return day._replace(on_ms=on_ms, in_use_ms=in_use_ms, idle_ms=min(day.idle_ms, on_ms - in_use_ms))
