"""The agents that Debian has, set to do what ours does as far as they can, and the servers that they report to."""

import contextlib
import json
import shutil
import socketserver
import struct
import subprocess
import threading
import urllib.request
import zlib
from pathlib import Path
from typing import Any, NamedTuple

from footprint_place import NAME, PORTAL, UPLINK_PORTS, Pc, Place, end


class Started(NamedTuple):
    """A peer that runs: the processes that count."""

    name: str
    pc: Pc
    pids: tuple[int, ...]
    does: str


class Missing(NamedTuple):
    """A peer that is not installed here."""

    name: str
    package: str


def start(place: Place, interval_s: int, stack: contextlib.ExitStack) -> list[Started | Missing]:
    """Start all that are installed."""
    found: list[Started | Missing] = []
    for name, package, programs, begin in (
        ("zabbix-agent2", "zabbix-agent2", ("zabbix_agent2",), _zabbix),
        ("collectd, MQTT", "collectd-core liboping0", ("collectd",), _collectd),
        ("netdata child", "netdata-core netdata-plugins-bash", ("netdata", "system-info.sh"), _netdata),
        ("node + blackbox exporter", "prometheus-node-exporter prometheus-blackbox-exporter",
         ("prometheus-node-exporter", "prometheus-blackbox-exporter"), _prometheus),
    ):  # fmt: skip
        if all(shutil.which(program, path="/usr/bin:/usr/sbin:/usr/lib/netdata/plugins.d") for program in programs):
            folder = place.folder / programs[0]
            folder.mkdir()
            found.append(begin(place, place.pc(name), folder, interval_s, stack, name))
        else:
            found.append(Missing(name, package))
    return found


def _zabbix(place: Place, pc: Pc, folder: Path, interval_s: int, stack: contextlib.ExitStack, name: str) -> Started:
    server = _ZabbixServer(("0.0.0.0", UPLINK_PORTS["zabbix"]), _ZabbixAnswer)
    server.keys = ("system.cpu.util", "vm.memory.size[available]", "vfs.fs.size[/,pfree]", "system.uptime", "net.if.in[eth0]",
                   "net.if.out[eth0]", f"net.tcp.service[tcp,{pc.gateway},80]", f"net.dns[{PORTAL},{NAME}]",
                   f"net.tcp.service.perf[tcp,{PORTAL},443]", f"web.page.get[http://{NAME}/]", "proc.num[systemd]")  # fmt: skip
    server.interval_s = interval_s
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stack.callback(server.server_close)
    stack.callback(server.shutdown)
    config = folder / "agent2.conf"
    config.write_text(f"PidFile={folder}/pid\nLogFile={folder}/log\nServerActive={pc.gateway}\nHostname=pc\nTimeout=10\n"
                      f"ControlSocket={folder}/socket\nPluginSocket={folder}/plugin\n")  # fmt: skip
    process = pc.start("zabbix_agent2", "-f", "-c", str(config), log=folder / "out")
    stack.callback(end, process)
    return Started(name, pc, (process.pid,), "no ping, no TLS, no stream")


class _ZabbixServer(socketserver.ThreadingTCPServer):
    """Hands out active checks and takes values in: the least of a Zabbix server that the agent is content with."""

    daemon_threads = allow_reuse_address = True
    keys: tuple[str, ...] = ()
    interval_s = 60


class _ZabbixAnswer(socketserver.StreamRequestHandler):
    """https://www.zabbix.com/documentation/6.0/en/manual/appendix/items/activepassive"""

    server: _ZabbixServer

    def handle(self) -> None:
        head = self.rfile.read(13)
        if len(head) < 13:
            return
        flags, size = head[4], struct.unpack("<I", head[5:9])[0]
        body = self.rfile.read(size)
        asked = json.loads(zlib.decompress(body) if flags & 2 else body)
        answer: dict[str, Any] = {"response": "success", "info": "processed: 1; failed: 0; total: 1; seconds spent: 0.000100"}
        if asked["request"] == "active checks":
            answer["data"] = [
                {
                    "key": key,
                    "key_orig": key,
                    "itemid": number,
                    "delay": str(self.server.interval_s),
                    "lastlogsize": 0,
                    "mtime": 0,
                }
                for number, key in enumerate(self.server.keys, 1)
            ]
        text = json.dumps(answer).encode()
        self.wfile.write(b"ZBXD\x01" + struct.pack("<II", len(text), 0) + text)


def _collectd(place: Place, pc: Pc, folder: Path, interval_s: int, stack: contextlib.ExitStack, name: str) -> Started:
    config = folder / "collectd.conf"
    plugins = ("cpu", "memory", "df", "interface", "uptime", "processes", "ping", "curl", "mqtt")
    config.write_text(
        f'Interval {interval_s}\nBaseDir "{folder}"\nPIDFile "{folder}/pid"\nHostname "pc"\nFQDNLookup false\n'
        + "".join(f"LoadPlugin {plugin}\n" for plugin in plugins)
        + f"""
        <Plugin cpu>
          ReportByCpu false
        </Plugin>
        <Plugin df>
          MountPoint "/"
        </Plugin>
        <Plugin processes>
          Process "systemd"
        </Plugin>
        <Plugin ping>
          Host "{pc.gateway}"
          Interval {interval_s}
        </Plugin>
        <Plugin curl>
          <Page "portal">
            URL "https://{NAME}/"
            CACert "{place.authority}"
            MeasureResponseTime true
          </Page>
        </Plugin>
        <Plugin mqtt>
          <Publish "pc">
            Host "{NAME}"
            Port {UPLINK_PORTS["broker"]}
            CACert "{place.authority}"
            QoS 1
            ClientId "pc"
          </Publish>
        </Plugin>
        """
    )
    process = pc.start("collectd", "-f", "-C", str(config), log=folder / "out")
    stack.callback(end, process)
    return Started(name, pc, (process.pid,), "no stream; name looked up with the page")


_STREAM_KEY = "7f6d0ca5-9a3c-4f0b-8f0e-7c1f4a8f2b11"


def _netdata(place: Place, pc: Pc, folder: Path, interval_s: int, stack: contextlib.ExitStack, name: str) -> Started:
    child = _netdata_files(folder / "child", interval_s, f"mode = none\nupdate every = {interval_s}", "mode = none")
    (child / "stream.conf").write_text(
        f"[stream]\nenabled = yes\ndestination = {pc.gateway}:19999\napi key = {_STREAM_KEY}\nenable compression = no\n"
    )
    parent = _netdata_files(folder / "parent", interval_s, f"mode = ram\nupdate every = {interval_s}", "bind to = 0.0.0.0")
    (parent / "stream.conf").write_text(f"[{_STREAM_KEY}]\nenabled = yes\ndefault memory mode = ram\nenable compression = no\n")
    with (folder / "parent.log").open("ab") as log:
        server = subprocess.Popen(["netdata", "-D", "-c", str(parent / "netdata.conf")], stdout=log, stderr=log)
    stack.callback(end, server)
    process = pc.start("netdata", "-D", "-c", str(child / "netdata.conf"), log=folder / "out")
    stack.callback(end, process)
    return Started(name, pc, (process.pid,), "the machine alone: no ping, name or page")


def _netdata_files(folder: Path, interval_s: int, database: str, web: str) -> Path:
    for name in ("cache", "lib", "log"):
        (folder / name).mkdir(parents=True)
    (folder / "netdata.conf").write_text(
        f"[global]\nrun as user = root\n[db]\n{database}\n[web]\n{web}\n[ml]\nenabled = no\n[health]\nenabled = no\n"
        f"[directories]\nconfig = {folder}\ncache = {folder}/cache\nlib = {folder}/lib\nlog = {folder}/log\n"
        "[plugins]\ncharts.d = no\nfping = no\nioping = no\ncups = no\n"
        "[logs]\naccess = none\nerror = stderr\ndebug = none\n"
    )
    return folder


def _prometheus(place: Place, pc: Pc, folder: Path, interval_s: int, stack: contextlib.ExitStack, name: str) -> Started:
    config = folder / "blackbox.yml"
    config.write_text(
        json.dumps(
            {
                "modules": {
                    "ping": {"prober": "icmp"},
                    "dns": {"prober": "dns", "dns": {"query_name": NAME, "query_type": "A"}},
                    "web": {
                        "prober": "http",
                        "http": {"preferred_ip_protocol": "ip4", "tls_config": {"ca_file": str(place.authority)}},
                    },
                }
            }
        )
    )
    node = pc.start("prometheus-node-exporter", "--web.listen-address=:9100", log=folder / "node.log")
    stack.callback(end, node)
    black = pc.start(
        "prometheus-blackbox-exporter", f"--config.file={config}", "--web.listen-address=:9115", log=folder / "black.log"
    )
    stack.callback(end, black)
    over = threading.Event()
    addresses = [f"http://{pc.address}:9100/metrics"] + [
        f"http://{pc.address}:9115/probe?module={module}&target={target}"
        for module, target in (
            ("ping", pc.gateway),
            ("dns", PORTAL),
            ("web", f"https://{NAME}/"),
            ("web", f"http://{NAME}/film.m3u8"),
        )
    ]
    thread = threading.Thread(target=_scrape, args=(addresses, interval_s, over), daemon=True)
    thread.start()
    stack.callback(over.set)
    return Started(name, pc, (node.pid, black.pid), "no buffer, no stream's playlist")


def _scrape(addresses: list[str], interval_s: int, over: threading.Event) -> None:
    """What a Prometheus server does to its exporters; it accepts gzip, as that does."""
    while not over.wait(interval_s):
        for address in addresses:
            with contextlib.suppress(OSError):
                asked = urllib.request.Request(address, headers={"Accept-Encoding": "gzip"})
                urllib.request.urlopen(asked, timeout=10).read()
