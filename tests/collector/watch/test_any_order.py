"""Whatever the order in which a site's reports come in, its record, its faults, its tickets and its ledger are the same."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sitekeeper_collector.domain.rules import Rules
from sitekeeper_collector.domain.tickets import TicketState
from sitekeeper_collector.ingest.messages import Inbound
from sitekeeper_collector.store.engine import open_store
from sitekeeper_collector.watch import rebuild
from sitekeeper_protocol.messages import PowerEvent, PowerEventRecord, Sample
from support.played import (
    DISK_FULL,
    DNS_FAILURE,
    HOUR_MS,
    LINE_DOWN,
    MINUTE_MS,
    PORTAL_DOWN,
    START_MS,
    Pc,
    Watched,
    watched,
    well,
)
from support.scripted import fast_folder

SITE = "v1"
_SAYS = (well(), PORTAL_DOWN, DNS_FAILURE, LINE_DOWN, DISK_FULL, {(20, ""): 3}, well(playing=1))
_phases = st.lists(st.tuples(st.integers(0, len(_SAYS) - 1), st.integers(1, 9)), min_size=1, max_size=8)


class Story(NamedTuple):
    """Two lives of a PC: what each says, how much later its wall clock is than the truth, and how the first one ended."""

    lives: tuple[list[tuple[int, int]], list[tuple[int, int]]]
    wall_error_ms: int
    goodbye: bool


_stories = st.builds(Story, st.tuples(_phases, _phases), st.sampled_from([0, 0, -7_200_000, 5 * HOUR_MS]), st.booleans())


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=fast_folder()) as name:
        file = Path(name) / "template.db"
        store = open_store(f"sqlite:///{file}")
        with store.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        store.close()
        yield file


@contextmanager
def county(template: Path) -> Iterator[Watched]:
    with tempfile.TemporaryDirectory(dir=fast_folder()) as name, watched(Path(name), template=template) as made:
        made.at.register(SITE)
        made.at.now_ms = START_MS + 10 * HOUR_MS
        yield made


def _pcs(story: Story) -> list[Pc]:
    """Both lives, with all their samples; ten good minutes end each of them, so that every fault ends."""
    found: list[Pc] = []
    at_ms = START_MS
    for run, life in enumerate(story.lives, 21):
        pc = Pc(SITE, run, at_ms)
        events: tuple[PowerEventRecord, ...] = ()
        if found:
            events = (PowerEventRecord(PowerEvent.STARTED),)
            if not story.goodbye:
                events += (PowerEventRecord(PowerEvent.POWER_LOST, run=found[0].run, last_wall_ms=at_ms - HOUR_MS),)
        for says, minutes in [*life, (0, 10)]:
            for _ in range(minutes):
                at_ms += MINUTE_MS
                pc.take(at_ms, _SAYS[says], *events)
                events = ()
        if not found and story.goodbye:
            pc.take(at_ms + 1000, well(), PowerEventRecord(PowerEvent.GOODBYE, reason="shutdown"))
        pc.taken = [replace(sample, wall_ms=sample.wall_ms + story.wall_error_ms) for sample in pc.taken]
        found.append(pc)
        at_ms += 20 * MINUTE_MS
    return found


def _pieces(data: st.DataObject, taken: list[Sample]) -> list[list[Sample]]:
    """All samples in windows of some, and some windows more, packed anew."""
    sizes = data.draw(st.lists(st.integers(1, 12), min_size=1, max_size=20))
    found: list[list[Sample]] = []
    at = 0
    while at < len(taken):
        size = sizes[len(found) % len(sizes)]
        found.append(taken[at : at + size])
        at += size
    starts = data.draw(st.lists(st.integers(0, len(taken) - 1), max_size=3))
    return found + [taken[start : start + 7] for start in starts]


def outcome(made: Watched) -> dict[str, Any]:
    """All that the order must not change."""
    known = [ticket for ticket in made.tickets() if ticket.state is not TicketState.CLOSED]
    return {
        "spans": made.at.rows("spans", *(column for column in _columns(made, "spans"))),
        "markers": made.at.rows("markers", *(column for column in _columns(made, "markers"))),
        "faults": made.faults(SITE),
        "tickets": sorted((t.kind, t.outage_from_ms, t.outage_to_ms or 0, t.state, t.party) for t in known),
        "ledger": made.picture(SITE, START_MS - HOUR_MS, made.now_ms),
        "mails": made.mails(),
    }


def _columns(made: Watched, table: str) -> list[str]:
    with made.at.store.read() as connection:
        return [row[1] for row in connection.exec_driver_sql(f"PRAGMA table_info({table})")]


def _is_what_the_reports_come_to(made: Watched) -> None:
    with made.at.store.read() as connection:
        assert rebuild.kept(connection, SITE) == rebuild.rebuild(connection, SITE, Rules())


def _in_order(template: Path, story: Story) -> dict[str, Any]:
    with county(template) as made:
        for pc in _pcs(story):
            made.at.send(pc.report(pc.taken, made.now_ms, backlog=True))
        _is_what_the_reports_come_to(made)
        return outcome(made)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(story=_stories, data=st.data())
def test_interleavings_duplicates_batches_restarts_and_clocks_learned_late(
    template: Path, story: Story, data: st.DataObject
) -> None:
    expected = _in_order(template, story)
    with county(template) as made:
        messages: list[Inbound] = []
        for pc in _pcs(story):
            clocks = data.draw(st.booleans())
            pieces = _pieces(data, pc.taken)
            # The clock comes with one report at least, wherever that is.
            messages += [
                pc.report(piece, made.now_ms, backlog=True, clock=clocks or at == 0) for at, piece in enumerate(pieces)
            ]
        messages = data.draw(st.permutations(messages))
        while messages:
            size = data.draw(st.integers(1, len(messages)))
            made.at.send(*messages[:size])
            messages = messages[size:]
            if data.draw(st.integers(0, 4)) == 0:
                made.restart()
        _is_what_the_reports_come_to(made)
        assert outcome(made) == expected


def test_a_story_has_its_faults_and_its_tickets(template: Path) -> None:
    """Else the other test would compare nothing with nothing."""
    found = _in_order(template, Story(([(1, 9), (0, 4), (3, 9)], [(4, 9), (2, 9)]), 0, goodbye=False))
    assert len(found["faults"]) == len(found["tickets"]) == 3
    assert {segment.was for segment in found["ledger"]} >= {"power_lost", "platform", "line", "up"}
