"""Linux: disks, the errors counted on them, and volumes that have become read-only."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sitekeeper_agent.platform.equipment_facts import Disk
from sitekeeper_agent.platform.facts import HERE, Roots
from sitekeeper_agent.platform.sysfiles import names, plain, read_number, read_text

_MOST = 8
_NO_DISK = re.compile(r"(sr|fd|nbd|loop|ram|zram|md|dm-)\d|.*(boot\d|rpmb)$")
"""CD drives, floppies, network devices, what is made of other disks, and the hidden parts of an eMMC chip."""
_ALWAYS_READ_ONLY = {"squashfs", "iso9660", "udf", "erofs", "cramfs", "romfs"}
_ESCAPE = re.compile(r"\\([0-7]{3})")


def disks(roots: Roots = HERE) -> tuple[Disk, ...]:
    """Disks that are built in, 8 at most: no sticks, no CDs, nothing that is made of other disks (loop, md, dm, zram)."""
    found = []
    for name in names(f"{roots.sys}/block"):
        base = f"{roots.sys}/block/{name}"
        if _NO_DISK.match(name) or "device" not in names(base) or read_number(f"{base}/removable") != 0:
            continue
        # In units of 512 bytes whatever the disk's own sector is, see Documentation/ABI/stable/sysfs-block
        size = (read_number(f"{base}/size") or 0) * 512
        model = read_text(f"{base}/device/model", 256) or read_text(f"{base}/device/name", 256)
        if size > 0:
            found.append(Disk(plain(name, 32), plain(model, 40), size))
    return tuple(found[:_MOST])


def disk_errors(roots: Roots = HERE) -> dict[str, int]:
    """Errors on disks and partitions by the kernel's name for them, as far as anything counts them; totals.

    ext4 keeps its count in the file system until it is checked, btrfs too; a driver counts commands that timed out since the
    boot. ``ioerr_cnt`` is left out: it grows on healthy disks, by each question for their health among others.
    """
    found = {plain(name, 32): read_number(f"{roots.sys}/fs/ext4/{name}/errors_count") for name in names(f"{roots.sys}/fs/ext4")}
    for name in names(f"{roots.sys}/fs/btrfs"):
        for device in names(f"{roots.sys}/fs/btrfs/{name}/devinfo"):
            stats = read_text(f"{roots.sys}/fs/btrfs/{name}/devinfo/{device}/error_stats", 1024)
            if stats:
                found[plain(f"btrfs-{name[:8]}-{device}", 32)] = _sum(stats)
    for disk in disks(roots):
        timeouts = read_number(f"{roots.sys}/block/{disk.name}/device/iotmo_cnt")
        if timeouts is not None:
            found[disk.name] = (found.get(disk.name) or 0) + timeouts
    counted = [(name, count) for name, count in found.items() if count is not None and count >= 0]
    return dict(counted[: 2 * _MOST])


def _sum(stats: str) -> int:
    fields = (line.split() for line in stats.splitlines())
    return sum(int(f[1]) for f in fields if len(f) == 2 and f[1].isdecimal() and len(f[1]) < 15)


class _Mount(NamedTuple):
    kind: str
    options: frozenset[str]


def read_only(volumes: Iterable[str], roots: Roots = HERE) -> dict[str, bool]:
    """Whether each of ``volumes``, and of those in fstab, has become read-only; none that is meant to be so.

    What counts is the file system's own state: a mount may be read-only for this program alone, as its service wants it.
    """
    mounts = _mounts(read_text(f"{roots.proc}/self/mountinfo", 1 << 20))
    meant = dict(_fstab(read_text(f"{roots.etc}/fstab")))
    found: dict[str, bool] = {}
    for volume in dict.fromkeys([*volumes, *meant]):
        mount = mounts.get(volume)
        if mount is None or mount.kind in _ALWAYS_READ_ONLY or "ro" in meant.get(volume, ()):
            continue
        # Since Linux 6.15 ext4 says so in a word of its own, and stays "rw".
        found[plain(volume, 64)] = bool(mount.options & {"ro", "emergency_ro"})
    return dict(list(found.items())[:_MOST])


def _mounts(text: str) -> dict[str, _Mount]:
    """Mount points of /proc/PID/mountinfo, see proc_pid_mountinfo(5); a later one hides an earlier one."""
    found = {}
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        left, right = before.split(), after.split()
        if len(left) >= 6 and len(right) >= 3:
            found[_unescaped(left[4])] = _Mount(right[0], frozenset(right[2].split(",")))
    return found


def _fstab(text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(mount point, options) of the volumes on disks that fstab(5) names."""
    for line in text.splitlines():
        fields = line.split()
        on_disk = fields and fields[0].startswith(("/dev/", "UUID=", "LABEL=", "PARTUUID=", "PARTLABEL="))
        if on_disk and len(fields) >= 4 and fields[1].startswith("/"):
            yield _unescaped(fields[1]), tuple(fields[3].split(","))


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda found: chr(int(found[1], 8)), text)
