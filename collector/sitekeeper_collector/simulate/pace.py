"""How fast a simulated site lives: an agent's intervals, shortened so that two minutes show what takes hours in the field."""

import math

from msgspec import Struct


class Pace(Struct, frozen=True, kw_only=True):
    """All in seconds. ``slack_s`` is what a promise allows for a machine that is busy with sixty sites."""

    sample_s: float = 2.0
    report_s: float = 4.0
    slack_s: float = 4.0
    boot_s: float = 4.0
    """From power to the agent's first sample."""
    backoff_least_s: float = 0.5
    backoff_most_s: float = 6.0
    pause_least_s: float = 0.2
    pause_most_s: float = 0.8
    """Between two reports of a backlog."""
    first_receipt_s: float = 20.0
    """How long a backlog waits for the first receipt of a connection."""
    resend_s: float = 60.0
    """A receipt that was asked for and is missing for so long: what waits for it goes again."""
    ask_s: float = 60.0
    """After so long without a receipt the next live report asks for one."""
    puback_s: float = 20.0
    keepalive_least_s: int = 10
    backlog_samples: int = 240

    @property
    def live_samples(self) -> int:
        """The most that a live report carries: one interval's worth."""
        return max(1, math.ceil(self.report_s / self.sample_s))

    @property
    def promise_s(self) -> int:
        """Within how many seconds the next live report comes: it is due after an interval, and waits for a sample then."""
        return math.ceil(self.report_s + self.sample_s + self.slack_s)

    @property
    def keepalive_s(self) -> int:
        """As an agent's: longer than the interval."""
        return max(self.keepalive_least_s, round(self.report_s * 1.2))
