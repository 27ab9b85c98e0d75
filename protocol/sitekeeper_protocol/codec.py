"""Messages to bytes and back, in bounded time and memory, with ``ProtocolError`` as the only error.

A report is a MessagePack array: a header of small integers, then its body, packed apart. In the body the samples stand in
columns, one for each series: each integer as the difference to the one before it, with the differences of zero at the end
left out. Columns of slowly changing values shrink to a number or two that way, and DEFLATE (RFC 1951) with a fixed dictionary
takes care of the names. ``docs/protocol.md`` lists every field.
"""

import zlib
from collections.abc import Callable, Iterable
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from sitekeeper_protocol import WIRE_VERSION
from sitekeeper_protocol.columns import MAX_VALUE, deltas, times
from sitekeeper_protocol.dictionary import BODY_V1
from sitekeeper_protocol.errors import ProtocolError
from sitekeeper_protocol.messages import (
    Boot,
    ButtonEvent,
    Clock,
    Command,
    Count,
    Drop,
    Event,
    Header,
    Id64,
    Key,
    Millis,
    PlaybackEventRecord,
    PowerEventRecord,
    Receipt,
    RemoteConfig,
    Report,
    Result,
    Sample,
    Scalar,
    SeriesKey,
    SettingsEvent,
    Status,
    UnknownEvent,
    VerdictEvent,
)
from sitekeeper_protocol.opened import Contents, OpenedReport, Sent, within

MAX_REPORT_BYTES = 256 * 1024
MAX_BODY_BYTES = 4 * 1024 * 1024
MAX_SMALL_BYTES = 64 * 1024
MAX_SAMPLES = 1000
MAX_SERIES = 256
MAX_EVENTS = 2000
MAX_METRIC = 0xFFFF

_PLAIN, _DEFLATE = 0, 1
_BACKLOG, _WANTS_RECEIPT = 1, 2
_T = TypeVar("_T")


class _WireHeader(Struct, array_like=True, frozen=True):
    version: int
    site_check: Annotated[int, Meta(ge=0, le=2**32 - 1)]
    run: Id64
    connection: Count
    number: Count
    flags: Count
    first: Annotated[int, Meta(ge=1, le=2**53)]
    count: Annotated[int, Meta(ge=0, le=MAX_SAMPLES)]
    oldest: Annotated[int, Meta(ge=1, le=2**53)]
    config_revision: Count


class _Frame(_WireHeader, array_like=True, frozen=True):
    packing: int
    body: bytes


_Delta = Annotated[int, Meta(ge=-(2**54), le=2**54)]
_Column = Annotated[list[_Delta | None], Meta(max_length=MAX_SAMPLES + 2)]


class _Body(Struct, array_like=True, frozen=True):
    sent_boottime_ms: Count
    sent_wall_offset_ms: Millis
    """Wall clock minus boot time at sending."""
    boot: Boot
    sent_boot: Boot | None
    """``None``: the same as ``boot``."""
    clock: Clock | None
    """Here, and only here, ``offset_ms`` is relative to ``sent_wall_offset_ms``: a small number while the clock is right."""
    next_within_s: Annotated[int, Meta(ge=0, le=7 * 86400)]
    boottimes: _Column
    wall_offsets: _Column
    instances: Annotated[list[Key], Meta(max_length=MAX_SERIES)]
    columns: Annotated[list[_Column], Meta(max_length=MAX_SERIES)]
    events: Annotated[list[tuple[int, Raw]], Meta(max_length=MAX_EVENTS)]
    facts: Annotated[list[tuple[int, Annotated[dict[Key, Scalar], Meta(max_length=100)]]], Meta(max_length=MAX_SAMPLES)]
    drops: Annotated[list[Drop], Meta(max_length=256)]


_SmallDelta = Annotated[int, Meta(ge=-(2**42), le=2**42)]
"""Whatever number of these stands in a column, no sum of them exceeds ``MAX_VALUE``."""


class _CalmBody(_Body, array_like=True, frozen=True):
    """A body as nearly all are: the decoder's own bounds show that no value of a series is too large."""

    columns: Annotated[list[Annotated[list[_SmallDelta | None], Meta(max_length=MAX_SAMPLES + 2)]], Meta(max_length=MAX_SERIES)]


class _StoredSample(Struct, array_like=True, frozen=True):
    values: list[tuple[SeriesKey, int]]
    events: list[Raw]
    facts: dict[str, Scalar]


class _AnyVersion(Struct, array_like=True, frozen=True):
    version: int


class _AnyEvent(Struct, array_like=True, frozen=True):
    tag: int


_KnownEvent = VerdictEvent | PlaybackEventRecord | PowerEventRecord | SettingsEvent | ButtonEvent
_KNOWN_TAGS = frozenset({1, 2, 3, 4, 5})

_encode = msgspec.msgpack.Encoder().encode
_decode_header = msgspec.msgpack.Decoder(_WireHeader).decode
_decode_frame = msgspec.msgpack.Decoder(_Frame).decode
_decode_calm_body = msgspec.msgpack.Decoder(_CalmBody).decode
_decode_body = msgspec.msgpack.Decoder(_Body).decode
_decode_version = msgspec.msgpack.Decoder(_AnyVersion).decode
_decode_event = msgspec.msgpack.Decoder(_KnownEvent).decode
_decode_any_event = msgspec.msgpack.Decoder(_AnyEvent).decode
_decode_stored = msgspec.msgpack.Decoder(_StoredSample).decode


def site_check(site: str) -> int:
    """A check number of the site id (CRC-32) that every report carries, so that one under another's topic is noticed."""
    return zlib.crc32(site.encode())


def _guarded(decode: Callable[[bytes], _T], payload: bytes, what: str, limit: int) -> _T:
    if len(payload) > limit:
        raise ProtocolError("too_large", f"{what} of {len(payload)} bytes; at most {limit} are accepted")
    try:
        return decode(payload)
    except RecursionError:
        raise ProtocolError("too_deep", f"{what} is nested too deeply") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, OverflowError, ValueError) as err:
        raise ProtocolError("malformed", f"{what}: {str(err)[:160]}") from None


def _check_version(payload: bytes, what: str, limit: int) -> None:
    # A MessagePack array of up to 15 elements whose first is the version: no need to decode anything to see that.
    if len(payload) > 1 and 0x90 < payload[0] < 0xA0 and payload[1] == WIRE_VERSION:
        return
    version = _guarded(_decode_version, payload, what, limit).version
    if version != WIRE_VERSION:
        raise ProtocolError("unknown_version", f"{what} of version {version}; this program reads version {WIRE_VERSION}")


# --- reports ---------------------------------------------------------------------------------------------------------


def encode_report(report: Report) -> bytes:
    """The bytes of ``report``. Raises ``ProtocolError`` for one that no decoder would accept."""
    header, samples = report.header, report.samples
    if header.count != len(samples):
        raise ProtocolError("malformed", f"header counts {header.count} samples, the report has {len(samples)}")
    for at, sample in enumerate(samples):
        if sample.sequence != header.first + at:
            raise ProtocolError("malformed", f"sample {sample.sequence} stands where {header.first + at} belongs")
        _check_values(sample)
    _check_drops(report.drops)
    body = _packed(_body(report), "report body")
    # What is sent once is sent for years: the bounds are checked by the reader's own eyes.
    _guarded(_decode_body, body, "report body", MAX_BODY_BYTES)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zdict=BODY_V1)
    small = packer.compress(body) + packer.flush()
    packing, packed = (_DEFLATE, small) if len(small) < len(body) else (_PLAIN, body)
    flags = _BACKLOG * header.backlog | _WANTS_RECEIPT * header.wants_receipt
    payload = _packed(
        _Frame(
            WIRE_VERSION,
            header.site_check,
            header.run,
            header.connection,
            header.number,
            flags,
            header.first,
            header.count,
            header.oldest,
            header.config_revision,
            packing,
            packed,
        ),
        "report",
    )
    _guarded(_decode_header, payload, "report", MAX_REPORT_BYTES)
    return payload


def _check_values(sample: Sample) -> None:
    values = sample.values.values()
    if values and (min(values) < -MAX_VALUE or max(values) > MAX_VALUE):
        raise ProtocolError("malformed", f"sample {sample.sequence} holds a value beyond ±2^53")
    if any(not 0 < metric <= MAX_METRIC for metric, _ in sample.values):
        raise ProtocolError("malformed", f"sample {sample.sequence} holds a metric beyond 1 to {MAX_METRIC}")


def _check_drops(drops: Iterable[Drop]) -> None:
    for drop in drops:
        if drop.last < drop.first:
            raise ProtocolError("malformed", f"dropped samples {drop.first} to {drop.last}")


def _packed(message: Struct, what: str) -> bytes:
    try:
        return _encode(message)
    except (OverflowError, TypeError, ValueError) as err:
        raise ProtocolError("malformed", f"{what}: {str(err)[:160]}") from None


def _body(report: Report) -> _Body:
    samples = report.samples
    keys: set[SeriesKey] = set()
    for sample in samples:
        keys.update(sample.values)
    ordered = sorted(keys)
    instances = sorted({instance for _, instance in ordered})
    index = {instance: at for at, instance in enumerate(instances)}
    wall_offset_ms = report.sent_wall_ms - report.sent_boottime_ms
    return _Body(
        report.sent_boottime_ms,
        wall_offset_ms,
        report.boot,
        None if report.sent_boot == report.boot else report.sent_boot,
        _shifted(report.clock, -wall_offset_ms),
        report.next_within_s,
        deltas((s.boottime_ms for s in samples), report.sent_boottime_ms),
        # Wall minus boot time stays the same until the clock is set, so that this column is mostly empty.
        deltas((s.wall_ms - s.boottime_ms for s in samples), wall_offset_ms),
        instances,
        [[key[0], index[key[1]], *deltas(s.values.get(key) for s in samples)] for key in ordered],
        [(at, _raw_event(event)) for at, s in enumerate(samples) for event in s.events],
        [(at, s.facts) for at, s in enumerate(samples) if s.facts],
        list(report.drops),
    )


def _shifted(clock: Clock | None, by_ms: int) -> Clock | None:
    return None if clock is None else Clock(clock.offset_ms + by_ms, clock.error_ms)


def decode_header(payload: bytes) -> Header:
    """The header of a report, without looking at its body. Raises ``ProtocolError``."""
    _check_version(payload, "report", MAX_REPORT_BYTES)
    return _header(_guarded(_decode_header, payload, "report", MAX_REPORT_BYTES))


def decode_report(payload: bytes) -> Report:
    """A report from its bytes, at most 256 KiB of them. Raises ``ProtocolError`` for whatever is not a whole report."""
    return open_report(payload).report()


def open_report(payload: bytes) -> OpenedReport:
    """``decode_report`` for a reader that may not want every sample: all is checked, little is built."""
    _check_version(payload, "report", MAX_REPORT_BYTES)
    frame = _guarded(_decode_frame, payload, "report", MAX_REPORT_BYTES)
    header = _header(frame)
    body = _read_body(_unpack(frame))
    count = header.count
    contents = Contents(
        boottimes_ms=times(body.boottimes, count, body.sent_boottime_ms, "boot times"),
        wall_offsets_ms=times(body.wall_offsets, count, body.sent_wall_offset_ms, "wall clock offsets"),
        instances=body.instances,
        columns=body.columns,
        events=_sample_events(body, count) if body.events else {},
        facts=_sample_facts(body, count) if body.facts else {},
    )
    _check_columns(body, count)
    _check_drops(body.drops)
    sent = Sent(
        boot=body.boot,
        sent_boot=body.boot if body.sent_boot is None else body.sent_boot,
        sent_wall_ms=body.sent_boottime_ms + body.sent_wall_offset_ms,
        sent_boottime_ms=body.sent_boottime_ms,
        next_within_s=body.next_within_s,
        clock=_shifted(body.clock, body.sent_wall_offset_ms),
        drops=tuple(body.drops),
    )
    return OpenedReport(header, sent, contents)


def _read_body(packed: bytes) -> _Body:
    try:
        return _decode_calm_body(packed)
    except (msgspec.MsgspecError, UnicodeDecodeError, OverflowError, ValueError, RecursionError):
        body: _Body = _guarded(_decode_body, packed, "report body", MAX_BODY_BYTES)
    if not all(within(column, MAX_VALUE) for column in body.columns):
        raise ProtocolError("malformed", "a column holds a value beyond ±2^53")
    return body


def _header(wire: _WireHeader) -> Header:
    return Header(
        site_check=wire.site_check,
        run=wire.run,
        connection=wire.connection,
        number=wire.number,
        backlog=bool(wire.flags & _BACKLOG),
        wants_receipt=bool(wire.flags & _WANTS_RECEIPT),
        first=wire.first,
        count=wire.count,
        oldest=wire.oldest,
        config_revision=wire.config_revision,
    )


def _unpack(frame: _Frame) -> bytes:
    if frame.packing == _PLAIN:
        return frame.body
    if frame.packing != _DEFLATE:
        raise ProtocolError("malformed", f"report body packed in an unknown way ({frame.packing})")
    unpacker = zlib.decompressobj(-15, zdict=BODY_V1)
    try:
        body = unpacker.decompress(frame.body, MAX_BODY_BYTES + 1)
    except zlib.error as err:
        raise ProtocolError("malformed", f"report body does not inflate: {err}") from None
    if len(body) > MAX_BODY_BYTES:
        raise ProtocolError("too_large", f"report body inflates beyond {MAX_BODY_BYTES} bytes")
    if not unpacker.eof or unpacker.unused_data:
        raise ProtocolError("malformed", "report body is cut short or has something behind it")
    return body


def _check_columns(body: _Body, count: int) -> None:
    # By whole lists: a report has many columns, and nearly all reports are sound.
    columns = body.columns
    if not columns:
        return
    lengths = list(map(len, columns))
    if min(lengths) < 2 or max(lengths) > count + 2:
        wrong = next(length for length in lengths if not 2 <= length <= count + 2)
        raise ProtocolError("malformed", f"a column of {wrong} numbers for {count} samples")
    metrics, instances = [c[0] or 0 for c in columns], [-1 if c[1] is None else c[1] for c in columns]
    if min(metrics) < 1 or max(metrics) > MAX_METRIC:
        raise ProtocolError("malformed", f"columns of metrics {min(metrics)} to {max(metrics)}; they are 1 to {MAX_METRIC}")
    if min(instances) < 0 or max(instances) >= len(body.instances):
        raise ProtocolError("malformed", f"a column of an instance that is none of the {len(body.instances)}")


def _sample_events(body: _Body, count: int) -> dict[int, tuple[Event, ...]]:
    events: dict[int, list[Event]] = {}
    for at, raw in body.events:
        if not 0 <= at < count:
            raise ProtocolError("malformed", f"an event of sample {at} of {count}")
        events.setdefault(at, []).append(_event(bytes(raw)))
    return {at: tuple(some) for at, some in events.items()}


def _sample_facts(body: _Body, count: int) -> dict[int, dict[str, Scalar]]:
    facts: dict[int, dict[str, Scalar]] = {}
    for at, some in body.facts:
        if not 0 <= at < count:
            raise ProtocolError("malformed", f"facts of sample {at} of {count}")
        facts.setdefault(at, {}).update(some)
    return facts


def _event(raw: bytes) -> Event:
    tag = _guarded(_decode_any_event, raw, "event", MAX_BODY_BYTES).tag
    if tag not in _KNOWN_TAGS:
        return UnknownEvent(tag, raw)
    event: Event = _guarded(_decode_event, raw, "event", MAX_BODY_BYTES)
    return event


def _raw_event(event: Event) -> Raw:
    return Raw(event.payload if isinstance(event, UnknownEvent) else _encode(event))


# --- a sample by itself, for the agent's spool and the collector's store -----------------------------------------------


def pack_sample(sample: Sample) -> bytes:
    """Values, events and facts of a sample; its identity and clocks are kept beside it."""
    return _encode(
        _StoredSample(
            list(sample.values.items()),
            [_raw_event(event) for event in sample.events],
            sample.facts,
        )
    )


def unpack_sample(payload: bytes, *, sequence: int, wall_ms: int, boottime_ms: int) -> Sample:
    """The sample that ``pack_sample`` packed. Raises ``ProtocolError`` if the bytes were damaged."""
    stored = _guarded(_decode_stored, payload, "stored sample", MAX_BODY_BYTES)
    return Sample(
        sequence=sequence,
        wall_ms=wall_ms,
        boottime_ms=boottime_ms,
        values=dict(stored.values),
        events=tuple(_event(bytes(raw)) for raw in stored.events),
        facts=stored.facts,
    )


# --- the small messages ------------------------------------------------------------------------------------------------

Small = Status | Receipt | RemoteConfig | Command | Result


_SMALL_DECODERS: dict[type[Any], Callable[[bytes], Any]] = {
    kind: msgspec.msgpack.Decoder(kind).decode for kind in (Status, Receipt, RemoteConfig, Command, Result)
}


def encode(message: Small) -> bytes:
    """The bytes of a status, receipt, configuration, command or result. Raises ``ProtocolError`` for what can't be sent."""
    payload = _packed(message, type(message).__name__.lower())
    _guarded(_SMALL_DECODERS[type(message)], payload, type(message).__name__.lower(), MAX_SMALL_BYTES)
    return payload


def _small(kind: type[_T]) -> Callable[[bytes], _T]:
    decoder: Callable[[bytes], _T] = _SMALL_DECODERS[kind]
    what = kind.__name__.lower()

    def decode(payload: bytes) -> _T:
        _check_version(payload, what, MAX_SMALL_BYTES)
        return _guarded(decoder, payload, what, MAX_SMALL_BYTES)

    decode.__doc__ = f"A {what} from its bytes. Raises ``ProtocolError``."
    return decode


decode_status = _small(Status)
decode_receipt = _small(Receipt)
decode_config = _small(RemoteConfig)
decode_command = _small(Command)
decode_result = _small(Result)


def to_builtins(message: Any) -> Any:
    """A message as plain dicts and lists with field names, for people and JSON."""
    if isinstance(message, Struct):
        named = {field: to_builtins(getattr(message, field)) for field in message.__struct_fields__}
        return {"what": type(message).__name__, **named}
    if isinstance(message, dict):
        return {"/".join(map(str, k)) if isinstance(k, tuple) else k: to_builtins(v) for k, v in message.items()}
    if isinstance(message, list | tuple):
        return [to_builtins(item) for item in message]
    return message.hex() if isinstance(message, bytes) else message
