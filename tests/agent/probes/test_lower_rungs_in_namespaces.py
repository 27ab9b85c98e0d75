"""Link, address, gateway and provider as a PC behind a router sees them, in network namespaces with real faults."""

from collections.abc import Iterator
from typing import Any

import pytest

from support.namespaces import ANCHOR, GATEWAY, GATEWAY6, SITE, Site, site

pytestmark = pytest.mark.root

LADDER = f"""
import json, time
from sitekeeper_agent.probes import PROBES, Context, parse_portal
found = {{}}
for name in ("link", "address", "gateway", "isp"):
    context = Context(parse_portal("http://portal.invalid/"), time.monotonic() + 4, anchors=("{ANCHOR}",))
    for r in PROBES[name](context).readings:
        found[f"{{r.path}}/{{name}}"] = [r.state.name, r.reason.name, r.method.name, r.target, r.loss_ratio]
print(json.dumps(found))
"""


@pytest.fixture
def home() -> Iterator[Site]:
    with site() as made:
        yield made


def ladder(home: Site, *before: str) -> dict[str, Any]:
    found: dict[str, Any] = home.python(LADDER, *before)
    return found


def test_a_whole_line_answers_on_every_rung(home: Site) -> None:
    found = ladder(home)
    assert found["ipv4/link"][:2] == ["OK", "NONE"] and found["ipv4/link"][3] == "eth0"
    assert found["ipv4/address"][0] == "OK" and found["ipv4/address"][3] == SITE
    assert found["ipv4/gateway"][0] == "OK" and found["ipv4/gateway"][3] == GATEWAY
    assert found["ipv4/isp"] == ["OK", "NONE", found["ipv4/gateway"][2], ANCHOR, 0.0]
    assert found["ipv6/gateway"][0] == "OK" and found["ipv6/gateway"][3] == GATEWAY6
    assert found["ipv6/isp"][:2] == ["NOT_APPLICABLE", "NOT_CONFIGURED"]


def test_a_pulled_cable_is_no_carrier(home: Site) -> None:
    home.on_router("ip", "link", "set", "lan", "down")
    found = ladder(home)
    assert found["ipv4/link"][:2] == ["FAIL", "NO_CARRIER"]
    assert found["ipv4/gateway"][0] == "FAIL" and found["ipv4/isp"][0] == "FAIL"


def test_a_missing_and_a_self_assigned_address_are_told_apart(home: Site) -> None:
    home.on_pc("ip", "address", "flush", "dev", "eth0")
    assert ladder(home)["ipv4/address"][:2] == ["FAIL", "NO_ADDRESS"]
    home.on_pc("ip", "address", "add", "169.254.7.7/16", "dev", "eth0")
    found = ladder(home)
    assert found["ipv4/address"][:2] == ["FAIL", "SELF_ASSIGNED_ADDRESS"]
    assert found["ipv4/gateway"][:2] == ["FAIL", "NO_ROUTE"]


def test_a_router_that_drops_ping_is_found_in_the_neighbour_table(home: Site) -> None:
    drop_ping(home)
    found = ladder(home)
    assert found["ipv4/gateway"][:3] == ["OK", "NONE", "NEIGHBOUR_TABLE"]
    assert found["ipv6/gateway"][:3] == ["OK", "NONE", "TCP_CONNECT"]


def test_an_anchor_that_drops_ping_but_refuses_tcp_is_there(home: Site) -> None:
    drop_ping(home)
    assert ladder(home)["ipv4/isp"] == ["OK", "NONE", "TCP_CONNECT", ANCHOR, None]


def test_a_router_that_is_gone_fails_within_the_time(home: Site) -> None:
    home.on_router("ip", "address", "del", f"{GATEWAY}/24", "dev", "lan")
    found = ladder(home)
    assert found["ipv4/gateway"][0] == "FAIL" and found["ipv4/gateway"][1] in ("UNREACHABLE", "TIMEOUT")
    assert found["ipv6/gateway"][0] == "OK", "the time that the dead path took is not taken from the other"


def test_a_network_that_swallows_everything_behind_the_router_fails_at_the_provider_only(home: Site) -> None:
    home.on_router("nft", "add table ip t; add chain ip t in { type filter hook input priority 0 ; }")
    home.on_router("nft", f"add rule ip t in ip daddr {ANCHOR} drop")
    found = ladder(home)
    assert found["ipv4/gateway"][0] == "OK"
    assert found["ipv4/isp"][:2] == ["FAIL", "TIMEOUT"]


def test_lost_echoes_are_counted(home: Site) -> None:
    home.on_router("nft", "add table ip t; add chain ip t in { type filter hook input priority 0 ; }")
    # The first two echoes of a round pass, the others don't.
    home.on_router(
        "nft", f"add rule ip t in ip daddr {ANCHOR} icmp type echo-request limit rate over 1/hour burst 2 packets drop"
    )
    state, reason, _, target, loss = ladder(home)["ipv4/isp"]
    assert (state, reason, target) == ("OK", "NONE", ANCHOR)
    assert 0.25 <= loss <= 0.75


def test_a_ping_socket_is_used_where_the_system_allows_it(home: Site) -> None:
    home.on_pc("sysctl", "-q", "-w", "net.ipv4.ping_group_range=0 2147483647")
    found = ladder(home)
    assert found["ipv4/isp"][:3] == ["OK", "NONE", "PING_SOCKET"]
    assert found["ipv6/gateway"][:3] == ["OK", "NONE", "PING_SOCKET"]


def test_without_any_privilege_the_rungs_are_still_measured(home: Site) -> None:
    # No capability, but still the owner of this checkout, which may lie where nobody else may look.
    found = ladder(home, "setpriv", "--inh-caps=-all", "--bounding-set=-all", "--clear-groups")
    assert found["ipv4/gateway"][0] == "OK" and found["ipv4/isp"][0] == "OK"
    assert found["ipv4/isp"][2] in ("TCP_CONNECT", "PING_PROGRAM")


def drop_ping(home: Site) -> None:
    home.on_router("nft", "add table inet t; add chain inet t in { type filter hook input priority 0 ; }")
    home.on_router("nft", "add rule inet t in icmp type echo-request drop")
    home.on_router("nft", "add rule inet t in icmpv6 type echo-request drop")
