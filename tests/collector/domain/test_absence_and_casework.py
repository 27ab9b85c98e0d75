"""What a silence means by the calendar, and which step a fault asks of its ticket."""

import datetime

import pytest
from msgspec.structs import replace

from sitekeeper_collector.domain import calendars, tickets
from sitekeeper_collector.domain.absence import Neighbours, Silent, Why, due_ms, judge
from sitekeeper_collector.domain.calendars import Lesson
from sitekeeper_collector.domain.casework import FRESH_MS, Difference, OfSilence, Step, Tickets, differences, step, whole
from sitekeeper_collector.domain.detection import Episode, Phase
from sitekeeper_collector.domain.rules import Rules, Silence
from sitekeeper_collector.domain.tickets import Fault, Ticket, TicketState
from sitekeeper_protocol.vocabulary import Grade, Kind, Party, Severity

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
RULES = Rules()
ZONE_MIN = 480
_ZONE = datetime.timezone(datetime.timedelta(minutes=ZONE_MIN))


def at(day: int, clock: str) -> int:
    """A time in the week that begins on Monday, 2026-11-02, by the county's clocks."""
    hour, minute = map(int, clock.split(":"))
    return round(datetime.datetime(2026, 11, 1 + day, hour, minute, tzinfo=_ZONE).timestamp() * 1000)


# --- silence -----------------------------------------------------------------------------------------------------------


def silent(lost: int, *lessons: Lesson, playing: bool = False, week: calendars.Week = (), **more: int) -> Silent:
    return Silent(lost, playing, lessons, week, Neighbours(), **more)


@pytest.mark.parametrize(
    ("promised", "blind_until", "expected"),
    [
        (600, 0, 690),
        (600, 50, 690),
        (600, 100, 690),
        (600, 200, 200 + 300 + 500 + 90),
        (600, 5000, 5000 + 300 + 500 + 90),
    ],
)
def test_after_our_blindness_a_site_is_given_a_new_chance(promised: int, blind_until: int, expected: int) -> None:
    """Last heard at 100 s; its reconnect may take 300 s, its promise was for 500 s, our grace is 90 s."""
    assert due_ms(100_000, promised * 1000, blind_until * 1000, Silence()) == expected * 1000


CLASS = Lesson(at(1, "09:00"), at(1, "11:00"), "Rice")


@pytest.mark.parametrize(
    ("lost", "playing", "lasted_min", "why"),
    [
        ("08:59", False, 60, Why.NOT_YET),
        ("09:00", False, 14, Why.SOON),
        ("09:00", False, 15, Why.CUT_OFF),
        ("10:39", False, 15, Why.CUT_OFF),
        ("10:40", True, 60, Why.END_OF_CLASS),
        ("11:20", True, 60, Why.END_OF_CLASS),
        ("11:21", True, 60, Why.CUT_OFF),
        ("11:21", False, 60, Why.NOT_YET),
    ],
)
def test_what_was_cut_off(lost: str, playing: bool, lasted_min: int, why: Why) -> None:
    lost_ms = at(1, lost)
    found = judge(silent(lost_ms, CLASS, playing=playing), RULES, ZONE_MIN, lost_ms + lasted_min * MINUTE_MS)
    assert found.why is why
    assert (found.kind is Kind.SITE_DARK) is (why is Why.CUT_OFF)


@pytest.mark.parametrize(
    ("neighbours", "lasted_min", "kind"),
    [
        (Neighbours(3, 2), 9, None),
        (Neighbours(3, 2), 10, Kind.LINE_SUSPECTED),
        (Neighbours(2, 1), 10, None),
        (Neighbours(1, 1), 10, Kind.LINE_SUSPECTED),
        (Neighbours(3, 3, power_likelier=True), 15, Kind.SITE_DARK),
        (Neighbours(0, 0), 15, Kind.SITE_DARK),
    ],
)
def test_a_line_is_suspected_if_most_neighbours_are_gone_too(
    neighbours: Neighbours, lasted_min: int, kind: Kind | None
) -> None:
    one = silent(CLASS.from_ms, CLASS)._replace(neighbours=neighbours)
    assert judge(one, RULES, ZONE_MIN, CLASS.from_ms + lasted_min * MINUTE_MS).kind is kind


WEEK = (((9 * 60, 12 * 60), (14 * 60, 17 * 60)),) * 5 + ((), ())


@pytest.mark.parametrize(
    ("lost", "now", "opens"),
    [
        (at(1, "10:00"), at(1, "15:59"), False),
        (at(1, "10:00"), at(1, "16:00"), True),
        (at(5, "15:00"), at(8, "10:59"), False),
        (at(5, "15:00"), at(8, "11:00"), True),
    ],
)
def test_four_open_hours(lost: int, now: int, opens: bool) -> None:
    assert (judge(silent(lost, week=WEEK), RULES, ZONE_MIN, now).why is Why.OPEN_HOURS) is opens


@pytest.mark.parametrize(("lost", "due"), [(at(1, "10:00"), at(4, "10:00")), (at(4, "10:00"), at(9, "10:00"))])
def test_three_working_days(lost: int, due: int) -> None:
    assert judge(silent(lost), RULES, ZONE_MIN, due - 1).kind is None
    assert judge(silent(lost), RULES, ZONE_MIN, due).why is Why.WORKING_DAYS


def test_time_in_which_we_were_blind_does_not_count() -> None:
    for one, lasted_ms in (
        (silent(CLASS.from_ms, CLASS), 15 * MINUTE_MS),
        (silent(at(1, "10:00")), 3 * DAY_MS),
        (silent(at(1, "10:00"), week=WEEK), 6 * HOUR_MS),
    ):
        now_ms = one.lost_ms + lasted_ms
        assert judge(one, RULES, ZONE_MIN, now_ms).kind is Kind.SITE_DARK
        assert judge(one._replace(blind_ms=1), RULES, ZONE_MIN, now_ms).kind is None
        assert judge(one._replace(heard_by_ms=now_ms + 1), RULES, ZONE_MIN, now_ms).kind is None


def test_before_the_time_that_a_decision_names_it_is_the_same() -> None:
    """Else a silence that is looked at no sooner would be found out too late."""
    for one in (silent(CLASS.from_ms, CLASS), silent(at(1, "10:00")), silent(at(1, "10:00"), week=WEEK), silent(at(6, "1:00"))):
        now_ms, looks = one.lost_ms, 0
        while (found := judge(one, RULES, ZONE_MIN, now_ms)).kind is None:
            assert judge(one, RULES, ZONE_MIN, max(now_ms, found.again_ms - 1)).kind is None
            now_ms, looks = max(now_ms + MINUTE_MS, found.again_ms), looks + 1
        assert looks < 15


# --- casework ----------------------------------------------------------------------------------------------------------

NOW_MS = at(1, "12:00")


def episode(start_min: int, end_min: int | None = None, *, kind: Kind = Kind.LINE_DOWN, bad_min: int = 0) -> Episode:
    """Minutes before now; ``bad_min``: how old its newest evidence is."""
    started, ended = NOW_MS - start_min * MINUTE_MS, None if end_min is None else NOW_MS - end_min * MINUTE_MS
    phase = Phase.OPEN if ended is None else Phase.CLEAR
    bad_ms = NOW_MS - bad_min * MINUTE_MS if ended is None else ended
    return Episode(kind=kind, started_ms=started, opened_ms=started, bad_ms=bad_ms, ended_ms=ended, phase=phase)


def ticket(kind: Kind = Kind.LINE_DOWN, *, resolved_min: int | None = None) -> Ticket:
    fault = Fault(kind=kind, party=Party.TELECOM, grade=Grade.PROVEN, severity=Severity.MAJOR, started_ms=NOW_MS - HOUR_MS)
    made = tickets.open_from(fault, number="1", site="v1", now_ms=NOW_MS - 30 * HOUR_MS).ticket
    if resolved_min is None:
        return made
    ended_ms = NOW_MS - resolved_min * MINUTE_MS
    return tickets.recover(made, ended_ms=ended_ms, now_ms=ended_ms).ticket


def asks(before: Episode | None, after: Episode | None, its: Tickets, *, raises: bool = True) -> Step:
    return step(before, after, its, raises=raises, hold_up_ms=3 * MINUTE_MS, now_ms=NOW_MS)


DARK = ticket(Kind.SITE_DARK)
RECOVERING = replace(episode(60), phase=Phase.RECOVERING)


def dark(from_min: int, to_min: int | None, *, awaited: bool = True, of: Ticket = DARK) -> Tickets:
    back = None if to_min is None else NOW_MS - to_min * MINUTE_MS
    return Tickets(of_silence=OfSilence(of, NOW_MS - from_min * MINUTE_MS, back, awaited))


@pytest.mark.parametrize(
    ("before", "after", "its", "expected"),
    [
        (None, episode(60), Tickets(), Step.OPEN),
        (None, episode(60), Tickets(in_contact=False), Step.NOTHING),
        (None, episode(60, bad_min=FRESH_MS // MINUTE_MS + 1), Tickets(), Step.NOTHING),
        (None, RECOVERING, Tickets(), Step.NOTHING),
        (None, episode(60, 20), Tickets(), Step.BORN_RESOLVED),
        (None, episode(60), Tickets(previous=ticket(resolved_min=50)), Step.REOPEN),
        (None, episode(60), Tickets(previous=ticket(resolved_min=25 * 60)), Step.OPEN),
        (None, episode(60), Tickets(previous=ticket()), Step.OPEN),
        # Its own ticket.
        (episode(60), None, Tickets(own=ticket()), Step.WITHDRAW),
        (episode(60), None, Tickets(), Step.NOTHING),
        (episode(60), episode(60, 5), Tickets(own=ticket()), Step.RECOVER),
        (episode(60), episode(70), Tickets(own=ticket()), Step.RETIME),
        (episode(60), replace(episode(60), bad_ms=NOW_MS - 1), Tickets(own=ticket()), Step.NOTHING),
        (episode(60), episode(60), Tickets(own=ticket(resolved_min=10)), Step.REOPEN),
        (episode(60), episode(60), Tickets(own=ticket(resolved_min=9)), Step.NOTHING),
        (episode(60, 5), episode(60), Tickets(own=ticket(resolved_min=5)), Step.REOPEN),
        (episode(60, 5), RECOVERING, Tickets(own=ticket(resolved_min=5)), Step.NOTHING),
        (episode(60, 5), episode(60, 3), Tickets(own=ticket(resolved_min=5)), Step.RETIME),
        # The ticket of a silence.
        (None, episode(60, 20), dark(60, 20), Step.AMEND),
        (None, episode(60, 20, kind=Kind.PORTAL_DOWN), dark(60, 20), Step.BORN_RESOLVED),
        (None, episode(60, 41), dark(60, 20), Step.NOTHING),
        (None, episode(60, 41), dark(60, 20, awaited=False), Step.BORN_RESOLVED),
        (None, episode(60, 40), dark(60, 20), Step.AMEND),
        (None, episode(60, 20), dark(60, None), Step.NOTHING),
        (None, episode(60), dark(60, 2), Step.NOTHING),
        (None, episode(60), dark(60, 3), Step.AMEND),
        (None, episode(13), dark(60, 3), Step.OPEN),
    ],
)
def test_which_step_a_fault_asks_for(before: Episode | None, after: Episode | None, its: Tickets, expected: Step) -> None:
    assert asks(before, after, its) is expected


def test_a_kind_without_tickets_asks_for_none() -> None:
    for after in (episode(60), episode(60, 5)):
        assert asks(None, after, Tickets(), raises=False) is Step.NOTHING


def test_a_closed_ticket_never_changes() -> None:
    closed = tickets.withdraw(ticket(), closing=tickets.Closing.MISTAKEN, now_ms=NOW_MS).ticket
    assert closed.state is TicketState.CLOSED
    for after in (None, episode(60), episode(60, 5)):
        assert asks(episode(60, 5), after, Tickets(own=closed)) is Step.NOTHING


def test_the_faults_of_one_ticket_are_the_latest_of_them_from_the_first_beginning() -> None:
    first, second = episode(60, 50), episode(40)
    assert whole(second, [first]) == whole(first, [second]) == replace(second, started_ms=first.started_ms)
    assert whole(None, [first]) == whole(first, []) == first
    assert whole(None, []) is None


def test_faults_of_a_kind_that_share_time_are_one_and_what_is_left_never_was() -> None:
    known = [episode(60, 50), episode(40, 30), episode(60, 50, kind=Kind.DNS_FAILURE)]
    joined = episode(60, 30)
    found = differences(known, [joined, known[2]])
    assert found == [Difference(0, known[0], joined), Difference(1, known[1], None)]
    assert differences([], [joined]) == [Difference(None, None, joined)]
    assert differences(known, known) == []
