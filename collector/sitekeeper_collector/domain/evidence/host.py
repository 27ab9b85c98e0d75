"""The PC itself: its heat, its clock, and the agent's own trouble."""

from collections.abc import Mapping, Sequence

from sitekeeper_collector.domain.evidence.thresholds import Edges, Thresholds
from sitekeeper_collector.domain.marks import Level, mark
from sitekeeper_protocol.vocabulary import Kind, Metric, to_wire

METRICS: frozenset[int] = frozenset(
    {
        Metric.TEMPERATURE_C.value,
        Metric.THROTTLED.value,
        Metric.CLOCK_OFFSET_S.value,
        Metric.PROBES_HUNG.value,
    }
)


def edges(limit: Thresholds) -> Edges:
    """Where heat, clock and hung probes begin to matter."""
    return {
        Metric.TEMPERATURE_C.value: (to_wire(Metric.TEMPERATURE_C, limit.temperature_c),),
        Metric.CLOCK_OFFSET_S.value: (-limit.clock_s, limit.clock_s + 1),
        Metric.PROBES_HUNG.value: (1,),
    }


def marks(values: Mapping[int, Sequence[tuple[str, int]]], limit: Thresholds) -> int:
    """Marks of the kinds of this family."""
    found = 0
    heat, throttled = values.get(Metric.TEMPERATURE_C), values.get(Metric.THROTTLED)
    if heat or throttled:
        hot = (heat and heat[0][1] >= limit.temperature_c) or (throttled and throttled[0][1] > 0)
        found |= mark(Kind.OVERHEATING, Level.BAD if hot else Level.GOOD)
    offset = values.get(Metric.CLOCK_OFFSET_S)
    if offset:
        found |= mark(Kind.CLOCK_WRONG, Level.GOOD if -limit.clock_s <= offset[0][1] <= limit.clock_s else Level.BAD)
    hung = values.get(Metric.PROBES_HUNG)
    if hung:
        found |= mark(Kind.AGENT_TROUBLE, Level.BAD if hung[0][1] > 0 else Level.GOOD)
    return found
