"""Linux: whether a program or a service runs, for a few file reads where nothing has changed."""

import os
from collections.abc import Iterable, Mapping

from sitekeeper_agent.platform.equipment_facts import Passed
from sitekeeper_agent.platform.facts import HERE, Roots
from sitekeeper_agent.platform.sysfiles import names, read_bytes, read_number, read_text

_COMM = 15
"""Bytes of a program's name that the kernel keeps, see proc_pid_comm(5)."""
_MOST_PROCESSES = 8192
_INTERPRETERS = (b"python", b"perl", b"ruby", b"node", b"sh", b"bash", b"dash", b"wine", b"mono")
_SLICES = ("system.slice", "unified/system.slice", "systemd/system.slice")
"""Where systemd's services have their control groups: version 2, both, version 1."""


def running(
    programs: Iterable[str], known: Mapping[str, int], roots: Roots = HERE, passed: Passed | None = None
) -> dict[str, int] | None:
    """The process id of each program, 0 where it does not run; ``None`` where other users' processes are hidden.

    A program is named by its file, without the folder; of a script it is the script's own file. ``known`` are the ids of the
    call before: they are looked at first, so that nothing else has to be. With ``passed``, those that calls before have looked
    at are left out of the search.
    """
    if not read_bytes(f"{roots.proc}/1/stat", 64):
        return None
    found = {name: known[name] for name in programs if known.get(name) and _named(known[name], name, roots)}
    missing = [name for name in dict.fromkeys(programs) if name not in found]
    if missing:
        pids = (passed or Passed()).left(
            missing, (int(entry) for entry in names(roots.proc, _MOST_PROCESSES) if entry.isdecimal())
        )
        comms = {pid: comm for pid in pids if (comm := _comm(pid, roots))}
        for name in missing:
            short = _short(name)
            same = (pid for pid, comm in comms.items() if comm == short and (len(short) < _COMM or _named(pid, name, roots)))
            found[name] = next(same, 0) or next((pid for pid in comms if _in_command(pid, name, roots)), 0)
    return found


def _short(name: str) -> bytes:
    return name.encode()[:_COMM]


def _comm(pid: int, roots: Roots) -> bytes:
    """The kernel's name of a process; nothing for one that has ended, a zombie among them."""
    stat = read_bytes(f"{roots.proc}/{pid}/stat", 512)
    # The name may hold blanks and brackets itself.
    head, _, tail = stat.rpartition(b")")
    return b"" if tail.split()[:1] in ([b"Z"], [b"X"], []) else head.partition(b"(")[2]


def _named(pid: int, name: str, roots: Roots) -> bool:
    comm = _comm(pid, roots)
    if not comm:
        return False
    short = _short(name)
    return (comm == short and len(short) < _COMM) or _in_command(pid, name, roots)


def _in_command(pid: int, name: str, roots: Roots) -> bool:
    """Whether the program is called so, or the script that it runs."""
    words = [word.rpartition(b"/")[2] for word in read_bytes(f"{roots.proc}/{pid}/cmdline", 2048).split(b"\0")[:2]]
    wanted = name.encode()
    return words[0] == wanted or (words[0].startswith(_INTERPRETERS) and words[1:] == [wanted])


def service_running(name: str, roots: Roots = HERE) -> bool | None:
    """Whether a service has processes; ``None`` where its control group can't say so, as of one that has done its work.

    Without systemd, the number in /run/NAME.pid counts.
    """
    if "/" in name:
        return None
    unit = name if "." in name else f"{name}.service"
    for part in _SLICES:
        base = f"{roots.sys}/fs/cgroup/{part}/{unit}"
        if "populated 1" in read_text(f"{base}/cgroup.events", 256) or read_bytes(f"{base}/cgroup.procs", 64):
            return True
    if not booted_with_systemd(roots):
        pid = read_number(f"{roots.run}/{name}.pid")
        return None if pid is None else bool(_comm(pid, roots))
    return None


def booted_with_systemd(roots: Roots = HERE) -> bool:
    """Whether systemd runs this machine, as sd_booted(3) tells it."""
    return os.path.isdir(f"{roots.run}/systemd/system")  # noqa: PTH112 - no path object for one look
