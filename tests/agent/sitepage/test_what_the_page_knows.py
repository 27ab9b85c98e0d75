"""What the page makes of looks, requests for repair and presses that come too often: the deciding functions alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitekeeper_agent.sitepage import repair
from sitekeeper_agent.sitepage.allowance import Allowance
from sitekeeper_agent.sitepage.board import Seen
from sitekeeper_agent.sitepage.collected_words import METRICS
from sitekeeper_agent.sitepage.outcome import outcome
from sitekeeper_agent.sitepage.repair import Repair
from sitekeeper_agent.standing import Standing
from sitekeeper_protocol.ladder import Verdict
from sitekeeper_protocol.messages import Receipt, RunReceipt
from sitekeeper_protocol.vocabulary import Kind, Metric, Rung, State

LINE = Verdict(state=State.FAIL, rung=Rung.ISP, kind=Kind.LINE_DOWN)
PORTAL = Verdict(state=State.FAIL, rung=Rung.PORTAL, kind=Kind.PORTAL_DOWN)
WELL, POOR, DUMB = (Verdict(state=state) for state in (State.OK, State.DEGRADED, State.SILENT))
ASKED = Repair(run=5, sequence=9, wall_ms=1_000, listed_before=("T-1",))


def receipt(*tickets: str, through: int = 0, run: int = 5, server_ms: int = 2) -> Receipt:
    return Receipt(1, 7, run, 1, server_ms, [RunReceipt(run, through)], tickets=list(tickets))


@pytest.mark.parametrize(
    ("before", "after", "word"),
    [
        (LINE, WELL, "worked"),
        (LINE, POOR, "better"),
        (LINE, LINE, "same"),
        (LINE, PORTAL, "changed"),
        (LINE, DUMB, "unknown"),
        (WELL, WELL, "still_well"),
        (WELL, LINE, "broken_now"),
        (POOR, POOR, "same"),
        (None, WELL, "still_well"),
        (None, LINE, "broken_now"),
        (None, POOR, "unknown"),
        (LINE, None, "came_to_nothing"),
    ],
)
def test_a_look_says_whether_the_step_has_worked(before: Verdict | None, after: Verdict | None, word: str) -> None:
    seen = Seen(begun=4, done=4, standing=Standing(after))
    assert outcome(before, seen, 4) == word
    assert outcome(before, seen, 5) == "waiting", "a look that began before somebody asked is no answer"


def test_a_look_that_failed_says_so_whatever_was_known_before() -> None:
    assert outcome(LINE, Seen(done=1, came_to_nothing=True, standing=Standing(LINE)), 1) == "came_to_nothing"


def test_a_request_is_received_only_when_a_receipt_covers_its_sample() -> None:
    assert not ASKED.receipted(receipt(through=8)).received
    assert not ASKED.receipted(receipt(through=9, run=6)).received
    assert ASKED.receipted(receipt(through=9)).received


def test_a_store_that_has_lost_a_request_no_longer_counts_as_having_it() -> None:
    assert not ASKED.receipted(receipt(through=9)).receipted(receipt(through=3)).received


def test_only_a_number_that_came_after_the_request_was_stored_is_its_own() -> None:
    assert ASKED.receipted(receipt("T-1", "T-2", through=8)).numbers == ()
    stored = ASKED.receipted(receipt("T-1", "T-2", through=9))
    assert stored.numbers == ("T-2",)
    assert not stored.over
    assert stored.receipted(receipt("T-1", through=9)).over, "its ticket is closed"


def test_a_ticket_that_was_opened_before_the_county_had_the_request_is_never_its_own() -> None:
    earlier = ASKED.receipted(receipt("T-1", "T-2", through=8))
    assert earlier.receipted(receipt("T-1", "T-2", through=9)).numbers == ()
    assert earlier.receipted(receipt("T-2", "T-3", through=9)).numbers == ("T-3",)


def test_a_ticket_of_the_next_day_is_not_the_requests_either() -> None:
    stored = ASKED.receipted(receipt("T-1", through=9, server_ms=1_000))
    assert stored.receipted(receipt("T-1", "T-2", through=9, server_ms=300_000)).numbers == ("T-2",)
    assert stored.receipted(receipt("T-1", "T-2", through=9, server_ms=86_400_000)).numbers == ()
    numbered = stored.receipted(receipt("T-1", "T-2", through=9, server_ms=2_000))
    assert numbered.receipted(receipt("T-1", "T-2", "T-3", through=9, server_ms=3_000)).numbers == ("T-2",)


def test_without_knowing_what_was_open_before_no_number_is_claimed() -> None:
    assert repair.known_tickets(["T-1"], connected=False) is None
    assert repair.known_tickets(None, connected=True) is None
    unknown = Repair(run=5, sequence=9, wall_ms=1)
    after = unknown.receipted(receipt("T-2", through=9))
    assert after.received
    assert after.numbers == ()


def test_a_request_outlives_a_restart_until_it_is_dealt_with() -> None:
    later_ms = 30 * 86_400_000
    received = ASKED.receipted(receipt("T-2", through=9))
    assert repair.stored(repair.to_store(ASKED), later_ms) == ASKED
    assert repair.stored(repair.to_store(received), 2_000) == received
    assert repair.stored(repair.to_store(received), later_ms) is None
    assert repair.stored(repair.to_store(received.receipted(receipt(through=9))), 2_000) is None, "closed"
    assert repair.stored(repair.to_store(ASKED), 0) == ASKED, "a clock that was set back forgets nothing"


@pytest.mark.parametrize("value", [None, b"", b"\xc1", b"\x90", b"\x81\xa3run\xa1x"])
def test_what_is_no_request_is_none(value: bytes | None) -> None:
    assert repair.stored(value, 0) is None


@given(
    most=st.integers(1, 10),
    every_ms=st.integers(1, 100_000),
    steps_ms=st.lists(st.integers(-1_000, 50_000), max_size=60),
)
def test_no_more_is_allowed_than_the_burst_and_the_rate(most: int, every_ms: int, steps_ms: list[int]) -> None:
    now_ms, forward_ms, allowed = 0, 0, Allowance.full(most, every_ms, 0)
    spent = 0
    for step_ms in steps_ms:
        now_ms, forward_ms = now_ms + step_ms, forward_ms + max(0, step_ms)
        if (left := allowed.spend(now_ms)) is not None:
            allowed, spent = left, spent + 1
    # A clock that goes back may give its way back once more, never more than all ways forward.
    assert spent <= most + forward_ms / every_ms


def test_what_was_spent_comes_back_with_time() -> None:
    spent = Allowance.full(1, 1_000, 0).spend(0)
    assert spent is not None
    assert spent.spend(999) is None
    assert spent.spend(1_000) is not None


def test_every_metric_has_words_in_both_languages() -> None:
    missing = [metric.name for metric in Metric if metric not in METRICS]
    assert not missing, f"sitepage/collected_words.py lacks {missing}"
    assert all(zh and en for zh, en in METRICS.values())
