"""The demo's parts as they really are: files, the embedded broker, a portal, and processes of the collector and the agent."""

import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from sitekeeper_collector.broker import folder as broker_folder
from sitekeeper_collector.broker.mosquitto import TAIL, BrokerPlan
from sitekeeper_collector.demo.county import Class, sites_csv
from sitekeeper_collector.embedded.broker import HOST
from sitekeeper_collector.registry.entry import SiteEntry
from sitekeeper_collector.store import lessons
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


def lay_out(root: Path, sites: Sequence[SiteEntry]) -> Layout:
    """An empty folder for the demo; one that an earlier demo made is emptied, anything else is left alone."""
    if root.exists() and any(root.iterdir()):
        if not (root / _MARK).exists():
            raise DemoError(f"{root} is not empty and not of an earlier demo; choose another with --folder")
        shutil.rmtree(root)
    root.mkdir(parents=True, exist_ok=True)
    (root / _MARK).write_text("Made by the demo, which empties this folder when it starts again.\n", encoding="utf-8")
    layout = Layout(root)
    broker_folder.write(BrokerPlan(layout.broker, layout.broker, plain_port=1), [SITE, *(site.id for site in sites)])
    return layout


class Addresses(NamedTuple):
    """Where the parts find each other. ``stream`` empty: none is watched."""

    broker_port: int
    console_port: int
    portal: str
    stream: str


def write_files(layout: Layout, at: Addresses, sites: Sequence[SiteEntry], lang: Lang) -> None:
    """Configurations, rules and the list of sites. Intervals are short, so that there is something to see."""
    (layout.root / "faults.yaml").write_text(_RULES, encoding="utf-8")
    layout.collector_config.write_text(
        f"""# The demo's collector.
database: sqlite:///{layout.database}
broker:
  host: {HOST}
  port: {at.broker_port}
  tls: false
  password_file: {broker_folder.collector_password_file(layout.broker)}
receipt_interval_s: 4
blindness: {{interval_s: 1, limit_s: 4}}
watch: {{rules_file: {layout.root / "faults.yaml"}, interval_s: 1}}
console: {{port: {at.console_port}}}
embedded: {{mail_catcher: true}}
mail:
  sender: sitekeeper@demo.example
  reply_to: county@demo.example
  phone: 0990-5550100
  recipients:
    - {{party: telecom, address: noc@telecom.example, lang: {lang}, name: {_TELECOM[lang]}}}
    - {{party: technician, address: technician@county.example, lang: {lang}}}
    - {{party: platform, address: platform@province.example, lang: {lang}}}
    - {{party: site, address: township@county.example, lang: {lang}}}
""",
        encoding="utf-8",
    )
    media = f'media: ["{at.stream}"]\nmedia_interval_s: 4\n' if at.stream else ""
    layout.agent_config.write_text(
        f"""# The demo's agent: this machine as a site.
site: {SITE}
area: {AREA}
broker:
  host: {HOST}
  port: {at.broker_port}
  tls: false
  password_file: {broker_folder.site_password_file(layout.broker, SITE)}
portal: "{at.portal}"
{media}state_dir: {layout.agent_state}
language: {lang}
sample_interval_s: 1
report_interval_s: 2
probe_timeout_s: 3
backlog: {{pause_min_s: 0.1, pause_max_s: 0.3}}
""",
        encoding="utf-8",
    )
    own = SiteEntry(id=SITE, name="演示站点（本机）" if lang == "zh" else "Demo site (this PC)")
    (layout.root / "sites.csv").write_text(sites_csv([own, *sites]), encoding="utf-8")


_TELECOM: dict[Lang, str] = {"zh": "云溪电信维护中心", "en": "Yunxi Telecom maintenance"}
_RULES = """# The demo's rules: as in config/faults.yaml, but in seconds instead of minutes.
evidence_gap_s: 15
silence: {grace_s: 4, reconnect_s: 8, end_of_class_s: 30, neighbours_within_s: 20, explain_within_s: 60}
kinds:
  site_dark: {hold_down_s: 20, hold_up_s: 6}
  line_suspected: {hold_down_s: 12, hold_up_s: 6}
  area_outage: {hold_down_s: 10, hold_up_s: 4}
  line_down: {hold_down_s: 6, hold_up_s: 6}
  modem_down: {hold_down_s: 6, hold_up_s: 6}
  gateway_down: {hold_down_s: 6, hold_up_s: 6}
  no_address: {hold_down_s: 6, hold_up_s: 6}
  link_down: {hold_down_s: 6, hold_up_s: 6}
  arrears: {hold_down_s: 6, hold_up_s: 6}
  dns_failure: {hold_down_s: 6, hold_up_s: 6}
  uplink_blocked: {hold_down_s: 20, hold_up_s: 6}
  portal_down: {hold_down_s: 6, hold_up_s: 6}
  media_down: {hold_down_s: 6, hold_up_s: 6}
  disk_full: {hold_down_s: 30, hold_up_s: 6}
"""


def plan_lessons(store: Store, classes: Sequence[Class], start_ms: int) -> None:
    """The county's classes, from the start of the demo on."""
    with store.write() as connection:
        lessons.add(
            connection,
            [
                lessons.Planned(
                    "", one.township, "", start_ms + round(one.from_s * 1000), start_ms + round(one.to_s * 1000), one.title
                )
                for one in classes
            ],
        )


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


def await_console(collector: Part, port: int, within_s: float = 90.0) -> None:
    """Return once the collector's console takes connections on ``port``.

    An address that is told earlier shows a browser's error page to whoever is quick. Raises ``DemoError`` if the collector
    ends, or does not listen in time (another program may have taken the port in between).
    """
    until_s = time.monotonic() + within_s
    while time.monotonic() < until_s:
        if collector.ended is not None:
            raise DemoError(f"the collector ended with code {collector.ended}\n{collector.log_end()}")
        try:
            with socket.create_connection((HOST, port), timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise DemoError(f"the console does not answer on {HOST}:{port} after {within_s:.0f} s\n{collector.log_end()}")


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
