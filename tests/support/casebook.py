"""What the collector has made of things, read beside it: tickets, their timelines and mails, absences, the ledger's picture.

Also the short waiting times that let a test see in a minute what takes a county hours.
"""

import csv
import datetime
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sitekeeper_collector.domain.ledger import Segment, Was
from sitekeeper_collector.domain.rules import DETECTED
from sitekeeper_collector.domain.tickets import Ticket, TimelineEntry, What
from sitekeeper_collector.store import evidence, ledger, outbox, tickets
from sitekeeper_collector.store.engine import Store, open_store
from sitekeeper_collector.store.evidence import Absence
from sitekeeper_collector.store.outbox import Mail
from support.rig import Collector

GAP_S = 5
"""Samples of a run that lie closer together than this speak for the time between them."""
_HOLD = {"hold_down_s": 1, "hold_up_s": 1}
_COUNTY = datetime.timezone(datetime.timedelta(hours=8))


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def quick_rules(folder: Path, *, silence: Mapping[str, int] | None = None, **kinds: Mapping[str, int]) -> str:
    """A file of rules in which everything holds after a second; the path to be named as ``watch.rules_file``."""
    folder.mkdir(parents=True, exist_ok=True)
    rules = {
        "evidence_gap_s": GAP_S,
        "silence": {"grace_s": 0, "reconnect_s": 60, "end_of_class_s": 60, "neighbours_within_s": 30} | dict(silence or {}),
        "kinds": {kind.value: _HOLD | dict(kinds.get(kind.value, {})) for kind in DETECTED},
    }
    file = folder / "faults.yaml"
    file.write_text(json.dumps(rules))  # JSON is YAML
    return str(file)


def watching(folder: Path, *, silence: Mapping[str, int] | None = None, **kinds: Mapping[str, int]) -> dict[str, Any]:
    """Settings of a collector that looks often and waits for little."""
    return {
        "watch": {"rules_file": quick_rules(folder, silence=silence, **kinds), "interval_s": 0.2},
        "blindness": {"interval_s": 0.2, "limit_s": 2},
        "batch": {"max_wait_ms": 20},
    }


def mailing(port: int, *recipients: Mapping[str, str], **further: Any) -> dict[str, Any]:
    """Settings of a collector that mails ``recipients`` by a server on this loopback port, and tries again soon."""
    server = {"host": "127.0.0.1", "port": port, "encryption": "none", "hello_name": "collector.test", "timeout_s": 10}
    return {
        "mail": {
            "smtp": server,
            "sender": "sitekeeper@county.test",
            "phone": "0371-5550101",
            "recipients": [dict(recipient) for recipient in recipients],
            "retry_s": 0.2,
            "lease_s": 1,
        }
        | further
    }


def register(collector: Collector, *rows: Mapping[str, str]) -> None:
    """Import sites with all that a row says of them, as an operator does."""
    titles = list(dict.fromkeys(title for row in rows for title in row))
    file = collector.folder / "register.csv"
    with file.open("w", newline="", encoding="utf-8") as text:
        writer = csv.DictWriter(text, titles)
        writer.writeheader()
        writer.writerows(rows)
    collector.command_line("sites", "import", str(file))


def plan_class(collector: Collector, title: str, *, site: str = "") -> None:
    """A class that is on since half an hour and goes on for two more, planned as an operator does."""
    now = datetime.datetime.now(_COUNTY)
    begin, end = now - datetime.timedelta(minutes=30), now + datetime.timedelta(hours=2)
    times = ["--from", f"{begin:%Y-%m-%d %H:%M}", "--to", f"{end:%Y-%m-%d %H:%M}"]
    collector.command_line("classes", "add", *times, "--title", title, *(["--site", site] if site else []))


class Casebook:
    """Reads a collector's database."""

    def __init__(self, collector: Collector, store: Store) -> None:
        self._collector, self._store = collector, store

    def tickets(self, site: str | None = None) -> list[Ticket]:
        """All tickets, or those of a site, in the order in which they were opened."""
        numbers = [number for (number,) in self._collector.rows("SELECT number FROM tickets ORDER BY opened_ms, number")]
        with self._store.read() as connection:
            found = [tickets.find(connection, number) for number in numbers]
        return [ticket for ticket in found if ticket is not None and site in (None, ticket.site)]

    def timeline(self, number: str) -> tuple[TimelineEntry, ...]:
        with self._store.read() as connection:
            return tickets.timeline_of(connection, number)

    def story(self, number: str) -> list[What]:
        """What happened to a ticket, in a word each."""
        return [entry.what for entry in self.timeline(number)]

    def mails(self, number: str) -> list[Mail]:
        """What a ticket owed, and what became of it."""
        with self._store.read() as connection:
            return outbox.of_ticket(connection, number)

    def absences(self, site: str) -> list[Absence]:
        with self._store.read() as connection:
            return evidence.absences_between(connection, site, 0, now_ms())

    def picture(self, site: str, from_ms: int, to_ms: int | None = None) -> list[Segment]:
        with self._store.read() as connection:
            return ledger.picture(connection, site, from_ms, now_ms() if to_ms is None else to_ms, gap_ms=GAP_S * 1000)

    def was(self, site: str, from_ms: int, to_ms: int | None = None) -> dict[Was, int]:
        """How long a site was how, in ms."""
        total: dict[Was, int] = {}
        for segment in self.picture(site, from_ms, to_ms):
            total[segment.was] = total.get(segment.was, 0) + segment.duration_ms
        return total

    def told(self) -> str:
        """All that is known, for the text of a failure."""
        lines = [f"{t.number} {t.site} {t.kind} {t.state} {t.grade} {self.story(t.number)}" for t in self.tickets()]
        lines += [str(row) for row in self._collector.rows("SELECT * FROM absences")]
        lines += [str(row) for row in self._collector.rows("SELECT * FROM faults")]
        return "\n".join([*lines, self._collector.log()[-4000:]])


@contextmanager
def casebook(collector: Collector) -> Iterator[Casebook]:
    store = open_store(f"sqlite:///{collector.database}")
    try:
        yield Casebook(collector, store)
    finally:
        store.close()


def overlap_ms(segments: Sequence[Segment], was: Was, from_ms: int, to_ms: int) -> int:
    """How much of a stretch of time the picture calls ``was``."""
    return sum(max(0, min(s.to_ms, to_ms) - max(s.from_ms, from_ms)) for s in segments if s.was is was)
