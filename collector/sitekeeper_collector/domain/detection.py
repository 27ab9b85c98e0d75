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

from sitekeeper_collector.domain.marks import MARKED, bad_bits
from sitekeeper_collector.domain.rules import DETECTED, Each, Flapping, Rule, Rules
from sitekeeper_collector.domain.seen import NO_CONTEXT, NOWHERE, Context, Seen, seen
from sitekeeper_collector.domain.signs import VERDICT_KINDS, Disk, Sign, Signs
from sitekeeper_collector.domain.spans import Span
from sitekeeper_protocol.vocabulary import KIND_NUMBERS, Grade, Kind, Party, grade_of_number, party_of_number


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

    ``opened_ms`` is when its evidence had held for long enough; ``proof`` is the newest sample that shows it. ``opens``: how
    often the kind has opened within the time that counts for flapping, this time included.
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
    opens: int = 1

    def overlaps(self, from_ms: int, to_ms: int | None) -> bool:
        """Whether the two share an instant; ``None``: until now."""
        return (to_ms is None or self.started_ms <= to_ms) and (self.ended_ms is None or from_ms <= self.ended_ms)


class Count(NamedTuple):
    """That it happened ``times`` times from ``from_ms`` to ``to_ms``, in the class, boot or day ``unit``."""

    from_ms: int
    to_ms: int
    times: int
    unit: int


class Track(Struct, frozen=True, kw_only=True):
    """The state of one kind after a walk. ``seen_ms`` ends what was seen of its evidence without a gap.

    ``counted``: what counts towards its opening; ``unit`` is where the evidence seen last belongs, ``spoilt`` a class or day
    that shows the opposite, so that it does not count. ``openings``: when it opened lately.
    """

    phase: Phase = Phase.CLEAR
    since_ms: int = 0
    seen_ms: int = 0
    good_ms: int = 0
    episode: Episode | None = None
    counted: tuple[Count, ...] = ()
    unit: int = NOWHERE
    spoilt: int = NOWHERE
    openings: tuple[int, ...] = ()


CLEAR = Track()


class Found(NamedTuple):
    """What a walk comes to: the faults that opened, oldest first, and where the kind stands now."""

    episodes: tuple[Episode, ...]
    now: Track


def walk(kind: Kind, spans: Sequence[Span], rules: Rules, start: Track = CLEAR, context: Context = NO_CONTEXT) -> Found:
    """The faults of ``kind`` that ``spans``, sorted by time, show from ``start`` on."""
    rule = rules.of(kind)
    assert rule is not None, f"no rule for {kind}"
    step = Step(kind, rule, (rule.gap_s or rules.evidence_gap_s) * 1000, rules.flapping)
    track, ended = start, []
    for one in seen(kind, spans, rules, context):
        track = advance(track, one, step)
        if track.episode is not None and track.episode.ended_ms is not None:
            ended.append(track.episode)
            track = replace(track, episode=None)
    return Found(tuple(ended if track.episode is None else [*ended, track.episode]), track)


class Step(NamedTuple):
    """What a step of the machine goes by."""

    kind: Kind
    rule: Rule
    gap_ms: int
    flapping: Flapping


def advance(track: Track, one: Seen, by: Step) -> Track:
    """The state after one more piece of evidence. A fault that has just ended is in it for one step, with its end."""
    if one.said is Sign.BAD:
        return _worse(track, one, by)
    if one.said is Sign.GOOD:
        return _better(track, one, by)
    # Nothing can be told: a suspicion has nothing more to rest on, and a recovery does not go on.
    if track.phase is Phase.SUSPECTED:
        return replace(_clear(track), counted=track.counted) if by.rule.times > 1 else _clear(track)
    return replace(track, good_ms=0) if track.phase is Phase.RECOVERING else track


def _worse(track: Track, one: Seen, by: Step) -> Track:
    span = one.span
    if track.episode is not None:
        return _went_on(track, track.episode, span, by)
    if by.rule.times > 1 and one.unit != NOWHERE and one.unit == track.spoilt:
        return track
    goes_on = track.phase is Phase.SUSPECTED and span.from_ms - track.seen_ms <= by.gap_ms and track.unit == one.unit
    since_ms = track.since_ms if goes_on else span.from_ms
    suspected = replace(track, phase=Phase.SUSPECTED, since_ms=since_ms, seen_ms=span.to_ms, unit=one.unit)
    if span.to_ms - since_ms < by.rule.hold_down_s * 1000:
        return suspected
    held_ms = max(span.from_ms, since_ms + by.rule.hold_down_s * 1000)
    if by.rule.times == 1:
        return _opened(suspected, since_ms, held_ms, one, by)
    counted = _count(track.counted, since_ms, one, by.rule)
    if sum(count.times for count in counted) < by.rule.times:
        return replace(suspected, counted=counted)
    return _opened(suspected, counted[0].from_ms, held_ms, one, by)


def _count(counted: tuple[Count, ...], since_ms: int, one: Seen, rule: Rule) -> tuple[Count, ...]:
    """What counts now, oldest first: of a class, boot or day once, of samples each."""
    recent = tuple(count for count in counted if count.to_ms >= one.span.to_ms - rule.within_s * 1000)
    if rule.each is Each.SAMPLE:
        return (*recent, Count(one.span.from_ms, one.span.to_ms, one.times, one.unit))
    others = tuple(count for count in recent if count.unit != one.unit)
    before = next((count.from_ms for count in recent if count.unit == one.unit), since_ms)
    return (*others, Count(before, one.span.to_ms, 1, one.unit))


def _went_on(track: Track, episode: Episode, span: Span, by: Step) -> Track:
    party, grade = _told(by.kind, span)
    went_on = replace(
        episode,
        bad_ms=max(span.to_ms, episode.bad_ms),
        phase=Phase.OPEN,
        party=party or episode.party,
        grade=grade or episode.grade,
        proof=Proof(span.run, span.last),
    )
    return replace(track, phase=Phase.OPEN, good_ms=0, seen_ms=span.to_ms, episode=went_on)


def _opened(track: Track, since_ms: int, opened_ms: int, one: Seen, by: Step) -> Track:
    party, grade = _told(by.kind, one.span)
    lately = tuple(at_ms for at_ms in track.openings if opened_ms - at_ms <= by.flapping.within_s * 1000)
    opened = Episode(
        kind=by.kind,
        started_ms=since_ms,
        opened_ms=opened_ms,
        bad_ms=one.span.to_ms,
        party=party,
        grade=grade,
        proof=Proof(one.span.run, one.span.last),
        opens=len(lately) + 1,
    )
    return Track(phase=Phase.OPEN, since_ms=since_ms, seen_ms=one.span.to_ms, episode=opened, openings=(*lately, opened_ms))


def _told(kind: Kind, span: Span) -> tuple[Party | None, Grade | None]:
    """Whose job the verdict says it is, and how sure it is, if it is this kind that the verdict names."""
    if span.signs.kind != KIND_NUMBERS[kind]:
        return None, None
    return party_of_number(span.signs.party), grade_of_number(span.signs.grade)


def _better(track: Track, one: Seen, by: Step) -> Track:
    span = one.span
    if track.episode is None:
        return _not_there(track, one, by.rule)
    goes_on = track.phase is Phase.RECOVERING and track.good_ms and span.from_ms - track.seen_ms <= by.gap_ms
    good_ms = track.good_ms if goes_on else span.from_ms
    if span.to_ms - good_ms >= 1000 * _hold_up_s(track.episode, by):
        ended = replace(track.episode, phase=Phase.CLEAR, ended_ms=max(good_ms, track.episode.started_ms))
        return Track(episode=ended, spoilt=one.unit, openings=track.openings)
    # Where a moment is enough, as with an error of a disk, what is good just after it does not put the fault in doubt.
    momentary = by.rule.hold_down_s == 0
    recovering = replace(track.episode, phase=Phase.OPEN if momentary else Phase.RECOVERING)
    return replace(track, phase=Phase.RECOVERING, good_ms=good_ms, seen_ms=span.to_ms, episode=recovering)


def _hold_up_s(episode: Episode, by: Step) -> int:
    flaps = episode.opens >= by.flapping.opens
    return max(by.rule.hold_up_s, by.flapping.hold_up_s) if flaps else by.rule.hold_up_s


def _not_there(track: Track, one: Seen, rule: Rule) -> Track:
    """What was suspected is not there now, and what of the count stands all the same."""
    if rule.times == 1:
        return _clear(track)
    if rule.each is Each.SAMPLE:
        recent = tuple(count for count in track.counted if count.to_ms >= one.span.to_ms - rule.within_s * 1000)
        phase = Phase.SUSPECTED if recent else Phase.CLEAR
        return replace(_clear(track), phase=phase, counted=recent)
    if rule.each is Each.BOOT and track.counted and track.counted[-1].unit == one.unit:
        # A clock that was wrong at the start has been put right meanwhile.
        return track
    return replace(_clear(track), spoilt=NOWHERE if rule.each is Each.BOOT else one.unit)


def _clear(track: Track) -> Track:
    return Track(openings=track.openings)


def at_start(episode: Episode, from_ms: int, openings: tuple[int, ...] = ()) -> Track:
    """Where a walk over spans that end at ``from_ms`` or later begins, within ``episode``, a fault known from before."""
    # What was seen of it later is seen again, unless better evidence has taken its place.
    bad_ms = min(episode.bad_ms, from_ms)
    open_one = replace(episode, phase=Phase.OPEN, ended_ms=None, bad_ms=bad_ms)
    return Track(phase=Phase.OPEN, since_ms=episode.started_ms, seen_ms=bad_ms, episode=open_one, openings=openings)


WALKED: tuple[Kind, ...] = tuple(
    kind for kind in DETECTED if kind in VERDICT_KINDS or kind in MARKED or kind in (Kind.DISK_FULL, Kind.RESTARTING)
)
"""The kinds that a site's own record proves."""
_QUICK_MS = 4 * 3_600_000


def look_back_of(kind: Kind, rules: Rules) -> int:
    """How long before the first sample that is new a walk must begin, so that what it finds does not depend on where it begins.

    Longer than a suspicion or a recovery that has not come to its end can be. Whatever began before that is a known fault.
    """
    rule = rules.of(kind)
    assert rule is not None, f"no rule for {kind}"
    holds_s = max(rule.hold_down_s, rule.hold_up_s, rules.flapping.hold_up_s, rule.within_s if rule.times > 1 else 0)
    return 2000 * (holds_s + (rule.gap_s or rules.evidence_gap_s))


def quick_kinds(rules: Rules) -> tuple[Kind, ...]:
    """The kinds of which the last hours tell all; the others need days or weeks to show."""
    return tuple(kind for kind in WALKED if look_back_of(kind, rules) <= _QUICK_MS)


class Group(NamedTuple):
    """Kinds that are walked together, because they need about the same look back."""

    kinds: tuple[Kind, ...]
    look_back_ms: int
    bits: int
    """Of the marks of these kinds, those that say that one is there."""
    numbers: frozenset[int]
    """Of these kinds, those that a verdict names."""

    def named_by(self, signs: Signs) -> bool:
        """Whether a sample says of any of these kinds that it is there."""
        full = signs.disk == Disk.FULL.value and Kind.DISK_FULL in self.kinds
        counts = signs.io_errors > 0 and Kind.DISK_FAILING in self.kinds
        return bool(signs.marks & self.bits or signs.kind in self.numbers or full or counts)


def groups(rules: Rules) -> tuple[Group, Group]:
    """The quick kinds, and those that need days or weeks to show."""
    quick = quick_kinds(rules)
    slow = tuple(kind for kind in WALKED if kind not in quick)
    first, second = (
        Group(
            kinds, look_back_ms(rules, kinds), bad_bits(kinds), frozenset(KIND_NUMBERS[k] for k in kinds if k in VERDICT_KINDS)
        )
        for kinds in (quick, slow)
    )
    return first, second


def look_back_ms(rules: Rules, kinds: Sequence[Kind] = WALKED) -> int:
    """The longest look back that any of ``kinds`` needs."""
    return max((look_back_of(kind, rules) for kind in kinds), default=0)


def walk_all(
    spans: Sequence[Span],
    rules: Rules,
    known: Iterable[Episode] = (),
    *,
    from_ms: int = 0,
    kinds: Sequence[Kind] = WALKED,
    context: Context = NO_CONTEXT,
) -> dict[Kind, Found]:
    """``kinds`` over one site's spans: those that end at ``from_ms`` or later.

    ``known``: faults that had begun before ``from_ms``, back to one time of flapping before it.
    """
    ordered = sorted(spans, key=lambda span: (span.from_ms, span.to_ms, span.run))
    starts = _starts([episode for episode in known if episode.started_ms < from_ms], from_ms)
    return {kind: walk(kind, ordered, rules, starts.get(kind, CLEAR), context) for kind in kinds}


def _starts(known: Sequence[Episode], from_ms: int) -> dict[Kind, Track]:
    openings: dict[Kind, tuple[int, ...]] = {}
    for episode in sorted(known, key=lambda one: one.opened_ms):
        openings[episode.kind] = (*openings.get(episode.kind, ()), episode.opened_ms)
    starts = {kind: Track(openings=its) for kind, its in openings.items()}
    for episode in known:
        if episode.ended_ms is None or episode.ended_ms >= from_ms:
            starts[episode.kind] = at_start(episode, from_ms, openings[episode.kind])
    return starts
