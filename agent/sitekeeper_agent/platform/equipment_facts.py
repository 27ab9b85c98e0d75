"""What a platform module tells about the machine's equipment, in values that are the same everywhere."""

from collections.abc import Iterable
from typing import NamedTuple


class Disk(NamedTuple):
    """A disk that is built in; ``name`` is the kernel's (``sda``). Without serial number: it would tell one PC from another."""

    name: str
    model: str
    size_bytes: int


class Display(NamedTuple):
    """A connected display. ``name`` is what it calls itself, ``print`` 8 hex digits that change with another display."""

    connector: str
    name: str
    print: str


class Passed:
    """Processes that were looked at in vain for programs that are missed, so that not all are looked at each time.

    Each is looked at three times, for at first it may still be what started it; now and then all are looked at again, since a
    program may take another's place in the same process. Used by one thread.
    """

    looks, calls = 3, 10

    def __init__(self) -> None:
        self._missing: tuple[str, ...] = ()
        self._looked: dict[int, int] = {}
        self._called = 0

    def left(self, missing: Iterable[str], there: Iterable[int]) -> list[int]:
        """Of the process ids that are ``there``, those still worth a look for these programs, lowest first."""
        wanted = tuple(missing)
        self._called += 1
        if wanted != self._missing or self._called >= self.calls:
            self._missing, self._looked, self._called = wanted, {}, 0
        self._looked = {pid: min(self.looks, self._looked.get(pid, -1) + 1) for pid in there}
        return sorted(pid for pid, looks in self._looked.items() if looks < self.looks)
