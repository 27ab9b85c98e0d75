"""What a process and its children cost, as the Linux kernel counts it: memory, processor time, disk writes, open files."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_GONE = (FileNotFoundError, ProcessLookupError)


class Memory(NamedTuple):
    """Bytes over the tree. ``pss`` shares what several processes map; ``anonymous`` is what no file stands behind."""

    rss: int
    pss: int
    anonymous: int


def tree(root: int) -> list[int]:
    """Process ids of ``root`` and all below it."""
    found, ahead = [], [root]
    while ahead:
        pid = ahead.pop()
        found.append(pid)
        for task in _tasks(pid):
            with suppress(*_GONE):
                ahead += [int(child) for child in (task / "children").read_text().split()]
    return found


def memory(root: int) -> Memory:
    """Memory of the tree now, from smaps_rollup (proc_pid_smaps(5))."""
    totals = {"Rss": 0, "Pss": 0, "Anonymous": 0}
    for pid in tree(root):
        with suppress(*_GONE):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
                name, _, rest = line.partition(":")
                if name in totals:
                    totals[name] += int(rest.split()[0]) * 1024
    return Memory(totals["Rss"], totals["Pss"], totals["Anonymous"])


class CpuMeter:
    """Processor time of a tree, to the nanosecond (/proc/PID/task/TID/schedstat), over threads that come and go.

    What a thread or child spent after the last look before it ended is taken from the tree's own counts in 10 ms steps
    (stat(5): utime, stime, cutime, cstime), whichever says more.
    """

    def __init__(self, root: int) -> None:
        self._root = root

    def seconds(self) -> float:
        """Seconds since the tree's processes began, children that have ended included."""
        return sum(max(_exact_s(pid), _own_ticks_s(pid)) + _ended_children_s(pid) for pid in tree(self._root))


def written_bytes(root: int) -> int:
    """Bytes that the tree has caused to be written to storage (proc_pid_io(5)), children that have ended included."""
    total = 0
    for pid in tree(root):
        with suppress(*_GONE):
            lines = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
            total += int(lines["write_bytes"]) - int(lines["cancelled_write_bytes"])
    return total


def open_files(root: int) -> int:
    """Open file descriptors of the tree."""
    total = 0
    for pid in tree(root):
        with suppress(*_GONE):
            total += len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return total


def _tasks(pid: int) -> Iterator[Path]:
    with suppress(*_GONE):
        yield from Path(f"/proc/{pid}/task").iterdir()


def _exact_s(pid: int) -> float:
    total = 0
    for task in _tasks(pid):
        with suppress(*_GONE):
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def _times(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except _GONE:
        return [0, 0, 0, 0]
    return [int(field) for field in text.rpartition(")")[2].split()[11:15]]


def _own_ticks_s(pid: int) -> float:
    return sum(_times(pid)[:2]) / 100


def _ended_children_s(pid: int) -> float:
    return sum(_times(pid)[2:]) / 100
