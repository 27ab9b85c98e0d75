"""Where agents are compared: each on a PC of its own, a network namespace on a cable whose bytes the kernel counts.

This process's own namespace is the other end of all cables: gateway, resolver, portal, stream, broker, and the servers that the
other agents report to.
"""

import http.server
import json
import shutil
import ssl
import subprocess
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import trustme

PORTAL, ANCHORS = "10.79.0.1", ("10.79.0.2", "10.79.0.3")
NAME = "portal.example"
UPLINK_PORTS = {"broker": 8883, "zabbix": 10051, "netdata": 19999, "node": 9100, "blackbox": 9115}
_SEGMENT = (b"\x47" + bytes(187)) * 2000


class Pc(NamedTuple):
    """One PC. ``mark`` names its namespace and its end of the cable here."""

    mark: str
    address: str
    gateway: str

    def start(self, *command: str, log: Path, **environment: str) -> "subprocess.Popen[bytes]":
        """Start a program there; its process id is that of the program itself."""
        whole = ["ip", "netns", "exec", self.mark, "env", *(f"{k}={v}" for k, v in environment.items()), *command]
        with log.open("ab") as out:
            return subprocess.Popen(whole, stdin=subprocess.DEVNULL, stdout=out, stderr=out)


class Traffic(NamedTuple):
    """IP bytes on a PC's cable, both ways; ``uplink``: to and from the server that it reports to."""

    uplink: int
    whole: int


class Place:
    """The network; everything in it is gone once the block of ``place`` ends."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self._stack = folder, stack
        self._pcs: list[Pc] = []
        authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
        self.authority, self.certificate = folder / "ca.pem", folder / "server.pem"
        authority.cert_pem.write_to_path(str(self.authority))
        leaf = authority.issue_cert(NAME, PORTAL)
        leaf.private_key_and_cert_chain_pem.write_to_path(str(self.certificate))
        run("ip", "link", "set", "lo", "up")
        for address in (PORTAL, *ANCHORS):
            run("ip", "address", "add", f"{address}/32", "dev", "lo")
        run("nft", "add table inet sk; add chain inet sk in { type filter hook input priority 0; }; "
            "add chain inet sk out { type filter hook output priority 0; }")  # fmt: skip
        self._serve()

    def pc(self, name: str) -> Pc:
        """A new PC with its cable, counters and resolver."""
        number = len(self._pcs) + 1
        made = Pc(f"sk{uuid.uuid4().hex[:8]}", f"10.78.{number}.2", f"10.78.{number}.1")
        run("ip", "netns", "add", made.mark)
        self._stack.callback(subprocess.run, ["ip", "netns", "delete", made.mark], check=False)
        etc = Path("/etc/netns") / made.mark
        etc.mkdir(parents=True)
        self._stack.callback(shutil.rmtree, etc)
        (etc / "resolv.conf").write_text(f"nameserver {PORTAL}\n")
        run("ip", "link", "add", made.mark, "type", "veth", "peer", "name", "eth0", "netns", made.mark)
        run("ip", "address", "add", f"{made.gateway}/24", "dev", made.mark)
        run("ip", "link", "set", made.mark, "up")
        for words in ("link set lo up", f"address add {made.address}/24 dev eth0", "link set eth0 up",
                      f"route add default via {made.gateway}"):  # fmt: skip
            run("ip", "-n", made.mark, *words.split())
        self._count(made)
        self._pcs.append(made)
        return made

    def traffic(self, pc: Pc) -> Traffic:
        """What has crossed the PC's cable so far."""
        listing = json.loads(run("nft", "-j", "list", "counters"))
        sizes = {c["counter"]["name"]: c["counter"]["bytes"] for c in listing["nftables"] if "counter" in c}
        return Traffic(sizes[f"{pc.mark}_uplink"], sizes[f"{pc.mark}_whole"])

    def _count(self, pc: Pc) -> None:
        ports = ", ".join(str(port) for port in UPLINK_PORTS.values())
        lines = [f"add counter inet sk {pc.mark}_{what}" for what in ("uplink", "whole")]
        for chain, side in (("in", "iifname"), ("out", "oifname")):
            lines.append(f'add rule inet sk {chain} {side} "{pc.mark}" counter name {pc.mark}_whole')
            for end in ("sport", "dport"):
                lines.append(
                    f'add rule inet sk {chain} {side} "{pc.mark}" tcp {end} {{ {ports} }} counter name {pc.mark}_uplink'
                )
        subprocess.run(["nft", "-f", "-"], input="\n".join(lines).encode(), check=True)

    def _serve(self) -> None:
        """Resolver, portal and stream."""
        names = ["dnsmasq", "--keep-in-foreground", "--no-hosts", "--no-resolv", "--conf-file=/dev/null", "--user=root",
                 f"--listen-address={PORTAL}", "--bind-interfaces", f"--pid-file={self.folder}/dnsmasq.pid",
                 f"--address=/{NAME}/{PORTAL}"]  # fmt: skip
        resolver = subprocess.Popen(names, stdout=subprocess.DEVNULL)
        self._stack.callback(end, resolver)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(self.certificate)
        for port, context in ((80, None), (443, tls)):
            server = http.server.ThreadingHTTPServer((PORTAL, port), _Page)
            if context is not None:
                server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self._stack.callback(server.server_close)
            self._stack.callback(server.shutdown)


class _Page(http.server.BaseHTTPRequestHandler):
    """A portal page, an HLS playlist, and segments of it."""

    def do_GET(self) -> None:
        if self.path.endswith(".m3u8"):
            body = (
                b"#EXTM3U\n#EXT-X-TARGETDURATION:6\n"
                + b"".join(b"#EXTINF:6,\n%d.ts\n" % n for n in range(5))
                + b"#EXT-X-ENDLIST\n"
            )
        else:
            body = _SEGMENT if self.path.endswith(".ts") else b"<title>portal</title>" + b" " * 4000
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            return  # the prober has seen enough

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


def run(*command: str) -> str:
    """What a command prints. Raises ``CalledProcessError``."""
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def end(process: "subprocess.Popen[bytes]") -> None:
    """Let a program end, by force after 10 s."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def place(folder: Path) -> Iterator[Place]:
    """The network, with its files in ``folder``. Needs root."""
    with ExitStack() as stack:
        yield Place(folder, stack)
