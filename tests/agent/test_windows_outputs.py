"""What Windows' programs print is read alike in Chinese and English, GBK and UTF-8, and nothing they print does harm.

The samples are written after the published forms of these outputs; no Windows has been at hand (docs/deployment/windows.md).
"""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitekeeper_agent.platform import windows_outputs as outputs
from sitekeeper_agent.platform.facts import Neighbour
from sitekeeper_agent.platform.windows_outputs import Adapter, DefaultRoute

SAMPLES = Path(__file__).with_name("windows_samples")
ENCODINGS = {"gbk": "cp936", "utf-8": "utf-8", "utf-16": "utf-16", "without-mark": "utf-16-le"}


def sample(name: str) -> str:
    """As a Chinese console writes it: in GBK, with CRLF."""
    text = (SAMPLES / f"{name}.txt").read_text(encoding="utf-8")
    return outputs.decode(text.replace("\n", "\r\n").encode("cp936"), "cp936")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_console_may_write_in_any_of_its_encodings(encoding: str) -> None:
    text = "   默认网关. . . . . : 192.168.1.1\r\n"
    assert outputs.decode(text.encode(ENCODINGS[encoding]), "cp936") == text


# --- routes --------------------------------------------------------------------------------------------------------------


def test_the_best_active_default_route_counts_and_a_persistent_one_does_not() -> None:
    assert outputs.default_routes(sample("route_print.zh-CN")) == (
        DefaultRoute("ipv4", "192.168.1.1", "192.168.1.23", 25),
        DefaultRoute("ipv4", "192.168.5.1", "192.168.5.40", 50),
        DefaultRoute("ipv6", "fe80::1", "12", 281),
    )


def test_a_dialled_line_has_a_default_route_without_a_gateway() -> None:
    assert outputs.default_routes(sample("route_print_pppoe.en-US"))[0] == DefaultRoute("ipv4", None, "100.71.8.201", 46)


def test_interfaces_have_their_names_by_index() -> None:
    assert outputs.interface_names(sample("netsh_interfaces.zh-CN")) == {
        "1": "Loopback Pseudo-Interface 1",
        "12": "以太网",
        "18": "本地连接* 2",
    }


def test_a_neighbour_that_answered_is_found_and_another_is_not() -> None:
    text = sample("arp.zh-CN")
    assert outputs.neighbour(text, "192.168.1.1") == Neighbour("5c:02:14:aa:bb:cc", True)
    assert outputs.neighbour(text, "192.168.1.255") == Neighbour("ff:ff:ff:ff:ff:ff", False)
    assert outputs.neighbour(text, "192.168.1.2") is None


# --- adapters ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("ipconfig_all.zh-CN", ("以太网", "WLAN", "教学网", "宽带连接")),
        ("ipconfig_all.en-US", ("Ethernet", "Wi-Fi", "Teaching", "Broadband")),
    ],
)
def test_adapters_are_read_alike_in_both_languages(name: str, names: tuple[str, ...]) -> None:
    assert outputs.adapters(sample(name)) == (
        Adapter(
            name=names[0],
            kind="ethernet",
            connected=True,
            dhcp=True,
            addresses=("fe80::a0b1:c2d3:e4f5:1a2b", "192.168.1.23"),
            gateways=("fe80::1", "192.168.1.1"),
            resolvers=("202.98.192.67", "202.98.198.167"),
            dhcp_server="192.168.1.1",
            mac="00:e0:4c:68:01:9b",
        ),
        Adapter(name=names[1], kind="wireless", connected=False, dhcp=True, mac="d8:5e:d3:11:22:33"),
        Adapter(
            name=names[2],
            kind="ethernet",
            connected=True,
            dhcp=False,
            addresses=("10.8.0.5", "169.254.31.7"),
            gateways=("10.8.0.1",),
            mac="00:e0:4c:68:01:9c",
            duplicates=("10.8.0.5",),
        ),
        Adapter(
            name=names[3],
            kind="ppp",
            connected=True,
            dhcp=False,
            addresses=("100.71.8.201",),
            gateways=("0.0.0.0",),
            resolvers=("202.98.192.67",),
        ),
    )


@pytest.mark.parametrize(("name", "expected"), [("netsh_wlan.zh-CN", {"WLAN": -65}), ("netsh_wlan.en-US", {"Wi-Fi": -51})])
def test_wireless_quality_is_told_in_dbm(name: str, expected: dict[str, int]) -> None:
    assert outputs.wireless_signals(sample(name)) == expected


# --- anything ------------------------------------------------------------------------------------------------------------

LINES = [line for path in SAMPLES.glob("*.txt") for line in path.read_text(encoding="utf-8").splitlines()]


@given(st.lists(st.one_of(st.sampled_from(LINES), st.text(max_size=60)), max_size=40), st.binary(max_size=60))
def test_any_mixture_of_lines_is_read_without_an_error(lines: list[str], tail: bytes) -> None:
    text = outputs.decode("\r\n".join(lines).encode("utf-8", "replace") + tail, "cp936")
    for route in outputs.default_routes(text):
        assert route.metric >= 0 and route.family in ("ipv4", "ipv6")
    for adapter in outputs.adapters(text):
        assert adapter.name and adapter.kind in ("ethernet", "wireless", "ppp", "other")
    assert all(-100 <= dbm <= -50 for dbm in outputs.wireless_signals(text).values())
    outputs.interface_names(text)
    outputs.neighbour(text, "192.168.1.1")
