"""What one transaction of ingest tells the watch."""

from typing import NamedTuple

from sitekeeper_collector.domain.ledger import Marker
from sitekeeper_collector.domain.spans import Span
from sitekeeper_collector.watch.requests import Request


class SiteNews(NamedTuple):
    """New samples of a run, whose times are known, as spans, and the starts and goodbyes among them."""

    site: str
    run: int
    spans: list[Span]
    markers: list[tuple[int, Marker]]


class News:
    """Gathered by ``Intake``, in the order of the messages."""

    __slots__ = ("back", "connections", "goodbyes", "replaced", "requests", "samples")

    def __init__(self) -> None:
        self.samples: list[SiteNews] = []
        self.requests: list[Request] = []
        self.back: dict[str, int] = {}
        """Sites that are in contact by a live report, and when it came."""
        self.connections: dict[str, tuple[int, int]] = {}
        """Of these, the run and the connection that they are heard by."""
        self.goodbyes: dict[str, tuple[int, str]] = {}
        """Sites that said goodbye: when, and why."""
        self.replaced: set[tuple[str, int]] = set()
        """(site, boot) whose samples got other times, as their clock became known."""
