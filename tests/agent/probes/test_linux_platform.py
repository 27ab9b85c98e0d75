"""What Linux's files tell, read from copies of real ones and from broken ones."""

import time
from pathlib import Path

import pytest

from sitekeeper_agent import platform
from sitekeeper_agent.platform import InterfaceAddress, Link, Neighbour, PlatformUnsupported, Resolvers, Roots, Route
from sitekeeper_agent.platform.linux import stop_reason
from sitekeeper_agent.probes.address import judge_addresses
from sitekeeper_protocol.messages import StopReason
from sitekeeper_protocol.vocabulary import Reason, State

HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
ETH = "eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
WLAN = "wlan0\t00000000\tFE01A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n"
LAN = "eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n"
PPP = "ppp0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0\n"
REJECT = "*\t00000000\t00000000\t0200\t0\t0\t0\t00000000\t0\t0\t0\n"
ZERO, ONES = "0" * 32, "fe800000000000000000000000000001"


def route6(gateway: str, metric: str, flags: str, interface: str) -> str:
    return f"{ZERO} 00 {ZERO} 00 {gateway} {metric} 00000002 00000000 {flags}     {interface}\n"


def roots(folder: Path, files: dict[str, str]) -> Roots:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return Roots(*(str(folder / name) for name in ("proc", "sys", "etc", "run")))


@pytest.mark.parametrize(
    ("text", "route"),
    [
        (HEAD + LAN + WLAN + ETH, Route("192.168.1.1", "eth0")),
        (HEAD + WLAN + LAN, Route("192.168.1.254", "wlan0")),
        (HEAD + PPP + ETH, Route(None, "ppp0")),
        (HEAD + LAN, Route()),
        (HEAD + REJECT, Route()),
        (HEAD + "eth0\tzz\n\n" + "x" * 4000 + "\n" + ETH, Route("192.168.1.1", "eth0")),
        ("", Route()),
    ],
)
def test_the_default_route_is_the_one_with_the_lowest_metric(text: str, route: Route, tmp_path: Path) -> None:
    assert platform.default_route("ipv4", roots(tmp_path, {"proc/net/route": text})) == route


@pytest.mark.parametrize(
    ("text", "route"),
    [
        (route6(ONES, "00000400", "00000003", "eth0"), Route("fe80::1%eth0", "eth0")),
        (route6(ZERO, "00000100", "00000001", "ppp0"), Route(None, "ppp0")),
        (route6(ZERO, "ffffffff", "00200200", "lo"), Route()),
        ("garbage\n" * 3, Route()),
    ],
)
def test_the_ipv6_default_route_carries_the_zone_of_a_link_local_gateway(text: str, route: Route, tmp_path: Path) -> None:
    assert platform.default_route("ipv6", roots(tmp_path, {"proc/net/ipv6_route": text})) == route


def test_a_boot_has_an_identity_that_lasts_and_differs_from_the_next(tmp_path: Path) -> None:
    one = roots(tmp_path / "1", {"proc/sys/kernel/random/boot_id": "5a1e1d4e-0d54-4a09-a3b3-6a4a7f3c7e5e\n"})
    other = roots(tmp_path / "2", {"proc/sys/kernel/random/boot_id": "5a1e1d4e-0d54-4a09-a3b3-6a4a7f3c7e5f\n"})
    assert platform.boot_id(one) == platform.boot_id(one) != platform.boot_id(other)
    assert 1 <= platform.boot_id() < 2**32
    with pytest.raises(PlatformUnsupported):
        platform.boot_id(roots(tmp_path / "3", {}))


def test_boot_time_counts_on() -> None:
    before = platform.boottime_ms()
    assert 0 < before <= platform.boottime_ms()
    assert abs(platform.boottime_ms() - time.clock_gettime(time.CLOCK_BOOTTIME) * 1000) < 60_000


def test_the_neighbour_table_tells_who_has_answered(tmp_path: Path) -> None:
    text = (
        "IP address       HW type     Flags       HW address            Mask     Device\n"
        "192.168.1.1      0x1         0x2         02:fc:00:00:00:05     *        eth0\n"
        "192.168.1.9      0x1         0x0         00:00:00:00:00:00     *        eth0\n"
        "192.168.1.10     0x1         zz          00:00:00:00:00:00     *        eth0\n"
    )
    at = roots(tmp_path, {"proc/net/arp": text})
    assert platform.neighbour("192.168.1.1", at) == Neighbour("02:fc:00:00:00:05", True)
    assert platform.neighbour("192.168.1.9", at) == Neighbour("00:00:00:00:00:00", False)
    assert platform.neighbour("192.168.1.10", at) is None and platform.neighbour("192.168.1.7", at) is None


def test_interfaces_are_those_with_a_device_behind_them(tmp_path: Path) -> None:
    net = "sys/class/net"
    at = roots(
        tmp_path,
        {
            f"{net}/eth0/device/x": "",
            f"{net}/eth0/carrier": "1\n",
            f"{net}/eth0/speed": "1000\n",
            f"{net}/docker0/carrier": "1",
        },
    )
    assert platform.interfaces(at) == ("eth0",)
    assert platform.interface_link("eth0", at) == Link(True, 1000, False)
    assert platform.interface_link("../../etc", at) == Link() == platform.interface_link("nope", at)
    bare = roots(tmp_path / "bare", {f"{net}/veth1/speed": "-1", f"{net}/lo/carrier": "1", f"{net}/veth1/wireless/x": ""})
    assert platform.interfaces(bare) == ("veth1",)
    assert platform.interface_link("veth1", bare) == Link(False, None, True)


def test_resolvers_are_those_of_resolv_conf(tmp_path: Path) -> None:
    text = "# Generated by NetworkManager\nsearch school.lan.\nnameserver 192.168.1.1\nnameserver\n"
    text += ";nameserver 9.9.9.9\nnameserver 2001:db8::1 # y\n"
    found = platform.resolvers(roots(tmp_path, {"etc/resolv.conf": text}))
    assert found == Resolvers(("192.168.1.1", "2001:db8::1"), (), ("school.lan",), by_hand=False)


def test_behind_the_stub_of_systemd_stand_the_resolvers_that_were_handed_out(tmp_path: Path) -> None:
    files = {
        "etc/resolv.conf": "# managed by man:systemd-resolved(8)\nnameserver 127.0.0.53\n",
        "run/systemd/resolve/resolv.conf": "nameserver 202.96.128.86\n",
    }
    found = platform.resolvers(roots(tmp_path, files))
    assert (found.servers, found.upstream, found.by_hand) == (("127.0.0.53",), ("202.96.128.86",), False)


def test_a_resolv_conf_that_no_program_signed_was_written_by_hand(tmp_path: Path) -> None:
    assert platform.resolvers(roots(tmp_path, {"etc/resolv.conf": "nameserver 114.114.114.114\n"})).by_hand
    assert not platform.resolvers(roots(tmp_path / "none", {})).by_hand
    linked = roots(tmp_path / "link", {"run/r.conf": "nameserver 1.2.3.4\n", "etc/x": ""})
    (tmp_path / "link/etc/resolv.conf").symlink_to(tmp_path / "link/run/r.conf")
    assert not platform.resolvers(linked).by_hand


@pytest.mark.parametrize(
    ("jobs", "reason"),
    [
        ("120 poweroff.target start waiting\n121 sitekeeper-agent.service stop running\n", StopReason.SHUTDOWN),
        ("120 reboot.target start waiting\n119 shutdown.target start waiting\n", StopReason.RESTART),
        ("9 suspend.target start waiting\n8 sleep.target start waiting\n", StopReason.SUSPEND),
        ("121 sitekeeper-agent.service restart running\n", StopReason.RESTART),
        ("No jobs running.\n", StopReason.RESTART),
        ("120 poweroff.target stop waiting\n", StopReason.RESTART),
        ("", StopReason.RESTART),
    ],
)
def test_the_reason_for_stopping_is_read_from_the_queued_jobs(jobs: str, reason: StopReason) -> None:
    assert stop_reason(jobs) is reason


def test_this_machine_answers_all_questions() -> None:
    assert platform.system_going_down() in StopReason
    assert platform.os_name() and platform.system_volume() == "/"
    assert InterfaceAddress("127.0.0.1", 8) in platform.interface_addresses("lo", "ipv4")


@pytest.mark.parametrize(
    ("addresses", "state", "reason"),
    [
        ([("192.168.1.5", 24)], State.OK, Reason.NONE),
        ([("169.254.3.4", 16), ("10.0.0.2", 8)], State.OK, Reason.NONE),
        ([("169.254.3.4", 16)], State.FAIL, Reason.SELF_ASSIGNED_ADDRESS),
        ([("fe80::1", 64)], State.FAIL, Reason.NO_ADDRESS),
        ([("fe80::1", 64), ("2001:db8::5", 64)], State.OK, Reason.NONE),
        ([], State.FAIL, Reason.NO_ADDRESS),
    ],
)
def test_an_address_that_the_pc_gave_itself_leads_nowhere(
    addresses: list[tuple[str, int]], state: State, reason: Reason
) -> None:
    assert judge_addresses(InterfaceAddress(*a) for a in addresses)[:2] == (state, reason)
