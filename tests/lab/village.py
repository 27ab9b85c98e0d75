"""What stands in the village: the router's DHCP and name server, a second machine with the PC's address, a real player."""

import json
import os
import signal
import socket
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

from lab.network import ALL_SITES, MEDIA_NAME, RESOLVER, County
from support.rig import Process
from support.wait import wait_until

_QUIET = ("--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file", "--user=root")
_LEASE = """#!/bin/sh
case "$1" in
bound|renew) ip address replace "$ip/24" dev eth0 && ip route replace default via "$router" ;;
deconfig) ip address flush dev eth0 ;;
esac
"""


class Village:
    """The boxes and programs of all sites beside the agents; ``end`` ends them and gives each PC its address back."""

    def __init__(self, network: County, folder: Path) -> None:
        self._network, self._folder = network, folder
        self._running: dict[str, Process] = {}
        self._leased: list[str] = []
        self._twins: dict[str, str] = {}

    # --- addresses

    def lease(self, site: str) -> None:
        """From now on the PC asks the modem for its address, as most do."""
        script = self._folder / "lease.sh"
        script.write_text(_LEASE)
        script.chmod(0o755)
        pc = self._network.pcs[site]
        self._network.on(pc, "ip", "address", "flush", "dev", "eth0")
        self._leased.append(site)
        self.serve_leases(site)
        asking = ["udhcpc", "-f", "-i", "eth0", "-s", str(script), "-t", "2", "-T", "1", "-A", "1"]
        self._run(f"udhcpc-{site}", pc, asking)
        wait_until(lambda: self._routed(site), "the PC has a lease", 30, 0.2)

    def serve_leases(self, site: str) -> None:
        net = f"10.77.{ALL_SITES.index(site)}"
        offered = ("--port=0", "--interface=lan", f"--dhcp-range={net}.2,{net}.2,2m", f"--dhcp-option=3,{net}.1", "--no-ping")
        command = ["dnsmasq", *_QUIET, *offered, "--leasefile-ro", "--log-facility=-"]
        self._run(f"leases-{site}", self._network.modems[site], command)

    def refuse_leases(self, site: str) -> None:
        """The modem gives no addresses any more, and the PC asks for one, as it does after a start."""
        self._running.pop(f"leases-{site}").kill()
        asking = self._running[f"udhcpc-{site}"].pid
        os.kill(asking, signal.SIGUSR2)  # udhcpc: give the lease back
        os.kill(asking, signal.SIGUSR1)  # ... and ask for another

    def take_address(self, site: str) -> None:
        """Another machine at the same switch has the PC's address, and the modem takes it for the PC."""
        modem, twin = self._network.modems[site], f"{self._network.modems[site]}-twin"
        address = f"10.77.{ALL_SITES.index(site)}.2"
        self._network.add(twin)
        self._twins[site] = twin
        self._network.on(modem, "ip", "link", "add", "twin", "link", "lan", "type", "macvlan", "mode", "bridge")
        self._network.on(modem, "ip", "link", "set", "twin", "netns", twin)
        self._network.on(twin, "ip", "address", "add", f"{address}/24", "dev", "twin")
        self._network.on(twin, "ip", "link", "set", "twin", "up")
        self._network.on(modem, "ip", "neigh", "replace", address, "lladdr", self._mac(twin), "dev", "lan", "nud", "permanent")

    def give_address_back(self, site: str) -> None:
        twin = self._twins.pop(site)
        address = f"10.77.{ALL_SITES.index(site)}.2"
        self._network.on(self._network.modems[site], "ip", "neigh", "del", address, "dev", "lan")
        self._network.remove(twin)

    # --- names

    def serve_names(self, site: str) -> None:
        """The modem answers names, and asks the provider."""
        listen = ("--interface=lan", "--bind-interfaces", f"--server={RESOLVER}", "--cache-size=0", "--log-facility=-")
        self._run(f"names-{site}", self._network.modems[site], ["dnsmasq", *_QUIET, *listen])

    def stop_names(self, site: str) -> None:
        self._running.pop(f"names-{site}").kill()

    # --- the player

    def play(self, site: str, etc: Path, player_socket: Path) -> None:
        """Somebody opens the channel in a real mpv, without picture and sound."""
        options = ("--no-config", "--vo=null", "--ao=null", "--really-quiet", "--idle=yes", "--force-window=no")
        script = 'mount --bind "$1/resolv.conf" /etc/resolv.conf && shift && exec "$@"'
        mpv = ["mpv", *options, f"--input-ipc-server={player_socket}", f"http://{MEDIA_NAME}/live.m3u8"]
        player_socket.unlink(missing_ok=True)
        self._run(f"mpv-{site}", self._network.pcs[site], ["unshare", "--mount", "sh", "-c", script, "sh", str(etc), *mpv])
        wait_until(lambda: _listens(player_socket), lambda: f"mpv listens\n{self.log()}", 30, 0.1)

    def replay(self, site: str, player_socket: Path) -> None:
        """Somebody opens the channel again in the mpv that stands there."""
        order = json.dumps({"command": ["loadfile", f"http://{MEDIA_NAME}/live.m3u8"]}).encode() + b"\n"
        with closing(socket.socket(socket.AF_UNIX)) as sock:
            sock.connect(str(player_socket))
            sock.sendall(order)

    def signal_player(self, site: str, number: signal.Signals) -> None:
        os.kill(self._running[f"mpv-{site}"].pid, number)

    # --- all of it

    def kill(self, name: str) -> None:
        """End one of its programs, if it runs."""
        if name in self._running:
            self._running.pop(name).kill()

    def end(self) -> None:
        for name in list(self._running):
            self.kill(name)
        for site in list(self._twins):
            self.give_address_back(site)
        for site in self._leased:
            net, pc = f"10.77.{ALL_SITES.index(site)}", self._network.pcs[site]
            self._network.on(pc, "ip", "address", "replace", f"{net}.2/24", "dev", "eth0")
            self._network.on(pc, "ip", "route", "replace", "default", "via", f"{net}.1")
        self._leased.clear()

    def log(self) -> str:
        return "\n".join(f"{name}: {process.log()[-400:]}" for name, process in self._running.items())

    def _run(self, name: str, namespace: str, command: Sequence[str]) -> None:
        process = Process(self._network.inside(namespace, command), self._folder / f"{name}.out")
        self._running[name] = process
        process.start()

    def _routed(self, site: str) -> bool:
        return "default" in self._network.output(self._network.pcs[site], "ip", "route")

    def _mac(self, namespace: str) -> str:
        (link,) = json.loads(self._network.output(namespace, "ip", "-json", "link", "show", "twin"))
        return str(link["address"])


def _listens(path: Path) -> bool:
    with closing(socket.socket(socket.AF_UNIX)) as sock, suppress(OSError):
        sock.connect(str(path))
        return True
    return False
