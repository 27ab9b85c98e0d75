"""Consecutive samples of one run that say the same, as spans: the site's own record of its time, in its shortest form.

The form depends on the samples alone, not on the order in which they came: within a run they are numbered, and each is taken in
once, so that a new one can only prolong a span, join two, or stand for itself.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sitekeeper_collector.domain.signs import Signs


class Observed(NamedTuple):
    """A sample whose time is known."""

    sequence: int
    at_ms: int
    signs: Signs


class Span(NamedTuple):
    """Samples ``first`` to ``last`` of ``run``, all with the same signs, none further from the one before than the gap."""

    run: int
    first: int
    last: int
    from_ms: int
    to_ms: int
    signs: Signs


def spans_of(run: int, observed: Iterable[Observed], gap_ms: int) -> list[Span]:
    """The spans of samples in the order of their numbers."""
    found: list[Span] = []
    for sequence, at_ms, signs in observed:
        _append(found, Span(run, sequence, sequence, at_ms, at_ms, signs), gap_ms)
    return found


def joined(left: Span, right: Span, gap_ms: int) -> Span | None:
    """Both as one, if they are one: next to each other in number and time, and alike."""
    if right.first != left.last + 1 or right.signs != left.signs or right.run != left.run:
        return None
    if not 0 <= right.from_ms - left.to_ms <= gap_ms:
        return None
    return left._replace(last=right.last, to_ms=right.to_ms)


def woven(known: Sequence[Span], new: Sequence[Span], gap_ms: int) -> list[Span]:
    """Spans of one run, all together, as if their samples had come in order. Their numbers must not overlap."""
    found: list[Span] = []
    for span in sorted((*known, *new), key=lambda s: s.first):
        _append(found, span, gap_ms)
    return found


def _append(spans: list[Span], span: Span, gap_ms: int) -> None:
    both = joined(spans[-1], span, gap_ms) if spans else None
    if both is None:
        spans.append(span)
    else:
        spans[-1] = both
