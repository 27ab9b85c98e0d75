"""What the silence of a site means, and when it becomes a ticket.

Being off is normal: a PC that vanishes is *presumed off* in the ledger at once, and nothing else happens. It becomes a ticket
if something was cut off (a class, a play), if opening hours pass without it, or if it is not heard for working days.
"""

from enum import StrEnum, unique
from typing import NamedTuple

from sitekeeper_collector.domain import calendars
from sitekeeper_collector.domain.calendars import Lesson, Week
from sitekeeper_collector.domain.rules import Rules, Silence
from sitekeeper_protocol.vocabulary import Kind


@unique
class Why(StrEnum):
    """What is made of a silence, and for which reason."""

    NOT_YET = "not_yet"
    """Nothing was cut off, and nobody waits for it yet."""
    END_OF_CLASS = "end_of_class"
    """It came at the end of a class or of opening: switched off."""
    SOON = "soon"
    """Something was cut off; if it stays so, it becomes a ticket."""
    CUT_OFF = "cut_off"
    NEIGHBOURS_TOO = "neighbours_too"
    """Something was cut off, and neighbours of the same access node are gone with it."""
    OPEN_HOURS = "open_hours"
    WORKING_DAYS = "working_days"


class Decision(NamedTuple):
    """What to do about a silence: open a ticket of ``kind``, or nothing (``None``) for now."""

    kind: Kind | None
    why: Why


class Neighbours(NamedTuple):
    """Other sites of the same access node that were in contact just before: how many of them, and how many were lost with it.

    ``power_likelier``: sites of the same feeder but of other access nodes were lost too.
    """

    together: int = 0
    gone: int = 0
    power_likelier: bool = False


class Silent(NamedTuple):
    """What is known of a site's silence. ``lost_ms`` is its last live contact; ``blind_ms`` how long we heard nothing since."""

    lost_ms: int
    playing: bool
    lessons: tuple[Lesson, ...]
    week: Week
    neighbours: Neighbours
    blind_ms: int = 0


def due_ms(last_live_ms: int, promised_ms: int, blind_until_ms: int, silence: Silence) -> int:
    """When a site counts as out of contact: after its promise, and, if we were blind since it made it, after a new chance.

    ``blind_until_ms``: the end of our latest blindness, 0 if there was none.
    """
    promise_ms = max(0, promised_ms - last_live_ms)
    due = promised_ms
    if blind_until_ms > last_live_ms:
        due = max(due, blind_until_ms + silence.reconnect_s * 1000 + promise_ms)
    return due + silence.grace_s * 1000


def judge(silent: Silent, rules: Rules, utc_offset_min: int, now_ms: int) -> Decision:
    """What is to be done now about a silence that goes on."""
    silence, lost_ms = rules.silence, silent.lost_ms
    lasted_ms = now_ms - lost_ms - silent.blind_ms
    end_ms = silence.end_of_class_s * 1000
    lesson = calendars.cut_off(silent.lessons, lost_ms, end_ms)
    in_a_class = any(on.from_ms <= lost_ms < on.to_ms for on in silent.lessons)
    if lesson is not None or (silent.playing and not in_a_class):
        return _cut_off(silent, rules, lasted_ms)
    if in_a_class or calendars.near_closing(silent.week, lost_ms, end_ms, utc_offset_min):
        calm = Why.END_OF_CLASS
    else:
        calm = Why.NOT_YET
    missed_ms = calendars.open_ms(silent.week, lost_ms, now_ms, utc_offset_min) - silent.blind_ms
    if any(silent.week) and missed_ms >= silence.open_hours_s * 1000:
        return Decision(Kind.SITE_DARK, Why.OPEN_HOURS)
    if now_ms - silent.blind_ms >= calendars.working_days_later(lost_ms, silence.working_days, utc_offset_min):
        return Decision(Kind.SITE_DARK, Why.WORKING_DAYS)
    return Decision(None, calm)


def _cut_off(silent: Silent, rules: Rules, lasted_ms: int) -> Decision:
    together, gone, power = silent.neighbours
    kinds = rules.kinds
    # One neighbour may have left by itself; most of them at the same moment have not.
    if gone and 2 * gone > together and not power and lasted_ms >= kinds.line_suspected.hold_down_s * 1000:
        return Decision(Kind.LINE_SUSPECTED, Why.NEIGHBOURS_TOO)
    if lasted_ms >= kinds.site_dark.hold_down_s * 1000:
        return Decision(Kind.SITE_DARK, Why.CUT_OFF)
    return Decision(None, Why.SOON)
