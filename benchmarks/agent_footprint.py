"""What the agent costs a village PC, beside the agents that Debian has, in one run at one interval. `make bench` runs it.

Everything that the agent has is on: a portal over HTTPS, a stream, anchors, players, the site's page, TLS to a real mosquitto.
It is installed as its package is, on a system's Python without anything else. Each agent stands on a PC of its own (a network
namespace); the kernel counts what it costs. Peers that are not installed are named and left out.

Time runs faster: with ``--speed 2.5``, samples that belong 60 s apart are taken 24 s apart, by all agents, and likewise reports
and looks at the stream. Figures are those of an hour or a day at a sample a minute. What an agent does in between, idle, counts
for less than it should (``--speed 1`` counts it in full).
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import footprint_peers
from footprint_place import ANCHORS, NAME, PORTAL, UPLINK_PORTS, Pc, Place, Traffic, place, run

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "packaging")]

from layout import START  # noqa: E402 - it stands beside this folder
from support import process_costs  # noqa: E402 - likewise
from support.brokers import mosquitto  # noqa: E402 - likewise
from support.wait import wait_until  # noqa: E402

_INSIDE = "--inside-namespace"
_SETTLE_S = 20
"""From the start of all agents to the window that counts."""
_MODULES = ("msgspec", "psutil", "paho", "yaml", "_yaml")


class Costs(NamedTuple):
    """What one agent cost. Bytes and seconds; ``cpu_h`` and so on: an hour or a day at a sample a minute."""

    name: str
    memory: process_costs.Memory
    start_cpu: float
    cpu_h: float
    written_h: float
    uplink_day: float
    probes_day: float
    does: str = ""


class Running:
    """An agent between two looks at it."""

    def __init__(self, at: Place, name: str, pc: Pc, pids: Sequence[int], does: str = "") -> None:
        self.name, self.pc, self._at, self._does = name, pc, at, does
        self.pids = tuple(pids)
        self._meters = [process_costs.CpuMeter(pid) for pid in pids]

    def started(self) -> None:
        """All before this is the start."""
        self._start_cpu = self._cpu_s()

    def begin(self) -> None:
        """The window that counts begins."""
        self._cpu, self._traffic, self._written = self._cpu_s(), self._at.traffic(self.pc), self._written_bytes()

    def end(self, samples: float) -> Costs:
        """The window ends."""
        hour, day = 60 / samples, 1440 / samples
        now = self._at.traffic(self.pc)
        spent = Traffic(now.uplink - self._traffic.uplink, now.whole - self._traffic.whole)
        parts = [process_costs.memory(pid) for pid in self.pids]
        return Costs(
            self.name,
            process_costs.Memory(*(sum(column) for column in zip(*parts, strict=True))),
            self._start_cpu,
            (self._cpu_s() - self._cpu) * hour,
            (self._written_bytes() - self._written) * hour,
            spent.uplink * day,
            (spent.whole - spent.uplink) * day,
            self._does,
        )

    def _cpu_s(self) -> float:
        return sum(meter.seconds() for meter in self._meters)

    def _written_bytes(self) -> int:
        return sum(process_costs.written_bytes(pid) for pid in self.pids)


def install(home: Path) -> None:
    """The agent's modules in one folder, compiled, as the Debian package has them."""
    site = Path(sysconfig.get_path("purelib"))
    ignore = shutil.ignore_patterns("__pycache__", "tests")
    for source in [site / name for name in _MODULES] + [ROOT / "agent/sitekeeper_agent", ROOT / "protocol/sitekeeper_protocol"]:
        shutil.copytree(source, home / source.name, ignore=ignore)
    (home / "__main__.py").write_text(START)
    subprocess.run([_python(), "-m", "compileall", "-q", str(home)], check=True)


@cache
def _python() -> str:
    """The system's interpreter, as at a site, if the modules here are made for its version; else this one's."""
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    system = f"/usr/bin/python{own}"
    return system if Path(system).exists() else os.path.realpath(sys.executable)


def settings(at: Place, folder: Path, speed: float) -> dict[str, Any]:
    """Everything on, for a PC at that speed."""
    return {
        "site": "v0123",
        "area": "522634",
        "broker": {"host": NAME, "port": UPLINK_PORTS["broker"], "tls": {"ca_file": str(at.authority)}},
        "portal": f"https://{NAME}/",
        "state_dir": str(folder / "state"),
        "anchors": ANCHORS,
        "network": {"portal_addresses": [PORTAL], "portal_text": "portal", "direct_resolver": PORTAL},
        "media": [f"http://{NAME}/film.m3u8"],
        "media_interval_s": round(300 / speed),
        "players": [
            {"name": "tv", "kind": "mpv", "socket": "/nonexistent/mpv.sock"},
            {"name": "course", "kind": "process", "processes": ["course-player"]},
        ],
        "expected": {"processes": ["systemd"], "lan": [{"name": "projector", "host": PORTAL, "port": 80}]},
        "sample_interval_s": 60 / speed,
        "report_interval_s": 300 / speed,
    }


def start_ours(at: Place, speed: float, stack: ExitStack) -> Running:
    """The agent, and the broker that it reports to."""
    folder, home = at.folder / "agent", at.folder / "home"
    folder.mkdir()
    install(home)
    port = UPLINK_PORTS["broker"]
    config = f"allow_anonymous true\nlistener {port} 0.0.0.0\ncertfile {at.certificate}\nkeyfile {at.certificate}\n"
    stack.enter_context(mosquitto(at.folder / "broker", config_text=config + "listener 1883 127.0.0.1\n", port=1883))
    (folder / "agent.yaml").write_text(json.dumps(settings(at, folder, speed)))
    pc = at.pc("sitekeeper")
    process = pc.start(_python(), "-I", "-S", str(home), "run", "--config", str(folder / "agent.yaml"), log=folder / "log")
    stack.callback(process.wait)
    stack.callback(process.terminate)
    return Running(at, "sitekeeper-agent", pc, [process.pid])


def told(at: Place) -> dict[str, Any]:
    """What the agent says of itself."""
    file = at.folder / "agent/state/status.json"
    try:
        found: dict[str, Any] = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return found


def measure(minutes: float, speed: float) -> tuple[list[Costs], list[footprint_peers.Missing], process_costs.Memory]:
    """Costs of all, ours first; peers that are missing; our memory once the site's page has been opened."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack, place(Path(name)) as at:
        inner = stack.enter_context(ExitStack())
        ours = start_ours(at, speed, inner)
        found = footprint_peers.start(at, round(60 / speed), inner)
        here = [f for f in found if isinstance(f, footprint_peers.Started)]
        all_of_them = [ours, *(Running(at, p.name, p.pc, p.pids, p.does) for p in here)]
        wait_until(lambda: told(at).get("connected") and told(at).get("verdict"), lambda: f"the agent works: {told(at)}", 30)
        for one in all_of_them:
            one.started()
        time.sleep(_SETTLE_S)
        for one in all_of_them:
            one.begin()
        begun = time.monotonic()
        time.sleep(minutes * 60)
        for one in [one for one in all_of_them[1:] if not all(process_costs.memory(pid).rss for pid in one.pids)]:
            print(f"ENDED BY ITSELF, LEFT OUT: {one.name}{_logs(at)}")
            all_of_them.remove(one)
        costs = [one.end((time.monotonic() - begun) / (60 / speed)) for one in all_of_them]
        state = told(at)
        assert (state["connected"], state["verdict"]) == (True, "ok"), f"the agent did not measure what it should: {state}"
        _open_page(ours.pc)
        opened = process_costs.memory(ours.pids[0])
        inner.close()
        return costs, [f for f in found if isinstance(f, footprint_peers.Missing)], opened


def _logs(at: Place) -> str:
    return "".join(f"\n{log}:\n{log.read_text(errors='replace')[-1500:]}" for log in at.folder.glob("*/out"))


def _open_page(pc: Pc) -> None:
    code = "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8765/').read()"
    run("ip", "netns", "exec", pc.mark, _python(), "-I", "-c", code)


def show(
    costs: list[Costs], missing: list[footprint_peers.Missing], opened: process_costs.Memory, minutes: float, speed: float
) -> None:
    """Print it."""
    print(f"Agents side by side for {minutes:g} minutes, a sample each {60 / speed:g} s. Figures: at a sample a minute")
    head = ("RSS MB", "PSS MB", "anon MB", "start CPU s", "CPU s/h", "disk MB/h", "uplink kB/day", "probes kB/day")
    print(f"{'':26}" + "".join(f"{word:>14}" for word in head))
    ours = _figures(costs[0])
    for one in costs:
        print(f"{one.name:26}" + "".join(f"{value:14.2f}" for value in _figures(one)) + (f"   {one.does}" if one.does else ""))
    targets = ("", "32 (28)", "20", "0.5", "1.5", "1", "150", "")
    print(f"{'target':26}" + "".join(f"{word:>14}" for word in targets))
    print("\nTimes what ours takes")
    for one in costs[1:]:
        ratios = [theirs / mine if mine else 0.0 for theirs, mine in zip(_figures(one), ours, strict=True)]
        print(f"{one.name:26}" + "".join(f"{ratio:14.2f}" for ratio in ratios))
    print(f"\nours once its page has been opened: PSS {opened.pss / 1e6:.1f} MB, anonymous {opened.anonymous / 1e6:.1f} MB")
    for peer in missing:
        print(f"NOT INSTALLED, LEFT OUT: {peer.name}    Get it with:  apt-get install {peer.package}")


def _figures(one: Costs) -> tuple[float, ...]:
    memory = (size / 1e6 for size in one.memory)
    return (*memory, one.start_cpu, one.cpu_h, one.written_h / 1e6, one.uplink_day / 1e3, one.probes_day / 1e3)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=4, help="length of the window (default 4)")
    parser.add_argument("--speed", type=float, default=2.5, help="how much faster than in the field (default 2.5)")
    parser.add_argument(_INSIDE, action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if os.getuid() != 0:
        print("LEFT OUT: it makes networks, which takes root")
        return 0
    if not options.inside_namespace:
        return subprocess.run(["unshare", "--net", sys.executable, *sys.argv, _INSIDE]).returncode
    show(*measure(options.minutes, options.speed), options.minutes, options.speed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
