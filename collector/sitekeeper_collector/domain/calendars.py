"""Classes and opening hours: when a site is meant to be in use. Times of day are those of the county's clocks."""

import datetime
from collections.abc import Iterable
from typing import NamedTuple

Week = tuple[tuple[tuple[int, int], ...], ...]
"""For Monday to Sunday: opening intervals in minutes since midnight, ascending, not touching (``registry.hours``)."""
_MINUTE_MS, _DAY_MS = 60_000, 86_400_000
_MONDAY_MS = 4 * _DAY_MS
"""1970-01-05, the first Monday of Unix time."""
_WORKING_DAYS = 5


class Lesson(NamedTuple):
    """A class that is held from ``from_ms`` until before ``to_ms``."""

    from_ms: int
    to_ms: int
    title: str


def cut_off(lessons: Iterable[Lesson], lost_ms: int, end_of_class_ms: int) -> Lesson | None:
    """The class in the middle of which contact was lost; none if it was at its end, when PCs are switched off at the wall."""
    on = [lesson for lesson in lessons if lesson.from_ms <= lost_ms < lesson.to_ms - end_of_class_ms]
    return max(on, key=lambda lesson: lesson.to_ms, default=None)


def near_end(lessons: Iterable[Lesson], at_ms: int, within_ms: int) -> bool:
    """Whether ``at_ms`` lies close to the end of a class, before or after it."""
    return any(lesson.from_ms <= at_ms and abs(lesson.to_ms - at_ms) <= within_ms for lesson in lessons)


def open_ms(week: Week, from_ms: int, to_ms: int, utc_offset_min: int) -> int:
    """How long a site is open between two instants, in ms."""
    return sum(min(end, to_ms) - max(start, from_ms) for start, end in openings(week, from_ms, to_ms, utc_offset_min))


def openings(week: Week, from_ms: int, to_ms: int, utc_offset_min: int) -> list[tuple[int, int]]:
    """The opening intervals that share time with ``from_ms`` to ``to_ms``, in order; at most some years of them."""
    offset_ms = utc_offset_min * _MINUTE_MS
    found: list[tuple[int, int]] = []
    midnight = (from_ms + offset_ms) // _DAY_MS * _DAY_MS
    while midnight - offset_ms < to_ms and len(found) < 10_000 and any(week):
        weekday = (midnight - _MONDAY_MS) // _DAY_MS % 7
        for start, end in week[weekday]:
            opens, closes = midnight - offset_ms + start * _MINUTE_MS, midnight - offset_ms + end * _MINUTE_MS
            if opens < to_ms and closes > from_ms:
                found.append((opens, closes))
        midnight += _DAY_MS
    return found


def near_closing(week: Week, at_ms: int, within_ms: int, utc_offset_min: int) -> bool:
    """Whether ``at_ms`` lies in the last part of an opening interval, or just after one."""
    around = openings(week, at_ms - within_ms, at_ms + within_ms, utc_offset_min)
    return any(abs(closes - at_ms) <= within_ms for _, closes in around)


def working_days_later(from_ms: int, days: int, utc_offset_min: int) -> int:
    """The instant, ``days`` whole working days (Monday to Friday) after ``from_ms``, at the same time of day."""
    zone = datetime.timezone(datetime.timedelta(minutes=utc_offset_min))
    moment = datetime.datetime.fromtimestamp(from_ms / 1000, zone)
    while days > 0:
        moment += datetime.timedelta(days=1)
        days -= moment.weekday() < _WORKING_DAYS
    return round(moment.timestamp() * 1000)
