"""What becomes of a mail that is owed, whatever servers answer, senders do and clocks say."""

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from sitekeeper_collector.notify.outbox import (
    GIVE_UP_AFTER_MS,
    LEASE_MS,
    MailState,
    Row,
    Settled,
    claim,
    has_lapsed,
    is_due,
    lapse,
    owed,
    settle,
)
from sitekeeper_collector.notify.smtp import LIMIT_S, Outcome, Refused, Retry, Sent

T0 = 1_780_000_000_000
OWED = owed(thread="SK-1/1", number=0, recipient="wang@example.cn", now_ms=T0)


def claimed(row: Row = OWED, *, owner: str = "a", now_ms: int = T0) -> Row:
    row_in_hand = claim(row, owner=owner, now_ms=now_ms)
    assert row_in_hand is not None
    return row_in_hand


def test_a_mail_is_due_at_once_and_belongs_to_whoever_claims_it() -> None:
    row = claimed(owner="a")
    assert (row.owner, row.attempts, row.version, row.lease_until_ms) == ("a", 1, 1, T0 + LEASE_MS)
    assert claim(row, owner="b", now_ms=T0) is None and not is_due(row, T0 + LEASE_MS)


def test_a_mail_that_is_taken_or_refused_is_done_with() -> None:
    sent, refused = settle(claimed(), Sent(), now_ms=T0 + 5), settle(claimed(), Refused("550 nobody"), now_ms=T0 + 5)
    assert (sent.row.state, sent.row.done_ms, sent.finding) == (MailState.SENT, T0 + 5, None)
    assert refused.row.state is MailState.REFUSED and refused.row.reason == "550 nobody"
    assert refused.finding is not None and refused.finding.recipient == OWED.recipient
    for row in (sent.row, refused.row):
        assert row.state.final and row.owner == "" and claim(row, owner="b", now_ms=T0 + GIVE_UP_AFTER_MS) is None


def test_a_mail_that_may_be_taken_later_waits_longer_each_time() -> None:
    row, waits = OWED, []
    for _ in range(9):
        now_ms = row.due_ms
        row = settle(claimed(row, now_ms=now_ms), Retry("busy"), now_ms=now_ms, jitter=1.0).row
        waits.append((row.due_ms - now_ms) // 1000)
    assert waits == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]


def test_after_five_days_it_is_given_up_and_somebody_hears_of_it() -> None:
    before = settle(claimed(), Retry("busy"), now_ms=T0 + GIVE_UP_AFTER_MS - 1)
    after = settle(claimed(), Retry("busy"), now_ms=T0 + GIVE_UP_AFTER_MS)
    assert before.row.state is MailState.PENDING and before.row.due_ms == T0 + GIVE_UP_AFTER_MS
    assert after.row.state is MailState.GIVEN_UP and after.finding is not None and after.finding.reason == "busy"


def test_a_sender_that_is_never_heard_of_again_loses_the_mail_when_its_lease_is_over() -> None:
    row = claimed()
    assert lapse(row, now_ms=T0 + LEASE_MS - 1) == Settled(row) and lapse(OWED, now_ms=T0 + LEASE_MS) == Settled(OWED)
    again = lapse(row, now_ms=T0 + LEASE_MS).row
    assert again.state is MailState.PENDING and again.attempts == 1 and "did not say" in again.reason


def test_a_conversation_with_a_server_ends_before_the_lease() -> None:
    assert LIMIT_S * 1000 < LEASE_MS


def test_an_outcome_for_a_mail_that_nobody_claimed_changes_nothing() -> None:
    assert settle(OWED, Sent(), now_ms=T0) == Settled(OWED)


class Store:
    """The row as a database keeps it: changed only by whoever has read its latest version."""

    def __init__(self) -> None:
        self.row = OWED
        self.findings = 0

    def put(self, read: Row, settled: Settled) -> bool:
        if settled.row == read or read.version != self.row.version:
            return False
        assert settled.row.version == read.version + 1 and not read.state.final
        self.row = settled.row
        self.findings += settled.finding is not None
        return True


class Step(NamedTuple):
    """One of two senders, after some time, claims and tries. ``outcome``: ``None`` if it dies after it handed the mail over.
    ``late``: it speaks up only after the others had their turn."""

    sender: str
    after_ms: int
    outcome: Outcome | None
    late: bool
    jitter: float


_outcomes = st.sampled_from([Sent(), Retry("busy"), Refused("550"), None])
_steps = st.lists(
    st.builds(
        Step,
        st.sampled_from(["a", "b"]),
        st.sampled_from([0, 1, 30_000, LEASE_MS - 1, LEASE_MS, 3_600_000, 86_400_000]),
        _outcomes,
        st.booleans(),
        st.floats(0, 3),
    ),
    max_size=40,
)


@given(_steps)
def test_a_mail_goes_out_once_unless_a_lease_lapsed_and_is_never_lost(steps: list[Step]) -> None:
    store, now_ms, handed_over, lapsed = Store(), T0, 0, 0
    waiting: list[tuple[Row, Outcome]] = []
    for step in steps:
        now_ms += step.after_ms
        if has_lapsed(store.row, now_ms):
            lapsed += store.put(store.row, lapse(store.row, now_ms=now_ms, jitter=step.jitter))
        for row, outcome in waiting:  # speaks up late; its lease may have gone to another meanwhile
            store.put(row, settle(row, outcome, now_ms=now_ms, jitter=step.jitter))
        waiting = []
        row = store.row
        mine = claim(row, owner=step.sender, now_ms=now_ms)
        if mine is None or not store.put(row, Settled(mine)):
            continue
        handed_over += step.outcome is None or isinstance(step.outcome, Sent)
        if step.outcome is not None and step.late:
            waiting.append((mine, step.outcome))
        elif step.outcome is not None:
            store.put(mine, settle(mine, step.outcome, now_ms=now_ms, jitter=step.jitter))
    assert handed_over <= 1 + lapsed
    assert store.row.state is not MailState.SENT or handed_over >= 1
    assert store.findings == (store.row.state in (MailState.REFUSED, MailState.GIVEN_UP))


@given(st.lists(st.tuples(_outcomes.filter(lambda o: not isinstance(o, Sent)), st.floats(0.5, 5)), min_size=1, max_size=20))
def test_a_mail_always_comes_to_an_end_in_time(answers: list[tuple[Outcome | None, float]]) -> None:
    row, now_ms, at = OWED, T0, 0
    while not row.state.final:
        outcome, jitter = answers[at % len(answers)]
        at += 1
        now_ms = max(now_ms, row.due_ms)
        row = claimed(row, now_ms=now_ms)
        if outcome is None:
            assert row.lease_until_ms is not None
            now_ms = row.lease_until_ms
            row = lapse(row, now_ms=now_ms, jitter=jitter).row
        else:
            now_ms += 1
            row = settle(row, outcome, now_ms=now_ms, jitter=jitter).row
    assert row.done_ms is not None and row.done_ms <= T0 + GIVE_UP_AFTER_MS + LEASE_MS
