"""Each family of what is measured beside the ladder, through the real pipeline: from its first sample to its ticket's end."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sitekeeper_collector.domain.tickets import Ticket, TicketState
from sitekeeper_protocol.messages import PowerEvent, PowerEventRecord
from sitekeeper_protocol.vocabulary import Grade, Kind, Party, PlayerState, SmartState
from support.measured import MEDIA_OK, degraded_line, disk, download, host, items, player, playing, settings, sound
from support.played import DAY_MS, HOUR_MS, LINE_DOWN, MINUTE_MS, PORTAL_DOWN, START_MS, Pc, Values, Watched, watched, well

SITE = "v1"


@pytest.fixture
def county(tmp_path: Path) -> Iterator[Watched]:
    with watched(tmp_path, SITE) as made:
        yield made


@pytest.fixture
def pc() -> Pc:
    return Pc(SITE, 11, START_MS - HOUR_MS)


def of_kind(county: Watched, kind: Kind) -> Ticket:
    """The only ticket there is, which is of this kind."""
    ticket = county.ticket()
    assert ticket.kind is kind
    return ticket


_HELD: dict[Kind, tuple[Values, int, int, Party, Grade]] = {
    # What is wrong, after how many minutes it opens, after how many it is over, whose job, how sure.
    Kind.LINE_DEGRADED: (sound() | degraded_line(), 30, 3, Party.TELECOM, Grade.PROVEN),
    Kind.PLAYBACK_FAILURE: (sound() | playing(failures=1), 1, 1, Party.TECHNICIAN, Grade.PROVEN),
    Kind.PLAYBACK_STALLING: (sound() | playing(stalled_s=3), 4, 10, Party.TECHNICIAN, Grade.TO_VERIFY),
    Kind.PLAYER_MISSING: (well() | player(PlayerState.RESTARTING), 10, 3, Party.TECHNICIAN, Grade.PROVEN),
    Kind.OVERHEATING: (sound() | host(temperature_c=90), 10, 3, Party.SITE, Grade.PROVEN),
    Kind.AGENT_TROUBLE: (sound() | host(hung=1), 30, 3, Party.TECHNICIAN, Grade.PROVEN),
    Kind.DISK_FAILING: (sound() | disk(readonly=True), 0, 24 * 60, Party.TECHNICIAN, Grade.PROVEN),
}


@pytest.mark.parametrize("kind", _HELD)
def test_it_opens_once_it_has_held_and_is_over_once_it_has_been_gone(county: Watched, pc: Pc, kind: Kind) -> None:
    bad, opens_after, over_after, party, grade = _HELD[kind]
    county.live(3, sound(), pc)
    began_ms = county.now_ms + MINUTE_MS
    if opens_after:
        county.live(opens_after, bad, pc)
        alone = [ticket for ticket in county.tickets() if ticket.kind is kind]
        assert alone == []
    county.live(1, bad, pc)
    ticket = next(ticket for ticket in county.tickets() if ticket.kind is kind)
    assert (ticket.outage_from_ms, ticket.party, ticket.grade, ticket.state) == (began_ms, party, grade, TicketState.OPEN)
    ended_ms = county.now_ms + MINUTE_MS
    county.live(over_after, sound(), pc)
    assert of_number(county, ticket).state is TicketState.OPEN
    county.live(1, sound(), pc)
    done = of_number(county, ticket)
    assert (done.state, done.outage_to_ms) == (TicketState.RESOLVED, ended_ms)


def of_number(county: Watched, ticket: Ticket) -> Ticket:
    return next(one for one in county.tickets() if one.number == ticket.number)


def test_values_that_go_up_and_down_within_their_limits_are_one_span(county: Watched, pc: Pc) -> None:
    for minute in range(60):
        noisy = host(temperature_c=40 + minute % 49, cpu=minute / 60, memory=0.06 + minute / 100, offset_s=minute - 30)
        county.live(1, sound() | noisy | playing(played_s=50 + minute / 10), pc)
    assert len(county.at.rows("spans", "first")) == 1


def test_a_sample_in_a_report_of_many_says_what_it_says_alone(county: Watched, pc: Pc) -> None:
    """The quick way over columns that say the same all along comes to the signs of the slow one."""
    story = [sound(), sound() | playing(played_s=12), sound() | host(temperature_c=91), sound() | playing(stalled_s=9)]
    other = Pc("v2", 12, START_MS - HOUR_MS)
    county.at.register("v2")
    for values in story:
        county.at.now_ms += MINUTE_MS
        county.at.send(pc.report([pc.take(county.now_ms, values)], county.now_ms))
        other.take(county.now_ms, values)
    county.at.send(other.report(other.taken, county.now_ms))
    rows = county.at.rows("spans", "site", "first", "last", "marks", "disk", "play")
    assert [row[1:] for row in rows if row[0] == "v1"] == [row[1:] for row in rows if row[0] == "v2"]
    assert len(rows) == 6, "the first two samples are one span"


def test_a_failure_alone_is_no_fault_and_two_in_ten_minutes_are(county: Watched, pc: Pc) -> None:
    failure = sound() | playing(failures=1)
    county.live(1, failure, pc)
    county.live(11, sound(), pc)
    county.live(1, failure, pc)
    assert county.tickets() == []
    county.live(8, sound(), pc)
    county.live(1, failure, pc)
    assert of_kind(county, Kind.PLAYBACK_FAILURE).outage_from_ms == START_MS + 13 * MINUTE_MS


def test_what_a_player_suffers_from_line_and_platform_is_no_fault_of_the_player(county: Watched, pc: Pc) -> None:
    county.live(4, LINE_DOWN | playing(failures=2), pc)
    county.live(4, PORTAL_DOWN | playing(failures=2), pc)
    assert Kind.PLAYBACK_FAILURE not in [ticket.kind for ticket in county.tickets()]


def test_without_a_probe_of_the_stream_a_failure_is_to_be_verified(county: Watched, pc: Pc) -> None:
    county.live(2, well() | playing(failures=1), pc)
    assert of_kind(county, Kind.PLAYBACK_FAILURE).grade is Grade.TO_VERIFY


def test_one_bad_stall_counts_alone(county: Watched, pc: Pc) -> None:
    county.live(1, sound() | playing(stalled_s=20), pc)
    assert of_kind(county, Kind.PLAYBACK_STALLING).outage_from_ms == START_MS + MINUTE_MS


def test_a_busy_pc_is_overloaded_only_while_something_stalls(county: Watched, pc: Pc) -> None:
    county.live(20, sound() | host(cpu=1.0), pc)
    assert county.tickets() == []
    county.live(5, sound() | host(cpu=1.0) | playing(stalled_s=3), pc)
    assert sorted(ticket.kind for ticket in county.tickets()) == [Kind.OVERLOADED, Kind.PLAYBACK_STALLING]


def test_a_player_that_does_not_run_is_missed_in_a_class_only(county: Watched, pc: Pc) -> None:
    absent = well() | player(PlayerState.ABSENT)
    county.live(20, absent, pc)
    assert county.tickets() == []
    county.lesson(SITE, county.now_ms, county.now_ms + HOUR_MS)
    county.live(9, absent, pc)
    assert county.tickets() == []
    county.live(1, absent, pc)
    assert of_kind(county, Kind.PLAYER_MISSING).state is TicketState.OPEN


def _class(county: Watched, pc: Pc, day: int, values: Values, *, before: Values | None = None) -> None:
    """A class of half an hour on this day of the story, and its samples."""
    county.at.now_ms = START_MS + day * DAY_MS
    if before is not None:
        county.live(5, before, pc)
    county.lesson(SITE, county.now_ms, county.now_ms + HOUR_MS)
    county.live(30, values, pc)


def test_a_display_is_missing_after_three_classes_running(county: Watched, pc: Pc) -> None:
    missing = sound() | items(display=False, audio=True)
    county.live(5, sound(), pc)
    for day in (1, 3):
        _class(county, pc, day, missing)
    assert county.tickets() == []
    county.restart()
    _class(county, pc, 8, missing)
    ticket = of_kind(county, Kind.DISPLAY_MISSING)
    assert (ticket.grade, ticket.outage_from_ms) == (Grade.TO_VERIFY, START_MS + DAY_MS + MINUTE_MS)
    county.live(4, sound(), pc)
    assert county.ticket().state is TicketState.RESOLVED


def test_a_class_in_which_it_was_seen_begins_the_count_anew(county: Watched, pc: Pc) -> None:
    missing = sound() | items(audio=False)
    county.live(5, sound(), pc)
    for day in (1, 2):
        _class(county, pc, day, missing)
    _class(county, pc, 3, sound())
    for day in (4, 5):
        _class(county, pc, day, missing)
    assert county.tickets() == []
    _class(county, pc, 6, missing)
    assert of_kind(county, Kind.AUDIO_MISSING).outage_from_ms == START_MS + 4 * DAY_MS + MINUTE_MS


def test_what_was_never_seen_here_is_not_missed(county: Watched, pc: Pc) -> None:
    for day in (1, 2, 3, 4):
        _class(county, pc, day, sound() | items(usb_camera=False))
    assert county.tickets() == []


def test_nothing_is_missed_while_nothing_plays(county: Watched, pc: Pc) -> None:
    county.live(5, sound(), pc)
    for day in (1, 2, 3, 4):
        _class(county, pc, day, sound() | player(PlayerState.IDLE) | items(display=False))
    assert county.tickets() == []


def test_a_clock_is_wrong_after_three_boots_running_though_it_is_put_right_each_time(county: Watched) -> None:
    wrong, right = sound() | host(offset_s=-9000), sound()
    for boot in (1, 2, 3):
        assert county.tickets() == []
        county.at.now_ms += 5 * HOUR_MS
        pc = Pc(SITE, 20 + boot, county.now_ms - MINUTE_MS)
        county.live(3, wrong, pc)
        if boot < 3:
            county.live(10, right, pc)
    assert of_kind(county, Kind.CLOCK_WRONG).grade is Grade.PROVEN


def test_an_agent_that_starts_again_in_one_boot_is_one_boot(county: Watched) -> None:
    for run in (1, 2, 3, 4):
        pc = Pc(SITE, (run << 32) + 7, START_MS - HOUR_MS)
        county.live(3, sound() | host(offset_s=500), pc)
    assert county.tickets() == []


def test_changed_settings_count_over_a_day_in_which_the_pc_was_off(county: Watched, pc: Pc) -> None:
    county.live(20, sound() | settings(2), pc)
    county.at.now_ms += 23 * HOUR_MS
    again = Pc(SITE, 12, county.now_ms)
    county.live(20, sound() | settings(2), again)
    assert county.tickets() == []
    county.at.now_ms += HOUR_MS
    county.live(2, sound() | settings(2), again)
    assert of_kind(county, Kind.SETTINGS_CHANGED).outage_from_ms == START_MS + MINUTE_MS
    county.live(5, sound(), again)
    assert county.ticket().state is TicketState.RESOLVED


def test_a_disk_fails_when_it_counts_more_errors_not_when_it_remembers_some(county: Watched, pc: Pc) -> None:
    county.live(20, sound() | disk(errors=3), pc)
    assert county.tickets() == []
    county.live(1, sound() | disk(errors=4), pc)
    assert of_kind(county, Kind.DISK_FAILING).outage_from_ms == START_MS + 21 * MINUTE_MS


def test_a_disk_that_says_itself_that_it_fails_has_a_ticket_at_once(county: Watched, pc: Pc) -> None:
    county.live(1, sound() | disk(smart=SmartState.WORN), pc)
    assert county.tickets() == []
    county.live(1, sound() | disk(smart=SmartState.FAILING), pc)
    assert of_kind(county, Kind.DISK_FAILING).state is TicketState.OPEN


def test_a_line_is_slow_after_three_days_without_a_quick_download(county: Watched, pc: Pc) -> None:
    for day, rates in enumerate([(1500,), (1500,), (4000, 1900), (1200,), (1999,)]):
        county.at.now_ms = START_MS + day * DAY_MS
        for rate in rates:
            county.live(1, sound() | download(rate), pc)
            county.live(2, sound(), pc)
    assert county.tickets() == []
    county.at.now_ms = START_MS + 5 * DAY_MS
    county.live(1, sound() | download(1000), pc)
    ticket = of_kind(county, Kind.LINE_SLOW)
    assert (ticket.party, ticket.grade, ticket.outage_from_ms) == (
        Party.TELECOM,
        Grade.TO_VERIFY,
        START_MS + 3 * DAY_MS + MINUTE_MS,
    )
    county.live(1, sound() | download(2000), pc)
    assert county.ticket().state is TicketState.RESOLVED


def _restarts(county: Watched, site: str, times: int, *, first: int = 100, goodbye: bool = False) -> None:
    before = Pc(site, first, county.now_ms - HOUR_MS)
    county.live(3, sound(), before)
    for run in range(times):
        if goodbye:
            county.at.now_ms += 1000
            last = before.take(county.now_ms, sound(), PowerEventRecord(PowerEvent.GOODBYE, reason="restart"))
            county.at.send(before.report([last], county.now_ms))
        county.at.now_ms += 2 * MINUTE_MS
        if goodbye:
            before = Pc(site, first + 1 + run, county.now_ms - 40_000)
            started = before.take(county.now_ms, sound(), PowerEventRecord(PowerEvent.STARTED))
            county.at.send(before.report([started], county.now_ms))
        else:
            before = county.come_back(before, first + 1 + run, sound())
        county.live(10, sound(), before)


def test_a_pc_that_starts_three_times_without_a_goodbye_is_restarting(county: Watched) -> None:
    _restarts(county, SITE, 2)
    assert county.tickets() == []
    _restarts(county, SITE, 1, first=200)
    assert of_kind(county, Kind.RESTARTING).grade is Grade.TO_VERIFY


def test_a_pc_that_somebody_restarts_is_not(county: Watched) -> None:
    _restarts(county, SITE, 4, goodbye=True)
    assert county.tickets() == []


def test_where_a_neighbour_of_the_feeder_loses_its_power_too_it_is_not_the_pc(county: Watched) -> None:
    county.at.register("v2")
    for site in (SITE, "v2"):
        county.place(site, feeder="f1")
    _restarts(county, SITE, 2)
    other = Pc("v2", 500, county.now_ms - HOUR_MS)
    county.live(1, sound(), other)
    county.at.now_ms += MINUTE_MS
    county.come_back(other, 501, sound())
    _restarts(county, SITE, 1, first=200)
    assert [ticket for ticket in county.tickets() if ticket.site == SITE] == []


def test_a_disk_is_the_technicians_though_the_line_is_down_with_it(county: Watched, pc: Pc) -> None:
    county.live(1, PORTAL_DOWN | disk(readonly=True), pc)
    county.live(8, LINE_DOWN | MEDIA_OK | disk(readonly=True), pc)
    parties = {ticket.kind: ticket.party for ticket in county.tickets()}
    assert parties[Kind.DISK_FAILING] is Party.TECHNICIAN
