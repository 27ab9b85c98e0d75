"""Linux: what /proc, /sys and /etc tell about boot, clocks and network."""

import socket
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

from sitekeeper_agent.platform.facts import (
    HERE,
    Family,
    InterfaceAddress,
    Link,
    Neighbour,
    PlatformUnsupported,
    Resolvers,
    Roots,
    Route,
    Stretch,
)
from sitekeeper_agent.platform.sysfiles import read_bytes
from sitekeeper_protocol.messages import StopReason

# Flags of route(8) and of include/uapi/linux/route.h, if_arp.h, if_addr.h
_RTF_UP, _RTF_GATEWAY, _RTF_REJECT = 0x1, 0x2, 0x200
_ATF_COMPLETE = 0x2
_IFA_F_DADFAILED = 0x08
_MOST_BYTES = 256 * 1024

# Programs that write resolv.conf name themselves in its comments; see resolved.conf(5), NetworkManager.conf(5), resolvconf(8).
_WRITERS = ("generated", "networkmanager", "systemd-resolved", "resolvconf", "dhcp", "dhclient", "connman", "netconfig")


def _read(path: Path) -> str:
    """The file's text, at most 256 KiB of it; "" if it can't be read, which is the same as nothing being there."""
    return read_bytes(str(path), _MOST_BYTES).decode("utf-8", "replace")


def boot_id(roots: Roots = HERE) -> int:
    """Identity of this boot, 1 to 2^32-1. Raises ``PlatformUnsupported`` where the kernel does not tell."""
    text = _read(Path(roots.proc) / "sys/kernel/random/boot_id").strip()
    if not text:
        raise PlatformUnsupported("the kernel shows no boot_id")
    return zlib.crc32(text.encode()) or 1


def boottime_ms() -> int:
    """CLOCK_BOOTTIME: ms since boot, counted on through suspend."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def awake_ms() -> int:
    """A steady clock that stands still in a suspend (CLOCK_MONOTONIC)."""
    return time.monotonic_ns() // 1_000_000


def wall_ms() -> int:
    """Unix time in ms by this machine's clock, right or wrong."""
    return time.time_ns() // 1_000_000


def default_route(family: Family, roots: Roots = HERE) -> Route:
    """The default route with the lowest metric; an empty ``Route`` where there is none."""
    # Every probe asks, so that this is read more often than all the rest.
    table, read = ("route", _routes4) if family == "ipv4" else ("ipv6_route", _routes6)
    found = read(read_bytes(f"{roots.proc}/net/{table}", _MOST_BYTES).decode("utf-8", "replace"))
    return min(found, key=lambda at: at[0], default=(0, Route()))[1]


def _routes4(text: str) -> Iterator[tuple[int, Route]]:
    for line in text.splitlines()[1:]:
        fields = line.split()
        try:
            interface, destination, gateway, flags = fields[0], int(fields[1], 16), int(fields[2], 16), int(fields[3], 16)
            metric, mask = int(fields[6]), int(fields[7], 16)
            address = socket.inet_ntoa(gateway.to_bytes(4, sys.byteorder))
        except (IndexError, ValueError, OverflowError):
            continue
        if destination == mask == 0 and flags & _RTF_UP and not flags & _RTF_REJECT:
            yield metric, Route(address if flags & _RTF_GATEWAY else None, interface)


def _routes6(text: str) -> Iterator[tuple[int, Route]]:
    for line in text.splitlines():
        fields = line.split()
        try:
            destination, length, hop = int(fields[0], 16), int(fields[1], 16), bytes.fromhex(fields[4])
            metric, flags, interface = int(fields[5], 16), int(fields[8], 16), fields[9]
            address = socket.inet_ntop(socket.AF_INET6, hop)
        except (IndexError, ValueError):
            continue
        if destination == length == 0 and flags & _RTF_UP and not flags & _RTF_REJECT and interface != "lo":
            zone = f"%{interface}" if address.startswith("fe80:") else ""
            yield metric, Route(address + zone if flags & _RTF_GATEWAY else None, interface)


def interfaces(roots: Roots = HERE) -> tuple[str, ...]:
    """Network interfaces that a cable or an antenna belongs to, or, in a machine without any, all but loopback."""
    try:
        every = sorted(p for p in (Path(roots.sys) / "class/net").iterdir() if p.name != "lo")
    except OSError:
        return ()
    return tuple(p.name for p in every if (p / "device").exists()) or tuple(p.name for p in every)


def interface_link(interface: str, roots: Roots = HERE) -> Link:
    """Carrier, speed and kind of an interface."""
    base = Path(roots.sys) / "class/net" / Path(interface).name
    if not base.exists():
        return Link()
    # The kernel answers EINVAL for an interface that is switched off: no carrier either.
    carrier = _read(base / "carrier").strip() == "1"
    speed = _read(base / "speed").strip()
    wireless = (base / "wireless").exists() or (base / "phy80211").exists()
    speed_mbps = int(speed) if speed.isascii() and speed.isdigit() and 0 < int(speed[:9]) < 10_000_000 else None
    duplex = {"full": True, "half": False}.get(_read(base / "duplex").strip()) if carrier else None
    signal = _signal_dbm(_read(Path(roots.proc) / "net/wireless"), base.name) if wireless else None
    return Link(carrier, speed_mbps, wireless, duplex, signal)


def _signal_dbm(text: str, interface: str) -> int | None:
    """The level column of /proc/net/wireless; drivers that count in a scale of their own (0 to 100) tell nothing in dBm."""
    for line in text.splitlines():
        name, colon, rest = line.partition(":")
        fields = rest.split()
        if colon and name.strip() == interface and len(fields) >= 3:
            try:
                level = round(float(fields[2]))
            except (ValueError, OverflowError):
                return None
            return level if -120 <= level < 0 else None
    return None


def interface_macs(roots: Roots = HERE) -> tuple[str, ...]:
    """Hardware addresses of this machine's own interfaces, lower case."""
    try:
        found = [_read(p / "address").strip().lower() for p in (Path(roots.sys) / "class/net").iterdir()]
    except OSError:
        return ()
    return tuple(mac for mac in found if mac)


def interface_addresses(interface: str, family: Family) -> tuple[InterfaceAddress, ...]:
    """Addresses of an interface in the order of the system."""
    import psutil

    wanted = socket.AF_INET if family == "ipv4" else socket.AF_INET6
    found = psutil.net_if_addrs().get(interface, [])
    return tuple(InterfaceAddress(a.address.partition("%")[0], _prefix(a.netmask)) for a in found if a.family == wanted)


def disputed_addresses(roots: Roots = HERE) -> tuple[str, ...]:
    """This machine's IPv6 addresses that the kernel does not use since another machine has them (RFC 4862, section 5.4)."""
    found: list[str] = []
    for line in _read(Path(roots.proc) / "net/if_inet6").splitlines():
        fields = line.split()
        try:
            if int(fields[4], 16) & _IFA_F_DADFAILED:
                found.append(socket.inet_ntop(socket.AF_INET6, bytes.fromhex(fields[0])))
        except (IndexError, ValueError):
            continue
    return tuple(found)


def _prefix(netmask: str | None) -> int:
    if not netmask:
        return 0
    family = socket.AF_INET6 if ":" in netmask else socket.AF_INET
    return int.from_bytes(socket.inet_pton(family, netmask), "big").bit_count()


def neighbour(address: str, roots: Roots = HERE) -> Neighbour | None:
    """The ARP entry of an IPv4 address, or ``None``. IPv6 neighbours stand in no file."""
    for line in _read(Path(roots.proc) / "net/arp").splitlines()[1:]:
        fields = line.split()
        if len(fields) >= 4 and fields[0] == address:
            try:
                return Neighbour(fields[3], bool(int(fields[2], 16) & _ATF_COMPLETE))
            except ValueError:
                return None
    return None


def resolvers(roots: Roots = HERE) -> Resolvers:
    """The resolvers of /etc/resolv.conf, and those behind systemd-resolved's stub."""
    path = Path(roots.etc) / "resolv.conf"
    text = _read(path)
    servers, search = _resolv_conf(text)
    upstream: tuple[str, ...] = ()
    if servers and all(s.startswith("127.") or s == "::1" for s in servers):
        upstream, _ = _resolv_conf(_read(Path(roots.run) / "systemd/resolve/resolv.conf"))
    remarks = " ".join(line for line in text.lower().splitlines() if line[:1] in "#;")
    by_hand = bool(servers) and not path.is_symlink() and not any(word in remarks for word in _WRITERS)
    return Resolvers(servers, upstream, search, by_hand)


def _resolv_conf(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(servers, search list), as resolv.conf(5) has it: three servers at most, the last search line counts."""
    servers: list[str] = []
    search: tuple[str, ...] = ()
    for line in text.splitlines():
        word, *values = line.split() or [""]
        if word == "nameserver" and values and len(servers) < 3:
            servers.append(values[0])
        elif word in ("search", "domain"):
            search = tuple(value.rstrip(".") for value in values[:6])
    return tuple(servers), search


def hosts_file(roots: Roots = HERE) -> str:
    """The text of the hosts file, see hosts(5)."""
    return _read(Path(roots.etc) / "hosts")


def os_name(roots: Roots = HERE) -> str:
    """Name and version of the operating system for a person, from os-release(5)."""
    for line in _read(Path(roots.etc) / "os-release").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip().strip("\"'")[:200]
    return "Linux"


def system_volume() -> str:
    """The volume that the operating system lives on."""
    return "/"


def times_on() -> tuple[Stretch, ...]:
    """Nothing: the boot's identity and the agent's own goodbye tell all that a system's log could."""
    return ()


def system_going_down(roots: Roots = HERE) -> StopReason:
    """Why this program is probably being stopped: the machine goes off, sleeps or boots anew, else upgrade or restart."""
    import subprocess

    if (Path(roots.run) / "sitekeeper-agent/upgrading").exists():  # see packaging/debian/prerm
        return StopReason.UPGRADE

    command = ["systemctl", "list-jobs", "--no-legend", "--no-pager", "--plain"]
    try:
        jobs = subprocess.run(command, capture_output=True, timeout=2, check=False).stdout
    except (OSError, subprocess.SubprocessError):
        return StopReason.RESTART
    return stop_reason(jobs.decode("utf-8", "replace"))


def stop_reason(jobs: str) -> StopReason:
    """The reason that systemd's list of queued jobs shows."""
    started = {fields[1] for fields in (line.split() for line in jobs.splitlines()) if len(fields) > 2 and fields[2] == "start"}
    if started & {"reboot.target", "kexec.target", "soft-reboot.target"}:
        return StopReason.RESTART
    if started & {"shutdown.target", "poweroff.target", "halt.target", "umount.target"}:
        return StopReason.SHUTDOWN
    if started & {"sleep.target", "suspend.target", "hibernate.target", "hybrid-sleep.target", "suspend-then-hibernate.target"}:
        return StopReason.SUSPEND
    return StopReason.RESTART
