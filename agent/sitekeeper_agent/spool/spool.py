"""The spool's policy: what is kept, what is given up, and how it lives on with a full, read-only or damaged disk.

The small tables (runs, clocks, drops, meta) are held in memory too and count as they stand there. Changes that the disk does
not take wait in memory, samples among them, and are written with the next change that it takes.
"""

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from sitekeeper_agent.clock import ServerClock
from sitekeeper_agent.journal import Run
from sitekeeper_agent.spool.ages import too_old
from sitekeeper_agent.spool.disk import WAL_RESERVE_BYTES, Disk, Limits, Receipted, Row, SpoolDamaged, SpoolUnwritable, make_row
from sitekeeper_agent.spool.salvage import salvage, set_aside
from sitekeeper_protocol import codec
from sitekeeper_protocol.errors import ProtocolError
from sitekeeper_protocol.intervals import Intervals
from sitekeeper_protocol.messages import Drop, DropReason, Sample

_log = logging.getLogger("sitekeeper.spool")

FILE_NAME = "spool.db"
MAX_IN_MEMORY = 1440
"""Samples kept in memory while the disk takes none: a day of them at one a minute, about a megabyte."""
_EVICT_ROWS = 32
_FLUSH_ROWS = 100
_REMEMBERED_RUNS = 64
_RUN_EVERY = 16
"""Samples from one writing of a run's row to the next, also written at its end. The newest sample says all that changes in it;
the disk is asked to write half as much. Only if the spool is damaged on top can it be unknown how far the run went."""

_LOOK_BACK = 8
"""Runs without a sample, such as of an agent that could not start, are passed over, so many of them."""

_T = TypeVar("_T")
Change = Callable[[Disk], object]


class Holding(NamedTuple):
    """What the spool holds of a run. ``marked_ms`` is the server time of the newest receipt among it, 0 without one."""

    run: int
    boot: int
    held: Intervals
    pending: Intervals
    refused: Intervals
    marked_ms: int


class SpoolStats(NamedTuple):
    """How the spool is doing."""

    disk_bytes: int
    in_memory: int
    writable: bool


class Spool:
    """All samples that the agent holds, and the little that it remembers over its lives. Used by one thread."""

    def __init__(self, folder: Path, limits: Limits, *, stamp: Callable[[], str]) -> None:
        """``stamp`` gives the time for the name of a damaged file that is set aside."""
        self._path = folder / FILE_NAME
        self._limits = limits
        self._stamp = stamp
        self._disk: Disk | None = None
        self._waiting: list[Change] = []
        self._in_memory: list[Row] = []
        self._trouble = ""
        self._changed = False
        self._runs: dict[int, Run] = {}
        self._clocks: dict[int, ServerClock] = {}
        self._receipts: list[Receipted] = []
        self._drops: list[Drop] = []
        self._meta: dict[str, bytes] = {}
        self._current: int | None = None
        self._written: Run | None = None
        """The current run as its row on disk has it."""
        self._try(self._open)

    def close(self) -> None:
        """Write what waits, if the disk takes it, and close."""
        stale = self._current is not None and self._written != self._current_run()
        if self._waiting or self._in_memory or stale:
            self._written = None
            self._write()
        if self._disk is not None:
            with contextlib.suppress(SpoolDamaged, SpoolUnwritable):
                self._disk.close()
            self._disk = None

    # --- runs, clocks, meta --------------------------------------------------------------------------------------------

    def last_run(self) -> Run | None:
        """The newest run."""
        return next(reversed(self._runs.values()), None)

    def boot_of(self, run: int) -> int | None:
        """The boot that a run lived in."""
        known = self._runs.get(run)
        return known.boot if known else None

    def begin_run(self, run: Run) -> None:
        """Remember a new run, as the newest."""
        self._current = run.run
        self._put_run(run)

    def end_run(self, reason: str, wall_ms: int, boottime_ms: int) -> None:
        """Remember that the current run said goodbye."""
        run = self._current_run()
        self._put_run(run._replace(ended=reason, last_wall_ms=wall_ms, last_boottime_ms=boottime_ms))

    def clock(self, boot: int) -> ServerClock | None:
        """True time of a boot, if it ever learned it."""
        return self._clocks.get(boot)

    def set_clock(self, boot: int, clock: ServerClock) -> None:
        """Remember true time of a boot."""
        self._clocks[boot] = clock
        self._write(lambda disk: disk.put_clock(boot, clock))

    def meta(self, key: str) -> bytes | None:
        """A value kept by ``set_meta``."""
        if key not in self._meta and self._disk is not None:
            value = self._try(lambda: self._disk.meta(key) if self._disk else None)
            if value is not None:
                self._meta[key] = value
        return self._meta.get(key)

    def set_meta(self, key: str, value: bytes) -> None:
        """Keep a value over the lives of the agent."""
        if self._meta.get(key) != value:
            self._meta[key] = value
            self._write(lambda disk: disk.put_meta(key, value))

    def number(self, key: str) -> int:
        """A number kept by ``set_number``; 0 at first."""
        text = self.meta(key) or b""
        return int(text) if text.isdigit() else 0

    def set_number(self, key: str, value: int) -> None:
        """Keep a number over the lives of the agent."""
        self.set_meta(key, b"%d" % value)

    # --- samples -------------------------------------------------------------------------------------------------------

    def append(self, sample: Sample) -> bool:
        """Take a sample of the current run; whether it is on disk now (if not, it is in memory and waits)."""
        run = self._current_run()
        self._in_memory.append(
            make_row(run.run, sample.sequence, sample.wall_ms, sample.boottime_ms, codec.pack_sample(sample))
        )
        run = run._replace(last_wall_ms=sample.wall_ms, last_boottime_ms=sample.boottime_ms, last_sequence=sample.sequence)
        self._runs[run.run] = run
        written = self._write()
        if written:
            self._keep_to_size()
        elif len(self._in_memory) > MAX_IN_MEMORY:
            lost = self._in_memory.pop(0)
            self._add_drop(Drop(lost.run, lost.sequence, lost.sequence, DropReason.NO_DISK))
            self._changed = True
        return written

    def newest_before(self) -> tuple[int, Sample] | None:
        """(boot, newest sample) of the runs before the current one, as far as the disk still has one."""
        for run in [run for run in reversed(self._runs.values()) if run.run != self._current][:_LOOK_BACK]:
            row = self._try(lambda number=run.run: self._disk.newest(number) if self._disk else None)  # type: ignore[misc]
            sample = _unpack(row) if row is not None and row.sound else None
            if sample is not None:
                return run.boot, sample
        return None

    def load(self, run: int, first: int, last: int) -> list[Sample]:
        """Samples of a run that ``inventory`` lists, in order. What turns out to be damaged or missing is noted as dropped.

        Fewer than asked for, none perhaps, come while the disk can't be read; ``take_changed`` then says whether that is final.
        """
        stored = self._try(lambda: self._sound_rows(run, first, last))
        rows = {row.sequence: row for row in stored or ()}
        rows |= {row.sequence: row for row in self._in_memory if row.run == run and first <= row.sequence <= last}
        samples: list[Sample] = []
        for sequence in range(first, last + 1):
            sample = _unpack(rows[sequence]) if sequence in rows else None
            if sample is not None:
                samples.append(sample)
            elif stored is not None:
                self.give_up(run, sequence, DropReason.CORRUPT)
        return samples

    def _sound_rows(self, run: int, first: int, last: int) -> list[Row]:
        rows = self._disk.rows(run, first, last) if self._disk else []
        bad = next((row.sequence for row in rows if not row.sound), None)
        if bad is not None:
            # A flipped bit in a key also misleads the search for others: only reading everything anew finds all of them.
            raise SpoolDamaged(f"sample {bad} of run {run:016x} is not what was written")
        return rows

    def give_up(self, run: int, sequence: int, reason: DropReason) -> None:
        """Drop one sample that can't be sent, and note it."""
        self._in_memory = [row for row in self._in_memory if (row.run, row.sequence) != (run, sequence)]
        self._add_drop(Drop(run, sequence, sequence, reason))
        self._changed = True
        self._write(lambda disk: disk.delete(run, sequence, sequence))

    def mark(self, run: int, spans: Iterable[tuple[int, int]], server_ms: int) -> None:
        """Note receipts. ``server_ms`` is their time; negative: these samples were refused, and are never sent again."""
        known = self._receipted(run)
        new = [Receipted(run, *gap, server_ms) for first, last in spans for gap in known.missing(first, last)]
        self._receipts += new

        def change(disk: Disk) -> None:
            for receipt in new:
                disk.put_receipt(receipt)

        if new:
            self._write(change)

    def unmark_all(self) -> None:
        """The county lost what it had: nothing counts as confirmed, except what was refused."""
        self._forget_receipts([receipt for receipt in self._receipts if receipt.server_ms >= 0])

    def inventory(self) -> list[Holding]:
        """What is held, oldest run first."""
        held: dict[int, Intervals] = {}
        for run, sequence in self._keys():
            held.setdefault(run, Intervals()).add(sequence)
        order = {run: at for at, run in enumerate(self._runs)}
        return [self._holding(run, held[run]) for run in sorted(held, key=lambda run: order.get(run, -1))]

    def _holding(self, run: int, held: Intervals) -> Holding:
        holding = Holding(run, self.boot_of(run) or 0, held, held.copy(), Intervals(), 0)
        for receipt in self._receipts:
            if receipt.run == run:
                holding.pending.discard(receipt.first, receipt.last)
                holding = holding._replace(marked_ms=max(holding.marked_ms, receipt.server_ms))
                if receipt.server_ms < 0:
                    holding.refused.add(receipt.first, receipt.last)
        return holding

    def take_changed(self) -> bool:
        """Whether samples went (evicted, damaged, dropped) since the last call, so that ``inventory`` differs."""
        changed, self._changed = self._changed, False
        return changed

    def drops(self) -> tuple[Drop, ...]:
        """What is gone and not booked by the county yet, oldest run first."""
        return tuple(self._drops)

    def settle_drop(self, drop: Drop) -> None:
        """Forget a drop that the county has booked."""
        if drop in self._drops:
            self._drops.remove(drop)
            self._write(lambda disk: disk.delete_drop(drop))

    def stats(self) -> SpoolStats:
        """Size, and whether the disk takes anything."""
        return SpoolStats(self._disk.disk_bytes() if self._disk else 0, len(self._in_memory), not self._trouble)

    def evict_old(self, boot: int, boottime_ms: int) -> None:
        """Give up what is surely older than the limits, by clocks that can be trusted: see ``ages``."""
        disk = self._disk
        if disk is None:
            return
        self._try(lambda: self._evict_receipted(boot, boottime_ms))
        self._try(lambda: self._evict_aged(disk, boot, boottime_ms))
        self._try(lambda: self._forget_runs(disk))

    # --- inside --------------------------------------------------------------------------------------------------------

    def _current_run(self) -> Run:
        assert self._current is not None, "begin_run comes first"
        return self._runs[self._current]

    def _put_run(self, run: Run) -> None:
        self._runs[run.run] = run
        self._write()

    def _keys(self) -> Iterator[tuple[int, int]]:
        disk = self._disk
        if disk is not None:
            try:
                yield from disk.keys()
            except SpoolUnwritable as err:
                self._note(str(err))
            except SpoolDamaged as err:
                # What was read so far stands; the rest is looked for by ``_replace`` at the next change.
                self._note(str(err))
        for row in self._in_memory:
            yield row.run, row.sequence

    def _add_drop(self, drop: Drop) -> None:
        self._drops.append(drop)
        self._drops = merged(self._drops)
        self._write(lambda disk: disk.put_drop(drop))

    def _write(self, *changes: Change) -> bool:
        """Carry out ``changes`` and all that waits, in one transaction; whether the disk took it."""
        self._waiting += changes
        if self._disk is None:
            self._try(self._open)
        for _ in range(2):
            disk = self._disk
            if disk is None:
                return False
            try:
                self._flush(disk)
            except SpoolUnwritable as err:
                self._note(str(err))
                return False
            except SpoolDamaged as err:
                self._replace_or_wait(err)
                continue
            self._note("")
            return True
        return False

    def _flush(self, disk: Disk) -> None:
        # In small pieces, since a disk that was full has little room for the WAL.
        while len(self._in_memory) > _FLUSH_ROWS:
            with disk.transaction():
                disk.put_samples(self._in_memory[:_FLUSH_ROWS])
            del self._in_memory[:_FLUSH_ROWS]
        with disk.transaction():
            run = self._runs[self._current] if self._current is not None else None
            write_run = run is not None and not _follows(run, self._written)
            if run is not None and write_run:
                disk.put_run(run)
            disk.put_samples(self._in_memory)
            for change in self._waiting:
                change(disk)
        if write_run:
            self._written = run
        self._waiting.clear()
        self._in_memory.clear()

    def _try(self, action: Callable[[], _T]) -> _T | None:
        """The action's value, or ``None`` where the disk can't; a damaged spool is replaced and the action tried again."""
        for _ in range(2):
            try:
                return action()
            except SpoolUnwritable as err:
                self._note(str(err))
                return None
            except SpoolDamaged as err:
                self._replace_or_wait(err)
        return None

    def _replace_or_wait(self, damage: SpoolDamaged) -> None:
        try:
            self._replace(damage)
        except (SpoolUnwritable, SpoolDamaged) as err:
            self._disk = None
            self._note(str(err))

    def _open(self) -> None:
        try:
            self._disk = Disk.open(self._path)
            self._load_tables()
        except SpoolDamaged as err:
            self._replace(err)

    def _replace(self, damage: SpoolDamaged) -> None:
        """Set the damaged file aside, and go on with a new one that holds whatever can be saved."""
        damaged, self._disk = self._disk, None
        if damaged is not None:
            with contextlib.suppress(SpoolDamaged, SpoolUnwritable):
                damaged.close()
        try:
            aside = set_aside(self._path, self._stamp())
        except OSError as err:
            raise SpoolUnwritable(f"the damaged spool can't be renamed: {err.strerror}") from err
        disk = Disk.open(self._path)
        self._disk = disk
        self._changed = True
        saved = salvage(aside, disk)
        _log.warning("the spool was damaged (%s) and is now %s; %d samples were saved from it", damage, aside.name, saved)
        with disk.transaction():
            for boot, clock in self._clocks.items():
                disk.put_clock(boot, clock)
            for key, value in self._meta.items():
                disk.put_meta(key, value)
            for receipt in self._receipts:
                disk.put_receipt(receipt)
            for drop in self._drops:
                disk.put_drop(drop)
        self._load_tables()

    def _load_tables(self) -> None:
        disk = self._disk
        assert disk is not None
        current = self._runs.get(self._current) if self._current is not None else None
        self._runs = {run.run: _at_newest(run, disk.newest(run.run)) for run in disk.runs()}
        self._written = None
        if current is not None:
            self._runs.pop(current.run, None)
            self._runs[current.run] = current
        self._clocks = disk.clocks() | self._clocks
        self._receipts = list(dict.fromkeys([*disk.receipts(), *self._receipts]))
        self._drops = merged([*disk.drops(), *self._drops])

    def _note(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            _log.warning("the spool can't write to disk: %s; samples are kept in memory meanwhile", trouble)
        elif self._trouble and not trouble:
            _log.info("the spool writes to disk again")
        self._trouble = trouble

    # --- giving up -----------------------------------------------------------------------------------------------------

    def _keep_to_size(self) -> None:
        disk = self._disk
        if disk is not None:
            self._try(lambda: self._evict_for_size(disk))

    def _evict_for_size(self, disk: Disk) -> None:
        room = self._limits.max_bytes - WAL_RESERVE_BYTES
        order = {run: at for at, run in enumerate(self._runs)}
        confirmed = sorted(self._receipts, key=lambda receipt: (order.get(receipt.run, -1), receipt.first), reverse=True)
        while disk.used_bytes() > room:
            if confirmed:
                receipt = confirmed.pop()
                rest = receipt._replace(first=receipt.first + _EVICT_ROWS)
                if rest.first <= receipt.last:
                    confirmed.append(rest)
                    gone = [(receipt.run, receipt.first, rest.first - 1)]
                else:
                    gone = [receipt[:3]]
                written = self._evict(gone, None)
            else:
                oldest = list(_spans(disk.oldest(_EVICT_ROWS)))
                written = bool(oldest) and self._evict(oldest, DropReason.SIZE)
            if not written:
                break
        disk.shrink(room)

    def _evict_receipted(self, boot: int, boottime_ms: int) -> None:
        clock = self._clocks.get(boot)
        if clock is not None:
            before_ms = clock.server_ms(boottime_ms) - self._limits.keep_receipted_ms
            self._evict([receipt[:3] for receipt in self._receipts if abs(receipt.server_ms) < before_ms], None)

    def _evict_aged(self, disk: Disk, boot: int, boottime_ms: int) -> None:
        runs = list(self._runs.values())
        for run, before_ms in too_old(runs, self._clocks, boot, boottime_ms, self._limits.max_age_ms):
            aged = disk.before(run, before_ms)
            known = self._receipted(run)
            self._evict(list(_spans((run, sequence) for sequence in aged if sequence in known)), None)
            self._evict(list(_spans((run, sequence) for sequence in aged if sequence not in known)), DropReason.AGE)

    def _evict(self, spans: list[tuple[int, int, int]], reason: DropReason | None) -> bool:
        """Delete samples; with a ``reason`` they are drops, else the county has them. Whether it was written."""
        if not spans:
            return True
        drops = [] if reason is None else [Drop(run, first, last, reason) for run, first, last in spans]
        self._drops = merged([*self._drops, *drops])
        self._trim_receipts(spans)
        self._changed = True

        def change(disk: Disk) -> None:
            for span in spans:
                disk.delete(*span)
            for drop in drops:
                disk.put_drop(drop)

        return self._write(change)

    def _receipted(self, run: int) -> Intervals:
        return Intervals((receipt.first, receipt.last) for receipt in self._receipts if receipt.run == run)

    def _trim_receipts(self, gone: list[tuple[int, int, int]]) -> None:
        """Forget what receipts say of samples that are gone."""
        for run, first, last in gone:
            for receipt in [r for r in self._receipts if r.run == run and r.first <= last and r.last >= first]:
                self._forget_receipts([receipt])
                rest = Intervals([(receipt.first, receipt.last)])
                rest.discard(first, last)
                for span in rest:
                    self.mark(run, [span], receipt.server_ms)

    def _forget_receipts(self, gone: list[Receipted]) -> None:
        self._receipts = [receipt for receipt in self._receipts if receipt not in gone]

        def change(disk: Disk) -> None:
            for receipt in gone:
                disk.delete_receipt(receipt)

        if gone:
            self._write(change)

    def _forget_runs(self, disk: Disk) -> None:
        """Old runs of which nothing is left, and the clocks of boots that nobody speaks of, are forgotten."""
        candidates = list(self._runs)[:-_REMEMBERED_RUNS]
        if not candidates:
            return  # an inventory reads through a month of samples
        spoken_of = {holding.run for holding in self.inventory()} | {drop.run for drop in self._drops}
        gone = [run for run in candidates if run not in spoken_of]
        if not gone:
            return
        for run in gone:
            del self._runs[run]
        boots = {run.boot for run in self._runs.values()}
        stale = [boot for boot in self._clocks if boot not in boots]
        for boot in stale:
            del self._clocks[boot]

        def change(disk: Disk) -> None:
            for run in gone:
                disk.delete_run(run)
            for boot in stale:
                disk.delete_clock(boot)

        self._write(change)


def _follows(run: Run, written: Run | None) -> bool:
    """Whether ``run`` can be told from the row that was written and the newest sample."""
    if written is None or run.last_sequence - written.last_sequence >= _RUN_EVERY:
        return False
    return run == written._replace(
        last_wall_ms=run.last_wall_ms, last_boottime_ms=run.last_boottime_ms, last_sequence=run.last_sequence
    )


def _at_newest(run: Run, newest: Row | None) -> Run:
    """A run's row, brought up to its newest sample."""
    if newest is None or not newest.sound or newest.sequence <= run.last_sequence:
        return run
    return run._replace(last_wall_ms=newest.wall_ms, last_boottime_ms=newest.boottime_ms, last_sequence=newest.sequence)


def merged(drops: Iterable[Drop]) -> list[Drop]:
    """The same drops with neighbours of one run and reason joined, in the order of their runs' first appearance."""
    sets: dict[tuple[int, int], Intervals] = {}
    order: dict[int, None] = {}
    for drop in drops:
        order[drop.run] = None
        sets.setdefault((drop.run, int(drop.reason)), Intervals()).add(drop.first, drop.last)
    return [
        Drop(run, first, last, reason)
        for run in order
        for (owner, reason), spans in sets.items()
        if owner == run
        for first, last in spans
    ]


def _spans(samples: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
    """(run, first, last) of samples given in order."""
    run, first, last = 0, 0, -1
    for at_run, sequence in samples:
        if at_run != run or sequence != last + 1:
            if last >= first:
                yield run, first, last
            run, first = at_run, sequence
        last = sequence
    if last >= first:
        yield run, first, last


def _unpack(row: Row) -> Sample | None:
    try:
        return codec.unpack_sample(row.record, sequence=row.sequence, wall_ms=row.wall_ms, boottime_ms=row.boottime_ms)
    except ProtocolError:
        return None
