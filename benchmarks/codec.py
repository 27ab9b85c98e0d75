"""Bytes per report of five samples, and microseconds to encode and decode it, against JSON + zlib. `make bench` runs it."""

import json
import random
import time
import zlib
from collections.abc import Callable
from itertools import islice

import typical
from sitekeeper_protocol import codec
from sitekeeper_protocol.messages import Report

_SITES, _ROUNDS = 200, 5


def _as_json(report: Report) -> bytes:
    return zlib.compress(json.dumps(codec.to_builtins(report), separators=(",", ":")).encode(), 9)


def _from_json(payload: bytes) -> object:
    return json.loads(zlib.decompress(payload))


def _each_us(function: Callable[[], object], times: int) -> float:
    """The best of some rounds: what else the machine does only ever makes it slower."""
    best = float("inf")
    for _ in range(_ROUNDS):
        begun = time.process_time()
        function()
        best = min(best, time.process_time() - begun)
    return best / times * 1e6


def _reports() -> list[Report]:
    made = []
    for site in range(_SITES):
        rng = random.Random(site)
        taken = tuple(islice(typical.samples(rng), 5))
        made.append(
            typical.report(
                taken, site=f"v{site:04}", run=rng.randrange(1, 2**63), boot=rng.randrange(1, 2**32), number=site + 1
            )
        )
    return made


def main() -> None:
    reports = _reports()
    ours, theirs = [codec.encode_report(r) for r in reports], [_as_json(r) for r in reports]
    rows = [
        ("bytes a report", sum(map(len, ours)) / _SITES, sum(map(len, theirs)) / _SITES),
        (
            "µs to encode",
            _each_us(lambda: [codec.encode_report(r) for r in reports], _SITES),
            _each_us(lambda: [_as_json(r) for r in reports], _SITES),
        ),
        (
            "µs to decode and check",
            _each_us(lambda: [codec.decode_report(p) for p in ours], _SITES),
            _each_us(lambda: [_from_json(p) for p in theirs], _SITES),
        ),
    ]
    series = len(reports[0].samples[0].values)
    print(f"Reports of 5 samples with {series} series each, mean of {_SITES} sites")
    print(f"{'':24}{'Sitekeeper':>12}{'JSON + zlib':>14}{'ratio':>8}")
    for name, mine, other in rows:
        print(f"{name:24}{mine:12.1f}{other:14.1f}{other / mine:8.1f}")
    print("(JSON is only parsed, not checked; named fields, as messages without a schema of their own are sent.)")


if __name__ == "__main__":
    main()
