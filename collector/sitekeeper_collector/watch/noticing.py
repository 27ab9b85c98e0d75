"""From an opened report to what detection and ledger keep of it."""

from collections.abc import Sequence
from typing import NamedTuple

from sitekeeper_collector.domain.ledger import Marker
from sitekeeper_collector.domain.rules import Rules
from sitekeeper_collector.domain.signs import NOTHING, Disk, Play, Signs
from sitekeeper_collector.domain.spans import Observed, Span, spans_of
from sitekeeper_collector.watch.requests import ASK_FOR_REPAIR, Request
from sitekeeper_protocol import RELEASED_MS
from sitekeeper_protocol.messages import ButtonEvent, PowerEvent, PowerEventRecord, SeriesKey
from sitekeeper_protocol.opened import OpenedReport
from sitekeeper_protocol.vocabulary import METRICS, Metric, State

_STATE, _RUNG = (Metric.VERDICT_STATE.value, ""), (Metric.VERDICT_RUNG.value, "")
_KIND, _PARTY, _GRADE = (Metric.VERDICT_KIND.value, ""), (Metric.VERDICT_PARTY.value, ""), (Metric.VERDICT_GRADE.value, "")
_PLAYING = (Metric.PLAYING.value, "")
_WANTED = frozenset(
    {
        Metric.VERDICT_STATE.value,
        Metric.VERDICT_RUNG.value,
        Metric.VERDICT_KIND.value,
        Metric.VERDICT_PARTY.value,
        Metric.VERDICT_GRADE.value,
        Metric.PLAYING.value,
        Metric.DISK_FREE_BYTES.value,
        Metric.RUNG_STATE.value,
    }
)
_MEDIA = "/media"
_MOST = 2**15
_UNKNOWN_DISK, _ROOMY, _FULL = Disk.UNKNOWN.value, Disk.ROOMY.value, Disk.FULL.value
_UNKNOWN_PLAY, _NO, _YES = Play.UNKNOWN.value, Play.NO.value, Play.YES.value
_DISK_STEP = round(METRICS[Metric.DISK_FREE_BYTES].step)
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
    """What of the rules decides how samples are taken."""

    gap_ms: int
    disk_free_bytes: int


def limits(rules: Rules) -> Limits:
    """The limits of ``rules``."""
    return Limits(rules.evidence_gap_s * 1000, rules.disk_free_mib * 1024 * 1024)


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
    least = limit.disk_free_bytes // _DISK_STEP
    lowest: list[int] = []
    for (metric, _), values in others.items():
        # Free space changes all the time, and says the same as long as it does not cross the limit.
        if metric != Metric.DISK_FREE_BYTES or None in values:
            return None
        low = min(values)  # type: ignore[type-var]
        if low < least <= max(values):  # type: ignore[operator, type-var]
            return None
        lowest.append(low)  # type: ignore[arg-type]
    media_silent = False
    for (metric, instance), value in steady.items():
        if metric == Metric.DISK_FREE_BYTES:
            lowest.append(value)
        elif metric == Metric.RUNG_STATE and value == State.SILENT and instance.endswith(_MEDIA):
            media_silent = True
    get = steady.get
    state, rung, kind, party, grade = words = get(_STATE, -1), get(_RUNG, 0), get(_KIND, 0), get(_PARTY, 0), get(_GRADE, 0)
    if min(words) < 0 or max(words) > _MOST:
        return None  # strange, or without a verdict: to be looked at one by one
    return Signs(
        state,
        rung,
        kind,
        party,
        grade,
        _disk(lowest, least),
        _play(get(_PLAYING)),
        media_silent,
    )


def _disk(free: Sequence[int], least: int) -> int:
    if not free:
        return _UNKNOWN_DISK
    return _FULL if min(free) < least else _ROOMY


def _play(playing: int | None) -> int:
    if playing is None:
        return _UNKNOWN_PLAY
    return _YES if playing > 0 else _NO


def observe(report: OpenedReport, placed: Placed, limit: Limits) -> list[Observed]:
    """The samples whose time is known, in the order of their numbers."""
    series = report.several(_WANTED)
    media = [
        values for (metric, instance), values in series.items() if metric == Metric.RUNG_STATE and instance.endswith(_MEDIA)
    ]
    disks = [values for (metric, _), values in series.items() if metric == Metric.DISK_FREE_BYTES]
    least = limit.disk_free_bytes // _DISK_STEP
    first = report.header.first
    return [Observed(first + at, at_ms, _signs(series, media, disks, least, at)) for at, at_ms in placed if at_ms is not None]


def _signs(series: Series, media: list[list[int | None]], disks: list[list[int | None]], least: int, at: int) -> Signs:
    words = [_at(series, key, at) for key in (_STATE, _RUNG, _KIND, _PARTY, _GRADE)]
    state, rung, kind, party, grade = (-1 if words[0] is None else words[0], *(word or 0 for word in words[1:]))
    if not -1 <= state <= _MOST or not all(0 <= word <= _MOST for word in (rung, kind, party, grade)):
        state, rung, kind, party, grade = NOTHING[:5]  # no list of words is so long
    return Signs(
        state=state,
        rung=rung,
        kind=kind,
        party=party,
        grade=grade,
        disk=_disk([value for values in disks if (value := values[at]) is not None], least),
        play=_play(_at(series, _PLAYING, at)),
        media_silent=any(values[at] == State.SILENT for values in media),
    )


def _at(series: Series, key: SeriesKey, at: int) -> int | None:
    values = series.get(key)
    return None if values is None else values[at]


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
