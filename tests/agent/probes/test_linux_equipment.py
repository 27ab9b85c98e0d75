"""What Linux tells of a site's equipment is read right, and no file can mislead or stop the reader."""

import os
from pathlib import Path

import pytest

from sitekeeper_agent.platform import equipment
from sitekeeper_agent.platform.linux_equipment import edid_name
from sitekeeper_agent.platform.sysfiles import plain, read_bytes, read_number
from support.system_trees import edid, tree

# --- disks ---------------------------------------------------------------------------------------------------------------


def disk(
    name: str, *, removable: str = "0", size: str = "1953525168", model: str = "WDC WD10EZEX-08W", device: str = "x"
) -> dict[str, str]:
    base = f"sys/block/{name}"
    return {f"{base}/removable": removable, f"{base}/size": size, f"{base}/device/{device}": "", f"{base}/device/model": model}


def test_disks_are_those_that_are_built_in(tmp_path: Path) -> None:
    files = disk("sda") | disk("sdb", removable="1") | disk("sdc", size="0") | disk("sr0") | disk("mmcblk0boot0")
    files |= {"sys/block/loop0/removable": "0", "sys/block/loop0/size": "99"}
    files |= {
        "sys/block/mmcblk0/removable": "0",
        "sys/block/mmcblk0/size": "61071360",
        "sys/block/mmcblk0/device/name": "BJTD4R\n",
    }
    found = equipment.disks(tree(tmp_path, files))
    assert found == (equipment.Disk("mmcblk0", "BJTD4R", 31268536320), equipment.Disk("sda", "WDC WD10EZEX-08W", 1000204886016))


def test_errors_are_those_that_the_file_system_keeps_and_commands_that_timed_out(tmp_path: Path) -> None:
    files = disk("sda") | {
        "sys/fs/ext4/sda1/errors_count": "3\n",
        "sys/fs/ext4/features/lazy_itable_init": "supported",
        "sys/fs/btrfs/aabbccdd-1/devinfo/1/error_stats": "write_errs 2\nread_errs 0\ncorruption_errs 5\n",
        "sys/block/sda/device/iotmo_cnt": "0x1f\n",
        "sys/block/sda/device/ioerr_cnt": "0xff\n",
    }
    assert equipment.disk_errors(tree(tmp_path, files)) == {"sda1": 3, "btrfs-aabbccdd-1": 7, "sda": 31}


MOUNTS = """\
26 1 8:1 / / {own} shared:1 - ext4 /dev/sda1 {system}
30 26 8:2 / /course\\040films rw,relatime shared:9 - ext4 /dev/sda2 {films}
31 26 7:1 / /snap/core ro,nodev - squashfs /dev/loop1 ro
32 26 8:17 / /media/stick rw - vfat /dev/sdb1 ro,fmask=0022
33 26 8:3 / /archive ro - ext4 /dev/sda3 ro
nonsense - x
"""
FSTAB = """\
# /etc/fstab
UUID=1 / ext4 errors=remount-ro 0 1
/dev/sda2 /course\\040films ext4 defaults 0 2
LABEL=a /archive ext4 ro,noatime 0 2
tmpfs /tmp tmpfs ro 0 0
"""


@pytest.mark.parametrize(
    ("own", "system", "films", "found"),
    [
        ("rw,relatime", "rw,errors=remount-ro", "rw", {"/": False, "/course films": False}),
        ("rw,relatime", "ro,errors=remount-ro", "rw", {"/": True, "/course films": False}),
        ("ro,relatime", "rw", "rw,emergency_ro", {"/": False, "/course films": True}),
    ],
)
def test_a_volume_is_read_only_if_its_file_system_is_and_nobody_wanted_that(
    own: str, system: str, films: str, found: dict[str, bool], tmp_path: Path
) -> None:
    mounts = MOUNTS.format(own=own, system=system, films=films)
    roots = tree(tmp_path, {"proc/self/mountinfo": mounts, "etc/fstab": FSTAB})
    assert equipment.read_only(("/", "/snap/core"), roots) == found


# --- displays and sound --------------------------------------------------------------------------------------------------


def connector(name: str, status: str, content: bytes = b"") -> dict[str, str | bytes]:
    return {f"sys/class/drm/{name}/status": f"{status}\n", f"sys/class/drm/{name}/edid": content}


def test_displays_are_told_by_connector_name_and_a_print_of_their_own(tmp_path: Path) -> None:
    files = connector("card0-HDMI-A-1", "connected", edid("PHL 243V7")) | connector("card0-DP-1", "disconnected")
    files |= connector("card0-VGA-1", "connected") | connector("card0-Writeback-1", "unknown")
    found = equipment.displays(tree(tmp_path, files | {"sys/class/drm/version": "drm 1.1.0", "sys/class/drm/card0/dev": ""}))
    assert found is not None
    assert [(d.connector, d.name) for d in found] == [("HDMI-A-1", "PHL 243V7"), ("VGA-1", "")]
    other = equipment.displays(tree(tmp_path, connector("card0-HDMI-A-1", "connected", edid("PHL 243V7", serial=8))))
    assert other is not None and other[0].print != found[0].print and len(found[0].print) == 8 and found[1].print == ""


def test_without_a_graphics_driver_nothing_is_said_about_displays(tmp_path: Path) -> None:
    assert equipment.displays(tree(tmp_path, {"sys/class/drm/version": ""})) is None
    assert equipment.displays(tree(tmp_path, connector("card0-HDMI-A-1", "disconnected"))) == ()


@pytest.mark.parametrize(
    ("block", "name"),
    [(edid("EPSON PJ"), "EPSON PJ"), (edid(), "DEL 4051"), (edid("\x1b[31m\x00x"), "[31m x"), (edid(" \n"), "DEL 4051")],
)
def test_a_display_without_a_name_is_called_by_maker_and_product(block: bytes, name: str) -> None:
    assert edid_name(block) == name


PCM = """\
00-00: ALC887-VD Analog : ALC887-VD Analog : playback 1 : capture 1
00-02: ALC887-VD Alt Analog : ALC887-VD Alt Analog : capture 1
00-03: HDMI 0 : HDMI 0 : playback 1
00-07: HDMI 1 : HDMI 1 : playback 1
"""


def test_an_hdmi_sound_output_counts_only_with_a_display_at_its_end(tmp_path: Path) -> None:
    files = {
        "proc/asound/pcm": PCM,
        "proc/asound/card0/eld#0.0": "monitor_present\t\t1\neld_valid\t\t1\nmonitor_name\t\tPHL 243V7\n",
        "proc/asound/card0/eld#0.1": "monitor_present\t\t0\neld_valid\t\t0\n",
        "proc/asound/cards": " 0 [PCH            ]: HDA-Intel - HDA Intel PCH\n                      HDA Intel PCH at 0xf7\n",
    }
    roots = tree(tmp_path, files)
    assert equipment.sound_outputs(roots) == 2
    assert equipment.sound_cards(roots) == ("HDA-Intel - HDA Intel PCH",)


def test_a_driver_that_tells_nothing_of_its_hdmi_sockets_gets_the_benefit_of_the_doubt(tmp_path: Path) -> None:
    assert equipment.sound_outputs(tree(tmp_path, {"proc/asound/pcm": PCM})) == 3


def test_a_kernel_without_sound_has_no_output_and_a_machine_without_proc_says_nothing(tmp_path: Path) -> None:
    assert equipment.sound_outputs(tree(tmp_path / "mute", {"proc/stat": "x"})) == 0
    assert equipment.sound_outputs(tree(tmp_path / "none", {})) is None


# --- USB and heat --------------------------------------------------------------------------------------------------------


def test_usb_devices_are_told_by_vendor_and_product(tmp_path: Path) -> None:
    base = "sys/bus/usb/devices"
    files = {f"{base}/1-1/idVendor": "046D\n", f"{base}/1-1/idProduct": "0825\n", f"{base}/1-1:1.0/idVendor": "dead"}
    files |= {f"{base}/usb1/idVendor": "1d6b\n", f"{base}/usb1/idProduct": "0002\n", f"{base}/2-1/idVendor": "hi\n"}
    assert equipment.usb_ids(tree(tmp_path, files)) == ("046d:0825", "1d6b:0002")
    assert equipment.usb_ids(tree(tmp_path / "none", {})) is None


def test_heat_shows_in_counters_in_cooling_and_in_the_limit_of_frequency(tmp_path: Path) -> None:
    cpu, thermal = "sys/devices/system/cpu", "sys/class/thermal"
    files = {
        f"{cpu}/cpu0/thermal_throttle/core_throttle_count": "12\n",
        f"{cpu}/cpu0/thermal_throttle/package_throttle_count": "40\n",
        f"{cpu}/cpu1/thermal_throttle/core_throttle_count": "x\n",
        f"{cpu}/cpufreq/policy0/scaling_max_freq": "1800000\n",
        f"{cpu}/cpufreq/policy0/cpuinfo_max_freq": "3600000\n",
        f"{cpu}/cpufreq/policy1/scaling_max_freq": "3600000\n",
        f"{cpu}/cpufreq/policy1/cpuinfo_max_freq": "3600000\n",
        f"{thermal}/cooling_device0/type": "Processor\n",
        f"{thermal}/cooling_device0/cur_state": "0\n",
        f"{thermal}/cooling_device1/type": "Fan\n",
        f"{thermal}/cooling_device1/cur_state": "3\n",
    }
    roots = tree(tmp_path, files)
    assert equipment.throttle_counts(roots) == {"cpu0 core": 12, "cpu0 package": 40}
    assert equipment.cpu_limit_ratio(roots) == 0.5
    assert equipment.cooling(roots) is False
    assert equipment.cooling(tree(tmp_path, {f"{thermal}/cooling_device0/cur_state": "2\n"})) is True
    nothing = tree(tmp_path / "none", {})
    assert (equipment.throttle_counts(nothing), equipment.cpu_limit_ratio(nothing), equipment.cooling(nothing)) == (
        {},
        None,
        None,
    )


# --- programs and services -----------------------------------------------------------------------------------------------


def process(pid: int, comm: str, *command: str, state: str = "S") -> dict[str, str]:
    return {f"proc/{pid}/stat": f"{pid} ({comm}) {state} 1 1 1 0 -1", f"proc/{pid}/cmdline": "\0".join([*command, ""])}


PROCESSES = (
    process(1, "systemd", "/sbin/init")
    | process(40, "mpv", "/usr/bin/mpv", "--idle")
    | process(41, "vlc", "/usr/bin/vlc", state="Z")
    | process(42, "course-player-f", "/opt/course-player-full", "-x")
    | process(43, "python3", "/usr/bin/python3", "/opt/kiosk.py")
    | process(44, "a) b (c", "/opt/a) b (c")
)


@pytest.mark.parametrize(
    ("name", "pid"),
    [
        ("mpv", 40),
        ("vlc", 0),
        ("course-player-full", 42),
        ("course-player-f", 0),
        ("kiosk.py", 43),
        ("a) b (c", 44),
        ("--idle", 0),
        ("init", 1),
        ("学习", 0),
    ],
)
def test_a_program_is_found_by_the_name_of_its_file(name: str, pid: int, tmp_path: Path) -> None:
    assert equipment.running([name], {}, tree(tmp_path, PROCESSES)) == {name: pid}


def test_a_process_that_is_known_is_looked_at_first_and_believed_only_while_it_is_the_same(tmp_path: Path) -> None:
    roots = tree(tmp_path, PROCESSES | process(99, "mpv", "/usr/bin/mpv"))
    assert equipment.running(["mpv"], {"mpv": 99}, roots) == {"mpv": 99}
    assert equipment.running(["mpv"], {"mpv": 43}, roots) == {"mpv": 40}
    assert equipment.running(["mpv"], {"mpv": 5555}, roots) == {"mpv": 40}


def test_what_was_looked_at_in_vain_is_passed_over_until_something_new_comes(tmp_path: Path) -> None:
    roots = tree(tmp_path, PROCESSES)
    passed = equipment.Passed()

    def look() -> int:
        return (equipment.running(["player"], {}, roots, passed) or {})["player"]

    assert [look() for _ in range(3)] == [0, 0, 0]
    # In the same process, so that nothing new shows: found once all are looked at again.
    tree(tmp_path, process(40, "player", "/usr/bin/player"))
    looks = [look() for _ in range(equipment.Passed.calls)]
    assert looks[0] == 0 and looks[-1] == 40
    tree(tmp_path, process(40, "bash", "bash"))
    assert [look() for _ in range(4)] == [0, 0, 0, 0]
    tree(tmp_path, process(77, "sh", "sh"))
    assert look() == 0
    tree(tmp_path, process(77, "player", "/usr/bin/player"))
    assert look() == 77


def test_hidden_processes_are_not_taken_for_absent(tmp_path: Path) -> None:
    assert equipment.running(["mpv"], {}, tree(tmp_path, process(40, "bash", "bash"))) is None


@pytest.mark.parametrize(
    ("files", "there"),
    [
        ({"sys/fs/cgroup/system.slice/cups.service/cgroup.events": "populated 1\nfrozen 0\n"}, True),
        ({"sys/fs/cgroup/system.slice/cups.service/cgroup.events": "populated 0\nfrozen 0\n"}, None),
        ({"sys/fs/cgroup/systemd/system.slice/cups.service/cgroup.procs": "812\n"}, True),
        ({"run/cups.pid": "40\n"}, True),
        ({"run/cups.pid": "4040\n"}, False),
        ({"run/cups.pid": "4040\n", "run/systemd/system/x": ""}, None),
        ({}, None),
    ],
)
def test_a_service_runs_if_it_has_processes(files: dict[str, str], there: bool | None, tmp_path: Path) -> None:
    assert equipment.service_running("cups", tree(tmp_path, PROCESSES | files)) is there


def test_a_service_name_leads_to_no_other_folder(tmp_path: Path) -> None:
    roots = tree(tmp_path, {"sys/fs/cgroup/system.slice/cups.service/cgroup.events": "populated 1", "sys/x/cgroup.procs": "1"})
    assert equipment.service_running("../../../x", roots) is None
    assert equipment.service_running("cups.service", roots) is True


# --- reading -------------------------------------------------------------------------------------------------------------


def test_a_file_is_read_within_bounds_and_a_pipe_does_not_stop_the_reader(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(b"x" * 1_000_000)
    assert len(read_bytes(str(tmp_path / "long"), 1000)) == 1000
    os.mkfifo(tmp_path / "pipe")
    assert read_bytes(str(tmp_path / "pipe")) == b"" == read_bytes(str(tmp_path)) == read_bytes("a\0b")


@pytest.mark.parametrize(
    ("text", "number"), [("7\n", 7), ("0x1F\n", 31), ("-1", -1), ("", None), ("9" * 30, None), ("seven", None), ("0xzz", None)]
)
def test_only_a_number_is_a_number(text: str, number: int | None, tmp_path: Path) -> None:
    (tmp_path / "n").write_text(text)
    assert read_number(str(tmp_path / "n")) == number


def test_what_hardware_calls_itself_is_made_fit_for_a_line() -> None:
    assert plain(" a\x00b\n\x1b[2J 课 \u202e", 40) == "a b [2J 课"
    assert plain("x" * 50, 40) == "x" * 40
