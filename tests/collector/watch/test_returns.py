"""A silent site is heard again, and its own record says why it was not."""

from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import pytest

from sitekeeper_collector.domain.ledger import Was
from sitekeeper_collector.domain.tickets import Closing, TicketState
from sitekeeper_protocol.messages import PowerEvent, PowerEventRecord, Sample
from sitekeeper_protocol.vocabulary import Grade, Kind, Party
from support.played import (
    GATEWAY_DOWN,
    HOUR_MS,
    LINE_DOWN,
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
LOST_MS = START_MS + 10 * MINUTE_MS


@pytest.fixture
def county(tmp_path: Path) -> Iterator[Watched]:
    with watched(tmp_path, SITE) as made:
        made.lesson(SITE, START_MS, START_MS + 8 * HOUR_MS)
        yield made


@pytest.fixture
def pc(county: Watched) -> Pc:
    """It is heard for ten minutes of its class."""
    made = Pc(SITE, 11, START_MS - HOUR_MS)
    county.live(10, well(), made)
    return made


def outcomes(county: Watched) -> list[str]:
    return [row[0] for row in county.at.rows("absences", "outcome")]


def test_a_power_cut_that_the_site_proves_withdraws_its_ticket(county: Watched, pc: Pc) -> None:
    county.pass_time(40)
    assert county.ticket().state is TicketState.OPEN
    county.come_back(pc, 12, well())
    ticket = county.ticket()
    assert (ticket.state, ticket.closing, outcomes(county)) == (TicketState.CLOSED, Closing.EXPLAINED, ["power"])
    assert county.told() == [("opened", "technician"), ("closed", "technician")]
    [lost, *_] = [s for s in county.picture(SITE, START_MS, county.now_ms) if s.was is Was.POWER_LOST]
    assert (lost.from_ms, lost.to_ms) == (LOST_MS, county.now_ms - 40_000)


def test_a_shutdown_whose_goodbye_was_lost_withdraws_its_ticket(county: Watched, pc: Pc) -> None:
    goodbye = pc.take(county.now_ms + 1000, well(), PowerEventRecord(PowerEvent.GOODBYE, reason="shutdown"))
    county.pass_time(40)
    after = Pc(SITE, 12, county.now_ms - 40_000)
    first = after.take(county.now_ms, well(), PowerEventRecord(PowerEvent.STARTED))
    county.at.send(after.report([first], county.now_ms))
    county.at.send(pc.report([goodbye], county.now_ms, backlog=True))
    assert (county.ticket().closing, outcomes(county)) == (Closing.EXPLAINED, ["off"])


def _return(county: Watched, pc: Pc, pieces: list[list[Sample]]) -> None:
    county.live(1, well(), pc)
    for piece in pieces:
        county.at.send(pc.report(piece, county.now_ms, backlog=True))
        county.live(1, well(), pc)
    county.live(40, well(), pc)


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_a_line_fault_that_is_over_keeps_the_number_and_is_told_once(county: Watched, pc: Pc, order: tuple[int, ...]) -> None:
    """Whatever the order in which its record comes in."""
    [kept] = county.unheard(40, LINE_DOWN, pc)
    dark = county.ticket()
    pieces = [kept[at * 10 : at * 10 + 10] for at in range(4)]
    _return(county, pc, [pieces[at] for at in order])
    ticket = county.ticket()
    assert (ticket.number, ticket.kind, ticket.party) == (dark.number, Kind.LINE_DOWN, Party.TELECOM)
    assert (ticket.state, ticket.grade) == (TicketState.RESOLVED, Grade.PROVEN)
    assert (ticket.outage_from_ms, ticket.outage_to_ms) == (LOST_MS + MINUTE_MS, LOST_MS + 41 * MINUTE_MS)
    assert county.told() == [("opened", "technician"), ("amended", "technician")]
    assert len({mail.thread for mail in county.mails()}) == 1
    assert ticket.evidence.readings, "the mail shows the ladder of a sample that proves it"


def test_the_whole_record_in_one_batch_with_the_return(county: Watched, pc: Pc) -> None:
    [kept] = county.unheard(40, GATEWAY_DOWN, pc)
    county.at.now_ms += MINUTE_MS
    back = pc.report([pc.take(county.now_ms, well())], county.now_ms)
    county.at.send(pc.report(kept, county.now_ms, backlog=True), back)
    county.live(10, well(), pc)
    assert (county.ticket().kind, county.ticket().state) == (Kind.GATEWAY_DOWN, TicketState.RESOLVED)
    assert county.told() == [("opened", "technician"), ("amended", "technician")]


def test_a_backlog_before_the_return_tells_nobody_anything(county: Watched, pc: Pc) -> None:
    [kept] = county.unheard(40, LINE_DOWN, pc)
    county.at.send(pc.report(kept, county.now_ms, backlog=True))
    county.tick()
    assert county.told() == [("opened", "technician")]
    county.live(10, well(), pc)
    assert county.ticket().kind is Kind.LINE_DOWN
    assert county.told() == [("opened", "technician"), ("amended", "technician")]


def test_a_line_fault_without_a_ticket_for_its_silence_is_born_resolved(tmp_path: Path) -> None:
    with watched(tmp_path, SITE) as county:
        pc = Pc(SITE, 11, START_MS - HOUR_MS)
        county.live(10, well(), pc)
        [kept] = county.unheard(40, LINE_DOWN, pc)
        assert county.tickets() == []
        _return(county, pc, [kept[30:], kept[:10], kept[10:30]])
        ticket = county.ticket()
        assert (ticket.kind, ticket.state) == (Kind.LINE_DOWN, TicketState.RESOLVED)
        assert (ticket.outage_from_ms, ticket.outage_to_ms) == (LOST_MS + MINUTE_MS, LOST_MS + 41 * MINUTE_MS)
        assert county.mails() == [] and outcomes(county) == ["fault"]


def test_a_fault_that_goes_on_after_the_return_moves_to_its_party(county: Watched, pc: Pc) -> None:
    """The site is heard over another line."""
    county.unheard(20, LINE_DOWN, pc)
    kept = pc.taken[-20:]
    county.live(1, LINE_DOWN, pc)
    county.at.send(pc.report(kept, county.now_ms, backlog=True))
    county.live(6, LINE_DOWN, pc)
    ticket = county.ticket()
    assert (ticket.kind, ticket.party, ticket.state) == (Kind.LINE_DOWN, Party.TELECOM, TicketState.OPEN)
    assert county.told() == [("opened", "technician"), ("moved_away", "technician"), ("moved_here", "telecom")]
    county.live(5, well(), pc)
    assert county.ticket().state is TicketState.RESOLVED


def test_all_worked_but_nothing_got_through_is_a_blocked_uplink(county: Watched, pc: Pc) -> None:
    [kept] = county.unheard(40, well(), pc)
    _return(county, pc, [kept])
    ticket = county.ticket()
    assert (ticket.kind, ticket.party, ticket.state) == (Kind.UPLINK_BLOCKED, Party.TECHNICIAN, TicketState.RESOLVED)
    assert outcomes(county) == ["blocked"]
    assert county.told() == [("opened", "technician"), ("amended", "technician")]


def test_a_portal_fault_does_not_explain_why_a_site_was_not_heard(county: Watched, pc: Pc) -> None:
    [kept] = county.unheard(40, PORTAL_DOWN, pc)
    _return(county, pc, [kept])
    assert sorted(ticket.kind for ticket in county.tickets()) == [Kind.PORTAL_DOWN, Kind.UPLINK_BLOCKED]
    assert outcomes(county) == ["blocked"]


def test_our_own_blindness_withdraws_the_ticket(county: Watched, pc: Pc) -> None:
    [kept] = county.unheard(40, well(), pc)
    county.blind(LOST_MS + MINUTE_MS, county.now_ms - MINUTE_MS)
    _return(county, pc, [kept])
    assert (county.ticket().closing, outcomes(county)) == (Closing.OWN_BLINDNESS, ["ourselves"])


def test_a_return_that_nothing_explains_counts_as_recovered_after_half_an_hour(county: Watched, pc: Pc) -> None:
    county.pass_time(40)
    after = Pc(SITE, 12, county.now_ms - 40_000)
    county.live(30, well(), after)
    assert county.ticket().state is TicketState.OPEN
    county.live(2, well(), after)
    ticket = county.ticket()
    assert (ticket.kind, ticket.state, outcomes(county)) == (Kind.SITE_DARK, TicketState.RESOLVED, ["unexplained"])
    assert ticket.outage_to_ms == LOST_MS + 41 * MINUTE_MS
    assert county.told() == [("opened", "technician"), ("recovered", "technician")]


def test_a_record_that_comes_after_that_still_tells_the_truth(county: Watched, pc: Pc) -> None:
    [kept] = county.unheard(40, LINE_DOWN, pc)
    county.live(40, well(), pc)
    assert outcomes(county) == ["unexplained"]
    county.at.send(pc.report(kept[:25], county.now_ms, backlog=True))
    county.at.send(pc.report(kept[25:], county.now_ms, backlog=True))
    ticket = county.ticket()
    assert (ticket.kind, ticket.state) == (Kind.LINE_DOWN, TicketState.RESOLVED)
    assert (ticket.outage_from_ms, ticket.outage_to_ms) == (LOST_MS + MINUTE_MS, LOST_MS + 41 * MINUTE_MS)
    assert [event for event, _ in county.told()] == ["opened", "recovered", "amended"]


@pytest.mark.parametrize("backlog_first", [False, True])
def test_a_short_line_fault_within_a_power_cut_is_not_its_reason(county: Watched, pc: Pc, backlog_first: bool) -> None:
    """It has a ticket of its own, born resolved; whatever comes in first."""
    [kept] = county.unheard(6, LINE_DOWN, pc)
    county.pass_time(120)
    if backlog_first:
        county.at.send(pc.report(kept, county.now_ms, backlog=True))
    after = county.come_back(pc, 12, well())
    if not backlog_first:
        county.at.send(pc.report(kept, county.now_ms, backlog=True))
    county.live(6, well(), after)
    dark, line = county.tickets()
    assert (dark.kind, dark.closing, outcomes(county)) == (Kind.SITE_DARK, Closing.EXPLAINED, ["power"])
    assert (line.kind, line.state) == (Kind.LINE_DOWN, TicketState.RESOLVED)
    assert county.told() == [("opened", "technician"), ("closed", "technician")]


@pytest.mark.parametrize("at", range(5))
def test_a_restart_of_the_collector_while_the_record_comes_in(county: Watched, pc: Pc, at: int) -> None:
    [kept] = county.unheard(40, LINE_DOWN, pc)
    for step in range(4):
        if step == at:
            county.restart()
        county.live(1, well(), pc)
        county.at.send(pc.report(kept[step * 10 : step * 10 + 10], county.now_ms, backlog=True))
    if at == 4:
        county.restart()
    county.live(10, well(), pc)
    assert (county.ticket().kind, county.ticket().outage_to_ms) == (Kind.LINE_DOWN, LOST_MS + 41 * MINUTE_MS)
    assert county.told() == [("opened", "technician"), ("amended", "technician")]


@pytest.mark.parametrize("values", [well(), LINE_DOWN])
def test_lost_again_right_after_its_return(county: Watched, pc: Pc, values: Values) -> None:
    """The new silence counts from its own beginning, and is not overlooked for the explanation of the first."""
    county.unheard(30, values, pc)
    county.live(1, well(), pc)
    again_ms = county.now_ms
    county.pass_time(30)
    assert [row[0] for row in county.at.rows("absences", "from_ms")] == [LOST_MS, again_ms]
    assert [ticket.outage_from_ms for ticket in county.tickets()] == [LOST_MS, again_ms]


def test_a_line_fault_that_was_over_before_a_blind_centre_heard_of_it_is_born_resolved_without_a_mail(
    county: Watched, pc: Pc
) -> None:
    began_ms = county.now_ms
    kept = []
    for _ in range(6):
        county.at.now_ms += MINUTE_MS
        kept.append(pc.take(county.now_ms, LINE_DOWN))
    # The line holds again: the first live report brings the newest samples, which still fail; the others come after it.
    county.at.send(pc.report(kept[-2:], county.now_ms, connection=2))
    county.at.send(pc.report(kept[:-2], county.now_ms, backlog=True, connection=2))
    assert county.told() == []
    for _ in range(5):
        county.at.now_ms += MINUTE_MS
        county.at.send(pc.report([pc.take(county.now_ms, well())], county.now_ms, connection=2))
    ticket = county.ticket()
    assert (ticket.kind, ticket.state) == (Kind.LINE_DOWN, TicketState.RESOLVED)
    assert (ticket.outage_from_ms, county.told()) == (began_ms + MINUTE_MS, [])


def test_a_fault_below_that_goes_on_while_the_site_is_heard_opens(county: Watched, pc: Pc) -> None:
    """By a second uplink."""
    county.live(4, LINE_DOWN, pc)
    assert [event for event, _ in county.told()] == ["opened"]
