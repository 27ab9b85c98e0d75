"""The spans and markers of each site's own record, kept up to date from what comes in."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, and_, select

from sitekeeper_collector.domain.detection import groups
from sitekeeper_collector.domain.rules import Rules
from sitekeeper_collector.domain.signs import names_a_fault
from sitekeeper_collector.domain.spans import Observed, Span, joined, spans_of, woven
from sitekeeper_collector.store import evidence
from sitekeeper_collector.store.evidence import PlacedMarker
from sitekeeper_collector.store.tables import reports, runs, samples
from sitekeeper_collector.watch import noticing
from sitekeeper_collector.watch.news import SiteNews
from sitekeeper_collector.watch.noticing import Limits
from sitekeeper_protocol.codec import open_report
from sitekeeper_protocol.messages import PowerEvent

CAPACITY = 100_000
_CHUNK = 200


class Taken(NamedTuple):
    """Since when the record of a site says more, if it does.

    ``quiet``: what is new comes after all that was known, and names no fault: where none was open, none is. ``slow``: it names
    one that takes days or weeks to show.
    """

    since_ms: int | None
    quiet: bool = True
    slow: bool = False


class Book:
    """Remembers the newest span of each site, so that a steady stream of samples needs no SELECT."""

    def __init__(self, rules: Rules) -> None:
        self.limits = noticing.limits(rules)
        self._gap_ms = self.limits.gap_ms
        self._slowly = groups(rules)[1]
        self._tails: dict[str, Span] = {}
        self._longer: dict[str, Span] = {}
        self._new: set[str] = set()
        """Sites that have no span yet, as far as was looked for in this transaction."""

    def forget(self) -> None:
        """Memory may differ from the database."""
        self._tails.clear()
        self._longer.clear()
        self._new.clear()

    def settle(self) -> None:
        """What was written is committed."""
        self._new.clear()
        if len(self._tails) > CAPACITY:
            self._tails.clear()

    def prefetch(self, connection: Connection, sites: Iterable[str]) -> None:
        """Bring the newest spans of sites into memory, with a few SELECTs for all of them."""
        missing = [site for site in dict.fromkeys(sites) if site not in self._tails and site not in self._new]
        for at in range(0, len(missing), _CHUNK):
            some = missing[at : at + _CHUNK]
            found = evidence.newest_spans(connection, some)
            self._tails.update(found)
            self._new.update(site for site in some if site not in found)

    def tail(self, connection: Connection, site: str) -> Span | None:
        """The newest span of a site."""
        found = self._tails.get(site)
        if found is None and site not in self._new:
            found = evidence.newest_span(connection, site)
            if found is not None:
                self._tails[site] = found
        return found

    def take(self, connection: Connection, news: SiteNews) -> Taken:
        """Take in new samples."""
        if news.markers:
            evidence.add_markers(connection, [PlacedMarker(news.site, place, marker) for place, marker in news.markers])
        new = news.spans
        if not new:
            return Taken(None)
        taken = self._take(connection, news, new)
        if taken.quiet and not news.markers:
            return taken
        lost_power = any(marker.what is PowerEvent.POWER_LOST for _, marker in news.markers)
        slow = lost_power or any(self._slowly.named_by(span.signs) for span in new)
        return taken._replace(quiet=taken.quiet and not lost_power, slow=slow)

    def _take(self, connection: Connection, news: SiteNews, new: Sequence[Span]) -> Taken:
        tail = self.tail(connection, news.site)
        longer = joined(tail, new[0], self._gap_ms) if tail is not None and len(new) == 1 else None
        since_ms = min(span.from_ms for span in new)
        quiet = (tail is None or tail.to_ms <= since_ms) and not any(names_a_fault(span.signs) for span in new)
        if longer is not None:
            self._tails[news.site] = self._longer[news.site] = longer
            return Taken(since_ms, quiet)
        if tail is None:
            # The first of this site: there is nothing to weave it into.
            evidence.add_spans(connection, [(news.site, span) for span in new])
            self._tails[news.site] = max(new, key=_end)
            self._new.discard(news.site)
            return Taken(since_ms, quiet)
        since_ms = self._weave(connection, news.site, news.run, new)
        return Taken(since_ms, quiet and since_ms >= tail.to_ms)

    def flush(self, connection: Connection, site: str | None = None) -> None:
        """Write the spans that went on: of one site, before it is read, or of all."""
        if site is not None:
            longer = self._longer.pop(site, None)
            evidence.prolong_spans(connection, [(site, longer)] if longer else [])
            return
        evidence.prolong_spans(connection, list(self._longer.items()))
        self._longer.clear()

    def rebuild(self, connection: Connection, site: str, boot: int) -> int | None:
        """Make the record of a boot anew from its stored samples, whose times have changed; since when it may differ."""
        self.flush(connection, site)
        of_boot = select(runs.c.run).where(runs.c.site == site, runs.c.boot == boot)
        found = [self._rebuild_run(connection, site, run) for run in list(connection.execute(of_boot).scalars())]
        return min((since_ms for since_ms in found if since_ms is not None), default=None)

    def _rebuild_run(self, connection: Connection, site: str, run: int) -> int | None:
        news = from_store(connection, site, run, self.limits)
        before = evidence.spans_of_run(connection, site, run)
        after = news.spans
        evidence.drop_spans(connection, site, before)
        evidence.add_spans(connection, [(site, span) for span in after])
        self._new.discard(site)
        evidence.drop_markers(connection, site, run)
        evidence.add_markers(connection, [PlacedMarker(site, place, marker) for place, marker in news.markers])
        self._tails.pop(site, None)
        return min((span.from_ms for span in (*before, *after)), default=None)

    def _weave(self, connection: Connection, site: str, run: int, new: Sequence[Span]) -> int:
        """Since when the record says something else."""
        since_ms = min(span.from_ms for span in new)
        self.flush(connection, site)
        near = evidence.spans_of_run(connection, site, run, new[0].first, new[-1].last)
        if any(known.first <= span.last and span.first <= known.last for known in near for span in new):
            # Spans of samples that the store has lost: what it holds is the truth.
            rebuilt_ms = self._rebuild_run(connection, site, run)
            return since_ms if rebuilt_ms is None else min(since_ms, rebuilt_ms)
        after = woven(near, new, self._gap_ms)
        evidence.drop_spans(connection, site, near)
        evidence.add_spans(connection, [(site, span) for span in after])
        tail = self._tails.get(site)
        if tail is None or _end(max(after, key=_end)) >= _end(tail) or tail.run == run:
            self._tails.pop(site, None)
        return since_ms


def _end(span: Span) -> tuple[int, int]:
    return span.to_ms, span.first


def from_store(connection: Connection, site: str, run: int, limit: Limits) -> SiteNews:
    """All stored samples of a run, as they would have been told when they came."""
    its_report = and_(reports.c.site == samples.c.site, reports.c.run == samples.c.run, reports.c.first == samples.c.report)
    rows = connection.execute(
        select(samples.c.sequence, samples.c.placed_ms, samples.c.report, reports.c.payload)
        .select_from(samples.join(reports, its_report))
        .where(samples.c.site == site, samples.c.run == run)
        .order_by(samples.c.report, samples.c.sequence)
    )
    by_report: dict[int, tuple[bytes, list[tuple[int, int | None]]]] = {}
    for sequence, placed_ms, number, payload in rows:
        by_report.setdefault(number, (payload, []))[1].append((sequence, placed_ms))
    observed: list[Observed] = []
    markers = []
    for payload, taken in by_report.values():
        report = open_report(payload)
        placed = [(sequence - report.header.first, placed_ms) for sequence, placed_ms in taken]
        observed += noticing.observe(report, placed, limit)
        markers += noticing.mark(report, placed)
    spans = spans_of(run, sorted(observed), limit.gap_ms)
    return SiteNews(site, run, spans, sorted(markers, key=lambda m: (m[1].sequence, m[0])))
