"""Bytes of wire version 1, as agents in the field send them, are read today as they were meant."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sitekeeper_protocol import codec
from sitekeeper_protocol.dictionary import BODY_V1

FOLDER = Path(__file__).with_name("golden") / "v1"
NAMES = sorted(path.stem for path in FOLDER.glob("*.hex"))

DECODERS: dict[str, Callable[[bytes], Any]] = {
    "report": codec.decode_report,
    "status": codec.decode_status,
    "receipt": codec.decode_receipt,
    "config": codec.decode_config,
    "command": codec.decode_command,
    "result": codec.decode_result,
}


def golden(name: str) -> tuple[bytes, Any]:
    payload = bytes.fromhex((FOLDER / f"{name}.hex").read_text(encoding="ascii"))
    return payload, json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def decoded(name: str) -> Any:
    return DECODERS[name.partition("_")[0]](golden(name)[0])


@pytest.mark.parametrize("name", NAMES)
def test_golden_bytes_are_read_as_they_were_meant(name: str) -> None:
    assert json.loads(json.dumps(codec.to_builtins(decoded(name)))) == golden(name)[1]


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("report")])
def test_a_small_message_is_still_written_with_the_same_bytes(name: str) -> None:
    assert codec.encode(decoded(name)) == golden(name)[0]


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("report")])
def test_a_report_is_still_written_no_longer_and_read_alike(name: str) -> None:
    """Not byte by byte: DEFLATE may choose otherwise in another build of zlib."""
    payload, _ = golden(name)
    again = codec.encode_report(decoded(name))
    assert codec.decode_report(again) == decoded(name)
    assert len(again) <= len(payload) * 1.1


def test_every_kind_of_message_has_golden_bytes() -> None:
    assert {name.partition("_")[0] for name in NAMES} == set(DECODERS)
    assert {path.stem for path in FOLDER.glob("*.json")} == set(NAMES)


def test_the_dictionary_of_version_1_is_the_one_that_agents_have() -> None:
    assert hashlib.sha256(BODY_V1).hexdigest() == "7a7f9530d7a0ea3fd565f92cdf09153f3515d2ab0f2549959891f4eb1ad5c167"
