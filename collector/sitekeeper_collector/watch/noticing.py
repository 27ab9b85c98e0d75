"""From an opened report to what detection and ledger keep of it."""

from collections.abc import Sequence

from sitekeeper_collector.domain.ledger import Marker
from sitekeeper_collector.domain.signs import Disk, Play, Signs
from sitekeeper_collector.domain.spans import Observed
from sitekeeper_protocol import RELEASED_MS
from sitekeeper_protocol.messages import PowerEvent, PowerEventRecord, SeriesKey
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


def observe(report: OpenedReport, placed: Placed, disk_free_bytes: int) -> list[Observed]:
    """The samples whose time is known, in the order of their numbers."""
    series = report.several(_WANTED)
    media = [
        values for (metric, instance), values in series.items() if metric == Metric.RUNG_STATE and instance.endswith(_MEDIA)
    ]
    disks = [values for (metric, _), values in series.items() if metric == Metric.DISK_FREE_BYTES]
    least = disk_free_bytes // _DISK_STEP
    first = report.header.first
    return [Observed(first + at, at_ms, _signs(series, media, disks, least, at)) for at, at_ms in placed if at_ms is not None]


def _signs(series: Series, media: list[list[int | None]], disks: list[list[int | None]], least: int, at: int) -> Signs:
    state = _at(series, _STATE, at)
    free = [value for values in disks if (value := values[at]) is not None]
    playing = _at(series, _PLAYING, at)
    return Signs(
        state=-1 if state is None else state,
        rung=_at(series, _RUNG, at) or 0,
        kind=_at(series, _KIND, at) or 0,
        party=_at(series, _PARTY, at) or 0,
        grade=_at(series, _GRADE, at) or 0,
        disk=(Disk.UNKNOWN if not free else Disk.FULL if min(free) < least else Disk.ROOMY).value,
        play=(Play.UNKNOWN if playing is None else Play.YES if playing > 0 else Play.NO).value,
        media_silent=any(values[at] == State.SILENT for values in media),
    )


def _at(series: Series, key: SeriesKey, at: int) -> int | None:
    values = series.get(key)
    return None if values is None else values[at]


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
                    event.run,
                    last_ms,
                    max(0, at_ms - boottimes[at]),
                )
                found.append((place, marker))
    return found
