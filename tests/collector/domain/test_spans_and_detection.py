"""Spans depend on the samples alone; faults depend on the spans and the rule alone."""

from itertools import groupby, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from sitekeeper_collector.domain.detection import CLEAR, Episode, Found, Phase, look_back_ms, walk, walk_all
from sitekeeper_collector.domain.rules import DETECTED, Kinds, Rule, Rules
from sitekeeper_collector.domain.signs import LADDER_KINDS, NOTHING, RUNG_OF_KIND, Disk, Sign, Signs, sign
from sitekeeper_collector.domain.spans import Observed, Span, spans_of, woven
from sitekeeper_protocol.vocabulary import GRADE_NUMBERS, KIND_NUMBERS, PARTY_NUMBERS, Grade, Kind, Party, Rung, State

GAP_MS = 300_000
S = 1000
RULES = Rules()


def bad(kind: Kind = Kind.PORTAL_DOWN, grade: Grade = Grade.PROVEN, party: Party = Party.TECHNICIAN) -> Signs:
    rung = RUNG_OF_KIND[kind]
    return Signs(State.FAIL, rung, KIND_NUMBERS[kind], PARTY_NUMBERS[party], GRADE_NUMBERS[grade])


GOOD, BAD, UNKNOWN = Signs(State.OK), bad(), NOTHING

# --- spans -------------------------------------------------------------------------------------------------------------

_signs = st.sampled_from([GOOD, BAD, UNKNOWN])
_steps = st.lists(st.tuples(_signs, st.sampled_from([0, 60 * S, GAP_MS, GAP_MS + 1, -5 * S])), min_size=1, max_size=30)


def observed(steps: list[tuple[Signs, int]]) -> list[Observed]:
    found, at_ms = [], 1_000_000
    for number, (signs, after_ms) in enumerate(steps, 1):
        at_ms += after_ms
        found.append(Observed(number, at_ms, signs))
    return found


@given(steps=_steps, data=st.data())
def test_any_order_and_batching_of_a_runs_samples_gives_the_spans_of_all_at_once(
    steps: list[tuple[Signs, int]], data: st.DataObject
) -> None:
    samples = observed(steps)
    left = data.draw(st.permutations(samples))
    known: list[Span] = []
    while left:
        size = data.draw(st.integers(1, len(left)))
        batch, left = sorted(left[:size]), left[size:]
        new: list[Span] = []
        for _, adjacent in groupby(enumerate(batch), lambda pair: pair[1].sequence - pair[0]):
            new += spans_of(5, [one for _, one in adjacent], GAP_MS)
        known = woven(known, new, GAP_MS)
    assert known == spans_of(5, samples, GAP_MS)


@given(steps=_steps)
def test_spans_hold_every_sample_once_and_are_as_long_as_they_can_be(steps: list[tuple[Signs, int]]) -> None:
    samples = observed(steps)
    spans = spans_of(5, samples, GAP_MS)
    assert [n for span in spans for n in range(span.first, span.last + 1)] == [one.sequence for one in samples]
    by_number = {one.sequence: one for one in samples}
    for span in spans:
        assert all(by_number[n].signs == span.signs for n in range(span.first, span.last + 1))
        assert (span.from_ms, span.to_ms) == (by_number[span.first].at_ms, by_number[span.last].at_ms)
    for left, right in pairwise(spans):
        assert left.signs != right.signs or not 0 <= right.from_ms - left.to_ms <= GAP_MS


# --- signs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LADDER_KINDS)
def test_a_verdict_is_bad_for_its_kind_and_good_for_all_below_it_if_it_is_proven(kind: Kind) -> None:
    said = {other: sign(other, bad(kind)) for other in LADDER_KINDS}
    assert said.pop(kind) is Sign.BAD
    for other, found in said.items():
        assert found is (Sign.GOOD if RUNG_OF_KIND[other] <= RUNG_OF_KIND[kind] else Sign.UNKNOWN)
    unproven = {other: sign(other, bad(kind, Grade.TO_VERIFY)) for other in LADDER_KINDS if other is not kind}
    assert set(unproven.values()) == {Sign.UNKNOWN}


@pytest.mark.parametrize(
    ("signs", "kind", "expected"),
    [
        (Signs(State.OK), Kind.MEDIA_DOWN, Sign.GOOD),
        (Signs(State.OK, media_silent=True), Kind.MEDIA_DOWN, Sign.UNKNOWN),
        (Signs(State.OK, media_silent=True), Kind.PORTAL_DOWN, Sign.GOOD),
        (Signs(State.DEGRADED, Rung.ISP), Kind.LINE_DOWN, Sign.GOOD),
        (Signs(State.DEGRADED, Rung.ISP), Kind.PORTAL_DOWN, Sign.UNKNOWN),
        (Signs(State.SILENT), Kind.LINE_DOWN, Sign.UNKNOWN),
        (NOTHING, Kind.LINE_DOWN, Sign.UNKNOWN),
        (Signs(State.FAIL, Rung.PORTAL, 99, 0, GRADE_NUMBERS[Grade.PROVEN]), Kind.LINE_DOWN, Sign.GOOD),
        (Signs(State.OK, disk=Disk.FULL.value), Kind.DISK_FULL, Sign.BAD),
        (Signs(State.FAIL, disk=Disk.ROOMY.value), Kind.DISK_FULL, Sign.GOOD),
        (Signs(State.OK), Kind.DISK_FULL, Sign.UNKNOWN),
    ],
)
def test_what_other_samples_say(signs: Signs, kind: Kind, expected: Sign) -> None:
    assert sign(kind, signs) is expected


# --- the state machine -------------------------------------------------------------------------------------------------


def spans(*parts: tuple[Signs, int, int], run: int = 1) -> list[Span]:
    """Each with its begin and end in seconds."""
    return [Span(run, at + 1, at + 1, start * S, end * S, signs) for at, (signs, start, end) in enumerate(parts)]


def found(*parts: tuple[Signs, int, int]) -> Found:
    return walk(Kind.PORTAL_DOWN, spans(*parts), RULES)


def times(walked: Found) -> list[tuple[int, int | None]]:
    return [(e.started_ms // S, None if e.ended_ms is None else e.ended_ms // S) for e in walked.episodes]


@pytest.mark.parametrize(
    ("parts", "expected", "phase"),
    [
        # Hold-down 300 s, hold-up 180 s.
        (((BAD, 0, 299),), [], Phase.SUSPECTED),
        (((BAD, 0, 300),), [(0, None)], Phase.OPEN),
        (((BAD, 0, 200), (GOOD, 210, 210), (BAD, 220, 480)), [], Phase.SUSPECTED),
        (((BAD, 0, 200), (UNKNOWN, 210, 220), (BAD, 230, 490)), [], Phase.SUSPECTED),
        (((BAD, 0, 200), (BAD, 500, 510)), [(0, None)], Phase.OPEN),
        (((BAD, 0, 200), (BAD, 501, 510)), [], Phase.SUSPECTED),
        (((BAD, 0, 300), (GOOD, 310, 489)), [(0, None)], Phase.RECOVERING),
        (((BAD, 0, 300), (GOOD, 310, 490)), [(0, 310)], Phase.CLEAR),
        (((BAD, 0, 300), (GOOD, 310, 400), (BAD, 410, 420)), [(0, None)], Phase.OPEN),
        (((BAD, 0, 300), (GOOD, 310, 400), (BAD, 410, 410), (GOOD, 420, 600)), [(0, 420)], Phase.CLEAR),
        (((BAD, 0, 300), (GOOD, 310, 400), (UNKNOWN, 410, 420), (GOOD, 430, 520)), [(0, None)], Phase.RECOVERING),
        (((BAD, 0, 300), (GOOD, 310, 400), (GOOD, 701, 800)), [(0, None)], Phase.RECOVERING),
        (((BAD, 0, 300), (GOOD, 310, 400), (GOOD, 700, 700)), [(0, 310)], Phase.CLEAR),
        (((BAD, 0, 300), (UNKNOWN, 310, 9000)), [(0, None)], Phase.OPEN),
        (((BAD, 0, 300), (BAD, 9000, 9000)), [(0, None)], Phase.OPEN),
        (((BAD, 0, 300), (GOOD, 310, 490), (BAD, 500, 799)), [(0, 310)], Phase.SUSPECTED),
        (((BAD, 0, 300), (GOOD, 310, 490), (BAD, 500, 800)), [(0, 310), (500, None)], Phase.OPEN),
    ],
)
def test_hold_down_hold_up_gaps_and_what_can_not_be_told(
    parts: tuple[tuple[Signs, int, int], ...], expected: list[tuple[int, int | None]], phase: Phase
) -> None:
    walked = found(*parts)
    assert (times(walked), walked.now.phase) == (expected, phase)


def test_a_fault_opens_when_its_evidence_has_held_for_long_enough_and_names_its_newest_sample() -> None:
    [episode] = found((BAD, 0, 100), (bad(party=Party.PLATFORM), 110, 500)).episodes
    assert (episode.opened_ms, episode.bad_ms, episode.party, episode.proof) == (300 * S, 500 * S, Party.PLATFORM, (1, 2))


def test_an_agent_that_restarts_within_a_fault_does_not_begin_a_new_one() -> None:
    both = spans((BAD, 0, 200)) + spans((BAD, 260, 400), run=2)
    assert [e.started_ms for e in walk(Kind.PORTAL_DOWN, both, RULES).episodes] == [0]


_times = st.lists(st.tuples(_signs, st.integers(0, 400), st.integers(1, 700)), min_size=1, max_size=25)


def _story(steps: list[tuple[Signs, int, int]]) -> list[Span]:
    made, at = [], 100_000
    for number, (signs, length, pause) in enumerate(steps, 1):
        made.append(Span(1, number, number, at * S, (at + length) * S, signs))
        at += length + pause
    return made


@given(steps=_times, data=st.data())
def test_a_walk_finds_the_same_wherever_it_begins(steps: list[tuple[Signs, int, int]], data: st.DataObject) -> None:
    """As the engine begins one: looking back from the first sample that is new, with the faults that it knows from before."""
    story = _story(steps)
    new = data.draw(st.integers(0, len(story) - 1))
    known = [e for of_kind in walk_all(story[:new], RULES).values() for e in of_kind.episodes]
    start_ms = story[new].from_ms - look_back_ms(RULES)
    whole = walk_all(story, RULES)
    late = [e for e in known if e.ended_ms is None or e.ended_ms >= start_ms]
    earlier = [e for e in late if e.started_ms < start_ms]
    part = walk_all([span for span in story if span.to_ms >= start_ms], RULES, earlier, from_ms=start_ms)
    over = [e for e in known if e.ended_ms is not None and e.ended_ms < start_ms]
    assert [e for of_kind in whole.values() for e in of_kind.episodes] == sorted(
        [*over, *(e for of_kind in part.values() for e in of_kind.episodes)],
        key=lambda e: (DETECTED.index(e.kind), e.started_ms),
    )
    assert {kind: of_kind.now.phase for kind, of_kind in whole.items()} == {k: f.now.phase for k, f in part.items()}


def test_a_hold_down_of_days_is_looked_back_for() -> None:
    slow = replace(RULES, kinds=Kinds(disk_full=Rule(hold_down_s=3 * 86_400)))
    assert look_back_ms(slow) > 3 * 86_400_000


def test_faults_that_share_an_instant_overlap() -> None:
    one = Episode(kind=Kind.PORTAL_DOWN, started_ms=10, opened_ms=10, bad_ms=20, ended_ms=20)
    assert one.overlaps(20, 30) and one.overlaps(0, 10) and one.overlaps(0, None)
    assert not one.overlaps(21, 30) and not one.overlaps(0, 9) and not one.overlaps(21, None)
    assert CLEAR.phase is Phase.CLEAR
