"""A real agent on a PC of the county, with an /etc, a boot and a state folder of its own; and what it says, read beside it."""

import json
import shutil
import sqlite3
import subprocess
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from lab.network import ANCHORS, BEHIND_A_ROUTER, BROKER, MEDIA_NAME, PORTAL, PORTAL_NAME, PRIVATE, RESOLVER, County
from lab.scenario import Scenario
from lab.servers import BROKER_PORT, Servers
from sitekeeper_agent.platform import boottime_ms
from sitekeeper_protocol import codec
from sitekeeper_protocol.vocabulary import Metric, Rung, State, grade_of_number, kind_of_number, party_of_number
from support.name_servers import system_files
from support.rig import Agent

INTERVAL_S, PROBE_S = 1, 2
SECURE = "c"
"""The site whose portal is asked over TLS."""
_MODEM = (Metric.RUNG_STATE.value, f"ipv4/{Rung.MODEM.name.lower()}")
_PLAYERS = frozenset(metric.value for metric in Metric if metric.name.startswith("PLAYER_"))
_TMPFS = "24m"
_START = """
mount --bind "$1/etc/resolv.conf" /etc/resolv.conf && mount --bind "$1/etc/hosts" /etc/hosts || exit 1
[ -z "$2" ] || mount --bind "$2" /proc/sys/kernel/random/boot_id || exit 1
shift 2 && exec "$@"
"""


class Said(NamedTuple):
    """A sample's verdict in words; ``state`` is that of the ladder, ``played`` what it tells of players, by metric/player."""

    wall_ms: int
    state: State | None
    kind: str
    words: str
    knows_modem: bool
    played: Mapping[str, int] = MappingProxyType({})


class LabAgent(Agent):
    """Ended and started as a whole PC; its ``boot`` is another one after a power cut."""

    def __init__(self, network: County, servers: Servers, folder: Path, site: str, scenario: Scenario) -> None:
        settings: dict[str, Any] = {
            "broker": {"host": BROKER, "port": BROKER_PORT, "tls": False},
            "anchors": list(ANCHORS),
            "media": [f"http://{MEDIA_NAME}/live.m3u8"],
            "media_interval_s": 1,
            "sample_interval_s": INTERVAL_S,
            "report_interval_s": INTERVAL_S,
            "probe_timeout_s": PROBE_S,
            "site_page": {"enabled": False},
            "network": {"portal_addresses": [PORTAL, PRIVATE], "portal_ca_file": servers.ca_file},
        }
        folder.mkdir(parents=True, exist_ok=True)
        for further in (scenario.settings, _placed(scenario.own.get(site, {}), folder)):
            settings |= {key: _merged(settings.get(key), value) for key, value in further.items()}
        scheme = "https" if site == SECURE else "http"
        super().__init__(folder, site, BROKER_PORT, f"{scheme}://{PORTAL_NAME}/", settings)
        self.has_modem = site == BEHIND_A_ROUTER and settings["network"].get("modem") != "none"
        self.etc = system_files(folder, RESOLVER)
        self._network, self._plain = network, self.command
        self._mounted = site in scenario.tmpfs
        self._boot: tuple[str, list[str]] = ("", [])
        self._wrong_s = scenario.clocks.get(site, 0)
        self.state.mkdir(exist_ok=True)
        if self._mounted:
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_TMPFS}", "lab", str(self.state)], check=True, timeout=60)

    def start(self) -> None:
        identity, new_time = self._boot
        script = ["sh", "-c", _START, "sh", str(self.folder), identity]
        # Only the time of day is another: what runs since the boot is counted by the machine, however wrong its clock.
        clock = ["env", *_clock(self._wrong_s)] if self._wrong_s else []
        command = ["unshare", "--mount", *new_time, *script, *clock, *self._plain]
        self.command = self._network.inside(self._network.pcs[self.site], command)
        super().start()

    def boot_anew(self) -> None:
        """Start on a machine that has just been switched on: boot id and clock since boot are another's."""
        identity = self.folder / "boot_id"
        identity.write_text(f"{uuid.uuid4()}\n")
        self._boot = (str(identity), ["--time", "--boottime", f"-{boottime_ms() // 1000 - 1}"])
        self.start()

    def end(self) -> None:
        """Kill it for good, and give back what lies below its state folder."""
        self.kill()
        if self._mounted:
            subprocess.run(["umount", str(self.state)], capture_output=True, check=False, timeout=60)
            self._mounted = False

    def said(self, since_ms: int = 0, last: int = 100_000) -> list[Said]:
        """The verdicts of its samples, oldest first."""
        query = "SELECT sequence, wall_ms, boottime_ms, record FROM samples WHERE wall_ms >= ? ORDER BY wall_ms DESC LIMIT ?"
        if not self._snapshot():
            return []
        db = sqlite3.connect(self.folder / "seen.db")
        try:
            rows = db.execute(query, (since_ms + self._wrong_s * 1000, last)).fetchall()
        except sqlite3.DatabaseError:
            return []  # it is only just being made
        finally:
            db.close()
        return [_said(row, self._wrong_s * 1000) for row in reversed(rows)]

    def _snapshot(self) -> bool:
        """Copy the spool with its write-ahead log, since the agent lets nobody else read; whether there is one.

        Between two checkpoints only the log grows, and its last frames may be cut off anywhere (sqlite.org/walformat.html).
        """
        file, copy = self.state / "spool.db", self.folder / "seen.db"
        for sidecar in ("-wal", "-shm"):
            Path(f"{copy}{sidecar}").unlink(missing_ok=True)
        try:
            while True:
                before = file.stat()
                shutil.copyfile(file, copy)
                with suppress(FileNotFoundError):
                    shutil.copyfile(f"{file}-wal", f"{copy}-wal")
                after = file.stat()
                if (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino):
                    return True
        except FileNotFoundError:
            return False

    def set_resolver(self, address: str, by_hand: bool = False) -> None:
        """Name another resolver in the file that the running agent sees."""
        file = self.etc / "resolv.conf"
        file.write_text("" if by_hand else "# Generated by NetworkManager\n")
        with file.open("a") as text:
            text.write(f"nameserver {address}\n")


def _clock(wrong_s: int) -> list[str]:
    """Without the program ``faketime``, which would stand between us and the process that we must be able to kill."""
    (library,) = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
    return [f"LD_PRELOAD={library}", f"FAKETIME={wrong_s:+d}s", "FAKETIME_DONT_FAKE_MONOTONIC=1"]


def _placed(settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    placed: dict[str, Any] = json.loads(json.dumps(settings).replace("{folder}", str(folder)))
    return placed


def _merged(before: Any, after: Any) -> Any:
    return before | after if isinstance(before, dict) and isinstance(after, dict) else after


def _said(row: tuple[int, int, int, bytes], wrong_ms: int) -> Said:
    sequence, wall_ms, boottime_ms, record = row
    values = codec.unpack_sample(record, sequence=sequence, wall_ms=wall_ms, boottime_ms=boottime_ms).values

    def of(metric: Metric) -> int | None:
        return values.get((metric.value, ""))

    kind = kind_of_number(of(Metric.VERDICT_KIND))
    parts = (kind, party_of_number(of(Metric.VERDICT_PARTY)), grade_of_number(of(Metric.VERDICT_GRADE)))
    state = of(Metric.VERDICT_STATE)
    known = None if state is None else State(state)
    words = " ".join(part.value for part in parts if part is not None)
    if not words and known == State.DEGRADED:
        words = f"slow {Rung(of(Metric.VERDICT_RUNG) or 0).name.lower()}"
    playing = {f"{Metric(number).name.lower()}/{name}": value for (number, name), value in values.items() if number in _PLAYERS}
    word = kind.value if kind else words
    return Said(wall_ms - wrong_ms, known, word, words, values.get(_MODEM) == State.OK.value, playing)
