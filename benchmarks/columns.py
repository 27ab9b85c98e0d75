"""What each step of the report's form saves, in bytes a report of five samples. `make bench` runs it."""

import random
import zlib
from collections.abc import Callable
from itertools import islice

import msgspec

import typical
from sitekeeper_protocol import codec
from sitekeeper_protocol.dictionary import BODY_V1
from sitekeeper_protocol.messages import Report

_SITES = 200


def _reports() -> list[Report]:
    made = []
    for site in range(_SITES):
        rng = random.Random(site)
        taken = tuple(islice(typical.samples(rng), 5))
        made.append(typical.report(taken, site=f"v{site:04}", run=2**62 + site, boot=2**31 + site, number=site + 1))
    return made


def _rows(report: Report) -> bytes:
    samples = [(s.sequence, s.wall_ms, s.boottime_ms, [(*k, v) for k, v in s.values.items()]) for s in report.samples]
    return msgspec.msgpack.encode(samples)


def _columns(report: Report) -> bytes:
    return msgspec.msgpack.encode(codec._body(report))


def _whole_columns(report: Report) -> bytes:
    """Columns of differences with the zeros at the end."""
    body = codec._body(report)
    count = len(report.samples)
    full = [[*column, *[0] * (count + 2 - len(column))] for column in body.columns]
    return msgspec.msgpack.encode(msgspec.structs.replace(body, columns=full))


def _deflated(pack: Callable[[Report], bytes], dictionary: bytes = b"") -> Callable[[Report], bytes]:
    def packed(report: Report) -> bytes:
        packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zdict=dictionary)
        return packer.compress(pack(report)) + packer.flush()

    return packed


def main() -> None:
    reports = _reports()
    forms: dict[str, Callable[[Report], bytes]] = {
        "rows of samples": _rows,
        "rows of samples, DEFLATE": _deflated(_rows),
        "columns with all zeros": _whole_columns,
        "columns": _columns,
        "columns with all zeros, DEFLATE": _deflated(_whole_columns),
        "columns, DEFLATE": _deflated(_columns),
        "columns with all zeros, DEFLATE with dictionary": _deflated(_whole_columns, BODY_V1),
        "columns, DEFLATE with dictionary": _deflated(_columns, BODY_V1),
        "the same with its header: a report": codec.encode_report,
    }
    print(f"Bytes a report body, mean of {_SITES} sites")
    for name, form in forms.items():
        print(f"{name:50}{sum(len(form(r)) for r in reports) / _SITES:8.1f}")


if __name__ == "__main__":
    main()
