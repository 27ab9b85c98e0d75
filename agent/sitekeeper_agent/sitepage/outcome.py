"""What a look came to that somebody asked for, in one word. Pure."""

from typing import Literal

from sitekeeper_agent.sitepage.board import Seen
from sitekeeper_protocol.ladder import Verdict
from sitekeeper_protocol.vocabulary import State

Outcome = Literal["waiting", "worked", "better", "same", "changed", "still_well", "broken_now", "unknown", "came_to_nothing"]


def outcome(before: Verdict | None, seen: Seen, look: int) -> Outcome:
    """``before``: the verdict when somebody asked for number ``look``. It counts what holds now, should later looks differ."""
    if seen.done < look:
        return "waiting"
    if seen.came_to_nothing or seen.verdict is None:
        return "came_to_nothing"
    return _compared(before, seen.verdict)


def _compared(before: Verdict | None, after: Verdict) -> Outcome:
    failed = before is not None and before.state == State.FAIL
    if after.state == State.OK:
        return "worked" if failed else "still_well"
    if after.state == State.DEGRADED:
        return "better" if failed else "unknown" if before is None else "same"
    if after.state != State.FAIL:
        return "unknown"
    if before is None or not failed:
        return "broken_now"
    return "same" if before.essence == after.essence else "changed"
