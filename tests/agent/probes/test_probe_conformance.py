"""Every probe keeps to the one type: it never raises, is back in time, and tells only what the wire knows."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from sitekeeper_agent.expectations import Expectations, LanDevice, UsbDevice
from sitekeeper_agent.platform import Roots
from sitekeeper_agent.probes import PROBES, RUNGS, Context, Findings, Portal, parse_portal
from sitekeeper_protocol.vocabulary import METRICS, Metric, Rung, State
from support.name_servers import system_files

TIMEOUT_S = 2.0
GRACE_S = 10.0
"""What a loaded machine may add; a probe that waits for anything without end still fails."""


def garbage_roots(folder: Path) -> Roots:
    for name in ("proc/net/route", "proc/net/ipv6_route", "proc/net/arp", "etc/resolv.conf", "etc/hosts", "etc/os-release"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"\xff\x00 nameserver \n" * 3 + b"a b c d e f g h i j\n" * 2000)
    return Roots(*(str(folder / name) for name in ("proc", "sys", "etc", "run")))


EXPECTED = Expectations(
    usb=(UsbDevice(id="046d:0825", name="<script>alert(1)</script>"), UsbDevice(id="zzzzzzzzz", name="课")),
    lan=(
        LanDevice(name="x" * 40, host="127.0.0.1"),
        LanDevice(name="'; DROP TABLE", host="127.0.0.1", port=9),
        LanDevice(name="n", host="projector.local"),
        LanDevice(name="z", host="::1%nowhere", port=1),
        LanDevice(name="b", host="255.255.255.255"),
    ),
    processes=("../../etc/passwd", "学习播放器" * 8, "%n%s", "sh"),
    services=("--host=evil", "../..", "a\nb", "cron"),
    displays=16,
    audio=True,
)
NONSENSE = {
    "smart sda": -7,
    "smart_at sda": 2**60,
    "pid sh": -1,
    "pid %n%s": 2**70,
    "service cron": 77,
    "services_asked": -5,
    "throttle cpu0 core": -3,
}


def garbage_equipment(folder: Path) -> Roots:
    """What equipment is read from, all of it garbage: bytes of no encoding, numbers without end, lines without end."""
    junk = b"\xff\x00\x1b[31m " + b"9" * 5000 + b"\n" + b"playback - HDMI : x\n" * 3000
    names = (
        "proc/1/stat",
        "proc/77/stat",
        "proc/77/cmdline",
        "proc/self/mountinfo",
        "proc/asound/pcm",
        "proc/asound/cards",
        "proc/asound/card0/eld#0.0",
        "sys/block/sda/device/model",
        "sys/block/sda/device/iotmo_cnt",
        "sys/block/sda/size",
        "sys/fs/ext4/sda1/errors_count",
        "sys/fs/btrfs/u/devinfo/1/error_stats",
        "sys/class/drm/card0-HDMI-A-1/edid",
        "sys/class/thermal/cooling_device0/cur_state",
        "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count",
        "sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq",
        "sys/bus/usb/devices/1-1/idVendor",
        "sys/fs/cgroup/system.slice/cron.service/cgroup.events",
        "etc/fstab",
    )
    for name in names:
        (folder / "junk" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "junk" / name).write_bytes(junk)
    for name, text in (("sys/block/sda/removable", "0"), ("sys/class/drm/card0-HDMI-A-1/status", "connected")):
        (folder / "junk" / name).write_text(text)
    (folder / "junk/sys/block/sda/size").write_text("1000")
    return Roots(*(str(folder / "junk" / name) for name in ("proc", "sys", "etc", "run", "dev")))


def contexts(folder: Path) -> dict[str, Context]:
    end = time.monotonic() + TIMEOUT_S
    plain = Context(parse_portal("http://127.0.0.1:9/"), end)
    named = plain._replace(portal=parse_portal("https://nowhere.invalid/"))
    nothing = Roots(*(str(folder / "nothing" / name) for name in ("proc", "sys", "etc", "run")))
    refusing = Roots(etc=str(system_files(folder, "127.0.0.9", "not an address", "::1%nowhere")))
    return {
        "plain": plain,
        "no time left": named._replace(deadline=0.0, anchors=("127.0.0.1",)),
        "no system files": plain._replace(roots=nothing, state_dir="/nonexistent/" * 30),
        "garbage in system files": named._replace(roots=garbage_roots(folder), state_dir="\0"),
        "bad anchors": plain._replace(anchors=("", "x", "999.1.1.1", "::1%nowhere", "255.255.255.255", "0.0.0.0", "a" * 500)),
        "bad resolvers": named._replace(roots=refusing, dns_port=1),
        "a name that DNS can't carry": plain._replace(portal=Portal("http", "x" * 300, 80), roots=refusing),
        "text outside of ASCII": plain._replace(portal=Portal("https", "学习。cn", 443, "/课"), roots=refusing),
        "an impossible port": plain._replace(portal=Portal("http", "127.0.0.1", 70_000)),
        "streams": plain._replace(
            media=(
                Portal("http", "127.0.0.1", 9, "/" + "x" * 5000),
                Portal("https", "学习。cn", 443, "/课"),
                Portal("http", "x" * 300, 70_000),
                Portal("http", "::1%nowhere", 80),
            ),
            roots=refusing,
            dns_port=1,
        ),
        "equipment": plain._replace(expected=EXPECTED, smart_interval_s=1, before={"smart_at vda": 0, "smart vda": 99}),
        "garbage where equipment is": plain._replace(expected=EXPECTED, roots=garbage_equipment(folder), before=NONSENSE),
        "counters that make no sense": plain._replace(before={"cpu_all_ms": 10**18, "x": -1, "received ": 0, " ": 0}),
    }


CASES = (
    "plain",
    "no time left",
    "no system files",
    "garbage in system files",
    "bad anchors",
    "bad resolvers",
    "a name that DNS can't carry",
    "text outside of ASCII",
    "an impossible port",
    "streams",
    "equipment",
    "garbage where equipment is",
    "counters that make no sense",
)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", PROBES)
def test_a_probe_keeps_to_its_type_whatever_it_is_given(name: str, case: str, tmp_path: Path) -> None:
    known = contexts(tmp_path)
    assert set(known) == set(CASES)
    begun = time.monotonic()
    context = known[case]
    found = PROBES[name](context._replace(deadline=begun + TIMEOUT_S if context.deadline else 0.0))
    assert time.monotonic() - begun < TIMEOUT_S + GRACE_S
    check(name, found)


def check(name: str, found: Findings) -> None:
    for (metric, instance), value in found.values.items():
        assert Metric(metric) in METRICS
        assert len(instance) <= 64
        assert type(value) is int and abs(value) <= 2**53
    for key, fact in found.facts.items():
        assert len(key) <= 64 and type(fact) in (bool, int, str, type(None)) and len(str(fact)) <= 1000
    assert len({(r.path, r.rung, r.label) for r in found.readings}) == len(found.readings)
    for reading in found.readings:
        assert reading.rung == Rung[name.upper()] and reading.path in ("ipv4", "ipv6")
        assert len(reading.target) <= 64 and len(reading.label) <= 64
        assert reading.rtt_ms is None or reading.rtt_ms >= 0
        assert reading.loss_ratio is None or 0 <= reading.loss_ratio <= 1
        assert reading.state != State.FAIL or reading.reason, "a failure has a reason"
    assert (name in RUNGS) == bool(found.readings)


def test_importing_the_probes_loads_nothing_heavy() -> None:
    """Memory on old site PCs is a promise: what costs megabytes is loaded when it is needed, or never."""
    heavy = "asyncio, http.client, email, urllib.request, ssl, json, unicodedata, encodings.idna, icmplib"
    code = (
        "import sys, sitekeeper_agent.probes.runner as r, sitekeeper_agent.probes as p;"
        "runner = r.ProbeRunner(timeout_s=2);"
        "runner.start_round(p.Context(p.parse_portal('http://localhost:9'), 0.0)); runner.collect();"
        f"print(*(m for m in {heavy.split(', ')!r} if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == []
