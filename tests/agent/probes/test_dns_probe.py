"""The name rung against real resolvers: good, dead, lying, refusing and hostile ones."""

import socket
import struct
import time
from pathlib import Path

import pytest

from sitekeeper_agent.platform import InterfaceAddress, Resolvers, Roots
from sitekeeper_agent.probes import Context, dns, parse_portal
from sitekeeper_agent.probes.resolve import Answer, candidates, from_hosts, lookup, resolver_kind, standing, within
from sitekeeper_protocol.ladder import DIRECT, Reading, Resolver
from sitekeeper_protocol.vocabulary import Method, Reason, State
from support.name_servers import answer, dnsmasq, forging, silent, system_files
from support.web_servers import serve

NAME = "portal.example.cn"
KNOWN = f"--address=/{NAME}/203.0.113.7"


def context(folder: Path, port: int, *servers: str, timeout_s: float = 20, hosts: str = "", expected: str = "") -> Context:
    roots = Roots(proc=str(folder / "proc"), etc=str(system_files(folder, *(servers or ("127.0.0.1",)), hosts=hosts)))
    return Context(
        parse_portal(f"http://{NAME}/"),
        time.monotonic() + timeout_s,
        roots=roots,
        dns_port=port,
        expected_addresses=(expected,) if expected else (),
    )


def only(readings: tuple[Reading, ...]) -> Reading:
    assert len(readings) == 1
    return readings[0]


def test_a_resolver_that_knows_the_portal_is_ok(tmp_path: Path) -> None:
    with dnsmasq(KNOWN) as port:
        reading = only(dns.probe(context(tmp_path, port)).readings)
    assert (reading.state, reading.method, reading.target, reading.path) == (
        State.OK,
        Method.UDP_QUERY,
        "127.0.0.1",
        "ipv4",
    )
    assert reading.rtt_ms is not None


def test_a_name_that_is_unknown_is_named_so(tmp_path: Path) -> None:
    with dnsmasq("--local=/cn/") as port:
        reading = only(dns.probe(context(tmp_path, port)).readings)
    assert (reading.state, reading.reason) == (State.FAIL, Reason.NAME_NOT_FOUND)


def test_a_resolver_that_refuses_is_named_so(tmp_path: Path) -> None:
    with dnsmasq() as port:  # without an upstream server dnsmasq refuses what it does not know
        reading = only(dns.probe(context(tmp_path, port)).readings)
    assert (reading.state, reading.reason) == (State.FAIL, Reason.REFUSED)


def test_a_resolver_that_fails_is_named_so(tmp_path: Path) -> None:
    with forging(lambda query: [answer(query, rcode=2)]) as port:
        reading = only(dns.probe(context(tmp_path, port)).readings)
    assert (reading.state, reading.reason) == (State.FAIL, Reason.SERVER_FAILURE)


def test_nobody_on_the_port_is_a_refusal(tmp_path: Path) -> None:
    with forging(silent) as port:
        pass
    reading = only(dns.probe(context(tmp_path, port)).readings)
    assert (reading.state, reading.reason) == (State.FAIL, Reason.REFUSED)


def test_a_silent_resolver_times_out_within_the_deadline(tmp_path: Path) -> None:
    with forging(silent) as port:
        asked = context(tmp_path, port, timeout_s=1)
        reading = only(dns.probe(asked).readings)
    assert (reading.state, reading.reason, reading.rtt_ms) == (State.FAIL, Reason.TIMEOUT, None)


def test_a_lost_query_is_sent_again(tmp_path: Path) -> None:
    seen: list[bytes] = []

    def second_time(query: bytes) -> list[bytes]:
        seen.append(query)
        return [answer(query, "203.0.113.7")] if len(seen) > 1 else []

    with forging(second_time) as port:
        assert only(dns.probe(context(tmp_path, port)).readings).state == State.OK


def test_an_answer_other_than_the_commissioned_one_is_a_lie(tmp_path: Path) -> None:
    with dnsmasq(f"--address=/{NAME}/10.9.9.9") as port:
        honest = only(dns.probe(context(tmp_path, port, expected="10.9.0.0/16")).readings)
        lying = only(dns.probe(context(tmp_path, port, expected="203.0.113.7")).readings)
        unknown = only(dns.probe(context(tmp_path, port)).readings)
    assert honest.state == State.OK
    assert (lying.state, lying.reason) == (State.FAIL, Reason.LYING_ANSWER)
    assert unknown.state == State.OK, "a private address is a lie only against the commissioned answer"


def test_forged_answers_do_not_keep_the_true_one_out(tmp_path: Path) -> None:
    def forge(query: bytes) -> list[bytes]:
        other = bytes([query[0] ^ 1, query[1]]) + query[2:]
        return [b"", b"\xff" * 40, answer(other, "10.6.6.6"), answer(query, "203.0.113.7")]

    with forging(forge) as port:
        found = lookup(NAME, "ipv4", time.monotonic() + 20, context(tmp_path, port).roots, port)
    assert found.addresses == ("203.0.113.7",)


def test_nothing_but_garbage_is_a_malformed_reply(tmp_path: Path) -> None:
    with forging(lambda query: [query[:2] + b"\x81\x80" + b"\xc0\x0c" * 40]) as port:
        reading = only(dns.probe(context(tmp_path, port, timeout_s=1)).readings)
    assert (reading.state, reading.reason) == (State.FAIL, Reason.MALFORMED_REPLY)


def test_an_answer_too_long_for_udp_is_fetched_over_tcp(tmp_path: Path) -> None:
    def over_tcp(connection: socket.socket) -> None:
        query = connection.recv(4096)[2:]
        whole = answer(query, *(f"203.0.113.{n}" for n in range(1, 61)))
        connection.sendall(len(whole).to_bytes(2, "big") + whole[:100])
        connection.sendall(whole[100:])

    with serve(over_tcp) as port, forging(lambda query: [answer(query, flags=0x8380)], port=port):
        found = lookup(NAME, "ipv4", time.monotonic() + 20, context(tmp_path, port).roots, port)
    assert len(found.addresses) == 60


def test_a_name_in_the_hosts_file_needs_no_resolver(tmp_path: Path) -> None:
    asked = context(tmp_path, 9, hosts=f"10.1.2.3 other {NAME.upper()} # ours\n")
    assert only(dns.probe(asked).readings).state == State.NOT_APPLICABLE
    assert lookup(NAME, "ipv4", asked.deadline, asked.roots).addresses == ("10.1.2.3",)


def test_a_portal_without_a_name_needs_no_resolver(tmp_path: Path) -> None:
    asked = context(tmp_path, 9)._replace(portal=parse_portal("http://127.0.0.1:8080"))
    assert only(dns.probe(asked).readings).state == State.NOT_APPLICABLE


def test_no_resolver_at_all_is_named_so(tmp_path: Path) -> None:
    asked = context(tmp_path, 9)
    (tmp_path / "etc/resolv.conf").write_text("# nothing\n")
    reading = only(dns.probe(asked).readings)
    assert (reading.state, reading.reason) == (State.FAIL, Reason.NO_RESOLVER)


def test_a_dead_first_resolver_degrades_and_is_told_apart(tmp_path: Path) -> None:
    with dnsmasq(KNOWN, address="127.0.0.3") as port, forging(silent, "127.0.0.2", port):
        found = dns.probe(context(tmp_path, port, "127.0.0.2", "127.0.0.3", timeout_s=2)).readings
    standing_one, dead = found
    assert (standing_one.state, standing_one.reason, standing_one.target) == (State.DEGRADED, Reason.SLOW, "127.0.0.3")
    assert (dead.state, dead.reason, dead.label) == (State.FAIL, Reason.TIMEOUT, "127.0.0.2")


def test_a_look_up_does_not_wait_for_a_dead_resolver_until_the_deadline(tmp_path: Path) -> None:
    with dnsmasq(KNOWN, address="127.0.0.3") as port, forging(silent, "127.0.0.2", port):
        asked = context(tmp_path, port, "127.0.0.2", "127.0.0.3", timeout_s=600)
        assert lookup(NAME, "ipv4", asked.deadline, asked.roots, port).addresses == ("203.0.113.7",)


def test_a_portal_of_the_other_family_only_is_no_fault_of_this_one(tmp_path: Path) -> None:
    with dnsmasq(f"--host-record={NAME},2001:db8::7", f"--local=/{NAME}/") as port:
        reading = only(dns.probe(context(tmp_path, port)).readings)
    assert (reading.state, reading.reason) == (State.NOT_APPLICABLE, Reason.NAME_NOT_FOUND)


def test_a_name_of_one_label_is_looked_up_in_the_search_list(tmp_path: Path) -> None:
    with dnsmasq("--address=/portal.school.lan/10.0.0.9") as port:
        asked = context(tmp_path, port)
        system_files(tmp_path, "127.0.0.1", search="school.lan")
        assert lookup("portal", "ipv4", asked.deadline, asked.roots, port).addresses == ("10.0.0.9",)
    assert candidates("a.b", ("c",)) == ("a.b",)


@pytest.mark.parametrize(
    ("reasons", "chosen"),
    [
        ([Reason.NONE, Reason.NAME_NOT_FOUND], 0),
        ([Reason.NAME_NOT_FOUND, Reason.NONE], 0),
        ([Reason.TIMEOUT, Reason.NONE], 1),
        ([Reason.REFUSED, Reason.SERVER_FAILURE, Reason.NAME_NOT_FOUND], 2),
        ([Reason.TIMEOUT, Reason.REFUSED], 0),
    ],
)
def test_the_answer_that_stands_is_the_one_that_the_system_takes(reasons: list[Reason], chosen: int) -> None:
    answers = [Answer(str(at), reason) for at, reason in enumerate(reasons)]
    assert standing(answers) is answers[chosen]


@pytest.mark.parametrize(
    ("setup", "kind"),
    [
        (Resolvers(("192.168.1.1",)), Resolver.GATEWAY),
        (Resolvers(("192.168.1.9",), by_hand=True), Resolver.GATEWAY),
        (Resolvers(("202.96.128.86",)), Resolver.NETWORK),
        (Resolvers(("114.114.114.114",), by_hand=True), Resolver.MANUAL),
        (Resolvers(("127.0.0.53",), upstream=("192.168.1.1",)), Resolver.GATEWAY),
        (Resolvers(("127.0.0.53",), upstream=("202.96.128.86",)), Resolver.NETWORK),
        (Resolvers(("127.0.0.1",)), Resolver.MANUAL),
        (Resolvers(), Resolver.NETWORK),
    ],
)
def test_who_runs_the_resolver(setup: Resolvers, kind: Resolver) -> None:
    assert resolver_kind(setup, "192.168.1.1", [InterfaceAddress("192.168.1.20", 24)]) is kind


def test_networks_hold_their_addresses_and_no_others() -> None:
    assert within("10.2.3.4", "10.0.0.0/8") and within("10.2.3.4", "10.2.3.4") and within("2001:db8::1", "2001:db8::/32")
    assert not within("11.2.3.4", "10.0.0.0/8") and not within("10.2.3.4", "2001:db8::/32") and not within("x", "10.0.0.0/8")


def test_hosts_lines_are_read_as_the_system_reads_them() -> None:
    text = "# c\n\n::1 a b\n10.0.0.1\tb c # d\nnonsense b\n10.0.0.1 b\n"
    assert from_hosts(text, "b", "ipv4") == ("10.0.0.1",)
    assert from_hosts(text, "b", "ipv6") == ("::1",)
    assert from_hosts(text, "d", "ipv4") == ()


def test_a_truncated_header_flag_with_addresses_is_enough(tmp_path: Path) -> None:
    with forging(lambda query: [answer(query, "203.0.113.7", flags=0x8380)]) as port:
        asked = context(tmp_path, port)
        assert lookup(NAME, "ipv4", asked.deadline, asked.roots, port).addresses == ("203.0.113.7",)


def test_each_query_has_an_id_and_a_port_of_its_own(tmp_path: Path) -> None:
    ids: list[int] = []

    def note(query: bytes) -> list[bytes]:
        ids.append(struct.unpack_from("!H", query)[0])
        return [answer(query, "203.0.113.7")]

    with forging(note) as port:
        asked = context(tmp_path, port)
        for _ in range(6):
            lookup(NAME, "ipv4", asked.deadline, asked.roots, port)
    assert len(set(ids)) > 1


# --- the provider's own resolver, and what commissioning found ------------------------------------------------------------


def test_the_providers_resolver_is_asked_around_the_one_that_was_handed_out(tmp_path: Path) -> None:
    with (
        forging(lambda query: [answer(query, rcode=2)]) as port,
        dnsmasq(KNOWN, address="127.0.0.2", port=port),
    ):
        asked = context(tmp_path, port)._replace(direct_resolver="127.0.0.2")
        handed_out, direct = dns.probe(asked).readings
    assert (handed_out.label, handed_out.state, handed_out.reason) == ("", State.FAIL, Reason.SERVER_FAILURE)
    assert (direct.label, direct.state, direct.target) == (DIRECT, State.OK, "127.0.0.2")


def test_a_private_answer_is_a_lie_only_against_a_public_one_of_commissioning(tmp_path: Path) -> None:
    with dnsmasq(f"--address=/{NAME}/192.168.5.5") as port:
        asked = context(tmp_path, port)
        assert only(dns.probe(asked).readings).state == State.OK
        assert only(dns.probe(asked._replace(public_names=frozenset({"ipv6"}))).readings).state == State.OK
        reading = only(dns.probe(asked._replace(public_names=frozenset({"ipv4"}))).readings)
    assert (reading.state, reading.reason) == (State.FAIL, Reason.LYING_ANSWER)
    with dnsmasq(KNOWN) as port:
        other = context(tmp_path, port)._replace(public_names=frozenset({"ipv4"}))
        assert only(dns.probe(other).readings).state == State.OK, "another public address is no lie: servers move"


def test_a_resolver_that_answers_after_two_questions_is_slow(tmp_path: Path) -> None:
    """Questions are asked again after one and three seconds; it takes the third one."""
    seen: list[bytes] = []

    def third(query: bytes) -> list[bytes]:
        seen.append(query)
        return [answer(query, "203.0.113.7")] if len(seen) == 3 else []

    with forging(third) as port:
        reading = only(dns.probe(context(tmp_path, port)).readings)
    assert (reading.state, reading.reason) == (State.DEGRADED, Reason.SLOW)


def test_behind_a_proxy_the_pc_needs_no_resolver(tmp_path: Path) -> None:
    asked = context(tmp_path, 1)._replace(proxy=parse_portal("http://10.0.0.1:3128/"))
    assert only(dns.probe(asked).readings).state == State.NOT_APPLICABLE
