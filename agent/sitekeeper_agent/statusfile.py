"""What `sitekeeper-agent status` shows: a small file in the state folder, replaced as a whole, without anything secret."""

import json
from pathlib import Path
from typing import Any

from sitekeeper_agent import platform
from sitekeeper_agent.config import Settings
from sitekeeper_agent.spool import SpoolStats
from sitekeeper_protocol.ladder import Verdict
from sitekeeper_protocol.messages import Receipt

FILE_NAME = "status.json"


class StatusFile:
    """The file of one running agent. A disk that takes nothing costs the file, not the agent."""

    def __init__(self, folder: Path, settings: Settings, run: int) -> None:
        self._path = folder / FILE_NAME
        self._known: dict[str, Any] = {
            "site": settings.site,
            "run": f"{run:016x}",
            "broker": f"{settings.broker.host}:{settings.broker.port}",
            "receipt_wall_ms": None,
            "tickets": [],
        }

    def receipted(self, receipt: Receipt, wall_ms: int) -> None:
        """Remember the newest receipt."""
        self._known |= {"receipt_wall_ms": wall_ms, "tickets": list(receipt.tickets)}

    def write(
        self, *, connected: bool, trouble: str, held: int, unconfirmed: int, spool: SpoolStats, verdict: Verdict | None
    ) -> None:
        """Replace the file."""
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
        }
        staged = self._path.with_suffix(".new")
        try:
            staged.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
            staged.chmod(0o644)
            staged.replace(self._path)
        except OSError:
            # The spool says what is wrong with the disk; this file is only a convenience.
            return


def read(folder: Path) -> dict[str, Any] | None:
    """What the running agent wrote last, or ``None``."""
    try:
        told = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return told if isinstance(told, dict) else None
