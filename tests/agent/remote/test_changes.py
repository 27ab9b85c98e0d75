"""The closed list of settings that can be changed from afar, checked as the agent's own file is."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitekeeper_agent.config import Broker, Fault, Settings, load
from sitekeeper_agent.expectations import Expectations, LanDevice, UsbDevice
from sitekeeper_agent.remote.changes import CHANGEABLE, Value, changed
from sitekeeper_agent.remote.keeper import Keeper
from sitekeeper_protocol.messages import RemoteConfig
from sitekeeper_protocol.settings import SettingsError
from support import wire_values

BASE = Settings(site="v1", area="lab", broker=Broker(host="a.example"), portal="http://p.example/")

WRONG: list[tuple[dict[str, Value], str]] = [
    ({"sample_interval_s": 0}, "sample_interval_s: must be a number >= 0.1; it is '0'"),
    ({"sample_interval_s": "fast"}, "sample_interval_s: must be a number, but this is text ('fast')"),
    ({"report_interval_s": 30}, "report_interval_s: 30.0 is less than sample_interval_s, 60.0; make it at least that"),
    ({"language": "fr"}, "language: must be one of en, zh; it is 'fr'"),
    ({"anchors": ["ns.example"]}, "anchors: 'ns.example' is no IP address; an anchor must not need a name service"),
    ({"anchors": "1.1.1.1"}, "anchors: must be a list, but this is text ('1.1.1.1')"),
    ({"broker.port": 70000}, "broker.port: must be a whole number <= 65535; it is '70000'"),
    ({"expected.usb": ["camera"]}, "expected.usb: 'camera' is no item; write for example 046d:0825 camera"),
    ({"expected.lan": ["10.0.0.9:x tv"]}, "expected.lan: '10.0.0.9:x tv': the port is no number"),
    ({"expected.displays": True}, "expected.displays: must be a whole number, but this is true or false ('true')"),
    ({"media": [None]}, "media (item 1): must be text, but this is nothing ('null')"),
]


@pytest.mark.parametrize(("changes", "said"), WRONG)
def test_a_wrong_value_is_told_with_its_key_and_what_would_be_right(changes: dict[str, Value], said: str) -> None:
    with pytest.raises(Fault) as told:
        changed(BASE, changes)
    assert str(told.value) == said


@pytest.mark.parametrize(
    "key",
    [
        *("site", "area", "state_dir", "players", "broker.password_file", "broker.tls", "broker.tls.ca_file", "broker"),
        *("network.dial_log", "network.portal_ca_file", "remote.enabled", "remote.confirm_within_s", "site_page.port"),
        *("", "a.b.c", "phone.x"),
    ],
)
def test_what_names_files_programs_or_the_site_itself_is_not_for_others(key: str) -> None:
    assert key not in CHANGEABLE
    with pytest.raises(Fault, match="can't be changed from afar"):
        changed(BASE, {key: "/etc/shadow"})


def test_each_key_of_the_list_can_be_changed() -> None:
    values: dict[str, Value] = {
        "anchors": ["10.0.0.1"],
        "broker.host": "b.example",
        "broker.port": 1884,
        "data_budget_mb": 5,
        "expected.audio": True,
        "expected.displays": 1,
        "expected.lan": ["192.168.1.60 projector", "192.168.1.61:554 recorder", "[fe80::1]:80 old box"],
        "expected.processes": ["mpv"],
        "expected.services": ["cups"],
        "expected.usb": ["046d:0825 front camera"],
        "language": "en",
        "media": ["http://tv.example/live.m3u8"],
        "media_interval_s": 60,
        "network.direct_resolver": "10.0.0.2",
        "network.modem": "none",
        "network.portal_addresses": ["10.0.0.0/8"],
        "network.portal_hosts": ["login.example"],
        "network.portal_text": "portal",
        "network.proxy": "http://10.0.0.3:3128",
        "phone": "0851-1",
        "portal": "https://q.example/",
        "probe_timeout_s": 5,
        "report_interval_s": 90,
        "sample_interval_s": 30,
        "smart_interval_s": 0,
        "speed_test": "http://q.example/big",
        "speed_test_interval_s": 7200,
    }
    assert tuple(values) == CHANGEABLE
    for key, value in values.items():
        assert changed(BASE, {key: value}) != BASE, key
    whole = changed(BASE, values)
    assert whole.expected == Expectations(
        usb=(UsbDevice(id="046d:0825", name="front camera"),),
        lan=(
            LanDevice(name="projector", host="192.168.1.60"),
            LanDevice(name="recorder", host="192.168.1.61", port=554),
            LanDevice(name="old box", host="fe80::1", port=80),
        ),
        processes=("mpv",),
        services=("cups",),
        displays=1,
        audio=True,
    )
    assert (whole.site, whole.state_dir, whole.broker.tls) == (BASE.site, BASE.state_dir, BASE.broker.tls)


def whole_numbers(text: str) -> str:
    """60 and 60.0 are the same number, of which a default and a converted value make different texts."""
    return re.sub(r"(\d)\.0\b", r"\1", text)


FLAT = ["phone", "portal", "report_interval_s", "sample_interval_s", "anchors", "media", "language", "data_budget_mb"]


VALUES = st.one_of(st.integers(-5, 400), st.text("a1:/.[]{}é站 ", max_size=20), st.booleans(), st.none())


@given(st.dictionaries(st.sampled_from(FLAT), VALUES, max_size=1))
def test_the_agents_file_and_the_county_are_held_to_the_same_rules(
    tmp_path_factory: pytest.TempPathFactory, changes: dict[str, Value]
) -> None:
    file = tmp_path_factory.mktemp("file") / "agent.yaml"
    whole = {"site": "v1", "area": "lab", "broker": {"host": "a.example"}, "portal": "http://p.example/"}
    file.write_text(json.dumps(whole | changes))
    try:
        by_file: Settings | str = load(file)
    except SettingsError as err:
        by_file = whole_numbers(str(err).partition(":1: ")[2])
    try:
        from_afar: Settings | str = changed(BASE, changes)
    except Fault as fault:
        from_afar = whole_numbers(str(fault))
    assert from_afar == by_file


@given(
    st.dictionaries(
        st.sampled_from(CHANGEABLE) | wire_values.key,
        wire_values.scalar | st.lists(wire_values.scalar | st.just("1.2.3.4 x"), max_size=3),
        max_size=4,
    )
)
def test_nothing_that_the_wire_can_bring_raises_anything_but_a_fault(
    tmp_path_factory: pytest.TempPathFactory, changes: dict[str, Value]
) -> None:
    keeper = Keeper(tmp_path_factory.mktemp("state"), BASE)
    used = keeper.offer(RemoteConfig(1, 3, 0, changes), number=0)
    assert used == (keeper.settings != BASE or keeper.revision == 3)
    assert keeper.news is not None


def test_an_address_that_only_a_probe_finds_fault_with_is_refused(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path, BASE)
    assert not keeper.offer(RemoteConfig(1, 3, 0, {"portal": "http://a..b.example/"}), number=0)
    assert keeper.news is not None and "host or port can't be right" in keeper.news.text
