"""Playback: failures, stalls (rebuffering ratio by CTA-2066), players that are gone or hang, and a PC too busy to play."""

from collections.abc import Mapping, Sequence

from sitekeeper_collector.domain.evidence.thresholds import Edges, Thresholds
from sitekeeper_collector.domain.marks import Level, mark
from sitekeeper_protocol.vocabulary import METRICS as FACTS
from sitekeeper_protocol.vocabulary import Kind, Metric, PlayerState, Rung, State

METRICS: frozenset[int] = frozenset(
    {
        Metric.PLAYER_STATE.value,
        Metric.PLAYER_PLAY_S.value,
        Metric.PLAYER_STALL_S.value,
        Metric.PLAYER_FAILURES.value,
        Metric.EQUIPMENT_PRESENT.value,
    }
)
WHILE_STALLING: frozenset[int] = frozenset({Metric.CPU_RATIO.value, Metric.MEMORY_AVAILABLE_RATIO.value})
"""Looked at only in samples in which something stalled."""
_MEDIA = f"/{Rung.MEDIA.name.lower()}"
_CLEAN_STEPS = 10
"""A second of play, in steps of ``player_play_s``: less is a beginning and proves nothing."""


def edges() -> Edges:
    """How long something played changes all the time; that it did is what counts."""
    return {Metric.PLAYER_PLAY_S.value: (_CLEAN_STEPS,)}


def marks(values: Mapping[int, Sequence[tuple[str, int]]], limit: Thresholds, *, well: bool) -> int:
    """Marks of the kinds of this family; nothing where no player is watched."""
    states = values.get(Metric.PLAYER_STATE, ())
    found = _missing(states, values.get(Metric.EQUIPMENT_PRESENT, ()))
    if not states:
        return found
    played = max((steps for _, steps in values.get(Metric.PLAYER_PLAY_S, ())), default=0)
    stalled = _sum(values, Metric.PLAYER_STALL_S)
    hung = sum(state in (PlayerState.HUNG, PlayerState.RESTARTING) for _, state in states)
    failures = _sum(values, Metric.PLAYER_FAILURES) + hung
    streams = [state for name, state in values.get(Metric.RUNG_STATE, ()) if _MEDIA in name]
    if failures:
        # While the line or the stream itself fails, the player is not to blame.
        if well and State.FAIL not in streams:
            found |= mark(Kind.PLAYBACK_FAILURE, Level.WORSE if failures > 1 else Level.BAD)
    elif played >= _CLEAN_STEPS:
        found |= mark(Kind.PLAYBACK_FAILURE, Level.GOOD)
    return found | _stalling(values, limit, played, stalled)


def _stalling(values: Mapping[int, Sequence[tuple[str, int]]], limit: Thresholds, played: int, stalled: int) -> int:
    whole = _sum(values, Metric.PLAYER_PLAY_S) + stalled if stalled else played
    if whole < _CLEAN_STEPS:
        return 0
    ratio = stalled / whole
    if ratio < limit.stalled_ratio:
        return mark(Kind.PLAYBACK_STALLING, Level.GOOD) | mark(Kind.OVERLOADED, Level.GOOD)
    found = mark(Kind.PLAYBACK_STALLING, Level.WORSE if ratio >= limit.stalled_badly_ratio else Level.BAD)
    cpu, memory = values.get(Metric.CPU_RATIO), values.get(Metric.MEMORY_AVAILABLE_RATIO)
    busy = cpu and cpu[0][1] * FACTS[Metric.CPU_RATIO].step >= limit.cpu_ratio
    short = memory and memory[0][1] * FACTS[Metric.MEMORY_AVAILABLE_RATIO].step < limit.memory_available_ratio
    return found | mark(Kind.OVERLOADED, Level.BAD if busy or short else Level.UNKNOWN)


def _missing(states: Sequence[tuple[str, int]], items: Sequence[tuple[str, int]]) -> int:
    """A player that hangs or begins again and again is no player; one that does not run is missing only in a class."""
    said = [state for _, state in states if state != PlayerState.UNKNOWN]
    programs = [there for name, there in items if name.startswith("process/")]
    if not said and not programs:
        return 0
    if said and all(state in (PlayerState.HUNG, PlayerState.RESTARTING) for state in said):
        return mark(Kind.PLAYER_MISSING, Level.WORSE)
    absent = (said and all(state == PlayerState.ABSENT for state in said)) or 0 in programs
    return mark(Kind.PLAYER_MISSING, Level.BAD if absent else Level.GOOD)


def _sum(values: Mapping[int, Sequence[tuple[str, int]]], metric: Metric) -> int:
    return sum(value for _, value in values.get(metric, ()))
