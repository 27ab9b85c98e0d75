"""A real agent on a PC of the county, with an /etc, a boot and a state folder of its own; and what it says, read beside it."""

import sqlite3
import subprocess
import uuid
from pathlib import Path
from typing import Any, NamedTuple

from lab.network import ANCHORS, BROKER, MEDIA_NAME, PORTAL, PORTAL_NAME, County
from lab.servers import BROKER_PORT, Servers
from sitekeeper_agent.platform import boottime_ms
from sitekeeper_protocol import codec
from sitekeeper_protocol.vocabulary import Metric, Rung, State, grade_of_number, kind_of_number, party_of_number
from support.rig import Agent

INTERVAL_S, PROBE_S = 1, 2
SECURE = "c"
"""The site whose portal is asked over TLS."""
_MODEM = (Metric.RUNG_STATE.value, f"ipv4/{Rung.MODEM.name.lower()}")
_START = """
mount --bind "$1/etc/resolv.conf" /etc/resolv.conf && mount --bind "$1/etc/hosts" /etc/hosts || exit 1
[ -z "$2" ] || mount --bind "$2" /proc/sys/kernel/random/boot_id || exit 1
shift 2 && exec "$@"
"""


class Said(NamedTuple):
    """A sample's verdict in words; ``state`` is that of the ladder."""

    wall_ms: int
    state: State | None
    kind: str
    words: str
    knows_modem: bool


class LabAgent(Agent):
    """Ended and started as a whole PC; its ``boot`` is another one after a power cut."""

    def __init__(self, network: County, servers: Servers, folder: Path, site: str, tmpfs: str, further: dict[str, Any]) -> None:
        settings: dict[str, Any] = {
            "broker": {"host": BROKER, "port": BROKER_PORT, "tls": False},
            "anchors": list(ANCHORS),
            "media": [f"http://{MEDIA_NAME}/live.m3u8"],
            "media_interval_s": 1,
            "sample_interval_s": INTERVAL_S,
            "report_interval_s": INTERVAL_S,
            "probe_timeout_s": PROBE_S,
            "site_page": {"enabled": False},
            "network": {"portal_addresses": [PORTAL], "portal_ca_file": servers.ca_file},
        }
        scheme = "https" if site == SECURE else "http"
        super().__init__(folder, site, BROKER_PORT, f"{scheme}://{PORTAL_NAME}/", settings | further)
        self._network, self._etc, self._plain = network, servers.etc, self.command
        self._mounted = bool(tmpfs)
        self._boot: tuple[str, list[str]] = ("", [])
        self.state.mkdir(exist_ok=True)
        if tmpfs:
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={tmpfs}", "lab", str(self.state)], check=True, timeout=60)

    def start(self) -> None:
        identity, new_time = self._boot
        script = ["sh", "-c", _START, "sh", str(self._etc.parent), identity]
        command = ["unshare", "--mount", *new_time, *script, *self._plain]
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
        file = self.state / "spool.db"
        if not file.exists():
            return []
        query = "SELECT sequence, wall_ms, boottime_ms, record FROM samples WHERE wall_ms >= ? ORDER BY wall_ms DESC LIMIT ?"
        db = sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=20)
        try:
            rows = db.execute(query, (since_ms, last)).fetchall()
        except sqlite3.OperationalError:
            return []  # it is only just being made
        finally:
            db.close()
        return [_said(*row) for row in reversed(rows)]


def _said(sequence: int, wall_ms: int, boottime_ms: int, record: bytes) -> Said:
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
    return Said(wall_ms, known, kind.value if kind else words, words, values.get(_MODEM) == State.OK.value)
