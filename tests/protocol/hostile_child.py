"""Decodes hostile bytes under hard limits of memory and CPU, and prints what each cost. Run by test_codec_hostile.py.

Prints one JSON object: name of the attack -> {"outcome": "refused: code" or "accepted", "peak_mib", "detail"}. Anything
but a ``ProtocolError`` ends the process.
"""

import json
import resource
import tracemalloc
import zlib
from collections.abc import Callable, Iterator

from msgspec import msgpack

from sitekeeper_protocol import codec
from sitekeeper_protocol.dictionary import BODY_V1
from sitekeeper_protocol.errors import ProtocolError

MIB = 2**20
Decode = Callable[[bytes], object]

HUGE_ARRAY = b"\xdd\xff\xff\xff\xff"
HUGE_MAP = b"\xdf\xff\xff\xff\xff"
HUGE_BYTES = b"\xc6\xff\xff\xff\xff"
HUGE_TEXT = b"\xdb\xff\xff\xff\xff"


def deflated(body: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zdict=BODY_V1)
    return packer.compress(body) + packer.flush()


def report(body: bytes, *, count: int = 0, packing: int = 1) -> bytes:
    """A report with a sound header around ``body``."""
    packed = deflated(body) if packing == 1 else body
    return msgpack.encode([1, 0, 1, 0, 0, 0, 1, count, 1, 0, packing, packed])


def body(
    *,
    boottimes: bytes = b"\x90",
    offsets: bytes = b"\x90",
    instances: bytes = b"\x90",
    columns: bytes = b"\x90",
    events: bytes = b"\x90",
    facts: bytes = b"\x90",
    drops: bytes = b"\x90",
) -> bytes:
    """A report body with a sound beginning; each further field is MessagePack as given."""
    start = b"".join(map(msgpack.encode, [1, 0, 1, None, None, 0]))
    return b"\x9d" + start + boottimes + offsets + instances + columns + events + facts + drops


def array(items: int, item: bytes) -> bytes:
    return b"\xdd" + items.to_bytes(4, "big") + item * items


def bodies() -> Iterator[tuple[str, bytes, int]]:
    """(name, body, count of samples)."""
    fill = codec.MAX_BODY_BYTES - 64
    for name, item in (
        ("bytes", b"\x07"),
        ("8-bit negative numbers", b"\xd0\x9c"),
        ("16-bit numbers", b"\xcd\x07\xd0"),
        ("64-bit numbers", b"\xcf\x00\x1f" + b"\xff" * 6),
        ("nothing", b"\xc0"),
    ):
        yield f"times of {name}", body(boottimes=array(fill // len(item), item)), 1
        yield f"one column of {name}", body(instances=b"\x91\xa0", columns=b"\x91" + array(fill // len(item), item)), 1
    yield "empty columns without end", body(columns=array(fill, b"\x90")), 1
    yield "events without end", body(events=array(fill // 4, b"\x92\x00\x91\x09")), 1
    yield "facts without end", body(facts=array(fill // 3, b"\x92\x00\x80")), 1
    yield (
        "one fact without end",
        body(facts=b"\x91\x92\x00\xdf" + (fill // 8).to_bytes(4, "big") + b"\xa1a\x01" * (fill // 8)),
        1,
    )
    yield "drops without end", body(drops=array(fill // 5, b"\x94\x01\x01\x01\x01")), 1
    yield "instances without end", body(instances=array(fill, b"\xa0")), 1
    yield "a long instance", body(instances=b"\x91\xdb" + (fill // 2).to_bytes(4, "big") + b"a" * (fill // 2)), 1
    yield "many series of many samples", many_series(), codec.MAX_SAMPLES
    yield "many series of many large and different values", many_series(first=2**40, step=1), codec.MAX_SAMPLES
    yield "many series with gaps", many_series(gaps=True), codec.MAX_SAMPLES
    yield (
        "the same series many times",
        body(
            instances=b"\x91\xa0", columns=array(256, b"\x93\x01\x00\x01").replace(b"\xdd\x00\x00\x01\x00", b"\xdc\x01\x00", 1)
        ),
        codec.MAX_SAMPLES,
    )
    yield "an event of much nesting", body(events=b"\x91\x92\x00\x92\x09" + b"\x91" * 1_000_000 + b"\x90"), 1
    yield "a known event of much nesting", body(events=b"\x91\x92\x00\x92\x01" + b"\x91" * 1_000_000 + b"\x90"), 1
    yield "a fact of much nesting", body(facts=b"\x91\x92\x00\x81\xa1a" + b"\x91" * 1_000_000 + b"\x90"), 1
    yield "a tail of much nesting", b"\x9e" + body()[1:] + b"\x81\xa1a" * 1_000_000 + b"\xc0", 0
    for name, head in (("array", HUGE_ARRAY), ("map", HUGE_MAP), ("bytes", HUGE_BYTES), ("text", HUGE_TEXT)):
        for field in ("boottimes", "instances", "columns", "events", "facts", "drops"):
            yield f"{field} that claim to be a huge {name}", body(**{field: head}), 1
        yield f"a column that claims to be a huge {name}", body(instances=b"\x91\xa0", columns=b"\x91" + head), 1
        yield f"an event that claims to be a huge {name}", body(events=b"\x91\x92\x00" + head), 1
        yield f"a body that claims to be a huge {name}", head, 1


def many_series(*, first: int = 1, step: int = 0, gaps: bool = False) -> bytes:
    columns = []
    for at in range(256):
        columns.append([1, at, first + at, *[step + at] * (999 if step else 0), *[None, 5] * (400 if gaps else 0)])
    return body(instances=msgpack.encode([f"series {at}" for at in range(256)]), columns=msgpack.encode(columns))


def unpack(payload: bytes) -> object:
    return codec.unpack_sample(payload, sequence=1, wall_ms=0, boottime_ms=0)


REPORTS: dict[str, Decode] = {"header": codec.decode_header, "report": codec.decode_report}
REPORT: dict[str, Decode] = {"report": codec.decode_report}
STORED: dict[str, Decode] = {"stored sample": unpack}
SMALL: dict[str, Decode] = {
    "status": codec.decode_status,
    "receipt": codec.decode_receipt,
    "config": codec.decode_config,
    "command": codec.decode_command,
    "result": codec.decode_result,
}
ALL = {**REPORTS, **SMALL, **STORED}


def attacks() -> Iterator[tuple[str, bytes, dict[str, Decode]]]:
    """(name, payload, the decoders that it is given to)."""
    for name, hostile, count in bodies():
        yield name, report(hostile, count=count), REPORT
        if len(hostile) < codec.MAX_REPORT_BYTES - 64:
            yield f"{name}, plain", report(hostile, count=count, packing=0), REPORT
    yield "a body of zeros that inflates a thousandfold", report(bytes(64 * MIB)), REPORT
    yield "a body that inflates to exactly the limit", report(b"\x90" * codec.MAX_BODY_BYTES), REPORT
    yield "deep arrays", b"\x91" * 1_000_000, ALL
    yield "deep arrays within the limit", b"\x91" * 60_000, ALL
    yield "deep maps within the limit", b"\x81\x01" * 30_000, ALL
    yield "deep arrays behind the version", b"\x92\x01" + b"\x91" * 60_000, ALL
    header = msgpack.encode([1, 0, 1, 0, 0, 0, 1, 0, 1, 0])[1:]
    yield "deep arrays behind a whole header", b"\xdc\x00\x10" + header + b"\x91" * 60_000, ALL
    for name, head in (("array", HUGE_ARRAY), ("map", HUGE_MAP), ("bytes", HUGE_BYTES), ("text", HUGE_TEXT)):
        yield f"a message that claims to be a huge {name}", head, ALL
        yield f"a second field that claims to be a huge {name}", b"\x9f\x01" + head, ALL
        yield f"a huge {name} behind an array that claims to be huge", HUGE_ARRAY + b"\x01" + head, ALL
    yield "more than is accepted", bytes(64 * MIB), ALL
    yield "a receipt of many runs", msgpack.encode([1, 1, 0, 0, 0, [[1, 1]] * 9000]), SMALL
    yield "a configuration of many keys", msgpack.encode([1, 1, 0, {str(at): at for at in range(5000)}]), SMALL
    yield "a stored sample of much nesting", b"\x93\x90\x91" + b"\x91" * 1_000_000 + b"\x90\x80", STORED
    yield "a stored sample that claims to be huge", b"\x93" + HUGE_ARRAY, STORED


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (1024 * MIB, 1024 * MIB))
    resource.setrlimit(resource.RLIMIT_CPU, (120, 120))
    costs: dict[str, dict[str, object]] = {}
    tracemalloc.start()
    for name, payload, decoders in attacks():
        for what, decode in decoders.items():
            costs[f"{name}, as {what}"] = cost(decode, payload)
    print(json.dumps(costs))


def cost(decode: Decode, payload: bytes) -> dict[str, object]:
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    detail = ""
    try:
        decode(payload)
    except ProtocolError as err:
        outcome, detail = f"refused: {err.code}", err.detail
    else:
        outcome = "accepted"
    peak = tracemalloc.get_traced_memory()[1] - before
    return {"outcome": outcome, "peak_mib": round(peak / MIB, 1), "detail": detail}


if __name__ == "__main__":
    main()
