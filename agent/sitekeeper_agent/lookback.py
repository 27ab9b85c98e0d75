"""What a run finds out about the one before it, at its start: how that ended, and whether it is usual here."""

import logging
from collections.abc import Sequence
from typing import NamedTuple

from sitekeeper_agent import habits, platform
from sitekeeper_agent.journal import Run, start_events
from sitekeeper_agent.platform import End, PlatformUnsupported, Stretch
from sitekeeper_agent.sampler import local_ms
from sitekeeper_agent.spool import Spool
from sitekeeper_protocol.messages import PowerEvent, PowerEventRecord, Scalar

_log = logging.getLogger(__name__)
_HABITS = "times_on"
HABITUAL, CRASHED = "habitual", "crashed"
"""Reasons of ``PowerEvent.POWER_LOST``."""
USUAL_CUT = "power.usual_cut"
"""The fact that names the time of day at which the site is usually switched off at the wall; ``None``: no such habit."""


class Past(NamedTuple):
    """The run before; where it said no goodbye, ``what`` ended it (``None``: its boot says so) and more exactly ``reason``."""

    run: Run
    what: PowerEvent | None = None
    reason: str = ""


class LookBack(NamedTuple):
    """What the first sample of a run tells."""

    events: tuple[PowerEventRecord, ...]
    facts: dict[str, Scalar]


def look_back(spool: Spool, boot: int) -> LookBack:
    """The events of the start; what was learned from the run before is kept. To be called before the new run begins."""
    previous = spool.last_run()
    past = None if previous is None else by_log(previous, _times_on() if previous.ended is None else ())
    history = habits.read(spool.meta(_HABITS))
    if past is not None:
        cut = past.run.ended is None and _what(past, boot) is PowerEvent.POWER_LOST
        newest = _placed(spool, past.run, cut=cut)
        if cut and not past.reason and habits.habitual(history, newest.ended_ms):
            past = past._replace(reason=HABITUAL)
        history = habits.after(history, newest)
        spool.set_meta(_HABITS, habits.stored(history))
    events = start_events(past and past.run, boot, what=past and past.what, reason=past.reason if past else "")
    usual = habits.usual_cut(history, history[-1].ended_ms) if history else ""
    return LookBack(events, {USUAL_CUT: usual or None})


def _what(past: Past, boot: int) -> PowerEvent:
    if past.what is not None:
        return past.what
    return PowerEvent.AGENT_DIED if past.run.boot == boot else PowerEvent.POWER_LOST


def _placed(spool: Spool, run: Run, *, cut: bool) -> habits.TimeOn:
    ended_ms = local_ms(spool.clock(run.boot), run.last_wall_ms, run.last_boottime_ms)
    return habits.time_on(run, cut=cut, offset_ms=ended_ms - run.last_boottime_ms)


def _times_on() -> tuple[Stretch, ...]:
    try:
        return platform.times_on()
    except PlatformUnsupported as err:
        _log.warning("how the last time on ended can't be read: %s", err)
        return ()


_GOODBYES = (End.SHUTDOWN, End.RESTART, End.UPGRADE, End.SUSPEND)


def by_log(run: Run, times_on: Sequence[Stretch]) -> Past:
    """How a run without a goodbye ended, by the system's log of its times on, oldest first; a log that says nothing changes
    nothing.

    Windows ends what runs in the background without asking, and with Fast Startup the same boot goes on after a shutdown: by
    the agent's own notes that would be an agent that died, or a loss of power.
    """
    found = [time for time in times_on if time.began_ms <= run.last_wall_ms]
    if not found:
        return Past(run)
    last = found[-1]
    if last.how is None:
        return Past(run, PowerEvent.AGENT_DIED)
    if last.how in _GOODBYES and last.ended_ms is not None:
        more_ms = max(0, last.ended_ms - run.last_wall_ms)
        return Past(
            run._replace(
                ended=last.how.value,
                last_wall_ms=run.last_wall_ms + more_ms,
                last_boottime_ms=run.last_boottime_ms + more_ms,
            )
        )
    if last.how is End.UNKNOWN:
        return Past(run)
    return Past(run, PowerEvent.POWER_LOST, CRASHED if last.how is End.CRASHED else "")
