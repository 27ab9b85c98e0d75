"""What there is to show at one moment, read from the collector's database and the agent's own status file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from sitekeeper_collector.store import queries
from sitekeeper_collector.store.engine import Store
from sitekeeper_protocol.messages import Sample


class Snapshot(NamedTuple):
    """One moment of the demo. ``held`` and ``unconfirmed`` are ``None`` while the agent has not said."""

    newest: Sample | None
    newest_ms: int | None
    stored: int
    last: int
    missing: int
    placements: Mapping[str, int]
    held: int | None
    unconfirmed: int | None


def take(store: Store, site: str, agent_state: Path) -> Snapshot:
    """Read the moment."""
    with store.read() as connection:
        rows = queries.samples(connection, site=site, since_ms=0, limit=1)
        runs = queries.run_summaries(connection, site)
        placements = queries.placements(connection, site)
    told = _agent_status(agent_state)
    row = rows[0] if rows else None
    return Snapshot(
        newest=row.content() if row else None,
        newest_ms=row.placed_ms if row else None,
        stored=sum(run.samples for run in runs),
        last=runs[0].last if runs else 0,
        missing=sum(run.missing for run in runs),
        placements=placements,
        held=_count(told, "samples_held"),
        unconfirmed=_count(told, "samples_unconfirmed"),
    )


def _agent_status(agent_state: Path) -> Mapping[str, object]:
    try:
        told = json.loads((agent_state / "status.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _count(told: Mapping[str, object], key: str) -> int | None:
    value = told.get(key)
    return value if isinstance(value, int) else None
