"""A site with a router and a modem of its own, and a provider with a resolver and a portal, in network namespaces (needs root).

    PC 192.168.1.10 -- router 192.168.1.1 / 192.168.100.2 -- modem 192.168.100.1 / 10.9.0.2 -- provider 10.9.0.1
    provider: anchors 203.0.113.1 and .2, resolver 203.0.113.53, portal 203.0.113.80

The router's LAN side is a bridge, so that another machine can be put beside the PC.
"""

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.name_servers import system_files
from support.namespaces import _run
from support.wait import wait_until

PC, ROUTER, MODEM = "192.168.1.10", "192.168.1.1", "192.168.100.1"
ANCHORS = ("203.0.113.1", "203.0.113.2")
RESOLVER, PORTAL, NAME = "203.0.113.53", "203.0.113.80", "portal.example.cn"
HONEST = f"--address=/{NAME}/{PORTAL}"

_LOOK = """
import base64, json, msgspec
from sitekeeper_agent.learned import Learned
from sitekeeper_agent.platform import Roots
from sitekeeper_agent.probes import Context, PROBES, parse_portal
from sitekeeper_agent.probes.runner import ProbeRunner
from sitekeeper_agent.sampler import look
from sitekeeper_protocol.ladder import Baseline
told = json.loads({told!r})
kept = base64.b64decode(told["baseline"])
baseline = msgspec.msgpack.decode(kept, type=Baseline) if kept else Baseline(resolver=told["resolver"])
known = msgspec.json.decode(told["learned"], type=Learned) if told["learned"] else Learned()
names = ("link", "address", "gateway", "modem", "isp", "dns", "portal")
runner = ProbeRunner({{name: PROBES[name] for name in names}}, timeout_s=told["timeout_s"])
for _ in range(told["looks"]):
    context = Context(parse_portal(told["portal"]), 0.0, anchors=tuple(told["anchors"]), roots=Roots(etc=told["etc"]),
        modems=known.modems, usual_rtt_ms=known.usual_rtt_ms, direct_resolver=told["direct"],
        public_names=frozenset(told["public"]))
    found = look(runner, context, baseline, None)
    baseline = found.baseline
    known = known.after(found.values, found.facts, half_hour=False)
said = found.verdict
print(json.dumps({{
    "verdict": [said.state.name, said.kind, said.party, said.grade, said.reason.name],
    "readings": {{f"{{r.path}}/{{r.rung.name.lower()}}" + (f"#{{r.label}}" if r.label else ""):
        [r.state.name, r.reason.name, r.method.name, r.target] for r in found.readings}},
    "values": {{f"{{m}} {{i}}": v for (m, i), v in found.values.items()}},
    "facts": dict(found.facts),
    "baseline": base64.b64encode(msgspec.msgpack.encode(baseline)).decode(),
    "learned": msgspec.json.encode(known).decode(),
    "trouble": dict(found.trouble),
}}))
"""


class Uplink:
    """Names of the namespaces, and the folder with the PC's own /etc."""

    def __init__(self, etc: Path) -> None:
        mark = uuid.uuid4().hex[:6]
        self.pc, self.router, self.modem, self.isp = (f"sk-{name}-{mark}" for name in ("pc", "router", "modem", "isp"))
        self.etc = etc
        self._resolver: subprocess.Popen[bytes] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return self.pc, self.router, self.modem, self.isp

    def answer_names(self, *options: str) -> None:
        """Have the provider's resolver answer by these options of dnsmasq alone."""
        self.stop_answering()
        command = [
            *("ip", "netns", "exec", self.isp, "/usr/sbin/dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null"),
            *("--no-resolv", "--no-hosts", "--pid-file", "--user=root", f"--listen-address={RESOLVER}", "--bind-interfaces"),
            *("--log-facility=-", *options),
        ]
        self._resolver = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: self.answers(RESOLVER, 53), "the resolver answers")

    def stop_answering(self) -> None:
        """The provider's resolver is gone."""
        if self._resolver is not None:
            self._resolver.kill()
            self._resolver.wait()
            self._resolver = None

    def answers(self, address: str, port: int) -> bool:
        """Whether the PC can connect there."""
        code = f"import socket; socket.create_connection(({address!r}, {port}), 2).close()"
        command = ["ip", "netns", "exec", self.pc, sys.executable, "-c", code]
        return subprocess.run(command, capture_output=True, check=False, timeout=30).returncode == 0

    def on(self, namespace: str, *command: str) -> str:
        return _run("ip", "netns", "exec", namespace, *command)

    def drop(self, namespace: str, rule: str) -> None:
        """Drop what a rule of nftables matches, as it comes into a namespace and before the namespace says a word to it."""
        self.on(namespace, "nft", "add table ip t; add chain ip t in { type filter hook prerouting priority 0 ; }")
        self.on(namespace, "nft", f"add rule ip t in {rule} drop")

    def heal(self, namespace: str) -> None:
        """Drop nothing any more."""
        self.on(namespace, "nft", "delete table ip t")

    def look(self, before: dict[str, Any] | None = None, *, looks: int = 1, **told: Any) -> dict[str, Any]:
        """Look once or more from the PC, with what an earlier look has learned; what came of the last one."""
        kept = before or {"baseline": "", "learned": ""}
        all_told = {
            "portal": f"http://{NAME}/",
            "anchors": ANCHORS,
            "etc": str(self.etc),
            "baseline": kept["baseline"],
            "learned": kept["learned"],
            "resolver": "network",
            "direct": "",
            "public": [],
            "timeout_s": 6,
            "looks": looks,
        } | told
        found: dict[str, Any] = self.python(_LOOK.format(told=json.dumps(all_told)))
        assert not found["trouble"], found["trouble"]
        return found

    def python(self, code: str, *before: str) -> Any:
        """Run Python on the PC; ``code`` prints JSON."""
        return json.loads(self.on(self.pc, *before, sys.executable, "-c", code))


@contextmanager
def uplink(folder: Path) -> Iterator[Uplink]:
    """The whole line, working; gone when the block ends."""
    made = Uplink(system_files(folder, RESOLVER))
    portal: subprocess.Popen[bytes] | None = None
    try:
        _wire(made)
        made.answer_names(HONEST)
        portal = _portal(made, folder)
        wait_until(lambda: made.answers(PORTAL, 80), "the portal answers")
        yield made
    finally:
        made.stop_answering()
        if portal is not None:
            portal.kill()
            portal.wait()
        for name in made.names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False, timeout=60)


def _wire(made: Uplink) -> None:
    for name in made.names:
        _run("ip", "netns", "add", name)
        _run("ip", "-n", name, "link", "set", "lo", "up")
        made.on(name, "sysctl", "-q", "-w", "net.ipv4.ip_forward=1", "net.ipv4.icmp_ratelimit=0")
    _run("ip", "-n", made.router, "link", "add", "br0", "type", "bridge")
    _run("ip", "-n", made.router, "address", "add", f"{ROUTER}/24", "dev", "br0")
    _run("ip", "-n", made.router, "link", "set", "br0", "up")
    plug(made, made.pc, f"{PC}/24")
    _cable((made.router, "wan", "192.168.100.2/24"), (made.modem, "lan", f"{MODEM}/24"))
    _cable((made.modem, "wan", "10.9.0.2/24"), (made.isp, "port", "10.9.0.1/24"))
    for address in (*ANCHORS, RESOLVER, PORTAL):
        _run("ip", "-n", made.isp, "address", "add", f"{address}/32", "dev", "lo")
    for name, route in (
        (made.pc, ("default", "via", ROUTER)),
        (made.router, ("default", "via", MODEM)),
        (made.modem, ("default", "via", "10.9.0.1")),
        (made.modem, ("192.168.1.0/24", "via", "192.168.100.2")),
        (made.isp, ("192.168.0.0/16", "via", "10.9.0.2")),
    ):
        _run("ip", "-n", name, "route", "add", *route)


def plug(made: Uplink, namespace: str, address: str, port: str = "lan0") -> None:
    """Put a machine's ``eth0`` on the router's bridge."""
    _run("ip", "-n", namespace, "link", "add", "eth0", "type", "veth", "peer", "name", port, "netns", made.router)
    _run("ip", "-n", namespace, "address", "add", address, "dev", "eth0")
    _run("ip", "-n", namespace, "link", "set", "eth0", "up")
    _run("ip", "-n", made.router, "link", "set", port, "master", "br0")
    _run("ip", "-n", made.router, "link", "set", port, "up")


def _cable(left: tuple[str, str, str], right: tuple[str, str, str]) -> None:
    _run("ip", "-n", left[0], "link", "add", left[1], "type", "veth", "peer", "name", right[1], "netns", right[0])
    for name, device, address in (left, right):
        _run("ip", "-n", name, "address", "add", address, "dev", device)
        _run("ip", "-n", name, "link", "set", device, "up")


def _portal(made: Uplink, folder: Path) -> "subprocess.Popen[bytes]":
    web = folder / "web"
    web.mkdir()
    (web / "index.html").write_text("<title>portal</title>")
    command = ["ip", "netns", "exec", made.isp, sys.executable, "-m", "http.server", "--bind", PORTAL, "-d", str(web), "80"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
