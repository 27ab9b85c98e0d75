"""From the process that has read the YAML file to the one that stays: the same process, begun anew with the settings at hand.

What an import has taken, no later clean-up gives back: YAML parser and command line would cost the daemon 4 MB for ever. So it
replaces itself (execve(2)): process id, service manager and capabilities stay as they are, the memory is new. Settings go along
in a file without a name that lives in memory (memfd_create(2)). Where there is none, on Windows for one, nothing is replaced.
"""

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sitekeeper_agent.config import Settings

_FILE = "SITEKEEPER_SETTINGS_FD"
_SMALL_HEAP = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "32768", "MALLOC_TRIM_THRESHOLD_": "65536"}
"""mallopt(3). Else glibc gives each of the agent's threads a heap of its own, though hardly two of them work at once, and keeps
what a large buffer has left behind: 0.3 MB."""


def leave(settings: "Settings") -> None:
    """Begin anew with ``settings``. Returns where that can't be done."""
    if not hasattr(os, "memfd_create"):
        return
    import msgspec

    try:
        number = os.memfd_create("settings")
    except OSError:
        return
    try:
        with open(number, "wb", closefd=False) as file:
            file.write(msgspec.msgpack.encode(settings))
        os.set_inheritable(number, True)
        os.execve(sys.executable, sys.orig_argv, _SMALL_HEAP | dict(os.environ) | {_FILE: str(number)})  # noqa: S606 - itself
    except OSError:
        os.close(number)


def take() -> "Settings | None":
    """The settings that this process was begun with, once; ``None`` if it was begun by somebody else."""
    number = os.environ.pop(_FILE, "")
    if not number.isdigit():
        return None
    import msgspec

    from sitekeeper_agent.config import Settings

    try:
        with open(int(number), "rb") as file:  # noqa: PTH123 - a number has no path
            file.seek(0)
            return msgspec.msgpack.decode(file.read(), type=Settings)
    except (OSError, msgspec.MsgspecError):
        return None
