"""Which programs run, cheaply enough to ask every few seconds: the name of a process is read when it is new, then kept."""

import threading
from collections.abc import Iterable

import psutil

_LOOKS = 3
"""A process is looked at this often: at first it may still bear the name of the one that started it."""


def plain(name: str) -> str:
    """A program's name as it is compared: without case and the ending of Windows."""
    name = name.lower()
    return name.removesuffix(".exe")


class Programs:
    """The running programs by name; may be shared by threads."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[str, int]] = {}
        self._lock = threading.Lock()

    def of(self, names: Iterable[str]) -> tuple[psutil.Process, ...]:
        """The processes that bear one of ``names`` (``plain``) and live, oldest first."""
        wanted = frozenset(names)
        with self._lock:
            self._scan()
            found = sorted(pid for pid, (name, _) in self._known.items() if name in wanted)
        return tuple(process for pid in found if (process := _alive(pid)) is not None)

    def _scan(self) -> None:
        there = psutil.pids()
        self._known = {
            pid: known
            for pid in there
            if (known := self._looked_at(pid, *self._known.get(pid, ("", 0)))) is not None
        }  # fmt: skip

    def _looked_at(self, pid: int, name: str, looks: int) -> tuple[str, int] | None:
        if looks >= _LOOKS:
            return name, looks
        try:
            return plain(psutil.Process(pid).name()), looks + 1
        except psutil.NoSuchProcess:
            return None
        except psutil.Error:
            return "", looks + 1


def _alive(pid: int) -> psutil.Process | None:
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process
    except psutil.Error:
        return None
