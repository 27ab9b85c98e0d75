"""The demo's parts as they really are: files, the embedded broker, a portal, and processes of the collector and the agent."""

import http.server
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from sitekeeper_collector.broker import folder as broker_folder
from sitekeeper_collector.broker.mosquitto import TAIL, BrokerPlan
from sitekeeper_collector.embedded.broker import HOST
from sitekeeper_collector.store.engine import Store
from sitekeeper_collector.web import accounts, passwords
from sitekeeper_protocol.texts import Lang
from sitekeeper_protocol.topics import Leaf, subscription

SITE = "demo-site"
AREA = "demo"
_MARK = ".sitekeeper-demo"
_LOG_LINES = 12


class DemoError(RuntimeError):
    """The demo can't go on; the text says why, for a person."""


class Layout(NamedTuple):
    """Where things are."""

    root: Path

    @property
    def broker(self) -> Path:
        """Passwords of the broker."""
        return self.root / "broker"

    @property
    def database(self) -> Path:
        """The collector's database."""
        return self.root / "collector.db"

    @property
    def agent_state(self) -> Path:
        """The agent's state folder."""
        return self.root / "agent"

    @property
    def collector_config(self) -> Path:
        """The collector's configuration."""
        return self.root / "collector.yaml"

    @property
    def agent_config(self) -> Path:
        """The agent's configuration."""
        return self.root / "agent.yaml"


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.create_server((HOST, 0)) as probe:
        return int(probe.getsockname()[1])


def lay_out(root: Path) -> Layout:
    """An empty folder for the demo; one that an earlier demo made is emptied, anything else is left alone."""
    if root.exists() and any(root.iterdir()):
        if not (root / _MARK).exists():
            raise DemoError(f"{root} is not empty and not of an earlier demo; choose another with --folder")
        shutil.rmtree(root)
    root.mkdir(parents=True, exist_ok=True)
    (root / _MARK).write_text("Made by the demo, which empties this folder when it starts again.\n", encoding="utf-8")
    layout = Layout(root)
    broker_folder.write(BrokerPlan(layout.broker, layout.broker, plain_port=1), [SITE])
    return layout


def write_files(layout: Layout, port: int, console_port: int, portal: str, lang: Lang) -> None:
    """Configurations and the list of sites. Intervals are short, so that there is something to see."""
    layout.collector_config.write_text(
        f"""# The demo's collector.
database: sqlite:///{layout.database}
broker:
  host: {HOST}
  port: {port}
  tls: false
  password_file: {broker_folder.collector_password_file(layout.broker)}
receipt_interval_s: 4
blindness: {{interval_s: 1, limit_s: 3}}
console: {{port: {console_port}}}
""",
        encoding="utf-8",
    )
    layout.agent_config.write_text(
        f"""# The demo's agent: this machine as a site.
site: {SITE}
area: {AREA}
broker:
  host: {HOST}
  port: {port}
  tls: false
  password_file: {broker_folder.site_password_file(layout.broker, SITE)}
portal: "{portal}"
state_dir: {layout.agent_state}
language: {lang}
sample_interval_s: 1
report_interval_s: 2
probe_timeout_s: 3
backlog: {{pause_min_s: 0.1, pause_max_s: 0.3}}
""",
        encoding="utf-8",
    )
    sites = f"id,name,county,township\n{SITE},{'演示站点' if lang == 'zh' else 'Demo site'},,\n"
    (layout.root / "sites.csv").write_text(sites, encoding="utf-8")


class Portal:
    """A small web server that stands for the education portal, so that the demo needs no internet."""

    def __init__(self) -> None:
        self._server = http.server.ThreadingHTTPServer((HOST, 0), _Page)
        self._thread = threading.Thread(target=self._server.serve_forever, name="portal", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{HOST}:{self._server.server_address[1]}/"

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


class _Page(http.server.BaseHTTPRequestHandler):
    """One page."""

    def do_GET(self) -> None:
        body = b"<!doctype html><title>Portal</title><p>The demo's education portal.</p>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the terminal belongs to the demo."""


class Part:
    """A process of the demo, with its output in a file."""

    def __init__(self, name: str, arguments: list[str], layout: Layout) -> None:
        self.name = name
        self.log_file = layout.root / f"{name}.log"
        with self.log_file.open("ab") as log:
            # A session of its own: Ctrl-C goes to the demo alone, which ends its parts in order.
            self._process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )

    @property
    def ended(self) -> int | None:
        """The exit code, once it has ended."""
        return self._process.poll()

    def stop(self, patience_s: float = 15) -> None:
        """Ask it to end, and wait; make it end if it does not."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def log_end(self) -> str:
        """The last lines of its log."""
        lines = self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-_LOG_LINES:])


def open_console(store: Store) -> str:
    """Make the console's user, as whose password nobody has read in a log; the password."""
    password = passwords.new_password()
    with store.write() as connection:
        accounts.set_password(connection, accounts.FIRST_USER, password, time.time_ns() // 1_000_000)
    return password


def agent(layout: Layout) -> Part:
    """The agent of this machine, started."""
    return Part("agent", ["sitekeeper_agent", "run", "--config", str(layout.agent_config)], layout)


def run_once(arguments: list[str]) -> None:
    """Run one command of ours to its end. Raises ``DemoError`` with what it said if it fails."""
    done = subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise DemoError(done.stderr.strip() or done.stdout.strip())


class Listener:
    """Counts the messages that pass the broker, as the user of ``tail``."""

    def __init__(self, layout: Layout, port: int) -> None:
        self.counts: Counter[str] = Counter()
        self._news: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=TAIL)
        self._client.username_pw_set(TAIL, broker_folder.read_password(broker_folder.tail_password_file(layout.broker)))
        self._client.reconnect_delay_set(1, 2)
        self._client.on_connect = lambda client, *_: client.subscribe([(subscription(leaf), 0) for leaf in Leaf])
        self._client.on_message = lambda _client, _data, message: self._news.put(message.topic.rpartition("/")[2])
        self._client.connect_async(HOST, port)
        self._client.loop_start()

    def count(self) -> Counter[str]:
        """Messages so far, by kind."""
        while not self._news.empty():
            self.counts[self._news.get()] += 1
        return self.counts

    def close(self) -> None:
        """End it."""
        self._client.disconnect()
        self._client.loop_stop()
