"""A small real county on loopback: real agent and collector processes around a real broker, to be killed by process id."""

import http.server
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from sitekeeper_collector.store.samples import content
from sitekeeper_protocol import codec
from sitekeeper_protocol.messages import Sample
from support.wait import wait_until

AREA = "lab"
_BIN = Path(sys.executable).parent

Key = tuple[int, int]
"""(run, sequence): the identity of a sample within a site."""


class Taken(NamedTuple):
    """A sample's whole content, to be compared between the agent's spool and the collector's store."""

    wall_ms: int
    boottime_ms: int
    values: dict[tuple[int, str], int]
    events: int
    facts: dict[str, Any]


def _taken(sample: Sample) -> Taken:
    return Taken(sample.wall_ms, sample.boottime_ms, sample.values, len(sample.events), sample.facts)


class Process:
    """A program that can be started, killed (SIGKILL) and stopped (SIGTERM); its output goes to ``log_file``."""

    def __init__(self, command: list[str], log_file: Path) -> None:
        self.command = command
        self.log_file = log_file
        self.environment: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert not self.running, f"{self.command[0]} is running already"
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env={**os.environ, **self.environment}
            )

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        return None if self._process is None else self._process.poll()

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """End it in order; its exit code."""
        return self._end(signal.SIGTERM)

    def log(self) -> str:
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def _end(self, how: signal.Signals) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        if process.poll() is None:
            os.kill(process.pid, how)
        try:
            return process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"{self.command} did not end within 40 s:\n{self.log()[-4000:]}") from None


class Agent(Process):
    """A real agent with a state folder of its own."""

    def __init__(self, folder: Path, site: str, port: int, portal: str, settings: dict[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.site, self.state = folder, site, folder / "state"
        self.config = folder / "agent.yaml"
        self.write_config(port=port, portal=portal, settings=settings)
        super().__init__([str(_BIN / "sitekeeper-agent"), "run", "--config", str(self.config)], folder / "agent.log")

    def write_config(self, *, port: int, portal: str, settings: dict[str, Any]) -> None:
        # JSON is YAML.
        base: dict[str, Any] = {
            "site": self.site,
            "area": AREA,
            "broker": {"host": "127.0.0.1", "port": port, "tls": False},
            "portal": portal,
            "state_dir": str(self.state),
            "sample_interval_s": 0.2,
            "report_interval_s": 1,
            "probe_timeout_s": 1,
            "backlog": {"pause_min_s": 0.01, "pause_max_s": 0.05},
        }
        self.config.write_text(json.dumps(base | settings))

    def held(self) -> dict[Key, Taken]:
        """Every sample in the spool, by what SQLite gives another process."""
        file = self.state / "spool.db"
        if not file.exists():
            return {}
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=20) as db:
            rows = db.execute("SELECT run, sequence, wall_ms, boottime_ms, record FROM samples").fetchall()
        db.close()
        return {
            (run, sequence): _taken(codec.unpack_sample(record, sequence=sequence, wall_ms=wall, boottime_ms=boot))
            for run, sequence, wall, boot, record in rows
        }

    def copy_state(self, to: Path) -> None:
        """The state folder as a disk image would hold it."""
        shutil.copytree(self.state, to)

    def put_state_back(self, saved: Path) -> None:
        """What a disk-restore card does at boot."""
        shutil.rmtree(self.state)
        shutil.copytree(saved, self.state)


class Collector(Process):
    """A real collector on an SQLite file."""

    def __init__(self, folder: Path, port: int, settings: dict[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.database = folder, folder / "sitekeeper.db"
        self.config = folder / "collector.yaml"
        base: dict[str, Any] = {
            "database": f"sqlite:///{self.database}",
            "broker": {"host": "127.0.0.1", "port": port, "tls": False},
            "console": {"enabled": False},
        }
        self.config.write_text(json.dumps(base | settings))
        super().__init__([str(_BIN / "sitekeeper-collector"), "run", "--config", str(self.config)], folder / "collector.log")

    def command_line(self, *arguments: str) -> str:
        """What a subcommand of the collector prints."""
        done = subprocess.run(
            [str(_BIN / "sitekeeper-collector"), *arguments, "--config", str(self.config)],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, f"{arguments}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def register(self, *sites: str) -> None:
        """Import the sites, as an operator does."""
        file = self.folder / "sites.csv"
        file.write_text("id,name,county\n" + "".join(f"{site},Village {site},Lab county\n" for site in sites))
        self.command_line("sites", "import", str(file))

    def rows(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        """Rows straight from the database file, beside the running collector."""
        with sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=20) as db:
            found = db.execute(query, arguments).fetchall()
        db.close()
        return found

    def change(self, statement: str, *arguments: object) -> None:
        """Write to the database file, as another program may."""
        with sqlite3.connect(self.database, timeout=20) as db:
            db.execute(statement, arguments)
        db.close()

    def stored(self, site: str) -> dict[Key, Taken]:
        """Every stored sample of a site. Fails if one is there twice."""
        rows = self.rows(
            "SELECT s.run, s.sequence, s.wall_ms, s.boottime_ms, r.payload FROM samples s "
            "LEFT JOIN reports r ON r.site = s.site AND r.run = s.run AND r.first = s.report WHERE s.site = ?",
            site,
        )
        found = {(run, sequence): _taken(content(payload, sequence)) for run, sequence, _, _, payload in rows}
        clocks = {(run, sequence): (wall_ms, boottime_ms) for run, sequence, wall_ms, boottime_ms, _ in rows}
        assert all(clocks[key] == (sample.wall_ms, sample.boottime_ms) for key, sample in found.items())
        assert len(found) == len(rows), "a sample is stored twice"
        return found

    def count(self, site: str) -> int:
        return int(self.rows("SELECT count(*) FROM samples WHERE site = ?", site)[0][0])


class Rig:
    """Agents and a collector around the broker at ``port``; everything is killed when the block ends."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.portal = ""
        self._processes: list[Process] = []

    def collector(self, *sites: str, port: int | None = None, **settings: Any) -> Collector:
        """A collector that knows ``sites``; not started yet."""
        collector = Collector(self.folder / "collector", port or self.port, settings)
        self._processes.append(collector)
        collector.register(*sites)
        return collector

    def agent(self, site: str, *, name: str | None = None, port: int | None = None, **settings: Any) -> Agent:
        """An agent of ``site`` in a folder of its own; not started yet."""
        agent = Agent(self.folder / (name or site), site, port or self.port, self.portal, settings)
        self._processes.append(agent)
        return agent

    def end(self) -> None:
        for process in self._processes:
            process.kill()


class _Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"<title>portal</title>"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a test's output is no access log."""


@contextmanager
def rig(folder: Path, port: int) -> Iterator[Rig]:
    """A rig around the broker at ``port``, with a portal of its own."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    made = Rig(folder, port)
    made.portal = f"http://127.0.0.1:{server.server_port}/"
    try:
        yield made
    finally:
        made.end()
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)


def assert_stored_exactly_once(agent: Agent, collector: Collector, timeout_s: float = 90) -> int:
    """Every sample that is in the agent's spool now comes to be stored, once and with the same content. How many there are.

    The agent may go on sampling meanwhile, and the store may hold more: samples of disks that were put back since.
    """
    held = agent.held()
    assert held, "the agent took no sample; nothing was proven"
    wait_until(
        lambda: held.keys() <= collector.stored(agent.site).keys(),
        f"all of {agent.site}'s samples are stored\nagent:\n{agent.log()[-3000:]}\ncollector:\n{collector.log()[-3000:]}",
        timeout_s,
        every_s=0.3,
    )
    stored = collector.stored(agent.site)
    different = [key for key, sample in held.items() if stored[key] != sample]
    assert not different, f"{len(different)} samples were stored with another content, first {different[0]}"
    return len(held)
