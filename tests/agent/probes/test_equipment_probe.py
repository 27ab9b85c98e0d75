"""Equipment in a sample: what is there, what is missing, and silence about what can't be told."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sitekeeper_agent.expectations import Expectations, LanDevice, UsbDevice
from sitekeeper_agent.platform import Roots
from sitekeeper_agent.probes import Context, Findings, equipment, expected, lan, parse_portal
from sitekeeper_protocol.vocabulary import Metric
from support.system_trees import edid, tree

USB = "sys/bus/usb/devices"
SITE: dict[str, str | bytes] = {
    "proc/1/stat": "1 (systemd) S 0",
    "proc/77/stat": "77 (player) S 1",
    "proc/self/mountinfo": "26 1 8:1 / / rw - ext4 /dev/sda1 ro,errors=remount-ro\n",
    "proc/asound/pcm": "00-00: ALC887-VD Analog : ALC887-VD Analog : playback 1\n",
    "proc/asound/cards": " 0 [PCH            ]: HDA-Intel - HDA Intel PCH\n",
    "sys/block/sda/removable": "0",
    "sys/block/sda/size": "1953525168",
    "sys/block/sda/device/model": "WDC WD10EZEX",
    "sys/fs/ext4/sda1/errors_count": "4",
    "sys/class/drm/card0-HDMI-A-1/status": "connected",
    "sys/class/drm/card0-HDMI-A-1/edid": edid("EPSON PJ"),
    "sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count": "10",
    f"{USB}/1-1/idVendor": "046d",
    f"{USB}/1-1/idProduct": "0825",
    f"{USB}/1-2/idVendor": "0951",
    f"{USB}/1-2/idProduct": "1666",
}


def context(roots: Roots, wanted: Expectations | None = None, **before: int) -> Context:
    plain = Context(parse_portal("http://127.0.0.1:9/"), time.monotonic() + 30, roots=roots, state_dir="/")
    counters = {name.replace("__", " "): count for name, count in before.items()}
    return plain._replace(expected=wanted or Expectations(), before=counters)


def told(found: Findings) -> dict[tuple[str, str], int]:
    return {(Metric(metric).name.lower(), instance): value for (metric, instance), value in found.values.items()}


def test_a_site_pc_is_told_in_few_series_and_facts_without_a_serial_number(tmp_path: Path) -> None:
    found = equipment.probe(context(tree(tmp_path, SITE)))
    assert told(found) == {
        ("disk_readonly", "/"): 1,
        ("disk_io_errors", "sda1"): 4,
        ("displays", ""): 1,
        ("audio_outputs", ""): 1,
    }
    prints = found.facts["displays"]
    assert isinstance(prints, str) and prints.startswith("HDMI-A-1: EPSON PJ ")
    assert found.facts == {"displays": prints, "sound": "HDA-Intel - HDA Intel PCH", "disks": "sda: WDC WD10EZEX 1000 GB"}


def test_what_is_expected_is_there_or_missing_item_by_item(tmp_path: Path) -> None:
    wanted = Expectations(
        usb=(
            UsbDevice(id="046D:0825", name="camera"),
            UsbDevice(id="046d:0825", name="second camera"),
            UsbDevice(id="dead:beef", name="键盘"),
        ),
        processes=("player", "recorder"),
        displays=2,
        audio=True,
    )
    found = equipment.probe(context(tree(tmp_path, SITE), wanted))
    values = told(found)
    assert {name: value for (metric, name), value in values.items() if metric == "equipment_present"} == {
        "usb/camera": 1,
        "usb/second camera": 0,
        "usb/键盘": 0,
        "process/player": 1,
        "process/recorder": 0,
        "display": 0,
        "audio": 1,
    }
    assert (values["equipment_expected", ""], values["equipment_absent", ""]) == (7, 4)
    assert found.facts["usb"] == "046d:0825", "of the other devices nothing is told"


def test_what_can_t_be_told_is_neither_there_nor_missing(tmp_path: Path) -> None:
    wanted = Expectations(
        usb=(UsbDevice(id="046d:0825", name="camera"),), processes=("player",), services=("cups",), displays=1, audio=True
    )
    found = equipment.probe(context(tree(tmp_path, {}), wanted))
    assert not {metric for metric, _ in told(found)} & {"equipment_present", "equipment_expected", "displays", "audio_outputs"}


def test_throttling_is_counted_between_two_rounds(tmp_path: Path) -> None:
    first = equipment.probe(context(tree(tmp_path, SITE)))
    assert ("throttled", "") not in told(first)
    hot = tree(tmp_path, {"sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count": "13"})
    assert told(equipment.probe(context(hot)._replace(before=first.counters)))["throttled", ""] == 3


@pytest.mark.parametrize(
    ("before", "counts", "cooling", "times"),
    [
        ({}, {"cpu0 core": 5}, None, None),
        ({}, {}, None, None),
        ({}, {}, False, 0),
        ({}, {"cpu0 core": 5}, True, 1),
        ({"throttle cpu0 core": 5, "throttle cpu1 core": 5}, {"cpu0 core": 7, "cpu1 core": 8}, None, 3),
        ({"throttle cpu0 core": 5}, {"cpu0 core": 5}, True, 1),
        ({"throttle cpu0 core": 9}, {"cpu0 core": 2}, None, None),
    ],
)
def test_one_event_that_every_core_counts_is_one_event(
    before: dict[str, int], counts: dict[str, int], cooling: bool | None, times: int | None
) -> None:
    assert equipment.throttled(before, counts, cooling) == times


def test_a_name_full_of_markup_is_one_series_and_nothing_else(tmp_path: Path) -> None:
    name = "<img src=x onerror=alert(1)> ; =cmd|' $(id)"[:40]
    wanted = Expectations(usb=(UsbDevice(id="046d:0825", name=name),), processes=(name,))
    values = told(equipment.probe(context(tree(tmp_path, SITE), wanted)))
    assert values["equipment_present", f"usb/{name}"] == 1 and values["equipment_present", f"process/{name}"] == 0


# --- this machine --------------------------------------------------------------------------------------------------------


def test_a_program_of_this_machine_is_seen_while_it_runs_and_missed_when_it_has_ended(tmp_path: Path) -> None:
    name = "sitekeeper-test-player"
    (tmp_path / name).symlink_to("/bin/sleep")
    wanted = Expectations(processes=(name,))
    with subprocess.Popen([tmp_path / name, "600"]) as player:
        try:
            found = equipment.probe(context(Roots(), wanted))
            assert told(found)["equipment_present", f"process/{name}"] == 1
            assert found.counters[f"pid {name}"] == player.pid
        finally:
            player.kill()
    found = equipment.probe(context(Roots(), wanted)._replace(before=found.counters))
    assert told(found)["equipment_present", f"process/{name}"] == 0


def test_the_root_of_this_machine_takes_data() -> None:
    assert told(equipment.probe(context(Roots())))["disk_readonly", "/"] == 0


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Path]:
    """An ext4 volume of its own that goes read-only at its first error, as Debian's do."""
    disk, folder = tmp_path / "disk", tmp_path / "volume"
    disk.write_bytes(b"")
    os.truncate(disk, 16 * 1048576)
    folder.mkdir()
    subprocess.run(["mkfs.ext4", "-q", "-F", disk], check=True, timeout=60)
    subprocess.run(["mount", "-o", "loop,errors=remount-ro", disk, folder], check=True, timeout=60)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True, timeout=60)


@pytest.mark.root
def test_a_real_file_system_that_breaks_is_told_as_read_only_with_its_error(volume: Path) -> None:
    at_volume = context(Roots())._replace(state_dir=str(volume / "state"))
    mount = next(line for line in Path("/proc/self/mounts").read_text().splitlines() if str(volume) in line)
    device = Path(mount.split()[0]).name
    sound = told(equipment.probe(at_volume))
    assert (sound["disk_readonly", str(volume)[:64]], sound["disk_io_errors", device]) == (0, 0)
    Path(f"/sys/fs/ext4/{device}/trigger_fs_error").write_text("1")
    with pytest.raises(OSError, match="Read-only"):
        (volume / "film").write_bytes(b"x")
    broken = told(equipment.probe(at_volume))
    assert (broken["disk_readonly", str(volume)[:64]], broken["disk_io_errors", device]) == (1, 1)


def test_what_nobody_expects_loads_nothing() -> None:
    code = (
        "import sys, time; from sitekeeper_agent.probes import Context, equipment, parse_portal;"
        "equipment.probe(Context(parse_portal('http://127.0.0.1:9/'), time.monotonic() + 9, smart_interval_s=0));"
        "print(*(m for m in ('expected', 'lan', 'smart') if f'sitekeeper_agent.probes.{m}' in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == []


# --- devices in the network ----------------------------------------------------------------------------------------------


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_a_device_with_a_port_must_take_a_connection_there_and_others_must_answer(listener: int) -> None:
    devices = (
        LanDevice(name="recorder", host="127.0.0.1", port=listener),
        LanDevice(name="printer", host="127.0.0.1", port=closed_port()),
        LanDevice(name="pc", host="127.0.0.1"),
    )
    found = lan.present(devices, time.monotonic() + 20, Roots())
    assert found == {"recorder": True, "printer": False, "pc": True}


def test_nothing_is_said_of_a_device_without_a_way_to_it_or_without_time(listener: int) -> None:
    devices = (
        LanDevice(name="name", host="projector.local"),
        LanDevice(name="zone", host="fe80::1%nowhere", port=80),
        LanDevice(name="recorder", host="127.0.0.1", port=listener),
    )
    assert lan.present(devices, time.monotonic() + 20, Roots()) == {"recorder": True}
    assert lan.present(devices, 0.0, Roots()) == {}


def test_a_device_that_drops_echoes_is_there_if_it_answers_arp(tmp_path: Path) -> None:
    # 192.0.2.0/24 is nobody's (RFC 5737): no echo comes back from it.
    arp = "IP address HW type Flags HW address Mask Device\n192.0.2.7 0x1 0x2 02:fc:00:00:00:05 * eth0\n"
    roots = tree(tmp_path, {"proc/net/arp": arp})
    assert lan.present([LanDevice(name="box", host="192.0.2.7")], time.monotonic() + 20, roots) == {"box": True}


# --- services ------------------------------------------------------------------------------------------------------------

CGROUP = "sys/fs/cgroup/system.slice/cups.service/cgroup.events"


class Systemctl:
    """A ``systemctl`` on the PATH of a machine that systemd runs; it notes each call."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.roots = tree(folder, {"run/systemd/system/x": ""})
        (folder / "bin").mkdir()
        monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")

    def does(self, script: str) -> None:
        path = self.folder / "bin/systemctl"
        path.write_text(f'#!/bin/sh\necho "$@" >>{self.folder / "calls"}\n{script}\n')
        path.chmod(0o755)

    @property
    def asked(self) -> list[str]:
        calls = self.folder / "calls"
        return calls.read_text().splitlines() if calls.exists() else []

    def look(self, before: dict[str, int], now_ms: int, *names: str) -> expected.Found:
        wanted = Expectations(services=names)
        return expected.look(context(self.roots, wanted)._replace(before=before), now_ms)


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemctl:
    return Systemctl(tmp_path, monkeypatch)


def test_a_service_with_processes_needs_no_question(systemctl: Systemctl) -> None:
    systemctl.does("echo active")
    tree(systemctl.folder, {CGROUP: "populated 1\n"})
    assert systemctl.look({}, 1000, "cups").items == {"service/cups": True}
    assert systemctl.asked == []


def test_a_service_that_stops_is_asked_for_at_once_and_then_every_five_minutes(systemctl: Systemctl) -> None:
    systemctl.does("echo inactive; exit 3")
    tree(systemctl.folder, {CGROUP: "populated 1\n"})
    running = systemctl.look({}, 1000, "cups")
    tree(systemctl.folder, {CGROUP: "populated 0\n"})
    stopped = systemctl.look(running.counters, 61_000, "cups")
    assert stopped.items == {"service/cups": False} and systemctl.asked == ["is-active -- cups"]
    still = systemctl.look(stopped.counters, 121_000, "cups")
    assert still.items == {"service/cups": False} and len(systemctl.asked) == 1
    systemctl.does("echo active")
    again = systemctl.look(still.counters, 361_000, "cups")
    assert again.items == {"service/cups": True} and len(systemctl.asked) == 2
    assert systemctl.look(again.counters, 421_000, "cups").items == {"service/cups": True}


def test_several_services_are_one_question(systemctl: Systemctl) -> None:
    systemctl.does("printf 'active\\nfailed\\nactivating\\n'; exit 3")
    found = systemctl.look({}, 0, "oneshot", "broken", "starting.socket")
    assert found.items == {"service/oneshot": True, "service/broken": False, "service/starting.socket": False}
    assert systemctl.asked == ["is-active -- oneshot broken starting.socket"]


@pytest.mark.parametrize("script", ["exit 1", "echo active; echo active; echo active", "yes active", "exec sleep 600"])
def test_an_answer_that_does_not_fit_the_question_says_nothing(systemctl: Systemctl, script: str) -> None:
    systemctl.does(script)
    assert systemctl.look({}, 0, "cups").items == {}
