"""Windows: boot, clocks and network from registry, kernel32 and the system's programs; what it can't tell costs one reading.

Programs are asked only where the registry does not tell (PPPoE, VPN, IPv6, neighbours), and remembered as long as the machine's
addresses stay: starting one costs more than all else that is measured.
"""

import sys

# ruff: noqa: E402 - the assertion above keeps type checkers of other systems out

assert sys.platform == "win32"

import ctypes
import os
import socket
import time
import winreg
import zlib
from collections.abc import Iterator
from pathlib import Path

from sitekeeper_agent.platform import windows_events, windows_outputs
from sitekeeper_agent.platform.facts import (
    HERE,
    Family,
    Idle,
    InterfaceAddress,
    Link,
    Neighbour,
    PlatformUnsupported,
    Resolvers,
    Roots,
    Route,
    Stretch,
)
from sitekeeper_protocol.messages import StopReason

_PREFETCH = r"SYSTEM\CurrentControlSet\Control\Session Manager\Memory Management\PrefetchParameters"
_TCPIP = r"SYSTEM\CurrentControlSet\Services\Tcpip\Parameters\Interfaces"
_CONNECTIONS = r"SYSTEM\CurrentControlSet\Control\Network\{4D36E972-E325-11CE-BFC1-08002BE10318}"
_SM_SHUTTINGDOWN = 0x2000
_CREATE_NO_WINDOW = 0x08000000
_REMEMBERED_MS = 300_000
_MOST_BYTES = 4 * 1024 * 1024


def _value(path: str, name: str) -> object:
    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, path) as key:
            return winreg.QueryValueEx(key, name)[0]
    except OSError:
        return None


def _words(path: str, name: str) -> tuple[str, ...]:
    """A list in the registry: a text with blanks or commas, or several texts."""
    value = _value(path, name)
    parts = value if isinstance(value, list) else str(value or "").replace(",", " ").split()
    return tuple(str(part) for part in parts if part and part != "0.0.0.0")  # noqa: S104 - a gateway that is not set


def boot_id(roots: Roots = HERE) -> int:
    """Identity of this boot: Windows counts its boots, and leaves the count alone over Fast Startup."""
    count = _value(_PREFETCH, "BootId")
    if count is None:
        raise PlatformUnsupported("the registry shows no BootId")
    return zlib.crc32(str(count).encode()) or 1


def boottime_ms() -> int:
    """ms since boot, counted on through sleep (GetTickCount64)."""
    tick = ctypes.windll.kernel32.GetTickCount64
    tick.restype = ctypes.c_uint64
    return int(tick())


def awake_ms() -> int:
    """A steady clock that stands still in a suspend (QueryUnbiasedInterruptTime); Python's monotonic clock goes on there."""
    passed = ctypes.c_uint64()
    ctypes.windll.kernel32.QueryUnbiasedInterruptTime(ctypes.byref(passed))
    return passed.value // 10_000


def wall_ms() -> int:
    """Unix time in ms by this machine's clock, right or wrong."""
    return time.time_ns() // 1_000_000


def _guids() -> Iterator[str]:
    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, _TCPIP) as key:
            for at in range(winreg.QueryInfoKey(key)[0]):
                yield winreg.EnumKey(key, at)
    except OSError:
        return


def _name(guid: str) -> str:
    return str(_value(rf"{_CONNECTIONS}\{guid}\Connection", "Name") or guid)


def _say(*command: str, timeout_s: float = 5) -> str:
    """What a program of the system prints. Raises ``PlatformUnsupported`` where it can't be asked."""
    import subprocess

    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout_s, check=False, creationflags=_CREATE_NO_WINDOW)
    except (OSError, subprocess.SubprocessError) as err:
        raise PlatformUnsupported(f"{command[0]} can't be asked: {err}") from err
    return windows_outputs.decode(done.stdout[:_MOST_BYTES], f"cp{ctypes.windll.kernel32.GetOEMCP()}")


def _own_addresses() -> dict[str, str]:
    """Each address of this machine, and the name of its interface."""
    import psutil

    return {a.address.partition("%")[0]: name for name, found in psutil.net_if_addrs().items() for a in found}


_known: dict[tuple[str, ...], tuple[int, dict[str, str], str]] = {}


def _remembered(*command: str) -> str:
    """What the program printed last, asked anew after five minutes and when this machine's addresses have changed."""
    now_ms, own = boottime_ms(), _own_addresses()
    asked_ms, addresses, text = _known.get(command, (0, {}, ""))
    if command not in _known or addresses != own or now_ms - asked_ms > _REMEMBERED_MS:
        text = _say(*command)
        _known[command] = (now_ms, own, text)
    return text


def _printed_route(family: Family) -> Route:
    """The best default route of `route print`."""
    printed = windows_outputs.default_routes(_remembered("route", "print"))
    route = next((route for route in printed if route.family == family), None)
    if route is None:
        return Route()
    if family == "ipv4":
        return Route(route.gateway, _own_addresses().get(route.interface, route.interface))
    names = windows_outputs.interface_names(_remembered("netsh", "interface", "ipv6", "show", "interfaces"))
    zone = f"%{route.interface}" if route.gateway and route.gateway.startswith("fe80:") else ""
    return Route(route.gateway + zone if route.gateway else None, names.get(route.interface, route.interface))


def default_route(family: Family, roots: Roots = HERE) -> Route:
    """The gateway that is set or leased on a connected interface, else what `route print` shows."""
    if family == "ipv6":
        return _printed_route(family)
    for guid in _guids():
        for key in ("DefaultGateway", "DhcpDefaultGateway"):
            for gateway in _words(rf"{_TCPIP}\{guid}", key):
                if interface_link(_name(guid)).carrier:
                    return Route(gateway, _name(guid))
    return _printed_route(family)


def interfaces(roots: Roots = HERE) -> tuple[str, ...]:
    """Network interfaces other than loopback."""
    import psutil

    return tuple(name for name in psutil.net_if_stats() if "loopback" not in name.lower())


def interface_link(interface: str, roots: Roots = HERE) -> Link:
    """Carrier, speed and duplex of an interface, and the signal of a wireless one."""
    import psutil

    stats = psutil.net_if_stats().get(interface)
    if stats is None:
        return Link()
    duplex = None if stats.duplex == psutil.NIC_DUPLEX_UNKNOWN else stats.duplex == psutil.NIC_DUPLEX_FULL
    try:
        signals = windows_outputs.wireless_signals(_remembered("netsh", "wlan", "show", "interfaces"))
    except PlatformUnsupported:
        signals = {}
    return Link(stats.isup, stats.speed or None, interface in signals, duplex, signals.get(interface))


def interface_macs(roots: Roots = HERE) -> tuple[str, ...]:
    """None: no raw socket is to be had here, and so nothing asks."""
    return ()


def interface_addresses(interface: str, family: Family) -> tuple[InterfaceAddress, ...]:
    """Addresses of an interface in the order of the system."""
    import psutil

    wanted = socket.AF_INET if family == "ipv4" else socket.AF_INET6
    found = [a for a in psutil.net_if_addrs().get(interface, []) if a.family == wanted]
    return tuple(InterfaceAddress(a.address.partition("%")[0], _prefix(a.netmask)) for a in found)


def _prefix(netmask: str | None) -> int:
    return int.from_bytes(socket.inet_aton(netmask), "big").bit_count() if netmask and ":" not in netmask else 0


def neighbour(address: str, roots: Roots = HERE) -> Neighbour | None:
    """The ARP entry of an IPv4 address, or ``None``."""
    return windows_outputs.neighbour(_say("arp", "-a", address), address)


def disputed_addresses(roots: Roots = HERE) -> tuple[str, ...]:
    """This machine's addresses that Windows does not use since another machine has them: `ipconfig /all` says so."""
    try:
        found = windows_outputs.adapters(_remembered("ipconfig", "/all"))
    except PlatformUnsupported:
        return ()
    return tuple(address for adapter in found for address in adapter.duplicates)


def times_on(most_events: int = 200) -> tuple[Stretch, ...]:
    """When this PC was on and how each time ended, by the event log: with Fast Startup neither boot time nor count tell."""
    return windows_events.stretches(windows_events.records(_say(*windows_events.command(most_events), timeout_s=20)))


def resolvers(roots: Roots = HERE) -> Resolvers:
    """Resolvers that are set by hand or leased, interface by interface."""
    leased: list[str] = []
    by_hand: list[str] = []
    for guid in _guids():
        by_hand.extend(_words(rf"{_TCPIP}\{guid}", "NameServer"))
        leased.extend(_words(rf"{_TCPIP}\{guid}", "DhcpNameServer"))
    return Resolvers(tuple(dict.fromkeys(by_hand or leased))[:3], by_hand=bool(by_hand))


def session_idle(wait_s: float, roots: Roots = HERE) -> Idle | None:
    """Nothing: what runs in the background of Windows can't see whether keys or mouse are used (session 0)."""
    return None


def hosts_file(roots: Roots = HERE) -> str:
    """The text of the hosts file."""
    path = Path(os.environ.get("SYSTEMROOT", r"C:\Windows")) / "System32/drivers/etc/hosts"
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


def os_name(roots: Roots = HERE) -> str:
    """Name and version of the operating system for a person."""
    version = sys.getwindowsversion()
    return f"Windows {version.major}.{version.minor}.{version.build}"


def system_volume() -> str:
    """The volume that the operating system lives on."""
    return os.environ.get("SYSTEMDRIVE", "C:") + "\\"


def system_going_down() -> StopReason:
    """Whether Windows is shutting down (GetSystemMetrics), else a restart of the agent."""
    going = ctypes.windll.user32.GetSystemMetrics(_SM_SHUTTINGDOWN)
    return StopReason.SHUTDOWN if going else StopReason.RESTART
