"""Equipment that a class needs, the disk, and settings that somebody has changed."""

from collections.abc import Mapping, Sequence

from sitekeeper_collector.domain.marks import Level, mark
from sitekeeper_protocol.vocabulary import Kind, Metric, SmartState

METRICS: frozenset[int] = frozenset(
    {
        Metric.EQUIPMENT_PRESENT.value,
        Metric.PLAYING.value,
        Metric.DISK_READONLY.value,
        Metric.DISK_IO_ERRORS.value,
        Metric.SMART_STATE.value,
        Metric.SETTINGS_DIFFERING.value,
    }
)
_SORTS = {
    "display": Kind.DISPLAY_MISSING,
    "audio": Kind.AUDIO_MISSING,
    "usb": Kind.DEVICE_MISSING,
    "lan": Kind.DEVICE_MISSING,
    "service": Kind.DEVICE_MISSING,
}
"""Programs (``process``) are players: see ``playback``."""
_TELLING = (SmartState.PASSED, SmartState.WORN, SmartState.FAILING)


def marks(values: Mapping[int, Sequence[tuple[str, int]]]) -> int:
    """Marks of the kinds of this family."""
    return _there(values) | _disk(values) | _settings(values)


def _there(values: Mapping[int, Sequence[tuple[str, int]]]) -> int:
    items = values.get(Metric.EQUIPMENT_PRESENT)
    if not items:
        return 0
    playing = any(count > 0 for _, count in values.get(Metric.PLAYING, ()))
    there: dict[Kind, bool] = {}
    for name, present in items:
        kind = _SORTS.get(name.partition("/")[0])
        if kind is not None:
            there[kind] = there.get(kind, True) and present > 0
    found = 0
    for kind, present_all in there.items():
        # What is missing while nothing plays has been switched off, or not yet on.
        found |= mark(kind, Level.GOOD if present_all else Level.BAD if playing else Level.UNKNOWN)
    return found


def _disk(values: Mapping[int, Sequence[tuple[str, int]]]) -> int:
    """Read-only, or failing by its own word. That errors are counted shows by their growing: see ``detection``."""
    readonly = [value for _, value in values.get(Metric.DISK_READONLY, ())]
    smart = [value for _, value in values.get(Metric.SMART_STATE, ()) if value in _TELLING]
    if any(readonly) or SmartState.FAILING in smart:
        return mark(Kind.DISK_FAILING, Level.BAD)
    return mark(Kind.DISK_FAILING, Level.GOOD if readonly or smart else Level.UNKNOWN)


def _settings(values: Mapping[int, Sequence[tuple[str, int]]]) -> int:
    differing = values.get(Metric.SETTINGS_DIFFERING)
    if not differing:
        return 0
    return mark(Kind.SETTINGS_CHANGED, Level.BAD if differing[0][1] > 0 else Level.GOOD)
