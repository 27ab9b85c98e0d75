"""Topics are built and taken apart without loss, and nothing else passes for one."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sitekeeper_protocol import topics
from sitekeeper_protocol.errors import ProtocolError
from sitekeeper_protocol.topics import Address, Leaf

IDS = st.from_regex(re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,47}"), fullmatch=True)
LEAVES = st.sampled_from(Leaf)


@given(IDS, IDS, LEAVES)
def test_a_topic_comes_apart_as_it_was_built(area: str, site: str, leaf: Leaf) -> None:
    assert topics.parse(topics.topic(area, site, leaf)) == Address(area, site, leaf)


@given(st.text())
@example("sk/v1/a/b/report\n")
@example("sk/v1/a/b\n/report")
@example("/sk/v1/a/b/report")
@example("sk/v2/a/b/report")
@example("sk/v1/+/b/report")
@example("sk/v1/a/#")
@example("sk/v1/a/b/report/c")
@example("sk/v1//b/report")
def test_parse_gives_an_address_that_builds_the_same_topic_or_refuses(name: str) -> None:
    try:
        address = topics.parse(name)
    except ProtocolError as err:
        assert err.code in {"bad_topic", "bad_id"}
        assert len(err.detail) < 300
    else:
        assert topics.topic(*address) == name


@given(st.text())
@example("a/b")
@example("a\n")
@example("+")
@example("#")
@example("$SYS")
@example("-a")
@example(".hidden")
@example("..")
@example("")
@example("x" * 49)
@example("站点")
@example("٣")
def test_an_id_is_harmless_in_topics_file_names_and_password_files(text: str) -> None:
    try:
        assert topics.check_id(text) == text
    except ProtocolError as err:
        assert err.code == "bad_id"
        return
    assert 1 <= len(text) <= 48
    assert text.isascii()
    assert not set(text) & set("/+#:$ \\\0\n\r\t")
    assert text[0] not in ".-_"


def test_what_is_wrong_with_an_id_is_said() -> None:
    with pytest.raises(ProtocolError, match=r"bad_id: area 'a b' is not usable: 1 to 48 of A-Z a-z 0-9 \. _ -"):
        topics.topic("a b", "s", Leaf.REPORT)


@given(IDS, IDS, IDS, LEAVES)
def test_a_subscription_matches_the_topics_of_its_area_alone(area: str, elsewhere: str, site: str, leaf: Leaf) -> None:
    everywhere, here = topics.subscription(leaf), topics.subscription(leaf, area)
    name = topics.topic(area, site, leaf)
    assert matches(everywhere, name)
    assert matches(here, name)
    assert matches(here, topics.topic(elsewhere, site, leaf)) == (elsewhere == area)
    for other in set(Leaf) - {leaf}:
        assert not matches(everywhere, topics.topic(area, site, other))


def matches(subscription: str, name: str) -> bool:
    levels, parts = subscription.split("/"), name.split("/")
    return len(levels) == len(parts) and all(level in ("+", part) for level, part in zip(levels, parts, strict=True))


def test_every_kind_of_message_has_one_direction_but_none_has_two() -> None:
    assert sorted((*topics.FROM_AGENT, *topics.TO_AGENT)) == sorted(Leaf)
