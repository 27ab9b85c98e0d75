"""Router, modem, line and resolver told apart from a PC behind real ones, in network namespaces with real faults."""

import base64
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from sitekeeper_protocol.ladder import Baseline, Resolver
from support.uplinks import ANCHORS, MODEM, NAME, PC, PORTAL, RESOLVER, ROUTER, Uplink, plug, uplink

pytestmark = [pytest.mark.root, pytest.mark.slow]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Uplink]:
    with uplink(tmp_path) as made:
        yield made


def test_each_box_that_goes_silent_is_named(home: Uplink) -> None:
    """Modem off, line cut, router hung, cable pulled: each the right kind and party, proven; and all is well between them."""
    well = home.look(looks=3)
    assert well["verdict"][0] == "OK"
    assert well["readings"]["ipv4/modem"] == ["OK", "NONE", "HOP_LIMIT", MODEM]
    assert well["facts"]["network.second_hop.ipv4"] == MODEM

    home.drop(home.modem, "iifname lan")
    assert home.look(well)["verdict"][:4] == ["FAIL", "modem_down", "site", "proven"]
    home.heal(home.modem)

    home.drop(home.isp, "iifname port")
    assert home.look(well)["verdict"][:4] == ["FAIL", "line_down", "telecom", "proven"]
    home.heal(home.isp)

    home.drop(home.router, "iifname br0")
    home.on(home.pc, "ip", "neigh", "flush", "all")
    home.on(home.router, "ip", "link", "set", "br0", "arp", "off")
    assert home.look(well)["verdict"][:3] == ["FAIL", "gateway_down", "site"]
    home.on(home.router, "ip", "link", "set", "br0", "arp", "on")
    home.heal(home.router)

    home.on(home.router, "ip", "link", "set", "lan0", "down")
    assert home.look(well)["verdict"][:4] == ["FAIL", "link_down", "site", "proven"]
    home.on(home.router, "ip", "link", "set", "lan0", "up")
    assert home.look(well)["verdict"][0] == "OK"


def test_a_modem_that_was_never_seen_is_not_accused(home: Uplink) -> None:
    home.drop(home.modem, "udp dport 33434-33436")
    well = home.look(looks=3)
    assert well["verdict"][0] == "OK" and well["readings"]["ipv4/modem"][:2] == ["NOT_APPLICABLE", "NOT_CONFIGURED"]
    home.drop(home.modem, "iifname lan")
    assert home.look(well)["verdict"][1:3] == ["line_down", "telecom"]


def test_a_modem_that_tells_of_no_hop_but_answers_itself_is_found_by_echo(home: Uplink) -> None:
    well = home.look(looks=3)
    home.drop(home.modem, "udp dport 33434-33436")
    assert home.look(well)["readings"]["ipv4/modem"][:2] == ["OK", "NONE"]
    assert home.look(well)["readings"]["ipv4/modem"][2] in ("RAW_SOCKET", "PING_SOCKET")


def test_a_modem_whose_own_dial_in_has_failed_is_alive(home: Uplink) -> None:
    """It has no way out any more, says so of every datagram, and answers nothing else: the line is down, not the modem."""
    well = home.look(looks=3)
    home.drop(home.modem, "icmp type echo-request")
    home.drop(home.modem, f"ip daddr {MODEM} tcp dport 1-65535")
    home.on(home.modem, "ip", "route", "del", "default")
    found = home.look(well)
    assert found["readings"]["ipv4/modem"] == ["OK", "NONE", "HOP_LIMIT", MODEM]
    assert found["verdict"][:4] == ["FAIL", "line_down", "telecom", "proven"]


def test_a_second_hop_of_the_provider_is_no_modem(home: Uplink) -> None:
    """One box at the site, or one that only passes frames on: what stands behind the router is the provider's."""
    home.on(home.modem, "ip", "address", "add", "100.64.0.1/24", "dev", "lan")
    home.on(home.router, "ip", "address", "add", "100.64.0.2/24", "dev", "wan")
    home.on(home.router, "ip", "address", "del", "192.168.100.2/24", "dev", "wan")
    home.on(home.router, "ip", "route", "replace", "default", "via", "100.64.0.1")
    home.on(home.modem, "ip", "address", "del", f"{MODEM}/24", "dev", "lan")
    home.on(home.modem, "ip", "route", "replace", "192.168.1.0/24", "via", "100.64.0.2")
    well = home.look(looks=3)
    assert well["facts"]["network.second_hop.ipv4"] == "100.64.0.1"
    assert well["readings"]["ipv4/modem"][:2] == ["NOT_APPLICABLE", "NOT_CONFIGURED"]
    home.drop(home.modem, "iifname lan")
    assert home.look(well)["verdict"][1:3] == ["line_down", "telecom"]


def test_the_second_hop_is_found_without_any_privilege(home: Uplink) -> None:
    code = (
        "import json, time; from sitekeeper_agent.probes import hop;"
        f"print(json.dumps(hop.ask({ANCHORS[0]!r}, time.monotonic() + 5)))"
    )
    address, rtt_ms, *_ = home.python(code, "setpriv", "--inh-caps=-all", "--bounding-set=-all", "--clear-groups")
    assert address == MODEM and rtt_ms > 0


def test_a_dead_resolver_is_told_from_a_dead_line(home: Uplink) -> None:
    well = home.look(looks=3)
    home.stop_answering()
    assert home.look(well)["verdict"][:4] == ["FAIL", "dns_failure", "telecom", "proven"]


def test_the_providers_resolver_that_answers_directly_clears_the_provider(home: Uplink) -> None:
    """The router hands itself out as the resolver and fails: the site's job, unless the provider's own fails, too."""
    well = home.look(looks=3, direct=RESOLVER)
    (home.etc / "resolv.conf").write_text(f"# Generated by NetworkManager\nnameserver {ROUTER}\n")
    by_router = well | {"baseline": _with_resolver(well["baseline"], Resolver.GATEWAY)}
    found = home.look(by_router, direct=RESOLVER)
    assert found["readings"]["ipv4/dns#direct"][:2] == ["OK", "NONE"]
    assert found["verdict"][:4] == ["FAIL", "dns_failure", "site", "proven"]
    home.stop_answering()
    found = home.look(by_router, direct=RESOLVER)
    assert found["readings"]["ipv4/dns#direct"][0] == "FAIL"
    assert found["verdict"][:4] == ["FAIL", "dns_failure", "telecom", "proven"]


def _with_resolver(baseline: str, resolver: Resolver) -> str:
    known = msgspec.msgpack.decode(base64.b64decode(baseline), type=Baseline)
    return base64.b64encode(msgspec.msgpack.encode(msgspec.structs.replace(known, resolver=resolver))).decode()


def test_a_private_answer_is_a_lie_only_where_the_commissioned_one_was_public(home: Uplink) -> None:
    well = home.look(looks=3)
    home.answer_names("--address=/#/10.66.66.66")
    assert home.look(well)["readings"]["ipv4/dns"][:2] == ["OK", "NONE"]
    lie = home.look(well, public=["ipv4"])
    assert lie["readings"]["ipv4/dns"][:2] == ["FAIL", "LYING_ANSWER"]
    assert lie["verdict"][:4] == ["FAIL", "dns_failure", "telecom", "proven"]


def test_another_machine_with_the_pcs_address_is_found(home: Uplink) -> None:
    well = home.look(looks=3)
    other = f"{home.pc}-twin"
    subprocess.run(["ip", "netns", "add", other], check=True, timeout=60)
    try:
        plug(home, other, f"{PC}/24", port="lan1")
        found = home.look(well)
    finally:
        subprocess.run(["ip", "netns", "delete", other], check=True, timeout=60)
    assert found["facts"]["network.address_also_at"]
    assert found["readings"]["ipv4/address"][1] in ("DUPLICATE_ADDRESS", "ANSWERED_ABOVE")


def test_packets_lost_on_the_line_make_a_poor_line(home: Uplink) -> None:
    """A quarter lost beyond the modem: seen by a hundred echoes to two anchors, confirmed by connects; the router is clean."""
    home.drop(home.isp, "iifname port numgen random mod 100 < 25")
    found = home.look(looks=26)
    assert found["verdict"][:4] == ["DEGRADED", "line_degraded", "telecom", "proven"]
    assert found["readings"]["ipv4/isp"][:2] == ["DEGRADED", "PACKET_LOSS"]
    assert found["values"]["120 ipv4/isp"] >= 100 and found["values"]["121 ipv4/isp"] >= 50
    assert found["values"]["121 ipv4/gateway"] == 0


def test_packets_lost_on_the_way_to_the_router_are_not_the_lines(home: Uplink) -> None:
    home.drop(home.router, "iifname br0 numgen random mod 100 < 25")
    found = home.look(looks=20)
    assert found["values"]["120 ipv4/isp"] >= 100 and found["values"]["121 ipv4/isp"] >= 50
    assert found["readings"]["ipv4/isp"][:2] == ["OK", "NONE"]


def test_echoes_that_are_dropped_on_purpose_make_no_poor_line(home: Uplink) -> None:
    """A provider that lets only a part of the echoes through: connects show that nothing is lost."""
    home.drop(home.isp, "icmp type echo-request numgen random mod 100 < 40")
    found = home.look(looks=24)
    assert found["values"]["121 ipv4/isp"] >= 50
    assert found["readings"]["ipv4/isp"][:2] == ["OK", "NONE"]


def test_commissioning_finds_the_modem_the_usual_time_and_the_portals_address(home: Uplink) -> None:
    code = f"""
import json, msgspec
from sitekeeper_agent.commissioning import Survey
from sitekeeper_agent.platform import Roots
from sitekeeper_agent.probes import Context, parse_portal
from sitekeeper_agent.probes.runner import ProbeRunner
context = Context(parse_portal("http://{NAME}/"), 0.0, anchors={ANCHORS!r}, roots=Roots(etc={str(home.etc)!r}))
found = Survey(context, looks=4, pause_s=0).run(ProbeRunner(timeout_s=5), lambda: 1, lambda number: None)
print(json.dumps({{
    "network": found.network, "modems": found.learned.modems, "usual": found.learned.usual_rtt_ms,
    "public": sorted(found.learned.public_names), "answers": found.answers,
    "provable": sorted(f"{{path}}/{{rung.name.lower()}}" for path, rung in found.baseline.proven),
}}))
"""
    found = home.python(code)
    assert found["network"] == f"eth0>{ROUTER}"
    assert found["modems"] == {"ipv4": MODEM} and found["usual"]["ipv4"] >= 0
    assert found["answers"] == {"ipv4": [PORTAL]} and found["public"] == ["ipv4"]
    rungs = ("address", "dns", "gateway", "isp", "link", "modem", "portal")
    assert set(found["provable"]) == {f"ipv4/{rung}" for rung in rungs}
