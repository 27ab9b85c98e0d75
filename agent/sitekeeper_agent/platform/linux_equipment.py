"""Linux: displays, sound outputs, USB devices and a processor that is slowed by heat."""

import re
import zlib
from collections import Counter

from sitekeeper_agent.platform.equipment_facts import Display
from sitekeeper_agent.platform.facts import HERE, Roots
from sitekeeper_agent.platform.sysfiles import names, plain, read_bytes, read_number, read_text

_EDID_HEAD = b"\x00\xff\xff\xff\xff\xff\xff\x00"
_EDID_BYTES = 128
_CONNECTOR = re.compile(r"card\d+-(.+)")
_CPU = re.compile(r"cpu\d+")
_USB_ID = re.compile(r"[0-9a-f]{4}")
_MOST_CPUS = 64


def displays(roots: Roots = HERE) -> tuple[Display, ...] | None:
    """Connected displays, a laptop's own among them, 16 at most; ``None`` where no graphics driver tells."""
    base = f"{roots.sys}/class/drm"
    # Writeback connectors are no sockets: they never know whether anything is connected.
    connectors = [(m[1], name) for name in names(base) if (m := _CONNECTOR.fullmatch(name)) and "Writeback" not in name]
    if not connectors:
        return None
    found = [
        _display(plain(connector, 20), read_bytes(f"{base}/{name}/edid", _EDID_BYTES * 8))
        for connector, name in connectors
        if read_text(f"{base}/{name}/status", 64) == "connected"
    ]
    return tuple(found[:16])


def _display(connector: str, edid: bytes) -> Display:
    if len(edid) < _EDID_BYTES or not edid.startswith(_EDID_HEAD):
        return Display(connector, "", "")
    return Display(connector, edid_name(edid), f"{zlib.crc32(edid):08x}")


def edid_name(edid: bytes) -> str:
    """What a display calls itself (VESA E-EDID 1.4, 3.10.3.4), else its maker's three letters and the product's number."""
    for at in range(54, 126, 18):
        if edid[at : at + 5] == b"\x00\x00\x00\xfc\x00":
            text = edid[at + 5 : at + 18].partition(b"\n")[0].decode("ascii", "replace")
            if name := plain(text, 13):
                return name
    packed = int.from_bytes(edid[8:10], "big")
    letters = "".join(chr(64 + (packed >> shift & 31)) for shift in (10, 5, 0))
    return plain(f"{letters} {int.from_bytes(edid[10:12], 'little'):04x}", 13)


def sound_outputs(roots: Roots = HERE) -> int | None:
    """Outputs that could be heard: sockets and speakers, and of those in HDMI cables the ones with a display at the end.

    A kernel without any sound has no output. ``None`` where there is no /proc to ask.
    """
    if not names(roots.proc):
        return None
    base = f"{roots.proc}/asound"
    hdmi: Counter[str] = Counter()
    others = 0
    for line in read_text(f"{base}/pcm").splitlines():
        if "playback" not in line:
            continue
        card, _, rest = line.partition("-")
        if "HDMI" in rest.upper() or "DISPLAYPORT" in rest.upper():
            hdmi[card] += 1
        else:
            others += 1
    return min(others + sum(_heard(f"{base}/card{int(card)}", n) for card, n in hdmi.items() if card.isdecimal()), 999)


def _heard(card: str, outputs: int) -> int:
    """How many of a card's HDMI outputs have a display; all of them where the driver does not tell."""
    told = [name for name in names(card) if name.startswith("eld#")]
    if not told:
        return outputs
    return sum("monitor_present\t\t1" in read_text(f"{card}/{name}", 4096) for name in told)


def sound_cards(roots: Roots = HERE) -> tuple[str, ...]:
    """Names of the sound cards, 8 at most."""
    lines = read_text(f"{roots.proc}/asound/cards").splitlines()
    found = (re.fullmatch(r" *\d+ \[.{1,32}\]: (.+)", line) for line in lines[:64])
    return tuple(plain(match[1], 60) for match in found if match)[:8]


def usb_ids(roots: Roots = HERE) -> tuple[str, ...] | None:
    """``vendor:product`` of each USB device, hubs too; ``None`` where the system has no USB at all."""
    base = f"{roots.sys}/bus/usb/devices"
    devices = [name for name in names(base) if ":" not in name]
    if not devices:
        return None
    pairs = ((read_text(f"{base}/{d}/idVendor", 16).lower(), read_text(f"{base}/{d}/idProduct", 16).lower()) for d in devices)
    return tuple(f"{vendor}:{product}" for vendor, product in pairs if _USB_ID.fullmatch(vendor) and _USB_ID.fullmatch(product))


def throttle_counts(roots: Roots = HERE) -> dict[str, int]:
    """How often heat has slowed each core and package since the boot, where the processor counts it."""
    base = f"{roots.sys}/devices/system/cpu"
    found: dict[str, int] = {}
    for cpu in [name for name in names(base) if _CPU.fullmatch(name)][:_MOST_CPUS]:
        for part in ("core", "package"):
            count = read_number(f"{base}/{cpu}/thermal_throttle/{part}_throttle_count")
            if count is not None:
                found[f"{cpu} {part}"] = count
    return found


def cooling(roots: Roots = HERE) -> bool | None:
    """Whether the kernel slows the processor to cool it just now; ``None`` where it has no such means."""
    base = f"{roots.sys}/class/thermal"
    means = [n for n in names(base) if n.startswith("cooling_device")]
    states = [read_number(f"{base}/{n}/cur_state") for n in means if _slows(read_text(f"{base}/{n}/type", 64))]
    known = [state for state in states if state is not None]
    return any(known) if known else None


def _slows(kind: str) -> bool:
    return kind == "Processor" or kind.startswith(("cpufreq", "thermal-cpufreq"))


def cpu_limit_ratio(roots: Roots = HERE) -> float | None:
    """The lowest limit of frequency of any core, as a share of what it could do; ``None`` where the kernel sets none."""
    base = f"{roots.sys}/devices/system/cpu/cpufreq"
    limits = []
    for policy in [name for name in names(base) if name.startswith("policy")][:_MOST_CPUS]:
        limit, most = read_number(f"{base}/{policy}/scaling_max_freq"), read_number(f"{base}/{policy}/cpuinfo_max_freq")
        if limit is not None and most and limit >= 0:
            limits.append(min(1.0, limit / most))
    return min(limits, default=None)
