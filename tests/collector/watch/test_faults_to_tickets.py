"""Faults that a site reports while it is heard: from the hold-down to the mail that says it is over."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sitekeeper_collector.domain import tickets as steps
from sitekeeper_collector.domain.tickets import TicketState
from sitekeeper_collector.watch.desk import Desk
from sitekeeper_protocol.vocabulary import Grade, Kind, Party, Severity
from support.played import (
    DISK_FULL,
    DNS_FAILURE,
    HOUR_MS,
    MEDIA_DOWN,
    MINUTE_MS,
    PORTAL_DOWN,
    START_MS,
    Pc,
    Values,
    Watched,
    watched,
    well,
)

SITE = "v1"
_HEARD: dict[Kind, tuple[Values, int, Party]] = {
    Kind.PORTAL_DOWN: (PORTAL_DOWN, 5, Party.TECHNICIAN),
    Kind.MEDIA_DOWN: (MEDIA_DOWN, 5, Party.PLATFORM),
    Kind.DNS_FAILURE: (DNS_FAILURE, 5, Party.TELECOM),
    Kind.DISK_FULL: (DISK_FULL, 30, Party.TECHNICIAN),
}


@pytest.fixture
def county(tmp_path: Path) -> Iterator[Watched]:
    with watched(tmp_path, SITE) as made:
        yield made


@pytest.fixture
def pc() -> Pc:
    return Pc(SITE, 11, START_MS - HOUR_MS)


@pytest.mark.parametrize("kind", _HEARD)
def test_a_fault_has_its_ticket_after_its_hold_down_and_one_mail_each_way(county: Watched, pc: Pc, kind: Kind) -> None:
    bad, hold_down_min, party = _HEARD[kind]
    county.live(3, well(), pc)
    county.live(hold_down_min, bad, pc)
    assert county.tickets() == []
    county.live(1, bad, pc)
    ticket = county.ticket()
    began_ms = START_MS + 4 * MINUTE_MS
    assert (ticket.kind, ticket.party, ticket.state, ticket.outage_from_ms) == (kind, party, TicketState.OPEN, began_ms)
    assert ticket.grade is Grade.PROVEN
    assert county.told() == [("opened", party)]
    county.live(3, well(), pc)
    assert county.ticket().state is TicketState.OPEN
    county.live(1, well(), pc)
    ticket = county.ticket()
    assert (ticket.state, ticket.outage_to_ms) == (TicketState.RESOLVED, began_ms + (hold_down_min + 1) * MINUTE_MS)
    assert county.told() == [("opened", party), ("recovered", party)]
    assert len({mail.thread for mail in county.mails()}) == 1


def test_a_fault_shorter_than_its_hold_down_leaves_no_trace(county: Watched, pc: Pc) -> None:
    for _ in range(5):
        county.live(4, PORTAL_DOWN, pc)
        county.live(1, well(), pc)
    assert (county.tickets(), county.faults(SITE)) == ([], [])


def test_the_same_fault_within_a_day_opens_the_same_ticket_again(county: Watched, pc: Pc) -> None:
    county.live(6, PORTAL_DOWN, pc)
    county.live(4, well(), pc)
    first = county.ticket()
    county.live(8, PORTAL_DOWN, pc)
    again = county.ticket()
    assert (again.number, again.state, again.reopened) == (first.number, TicketState.OPEN, 1)
    assert again.outage_from_ms == first.outage_from_ms, "a ticket's outage begins where its first fault began"
    county.live(4, well(), pc)
    done = county.ticket()
    assert (done.state, done.outage_from_ms) == (TicketState.RESOLVED, first.outage_from_ms)
    assert done.outage_to_ms == START_MS + 19 * MINUTE_MS
    assert [event for event, _ in county.told()] == ["opened", "recovered", "reopened", "recovered"]
    with county.at.store.read() as connection:
        assert "retimed" not in [row[0] for row in connection.exec_driver_sql("SELECT what FROM timeline")]


def test_after_a_day_a_new_ticket_names_the_one_before(county: Watched, pc: Pc) -> None:
    county.live(6, PORTAL_DOWN, pc)
    county.live(4, well(), pc)
    county.at.now_ms += 25 * HOUR_MS
    county.live(6, PORTAL_DOWN, pc)
    first, second = county.tickets()
    assert (first.state, second.state, second.previous) == (TicketState.RESOLVED, TicketState.OPEN, first.number)


def _resolve(county: Watched) -> None:
    with county.at.store.write() as connection:
        desk = Desk(county.at.ingest._watch.desk._mail, 480)
        number = county.ticket().number
        desk.change(
            connection, number, lambda t: steps.resolve(t, by="li", how="restarted it", now_ms=county.now_ms), county.now_ms
        )


def test_a_ticket_resolved_by_hand_opens_again_if_the_fault_goes_on_for_ten_minutes(county: Watched, pc: Pc) -> None:
    county.live(6, PORTAL_DOWN, pc)
    _resolve(county)
    county.live(9, PORTAL_DOWN, pc)
    assert county.ticket().state is TicketState.RESOLVED
    county.live(1, PORTAL_DOWN, pc)
    assert (county.ticket().state, county.ticket().reopened) == (TicketState.OPEN, 1)


def test_a_ticket_resolved_by_hand_just_before_the_recovery_stays_resolved(county: Watched, pc: Pc) -> None:
    county.live(6, PORTAL_DOWN, pc)
    _resolve(county)
    county.live(2, PORTAL_DOWN, pc)
    county.live(10, well(), pc)
    ticket = county.ticket()
    assert (ticket.state, ticket.reopened, ticket.outage_to_ms) == (TicketState.RESOLVED, 0, START_MS + 9 * MINUTE_MS)


def test_an_acknowledged_ticket_stays_so_while_the_fault_goes_on_and_when_it_comes_again(county: Watched, pc: Pc) -> None:
    county.live(6, PORTAL_DOWN, pc)
    with county.at.store.write() as connection:
        county.at.ingest._watch.desk.change(
            connection, county.ticket().number, lambda t: steps.acknowledge(t, by="li", now_ms=county.now_ms), county.now_ms
        )
    county.live(20, PORTAL_DOWN, pc)
    assert county.ticket().state is TicketState.ACKNOWLEDGED
    county.live(4, well(), pc)
    county.live(6, PORTAL_DOWN, pc)
    assert (county.ticket().state, county.ticket().acknowledged_by) == (TicketState.ACKNOWLEDGED, "li")


def test_two_kinds_at_once_have_a_ticket_each(county: Watched, pc: Pc) -> None:
    county.live(31, PORTAL_DOWN | {key: value for key, value in DISK_FULL.items() if key[1] == "/"}, pc)
    assert sorted(ticket.kind for ticket in county.tickets()) == [Kind.DISK_FULL, Kind.PORTAL_DOWN]
    assert {ticket.severity for ticket in county.tickets()} == {Severity.MINOR, Severity.MAJOR}


def test_a_fault_that_is_over_when_it_becomes_known_is_born_resolved_and_mails_nobody(county: Watched, pc: Pc) -> None:
    county.live(2, well(), pc)
    for at in range(10):
        pc.take(county.now_ms + (at + 1) * MINUTE_MS, PORTAL_DOWN)
    late = pc.taken[-10:]
    county.at.now_ms += 11 * MINUTE_MS
    county.at.send(pc.report([pc.take(county.now_ms, well())], county.now_ms))
    for piece in (late[6:], late[:3], late[3:6]):
        county.at.send(pc.report(piece, county.now_ms, backlog=True))
        county.tick()
    assert county.told() == []
    county.live(4, well(), pc)
    ticket = county.ticket()
    assert (ticket.kind, ticket.state, county.told()) == (Kind.PORTAL_DOWN, TicketState.RESOLVED, [])
    assert (ticket.outage_from_ms, ticket.outage_to_ms) == (START_MS + 3 * MINUTE_MS, START_MS + 13 * MINUTE_MS)


@pytest.mark.parametrize("after_min", [2, 5, 6, 9, 11])
def test_a_restart_of_the_collector_changes_nothing(county: Watched, pc: Pc, after_min: int) -> None:
    """While the fault is suspected, open, or on its way out."""
    story = [well()] * 2 + [PORTAL_DOWN] * 7 + [well()] * 5
    for at, values in enumerate(story):
        if at == after_min:
            county.restart()
        county.live(1, values, pc)
    ticket = county.ticket()
    assert (ticket.outage_from_ms, ticket.outage_to_ms) == (START_MS + 3 * MINUTE_MS, START_MS + 10 * MINUTE_MS)
    assert county.told() == [("opened", "technician"), ("recovered", "technician")]


def test_a_restart_of_the_agent_within_a_fault_is_one_fault(county: Watched, pc: Pc) -> None:
    county.live(3, PORTAL_DOWN, pc)
    after = Pc(SITE, 12, county.now_ms)
    county.live(6, PORTAL_DOWN, after)
    county.live(4, well(), after)
    assert county.faults(SITE) == [
        (Kind.PORTAL_DOWN, START_MS + MINUTE_MS, START_MS + 10 * MINUTE_MS, Party.TECHNICIAN),
    ]


def test_a_poisoned_message_leaves_the_watch_right(county: Watched, pc: Pc) -> None:
    """Its batch is rolled back and tried again in halves: memory must not keep what the database forgot."""
    county.at.execute(
        "CREATE TRIGGER poison BEFORE INSERT ON samples WHEN NEW.site = 'v1' AND NEW.run = 99 "
        "BEGIN SELECT RAISE(ABORT, 'poison'); END;"
    )
    bad = Pc(SITE, 99, START_MS - HOUR_MS)
    for _ in range(7):
        county.at.now_ms += MINUTE_MS
        good = pc.report([pc.take(county.now_ms, PORTAL_DOWN)], county.now_ms)
        county.at.send(good, bad.report([bad.take(county.now_ms, well())], county.now_ms, backlog=True))
        county.tick()
    assert county.faults(SITE) == [(Kind.PORTAL_DOWN, START_MS + MINUTE_MS, None, Party.TECHNICIAN)]
    assert county.told() == [("opened", "technician")]
    assert county.at.rows("spans", "run", "first", "last") == [(11, 1, 7)]
    assert len(county.at.rows("quarantine", "code")) == 7
