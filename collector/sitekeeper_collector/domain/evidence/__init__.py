"""What is measured of one sample, as marks of the kinds that it speaks of: one small module for each family of kinds.

``METRICS`` are all that any of them looks at; a sample's values come by metric, each with its instance.
"""

from collections.abc import Mapping, Sequence

from sitekeeper_collector.domain.evidence import equipment, host, line, playback
from sitekeeper_collector.domain.evidence.thresholds import Edges, Thresholds
from sitekeeper_protocol.vocabulary import Grade, Kind, Metric

ByMetric = Mapping[int, Sequence[tuple[str, int]]]
"""A sample's values, as on the wire, with their instances, by the number of the metric."""

METRICS: frozenset[int] = playback.METRICS | equipment.METRICS | host.METRICS | line.METRICS

GRADES: dict[Kind, Grade] = {
    # A TV in standby, or on another input, looks like one that is missing; so does a USB device in a sleeping hub.
    Kind.DISPLAY_MISSING: Grade.TO_VERIFY,
    Kind.AUDIO_MISSING: Grade.TO_VERIFY,
    Kind.DEVICE_MISSING: Grade.TO_VERIFY,
    # One connection of one PC: what others at the site use meanwhile is not known.
    Kind.LINE_SLOW: Grade.TO_VERIFY,
    # That it stalls is proven, why it does is not.
    Kind.PLAYBACK_STALLING: Grade.TO_VERIFY,
    # A PC that loses its power again and again: plug, power supply or the board.
    Kind.RESTARTING: Grade.TO_VERIFY,
}
"""How sure a measured kind is of its cause, where that is not proven by the measurement itself."""


def marks(values: ByMetric, limit: Thresholds, *, well: bool) -> int:
    """The marks of a sample. ``well``: its verdict found nothing wrong with line and platform."""
    return (
        playback.marks(values, limit, well=well)
        | equipment.marks(values)
        | host.marks(values, limit)
        | line.marks(values, limit)
    )


def edges(limit: Thresholds) -> Edges:
    """Where the noisy metrics change what a sample says: between two edges all values say the same."""
    return playback.edges() | host.edges(limit)


def io_errors(values: ByMetric) -> int:
    """Errors counted by all disks together, at most 32,767; -1 if no disk tells."""
    counts = values.get(Metric.DISK_IO_ERRORS)
    return -1 if not counts else min(32_767, max(0, sum(count for _, count in counts)))
