"""A telecom network in namespaces of its own: provider, access node, a modem for each site, the site PCs (needs root).

    isp (203.0.113.1 and .2)  --  access node  --+--  modem a  --  PC a
                                                 +--  modem b  --  PC b

Nothing of it touches the network of the machine. A line is cut by dropping packets, as dead fibre does: nobody says a word.
"""

import ctypes
import os
import socket
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ANCHOR, PLATFORM = "203.0.113.1", "203.0.113.2"
_CLONE_NEWNET = 0x40000000
_TABLE = "line"


class AccessNetwork:
    """Names of the namespaces, and what can be done in them."""

    def __init__(self, sites: Sequence[str]) -> None:
        mark = uuid.uuid4().hex[:6]
        self.isp, self.access = f"sk-isp-{mark}", f"sk-access-{mark}"
        self.modems = {site: f"sk-modem-{mark}-{at}" for at, site in enumerate(sites)}
        self.pcs = {site: f"sk-pc-{mark}-{at}" for at, site in enumerate(sites)}

    @property
    def all(self) -> list[str]:
        return [self.isp, self.access, *self.modems.values(), *self.pcs.values()]

    def inside(self, namespace: str, command: Sequence[str]) -> list[str]:
        """``command`` as it is run in a namespace; the process that starts is the command itself."""
        return ["ip", "netns", "exec", namespace, *command]

    def cut(self) -> None:
        """Let nothing through between the access node and the provider."""
        self._on_access("nft", f"add rule ip {_TABLE} cross drop")

    def repair(self) -> None:
        self._on_access("nft", f"flush chain ip {_TABLE} cross")

    def listen(self, namespace: str, address: str, port: int = 0) -> socket.socket:
        """A listening socket of this process in another namespace; it works from every thread."""
        return self._open(namespace, lambda: socket.create_server((address, port)))

    def datagrams(self, namespace: str, address: str, port: int) -> socket.socket:
        """The same for UDP."""
        return self._open(namespace, lambda: _bound(address, port))

    def _open(self, namespace: str, make: Callable[[], socket.socket]) -> socket.socket:
        made: list[socket.socket | OSError] = []
        thread = threading.Thread(target=_make_there, args=(namespace, make, made))
        thread.start()
        thread.join(20)
        (found,) = made
        if isinstance(found, OSError):
            raise found
        return found

    def _on_access(self, *command: str) -> None:
        _run(*self.inside(self.access, command))


def _bound(address: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((address, port))
    return sock


def _make_there(namespace: str, make: Callable[[], socket.socket], made: list[socket.socket | OSError]) -> None:
    """In a thread of its own, which ends afterwards: a thread that has moved does not come back."""
    try:
        with Path(f"/run/netns/{namespace}").open() as file:
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.setns(file.fileno(), _CLONE_NEWNET) != 0:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number))
            made.append(make())
    except OSError as err:
        made.append(err)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"


@contextmanager
def access_network(*sites: str) -> Iterator[AccessNetwork]:
    """A network that works, gone when the block ends."""
    network = AccessNetwork(sites)
    try:
        for name in network.all:
            _run("ip", "netns", "add", name)
            _run("ip", "-n", name, "link", "set", "lo", "up")
            _run(*network.inside(name, ["sysctl", "-q", "-w", "net.ipv4.ip_forward=1"]))
        for address in (ANCHOR, PLATFORM):
            _run("ip", "-n", network.isp, "address", "add", f"{address}/32", "dev", "lo")
        _cable(network.isp, "south", "10.66.0.1", network.access, "north", "10.66.0.2")
        _run("ip", "-n", network.isp, "route", "add", "10.0.0.0/8", "via", "10.66.0.2")
        _run("ip", "-n", network.access, "route", "add", "default", "via", "10.66.0.1")
        for at, site in enumerate(sites):
            _site(network, site, at)
        _run(*network.inside(network.access, ["nft", f"add table ip {_TABLE}"]))
        chain = f"add chain ip {_TABLE} cross {{ type filter hook forward priority 0 ; }}"
        _run(*network.inside(network.access, ["nft", chain]))
        yield network
    finally:
        for name in network.all:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False, timeout=60)


def _site(network: AccessNetwork, site: str, at: int) -> None:
    """A modem at the access node, and a PC behind it."""
    modem, pc = network.modems[site], network.pcs[site]
    _cable(network.access, f"port{at}", f"10.67.{at}.1", modem, "wan", f"10.67.{at}.2")
    _cable(modem, "lan", f"10.77.{at}.1", pc, "eth0", f"10.77.{at}.2")
    _run("ip", "-n", network.access, "route", "add", f"10.77.{at}.0/24", "via", f"10.67.{at}.2")
    _run("ip", "-n", modem, "route", "add", "default", "via", f"10.67.{at}.1")
    _run("ip", "-n", pc, "route", "add", "default", "via", f"10.77.{at}.1")


def _cable(left: str, port: str, address: str, right: str, other_port: str, other_address: str) -> None:
    _run("ip", "-n", left, "link", "add", port, "type", "veth", "peer", "name", other_port, "netns", right)
    for name, device, own in ((left, port, address), (right, other_port, other_address)):
        _run("ip", "-n", name, "address", "add", f"{own}/24", "dev", device)
        _run("ip", "-n", name, "link", "set", device, "up")
