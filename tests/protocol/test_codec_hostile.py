"""Hostile, damaged and foreign bytes give ``ProtocolError`` and nothing else, in bounded memory and work."""

import json
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitekeeper_protocol import codec
from sitekeeper_protocol.dictionary import BODY_V1
from sitekeeper_protocol.errors import ProtocolError
from sitekeeper_protocol.messages import (
    Command,
    CommandName,
    Presence,
    Receipt,
    RemoteConfig,
    Result,
    ResultState,
    RunReceipt,
    Status,
)
from support.wire_values import typical_report

Decode = Callable[[bytes], Any]

PEAK_MIB = 32
"""What decoding any payload may take: a body at its limit, the numbers of a whole report, and room."""

Costs = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def costs() -> Costs:
    """What each attack cost, measured in a process that may have 1 GiB and 120 s of CPU."""
    child = Path(__file__).with_name("hostile_child.py")
    done = subprocess.run([sys.executable, child], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: Costs = json.loads(done.stdout)
    return found


def test_hostile_bytes_are_refused(costs: Costs) -> None:
    accepted = {name for name, cost in costs.items() if cost["outcome"] == "accepted"}
    # These are large, but sound: as many series and samples as a report may have.
    assert {name for name in accepted if not name.startswith(("many series", "the same series"))} == set()
    assert len(costs) > 250


def test_hostile_bytes_take_little_memory(costs: Costs) -> None:
    assert {name: cost["peak_mib"] for name, cost in costs.items() if cost["peak_mib"] > PEAK_MIB} == {}


def test_an_error_says_what_is_wrong_and_repeats_little_of_the_message(costs: Costs) -> None:
    codes = {cost["outcome"] for cost in costs.values() if cost["outcome"] != "accepted"}
    assert codes == {"refused: malformed", "refused: too_large", "refused: too_deep"}
    assert all(0 < len(cost["detail"]) < 300 for cost in costs.values() if cost["outcome"] != "accepted")


# --- damaged messages --------------------------------------------------------------------------------------------------

WHOLE: dict[str, tuple[Decode, bytes]] = {
    "report": (codec.decode_report, codec.encode_report(typical_report())),
    "status": (codec.decode_status, codec.encode(Status(1, Presence.STOPPING, 77, 3, "shutdown", 1_800_000_000_000))),
    "receipt": (
        codec.decode_receipt,
        codec.encode(
            Receipt(1, 2**62, 77, 9, 1_800_000_000_000, [RunReceipt(77, 40, [(42, 50)])], True, [(77, 8)], 2, ["T-17"])
        ),
    ),
    "config": (
        codec.decode_config,
        codec.encode(RemoteConfig(1, 3, 1_800_000_000, {"interval_s": 60, "anchors": ["a"]})),
    ),
    "command": (codec.decode_command, codec.encode(Command(1, "c1", CommandName.TRACE, 1, 2, {"to": "10.0.0.1"}))),
    "result": (codec.decode_result, codec.encode(Result(1, "c1", CommandName.TRACE, ResultState.DONE, 5, {"hops": 7}, "..."))),
    "stored sample": (
        lambda payload: codec.unpack_sample(payload, sequence=1, wall_ms=0, boottime_ms=0),
        codec.pack_sample(typical_report().samples[2]),
    ),
}
KINDS = pytest.mark.parametrize("kind", WHOLE)


def attempt(decode: Decode, payload: bytes) -> Any:
    """What ``decode`` gives, or ``None`` when it refuses. Any other error is the test's failure."""
    try:
        return decode(payload)
    except ProtocolError as err:
        assert err.code in {"malformed", "too_large", "too_deep", "unknown_version"}
        assert len(err.detail) < 300
        return None


@KINDS
def test_the_whole_message_is_accepted(kind: str) -> None:
    decode, payload = WHOLE[kind]
    assert attempt(decode, payload) is not None


@KINDS
def test_a_message_cut_at_any_byte_is_refused(kind: str) -> None:
    decode, payload = WHOLE[kind]
    assert [at for at in range(len(payload)) if attempt(decode, payload[:at]) is not None] == []


@KINDS
def test_a_message_with_something_behind_it_is_refused(kind: str) -> None:
    decode, payload = WHOLE[kind]
    assert attempt(decode, payload + b"\x00") is None
    assert attempt(decode, payload * 2) is None


@KINDS
def test_a_flipped_bit_is_refused_or_read_as_another_sound_message(kind: str) -> None:
    decode, payload = WHOLE[kind]
    for at in range(len(payload) * 8):
        damaged = bytearray(payload)
        damaged[at // 8] ^= 1 << at % 8
        assert_sound(attempt(decode, bytes(damaged)))


@KINDS
@given(st.data())
def test_random_bytes_are_refused_or_sound(kind: str, data: st.DataObject) -> None:
    decode, payload = WHOLE[kind]
    start = data.draw(st.integers(0, len(payload)))
    assert_sound(attempt(decode, payload[:start] + data.draw(st.binary(max_size=200))))


@KINDS
def test_a_message_of_another_kind_is_refused_or_sound(kind: str) -> None:
    decode, _ = WHOLE[kind]
    for other, (_, payload) in WHOLE.items():
        if other != kind:
            assert_sound(attempt(decode, payload))


def assert_sound(message: Any) -> None:
    """A message that was accepted can be shown, and a report holds what its header promises."""
    json.dumps(codec.to_builtins(message))
    if type(message).__name__ == "Report":
        header = message.header
        assert [s.sequence for s in message.samples] == list(range(header.first, header.first + header.count))
        assert all(abs(value) <= 2**53 for s in message.samples for value in s.values.values())
        assert all(drop.first <= drop.last for drop in message.drops)
        assert 1 <= header.run < 2**63


# --- sound MessagePack of the wrong shape --------------------------------------------------------------------------------

STRANGE: list[Any] = [
    None, True, -1, 0, 2**53 + 1, 2**63, 2**64 - 1, -(2**63), 0.5, float("nan"), float("inf"), "", "x" * 70_000, b"", b"\xff",
    [], [None], [[]], {}, {"a": 1}, {1: 2}, {None: None},
]  # fmt: skip


def frame_of(payload: bytes) -> tuple[list[Any], list[Any]]:
    header = msgspec.msgpack.decode(payload)
    body = msgspec.msgpack.decode(zlib.decompressobj(-15, zdict=BODY_V1).decompress(header.pop()))
    return header, body


def payload_of(header: list[Any], body: list[Any]) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zdict=BODY_V1)
    packed = packer.compress(msgspec.msgpack.encode(body)) + packer.flush()
    return msgspec.msgpack.encode([*header, packed])


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all items of a tree of lists and mappings."""
    items = enumerate(tree) if isinstance(tree, list) else tree.items() if isinstance(tree, dict) else ()
    return [p for key, item in items for p in ((*path, key), *places(item, (*path, key)))]


def with_item(tree: Any, path: tuple[Any, ...], item: Any) -> Any:
    if not path:
        return item
    copy = tree.copy()
    copy[path[0]] = with_item(tree[path[0]], path[1:], item)
    return copy


def test_the_test_opens_a_report_as_the_codec_does() -> None:
    payload = WHOLE["report"][1]
    assert codec.decode_report(payload_of(*frame_of(payload))) == typical_report()


def test_any_field_of_a_report_with_anything_in_it_is_refused_or_sound() -> None:
    header, body = frame_of(WHOLE["report"][1])
    for path in places(header):
        for strange in STRANGE:
            assert_sound(attempt(codec.decode_report, payload_of(with_item(header, path, strange), body)))
    for path in places(body):
        for strange in STRANGE:
            assert_sound(attempt(codec.decode_report, payload_of(header, with_item(body, path, strange))))


@pytest.mark.parametrize("kind", [kind for kind in WHOLE if kind != "report"])
def test_any_field_of_a_small_message_with_anything_in_it_is_refused_or_sound(kind: str) -> None:
    decode, payload = WHOLE[kind]
    whole = msgspec.msgpack.decode(payload)
    for path in places(whole):
        for strange in STRANGE:
            assert_sound(attempt(decode, msgspec.msgpack.encode(with_item(whole, path, strange))))


BODY_FIELDS = ["sent_boottime_ms", "sent_wall_offset_ms", "boot", "sent_boot", "clock", "next_within_s", "boottimes"]
BODY_FIELDS += ["wall_offsets", "instances", "columns", "events", "facts", "drops"]
HEADER_FIELDS = ["version", "site_check", "run", "connection", "number", "flags", "first", "count", "oldest", "config_revision"]

WRONG: dict[str, tuple[str, Any]] = {
    "run 0": ("run", 0),
    "a run of 64 bits": ("run", 2**63),
    "a run that is text": ("run", "1"),
    "a run that is a fraction": ("run", 1.0),
    "first sample 0": ("first", 0),
    "more samples than allowed": ("count", codec.MAX_SAMPLES + 1),
    "a negative count": ("count", -1),
    "fewer samples than its times": ("count", 1),
    "a site check of 33 bits": ("site_check", 2**32),
    "boot 0": ("boot", 0),
    "a boot of 33 bits": ("boot", 2**32),
    "a promise beyond a week": ("next_within_s", 7 * 86400 + 1),
    "a time that is missing": ("boottimes", [None, 1, 1, 1, 1]),
    "a time that is not a number": ("boottimes", [float("nan")]),
    "a wall clock with a fraction": ("wall_offsets", [0.5]),
    "a series of metric 0": ("columns", [[0, 0, 1]]),
    "a series of a metric beyond 16 bits": ("columns", [[0x10000, 0, 1]]),
    "a series without a metric": ("columns", [[None, 0, 1]]),
    "a series of an instance that is not there": ("columns", [[1, 99, 1]]),
    "a series of a negative instance": ("columns", [[1, -1, 1]]),
    "a series without an instance": ("columns", [[1]]),
    "an empty column": ("columns", [[]]),
    "a column longer than the samples": ("columns", [[1, 0, 1, 1, 1, 1, 1, 1]]),
    "a gappy column longer than the samples": ("columns", [[1, 0, 1, 1, 1, 1, None, 1]]),
    "a value beyond 2^53": ("columns", [[1, 0, 2**53, 1]]),
    "a value beyond 2^53 after a gap": ("columns", [[1, 0, 2**53, None, 1]]),
    "a value below -2^53": ("columns", [[1, 0, -(2**53), -1]]),
    "a long instance": ("instances", ["", "/", "x" * 65]),
    "an instance that is bytes": ("instances", [b"", b"/", b"ipv4"]),
    "an event of a sample that is not there": ("events", [[5, [5, "b"]]]),
    "an event of a negative sample": ("events", [[-1, [5, "b"]]]),
    "an event without a tag": ("events", [[0, []]]),
    "an event whose tag is text": ("events", [[0, ["verdict"]]]),
    "an event that is a mapping": ("events", [[0, {"tag": 1}]]),
    "a known event of wrong fields": ("events", [[0, [1, "broken"]]]),
    "a known event of an unknown word": ("events", [[0, [3, "exploded"]]]),
    "facts of a sample that is not there": ("facts", [[5, {"os": "x"}]]),
    "facts of a negative sample": ("facts", [[-1, {"os": "x"}]]),
    "a fact with a fraction": ("facts", [[0, {"load": 0.5}]]),
    "a fact that is no number": ("facts", [[0, {"load": float("nan")}]]),
    "a fact in a list": ("facts", [[0, {"disks": ["sda"]}]]),
    "a fact of a thousand and one letters": ("facts", [[0, {"os": "x" * 1001}]]),
    "a drop that ends before it begins": ("drops", [[1, 9, 5, 1]]),
    "a drop of run 0": ("drops", [[0, 1, 5, 1]]),
    "a clock with a negative error": ("clock", [0, -1]),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_field_is_refused(what: str) -> None:
    field, value = WRONG[what]
    header, body = frame_of(WHOLE["report"][1])
    if field in HEADER_FIELDS:
        header[HEADER_FIELDS.index(field)] = value
    else:
        body[BODY_FIELDS.index(field)] = value
    assert attempt(codec.decode_report, payload_of(header, body)) is None


def test_text_that_is_not_utf8_is_refused() -> None:
    for kind, (decode, payload) in WHOLE.items():
        if kind != "report":
            for good in (b"shutdown", b"T-17", b"anchors", b"10.0.0.1", b"c1", b"telecom"):
                if good in payload:
                    assert attempt(decode, payload.replace(good, b"\xff" * len(good))) is None, kind
    header, body = frame_of(WHOLE["report"][1])
    raw = msgspec.msgpack.encode(body)
    for good in (b"ipv4/dns", b"Debian 13", b"memory_mib", b"line_down"):
        assert good in raw
        packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zdict=BODY_V1)
        packed = packer.compress(raw.replace(good, b"\xc3\x28" + b"x" * (len(good) - 2))) + packer.flush()
        assert attempt(codec.decode_report, msgspec.msgpack.encode([*header, packed])) is None, good


@pytest.mark.parametrize("kind", [kind for kind in WHOLE if kind != "stored sample"])
@pytest.mark.parametrize("version", [0, 2, 127, 2**31, 2**64 - 1])
def test_another_version_is_named_as_such(kind: str, version: int) -> None:
    decode, payload = WHOLE[kind]
    fields = msgspec.msgpack.decode(payload)
    with pytest.raises(ProtocolError) as caught:
        decode(msgspec.msgpack.encode([version, *fields[1:]]))
    assert caught.value.code == "unknown_version"
    assert str(version) in caught.value.detail


def test_another_version_is_named_even_if_its_shape_is_unknown() -> None:
    for decode, _ in WHOLE.values():
        if decode is not WHOLE["stored sample"][0]:
            with pytest.raises(ProtocolError, match="version 9"):
                decode(msgspec.msgpack.encode([9, {"all": "new"}, [1, 2, 3], "x"]))


def test_a_body_packed_in_an_unknown_way_is_refused() -> None:
    fields = msgspec.msgpack.decode(WHOLE["report"][1])
    for packing in (2, -1, 255):
        assert attempt(codec.decode_report, msgspec.msgpack.encode([*fields[:10], packing, fields[11]])) is None


def test_a_deflated_body_with_something_behind_it_is_refused() -> None:
    fields = msgspec.msgpack.decode(WHOLE["report"][1])
    assert attempt(codec.decode_report, msgspec.msgpack.encode([*fields[:11], fields[11] + b"more"])) is None
    assert attempt(codec.decode_report, msgspec.msgpack.encode([*fields[:11], fields[11][:-1]])) is None


def test_the_header_is_readable_where_the_body_is_not() -> None:
    """So that a report that can't be read is refused by its run and number, and is not sent for ever."""
    fields = msgspec.msgpack.decode(WHOLE["report"][1])
    payload = msgspec.msgpack.encode([*fields[:11], b"\xff\xff\xff"])
    assert codec.decode_header(payload) == typical_report().header
    assert attempt(codec.decode_report, payload) is None
