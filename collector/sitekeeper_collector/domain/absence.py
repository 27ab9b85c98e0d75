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
    """What to do about a silence: open a ticket of ``kind``, or nothing (``None``) for now.

    Before ``again_ms`` time alone can't change it.
    """

    kind: Kind | None
    why: Why
    again_ms: int = 0


class Neighbours(NamedTuple):
    """Other sites of the same access node that were in contact just before: how many of them, and how many were lost with it.

    ``power_likelier``: sites of the same feeder but of other access nodes were lost too.
    """

    together: int = 0
    gone: int = 0
    power_likelier: bool = False


class Silent(NamedTuple):
    """What is known of a site's silence. ``lost_ms`` is its last live contact; ``blind_ms`` how long we heard nothing since.

    ``lessons``: those of the site that are held, or have just been held, at ``lost_ms``. ``heard_by_ms``: when a site that is
    there would have been heard again after our latest blindness (0: there was none).
    """

    lost_ms: int
    playing: bool
    lessons: tuple[Lesson, ...]
    week: Week
    neighbours: Neighbours
    blind_ms: int = 0
    heard_by_ms: int = 0


def due_ms(last_live_ms: int, promised_ms: int, blind_until_ms: int, silence: Silence) -> int:
    """When a site counts as out of contact: after its promise, and, if we were blind since it made it, after a new chance.

    ``blind_until_ms``: the end of our latest blindness, 0 if there was none.
    """
    promise_ms = max(0, promised_ms - last_live_ms)
    due = promised_ms
    if blind_until_ms > last_live_ms:
        due = max(due, blind_until_ms + silence.reconnect_s * 1000 + promise_ms)
    return due + silence.grace_s * 1000


def cuts_off(silent: Silent, silence: Silence, utc_offset_min: int) -> bool:
    """Whether a class or a play was cut off: not at the end of a class or of opening, when PCs are switched off at the wall."""
    end_ms = silence.end_of_class_s * 1000
    if calendars.cut_off(silent.lessons, silent.lost_ms, end_ms) is not None:
        return True
    return silent.playing and not _at_the_end(silent, end_ms, utc_offset_min)


def at_the_end(silent: Silent, silence: Silence, utc_offset_min: int) -> bool:
    """Whether it came at the end of a class or of opening, when PCs are switched off at the wall."""
    return _at_the_end(silent, silence.end_of_class_s * 1000, utc_offset_min)


def judge(silent: Silent, rules: Rules, utc_offset_min: int, now_ms: int) -> Decision:
    """What is to be done now about a silence that goes on."""
    if cuts_off(silent, rules.silence, utc_offset_min):
        decision = _cut_off(silent, rules, now_ms)
    else:
        decision = _missed(silent, rules.silence, utc_offset_min, now_ms)
    if decision.kind is not None and now_ms < silent.heard_by_ms:
        return Decision(None, Why.SOON, silent.heard_by_ms)
    return decision


def _cut_off(silent: Silent, rules: Rules, now_ms: int) -> Decision:
    together, gone, power = silent.neighbours
    suspected_ms, dark_ms = (rule.hold_down_s * 1000 for rule in (rules.kinds.line_suspected, rules.kinds.site_dark))
    lasted_ms = now_ms - silent.lost_ms - silent.blind_ms
    # One neighbour may have left by itself; most of them at the same moment have not.
    if gone and 2 * gone > together and not power and lasted_ms >= suspected_ms:
        return Decision(Kind.LINE_SUSPECTED, Why.NEIGHBOURS_TOO)
    if lasted_ms >= dark_ms:
        return Decision(Kind.SITE_DARK, Why.CUT_OFF)
    # From the first on, it depends on the neighbours.
    return Decision(None, Why.SOON, now_ms - lasted_ms + min(suspected_ms, dark_ms))


def _missed(silent: Silent, silence: Silence, utc_offset_min: int, now_ms: int) -> Decision:
    """Where weekly hours are known, only they are waited through; a site that opens one day a week is missed on that day."""
    calm = Why.END_OF_CLASS if _at_the_end(silent, silence.end_of_class_s * 1000, utc_offset_min) else Why.NOT_YET
    if any(silent.week):
        missed_ms = calendars.open_ms(silent.week, silent.lost_ms, now_ms, utc_offset_min) - silent.blind_ms
        left_ms = silence.open_hours_s * 1000 - missed_ms
        return Decision(Kind.SITE_DARK, Why.OPEN_HOURS) if left_ms <= 0 else Decision(None, calm, now_ms + left_ms)
    due = calendars.working_days_later(silent.lost_ms, silence.working_days, utc_offset_min) + silent.blind_ms
    return Decision(Kind.SITE_DARK, Why.WORKING_DAYS) if now_ms >= due else Decision(None, calm, due)


def _at_the_end(silent: Silent, end_ms: int, utc_offset_min: int) -> bool:
    if calendars.near_end(silent.lessons, silent.lost_ms, end_ms):
        return True
    return calendars.near_closing(silent.week, silent.lost_ms, end_ms, utc_offset_min)
