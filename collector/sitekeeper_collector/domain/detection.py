"""From what samples say to faults that open and end: one small state machine for all kinds.

    clear -> suspected -> open -> recovering -> clear
               |           ^         |
               v           +---------+
             clear

It walks over the spans of a site in the order of time. What it finds depends on them and on the rule alone, so samples that
come late, twice or in disorder come to the same faults: whoever has more spans walks again.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum, unique
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from sitekeeper_collector.domain.rules import DETECTED, Rule, Rules
from sitekeeper_collector.domain.signs import LADDER_KINDS, Sign, sign
from sitekeeper_collector.domain.spans import Span
from sitekeeper_protocol.vocabulary import Grade, Kind, Party, grade_of_number, party_of_number


@unique
class Phase(StrEnum):
    """Where a kind of fault stands at a site."""

    CLEAR = "clear"
    SUSPECTED = "suspected"
    OPEN = "open"
    RECOVERING = "recovering"


class Proof(NamedTuple):
    """The sample that shows a fault: its run and number."""

    run: int
    sequence: int


class Episode(Struct, frozen=True, kw_only=True):
    """One fault, from its first sample to the first that shows it over (``ended_ms`` is ``None`` while it lasts).

    ``opened_ms`` is when its evidence had held for long enough; ``proof`` is the newest sample that shows it.
    """

    kind: Kind
    started_ms: int
    opened_ms: int
    bad_ms: int
    ended_ms: int | None = None
    phase: Phase = Phase.OPEN
    party: Party | None = None
    grade: Grade | None = None
    proof: Proof = Proof(0, 0)

    def overlaps(self, from_ms: int, to_ms: int | None) -> bool:
        """Whether the two share an instant; ``None``: until now."""
        return (to_ms is None or self.started_ms <= to_ms) and (self.ended_ms is None or from_ms <= self.ended_ms)


class Track(Struct, frozen=True, kw_only=True):
    """The state of one kind after a walk. ``seen_ms`` ends what was seen of its evidence without a gap."""

    phase: Phase = Phase.CLEAR
    since_ms: int = 0
    seen_ms: int = 0
    good_ms: int = 0
    episode: Episode | None = None


CLEAR = Track()


class Found(NamedTuple):
    """What a walk comes to: the faults that opened, oldest first, and where the kind stands now."""

    episodes: tuple[Episode, ...]
    now: Track


def walk(kind: Kind, spans: Sequence[Span], rules: Rules, start: Track = CLEAR) -> Found:
    """The faults of ``kind`` that ``spans``, sorted by time, show from ``start`` on."""
    rule = rules.of(kind)
    assert rule is not None, f"no rule for {kind}"
    gap_ms = rules.evidence_gap_s * 1000
    track, ended = start, []
    for span in spans:
        track = advance(track, kind, span, rule, gap_ms)
        if track.episode is not None and track.episode.ended_ms is not None:
            ended.append(track.episode)
            track = CLEAR
    return Found(tuple(ended if track.episode is None else [*ended, track.episode]), track)


def advance(track: Track, kind: Kind, span: Span, rule: Rule, gap_ms: int) -> Track:
    """The state after one more span. A fault that has just ended is in it for one step, with its end."""
    said = sign(kind, span.signs)
    if said is Sign.BAD:
        return _worse(track, kind, span, rule, gap_ms)
    if said is Sign.GOOD:
        return _better(track, span, rule, gap_ms)
    # Nothing can be told: a suspicion has nothing more to rest on, and a recovery does not go on.
    if track.phase is Phase.SUSPECTED:
        return CLEAR
    return replace(track, good_ms=0) if track.phase is Phase.RECOVERING else track


def _worse(track: Track, kind: Kind, span: Span, rule: Rule, gap_ms: int) -> Track:
    party, grade = party_of_number(span.signs.party), grade_of_number(span.signs.grade)
    proof = Proof(span.run, span.last)
    if track.episode is not None:
        went_on = replace(
            track.episode,
            bad_ms=max(span.to_ms, track.episode.bad_ms),
            phase=Phase.OPEN,
            party=party or track.episode.party,
            grade=grade or track.episode.grade,
            proof=proof,
        )
        return replace(track, phase=Phase.OPEN, good_ms=0, seen_ms=span.to_ms, episode=went_on)
    goes_on = track.phase is Phase.SUSPECTED and span.from_ms - track.seen_ms <= gap_ms
    since_ms = track.since_ms if goes_on else span.from_ms
    if span.to_ms - since_ms < rule.hold_down_s * 1000:
        return Track(phase=Phase.SUSPECTED, since_ms=since_ms, seen_ms=span.to_ms)
    opened = Episode(
        kind=kind,
        started_ms=since_ms,
        opened_ms=max(span.from_ms, since_ms + rule.hold_down_s * 1000),
        bad_ms=span.to_ms,
        party=party,
        grade=grade,
        proof=proof,
    )
    return Track(phase=Phase.OPEN, since_ms=since_ms, seen_ms=span.to_ms, episode=opened)


def _better(track: Track, span: Span, rule: Rule, gap_ms: int) -> Track:
    if track.episode is None:
        return CLEAR
    goes_on = track.phase is Phase.RECOVERING and track.good_ms and span.from_ms - track.seen_ms <= gap_ms
    good_ms = track.good_ms if goes_on else span.from_ms
    if span.to_ms - good_ms >= rule.hold_up_s * 1000:
        ended = replace(track.episode, phase=Phase.CLEAR, ended_ms=max(good_ms, track.episode.started_ms))
        return Track(episode=ended)
    recovering = replace(track.episode, phase=Phase.RECOVERING)
    return replace(track, phase=Phase.RECOVERING, good_ms=good_ms, seen_ms=span.to_ms, episode=recovering)


def at_start(episode: Episode, from_ms: int) -> Track:
    """Where a walk over spans that end at ``from_ms`` or later begins, within ``episode``, a fault known from before."""
    # What was seen of it later is seen again, unless better evidence has taken its place.
    bad_ms = min(episode.bad_ms, from_ms)
    open_one = replace(episode, phase=Phase.OPEN, ended_ms=None, bad_ms=bad_ms)
    return Track(phase=Phase.OPEN, since_ms=episode.started_ms, seen_ms=bad_ms, episode=open_one)


def look_back_ms(rules: Rules) -> int:
    """How long before the first sample that is new a walk must begin, so that what it finds does not depend on where it begins.

    Longer than a suspicion or a recovery that has not come to its end can be. Whatever began before that is a known fault.
    """
    holds_s = [max(rule.hold_down_s, rule.hold_up_s) for kind in WALKED if (rule := rules.of(kind)) is not None]
    return 2000 * (max(holds_s) + rules.evidence_gap_s)


WALKED: tuple[Kind, ...] = tuple(kind for kind in DETECTED if kind in LADDER_KINDS or kind is Kind.DISK_FULL)
"""The kinds that samples alone prove."""


def walk_all(spans: Sequence[Span], rules: Rules, known: Iterable[Episode] = (), *, from_ms: int = 0) -> dict[Kind, Found]:
    """All kinds over one site's spans: those that end at ``from_ms`` or later.

    ``known``: faults that had begun before ``from_ms`` and were not over then.
    """
    ordered = sorted(spans, key=lambda span: (span.from_ms, span.to_ms, span.run))
    starts = {episode.kind: at_start(episode, from_ms) for episode in known}
    return {kind: walk(kind, ordered, rules, starts.get(kind, CLEAR)) for kind in WALKED}
