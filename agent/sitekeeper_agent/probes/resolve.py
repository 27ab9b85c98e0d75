"""Names to addresses with an end in time: hosts file, then UDP queries to the resolvers; ``getaddrinfo`` knows no deadline."""

import os
import select
import socket
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sitekeeper_agent.platform import Family, InterfaceAddress, Resolvers, Roots, hosts_file, resolvers
from sitekeeper_agent.probes import dnswire
from sitekeeper_agent.probes.probe import address_family, family_of, left_s, reason_of, sockaddr
from sitekeeper_protocol.ladder import Resolver
from sitekeeper_protocol.vocabulary import Reason

DNS_PORT = 53
_RESEND_S = (1.0, 2.0, 3.0)
_SETTLE_S = 1.0
_MOVES_ON = (Reason.TIMEOUT, Reason.REFUSED, Reason.SERVER_FAILURE, Reason.UNREACHABLE, Reason.NO_ROUTE)
_RECORD: dict[Family, int] = {"ipv4": dnswire.A, "ipv6": dnswire.AAAA}


class Answer(NamedTuple):
    """What one resolver said, or why it said nothing."""

    server: str
    reason: Reason = Reason.TIMEOUT
    addresses: tuple[str, ...] = ()
    rtt_ms: float | None = None

    @property
    def final(self) -> bool:
        """Whether the system takes this answer instead of asking the next resolver, as resolv.conf(5) has it."""
        return self.reason in (Reason.NONE, Reason.NAME_NOT_FOUND)


class Lookup(NamedTuple):
    """The addresses of a name, how long it took, and why there are none."""

    addresses: tuple[str, ...]
    ms: float = 0.0
    reason: Reason = Reason.NONE


class _Question:
    """One query to one resolver: its own random id and, by its own socket, its own random port."""

    def __init__(self, server: str, port: int, name: str, kind: int) -> None:
        self.server, self.name, self.kind, self.port = server, name, kind, port
        self.number = int.from_bytes(os.urandom(2), "big")
        self.packet = dnswire.query(self.number, name, kind)
        self.begun = time.monotonic()
        self.sends = 0
        self.answer = Answer(server)
        self.done = False
        self.sock = socket.socket(address_family(server), socket.SOCK_DGRAM)
        self.sock.setblocking(False)

    def start(self) -> None:
        try:
            # A connected socket takes datagrams from this address and port only.
            self.sock.connect(sockaddr(self.server, self.port))
        except OSError as err:
            self._end(reason_of(err))
            return
        self.send()

    def send(self) -> None:
        self.sends += 1
        try:
            self.sock.send(self.packet)
        except OSError as err:
            self._end(reason_of(err))

    def resend_at(self) -> float:
        return self.begun + sum(_RESEND_S[: self.sends]) if self.sends <= len(_RESEND_S) else float("inf")

    def receive(self, deadline: float) -> None:
        try:
            data = self.sock.recv(4096)
        except OSError as err:
            self._end(reason_of(err))
            return
        try:
            found = dnswire.reply(data, self.number, self.name, self.kind)
            if found.truncated and not found.addresses and found.reason is Reason.NONE:
                found = self._over_tcp(deadline)
        except dnswire.BadMessage:
            # Perhaps forged: the true answer may still come. If it doesn't, this is what there is to say.
            self.answer = Answer(self.server, Reason.MALFORMED_REPLY)
            return
        self._end(found.reason, found.addresses)

    def _over_tcp(self, deadline: float) -> dnswire.Reply:
        """The whole answer where UDP had no room for it (RFC 7766)."""
        try:
            with socket.socket(address_family(self.server), socket.SOCK_STREAM) as sock:
                sock.settimeout(left_s(deadline) or 0.001)
                sock.connect(sockaddr(self.server, self.port))
                sock.sendall(len(self.packet).to_bytes(2, "big") + self.packet)
                data = b""
                while len(data) < 2 or len(data) < 2 + int.from_bytes(data[:2], "big"):
                    sock.settimeout(left_s(deadline) or 0.001)
                    part = sock.recv(4096)
                    if not part:
                        break
                    data += part
        except OSError as err:
            return dnswire.Reply(reason_of(err))
        return dnswire.reply(data[2:], self.number, self.name, self.kind)

    def _end(self, reason: Reason, addresses: tuple[str, ...] = ()) -> None:
        self.done = True
        self.answer = Answer(self.server, reason, addresses, (time.monotonic() - self.begun) * 1000)


def ask(
    servers: Sequence[str], name: str, family: Family, deadline: float, *, patient: bool = True, port: int = DNS_PORT
) -> list[Answer]:
    """Ask all ``servers`` at once; the answers stand in their order.

    ``patient`` waits for each of them until the deadline; otherwise a usable answer ends the wait a second later at most.
    """
    numeric = [server for server in servers if family_of(server)]
    questions: list[_Question] = []
    try:
        for server in numeric:
            questions.append(_Question(server, port, name, _RECORD[family]))
            questions[-1].start()
        _exchange(questions, deadline, patient)
        return [question.answer for question in questions]
    except dnswire.BadMessage:
        return [Answer(server, Reason.NAME_NOT_FOUND) for server in numeric]
    except OSError as err:
        return [Answer(server, reason_of(err)) for server in numeric]
    finally:
        for question in questions:
            question.sock.close()


def _exchange(questions: list[_Question], deadline: float, patient: bool) -> None:
    while (open_ones := [q for q in questions if not q.done]) and left_s(deadline) > 0:
        if not patient:
            if _decided(questions):
                return
            if any(q.done and q.answer.final for q in questions):
                deadline, patient = min(deadline, time.monotonic() + _SETTLE_S), True
                continue
        wake = min([deadline, *(q.resend_at() for q in open_ones)])
        ready = select.select([q.sock for q in open_ones], [], [], left_s(wake))[0]
        for question in open_ones:
            if question.sock in ready:
                question.receive(deadline)
            elif question.resend_at() <= time.monotonic():
                question.send()


def _decided(questions: list[_Question]) -> bool:
    """Whether the answer that the system would take is already in: final, and all resolvers before it have declined."""
    for question in questions:
        if not question.done:
            return False
        if question.answer.final:
            return True
    return True


def standing(answers: Sequence[Answer]) -> Answer | None:
    """The answer that the system takes: the first final one; without one, the first resolver's failure."""
    return next((a for a in answers if a.final), answers[0] if answers else None)


def from_hosts(text: str, name: str, family: Family) -> tuple[str, ...]:
    """Addresses of ``name`` in the text of a hosts file."""
    found: list[str] = []
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        if any(n.lower().rstrip(".") == name for n in names) and family_of(address) == family:
            found.append(address)
    return tuple(dict.fromkeys(found))


def candidates(name: str, search: Sequence[str]) -> tuple[str, ...]:
    """The names to try for ``name``: one of a single label is looked up in the search list first, see resolv.conf(5)."""
    return (name,) if "." in name or not search else (*(f"{name}.{domain}" for domain in search), name)


def lookup(name: str, family: Family, deadline: float, roots: Roots, port: int = DNS_PORT) -> Lookup:
    """Addresses of ``name`` as the system would find them, by ``deadline``."""
    begun = time.monotonic()
    known = from_hosts(hosts_file(roots), name, family)
    if known:
        return Lookup(known)
    setup = resolvers(roots)
    if not any(family_of(server) for server in setup.servers):
        return _from_system(name, family, begun)
    reason = Reason.NO_RESOLVER
    for candidate in candidates(name, setup.search):
        answer = standing(ask(setup.servers, candidate, family, deadline, patient=False, port=port))
        if answer is not None and answer.addresses:
            return Lookup(answer.addresses, (time.monotonic() - begun) * 1000)
        if answer is not None:
            reason = Reason.NAME_NOT_FOUND if answer.reason is Reason.NONE else answer.reason
    return Lookup((), (time.monotonic() - begun) * 1000, reason)


def _from_system(name: str, family: Family, begun: float) -> Lookup:
    """No resolver is known: the system may still have a way of its own. It may also hang, which the runner sees to."""
    number = socket.AF_INET if family == "ipv4" else socket.AF_INET6
    try:
        # Bytes: for text, Python loads its IDNA tables first.
        found = socket.getaddrinfo(name.encode("ascii"), None, number, socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return Lookup((), (time.monotonic() - begun) * 1000, Reason.NO_RESOLVER)
    return Lookup(tuple(dict.fromkeys(str(f[4][0]) for f in found)), (time.monotonic() - begun) * 1000)


def resolver_kind(setup: Resolvers, gateway: str | None, addresses: Iterable[InterfaceAddress] = ()) -> Resolver:
    """Who runs the resolver: the router (it, or another box of the same local network), a hand's choice, or the provider."""
    servers = setup.upstream or setup.servers
    local = [server for server in servers if server == gateway or any(within(server, f"{a}/{p}") for a, p in addresses if p)]
    if local:
        return Resolver.GATEWAY
    loopback = bool(servers) and all(server.startswith("127.") or server == "::1" for server in servers)
    return Resolver.MANUAL if setup.by_hand or loopback else Resolver.NETWORK


def within(address: str, network: str) -> bool:
    """Whether ``address`` is, or lies in, ``network`` (``10.0.0.0/8`` or a single address)."""
    base, _, length = network.partition("/")
    family = family_of(address)
    if family is None or family_of(base) != family:
        return False
    number = socket.AF_INET if family == "ipv4" else socket.AF_INET6
    one, other = (socket.inet_pton(number, text.partition("%")[0]) for text in (address, base))
    bits = len(one) * 8
    kept = min(int(length), bits) if length.isascii() and length.isdigit() else bits
    return int.from_bytes(one, "big") >> (bits - kept) == int.from_bytes(other, "big") >> (bits - kept)
