"""What a site's record says of one kind, piece by piece in the order of time: the input of the state machine.

Most kinds are told by each sample. Some count only in a class, some once for each class, boot or day, some show only in what
changes from one sample to the next, or in how a run began.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from sitekeeper_collector.domain.calendars import Lesson
from sitekeeper_collector.domain.ledger import Marker
from sitekeeper_collector.domain.marks import Level, level
from sitekeeper_collector.domain.rules import Each, Rule, Rules
from sitekeeper_collector.domain.signs import NOTHING, Sign, sign
from sitekeeper_collector.domain.spans import Span
from sitekeeper_protocol.messages import PowerEvent
from sitekeeper_protocol.vocabulary import Kind

_DAY_MS = 86_400_000
NOWHERE = 0
"""The unit of what belongs to no class."""


class Seen(NamedTuple):
    """That ``span`` says ``said``. ``times``: how often it counts; ``unit``: the class, boot or day that it belongs to."""

    span: Span
    said: Sign
    times: int = 1
    unit: int = NOWHERE


class Context(NamedTuple):
    """What is known of a site beside its samples.

    ``lessons``: its classes, by time. ``boots``: the boot of each run. ``lives``: markers of its record. Times of day are those
    of the county's clocks.
    """

    lessons: tuple[Lesson, ...] = ()
    boots: Mapping[int, int] = {}
    lives: tuple[Marker, ...] = ()
    utc_offset_min: int = 0


NO_CONTEXT = Context()


def seen(kind: Kind, spans: Sequence[Span], rules: Rules, context: Context) -> Iterable[Seen]:
    """What ``spans``, sorted by time, say of ``kind``."""
    rule = rules.of(kind)
    assert rule is not None, f"no rule for {kind}"
    if kind is Kind.RESTARTING:
        return _restarts(spans, rules, context.lives)
    if kind is Kind.DISK_FAILING:
        return _failing(spans)
    if kind is Kind.PLAYER_MISSING:
        return _in_use(spans, context.lessons)
    if rule.times == 1:
        return (Seen(span, sign(kind, span.signs)) for span in spans)
    return _counted(kind, spans, rule, context)


def _counted(kind: Kind, spans: Sequence[Span], rule: Rule, context: Context) -> Iterator[Seen]:
    if rule.each is Each.CLASS:
        for span in spans:
            for piece, unit in _pieces(span, context.lessons):
                said = sign(kind, span.signs)
                # Outside of classes it is no matter whether it is missing, but it is one that it is there.
                yield Seen(piece, Sign.UNKNOWN if said is Sign.BAD and unit == NOWHERE else said, 1, unit)
        return
    offset_ms = context.utc_offset_min * 60_000
    for span in spans:
        times = span.last - span.first + 1
        if level(kind, span.signs.marks) is Level.WORSE:
            times *= rule.times
        unit = NOWHERE
        if rule.each is Each.BOOT:
            unit = context.boots.get(span.run, span.run)
        elif rule.each is Each.DAY:
            unit = (span.from_ms + offset_ms) // _DAY_MS
        yield Seen(span, sign(kind, span.signs), times, unit)


def _pieces(span: Span, lessons: Sequence[Lesson]) -> Iterator[tuple[Span, int]]:
    """A span cut where classes begin and end, each part with its class (its begin), or none."""
    at_ms = span.from_ms
    for lesson in lessons:
        if lesson.to_ms <= at_ms:
            continue
        if lesson.from_ms > span.to_ms:
            break
        if lesson.from_ms > at_ms:
            yield span._replace(from_ms=at_ms, to_ms=lesson.from_ms), NOWHERE
            at_ms = lesson.from_ms
        until_ms = min(lesson.to_ms, span.to_ms)
        yield span._replace(from_ms=at_ms, to_ms=until_ms), lesson.from_ms
        at_ms = until_ms
        if at_ms == span.to_ms:
            return
    if at_ms < span.to_ms or at_ms == span.from_ms:
        yield span._replace(from_ms=at_ms), NOWHERE


def _in_use(spans: Sequence[Span], lessons: Sequence[Lesson]) -> Iterator[Seen]:
    """A player that does not run is missed in a class; one that hangs, always."""
    for span in spans:
        if level(Kind.PLAYER_MISSING, span.signs.marks) is not Level.BAD:
            yield Seen(span, sign(Kind.PLAYER_MISSING, span.signs))
            continue
        for piece, unit in _pieces(span, lessons):
            yield Seen(piece, Sign.UNKNOWN if unit == NOWHERE else Sign.BAD, 1, unit)


def _failing(spans: Sequence[Span]) -> Iterator[Seen]:
    """A disk that has counted more errors than before in the same run is failing, whatever else it says."""
    counted: dict[int, int] = {}
    for span in spans:
        before, now = counted.get(span.run, -1), span.signs.io_errors
        if now >= 0:
            counted[span.run] = now
        said = sign(Kind.DISK_FAILING, span.signs)
        if 0 <= before < now:
            first = span._replace(to_ms=span.from_ms, last=span.first)
            yield Seen(first, Sign.BAD)
            said = Sign.GOOD if said is Sign.UNKNOWN else said
        elif said is Sign.UNKNOWN and now >= 0:
            said = Sign.GOOD
        yield Seen(span, said)


def _restarts(spans: Sequence[Span], rules: Rules, lives: Sequence[Marker]) -> Iterator[Seen]:
    """Runs that began soon after the one before had ended without a goodbye; all that goes on is good."""
    gap_ms = rules.measured.restart_gap_s * 1000
    found = [Seen(span, Sign.GOOD) for span in spans]
    for life in lives:
        began_ms = life.boot_ms if life.last_ms < life.boot_ms <= life.at_ms else life.at_ms
        if life.what is PowerEvent.POWER_LOST and life.last_ms > 0 and began_ms - life.last_ms <= gap_ms:
            at = Span(life.run, life.sequence, life.sequence, life.at_ms, life.at_ms, NOTHING)
            found.append(Seen(at, Sign.BAD))
    yield from sorted(found, key=lambda one: (one.span.from_ms, one.said is Sign.GOOD, one.span.to_ms, one.span.run))
