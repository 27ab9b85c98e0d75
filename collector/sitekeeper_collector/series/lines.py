"""Line protocol from domain values: pure, to the byte the same for the same point, whatever names a site sends.

https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/
"""

import math
import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from sitekeeper_collector.domain.detection import Episode
from sitekeeper_collector.domain.ledger import Segment
from sitekeeper_collector.domain.tickets import Ticket
from sitekeeper_collector.series.schema import COLLECTOR, FAULT, LEDGER, PLACES, SLOW, SLOW_MS, TICKET, Form, Measurement
from sitekeeper_protocol.opened import OpenedReport
from sitekeeper_protocol.vocabulary import KIND_NUMBERS, METRICS, Kind

Value = float | int | bool | str | None

MAX_TAG = 128
MAX_TEXT = 1000
MAX_TARGETS_OF_A_SITE = 64
_NS_OF_MS = 1_000_000
_NS_OF_US = 1_000
_LATEST_MS = 9_223_372_036_000
"""Instants are 64-bit nanoseconds in every store: up to the year 2262."""
_INT64 = 2**63

# Everything that some reader takes for the end of a line, and what no terminal should get: C0, DEL, C1, U+2028, U+2029.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_EMPTY: Mapping[Form, bytes] = {Form.FLOAT: b"0", Form.INTEGER: b"0i", Form.BOOLEAN: b"false", Form.TEXT: b'""'}


class Whereabouts(NamedTuple):
    """A site as the register has it."""

    site: str
    county: str = ""
    township: str = ""
    access_node: str = ""


class Targets:
    """Which targets of a site are written: its first 64, so that no site can make series without end."""

    def __init__(self, most: int = MAX_TARGETS_OF_A_SITE, most_sites: int = 200_000) -> None:
        self._most = most
        self._most_sites = most_sites
        self._seen: OrderedDict[str, set[str]] = OrderedDict()

    def admits(self, site: str, target: str) -> bool:
        """Whether ``target`` is one of the site's first."""
        seen = self._seen.setdefault(site, set())
        if target in seen:
            return True
        if len(seen) >= self._most:
            return False
        seen.add(target)
        if len(self._seen) > self._most_sites:
            self._seen.popitem(last=False)
        return True


class Said:
    """Which slow values were last written of each site, and when. Kept for the sites of which something came last."""

    def __init__(self, most_sites: int = 200_000) -> None:
        self._most_sites = most_sites
        self._said: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def is_news(self, site: str, values: int, from_ms: int, to_ms: int) -> bool:
        """Whether slow values (by their hash) of samples between two instants are to be written; then they count as written."""
        known = self._said.get(site)
        if known is not None and known[0] == values and known[1] <= from_ms and to_ms < known[1] + SLOW_MS:
            return False
        if known is None or known[1] <= from_ms:
            self._said[site] = (values, from_ms)
            self._said.move_to_end(site)
            if len(self._said) > self._most_sites:
                self._said.popitem(last=False)
        return True

    def forget(self) -> None:
        """What counts as written may not be: the transaction failed."""
        self._said.clear()


# --- one point ---------------------------------------------------------------------------------------------------------


def point(measurement: Measurement, tags: Mapping[str, str], fields: Mapping[str, Value], time_ns: int) -> bytes | None:
    """A line without its end; ``None`` if there is nothing to write, or no store could keep its time.

    Fields of an amended measurement that have no value are written as 0, false or empty text: a store keeps the old value of a
    field that is left out. Raises ``ValueError`` for a tag or field that the schema does not have.
    """
    forms = measurement.forms()
    if not (tags.keys() <= set(measurement.tags) and fields.keys() <= forms.keys()):
        raise ValueError(f"{measurement.name} has no such tag or field: {sorted(tags.keys() | fields.keys())}")
    written: list[bytes] = []
    for name, form in forms.items():
        text = _value(form, fields.get(name))
        if text is None and measurement.amended:
            text = _EMPTY[form]
        if text is not None:
            written.append(_key(name) + b"=" + text)
    if not written or not 0 < time_ns <= _LATEST_MS * _NS_OF_MS:
        return None
    return b"%b %b %d" % (_head(measurement, tags), b",".join(written), time_ns)


def _head(measurement: Measurement, tags: Mapping[str, str]) -> bytes:
    parts = [_key(measurement.name)]
    for name in measurement.tags:
        value = tag_text(tags.get(name, ""))
        if value:  # an empty tag can't be written, and says the same as none
            parts.append(_key(name) + b"=" + _key(value))
    return b",".join(parts)


@lru_cache(maxsize=20_000)
def tag_text(text: str) -> str:
    """A tag's value as it is kept. A backslash at its end would swallow what follows, and no store agrees how to escape it."""
    return plain(text.replace("\\", "/"), MAX_TAG).strip()


def plain(text: str, most: int) -> str:
    """Text in which nothing ends a line, at most ``most`` characters, and valid as UTF-8."""
    return _CONTROLS.sub(" ", text[:most]).encode("utf-8", "replace").decode()


def _key(text: str) -> bytes:
    return text.replace(",", "\\,").replace("=", "\\=").replace(" ", "\\ ").encode()


def _value(form: Form, value: Value) -> bytes | None:
    if value is None:
        return None
    match form:
        case Form.FLOAT:
            return _number(float(value))
        case Form.INTEGER:
            whole = int(value)
            return b"%di" % whole if -_INT64 <= whole < _INT64 else None
        case Form.BOOLEAN:
            return b"true" if value else b"false"
        case Form.TEXT:
            return b'"' + plain(str(value), MAX_TEXT).replace("\\", "\\\\").replace('"', '\\"').encode() + b'"'


def _number(value: float) -> bytes | None:
    return repr(value).removesuffix(".0").encode() if math.isfinite(value) else None


# --- samples -----------------------------------------------------------------------------------------------------------


class _Column(NamedTuple):
    """One field of one target: its text where all samples have the same, else the integers and their step."""

    at: int
    name: bytes
    steady: bytes | None
    integers: Sequence[int | None]
    step: float
    slow: bool = False
    """One value in all samples, and a slow one: once for all of them is enough, or not at all."""

    def texts(self, count: int) -> list[bytes]:
        """The field in each sample; nothing where it has no value."""
        if self.steady is not None:
            return [self.steady] * count
        name, step = self.name, self.step
        return [b"" if integer is None else name + _scaled(integer, step) for integer in self.integers]


@lru_cache(maxsize=100_000)
def _scaled(integer: int, step: float) -> bytes:
    """As ``vocabulary.from_wire``; integers of the wire and steps are finite."""
    return repr(round(float(integer * step), 6)).removesuffix(".0").encode()


_FIELD_NAMES = {code: _key(place.field) + b"=" for code, place in PLACES.items()}
_FIELD_ORDER = {code: list(place.measurement.forms()).index(place.field) for code, place in PLACES.items()}
_STEPS = {int(metric): facts.step for metric, facts in METRICS.items()}


def sample_lines(
    where: Whereabouts, report: OpenedReport, placed_ms: Sequence[int | None], targets: Targets, said: Said | None = None
) -> list[bytes]:
    """The lines of a report's samples. ``placed_ms``: the time of each, ``None`` where it has none (yet): it is left out.

    With ``said``, slow fields are written with the first sample only, and left out where they have been said.
    """
    times = [(at, b" %d" % (ms * _NS_OF_MS)) for at, ms in enumerate(placed_ms) if ms is not None and 0 < ms <= _LATEST_MS]
    if not times:
        return []
    found: list[bytes] = []
    groups = _groups(where.site, report, targets)
    slowly = said is not None
    news = said is None or said.is_news(where.site, _slow_values(groups), *_first_and_last(placed_ms))
    for (name, target), columns in groups.items():
        head = _sample_head(where, name, target)
        fast = [column for column in columns if not column.slow] if slowly else columns
        if news and len(fast) < len(columns):
            found += _rows(head, columns, times[:1], len(placed_ms)) + _rows(head, fast, times[1:], len(placed_ms))
        else:
            found += _rows(head, fast, times, len(placed_ms))
    return found


def _slow_values(groups: Mapping[tuple[str, str], Sequence[_Column]]) -> int:
    return hash(tuple((key, column.steady) for key, columns in groups.items() for column in columns if column.slow))


def _first_and_last(placed_ms: Sequence[int | None]) -> tuple[int, int]:
    known = [ms for ms in placed_ms if ms is not None]
    return min(known), max(known)


def _rows(head: bytes, columns: Sequence[_Column], times: Sequence[tuple[int, bytes]], count: int) -> list[bytes]:
    if not columns or not times:
        return []
    if all(column.steady is not None for column in columns):
        steady = head + b",".join([column.steady or b"" for column in columns])
        return [steady + time for _, time in times]
    rows = list(zip(*[column.texts(count) for column in columns], strict=True))
    return [head + fields + time for at, time in times if (fields := b",".join(filter(None, rows[at])))]


_BY_NAME = {place.measurement.name: place.measurement for place in PLACES.values()}


@lru_cache(maxsize=20_000)
def _sample_head(where: Whereabouts, measurement: str, target: str) -> bytes:
    return _head(_BY_NAME[measurement], where._asdict() | ({"target": target} if target else {})) + b" "


def _groups(site: str, report: OpenedReport, targets: Targets) -> dict[tuple[str, str], list[_Column]]:
    """The columns of a report by measurement and target, each in the order of the schema."""
    steady, others = report.steady_and_others(PLACES)
    groups: dict[tuple[str, str], dict[int, _Column]] = {}
    for code, instance in sorted([*steady, *others]):
        measurement = PLACES[code].measurement
        target = tag_text(instance)
        if ("target" in measurement.tags) != bool(target) or (target and not targets.admits(site, target)):
            continue
        name, step = _FIELD_NAMES[code], _STEPS[code]
        integer = steady.get((code, instance))
        text = None if integer is None else name + _scaled(integer, step)
        slow = integer is not None and code in SLOW
        column = _Column(_FIELD_ORDER[code], name, text, others.get((code, instance), ()), step, slow)
        # Two instances that read alike are one series; the later in order counts, always the same one.
        groups.setdefault((measurement.name, target), {})[column.at] = column
    return {key: sorted(columns.values(), key=lambda column: column.at) for key, columns in sorted(groups.items())}


# --- points that may be amended ----------------------------------------------------------------------------------------


def ledger_lines(where: Whereabouts, before: Iterable[Segment], after: Iterable[Segment]) -> list[bytes]:
    """What to write when a site's picture was ``before`` and is ``after``: what is new or other, and as void what is gone.

    Both must be cut at the same instants, and a first segment that a cut has shortened must not be among them.
    """
    old = {segment.from_ms: segment for segment in before}
    new = {segment.from_ms: segment for segment in after}
    found: list[bytes | None] = []
    for from_ms in sorted(old.keys() | new.keys()):
        if from_ms not in new:
            found.append(_segment_line(where, old[from_ms], void=True))
        elif new[from_ms] != old.get(from_ms):
            found.append(_segment_line(where, new[from_ms], void=False))
    return [line for line in found if line is not None]


def _segment_line(where: Whereabouts, segment: Segment, *, void: bool) -> bytes | None:
    fields: dict[str, Value] = {
        "duration_s": 0.0 if void else segment.duration_ms / 1000,
        "kind": segment.kind,
        "party": segment.party,
        "source": segment.source,
        "to_ms": segment.to_ms,
        "void": void,
        "was": segment.was,
    }
    return point(LEDGER, {"site": where.site}, _where(where) | fields, segment.from_ms * _NS_OF_MS)


def fault_line(
    where: Whereabouts, episode: Episode, *, recorded_ms: int, recorded_kind: Kind | None = None, void: bool = False
) -> bytes | None:
    """The point of a fault. ``recorded_ms``: its start as it was first written, which with its kind then names it for good."""
    ended = episode.ended_ms
    fields: dict[str, Value] = {
        "duration_s": 0.0 if void or ended is None else (ended - episode.started_ms) / 1000,
        "ended_ms": ended,
        "grade": episode.grade,
        "kind": episode.kind,
        "lasting": ended is None and not void,
        "party": episode.party,
        "started_ms": episode.started_ms,
        "void": void,
    }
    return point(FAULT, {"site": where.site}, _where(where) | fields, _apart_ns(recorded_ms, recorded_kind or episode.kind))


def ticket_line(where: Whereabouts, ticket: Ticket, *, recorded_kind: Kind | None = None, void: bool = False) -> bytes | None:
    """The point of a ticket. ``recorded_kind``: the kind with which it was first written, where it has changed since."""
    ended = ticket.outage_to_ms
    fields: dict[str, Value] = {name: getattr(ticket, name) for name in _TICKET_FIELDS}
    fields["outage_s"] = 0.0 if void or ended is None else (ended - ticket.outage_from_ms) / 1000
    fields["void"] = void
    time_ns = _apart_ns(ticket.opened_ms, recorded_kind or ticket.kind)
    return point(TICKET, {"site": where.site}, _where(where) | fields, time_ns)


def void_line(measurement: Measurement, where: Whereabouts, recorded_ms: int, kind: Kind) -> bytes | None:
    """The point of a fault of which nothing is left."""
    return point(measurement, {"site": where.site}, _where(where) | {"void": True}, _apart_ns(recorded_ms, kind))


_TICKET_FIELDS = tuple(field.name for field in TICKET.fields if field.name in Ticket.__struct_fields__)


def _where(where: Whereabouts) -> dict[str, Value]:
    return {"access_node": where.access_node, "county": where.county, "township": where.township}


def _apart_ns(ms: int, kind: Kind) -> int:
    """Two faults of a site may begin with one sample; a store would take them for one point."""
    return ms * _NS_OF_MS + KIND_NUMBERS[kind] * _NS_OF_US


def collector_line(process: str, values: Mapping[str, float], at_ms: int) -> bytes | None:
    """The point of the collector's own health; ``values`` by field of ``schema.COLLECTOR``."""
    return point(COLLECTOR, {"target": process}, values, at_ms * _NS_OF_MS)
