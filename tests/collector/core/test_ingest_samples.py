"""What ingest stores, refuses, holds and answers, on a real database."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sitekeeper_collector.domain.coverage import MAX_SPANS
from sitekeeper_collector.store import held, quarantine, tables
from sitekeeper_collector.store.errors import StoreUnavailable
from sitekeeper_protocol import topics
from sitekeeper_protocol.intervals import Intervals
from sitekeeper_protocol.messages import Clock, Drop, DropReason, Presence, Sample
from sitekeeper_protocol.topics import Leaf
from support.scripted import AREA, BOOT, BOOTED_MS, NOW_MS, Bench, bench, inbound, report, sample, status

RUN, OTHER = 2**63 - 1, 7
HOUR_MS = 3_600_000


def samples(run: int, first: int, last: int) -> list[Sample]:
    return [sample(run, number) for number in range(first, last + 1)]


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path, "v1", "v2") as made:
        yield made


def stored(at: Bench) -> list[tuple[Any, ...]]:
    return at.rows("samples", "site", "run", "sequence")


def test_a_sample_is_stored_with_its_whole_content_and_the_largest_ids(at: Bench) -> None:
    at.give(inbound("v1", report("v1", RUN, samples(RUN, 1, 2), boot=2**32 - 1)))
    rows = at.rows("samples", "sequence", "run", "boot", "wall_ms", "boottime_ms")
    assert rows == [(n, RUN, 2**32 - 1, sample(RUN, n).wall_ms, sample(RUN, n).boottime_ms) for n in (1, 2)]
    assert at.contents() == {("v1", RUN, n): sample(RUN, n) for n in (1, 2)}


def test_duplicates_in_one_batch_and_in_later_ones_change_nothing(at: Bench) -> None:
    first = inbound("v1", report("v1", RUN, samples(RUN, 1, 5)))
    overlap = inbound("v1", report("v1", RUN, samples(RUN, 3, 8), number=2, backlog=True))
    at.give(first, first, overlap)
    at.restart()
    at.give(overlap, first)
    assert stored(at) == [("v1", RUN, n) for n in range(1, 9)]
    assert at.rows("runs", "samples", "dropped", "refused") == [(8, 0, 0)]


def test_the_same_run_and_number_of_two_sites_are_two_samples(at: Bench) -> None:
    at.give(*(inbound(site, report(site, RUN, samples(RUN, 1, 1))) for site in ("v1", "v2")))
    assert stored(at) == [("v1", RUN, 1), ("v2", RUN, 1)]


# --- receipts ----------------------------------------------------------------------------------------------------------


def test_the_first_receipt_is_complete_the_next_lists_what_was_touched(at: Bench) -> None:
    at.give(inbound("v1", report("v1", OTHER, samples(OTHER, 1, 3))))
    at.restart()
    [first] = at.give(inbound("v1", report("v1", RUN, samples(RUN, 1, 2), number=9)))
    assert first.complete and (first.run, first.number) == (RUN, 9)
    assert {run.run: run.through for run in first.runs} == {RUN: 2, OTHER: 3}
    assert first.server_time_ms == NOW_MS
    assert at.give(inbound("v1", report("v1", RUN, samples(RUN, 3, 3), number=10))) == []
    [asked] = at.give(inbound("v1", report("v1", RUN, samples(RUN, 4, 4), number=11, wants_receipt=True)))
    assert not asked.complete and [(run.run, run.through) for run in asked.runs] == [(RUN, 4)]


def test_a_new_connection_gets_a_complete_receipt_again(at: Bench) -> None:
    at.give(inbound("v1", report("v1", RUN, samples(RUN, 1, 1))))
    [receipt] = at.give(inbound("v1", report("v1", RUN, samples(RUN, 2, 2), connection=2)))
    assert receipt.complete


def test_a_live_site_gets_a_receipt_every_hour(at: Bench) -> None:
    at.give(inbound("v1", report("v1", RUN, samples(RUN, 1, 1))))
    at.now_ms += HOUR_MS - 1
    assert at.give(inbound("v1", report("v1", RUN, samples(RUN, 2, 2), number=2))) == []
    at.now_ms += 1
    [receipt] = at.give(inbound("v1", report("v1", RUN, samples(RUN, 3, 3), number=3)))
    assert [run.through for run in receipt.runs] == [3]


def test_one_receipt_answers_all_reports_of_a_site_in_a_batch_and_echoes_the_newest(at: Bench) -> None:
    batch = [report("v1", RUN, samples(RUN, n, n), number=n, wants_receipt=True) for n in (1, 3, 2)]
    [receipt] = at.give(*(inbound("v1", payload) for payload in batch))
    assert (receipt.number, receipt.runs[0].through) == (3, 3)


def test_with_more_runs_than_have_room_no_receipt_claims_to_be_complete(at: Bench) -> None:
    for run in range(1, 67):
        at.give(inbound("v1", report("v1", run, samples(run, 1, 1), connection=1)))
    at.restart()
    [receipt] = at.give(inbound("v1", report("v1", 1, samples(1, 2, 2))))
    assert not receipt.complete and len(receipt.runs) == 1


def test_a_receipt_names_the_ranges_that_it_answers_when_there_are_more_than_have_room(at: Bench) -> None:
    """Else the agent would take what it just sent for lost, and send it for ever."""
    for number in range(2, 82, 2):
        at.give(inbound("v1", report("v1", RUN, samples(RUN, number, number), number=number, backlog=True)))
    [receipt] = at.give(inbound("v1", report("v1", RUN, samples(RUN, 80, 80), number=99, backlog=True, wants_receipt=True)))
    ranges = receipt.runs[0].ranges
    assert len(ranges) == 16 and (80, 80) in ranges and (2, 2) in ranges and ranges == sorted(ranges)


def test_another_epoch_in_the_database_is_told_at_once_and_empties_the_memory(at: Bench) -> None:
    [before] = at.give(inbound("v1", report("v1", RUN, samples(RUN, 1, 3), wants_receipt=True)))
    at.execute(
        "UPDATE meta SET value = '12345' WHERE name = 'epoch'; DELETE FROM samples; DELETE FROM reports; DELETE FROM runs;"
    )
    [after] = at.give(inbound("v1", report("v1", RUN, samples(RUN, 1, 3), number=2, wants_receipt=True)))
    assert (before.epoch != 12345, after.epoch) == (True, 12345)
    assert len(stored(at)) == 3


# --- drops -------------------------------------------------------------------------------------------------------------


def test_declared_drops_count_as_accounted_for_and_are_booked_once(at: Bench) -> None:
    drop = Drop(OTHER, 1, 4, DropReason.AGE)
    message = inbound("v1", report("v1", RUN, samples(RUN, 1, 1), drops=(drop,), wants_receipt=True))
    [receipt] = at.give(message)
    at.give(message)
    assert {run.run: run.through for run in receipt.runs} == {RUN: 1, OTHER: 4}
    assert at.rows("drops", "run", "first", "last", "reason") == [(OTHER, 1, 4, DropReason.AGE)]
    assert (OTHER, 4) in at.rows("runs", "run", "dropped")


def test_what_lies_below_the_oldest_held_sample_is_booked_as_dropped(at: Bench) -> None:
    at.give(inbound("v1", report("v1", RUN, samples(RUN, 2, 3))))
    [receipt] = at.give(inbound("v1", report("v1", RUN, samples(RUN, 8, 9), number=2, oldest=7, wants_receipt=True)))
    assert (receipt.runs[0].through, receipt.runs[0].ranges) == (6, [(8, 9)])
    assert at.rows("drops", "first", "last", "reason") == [(1, 1, 0), (4, 6, 0)]


def test_an_oldest_beyond_the_report_itself_is_not_believed(at: Bench) -> None:
    """Believed, it would confirm samples that are not even taken yet."""
    [receipt] = at.give(inbound("v1", report("v1", RUN, samples(RUN, 3, 4), oldest=2**53, wants_receipt=True)))
    assert (receipt.runs[0].through, receipt.runs[0].ranges) == (4, [])


def test_a_sample_that_was_said_to_be_dropped_is_stored_when_it_comes(at: Bench) -> None:
    at.give(inbound("v1", report("v1", RUN, samples(RUN, 5, 5), oldest=5)))
    at.give(inbound("v1", report("v1", RUN, samples(RUN, 2, 3), number=2, backlog=True)))
    assert stored(at) == [("v1", RUN, n) for n in (2, 3, 5)]
    assert at.rows("runs", "samples", "dropped") == [(3, 2)]


# --- refusals ----------------------------------------------------------------------------------------------------------


def broken(payload: bytes) -> bytes:
    """The report with its last bytes overwritten: the header can still be read."""
    return payload[:-6] + b"\xff" * 6


def test_a_report_that_can_t_be_read_counts_as_stored_and_is_told_at_once(at: Bench) -> None:
    payload = broken(report("v1", RUN, samples(RUN, 1, 5), number=4))
    [receipt] = at.give(inbound("v1", payload))
    assert receipt.refused == [(RUN, 4)] and receipt.runs[0].through == 5
    assert at.rows("quarantine", "site", "run", "number", "size", "payload") == [("v1", RUN, 4, len(payload), payload)]
    assert at.rows("runs", "samples", "refused") == [(0, 5)]
    at.give(inbound("v1", report("v1", RUN, samples(RUN, 1, 2), number=5)))
    assert at.rows("runs", "samples", "refused") == [(2, 3)]


@pytest.mark.parametrize(
    ("topic", "payload", "code"),
    [
        ("sk/v1/a1/v1/report", b"", "malformed"),
        ("sk/v1/a1/v1/report", b"\x93\x02\x01\x01", "unknown_version"),
        ("sk/v1/a1/v1/report", b"\xff" * 300_000, "too_large"),
        ("sk/v1/a1/v1/status", b"\x91\x01", "malformed"),
        ("sk/v1/a1/v1/result", b"junk", "malformed"),
        ("sk/v1/a1/v1/receipt", b"", "bad_topic"),
        ("sk/v1/a1/v1/nonsense", b"", "bad_topic"),
        ("sk/v1/a1/../report", b"", "bad_id"),
        ("", b"", "bad_topic"),
        ("sk/v2/a1/v1/report", b"", "bad_topic"),
    ],
)
def test_hostile_messages_are_quarantined_with_a_reason_and_delay_nothing(
    at: Bench, topic: str, payload: bytes, code: str
) -> None:
    good = inbound("v1", report("v1", RUN, samples(RUN, 1, 1)))
    at.give(good._replace(topic=topic, payload=payload), good)
    assert [row[0] for row in at.rows("quarantine", "code")] == [code]
    assert at.tally(f"quarantine:{code}") == 1
    assert len(stored(at)) == 1


def test_a_report_under_another_site_s_topic_is_a_finding_and_is_stored_under_neither(at: Bench) -> None:
    foreign = inbound("v1", report("v1", RUN, samples(RUN, 1, 1), check="v2", wants_receipt=True))
    assert at.give(foreign, foreign) == []
    assert stored(at) == [] and at.rows("runs", "run") == []
    assert at.rows("findings", "site", "kind", "count", "closed_ms") == [("v1", "foreign_topic", 2, None)]
    assert [row[0] for row in at.rows("quarantine", "code")] == ["foreign_topic"] * 2


def test_quarantine_is_bounded_by_site_and_overall_and_its_counters_never_lie(at: Bench) -> None:
    at.register(*(f"w{n}" for n in range(12)))
    for _ in range(quarantine.MAX_ROWS_OF_A_SITE + 10):
        at.give(*(inbound(f"w{n}", b"junk") for n in range(12)), inbound("v1", b"junk"))
    given = 13 * (quarantine.MAX_ROWS_OF_A_SITE + 10)
    sites = [row[0] for row in at.rows("quarantine", "site")]
    assert len(sites) == quarantine.MAX_ROWS
    assert max(sites.count(site) for site in set(sites)) <= quarantine.MAX_ROWS_OF_A_SITE
    assert at.tally("quarantine:malformed") == given
    assert at.tally(quarantine.EVICTED) == given - quarantine.MAX_ROWS


def test_a_run_with_more_gaps_than_can_be_kept_is_refused_without_a_crash(at: Bench) -> None:
    spans = [(n, n) for n in range(1, 2 * (MAX_SPANS + 1), 2)]
    book = msgspec.msgpack.encode([spans, [], []])
    at.give(inbound("v1", report("v1", RUN, samples(RUN, 1, 1))))
    with at.store.write() as connection:
        connection.execute(tables.runs.update().values(coverage=book))
    at.restart()
    at.give(inbound("v1", report("v1", RUN, samples(RUN, 99_999, 99_999), number=2)))
    assert [row[0] for row in at.rows("quarantine", "code")] == ["too_scattered"]


# --- poison and an unusable database -----------------------------------------------------------------------------------

POISON = """
    CREATE TRIGGER poison BEFORE INSERT ON samples WHEN NEW.sequence = 666
    BEGIN SELECT RAISE(ABORT, 'poison'); END;
"""


def test_the_one_message_that_makes_a_batch_fail_is_set_aside_and_all_others_are_stored(at: Bench) -> None:
    at.execute(POISON)
    good = [inbound("v1", report("v1", RUN, samples(RUN, n, n), number=n)) for n in range(1, 30)]
    bad = inbound("v1", report("v1", RUN, samples(RUN, 665, 667), number=666, backlog=True))
    receipts = at.give(*good[:17], bad, *good[17:])
    assert stored(at) == [("v1", RUN, n) for n in range(1, 30)]
    assert [(RUN, 666)] in [receipt.refused for receipt in receipts]
    [(code, detail, payload)] = at.rows("quarantine", "code", "detail", "payload")
    assert code == "poison" and "IntegrityError" in detail and payload == bad.payload
    assert at.rows("runs", "samples", "refused") == [(29, 3)]


def test_a_message_whose_refusal_fails_too_is_still_kept_in_quarantine(at: Bench) -> None:
    at.execute("CREATE TRIGGER no_runs BEFORE INSERT ON runs BEGIN SELECT RAISE(ABORT, 'no'); END;")
    assert at.give(inbound("v1", report("v1", RUN, samples(RUN, 1, 1)))) == []
    assert [row[0] for row in at.rows("quarantine", "code")] == ["poison"]


def test_a_locked_database_is_no_poison_and_the_same_batch_goes_in_later(tmp_path: Path) -> None:
    with bench(tmp_path, "v1", busy_timeout_s=0) as at:
        at.give(inbound("v1", report("v1", RUN, samples(RUN, 1, 1))))
        message = inbound("v1", report("v1", RUN, samples(RUN, 2, 3), number=2, wants_receipt=True))
        with at.locked(), pytest.raises(StoreUnavailable):
            at.give(message)
        assert at.rows("quarantine", "code") == []
        [receipt] = at.give(message)
        assert receipt.runs[0].through == 3 and len(stored(at)) == 3


def test_memory_forgets_what_a_failed_transaction_had_changed(at: Bench) -> None:
    at.execute(POISON)
    at.give(inbound("v1", report("v1", RUN, samples(RUN, 1, 1))))
    at.give(inbound("v1", report("v1", RUN, samples(RUN, 660, 666), number=2)))
    at.execute("DROP TRIGGER poison")
    [receipt] = at.give(inbound("v1", report("v1", RUN, samples(RUN, 660, 666), number=3, wants_receipt=True)))
    assert receipt.runs[0].ranges == [(660, 666)]
    assert len(stored(at)) == 8


# --- unknown sites -----------------------------------------------------------------------------------------------------


def test_an_unknown_site_is_listed_and_held_gets_no_receipt_and_is_replayed_once_it_is_known(at: Bench) -> None:
    asked = inbound("new", report("new", RUN, samples(RUN, 1, 5), wants_receipt=True), received_ms=NOW_MS - 5000)
    assert at.give(asked, inbound("new", status(Presence.ONLINE, RUN), leaf=Leaf.STATUS)) == []
    assert at.rows("unknown_sites", "site", "area", "messages") == [("new", AREA, 2)]
    assert stored(at) == [] and len(at.rows("held_reports", "id")) == 1
    at.restart()
    at.register("new")
    [receipt] = at.give()
    assert receipt.runs[0].through == 5
    assert at.rows("samples", "sequence", "received_ms") == [(n, NOW_MS - 5000) for n in range(1, 6)]
    assert at.rows("held_reports", "id") == [] and at.rows("unknown_sites", "site") == []


def test_held_reports_are_bounded_and_what_is_not_held_is_counted(at: Bench) -> None:
    more = held.MAX_REPORTS_OF_A_SITE + 20
    at.give(*(inbound("new", report("new", RUN, samples(RUN, n, n), number=n)) for n in range(1, more + 1)))
    assert len(at.rows("held_reports", "id")) == held.MAX_REPORTS_OF_A_SITE
    assert at.tally(held.NOT_HELD) == 20
    assert at.rows("unknown_sites", "messages") == [(more,)]


def test_rubbish_of_an_unknown_site_goes_to_quarantine_and_not_to_what_is_held(at: Bench) -> None:
    foreign = report("new", RUN, samples(RUN, 1, 1), check="v2")
    at.give(inbound("new", b"junk"), inbound("new", foreign))
    assert sorted(row[0] for row in at.rows("quarantine", "code")) == ["foreign_topic", "malformed"]
    assert at.rows("held_reports", "id") == [] and at.rows("findings", "site") == []


# --- identity, presence ------------------------------------------------------------------------------------------------


def live(at: Bench, run: int, number: int) -> None:
    at.now_ms += 300_000
    at.give(inbound("v1", report("v1", run, samples(run, number, number), number=number), received_ms=at.now_ms))


def test_two_runs_live_in_turns_are_exactly_one_open_finding(at: Bench) -> None:
    for number in range(1, 8):
        live(at, RUN, number)
        live(at, OTHER, number)
    assert at.rows("findings", "site", "kind", "closed_ms") == [("v1", "duplicate_identity", None)]
    assert len(stored(at)) == 14


def test_a_restart_and_a_late_duplicate_of_the_old_run_are_no_finding(at: Bench) -> None:
    for run in (11, 12, 13):
        for number in (1, 2):
            live(at, run, number)
        live(at, 11, 1)
    assert at.rows("findings", "site") == []


def test_presence_follows_births_goodbyes_and_live_reports(at: Bench) -> None:
    def now() -> tuple[object, ...]:
        return at.rows("site_state", "presence", "presence_reason", "presence_run")[0]

    at.give(inbound("v1", status(Presence.ONLINE, RUN, 3), leaf=Leaf.STATUS, retained=True))
    assert now() == ("online", "", RUN)
    at.give(inbound("v1", status(Presence.LOST, RUN, 2), leaf=Leaf.STATUS))
    assert now() == ("online", "", RUN)
    at.give(inbound("v1", status(Presence.STOPPING, RUN, 3, "shutdown"), leaf=Leaf.STATUS))
    at.give(inbound("v1", status(Presence.LOST, RUN, 3), leaf=Leaf.STATUS))
    assert now() == ("stopping", "shutdown", RUN)
    at.give(inbound("v1", report("v1", OTHER, samples(OTHER, 1, 1), connection=4)))
    assert now() == ("online", "", OTHER)


def test_only_the_newest_live_report_s_promise_counts(at: Bench) -> None:
    newest = report("v1", RUN, samples(RUN, 5, 5), number=5, next_within_s=100)
    late = report("v1", RUN, samples(RUN, 4, 4), number=4, next_within_s=9000)
    backlog = report("v1", RUN, samples(RUN, 3, 3), number=6, next_within_s=9000, backlog=True)
    at.give(inbound("v1", newest), inbound("v1", late), inbound("v1", backlog))
    assert at.rows("site_state", "promised_ms", "live_number") == [(NOW_MS + 100_000, 5)]


# --- time --------------------------------------------------------------------------------------------------------------


def test_samples_are_placed_again_once_the_clock_of_their_boot_is_known(at: Bench) -> None:
    wrong = [sample(RUN, n, wall_ms=0) for n in (1, 2)]
    at.give(inbound("v1", report("v1", RUN, wrong, backlog=True)))
    at.give(inbound("v1", report("v1", OTHER, [sample(OTHER, 1)])))
    assert at.rows("samples", "run", "placed_ms", "placement") == [
        (OTHER, BOOTED_MS + 1000, "wall"),
        (RUN, None, "held"),
        (RUN, None, "held"),
    ]
    at.restart()
    clock = Clock(BOOTED_MS + 250, 40)
    at.give(inbound("v1", report("v1", OTHER, samples(OTHER, 9, 9), number=9, clock=clock)))
    assert at.rows("samples", "run", "sequence", "placed_ms", "placement") == [
        (OTHER, 1, BOOTED_MS + 1250, "exact"),
        (OTHER, 9, BOOTED_MS + 9250, "exact"),
        (RUN, 1, BOOTED_MS + 1250, "exact"),
        (RUN, 2, BOOTED_MS + 2250, "exact"),
    ]


def test_the_clock_of_one_boot_says_nothing_about_another(at: Bench) -> None:
    at.give(inbound("v1", report("v1", RUN, [sample(RUN, 1, wall_ms=0)], boot=BOOT + 1, backlog=True)))
    at.give(inbound("v1", report("v1", OTHER, samples(OTHER, 1, 1), clock=Clock(BOOTED_MS, 40))))
    assert at.rows("samples", "run", "placement") == [(OTHER, "exact"), (RUN, "held")]


def test_a_clock_that_would_put_samples_into_the_future_is_not_used(at: Bench) -> None:
    at.give(inbound("v1", report("v1", RUN, samples(RUN, 1, 1), clock=Clock(NOW_MS + 10 * HOUR_MS, 40))))
    [(placed_ms, placement)] = at.rows("samples", "placed_ms", "placement")
    assert placed_ms is not None and placed_ms <= NOW_MS and placement == "wall"


def test_topics_with_every_kind_of_message_are_known(at: Bench) -> None:
    for leaf in topics.FROM_AGENT:
        at.give(inbound("v1", b"junk", leaf=leaf))
    assert at.tally("quarantine:malformed") == len(topics.FROM_AGENT)


def test_what_receipts_say_is_what_the_coverage_holds(at: Bench) -> None:
    at.give(inbound("v1", report("v1", RUN, samples(RUN, 4, 6), oldest=2, backlog=True)))
    at.give(inbound("v1", broken(report("v1", RUN, samples(RUN, 9, 9), number=2, backlog=True))))
    [receipt] = at.give(inbound("v1", report("v1", RUN, (), first=10, number=3, wants_receipt=True, oldest=2)))
    said = Intervals(receipt.runs[0].ranges)
    assert receipt.runs[0].through == 1 and list(said) == [(4, 6), (9, 9)]
