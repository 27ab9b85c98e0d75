"""The picture of a site's last days: its ledger cut into days, as bars and as sums. Pure."""

import datetime
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

from sitekeeper_collector.domain.ledger import Segment, Was

DAYS = 7
HOUR_MS = 3_600_000
GROUPS: tuple[tuple[str, tuple[Was, ...]], ...] = (
    ("works", (Was.UP, Was.DEGRADED)),
    ("faulty", (Was.LINE, Was.GATEWAY, Was.LINK, Was.PLATFORM)),
    ("no_fault", (Was.OFF, Was.PRESUMED_OFF, Was.POWER_LOST)),
    ("not_known", (Was.LINE_SUSPECTED, Was.BLIND, Was.UNKNOWN)),
)
"""What the states mean to the reader, in the order of the legend."""
ORDER = tuple(was for _, states in GROUPS for was in states)
_LEAST = 0.35
"""Percent of a day that a bar is wide at least: a short fault must be seen."""


class Bar(NamedTuple):
    """A stretch of a day: where it begins and how wide it is, in percent of the day."""

    left: float
    width: float
    segment: Segment


class Day(NamedTuple):
    """A day by the county's calendar. ``sums``: ms by state, of what has passed of it."""

    date: datetime.date
    bars: tuple[Bar, ...]
    sums: dict[Was, int]


def midnights(now_ms: int, zone: datetime.tzinfo) -> list[int]:
    """When each of the last days began, today's last, and when today ends. The county's clocks have no summer time."""
    today = datetime.datetime.fromtimestamp(now_ms / 1000, zone).replace(hour=0, minute=0, second=0, microsecond=0)
    return [round((today + datetime.timedelta(days=at)).timestamp() * 1000) for at in range(1 - DAYS, 2)]


def days(now_ms: int, zone: datetime.tzinfo, picture: Callable[[int, int], Sequence[Segment]]) -> list[Day]:
    """The last days, today first. ``picture(from_ms, to_ms)`` is the ledger."""
    found: list[Day] = []
    for start, end in pairwise(midnights(now_ms, zone)):
        segments = picture(start, min(end, now_ms))
        bars = tuple(bar(segment, start, end) for segment in sorted(segments, key=_drawn))
        found.append(Day(datetime.datetime.fromtimestamp(start / 1000, zone).date(), bars, sums(segments)))
    return found[::-1]


def last_hour(now_ms: int, picture: Callable[[int, int], Sequence[Segment]]) -> tuple[Bar, ...]:
    """The last hour until now, as wide as a day: what has just happened would be too narrow to see in its day."""
    start = now_ms - HOUR_MS
    return tuple(bar(segment, start, now_ms) for segment in sorted(picture(start, now_ms), key=_drawn))


def bar(segment: Segment, start_ms: int, end_ms: int) -> Bar:
    """Where a segment stands in its day."""
    share = 100 / (end_ms - start_ms)
    width = segment.duration_ms * share
    least = _LEAST if segment.was not in (Was.UP, Was.UNKNOWN) else 0.0
    return Bar(round((segment.from_ms - start_ms) * share, 3), round(max(width, least), 3), segment)


def sums(segments: Sequence[Segment]) -> dict[Was, int]:
    """How long a site was in each state, in ms; states that did not occur are not there."""
    found: dict[Was, int] = {}
    for segment in segments:
        found[segment.was] = found.get(segment.was, 0) + segment.duration_ms
    return {was: found[was] for was in ORDER if was in found}


def total(shown: Sequence[Day]) -> dict[Was, int]:
    """The sums of all days together."""
    return {was: sum(day.sums.get(was, 0) for day in shown) for was in occurring(shown)}


def occurring(shown: Sequence[Day]) -> list[Was]:
    """The states of all days, in the order of the legend."""
    return [was for was in ORDER if any(was in day.sums for day in shown)]


def _drawn(segment: Segment) -> tuple[bool, int]:
    """Long stretches first: a short fault that is drawn wider than it is lies on top of its neighbours."""
    return (segment.was not in (Was.UP, Was.UNKNOWN), segment.from_ms)
