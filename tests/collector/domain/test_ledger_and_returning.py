"""The ledger's picture covers every instant once, whoever claims what; and what it says of a silence."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitekeeper_collector.domain.ledger import (
    Claim,
    Marker,
    Segment,
    Source,
    Was,
    claims_of_markers,
    claims_of_spans,
    partition,
    was,
)
from sitekeeper_collector.domain.returning import Outcome, explain
from sitekeeper_collector.domain.rules import Rules
from sitekeeper_collector.domain.signs import Signs
from sitekeeper_collector.domain.spans import Span
from sitekeeper_protocol.messages import PowerEvent
from sitekeeper_protocol.vocabulary import GRADE_NUMBERS, KIND_NUMBERS, PARTY_NUMBERS, Grade, Kind, Party, Rung, State

MINUTE_MS = 60_000
_claims = st.lists(
    st.builds(
        Claim,
        st.integers(0, 60),
        st.none() | st.integers(0, 70),
        st.sampled_from(Was),
        st.sampled_from(Source),
        st.sampled_from([None, Kind.LINE_DOWN, Kind.LINK_DOWN]),
        st.sampled_from([None, *Party]),
    ),
    max_size=20,
)


def _at(claims: list[Claim], instant: int) -> tuple[Was, Source | None]:
    """By looking at every claim: the surest word, and in it the first state of the list."""
    holding = [c for c in claims if c.from_ms <= instant and (c.to_ms is None or instant < c.to_ms)]
    if not holding:
        return Was.UNKNOWN, None
    best = min(holding, key=lambda c: (list(Source).index(c.source), list(Was).index(c.was)))
    return best.was, best.source


@given(claims=_claims, from_ms=st.integers(-5, 40), length=st.integers(0, 40))
def test_the_picture_is_an_exact_cover_by_the_surest_claim(claims: list[Claim], from_ms: int, length: int) -> None:
    picture = partition(claims, from_ms, from_ms + length)
    assert sum(segment.duration_ms for segment in picture) == length
    assert [s.from_ms for s in picture[1:]] == [s.to_ms for s in picture[:-1]]
    assert all(left[2:] != right[2:] for left, right in pairwise(picture))
    if picture:
        assert (picture[0].from_ms, picture[-1].to_ms) == (from_ms, from_ms + length)
    found = {at: (s.was, s.source) for s in picture for at in range(s.from_ms, s.to_ms)}
    assert found == {at: _at(claims, at) for at in range(from_ms, from_ms + length)}


@given(claims=_claims, data=st.data())
def test_the_picture_does_not_depend_on_the_order_of_the_claims(claims: list[Claim], data: st.DataObject) -> None:
    mixed = data.draw(st.permutations(claims + claims[:3]))
    assert partition(mixed, 0, 60) == partition(claims, 0, 60)


@given(claims=_claims, until=st.integers(5, 50))
def test_a_claim_that_grows_leaves_the_time_before_it_as_it_was(claims: list[Claim], until: int) -> None:
    before = [*claims, Claim(0, 5, Was.OFF, Source.SITE)]
    after = [*claims, Claim(0, until, Was.OFF, Source.SITE)]
    assert partition(before, 0, 5) == partition(after, 0, 5)
    assert partition(before, until, 60) == partition(after, until, 60)


@pytest.mark.parametrize(
    ("kind", "rung", "expected"),
    [
        (Kind.LINK_DOWN, Rung.LINK, Was.LINK),
        (Kind.NO_ADDRESS, Rung.ADDRESS, Was.LINK),
        (Kind.GATEWAY_DOWN, Rung.GATEWAY, Was.GATEWAY),
        (Kind.MODEM_DOWN, Rung.MODEM, Was.GATEWAY),
        (Kind.LINE_DOWN, Rung.ISP, Was.LINE),
        (Kind.DNS_FAILURE, Rung.DNS, Was.LINE),
        (Kind.PORTAL_DOWN, Rung.PORTAL, Was.PLATFORM),
        (Kind.MEDIA_DOWN, Rung.MEDIA, Was.PLATFORM),
        (None, Rung.GATEWAY, Was.GATEWAY),
        (Kind.PLAYBACK_FAILURE, Rung.MEDIA, Was.PLATFORM),
        (None, 0, Was.UNKNOWN),
    ],
)
def test_how_a_site_was_by_the_rung_that_fails(kind: Kind | None, rung: int, expected: Was) -> None:
    assert was(Signs(State.FAIL, rung, KIND_NUMBERS[kind] if kind else 0)) is expected


# --- a site's own record -----------------------------------------------------------------------------------------------

UP = Signs(State.OK)
DOWN = Signs(State.FAIL, Rung.ISP, KIND_NUMBERS[Kind.LINE_DOWN], PARTY_NUMBERS[Party.TELECOM], GRADE_NUMBERS[Grade.PROVEN])


def test_a_sample_speaks_until_the_next_of_its_run_if_that_comes_within_the_gap() -> None:
    spans = [Span(1, 1, 3, 0, 100, UP), Span(1, 4, 4, 160, 160, DOWN), Span(1, 5, 5, 400, 400, UP), Span(2, 1, 1, 420, 430, UP)]
    found = claims_of_spans(spans, 100)
    assert [(c.from_ms, c.to_ms, c.was) for c in found] == [
        (0, 160, Was.UP),
        (160, 160, Was.LINE),
        (400, 400, Was.UP),
        (420, 430, Was.UP),
    ]


def marker(at_ms: int, what: PowerEvent, run: int = 2, *, about_run: int = 0, last_ms: int = 0, boot_ms: int = 0) -> Marker:
    return Marker(run, 1, at_ms, what, "", about_run, last_ms, boot_ms)


@pytest.mark.parametrize(
    ("markers", "spans", "ends", "expected"),
    [
        ([marker(10, PowerEvent.GOODBYE, 1), marker(50, PowerEvent.STARTED)], [], {}, (10, 50, Was.OFF)),
        ([marker(10, PowerEvent.SUSPENDED), marker(50, PowerEvent.RESUMED)], [], {}, (10, 50, Was.OFF)),
        ([marker(10, PowerEvent.GOODBYE, 1)], [], {}, (10, None, Was.OFF)),
        ([marker(10, PowerEvent.GOODBYE, 1)], [Span(2, 1, 1, 40, 60, UP)], {}, (10, 40, Was.OFF)),
        ([marker(90, PowerEvent.POWER_LOST, about_run=1, boot_ms=80)], [], {1: 20}, (20, 80, Was.POWER_LOST)),
        ([marker(90, PowerEvent.POWER_LOST, about_run=1, boot_ms=80, last_ms=30)], [], {1: 20}, (30, 80, Was.POWER_LOST)),
        # Fast Startup: the boot-time clock goes on over the shutdown.
        ([marker(90, PowerEvent.POWER_LOST, about_run=1, boot_ms=5)], [], {1: 20}, (20, 90, Was.POWER_LOST)),
    ],
)
def test_what_starts_and_goodbyes_claim(
    markers: list[Marker], spans: list[Span], ends: dict[int, int], expected: tuple[int, int | None, Was]
) -> None:
    for given_markers in (markers, markers[::-1]):
        [claim] = claims_of_markers(given_markers, spans, ends)
        assert (claim.from_ms, claim.to_ms, claim.was) == expected


def test_a_loss_of_power_of_a_run_that_nothing_is_known_of_claims_nothing() -> None:
    assert claims_of_markers([marker(90, PowerEvent.POWER_LOST, about_run=1)], [], {}) == []


# --- what a picture says of a silence ----------------------------------------------------------------------------------


def picture(*parts: tuple[int, Was]) -> list[Segment]:
    """Lengths in minutes; what nobody claims is unknown, all else is by the site's own word."""
    found, at_ms = [], 0
    for minutes, state in parts:
        until_ms = at_ms + minutes * MINUTE_MS
        kind = Kind.LINE_DOWN if state is Was.LINE else Kind.PORTAL_DOWN if state is Was.PLATFORM else None
        found.append(Segment(at_ms, until_ms, state, None if state is Was.UNKNOWN else Source.SITE, kind, Party.TELECOM))
        at_ms = until_ms
    return found


@pytest.mark.parametrize(
    ("parts", "blind_min", "expected"),
    [
        ([(60, Was.UNKNOWN)], 0, Outcome.WAITING),
        ([(20, Was.LINE), (40, Was.UNKNOWN)], 0, Outcome.WAITING),
        ([(50, Was.LINE), (10, Was.UNKNOWN)], 0, Outcome.FAULT),
        ([(2, Was.UP), (4, Was.UNKNOWN)], 0, Outcome.WAITING),
        ([(4, Was.POWER_LOST), (2, Was.UNKNOWN)], 0, Outcome.POWER),
        ([(55, Was.POWER_LOST), (5, Was.UNKNOWN)], 0, Outcome.POWER),
        ([(6, Was.LINE), (54, Was.POWER_LOST)], 0, Outcome.POWER),
        ([(60, Was.OFF)], 0, Outcome.OFF),
        ([(35, Was.LINE), (25, Was.OFF)], 0, Outcome.FAULT),
        ([(60, Was.UP)], 0, Outcome.BLOCKED),
        ([(30, Was.UP)], 0, Outcome.BLOCKED),
        ([(29, Was.UP)], 0, Outcome.SHORT),
        ([(60, Was.PLATFORM)], 0, Outcome.BLOCKED),
        ([(60, Was.UP)], 40, Outcome.OURSELVES),
        ([(60, Was.DEGRADED)], 10, Outcome.BLOCKED),
    ],
)
def test_the_reason_for_a_silence(parts: list[tuple[int, Was]], blind_min: int, expected: Outcome) -> None:
    segments = picture(*parts)
    now_ms = segments[-1].to_ms + MINUTE_MS
    assert explain(segments, Rules(), now_ms, blind_ms=blind_min * MINUTE_MS).outcome is expected
    later = explain(segments, Rules(), now_ms + 30 * MINUTE_MS, blind_ms=blind_min * MINUTE_MS).outcome
    assert later is (Outcome.UNEXPLAINED if expected is Outcome.WAITING else expected)


def test_a_fault_is_told_with_its_kind_party_and_times() -> None:
    found = explain(picture((5, Was.UP), (20, Was.LINE), (2, Was.UP), (30, Was.LINE)), Rules(), 10**9)
    assert (found.kind, found.party) == (Kind.LINE_DOWN, Party.TELECOM)
    assert (found.from_ms, found.to_ms) == (5 * MINUTE_MS, 57 * MINUTE_MS)


def test_no_time_at_all_is_short() -> None:
    assert explain([], Rules(), 0).outcome is Outcome.SHORT
