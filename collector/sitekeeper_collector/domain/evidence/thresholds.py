"""From which value on a measurement speaks of a fault: the ``measured`` section of ``config/faults.yaml``."""

from typing import Annotated

from msgspec import Meta, Struct

Edges = dict[int, tuple[int, ...]]
"""By metric, ascending, as on the wire: a value at an edge belongs with those above it."""
_Ratio = Annotated[float, Meta(ge=0, le=1)]


class Thresholds(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is too much. The defaults are the catalogue's.

    ``stalled_ratio``: the rebuffering ratio (CTA-2066) of one sample that counts, ``stalled_badly_ratio`` the one that counts
    alone. ``line_kbps``: a measured download below it is too slow (half the contract, or what a stream needs).
    """

    temperature_c: Annotated[int, Meta(ge=40, le=150)] = 90
    cpu_ratio: _Ratio = 0.95
    memory_available_ratio: _Ratio = 0.05
    stalled_ratio: _Ratio = 0.02
    stalled_badly_ratio: _Ratio = 0.2
    clock_s: Annotated[int, Meta(ge=1, le=86_400)] = 120
    line_kbps: Annotated[int, Meta(ge=1, le=10_000_000)] = 2000
    restart_gap_s: Annotated[int, Meta(ge=1, le=3600)] = 180
