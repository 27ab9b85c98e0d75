"""A source under a real watcher at a quick pace, and what its account tells."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from sitekeeper_agent.probes.players.source import Source, monotonic_ms
from sitekeeper_agent.probes.players.watching import Account, Taken, Watcher
from sitekeeper_protocol.messages import PlaybackEvent, PlaybackEventRecord
from sitekeeper_protocol.vocabulary import Metric, PlayerState
from support.wait import wait_until


class Watched:
    """An account whose samples are added up as they are taken."""

    def __init__(self, source: Source) -> None:
        source.idle_s = source.absent_s = 0.3
        source.busy_s = min(source.busy_s, 1.0)
        self.noticed: list[float] = []
        self.account = Account("tv", lambda: self.noticed.append(time.monotonic()))
        self.events: list[PlaybackEventRecord] = []
        self.sums: dict[Metric, int] = {}
        self._state = PlayerState.UNKNOWN
        self.watcher = Watcher(source, self.account)

    def look(self) -> Taken:
        """Take a sample."""
        taken = self.account.take(monotonic_ms())
        self.events.extend(taken.events)
        for (number, _), value in taken.values.items():
            metric = Metric(number)
            self.sums[metric] = value if metric is Metric.PLAYER_STARTS else self.sums.get(metric, 0) + value
        self._state = PlayerState(taken.values[Metric.PLAYER_STATE.value, "tv"])
        return taken

    @property
    def state(self) -> PlayerState:
        """What the player does."""
        self.look()
        return self._state

    def told(self) -> list[tuple[str, str]]:
        """All events so far: what, code."""
        self.look()
        return [(event.what.value, event.code) for event in self.events]

    def until(self, state: PlayerState, timeout_s: float = 60) -> None:
        """Wait until the player does this."""
        wait_until(lambda: self.state == state, lambda: f"{state!r}, but {self._state!r}: {self.told()}", timeout_s)

    def until_told(self, what: PlaybackEvent, code: str | None = None, timeout_s: float = 60) -> PlaybackEventRecord:
        """Wait for an event; the first of its kind."""

        def found() -> PlaybackEventRecord | None:
            self.look()
            return next((e for e in self.events if e.what is what and code in (None, e.code)), None)

        event = wait_until(found, lambda: f"{what} {code}, but {self._state!r}: {self.told()}", timeout_s)
        assert event is not None
        return event


@contextmanager
def watched(source: Source) -> Iterator[Watched]:
    """Watch until the end of the block."""
    made = Watched(source)
    try:
        yield made
    finally:
        made.watcher.close()
