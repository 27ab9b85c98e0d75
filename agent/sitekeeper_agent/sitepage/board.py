"""What the agent's thread lets the page know, and what the page asks of it."""

from collections.abc import Mapping
from typing import NamedTuple

from sitekeeper_agent.hours import Day
from sitekeeper_agent.sitepage.repair import Repair
from sitekeeper_agent.standing import Fault, Standing
from sitekeeper_protocol.ladder import Reading, Verdict
from sitekeeper_protocol.messages import Scalar
from sitekeeper_protocol.vocabulary import State


class CheckAsked(NamedTuple):
    """Somebody wants a look that began after he asked: number ``look``, or a later one."""

    look: int


class RepairAsked(NamedTuple):
    """Somebody has asked for repair."""


Asked = CheckAsked | RepairAsked


class Seen(NamedTuple):
    """What is known at one moment. Boot times are CLOCK_BOOTTIME, ms; looks are counted from 1 in each run."""

    begun: int = 0
    """The newest look that has begun."""
    done: int = 0
    """The newest look that is over."""
    came_to_nothing: bool = False
    """Whether the newest look that is over found nothing out."""
    looked_ms: int | None = None
    """When the readings were taken."""
    readings: tuple[Reading, ...] = ()
    standing: Standing = Standing()
    connected: bool = False
    writable: bool = True
    """Whether the disk takes what is to be sent."""
    tickets: tuple[str, ...] = ()
    """All open tickets of the site, as the newest receipt of this run lists them."""
    repair: Repair | None = None
    metrics: frozenset[int] = frozenset()
    """Every metric that this run has put into a sample."""
    facts: Mapping[str, Scalar] = {}
    day: Day | None = None
    """Hours of today, as the newest sample has them."""

    @property
    def verdict(self) -> Verdict | None:
        """The newest verdict."""
        return self.standing.verdict

    def fault(self, boottime_ms: int) -> Fault | None:
        """The fault that is seen, if there is one."""
        verdict = self.verdict
        if verdict is None or verdict.state != State.FAIL:
            return None
        minutes = max(0, boottime_ms - self.standing.since_ms) // 60_000
        return Fault(verdict.kind, verdict.rung, minutes, self.standing.numbers, self.connected)


class Board:
    """One snapshot, replaced as a whole by the agent's thread and read by any other."""

    def __init__(self) -> None:
        self.seen = Seen()
