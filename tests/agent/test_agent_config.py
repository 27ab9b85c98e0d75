"""Each mistake in a configuration file is told with its line, its key and what would be right."""

from pathlib import Path

import msgspec
import pytest

from sitekeeper_agent.config import Broker, Pacing, Remote, Settings, SitePage, SpoolLimits, Tls, load, read_password
from sitekeeper_agent.expectations import Expectations
from sitekeeper_agent.surroundings import Network
from sitekeeper_protocol.settings import SettingsError

SAMPLE = Path(__file__).parents[2] / "config" / "agent.yaml"
GOOD = """\
site: "0417"
area: "522634"
broker:
  host: mqtt.county.example
portal: https://portal.province.example/
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "agent.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_four_keys_suffice_and_the_rest_are_the_defaults(tmp_path: Path) -> None:
    settings = load(written(tmp_path, GOOD))
    assert settings == Settings(
        site="0417", area="522634", broker=Broker(host="mqtt.county.example"), portal="https://portal.province.example/"
    )


def test_the_commented_sample_loads_and_shows_every_key_with_its_default() -> None:
    settings = load(SAMPLE)
    required = {name: getattr(settings, name) for name in ("site", "area", "broker", "portal")}
    assert settings == Settings(**required)
    assert settings.broker == Broker(host=settings.broker.host)
    text = SAMPLE.read_text(encoding="utf-8")
    for schema in (Settings, Broker, Tls, SpoolLimits, Pacing, Expectations, Network, SitePage, Remote):
        for field in msgspec.structs.fields(schema):
            assert f"{field.encode_name}:" in text, f"{field.encode_name} is not in the sample"


@pytest.mark.parametrize(("value", "encrypted"), [("true", True), ("{}", True), ("false", False), ("null", False)])
def test_tls_can_be_turned_off_and_on(tmp_path: Path, value: str, encrypted: bool) -> None:
    settings = load(written(tmp_path, GOOD.replace("portal:", f"  tls: {value}\nportal:")))
    assert (settings.broker.encryption is not None) == encrypted


BAD = {
    "empty": ("", "{file}:1: the file is empty; see the commented sample in config/"),
    "no-yaml": ("site: [1,\n", "{file}:2: this is no YAML: expected the node content, but found '<stream end>'"),
    "tab": ("site: a\n\tarea: b\n", "{file}:2: this is no YAML: found character '\\t' that cannot start any token"),
    "missing-site": (GOOD.replace('site: "0417"\n', ""), "{file}:1: site: this key is missing and has no default"),
    "missing-host": (
        GOOD.replace("host: mqtt.county.example", "port: 8883"),
        "{file}:4: broker.host: this key is missing and has no default",
    ),
    "unknown-key": (GOOD + "portl: x\n", "{file}:6: portl: no such key here; did you mean portal?"),
    "password-in-file": (
        GOOD.replace("portal:", "  password: s3cret\nportal:"),
        "{file}:5: broker.password: no such key here; did you mean password_file?",
    ),
    "number-as-site": (
        GOOD.replace('"0417"', "417"),
        "{file}:1: site: must be text, but this is a whole number ('417'); put it in quotes",
    ),
    "phone-as-number": (
        GOOD + "phone: 8512345\n",
        "{file}:6: phone: must be text, but this is a whole number ('8512345'); put it in quotes",
    ),
    "phone-over-lines": (
        GOOD + 'phone: "0851\\n1234"\n',
        "{file}:6: phone: '0851\\n1234' can't be shown in a sentence; write for example 0851-2345678",
    ),
    "slash-in-site": (
        GOOD.replace('"0417"', "a/b"),
        "{file}:1: site: the site id 'a/b' is not usable: 1 to 48 of A-Z a-z 0-9 . _ -, beginning with a letter or digit",
    ),
    "wildcard-area": (
        GOOD.replace('"522634"', '"+"'),
        "{file}:2: area: the area '+' is not usable: 1 to 48 of A-Z a-z 0-9 . _ -, beginning with a letter or digit",
    ),
    "host-with-port": (
        GOOD.replace("mqtt.county.example", "mqtt.county.example:8883"),
        "{file}:4: broker.host: 'mqtt.county.example:8883' is no host name; write for example mqtt.example.org, without a port",
    ),
    "portal-without-scheme": (
        GOOD.replace("https://portal.province.example/", "portal.province.example"),
        "{file}:5: portal: 'portal.province.example' is no web address; write for example https://portal.example.org/",
    ),
    "anchor-name": (
        GOOD + "anchors: [1.2.3.4, dns.example]\n",
        "{file}:6: anchors: 'dns.example' is no IP address; an anchor must not need a name service",
    ),
    "modem-name": (
        GOOD + "network: {modem: router}\n",
        "{file}:6: network.modem: 'router' is no IP address; write auto, none, or for example 192.168.1.1",
    ),
    "direct-resolver-name": (
        GOOD + "network:\n  direct_resolver: dns.example\n",
        "{file}:7: network.direct_resolver: 'dns.example' is no IP address; a resolver must not need a name",
    ),
    "portal-address-of-a-host-in-a-network": (
        GOOD + "network:\n  portal_addresses: [10.1.2.3/8]\n",
        "{file}:7: network.portal_addresses: '10.1.2.3/8' is neither an address nor a network such as 10.0.0.0/8",
    ),
    "portal-host-as-address": (
        GOOD + "network:\n  portal_hosts: ['https://login.example/']\n",
        "{file}:7: network.portal_hosts: 'https://login.example/' is no host name; "
        "write it without https:// and without a path",
    ),
    "proxy-with-password": (
        GOOD + "network:\n  proxy: http://me:s3cret@10.0.0.1:3128\n",
        "{file}:7: network.proxy: this is no proxy's address; write for example http://10.0.0.1:3128, without a user name",
    ),
    "relative-dial-log": (
        GOOD + "network:\n  dial_log: ppp.log\n",
        "{file}:7: network.dial_log: 'ppp.log' is a relative path; write the whole path, from the root",
    ),
    "stream-without-scheme": (
        GOOD + "media:\n  - http://tv.example/live.m3u8\n  - rtmp://tv.example/live?key=secret\n",
        "{file}:6: media: item 2, 'rtmp://tv.example/live', is no web address; "
        "write for example http://tv.example.org/live.m3u8",
    ),
    "stream-of-no-group": (
        GOOD + "media: ['rtp://10.0.0.1:5004']\n",
        "{file}:6: media: item 1: 'rtp://10.0.0.1:5004' is no multicast stream's address; write it as rtp://239.1.1.1:5004",
    ),
    "stream-by-rtsp-with-password": (
        GOOD + "media: ['rtsp://me:pw@tv.example/']\n",
        "{file}:6: media: item 1: 'tv.example/' is no stream's address; write it as rtsp://tv.example/channel1, without a user",
    ),
    "stream-with-password": (
        GOOD + "media: ['http://me:pw@tv.example/']\n",
        "{file}:6: media: item 1, 'http://me:pw@tv.example/', is no web address; "
        "write for example http://tv.example.org/live.m3u8",
    ),
    "stream-twice": (
        GOOD + "media: [http://tv/a.ts, http://tv/a.ts]\n",
        "{file}:6: media: one stream stands here twice; keep one of them",
    ),
    "too-many-streams": (
        GOOD + "media: [" + ", ".join(f"http://tv/{at}" for at in range(9)) + "]\n",
        "{file}:6: media: must be a list of length <= 8",
    ),
    "usb-id": (
        GOOD + "expected:\n  usb: [{id: 046d-0825, name: camera}]\n",
        "{file}:7: expected.usb: '046d-0825' is no USB id; write it as lsusb shows it, for example 046d:0825",
    ),
    "usb-without-name": (
        GOOD + "expected:\n  usb:\n    - {id: 046d:0825}\n",
        "{file}:8: expected.usb (item 1).name: this key is missing and has no default",
    ),
    "device-by-name": (
        GOOD + "expected:\n  lan: [{name: projector, host: projector.local}]\n",
        "{file}:7: expected.lan: 'projector.local' is no IP address; give the device a fixed one, for example 192.168.1.60",
    ),
    "service-that-is-an-option": (
        GOOD + "expected:\n  services: [--host=evil]\n",
        "{file}:7: expected.services: '--host=evil' is no service's name; write for example cups or cups.service",
    ),
    "name-over-lines": (
        GOOD + 'expected: {processes: ["a\\nb"]}\n',
        "{file}:6: expected.processes: 'a\\nb' is no name; write a word without / and without blanks around it",
    ),
    "one-name-for-two": (
        GOOD + "expected:\n  lan: [{name: tv, host: 10.0.0.1}, {name: tv, host: 10.0.0.2}]\n",
        "{file}:7: expected.lan: one name stands here twice; each needs its own",
    ),
    "report-before-sample": (
        GOOD + "report_interval_s: 30\n",
        "{file}:6: report_interval_s: 30.0 is less than sample_interval_s, 60; make it at least that",
    ),
    "pauses": (
        GOOD + "backlog: {pause_min_s: 3, pause_max_s: 1}\n",
        "{file}:6: backlog.pause_max_s: 1.0 is less than pause_min_s; make it at least that",
    ),
    "relative-path": (
        GOOD.replace("portal:", "  password_file: secret\nportal:"),
        "{file}:5: broker.password_file: 'secret' is a relative path; write the whole path, from the root",
    ),
    "port": (
        GOOD.replace("portal:", "  port: 70000\nportal:"),
        "{file}:5: broker.port: must be a whole number <= 65535; it is '70000'",
    ),
    "twice": (GOOD + "site: b\n", "{file}:6: site: this key stands here twice; keep one of them"),
    "language": (GOOD + "language: fr\n", "{file}:6: language: must be one of en, zh; it is 'fr'"),
}


@pytest.mark.parametrize(("text", "expected"), BAD.values(), ids=BAD)
def test_each_mistake_is_named_with_its_line_and_what_is_right(tmp_path: Path, text: str, expected: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        load(path)
    assert str(caught.value) == expected.format(file=path)


def test_a_file_that_is_not_there_or_not_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.yaml: can't be read: No such file"):
        load(tmp_path / "nowhere.yaml")
    (tmp_path / "gbk.yaml").write_bytes(GOOD.encode() + "# 站点".encode("gbk"))
    with pytest.raises(SettingsError, match=r"gbk\.yaml:6: the file is not UTF-8; save it as UTF-8"):
        load(tmp_path / "gbk.yaml")


def test_a_deeply_nested_file_is_refused_not_crashed_on(tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        load(written(tmp_path, "[" * 100_000))


def test_the_password_is_the_first_line_of_its_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("pass word\nsecond line\n")
    assert read_password(str(file)) == "pass word"
    assert read_password(None) is None


def test_an_unusable_password_file_fails_loudly_without_quoting_it(tmp_path: Path) -> None:
    file = tmp_path / "password"
    with pytest.raises(SettingsError, match="can't be read: No such file"):
        read_password(str(file))
    file.write_text("\n")
    with pytest.raises(SettingsError, match="the password file is empty"):
        read_password(str(file))
    file.write_bytes(b"top\xffsecret")
    with pytest.raises(SettingsError, match="is not UTF-8") as caught:
        read_password(str(file))
    assert "secret" not in str(caught.value)
