"""What a simulated site keeps on its disk: samples without a receipt, run by run, and how each run ended. Pure.

Unlike an agent it throws away what has a receipt, so that sixty sites cost little memory for hours.
"""

from collections.abc import Iterable, Iterator

from sitekeeper_protocol.intervals import Intervals
from sitekeeper_protocol.messages import Drop, DropReason, Sample

MOST = 2000
"""Samples that a site holds; beyond it the oldest are given up, and reported as dropped."""


class Run:
    """One life of the agent: its samples without a receipt, and the last instant at which it is known to have lived.

    ``ended`` is the reason of its goodbye, empty without one. ``booted_ms`` is when its boot began, by the driver's clock.
    """

    __slots__ = ("boot", "booted_ms", "ended", "last", "last_boottime_ms", "last_wall_ms", "pending", "run", "samples")

    def __init__(self, *, run: int, boot: int, booted_ms: int) -> None:
        self.run, self.boot, self.booted_ms = run, boot, booted_ms
        self.samples: dict[int, Sample] = {}
        self.pending = Intervals()
        self.last = self.last_wall_ms = self.last_boottime_ms = 0
        self.ended = ""

    @property
    def oldest(self) -> int:
        """The lowest number that is held; what comes next if nothing is."""
        return next(iter(self.samples), self.last + 1)


class Spool:
    """All runs that still hold something, and the last one; oldest first."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._held = 0
        self.runs: dict[int, Run] = {}
        self.drops: list[Drop] = []
        self.taken: dict[int, int] = {}
        """The number of samples of each run ever: what the store must come to hold, unless dropped."""

    @property
    def held(self) -> int:
        """How many samples wait for a receipt."""
        return self._held

    @property
    def newest(self) -> Run | None:
        """The present run, or the one before while none lives."""
        return next(reversed(self.runs.values()), None)

    def begin(self, run: Run) -> None:
        """A run begins; those before it that hold nothing more are forgotten."""
        self.runs = {number: old for number, old in self.runs.items() if old.samples} | {run.run: run}

    def append(self, run: Run, sample: Sample) -> None:
        """Keep a new sample of ``run``."""
        run.samples[sample.sequence] = sample
        run.pending.add(sample.sequence)
        run.last, run.last_wall_ms, run.last_boottime_ms = sample.sequence, sample.wall_ms, sample.boottime_ms
        self.taken[run.run] = sample.sequence
        self._held += 1
        if self._held > self._most:
            self._give_up_oldest()

    def load(self, run: int, first: int, last: int) -> list[Sample]:
        """The samples ``first`` to ``last`` of ``run`` that are still held, up to the first gap."""
        samples = self.runs[run].samples if run in self.runs else {}
        found = []
        for sequence in range(first, last + 1):
            if sequence not in samples:
                break
            found.append(samples[sequence])
        return found

    def confirm(self, run: int, spans: Iterable[tuple[int, int]]) -> None:
        """These samples have a receipt."""
        for first, last in spans:
            self._forget(run, first, last)

    def settle_drops(self, covered: dict[int, Intervals]) -> None:
        """What a receipt covers need not be told again."""
        self.drops = [d for d in self.drops if d.run not in covered or not covered[d.run].covers(d.first, d.last)]

    def _forget(self, run: int, first: int, last: int) -> None:
        holder = self.runs.get(run)
        if holder is None:
            return
        for low, high in _common(holder.pending, first, last):
            for sequence in range(low, high + 1):
                del holder.samples[sequence]
            self._held -= high - low + 1
            holder.pending.discard(low, high)

    def _give_up_oldest(self) -> None:
        run = next(run for run in self.runs.values() if run.samples)
        sequence = run.oldest
        self._forget(run.run, sequence, sequence)
        before = self.drops[-1] if self.drops else None
        if before is not None and (before.run, before.last + 1) == (run.run, sequence):
            self.drops[-1] = Drop(run.run, before.first, sequence, DropReason.SIZE.value)
        else:
            self.drops.append(Drop(run.run, sequence, sequence, DropReason.SIZE.value))


def _common(held: Intervals, first: int, last: int) -> Iterator[tuple[int, int]]:
    """The parts of ``first`` to ``last`` that ``held`` has."""
    for low, high in held:
        if low <= last and first <= high:
            yield max(low, first), min(high, last)
