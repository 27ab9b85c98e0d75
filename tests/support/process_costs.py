"""What a process and its children cost, as the Linux kernel counts it: memory, processor time, disk writes, open files."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

_GONE = (FileNotFoundError, ProcessLookupError)


class Memory(NamedTuple):
    """Bytes over the tree. ``anonymous`` is what no file stands behind; ``pss`` shares what several processes map.

    Programs of one language share its runtime. What of Python's own files other Python programs happen to map at the moment is
    not taken off: at a site the agent may be the only one.
    """

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
    """Memory of the tree now, from smaps (proc_pid_smaps(5))."""
    rss = pss = anonymous = 0
    for pid in tree(root):
        with suppress(*_GONE):
            for mapping in _mappings(Path(f"/proc/{pid}/smaps").read_text()):
                rss += mapping["Rss"]
                pss += mapping["Rss" if "python" in mapping["path"] else "Pss"]
                anonymous += mapping["Anonymous"]
    return Memory(rss * 1024, pss * 1024, anonymous * 1024)


def _mappings(smaps: str) -> Iterator[dict[str, Any]]:
    """Path and sizes in KiB of each mapping."""
    mapping: dict[str, Any] = {}
    for line in smaps.splitlines():
        name, _, rest = line.partition(": ")
        if " " in name:
            if mapping:
                yield mapping
            mapping = {"path": line.split(maxsplit=5)[5] if len(line.split(maxsplit=5)) > 5 else ""}
        elif rest.endswith(" kB"):
            mapping[name] = int(rest.split()[0])
    if mapping:
        yield mapping


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
