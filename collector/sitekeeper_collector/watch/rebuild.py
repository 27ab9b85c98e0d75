"""A site's own record made anew from its stored reports, to hold against the one that was kept as they came."""

from typing import NamedTuple

from sqlalchemy import Connection, select

from sitekeeper_collector.domain.rules import Rules
from sitekeeper_collector.domain.spans import Span
from sitekeeper_collector.store import evidence
from sitekeeper_collector.store.evidence import PlacedMarker
from sitekeeper_collector.store.tables import runs
from sitekeeper_collector.watch import noticing
from sitekeeper_collector.watch.book import from_store


class Record(NamedTuple):
    """Spans and markers of a site, in the order of run and number."""

    spans: list[Span]
    markers: list[PlacedMarker]


def rebuild(connection: Connection, site: str, rules: Rules) -> Record:
    """The record that follows from the stored reports. Nothing is written; one run is in memory at a time."""
    limit = noticing.limits(rules)
    made = Record([], [])
    for run in list(connection.execute(select(runs.c.run).where(runs.c.site == site).order_by(runs.c.run)).scalars()):
        news = from_store(connection, site, run, limit)
        made.spans.extend(news.spans)
        made.markers.extend(PlacedMarker(site, place, marker) for place, marker in news.markers)
    return made


def kept(connection: Connection, site: str) -> Record:
    """The record that ingest has kept."""
    return Record(evidence.all_spans(connection, site), evidence.all_markers(connection, site))
