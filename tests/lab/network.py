"""The county's network in namespaces of its own: platform, provider, two access nodes, a site at the end of each line.

    platform  --  provider  --+--  access-1  --+--  modem a  --  router a  --  PC a
                              |                +--  modem b  --  PC b
                              +--  access-2  -----  modem c  --  PC c

Every box is a namespace; modems translate addresses. Faults are made as they come: packets dropped without a word, cables
without carrier, boxes that answer no ARP. Nothing of it touches the network of the machine. Needs root.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from support.access_network import AccessNetwork, _cable, _run
from support.wait import wait_until

SITES = ("a", "b", "c")
MORE_SITES = ("d", "e", "f", "g", "h", "i", "j")
"""Built where a scenario wants them, each with a line of its own to the second access node."""
ALL_SITES = SITES + MORE_SITES
BROKER, PORTAL, MEDIA, STRANGER = "203.0.113.2", "203.0.113.80", "203.0.113.81", "203.0.113.90"
ANCHORS, RESOLVER, PROXY = ("203.0.113.1", "203.0.113.3"), "203.0.113.53", "203.0.113.70"
PRIVATE = "10.200.0.80"
"""The portal's address inside of the education network."""
PORTAL_NAME, MEDIA_NAME = "portal.example.cn", "media.example.cn"
BEHIND_A_ROUTER = "a"
_ACCESS_OF = {"a": 0, "b": 0}
_FAULT, _CAPTIVE = "fault", "captive"


class County(AccessNetwork):
    """Names of the namespaces, and what can befall them. ``lines`` are told by their site."""

    def __init__(self) -> None:
        super().__init__(ALL_SITES)
        self.platform = self.isp.replace("isp", "platform")
        self.accesses = (self.access, f"{self.access}-2")
        self.router = self.isp.replace("isp", "router")
        self.built: list[str] = []

    @property
    def all(self) -> list[str]:
        boxes = [name for site in self.built for name in (self.modems[site], self.pcs[site])]
        return [self.isp, *self.accesses, self.platform, self.router, *boxes]

    def access_of(self, site: str) -> str:
        return self.accesses[_ACCESS_OF.get(site, 1)]

    def build(self, site: str) -> None:
        """A line with a modem and a PC, if there is none yet."""
        if site not in self.built:
            self.built.append(site)
            for name in (self.modems[site], self.pcs[site]):
                _open(self, name)
            _line(self, site)

    def first_box(self, site: str) -> str:
        """What the PC's cable leads to."""
        return self.router if site == BEHIND_A_ROUTER else self.modems[site]

    def on(self, namespace: str, *command: str) -> None:
        _run(*self.inside(namespace, command))

    def output(self, namespace: str, *command: str) -> str:
        """What a command prints there."""
        done = subprocess.run(self.inside(namespace, command), capture_output=True, text=True, timeout=60, check=True)
        return done.stdout

    def add(self, namespace: str) -> None:
        """One box more, without cables."""
        _run("ip", "netns", "add", namespace)

    def remove(self, namespace: str) -> None:
        _run("ip", "netns", "delete", namespace)

    def drop(self, namespace: str, rule: str) -> None:
        """Drop what a rule of nftables matches as it comes in, before the box itself says a word to it."""
        self.on(namespace, "nft", f"add table ip {_FAULT}")
        self.on(namespace, "nft", f"add chain ip {_FAULT} in {{ type filter hook prerouting priority -300 ; }}")
        self.on(namespace, "nft", f"add rule ip {_FAULT} in {rule} drop")

    def lead_astray(self, site: str) -> None:
        """Send what the site asks of any web server to the provider's own page."""
        access = self.access_of(site)
        self.on(access, "nft", f"add table ip {_CAPTIVE}")
        self.on(access, "nft", f"add chain ip {_CAPTIVE} in {{ type nat hook prerouting priority -100 ; }}")
        self.on(access, "nft", f"add rule ip {_CAPTIVE} in iifname {self.port(site)} tcp dport 80 dnat to {STRANGER}")

    def port(self, site: str) -> str:
        """The access node's end of a line."""
        return f"port{ALL_SITES.index(site)}"

    def hang(self, site: str) -> None:
        """The box that the PC's cable leads to has power and does nothing more."""
        box = self.first_box(site)
        self.drop(box, "iifname lan")
        self.on(box, "ip", "link", "set", "lan", "arp", "off")

    def cable(self, site: str, state: str) -> None:
        """Pull the PC's cable (``down``) or plug it in (``up``), at the far end: it's the carrier that is lost."""
        self.on(self.first_box(site), "ip", "link", "set", "lan", state)

    def slow_down(self, site: str, rate: str) -> None:
        shape = ("root", "tbf", "rate", rate, "burst", "4k", "latency", "400ms")
        self.on(self.access_of(site), "tc", "qdisc", "replace", "dev", self.port(site), *shape)

    def heal(self) -> None:
        """End every fault of the network."""
        for name in self.all:
            for table in (_FAULT, _CAPTIVE):
                self._perhaps(name, "nft", "delete", "table", "ip", table)
        for site in self.built:
            self._perhaps(self.access_of(site), "tc", "qdisc", "del", "dev", self.port(site), "root")
            self.on(self.first_box(site), "ip", "link", "set", "lan", "arp", "on")
            self.cable(site, "up")

    def answers(self, namespace: str, address: str, port: int) -> bool:
        """Whether somebody in a namespace can connect there."""
        code = f"import socket; socket.create_connection(({address!r}, {port}), 2).close()"
        command = self.inside(namespace, [sys.executable, "-S", "-c", code])
        return subprocess.run(command, capture_output=True, check=False, timeout=30).returncode == 0

    def _perhaps(self, namespace: str, *command: str) -> None:
        subprocess.run(self.inside(namespace, command), capture_output=True, check=False, timeout=60)


@contextmanager
def county() -> Iterator[County]:
    """The whole network, working; every namespace of it is gone when the block ends."""
    made = County()
    try:
        for name in made.all:
            _open(made, name)
        _backbone(made)
        for site in SITES:
            made.build(site)
        yield made
    finally:
        for name in made.all:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False, timeout=60)


def _open(made: County, name: str) -> None:
    _run("ip", "netns", "add", name)
    _run("ip", "-n", name, "link", "set", "lo", "up")
    made.on(name, "sysctl", "-q", "-w", "net.ipv4.ip_forward=1", "net.ipv4.icmp_ratelimit=0")


def _backbone(made: County) -> None:
    ours, theirs = (BROKER, PORTAL, MEDIA, PRIVATE), (*ANCHORS, RESOLVER, STRANGER, PROXY)
    for name, addresses in ((made.platform, ours), (made.isp, theirs)):
        for address in addresses:
            _run("ip", "-n", name, "address", "add", f"{address}/32", "dev", "lo")
    _cable(made.isp, "north", "10.65.0.1", made.platform, "south", "10.65.0.2")
    _run("ip", "-n", made.platform, "route", "add", "default", "via", "10.65.0.1")
    for address in ours:
        _run("ip", "-n", made.isp, "route", "add", address, "via", "10.65.0.2")
    for at, access in enumerate(made.accesses):
        _cable(made.isp, f"south{at}", f"10.66.{at}.1", access, "north", f"10.66.{at}.2")
        _run("ip", "-n", access, "route", "add", "default", "via", f"10.66.{at}.1")


def _line(made: County, site: str) -> None:
    """A modem at the access node, a router behind it perhaps, and a PC."""
    at, modem, pc, access = ALL_SITES.index(site), made.modems[site], made.pcs[site], made.access_of(site)
    _cable(access, made.port(site), f"10.67.{at}.1", modem, "wan", f"10.67.{at}.2")
    _run("ip", "-n", made.isp, "route", "add", f"10.67.{at}.0/24", "via", f"10.66.{_ACCESS_OF.get(site, 1)}.2")
    _run("ip", "-n", modem, "route", "add", "default", "via", f"10.67.{at}.1")
    if site == BEHIND_A_ROUTER:
        _cable(modem, "lan", "192.168.100.1", made.router, "wan", "192.168.100.2")
        _run("ip", "-n", made.router, "route", "add", "default", "via", "192.168.100.1")
        _run("ip", "-n", modem, "route", "add", f"10.77.{at}.0/24", "via", "192.168.100.2")
    _cable(made.first_box(site), "lan", f"10.77.{at}.1", pc, "eth0", f"10.77.{at}.2")
    _run("ip", "-n", pc, "route", "add", "default", "via", f"10.77.{at}.1")
    made.on(modem, "nft", "add table ip nat")
    made.on(modem, "nft", "add chain ip nat out { type nat hook postrouting priority srcnat ; }")
    made.on(modem, "nft", "add rule ip nat out oifname wan masquerade")


def wait_for_server(made: County, namespace: str, address: str, port: int) -> None:
    wait_until(lambda: made.answers(namespace, address, port), f"{address}:{port} answers")
