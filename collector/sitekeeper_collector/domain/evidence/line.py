"""What the line carries, by a timed download. Loss and latency are judged at the site: its verdict names them."""

from collections.abc import Mapping, Sequence

from sitekeeper_collector.domain.evidence.thresholds import Thresholds
from sitekeeper_collector.domain.marks import Level, mark
from sitekeeper_protocol.vocabulary import Kind, Metric

METRICS: frozenset[int] = frozenset({Metric.DOWNLOAD_KBPS.value})


def marks(values: Mapping[int, Sequence[tuple[str, int]]], limit: Thresholds) -> int:
    """The mark of a sample with which a download ended; the agent makes none while something plays."""
    rate = values.get(Metric.DOWNLOAD_KBPS)
    if not rate:
        return 0
    return mark(Kind.LINE_SLOW, Level.BAD if rate[0][1] < limit.line_kbps else Level.GOOD)
