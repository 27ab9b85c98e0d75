"""A damaged spool is set aside, and whatever can still be read of it is carried over into a new one."""

import contextlib
import logging
import secrets
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sitekeeper_agent.clock import ServerClock
from sitekeeper_agent.journal import Run
from sitekeeper_agent.spool.disk import RUNS, Disk, Receipted, Row, seal
from sitekeeper_protocol.intervals import Intervals
from sitekeeper_protocol.messages import Drop, DropReason

_log = logging.getLogger("sitekeeper.spool")

KEEP_SET_ASIDE = 3


def set_aside(path: Path, stamp: str) -> Path:
    """Rename the spool to ``spool.corrupt-<stamp>.db``, and keep at most three such files. Raises ``OSError``."""
    aside = path.with_name(f"{path.stem}.corrupt-{stamp}{path.suffix}")
    again = 1
    while aside.exists():
        again += 1
        aside = path.with_name(f"{path.stem}.corrupt-{stamp}-{again}{path.suffix}")
    path.rename(aside)
    # The WAL belongs to the file by its name, and may hold the newest samples.
    with contextlib.suppress(FileNotFoundError):
        Path(f"{path}-wal").rename(f"{aside}-wal")
    Path(f"{path}-shm").unlink(missing_ok=True)
    _forget_older(path, aside)
    return aside


def _forget_older(path: Path, newest: Path) -> None:
    # By modification time, since a site's wall clock, which the names carry, may go back.
    others = [p for p in path.parent.glob(f"{path.stem}.corrupt-*{path.suffix}") if p != newest]
    others.sort(key=lambda p: p.stat().st_mtime_ns)
    for old in others[: max(0, len(others) - (KEEP_SET_ASIDE - 1))]:
        for suffix in ("", "-wal", "-shm"):
            Path(f"{old}{suffix}").unlink(missing_ok=True)


def salvage(aside: Path, into: Disk) -> int:
    """Carry over all that is sound; how many samples that were. Gaps that this leaves are noted as drops.

    Raises what ``into`` raises; damage in ``aside`` only makes the haul smaller.
    """
    try:
        source = sqlite3.connect(aside, timeout=1, isolation_level=None)
    except sqlite3.Error as err:
        _log.warning("nothing can be read from %s: %s", aside.name, err)
        return 0
    with contextlib.closing(source):
        return _carry_over(source, into)


def _carry_over(source: sqlite3.Connection, into: Disk) -> int:
    saved: dict[int, Intervals] = {}
    order: dict[int, Run] = {}
    for values in _sealed(source, RUNS, "ordinal"):
        run = Run(*values)
        order.setdefault(run.run, run)
    with into.transaction():
        for run in order.values():
            into.put_run(run)
        for sample in _samples(source):
            if sample.run not in order:
                order[sample.run] = _unknown_run(sample)
                into.put_run(order[sample.run])
            into.put_samples([sample])
            saved.setdefault(sample.run, Intervals()).add(sample.sequence)
        for number, run in order.items():
            for drop in _gaps(run, saved.get(number, Intervals())):
                into.put_drop(drop)
        _carry_over_rest(source, into)
    return sum(found.count for found in saved.values())


def _unknown_run(sample: Row) -> Run:
    # Its boot is lost. A number of its own makes the county place these samples by their wall clock.
    boot = secrets.randbelow(2**32 - 1) + 1
    times = sample.wall_ms, sample.boottime_ms
    return Run(sample.run, boot, *times, *times, sample.sequence)


def _samples(source: sqlite3.Connection) -> Iterator[Row]:
    for values in _readable(source, "SELECT * FROM samples", "run, sequence"):
        row = Row(*values)
        if row.sound:
            yield row


def _sealed(source: sqlite3.Connection, query: str, key: str) -> Iterator[tuple[Any, ...]]:
    for row in _readable(source, query, key):
        if seal(row[:-1]) == row[-1]:
            yield row[:-1]


def _readable(source: sqlite3.Connection, query: str, key: str) -> Iterator[tuple[Any, ...]]:
    """Rows from the front until the damage, then from the back until the damage."""
    for direction in ("", " DESC"):
        ordered = ", ".join(f"{column.strip()}{direction}" for column in key.split(","))
        try:
            yield from source.execute(f"{query} ORDER BY {ordered}")
        except (sqlite3.Error, OverflowError, UnicodeDecodeError) as err:
            _log.info("reading the damaged spool stopped: %s", err)
            continue
        return


def _gaps(run: Run, found: Intervals) -> list[Drop]:
    """What is missing between the lowest number found and the last that was written.

    Some of it may have been confirmed before; the county only books what it lacks.
    """
    spans = list(found)
    first = spans[0][0] if spans else 1
    if run.last_sequence < first:
        return []
    return [Drop(run.run, a, b, DropReason.CORRUPT) for a, b in found.missing(first, run.last_sequence)]


def _carry_over_rest(source: sqlite3.Connection, into: Disk) -> None:
    for boot, *clock in _sealed(source, "SELECT * FROM clocks", "boot"):
        into.put_clock(boot, ServerClock(*clock))
    for receipt in _sealed(source, "SELECT * FROM receipts", "run, first"):
        into.put_receipt(Receipted(*receipt))
    for drop in _sealed(source, "SELECT run, first, last, reason, crc FROM drops", "run, first"):
        into.put_drop(Drop(*drop))
    for key, value in _sealed(source, "SELECT * FROM meta", "key"):
        into.put_meta(key, value)
