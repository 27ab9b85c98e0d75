"""A mistake in a configuration file is explained by file, line, key and what would be right; a hostile file costs little."""

import tracemalloc
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from sitekeeper_protocol.settings import MAX_DEPTH, SettingsError, read

MISTAKES: list[dict[str, str]] = yaml.safe_load(Path(__file__).with_name("settings_mistakes.yaml").read_text())


class Tls(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    ca_file: str = ""


class Broker(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    host: str
    port: Annotated[int, Meta(ge=1, le=65535)] = 8883
    tls: Tls | bool | None = True
    password_file: str | None = None


class Player(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    path: str = ""


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    site: Annotated[str, Meta(min_length=1, max_length=48)]
    broker: Broker
    language: Literal["zh", "en"] = "zh"
    anchors: Annotated[tuple[str, ...], Meta(max_length=3)] = ()
    players: tuple[Player, ...] = ()
    labels: dict[str, str] = {}
    ratio: float = 0.0
    level: int = 0


def load(text: str, loader: Any = yaml.SafeLoader) -> Settings:
    return read(yaml.compose(text, Loader=loader), Settings, "site.yaml")


@pytest.mark.parametrize("loader", [yaml.SafeLoader, yaml.CSafeLoader])
@pytest.mark.parametrize("case", MISTAKES, ids=[case["name"] for case in MISTAKES])
def test_a_mistake_is_explained(case: dict[str, str], loader: Any) -> None:
    with pytest.raises(SettingsError) as caught:
        load(case["text"], loader)
    assert str(caught.value) == f"site.yaml:{case['says']}"


def test_what_is_right_is_read() -> None:
    settings = load(
        """
site: "0012"
broker:
  host: mqtt.example.org
  port: 0x75B
  tls: off
language: en
anchors: [10.0.0.1, '10.0.0.2']
players:
  - {name: vlc}
  - {name: mpv, path: /usr/bin/mpv}
labels: {room: "3", 5: five}
ratio: 1
level: 1_000
"""
    )
    assert settings == Settings(
        site="0012",
        broker=Broker(host="mqtt.example.org", port=1883, tls=False),
        language="en",
        anchors=("10.0.0.1", "10.0.0.2"),
        players=(Player(name="vlc"), Player(name="mpv", path="/usr/bin/mpv")),
        labels={"room": "3", "5": "five"},
        ratio=1.0,
        level=1000,
    )


@pytest.mark.parametrize(("word", "meaning"), [("true", True), ("Yes", True), ("ON", True), ("false", False), ("no", False)])
def test_truth_values_are_those_of_yaml(word: str, meaning: bool) -> None:
    assert load(f"site: a\nbroker: {{host: h, tls: {word}}}").broker.tls is meaning


def test_a_file_that_multiplies_itself_by_aliases_is_refused_at_once() -> None:
    """'Billion laughs': 30 lines that would become 10^27 values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{at}: &a{at} [{', '.join([f'*a{at - 1}'] * 10)}]" for at in range(1, 27)]
    tracemalloc.start()
    try:
        with pytest.raises(SettingsError, match=r"site\.yaml:2: a1 \(item 1\): anchors and aliases"):
            load("\n".join(lines))
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()


def test_deep_nesting_is_refused() -> None:
    depth = MAX_DEPTH + 2
    with pytest.raises(SettingsError, match=r"site\.yaml:1: .*: nested more than 16 levels deep"):
        load("site: " + "[" * depth + "]" * depth)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.dates(),
        lambda some: (
            st.lists(some, max_size=3)
            | st.dictionaries(
                st.sampled_from(["site", "broker", "host", "port", "tls", "players", "name", "labels", "anchors", "ca_file"])
                | st.text(max_size=5),
                some,
                max_size=5,
            )
        ),
        max_leaves=15,
    )
)
def test_any_yaml_is_either_settings_or_explained(content: object) -> None:
    text = yaml.safe_dump(content, allow_unicode=True)
    try:
        load(text)
    except SettingsError as err:
        assert str(err).startswith("site.yaml:")
        line = int(str(err).split(":")[1])
        assert 1 <= line <= text.count("\n") + 1
