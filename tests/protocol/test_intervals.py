"""Intervals are a set of numbers, whatever is done to them."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sitekeeper_protocol.intervals import Intervals

NUMBER = st.integers(0, 60)
SPAN = st.tuples(NUMBER, NUMBER).map(lambda pair: (min(pair), max(pair)))


class AgainstASet(RuleBasedStateMachine):
    """Each operation on intervals and on a plain set side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.intervals = Intervals()
        self.model: set[int] = set()

    @rule(span=SPAN)
    def add(self, span: tuple[int, int]) -> None:
        self.intervals.add(*span)
        self.model |= set(range(span[0], span[1] + 1))

    @rule(number=NUMBER)
    def add_one(self, number: int) -> None:
        self.intervals.add(number)
        self.model.add(number)

    @rule(spans=st.lists(SPAN, max_size=4))
    def update(self, spans: list[tuple[int, int]]) -> None:
        self.intervals.update(Intervals(spans))
        self.model.update(number for first, last in spans for number in range(first, last + 1))

    @rule(span=SPAN)
    def discard(self, span: tuple[int, int]) -> None:
        self.intervals.discard(*span)
        self.model -= set(range(span[0], span[1] + 1))

    @rule(span=SPAN)
    def a_copy_is_independent(self, span: tuple[int, int]) -> None:
        twin = self.intervals.copy()
        assert twin == self.intervals
        twin.add(*span)
        twin.discard(0, 3)

    @rule(span=SPAN)
    def missing(self, span: tuple[int, int]) -> None:
        gaps = self.intervals.missing(*span)
        assert {n for first, last in gaps for n in range(first, last + 1)} == set(range(span[0], span[1] + 1)) - self.model
        assert Intervals(gaps) == Intervals(sorted(gaps)), "gaps do not touch"
        assert len(Intervals(gaps)) == len(gaps)

    @rule(span=SPAN)
    def covers(self, span: tuple[int, int]) -> None:
        assert self.intervals.covers(*span) == (set(range(span[0], span[1] + 1)) <= self.model)

    @rule(number=NUMBER)
    def contains(self, number: int) -> None:
        assert (number in self.intervals) == (number in self.model)

    @invariant()
    def same_members(self) -> None:
        spans = list(self.intervals)
        assert {n for first, last in spans for n in range(first, last + 1)} == self.model
        assert self.intervals.count == len(self.model)
        assert bool(self.intervals) == bool(self.model)
        assert len(self.intervals) == len(spans)

    @invariant()
    def sorted_disjoint_and_apart(self) -> None:
        spans = list(self.intervals)
        assert all(first <= last for first, last in spans)
        assert all(before[1] + 1 < after[0] for before, after in pairwise(spans))

    @invariant()
    def through_is_the_end_of_the_row_that_begins_at_one(self) -> None:
        expected = 0
        while expected + 1 in self.model:
            expected += 1
        assert self.intervals.through == expected


TestAgainstASet = AgainstASet.TestCase


@given(st.lists(SPAN))
def test_the_order_of_adding_does_not_matter(spans: list[tuple[int, int]]) -> None:
    assert Intervals(spans) == Intervals(reversed(spans))


def test_through_counts_a_zero_in_front() -> None:
    assert Intervals([(0, 5)]).through == 5


def test_a_reversed_interval_is_refused() -> None:
    with pytest.raises(ValueError, match=r"interval 5\.\.4 is reversed"):
        Intervals().add(5, 4)


def test_huge_intervals_cost_nothing() -> None:
    most = Intervals([(1, 2**53)])
    most.discard(1_000, 1_000)
    assert most.missing(1, 2**53) == [(1_000, 1_000)]
    assert most.count == 2**53 - 1


def test_a_hundred_thousand_samples_in_order_stays_one_interval() -> None:
    held = Intervals()
    for number in range(1, 100_001):
        held.add(number)
    assert list(held) == [(1, 100_000)]


def test_intervals_are_readable_and_not_hashable() -> None:
    assert repr(Intervals([(1, 3), (7, 7)])) == "Intervals(1..3, 7)"
    unhashable: Any = Intervals()
    with pytest.raises(TypeError):
        hash(unhashable)
