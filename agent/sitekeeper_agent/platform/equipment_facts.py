"""What a platform module tells about the machine's equipment, in values that are the same everywhere."""

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
