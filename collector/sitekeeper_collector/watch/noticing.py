"""From an opened report to what detection and ledger keep of it."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple, cast

from sitekeeper_collector.domain.evidence import METRICS, edges, io_errors, marks
from sitekeeper_collector.domain.evidence.playback import WHILE_STALLING
from sitekeeper_collector.domain.evidence.thresholds import Edges, Thresholds
from sitekeeper_collector.domain.ledger import Marker
from sitekeeper_collector.domain.rules import Rules
from sitekeeper_collector.domain.signs import NOTHING, Disk, Play, Signs
from sitekeeper_collector.domain.spans import Observed, Span, spans_of
from sitekeeper_collector.watch.requests import ASK_FOR_REPAIR, Request
from sitekeeper_protocol import RELEASED_MS
from sitekeeper_protocol.messages import ButtonEvent, PowerEvent, PowerEventRecord, SeriesKey
from sitekeeper_protocol.opened import OpenedReport
from sitekeeper_protocol.vocabulary import METRICS as FACTS
from sitekeeper_protocol.vocabulary import Metric, State

_STATE, _RUNG = (Metric.VERDICT_STATE.value, ""), (Metric.VERDICT_RUNG.value, "")
_KIND, _PARTY, _GRADE = (Metric.VERDICT_KIND.value, ""), (Metric.VERDICT_PARTY.value, ""), (Metric.VERDICT_GRADE.value, "")
_PLAYING = (Metric.PLAYING.value, "")
_WANTED: frozenset[int] = METRICS | {
    Metric.VERDICT_STATE.value,
    Metric.VERDICT_RUNG.value,
    Metric.VERDICT_KIND.value,
    Metric.VERDICT_PARTY.value,
    Metric.VERDICT_GRADE.value,
    Metric.PLAYING.value,
    Metric.DISK_FREE_BYTES.value,
    Metric.RUNG_STATE.value,
}
_IN_DETAIL: frozenset[int] = _WANTED | WHILE_STALLING
_VERDICT = frozenset(key[0] for key in (_STATE, _RUNG, _KIND, _PARTY, _GRADE))
_STALLED = Metric.PLAYER_STALL_S.value
_FREE = Metric.DISK_FREE_BYTES.value
_RUNG_STATE = Metric.RUNG_STATE.value
_MEDIA = "/media"
_MOST = 2**15
_UNKNOWN_DISK, _ROOMY, _FULL = Disk.UNKNOWN.value, Disk.ROOMY.value, Disk.FULL.value
_UNKNOWN_PLAY, _NO, _YES = Play.UNKNOWN.value, Play.NO.value, Play.YES.value
_DISK_STEP = round(FACTS[Metric.DISK_FREE_BYTES].step)
_MARKED = (
    PowerEvent.STARTED,
    PowerEvent.GOODBYE,
    PowerEvent.POWER_LOST,
    PowerEvent.AGENT_DIED,
    PowerEvent.SUSPENDED,
    PowerEvent.RESUMED,
)

Series = dict[SeriesKey, list[int | None]]
Placed = Sequence[tuple[int, int | None]]
"""Place of a sample in its report, and its time if that is known."""


class Limits(NamedTuple):
    """What of the rules decides how samples are taken.

    ``edges``: by metric, the values (as on the wire) at which a sample begins to say something else.
    """

    gap_ms: int
    disk_free_bytes: int
    measured: Thresholds
    edges: Edges


def limits(rules: Rules) -> Limits:
    """The limits of ``rules``."""
    free_bytes = rules.disk_free_mib * 1024 * 1024
    found = edges(rules.measured) | {_FREE: (free_bytes // _DISK_STEP,)}
    return Limits(rules.evidence_gap_s * 1000, free_bytes, rules.measured, found)


def spans(report: OpenedReport, placed: Placed, limit: Limits) -> list[Span]:
    """The samples whose time is known, as spans in the order of their numbers."""
    header = report.header
    steady, others = report.steady_and_others(_WANTED)
    signs = _steady_signs(steady, others, limit)
    if signs is not None and (times := _one_stretch(placed, limit.gap_ms)):
        first = header.first
        return [Span(header.run, first + placed[0][0], first + placed[-1][0], *times, signs)]
    return spans_of(header.run, observe(report, placed, limit), limit.gap_ms)


def _one_stretch(placed: Placed, gap_ms: int) -> tuple[int, int] | None:
    """First and last time of samples that follow each other in number and time; ``None`` if they don't."""
    before, before_ms = placed[0]
    for at, at_ms in placed[1:]:
        if at_ms is None or before_ms is None or at != before + 1 or not 0 <= at_ms - before_ms <= gap_ms:
            return None
        before, before_ms = at, at_ms
    first_ms = placed[0][1]
    return None if first_ms is None or before_ms is None else (first_ms, before_ms)


def _steady_signs(steady: dict[SeriesKey, int], others: Series, limit: Limits) -> Signs | None:
    """What all samples of a report say, if they say the same."""
    for (metric, instance), values in others.items():
        # Some values change all the time, and say the same as long as they don't cross an edge: the first speaks for all.
        at = limit.edges.get(metric)
        if at is None or None in values:
            return None
        known = cast("Sequence[int]", values)  # none is missing, as was asked just now
        low = min(known)
        if bisect_right(at, low) != bisect_right(at, max(known)):
            return None
        steady[metric, instance] = low
    # Strange, or without a verdict, or stalling, which asks for more to be read: to be looked at one by one.
    return _signs(steady, limit, strict=True)


def observe(report: OpenedReport, placed: Placed, limit: Limits) -> list[Observed]:
    """The samples whose time is known, in the order of their numbers."""
    series = report.several(_IN_DETAIL)
    first = report.header.first
    found: list[Observed] = []
    for at, at_ms in placed:
        if at_ms is not None:
            values = {key: value for key, column in series.items() if (value := column[at]) is not None}
            signs = _signs(values, limit, strict=False)
            assert signs is not None, "a sample always says something, if only that it is strange"
            found.append(Observed(first + at, at_ms, signs))
    return found


def _signs(values: dict[SeriesKey, int], limit: Limits, *, strict: bool) -> Signs | None:
    """What one sample says. ``strict``: ``None`` for one that is not plain, or stalls."""
    words = values.get(_STATE, -1), values.get(_RUNG, 0), values.get(_KIND, 0), values.get(_PARTY, 0), values.get(_GRADE, 0)
    if min(words) < 0 or max(words) > _MOST:
        if strict:
            return None
        if words[0] < -1 or min(words[1:]) < 0 or max(words) > _MOST:
            words = NOTHING[:5]  # no list of words is so long
    by_metric: dict[int, list[tuple[str, int]]] = {}
    disk, media_silent = _UNKNOWN_DISK, False
    free_from = limit.edges[_FREE][0]
    for (metric, instance), value in values.items():
        if metric == _RUNG_STATE:
            if instance.endswith(_MEDIA):
                media_silent |= value == State.SILENT
            elif _MEDIA not in instance:
                continue
        elif metric in _VERDICT:
            continue
        elif metric == _FREE:
            disk = _FULL if value < free_from or disk == _FULL else _ROOMY
            continue
        elif strict and metric == _STALLED and value:
            return None
        by_metric.setdefault(metric, []).append((instance, value))
    playing = values.get(_PLAYING)
    return Signs(
        *words,
        disk,
        _UNKNOWN_PLAY if playing is None else _YES if playing > 0 else _NO,
        media_silent,
        marks(by_metric, limit.measured, well=words[0] == State.OK),
        io_errors(by_metric),
    )


def ask(site: str, report: OpenedReport, placed: Placed, received_ms: int) -> list[Request]:
    """The requests for repair in a report. One whose time is not known counts from its arrival."""
    if not report.events:
        return []
    return [
        Request(site, received_ms if at_ms is None else at_ms, event.code)
        for at, at_ms in placed
        for event in report.events.get(at, ())
        if isinstance(event, ButtonEvent) and event.button == ASK_FOR_REPAIR
    ]


def mark(report: OpenedReport, placed: Placed) -> list[tuple[int, Marker]]:
    """The starts, goodbyes and losses of power in samples whose time is known, each with its place among the events."""
    if not report.events:
        return []
    boottimes, header = report.boottimes_ms, report.header
    found: list[tuple[int, Marker]] = []
    for at, at_ms in placed:
        if at_ms is None:
            continue
        for place, event in enumerate(report.events.get(at, ())):
            if isinstance(event, PowerEventRecord) and event.what in _MARKED:
                last_ms = event.last_wall_ms if RELEASED_MS <= event.last_wall_ms <= at_ms else 0
                marker = Marker(
                    header.run,
                    header.first + at,
                    at_ms,
                    event.what,
                    event.reason[:64],
                    event.run if 0 < event.run < 2**63 else 0,
                    last_ms,
                    max(0, at_ms - boottimes[at]),
                )
                found.append((place, marker))
    return found
