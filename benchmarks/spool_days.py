"""Thirty days without a line, in the real spool: how large it grows at a sample a minute, and what the disk is asked to write.

`make bench` runs it. It ends with exit code 1 if the spool outgrows its limit, or if a sample is missing that is not older than
it may be. Every commit is an fsync, as at a site.
"""

import argparse
import os
import random
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import typical

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from sitekeeper_agent.journal import Run
from sitekeeper_agent.spool import Limits, Spool
from support import process_costs

A_DAY, MIB = 1440, 1048576
RUN, BOOT = 1, 1
_HOUSEKEEPING_EVERY = 60


class Filled(NamedTuple):
    """What came of it."""

    largest_bytes: int
    held: int
    dropped: int
    written_bytes: int
    cpu_s: float


def fill(folder: Path, days: int, limits: Limits) -> Filled:
    """Append ``days`` of a typical PC's samples, one a minute, none of them ever confirmed."""
    spool = Spool(folder, limits, stamp=lambda: "never")
    largest, written, cpu = 0, process_costs.written_bytes(os.getpid()), 0.0
    for number, sample in enumerate(islice(typical.samples(random.Random(2)), days * A_DAY)):
        begun = time.thread_time()
        if number == 0:
            spool.begin_run(Run(RUN, BOOT, sample.wall_ms, sample.boottime_ms, sample.wall_ms, sample.boottime_ms))
        spool.append(sample)
        if number % _HOUSEKEEPING_EVERY == 0:
            spool.evict_old(BOOT, sample.boottime_ms)
            largest = max(largest, spool.stats().disk_bytes)
        cpu += time.thread_time() - begun
    written = process_costs.written_bytes(os.getpid()) - written
    held = sum(holding.held.count for holding in spool.inventory())
    dropped = sum(drop.last - drop.first + 1 for drop in spool.drops())
    spool.close()
    return Filled(largest, held, dropped, written, cpu)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=31, help="days without a line (default: one more than are kept)")
    options = parser.parse_args()
    limits = Limits()
    kept_days = limits.max_age_ms // 86_400_000
    with tempfile.TemporaryDirectory() as name:
        found = fill(Path(name), options.days, limits)
    hours = options.days * 24
    print(f"A spool after {options.days} days without a line, a sample of {len(typical.pc(random.Random(2)))} series a minute")
    print(f"{'largest size, with its WAL':34}{found.largest_bytes / MIB:10.1f} MiB (limit {limits.max_bytes / MIB:.0f})")
    print(f"{'samples held':34}{found.held:10,} of the last {kept_days} days")
    print(f"{'samples given up, as too old':34}{found.dropped:10,}")
    print(f"{'written to disk':34}{found.written_bytes / hours / 1e6:10.2f} MB an hour")
    print(f"{'processor time':34}{found.cpu_s / hours:10.3f} s an hour")
    whole = found.held >= min(options.days, kept_days) * A_DAY and found.held + found.dropped == options.days * A_DAY
    return 0 if whole and found.largest_bytes <= limits.max_bytes else 1


if __name__ == "__main__":
    sys.exit(main())
