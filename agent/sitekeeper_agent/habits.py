"""Is this site used to being switched off at the wall at such a time? Learned from how its times on have ended. Pure.

Village sites pull the plug, or throw the main switch, when the class is over or the school closes. What looks like a loss of
power is then the end of an ordinary day. A loss is habitual where the PC was cut off within half an hour of this time of day on
at least three other days of the last two months, and on at least half of the days on which it was on as late as that.
"""

from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Struct

from sitekeeper_agent.hours import DAY_MS, EARLIEST_MS
from sitekeeper_agent.journal import Run

WITHIN_MS = 30 * 60_000
LEAST_DAYS = 3
LOOK_BACK_DAYS = 60
MOST = 240
"""Times on that are remembered: four a day."""
_MINUTE_MS = 60_000
_FOLLOWS_MS = 15 * 60_000


class TimeOn(Struct, frozen=True, kw_only=True, array_like=True):
    """A time that the PC was on, in ms of the site's local time by the best clock; ``cut``: it ended without a goodbye."""

    boot: int
    began_ms: int
    ended_ms: int
    cut: bool


def time_on(run: Run, *, cut: bool, offset_ms: int) -> TimeOn:
    """A run that is over, placed in local time: ``offset_ms`` is that time minus CLOCK_BOOTTIME of its boot."""
    began_ms, ended_ms = run.started_boottime_ms + offset_ms, run.last_boottime_ms + offset_ms
    return TimeOn(boot=run.boot, began_ms=began_ms, ended_ms=max(began_ms, ended_ms), cut=cut)


def after(history: Sequence[TimeOn], newest: TimeOn) -> tuple[TimeOn, ...]:
    """The history with one more run; one whose date can't be is left out.

    The agent begins anew now and then: runs of one boot that follow each other closely are one time on. That they are of one
    boot does not suffice: with Windows' Fast Startup a boot goes on for weeks.
    """
    if newest.ended_ms < EARLIEST_MS:
        return tuple(history)
    if history and history[-1].boot == newest.boot and newest.began_ms - history[-1].ended_ms <= _FOLLOWS_MS:
        newest = msgspec.structs.replace(newest, began_ms=min(history[-1].began_ms, newest.began_ms))
        history = history[:-1]
    return (*history, newest)[-MOST:]


def habitual(history: Iterable[TimeOn], cut_ms: int) -> bool:
    """Whether being cut off at ``cut_ms`` (local ms) is usual, by the days before it. That cut itself may be in ``history``."""
    cuts, late = set[int](), set[int]()
    for time in history:
        # The day on which it was on at this time of day, give or take: 0 is that of the cut in question.
        day = round((time.ended_ms - cut_ms) / DAY_MS)
        if time.cut and -LOOK_BACK_DAYS <= day < 0 and abs(time.ended_ms - cut_ms - day * DAY_MS) <= WITHIN_MS:
            cuts.add(day)
        late.update(_on_until(time, cut_ms))
    return len(cuts) >= LEAST_DAYS and 2 * len(cuts) >= len(late | cuts)


def _on_until(time: TimeOn, cut_ms: int) -> range:
    """The earlier days on which it was on half an hour before that time of day."""
    at_ms = cut_ms - WITHIN_MS
    first = -((at_ms - time.began_ms) // DAY_MS)
    last = -((at_ms - time.ended_ms) // DAY_MS) - 1
    return range(max(first, -LOOK_BACK_DAYS), min(last, -1) + 1)


def usual_cut(history: Sequence[TimeOn], now_ms: int) -> str:
    """The time of day at which the site is usually cut off, as ``16:40``; "" where that is no habit."""
    cuts_ms = [time.ended_ms for time in history if time.cut and 0 <= now_ms - time.ended_ms <= LOOK_BACK_DAYS * DAY_MS]
    # As seen from tomorrow each of them lies on an earlier day.
    tomorrow = (now_ms // DAY_MS + 1) * DAY_MS
    usual_ms = [cut_ms % DAY_MS for cut_ms in cuts_ms if habitual(history, tomorrow + cut_ms % DAY_MS)]
    if not usual_ms:
        return ""
    minute = sorted(usual_ms)[len(usual_ms) // 2] // _MINUTE_MS
    return f"{minute // 60:02}:{minute % 60:02}"


_decode = msgspec.msgpack.Decoder(tuple[TimeOn, ...]).decode
stored = msgspec.msgpack.Encoder().encode


def read(kept: bytes | None) -> tuple[TimeOn, ...]:
    """What ``stored`` has written; nothing if it can't be read."""
    try:
        return _decode(kept) if kept else ()
    except (msgspec.MsgspecError, ValueError):
        return ()
