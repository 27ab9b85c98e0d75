"""Tickets: what each transition makes of a ticket, whom it tells, and what it refuses."""

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from sitekeeper_collector.domain import tickets
from sitekeeper_collector.domain.tickets import (
    MOST_TEXT,
    REOPENS_WITHIN_MS,
    Change,
    Closing,
    Evidence,
    Fault,
    Notice,
    NoticeEvent,
    Refusal,
    Ticket,
    TicketRefused,
    TicketState,
    TimelineEntry,
    What,
)
from sitekeeper_protocol.vocabulary import Grade, Kind, Party, Severity

NUMBER, SITE, T0, HOUR = "SK-2026-000123", "0412", 1_780_000_000_000, 3_600_000
SUSPECTED = Fault(
    kind=Kind.LINE_SUSPECTED,
    party=Party.TELECOM,
    grade=Grade.INFERRED,
    severity=Severity.MAJOR,
    started_ms=T0 - HOUR,
    episode="e1",
)
LINE = replace(SUSPECTED, kind=Kind.LINE_DOWN, grade=Grade.PROVEN, severity=Severity.CRITICAL)
MODEM = replace(LINE, kind=Kind.MODEM_DOWN, party=Party.SITE)
CHILD = "SK-2026-000100"


def _open(fault: Fault = SUSPECTED, *, parent: str = "") -> Ticket:
    return tickets.open_from(fault, number=NUMBER, site=SITE, now_ms=T0, parent=parent).ticket


def _recovered(at_ms: int = T0 + HOUR) -> Ticket:
    return tickets.recover(_open(), ended_ms=at_ms, now_ms=at_ms).ticket


def _closed() -> Ticket:
    return tickets.withdraw(_open(), closing=Closing.EXPLAINED, now_ms=T0).ticket


def _owed(change: Change) -> list[tuple[NoticeEvent, Party, str, int]]:
    return [(n.event, n.party, n.thread, n.number) for n in change.notices]


def test_a_fault_opens_a_ticket_with_one_entry_and_one_mail() -> None:
    change = tickets.open_from(SUSPECTED, number=NUMBER, site=SITE, now_ms=T0, previous=CHILD)
    ticket = change.ticket
    assert (ticket.state, ticket.opened_ms, ticket.outage_from_ms, ticket.episode) == (TicketState.OPEN, T0, T0 - HOUR, "e1")
    assert change.entries == (
        TimelineEntry(
            ticket=NUMBER,
            number=1,
            at_ms=T0,
            who="",
            what=What.OPENED,
            details={"kind": "line_suspected", "party": "telecom", "grade": "inferred", "previous": CHILD},
        ),
    )
    assert change.notices == (Notice(NoticeEvent.OPENED, Party.TELECOM, f"{NUMBER}/1", 0, True),)


def test_a_ticket_that_another_explains_owes_nothing_until_its_end() -> None:
    opened = tickets.open_from(SUSPECTED, number=NUMBER, site=SITE, now_ms=T0, parent=CHILD)
    moved = tickets.amend(opened.ticket, MODEM, now_ms=T0 + 1)
    recovered = tickets.recover(moved.ticket, ended_ms=T0 + 2, now_ms=T0 + 2)
    again = tickets.reopen(recovered.ticket, why="still failing", now_ms=T0 + 3)
    assert opened.notices == moved.notices == recovered.notices == ()
    # What comes back after that is its own: the cause that explained it is over.
    assert again.ticket.parent == "" and [notice.event for notice in again.notices] == [NoticeEvent.REOPENED]


def test_a_fault_known_only_after_its_end_is_born_resolved_without_a_mail_of_its_own() -> None:
    over = replace(LINE, ended_ms=T0 - 60_000)
    change = tickets.born_resolved(over, number=NUMBER, site=SITE, now_ms=T0)
    assert change.ticket.state is TicketState.RESOLVED and change.ticket.outage_to_ms == T0 - 60_000
    assert [(e.number, e.what) for e in change.entries] == [(1, What.OPENED), (2, What.RECOVERED)]
    assert [(n.event, n.at_once) for n in change.notices] == [(NoticeEvent.RECOVERED, False)]


def test_a_fault_that_was_born_resolved_and_comes_back_is_told_as_the_first_mail_of_a_thread() -> None:
    """Nobody was mailed before, so nobody could be found by the thread."""
    born = tickets.born_resolved(replace(LINE, ended_ms=T0 - 60_000), number=NUMBER, site=SITE, now_ms=T0)
    again = tickets.reopen(born.ticket, why="seen_again", now_ms=T0 + HOUR)
    assert _owed(again) == [(NoticeEvent.REOPENED, Party.TELECOM, f"{NUMBER}/2", 0)]


def test_acknowledging_says_who_and_mails_nobody() -> None:
    change = tickets.acknowledge(_open(), by=" 王芳 ", now_ms=T0 + 5)
    assert (change.ticket.state, change.ticket.acknowledged_ms, change.ticket.acknowledged_by) == (
        TicketState.ACKNOWLEDGED,
        T0 + 5,
        "王芳",
    )
    assert change.entries[0].who == "王芳" and change.notices == ()


def test_recovery_ends_the_outage_and_tells_whoever_was_mailed_in_the_same_thread() -> None:
    change = tickets.recover(_open(), ended_ms=T0 + HOUR, now_ms=T0 + HOUR + 180_000)
    assert (change.ticket.outage_to_ms, change.ticket.resolved_ms) == (T0 + HOUR, T0 + HOUR + 180_000)
    assert _owed(change) == [(NoticeEvent.RECOVERED, Party.TELECOM, f"{NUMBER}/1", 1)]


def test_a_person_resolves_in_words_and_the_outage_never_ends_before_it_began() -> None:
    change = tickets.resolve(_open(), by="李强", how="换了光猫", now_ms=T0 + 1, ended_ms=T0 - 99 * HOUR)
    assert change.ticket.outage_to_ms == change.ticket.outage_from_ms
    assert change.entries[0].details == {"text": "换了光猫", "ended_ms": T0 - HOUR}
    assert [n.event for n in change.notices] == [NoticeEvent.RECOVERED]


def test_a_claimed_repair_that_does_not_hold_opens_again_and_says_why() -> None:
    claimed = tickets.claim_repaired(tickets.acknowledge(_open(), by="a", now_ms=T0).ticket, by="运营商", now_ms=T0 + 1)
    assert claimed.ticket.claimed_ms == T0 + 1 and claimed.ticket.state is TicketState.ACKNOWLEDGED and claimed.notices == ()
    again = tickets.reopen(claimed.ticket, why="10 min of fresh samples fail", now_ms=T0 + 2)
    assert again.ticket.claimed_ms is None and again.ticket.reopened == 1
    assert again.entries[0].details == {"why": "10 min of fresh samples fail", "times": 1}
    assert _owed(again) == [(NoticeEvent.REOPENED, Party.TELECOM, f"{NUMBER}/1", 1)]


@pytest.mark.parametrize(("after_ms", "same"), [(REOPENS_WITHIN_MS, True), (REOPENS_WITHIN_MS + 1, False)])
def test_a_day_after_its_resolution_a_ticket_stays_shut(after_ms: int, same: bool) -> None:
    resolved, now_ms = _recovered(), T0 + HOUR + after_ms
    assert tickets.may_reopen(resolved, now_ms) is same
    if same:
        again = tickets.reopen(resolved, why="down again", now_ms=now_ms).ticket
        assert again.state is TicketState.OPEN and again.outage_to_ms is None and again.resolved_ms is None
    else:
        with pytest.raises(TicketRefused) as refused:
            tickets.reopen(resolved, why="down again", now_ms=now_ms)
        assert refused.value.code is Refusal.TOO_LATE


def test_an_acknowledged_ticket_opens_again_as_acknowledged() -> None:
    taken = tickets.acknowledge(_open(), by="a", now_ms=T0).ticket
    resolved = tickets.recover(taken, ended_ms=T0 + 1, now_ms=T0 + 1).ticket
    assert tickets.reopen(resolved, why="down", now_ms=T0 + 2).ticket.state is TicketState.ACKNOWLEDGED


def test_the_truth_about_a_fault_that_is_over_keeps_the_number_and_tells_whoever_was_mailed() -> None:
    change = tickets.amend(_open(), replace(MODEM, ended_ms=T0 - 1), now_ms=T0 + 9)
    ticket = change.ticket
    assert (ticket.number, ticket.kind, ticket.party, ticket.state) == (
        NUMBER,
        Kind.MODEM_DOWN,
        Party.SITE,
        TicketState.RESOLVED,
    )
    assert _owed(change) == [(NoticeEvent.AMENDED, Party.TELECOM, f"{NUMBER}/1", 1)]
    again = tickets.reopen(ticket, why="down again", now_ms=T0 + 10)
    assert _owed(again) == [(NoticeEvent.REOPENED, Party.SITE, f"{NUMBER}/2", 0)], "whose job it is now, in a thread of its own"


def test_the_truth_about_a_resolved_ticket_does_not_resolve_it_anew() -> None:
    change = tickets.amend(_recovered(), replace(MODEM, ended_ms=T0), now_ms=T0 + 9 * HOUR)
    assert change.ticket.resolved_ms == T0 + HOUR and change.ticket.kind is Kind.MODEM_DOWN


def test_the_truth_about_a_fault_that_lasts_moves_it_and_its_old_party_is_told_once() -> None:
    taken = tickets.acknowledge(_open(), by="a", now_ms=T0).ticket
    there = tickets.amend(taken, MODEM, now_ms=T0 + 1)
    assert there.ticket.state is TicketState.OPEN and there.ticket.acknowledged_ms is None, "nobody there has taken it up"
    assert _owed(there) == [
        (NoticeEvent.MOVED_AWAY, Party.TELECOM, f"{NUMBER}/1", 1),
        (NoticeEvent.MOVED_HERE, Party.SITE, f"{NUMBER}/2", 0),
    ]
    ended = tickets.recover(there.ticket, ended_ms=T0 + 2, now_ms=T0 + 2)
    assert _owed(ended) == [(NoticeEvent.RECOVERED, Party.SITE, f"{NUMBER}/2", 1)]


def test_a_truer_kind_for_the_same_party_stays_in_its_thread() -> None:
    change = tickets.amend(_open(), LINE, now_ms=T0 + 1)
    assert (change.ticket.kind, change.ticket.grade) == (Kind.LINE_DOWN, Grade.PROVEN)
    assert _owed(change) == [(NoticeEvent.AMENDED, Party.TELECOM, f"{NUMBER}/1", 1)]


def test_a_merged_ticket_names_the_one_that_goes_on() -> None:
    change = tickets.merge(_open(), into=CHILD, now_ms=T0 + 1)
    assert (change.ticket.parent, change.ticket.closing, change.ticket.state) == (CHILD, Closing.MERGED, TicketState.CLOSED)
    assert [n.event for n in change.notices] == [NoticeEvent.CLOSED]


Step = Callable[[], Change]


@pytest.mark.parametrize(
    ("step", "code"),
    [
        pytest.param(
            lambda: tickets.open_from(replace(LINE, ended_ms=T0), number="n", site="s", now_ms=T0), "not_open", id="over"
        ),
        pytest.param(lambda: tickets.born_resolved(LINE, number="n", site="s", now_ms=T0), "still_open", id="not over"),
        pytest.param(lambda: tickets.open_from(LINE, number="n", site="s", now_ms=T0, parent="n"), "itself", id="own parent"),
        pytest.param(lambda: tickets.acknowledge(_recovered(), by="a", now_ms=T0), "not_open", id="acknowledge, resolved"),
        pytest.param(
            lambda: tickets.acknowledge(tickets.acknowledge(_open(), by="a", now_ms=T0).ticket, by="b", now_ms=T0),
            "already",
            id="acknowledge twice",
        ),
        pytest.param(lambda: tickets.acknowledge(_open(), by=" ", now_ms=T0), "no_person", id="acknowledged by nobody"),
        pytest.param(lambda: tickets.comment(_open(), by="a", text="\n ", now_ms=T0), "empty", id="empty comment"),
        pytest.param(lambda: tickets.comment(_open(), by="a", text="x" * (MOST_TEXT + 1), now_ms=T0), "too_long", id="long"),
        pytest.param(lambda: tickets.claim_repaired(_recovered(), by="a", now_ms=T0), "not_open", id="claim, resolved"),
        pytest.param(lambda: tickets.resolve(_open(), by="a", how="", now_ms=T0), "empty", id="resolved without a word"),
        pytest.param(lambda: tickets.recover(_recovered(), ended_ms=T0, now_ms=T0), "not_open", id="recover twice"),
        pytest.param(lambda: tickets.recover(_closed(), ended_ms=T0, now_ms=T0), "closed", id="recover, closed"),
        pytest.param(lambda: tickets.reopen(_open(), why="x", now_ms=T0), "still_open", id="reopen, open"),
        pytest.param(lambda: tickets.reopen(_closed(), why="x", now_ms=T0), "closed", id="reopen, closed"),
        pytest.param(lambda: tickets.amend(_recovered(), LINE, now_ms=T0), "not_open", id="lasting truth, resolved"),
        pytest.param(lambda: tickets.amend(_closed(), LINE, now_ms=T0), "closed", id="amend, closed"),
        pytest.param(
            lambda: tickets.amend(_closed(), replace(LINE, ended_ms=T0), now_ms=T0), "closed", id="amend an end, closed"
        ),
        pytest.param(lambda: tickets.merge(_open(), into=NUMBER, now_ms=T0), "itself", id="into itself"),
        pytest.param(lambda: tickets.withdraw(_closed(), closing=Closing.MISTAKEN, now_ms=T0), "already", id="close twice"),
    ],
)
def test_what_can_not_be_is_refused_with_a_code(step: Step, code: str) -> None:
    with pytest.raises(TicketRefused) as refused:
        step()
    assert refused.value.code == code


# --- any sequence ------------------------------------------------------------------------------------------------------

_faults = st.builds(
    Fault,
    kind=st.sampled_from([Kind.LINE_DOWN, Kind.MODEM_DOWN, Kind.SITE_DARK]),
    party=st.sampled_from([Party.TELECOM, Party.SITE, Party.TECHNICIAN]),
    grade=st.sampled_from(Grade),
    severity=st.sampled_from(Severity),
    started_ms=st.integers(0, 10 * HOUR),
    ended_ms=st.none() | st.integers(0, 10 * HOUR),
    episode=st.sampled_from(["", "e2"]),
)
_ACTIONS: dict[str, Callable[[Ticket, Fault, int], Change]] = {
    "acknowledge": lambda t, f, now: tickets.acknowledge(t, by="a", now_ms=now),
    "comment": lambda t, f, now: tickets.comment(t, by="a", text="x", now_ms=now),
    "claim": lambda t, f, now: tickets.claim_repaired(t, by="a", now_ms=now),
    "resolve": lambda t, f, now: tickets.resolve(t, by="a", how="x", now_ms=now, ended_ms=f.ended_ms),
    "recover": lambda t, f, now: tickets.recover(t, ended_ms=f.started_ms, now_ms=now, evidence=Evidence()),
    "reopen": lambda t, f, now: tickets.reopen(t, why="x", now_ms=now),
    "amend": lambda t, f, now: tickets.amend(t, f, now_ms=now),
    "merge": lambda t, f, now: tickets.merge(t, into=CHILD, now_ms=now),
    "withdraw": lambda t, f, now: tickets.withdraw(t, closing=Closing.EXPLAINED, now_ms=now),
}
_often = [name for name in _ACTIONS if name not in ("merge", "withdraw")] * 4 + ["merge", "withdraw"]
_steps = st.lists(st.tuples(st.sampled_from(_often), _faults, st.integers(-HOUR, 30 * HOUR)), max_size=25)


@given(first=_faults, steps=_steps, parent=st.sampled_from(["", CHILD]))
def test_no_sequence_loses_an_entry_mails_twice_or_ends_an_outage_before_it_began(
    first: Fault, steps: list[tuple[str, Fault, int]], parent: str
) -> None:
    """Also while the server's clock jumps."""
    begin = tickets.open_from if first.ended_ms is None else tickets.born_resolved
    now_ms = 20 * HOUR
    change = begin(first, number=NUMBER, site=SITE, now_ms=now_ms, parent=parent)
    ticket, entries, notices = change
    for name, fault, passed_ms in steps:
        now_ms += passed_ms
        was_closed, was_over = ticket.state is TicketState.CLOSED, ticket.state is TicketState.RESOLVED
        try:
            change = _ACTIONS[name](ticket, fault, now_ms)
        except TicketRefused:
            continue
        assert len(change.entries) == 1 and not (was_closed and name != "comment")
        assert len({notice.party for notice in change.notices}) == len(change.notices), "nobody is told twice of one thing"
        parent = "" if name == "reopen" and was_over else parent
        ticket, entries, notices = change.ticket, entries + change.entries, notices + change.notices
        _holds(ticket, entries, notices)
    _holds(ticket, entries, notices)
    assert parent == "" or not notices


def _holds(ticket: Ticket, entries: tuple[TimelineEntry, ...], notices: tuple[Notice, ...]) -> None:
    assert [e.number for e in entries] == list(range(1, len(entries) + 1)) and ticket.entries == len(entries)
    assert all(a.at_ms <= b.at_ms for a, b in itertools.pairwise(entries))
    assert entries[-1].at_ms == ticket.changed_ms and {e.ticket for e in entries} == {ticket.number} == {NUMBER}
    assert len({(n.thread, n.number) for n in notices}) == len(notices)
    by_thread = {n.thread: [m for m in notices if m.thread == n.thread] for n in notices}
    for thread in by_thread.values():
        assert [n.number for n in thread] == list(range(len(thread))) and len({n.party for n in thread}) == 1
        recoveries = [n.event for n in thread if n.event in (NoticeEvent.RECOVERED, NoticeEvent.REOPENED)]
        assert all(pair != (NoticeEvent.RECOVERED,) * 2 for pair in itertools.pairwise(recoveries))
    assert ticket.outage_to_ms is None or ticket.outage_to_ms >= ticket.outage_from_ms
    assert (ticket.state is TicketState.CLOSED) is (ticket.closing is not None) is (ticket.closed_ms is not None)
    assert ticket.state is not TicketState.RESOLVED or None not in (ticket.resolved_ms, ticket.outage_to_ms)
