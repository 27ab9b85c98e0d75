"""The equipment: disks, displays, sound, heat, and whatever the configuration expects to be there."""

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from sitekeeper_agent.platform import PlatformUnsupported, equipment, system_volume
from sitekeeper_agent.platform.equipment_facts import Disk, Display
from sitekeeper_agent.probes.host import volume_of
from sitekeeper_agent.probes.probe import MAX_TARGET, Context, Findings
from sitekeeper_protocol.messages import Scalar, SeriesKey
from sitekeeper_protocol.vocabulary import Metric, to_wire

_MOST_FACT = 300
_NO_VALUES: Mapping[SeriesKey, int] = MappingProxyType({})
_NO_FACTS: Mapping[str, Scalar] = MappingProxyType({})
_NO_COUNTERS: Mapping[str, int] = MappingProxyType({})
_NO_ITEMS: Mapping[str, bool] = MappingProxyType({})


class _Part(NamedTuple):
    """What one part of the equipment came to; ``items`` are expected ones by sort and name, there or not."""

    values: Mapping[SeriesKey, int] = _NO_VALUES
    facts: Mapping[str, Scalar] = _NO_FACTS
    counters: Mapping[str, int] = _NO_COUNTERS
    items: Mapping[str, bool] = _NO_ITEMS


def probe(context: Context) -> Findings:
    """Look at everything; what this machine can't tell of is left out."""
    now_ms = time.monotonic_ns() // 1_000_000
    parts = [_asked(part, context, now_ms) for part in _PARTS]
    items = {name: there for part in parts for name, there in part.items.items()}
    values = {key: value for part in parts for key, value in part.values.items()} | _of_items(items)
    facts = {name: fact for part in parts for name, fact in part.facts.items()}
    return Findings((), values, facts, {name: count for part in parts for name, count in part.counters.items()})


def _asked(part: "Callable[[Context, int], _Part]", context: Context, now_ms: int) -> _Part:
    try:
        return part(context, now_ms)
    except PlatformUnsupported:
        return _Part()


def _key(metric: Metric, instance: str = "") -> SeriesKey:
    return metric.value, instance[:MAX_TARGET]


def _of_items(items: Mapping[str, bool]) -> dict[SeriesKey, int]:
    """One series for each item, and two that sum them up; none of them where nothing is expected."""
    if not items:
        return {}
    values = {_key(Metric.EQUIPMENT_PRESENT, name): int(there) for name, there in items.items()}
    values[_key(Metric.EQUIPMENT_EXPECTED)] = len(items)
    values[_key(Metric.EQUIPMENT_ABSENT)] = sum(not there for there in items.values())
    return values


# --- the parts -----------------------------------------------------------------------------------------------------------


def _volumes(context: Context, now_ms: int) -> _Part:
    found = equipment.read_only((system_volume(), volume_of(context.state_dir)), context.roots)
    errors = equipment.disk_errors(context.roots)
    values = {_key(Metric.DISK_READONLY, volume): int(it_is) for volume, it_is in found.items()}
    values.update({_key(Metric.DISK_IO_ERRORS, name): count for name, count in errors.items()})
    return _Part(values)


def _heat(context: Context, now_ms: int) -> _Part:
    counts = equipment.throttle_counts(context.roots)
    cooling = equipment.cooling(context.roots)
    values: dict[SeriesKey, int] = {}
    times = throttled(context.before, counts, cooling)
    if times is not None:
        values[_key(Metric.THROTTLED)] = times
    ratio = equipment.cpu_limit_ratio(context.roots)
    if ratio is not None:
        values[_key(Metric.CPU_LIMIT_RATIO)] = to_wire(Metric.CPU_LIMIT_RATIO, ratio)
    return _Part(values, counters={f"throttle {name}": count for name, count in counts.items()})


def throttled(before: Mapping[str, int], counts: Mapping[str, int], cooling: bool | None) -> int | None:
    """How often heat slowed the processor since the round before; ``None`` if nothing here counts it, or for the first time.

    Every core of a package counts the same event, so the busiest counter stands for all. ``cooling``: it is slowed right now.
    """
    grown = [count - was for name, count in counts.items() if 0 <= (was := before.get(f"throttle {name}", -1)) <= count]
    if not grown and cooling is None:
        return None
    return max([*grown, int(bool(cooling))])


def _screens(context: Context, now_ms: int) -> _Part:
    displays = equipment.displays(context.roots)
    if displays is None:
        return _Part()
    least = context.expected.displays
    items = {"display": len(displays) >= least} if least else {}
    facts = {"displays": "; ".join(map(_display_words, displays))[:_MOST_FACT]}
    return _Part({_key(Metric.DISPLAYS): len(displays)}, facts, items=items)


def _display_words(display: Display) -> str:
    return " ".join(word for word in (f"{display.connector}:", display.name, display.print) if word)


def _sound(context: Context, now_ms: int) -> _Part:
    outputs = equipment.sound_outputs(context.roots)
    if outputs is None:
        return _Part()
    items = {"audio": outputs > 0} if context.expected.audio else {}
    facts = {"sound": "; ".join(equipment.sound_cards(context.roots))[:_MOST_FACT]}
    return _Part({_key(Metric.AUDIO_OUTPUTS): outputs}, facts, items=items)


def _expected(context: Context, now_ms: int) -> _Part:
    if not context.expected.items:
        return _Part()
    from sitekeeper_agent.probes import expected

    found = expected.look(context, now_ms)
    return _Part(facts=found.facts, counters=found.counters, items=found.items)


def _disks(context: Context, now_ms: int) -> _Part:
    """Last, because a disk may take its time to answer."""
    disks = equipment.disks(context.roots)
    facts = {"disks": "; ".join(map(_disk_words, disks))[:_MOST_FACT]} if disks else {}
    if not disks or not context.smart_interval_s:
        return _Part(facts=facts)
    from sitekeeper_agent.probes import smart

    states, counters = smart.step(
        tuple(disk.name for disk in disks),
        context.before,
        now_ms=now_ms,
        every_ms=context.smart_interval_s * 1000,
        deadline=min(context.deadline, time.monotonic() + smart.ANSWER_S),
        roots=context.roots,
    )
    return _Part({_key(Metric.SMART_STATE, name): state.value for name, state in states.items()}, facts, counters)


def _disk_words(disk: Disk) -> str:
    return " ".join(word for word in (f"{disk.name}:", disk.model, f"{disk.size_bytes / 1e9:.0f} GB") if word)


_PARTS: tuple[Callable[[Context, int], _Part], ...] = (_volumes, _heat, _screens, _sound, _expected, _disks)
