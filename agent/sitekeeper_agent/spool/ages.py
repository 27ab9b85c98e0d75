"""How old samples surely are, without believing any wall clock. Pure.

A site's wall clock may show 1970 or be three years ahead, so age is counted only by what can't be wrong: CLOCK_BOOTTIME within
a boot; for an earlier boot at least the running time of all boots since; and server time, where both the boot of a sample
and the present one learned it by a round trip. Time that a machine was switched off counts only in the last case. So a
sample may be kept longer than the limit says, which its size bounds, but it is never given up too early.
"""

from collections.abc import Mapping, Sequence

from sitekeeper_agent.clock import ServerClock
from sitekeeper_agent.journal import Run


def too_old(
    runs: Sequence[Run], clocks: Mapping[int, ServerClock], boot: int, boottime_ms: int, max_age_ms: int
) -> list[tuple[int, int]]:
    """(run, boottime_ms): samples of the run from before that boot time are surely older than ``max_age_ms``.

    ``runs`` are given oldest first; ``boot`` and ``boottime_ms`` are the present ones.
    """
    lengths: dict[int, int] = {}
    for run in runs:
        lengths[run.boot] = max(lengths.get(run.boot, 0), run.last_boottime_ms)
    lengths.pop(boot, None)
    lengths[boot] = boottime_ms
    now = clocks.get(boot)
    cutoffs: dict[int, int] = {}
    since_ms = 0
    for other in reversed(list(lengths)):
        cutoffs[other] = lengths[other] + since_ms - max_age_ms
        since_ms += lengths[other]
        clock = clocks.get(other)
        if other != boot and now is not None and clock is not None:
            cutoffs[other] = max(cutoffs[other], now.server_ms(boottime_ms) - clock.offset_ms - max_age_ms)
    return [(run.run, cutoffs[run.boot]) for run in runs if cutoffs[run.boot] > 0]
