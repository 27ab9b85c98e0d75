"""What `sitekeeper-agent status` shows: a small file, replaced as a whole at each sample, without anything secret.

It is true only while the agent runs. Where the service manager gives a folder in memory (RUNTIME_DIRECTORY, systemd.exec(5)),
it lies there, and the state folder has a link to it: in a year it would have the disk write two gigabytes for nothing.
"""

import json
import os
from pathlib import Path
from typing import Any

from sitekeeper_agent import platform
from sitekeeper_agent.config import Settings
from sitekeeper_agent.hours import Day
from sitekeeper_agent.spool import SpoolStats
from sitekeeper_agent.standing import Fault, Standing
from sitekeeper_protocol.messages import Receipt
from sitekeeper_protocol.vocabulary import Kind, Rung

FILE_NAME = "status.json"


class StatusFile:
    """The file of one running agent. A disk that takes nothing costs the file, not the agent."""

    def __init__(self, folder: Path, settings: Settings, run: int, boot: int) -> None:
        self._link = folder / FILE_NAME
        # Of several folders, which are separated by colons, the first.
        in_memory = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
        self._path = Path(in_memory) / FILE_NAME if in_memory else self._link
        self._linked = not in_memory
        self._known: dict[str, Any] = {
            "site": settings.site,
            "run": f"{run:016x}",
            "boot": f"{boot:016x}",
            "receipt_wall_ms": None,
            "tickets": [],
        }
        self.follow(settings)

    def follow(self, settings: Settings) -> None:
        """The settings in use are these now."""
        self._known |= {
            "broker": f"{settings.broker.host}:{settings.broker.port}",
            "sample_interval_s": settings.sample_interval_s,
        }

    def receipted(self, receipt: Receipt, wall_ms: int) -> None:
        """Remember the newest receipt."""
        self._known |= {"receipt_wall_ms": wall_ms, "tickets": list(receipt.tickets)}

    def write(
        self,
        *,
        connected: bool,
        trouble: str,
        held: int,
        unconfirmed: int,
        spool: SpoolStats,
        standing: Standing,
        day: Day | None = None,
    ) -> None:
        """Replace the file. ``day``: hours of today, once there is a sample."""
        verdict = standing.verdict
        told = self._known | {
            "wall_ms": platform.wall_ms(),
            "connected": connected,
            "trouble": trouble,
            "samples_held": held,
            "samples_unconfirmed": unconfirmed,
            "spool_bytes": spool.disk_bytes,
            "spool_writable": spool.writable,
            "verdict": verdict.state.name.lower() if verdict else None,
            "rung": verdict.rung.name.lower() if verdict and verdict.rung else None,
            "kind": verdict.kind.value if verdict and verdict.kind else None,
            "since_boottime_ms": standing.since_ms if verdict else None,
            "reported": list(standing.numbers),
            "on_today_s": day.on_ms // 1000 if day else None,
            "in_use_today_s": day.in_use_ms // 1000 if day and day.told else None,
            "idle_today_s": day.idle_ms // 1000 if day and day.told else None,
        }
        staged = self._path.with_suffix(".new")
        try:
            staged.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
            staged.chmod(0o644)
            staged.replace(self._path)
            self._point_there()
        except OSError:
            # The spool says what is wrong with the disk; this file is only a convenience.
            return

    def _point_there(self) -> None:
        if not self._linked:
            if not self._link.is_symlink() or self._link.readlink() != self._path:
                staged = self._link.with_suffix(".new")
                staged.unlink(missing_ok=True)
                staged.symlink_to(self._path)
                staged.replace(self._link)
            self._linked = True


def read(folder: Path) -> dict[str, Any] | None:
    """What the running agent wrote last, or ``None``."""
    try:
        told = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return told if isinstance(told, dict) else None


def running(told: dict[str, Any], settings: Settings, wall_ms: int) -> bool:
    """Whether the agent that wrote ``told`` can still be alive at ``wall_ms``."""
    # The county may have changed the interval of the agent that runs, which the file does not show.
    interval_s = float(told.get("sample_interval_s", settings.sample_interval_s))
    return (wall_ms - int(told["wall_ms"])) / 1000 < 3 * interval_s + 60


def fault(told: dict[str, Any], *, boot: int, boottime_ms: int) -> Fault | None:
    """The fault that a running agent sees, or ``None``. How long it lasts comes from the boot time, whatever the wall clock."""
    if told.get("verdict") != "fail":
        return None
    kind = next((kind for kind in Kind if kind == told.get("kind")), None)
    rung = next((rung for rung in Rung if rung.name.lower() == told.get("rung")), None)
    since_ms = told.get("since_boottime_ms") if told.get("boot") == f"{boot:016x}" else None
    return Fault(
        kind=kind,
        rung=rung,
        minutes=None if since_ms is None else max(0, boottime_ms - int(since_ms)) // 60_000,
        numbers=tuple(told.get("reported", ())),
        connected=bool(told["connected"]),
    )
