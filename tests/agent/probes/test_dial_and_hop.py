"""Recorded words of diallers, `ping` and the kernel: PPPoE 678 and 691, the second hop, another owner of an address."""

import socket
import struct
import time
from pathlib import Path

import pytest

from sitekeeper_agent.platform import Link, Roots, disputed_addresses, interface_link
from sitekeeper_agent.probes import Context, address, dialin, duplicate, hop, parse_portal
from sitekeeper_protocol.vocabulary import Method, Reason, State

PADO = """pppd[1203]: Plugin rp-pppoe.so loaded.
pppd[1203]: PPPoE plugin from pppd 2.4.9
pppd[1203]: Timeout waiting for PADO packets
pppd[1203]: Unable to complete PPPoE Discovery
"""
REJECTED = """pppd[1544]: Connect: ppp0 <--> enp2s0
pppd[1544]: PAP authentication failed
pppd[1544]: Connection terminated.
"""
UP = """pppd[1544]: CHAP authentication succeeded: Welcome
pppd[1544]: local  IP address 100.71.3.9
pppd[1544]: remote IP address 100.71.0.1
"""
NETWORK_MANAGER = """NetworkManager[612]: <info>  [1700000000.1] device (enp2s0): state change: prepare -> config
pppd[2044]: Remote message: Login incorrect
pppd[2044]: CHAP authentication failed: Login incorrect
"""
LOGS = {
    "678 of pppd": (PADO, Reason.PPPOE_NO_ANSWER),
    "691 of pppd": (REJECTED, Reason.PPPOE_REJECTED),
    "691 under NetworkManager": (NETWORK_MANAGER, Reason.PPPOE_REJECTED),
    "a dial-in that worked": (UP, Reason.NONE),
    "rejected, then paid": (REJECTED + UP, Reason.NONE),
    "up, then the line went": (UP + "pppd[1]: No response to 5 echo-requests\n" + PADO, Reason.PPPOE_NO_ANSWER),
    "Windows in English": (
        "CoId={1}: The user SYSTEM dialed a connection which has failed. The error code returned is 691.\n",
        Reason.PPPOE_REJECTED,
    ),
    "Windows in Chinese": (
        "用户 SYSTEM 拨了一个名为 宽带连接 的连接，该连接已失败。失败时返回的错误代码为 678。\n",
        Reason.PPPOE_NO_ANSWER,
    ),
    "nothing of dialling": ("kernel: usb 1-1: new device 691\n", Reason.NONE),
    "empty": ("", Reason.NONE),
}


@pytest.mark.parametrize("case", LOGS)
def test_the_last_word_of_a_log_counts(case: str) -> None:
    text, reason = LOGS[case]
    assert dialin.reason_of_log(text) is reason


def test_a_log_is_read_from_its_end_and_in_gbk_too(tmp_path: Path) -> None:
    log = tmp_path / "ppp.log"
    log.write_bytes(b"x" * 300_000 + b"\n" + LOGS["Windows in Chinese"][0].encode("gbk"))
    assert dialin.last_word(str(log)) is Reason.PPPOE_NO_ANSWER
    assert dialin.last_word(str(tmp_path / "none")) is dialin.last_word("\0") is dialin.last_word("") is Reason.NONE


def test_without_a_route_the_diallers_log_says_why(tmp_path: Path) -> None:
    log = tmp_path / "ppp.log"
    log.write_text(REJECTED)
    nothing = Roots(proc=str(tmp_path), sys=str(tmp_path))
    context = Context(parse_portal("http://portal.example/"), 0.0, roots=nothing, dial_log=str(log))
    (reading,) = address.probe(context).readings
    assert (reading.state, reading.reason, reading.method) == (State.FAIL, Reason.PPPOE_REJECTED, Method.LOG_FILE)


def journal(folder: Path, monkeypatch: pytest.MonkeyPatch, says: str, code: int = 0) -> Path:
    """A `journalctl` that answers so; the file holds what it was asked, a line for each time."""
    (folder / "run/systemd/journal").mkdir(parents=True)
    asked, answer, tool = folder / "asked", folder / "answer", folder / "bin/journalctl"
    answer.write_text(says)
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\necho "$@" >> {asked}\ncat {answer}\nexit {code}\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:/usr/bin:/bin")
    return asked


def no_way_out(folder: Path) -> Context:
    nothing = Roots(proc=str(folder), sys=str(folder), run=str(folder / "run"))
    return Context(parse_portal("http://portal.example/"), time.monotonic() + 20, roots=nothing)


def test_without_a_log_file_the_diallers_lines_in_the_journal_say_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = journal(tmp_path, monkeypatch, "Using interface ppp0\nRemote message: 欠费\nPAP authentication failed\n")
    context = no_way_out(tmp_path)
    found = address.probe(context)
    (reading,) = found.readings
    assert (reading.state, reading.reason, reading.method) == (State.FAIL, Reason.PPPOE_REJECTED, Method.LOG_FILE)
    assert "--boot" in asked.read_text() and "--identifier=pppd" in asked.read_text(), "nobody else's lines"
    (again,) = address.probe(context._replace(before=found.counters)).readings
    assert again.reason is Reason.PPPOE_REJECTED
    assert len(asked.read_text().splitlines()) == 1, "it is asked once in two minutes"


@pytest.mark.parametrize(("says", "code"), [("PAP authentication failed\n", 1), ("", 0), ("x" * 200_000, 0)])
def test_a_journal_that_may_not_be_read_or_says_nothing_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, code: int
) -> None:
    journal(tmp_path, monkeypatch, says, code)
    assert address.probe(no_way_out(tmp_path)).readings[0].reason is Reason.NO_ADDRESS


def test_with_a_way_out_the_journal_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = journal(tmp_path, monkeypatch, "PAP authentication failed\n")
    (tmp_path / "net").mkdir()
    (tmp_path / "net/route").write_text(
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
        "nosuch0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
    )
    assert address.probe(no_way_out(tmp_path)).readings[0].reason is Reason.NO_ADDRESS
    assert not asked.exists()


def test_an_address_that_the_kernel_itself_found_to_be_anothers_is_named(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net/if_inet6").write_text(
        "20010db8000000000000000000000007 02 40 00 c8     eth0\n"
        "20010db8000000000000000000000008 02 40 00 80     eth0\nnonsense\n"
    )
    assert disputed_addresses(Roots(proc=str(tmp_path))) == ("2001:db8::7",)
    nothing = Roots(proc=str(tmp_path), sys=str(tmp_path), run=str(tmp_path))
    context = Context(parse_portal("http://[2001:db8::1]/"), time.monotonic() + 20, roots=nothing)
    (reading,) = address.probe(context).readings
    assert (reading.state, reading.reason, reading.target) == (State.FAIL, Reason.DUPLICATE_ADDRESS, "2001:db8::7")


WINDOWS = """
正在 Ping 203.0.113.1 具有 32 字节的数据:
来自 192.168.100.1 的回复: TTL 传输中过期。

203.0.113.1 的 Ping 统计信息:
    数据包: 已发送 = 1，已接收 = 1，丢失 = 0 (0% 丢失)，
"""
PINGS = {
    "Windows, Chinese, GBK": WINDOWS.encode("gbk"),
    "Windows, Chinese, UTF-8": WINDOWS.encode(),
    "Windows, English": b"Pinging 203.0.113.1 with 32 bytes of data:\r\nReply from 192.168.100.1: TTL expired in transit.\r\n",
    "iputils": b"PING 203.0.113.1 56(84) bytes of data.\nFrom 192.168.100.1 icmp_seq=1 Time to live exceeded\n",
}


@pytest.mark.parametrize("case", PINGS)
def test_the_router_at_which_a_ping_ended_is_read_from_its_words(case: str) -> None:
    assert hop.parse_ping(PINGS[case], "203.0.113.1") == "192.168.100.1"


@pytest.mark.parametrize(
    "output",
    [b"", b"\xff\xfe\x00", b"Reply from 203.0.113.1: bytes=32 time=1ms TTL=63", b"TTL expired in transit", b"1" * 99_999],
)
def test_an_answer_that_names_no_router_is_none(output: bytes) -> None:
    assert hop.parse_ping(output, "203.0.113.1") == ""


def told(origin: int, kind: int, offender: bytes) -> bytes:
    return struct.pack("=IBBBBII", 113, origin, kind, 0, 0, 0, 0) + offender


def test_only_time_exceeded_names_the_hop() -> None:
    four = struct.pack("=HH4s8x", socket.AF_INET, 0, socket.inet_aton("192.168.100.1"))
    six = struct.pack("=HHI16sI", socket.AF_INET6, 0, 0, socket.inet_pton(socket.AF_INET6, "2001:db8::1"), 0)
    assert hop.teller(told(2, 11, four), False) == ("192.168.100.1", True)
    assert hop.teller(told(3, 3, six), True) == ("2001:db8::1", True)
    assert hop.teller(told(2, 3, four), False) == ("192.168.100.1", False), "that may come from the first hop"
    for nothing in (told(1, 11, four), told(2, 5, four), b"", told(2, 11, b"\0")):
        assert hop.teller(nothing, False) == ("", True)


def test_a_frame_that_claims_our_address_from_another_machine_is_told() -> None:
    own, other, ip = bytes.fromhex("020000000001"), bytes.fromhex("020000000002"), "192.168.1.10"
    asked = duplicate.request(own, ip)
    assert len(asked) == 42 and asked[28:32] == bytes(4), "the sender names no address"

    def frame(sender: bytes, claimed: str, operation: int = 2) -> bytes:
        head = struct.pack("!6s6sHHHBBH", own, sender, 0x0806, 1, 0x0800, 6, 4, operation)
        return head + sender + socket.inet_aton(claimed) + own + bytes(4)

    assert duplicate.answered_by(frame(other, ip), own, ip) == "02:00:00:00:00:02"
    for harmless in (asked, frame(own, ip), frame(other, "192.168.1.11"), frame(other, ip, 9), b"", b"\xff" * 42):
        assert duplicate.answered_by(harmless, own, ip) == ""


def test_without_raw_sockets_it_is_said_that_nothing_was_asked() -> None:
    with pytest.raises(duplicate.NotAllowed):
        duplicate.other_owner("no-such-interface", "192.168.1.10", 0.0)


@pytest.mark.parametrize(
    ("level", "signal_dbm"), [("-61.", -61), ("-256", None), ("44.", None), ("x", None), ("", None), ("nan", None)]
)
def test_a_radios_signal_counts_only_in_dbm(level: str, signal_dbm: int | None, tmp_path: Path) -> None:
    (tmp_path / "proc/net").mkdir(parents=True)
    (tmp_path / "proc/net/wireless").write_text(
        "Inter-| sta-|   Quality        |   Discarded packets               | Missed | WE\n"
        " face | tus | link level noise |  nwid  crypt   frag  retry   misc | beacon | 22\n"
        f" wlan0: 0000   49.  {level}  -256        0      0      0      0     12        0\n"
    )
    base = tmp_path / "sys/class/net/wlan0"
    (base / "wireless").mkdir(parents=True)
    (base / "carrier").write_text("1\n")
    (base / "duplex").write_text("full\n")
    found = interface_link("wlan0", Roots(proc=str(tmp_path / "proc"), sys=str(tmp_path / "sys")))
    assert found == Link(True, None, True, True, signal_dbm)
