"""The collector's configuration file: the sample is the defaults, and each mistake says where it is and what is right."""

from pathlib import Path

import pytest

from sitekeeper_collector.config import Broker, Settings, Tls, load, password
from sitekeeper_protocol.settings import SettingsError

SAMPLE = Path(__file__).parents[3] / "config" / "collector.yaml"


def test_the_commented_sample_is_exactly_the_defaults() -> None:
    assert load(SAMPLE) == Settings()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "collector.yaml:1: the file is empty"),
        ("broker: [", "collector.yaml:2: this is no YAML"),
        ("a: b: c", "collector.yaml:1: this is no YAML"),
        ("\x00", "collector.yaml:1: this is no YAML"),
        ("areas: [a]\nareas: [b]", "collector.yaml:2: areas: this key stands here twice"),
        ("databse: x", "collector.yaml:1: databse: no such key here; did you mean database?"),
        ("broker:\n  hots: x", "collector.yaml:2: broker.hots: no such key here; did you mean host?"),
        ("broker:\n  password: x", "collector.yaml:2: broker.password: no such key here; did you mean password_file?"),
        ("broker:\n  port: 99999", "collector.yaml:2: broker.port: "),
        ("broker:\n  host: mqtt://x", "collector.yaml:2: broker.host: 'mqtt://x' is no host name"),
        ("broker:\n  host: ''", "collector.yaml:2: broker.host: "),
        ("broker:\n  username: a/b", "collector.yaml:2: broker.username: the user name 'a/b' is not usable"),
        ("broker:\n  password_file: secret", "collector.yaml:2: broker.password_file: 'secret' is a relative path"),
        ("broker:\n  tls:\n    ca_file: ca.pem", "collector.yaml:3: broker.tls.ca_file: 'ca.pem' is a relative path"),
        ("broker:\n  tls: yess", "collector.yaml:2: broker.tls: "),
        ("database: sqlite:///x.db", "collector.yaml:1: database: 'x.db' is a relative path"),
        ("database: sqlite://", "collector.yaml:1: database: the file is missing"),
        ("database: mysql://u:secret@h/d", "collector.yaml:1: database: 'mysql' is not supported"),
        ("database: nonsense", "collector.yaml:1: database: this is no database address"),
        ("areas: []", "collector.yaml:1: areas: "),
        ("areas: ['#']", "collector.yaml:1: areas: the area '#' is not usable"),
        ("\nareas: ['+', a]", "collector.yaml:2: areas: '+' stands for all areas"),
        ("areas: [0012]", "collector.yaml:1: areas (item 1): "),
        ("receipt_interval_s: soon", "collector.yaml:1: receipt_interval_s: "),
        ("receipt_interval_s: 0", "collector.yaml:1: receipt_interval_s: "),
        ("batch:\n  max_reports: 0", "collector.yaml:2: batch.max_reports: "),
        ("blindness:\n  limit_s: 15", "collector.yaml:2: blindness.limit_s: less than twice interval_s"),
        ("series:\n  flavour: influx", "collector.yaml:2: series.flavour: "),
        ("series:\n  flavour: influx2", "collector.yaml:1: series.url: this is no address"),
        ("series:\n  flavour: victoria\n  url: http://u:secret@h", "collector.yaml:3: series.url: no user or password here"),
        (
            "series:\n  flavour: influx2\n  url: http://h",
            "collector.yaml:1: series: influx2 needs org and token_file;",
        ),
        (
            "series:\n  flavour: influx1\n  url: http://h\n  token_file: /t",
            "collector.yaml:4: series.token_file: tokens are",
        ),
        ("series:\n  flavour: influx1\n  url: http://h\n  username: u", "collector.yaml:1: series: username and password_file"),
        ("series:\n  flavour: influx1\n  url: http://h\n  bucket: a b", "collector.yaml:4: series.bucket: 'a b' is no name"),
        ("series:\n  keep_days: 1", "collector.yaml:2: series.keep_days: "),
        ("series:\n  ca_file: ca.pem", "collector.yaml:2: series.ca_file: 'ca.pem' is a relative path"),
        ("embedded:\n  folder: here", "collector.yaml:2: embedded.folder: 'here' is a relative path"),
    ],
)
def test_a_mistake_is_told_with_file_line_key_and_what_is_right(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "collector.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(file)
    assert str(caught.value).removeprefix(f"{tmp_path}/").startswith(said)
    assert "secret@" not in str(caught.value)


def test_a_file_that_is_missing_or_not_utf_8_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="can't be read"):
        load(tmp_path / "nothing.yaml")
    (tmp_path / "gbk.yaml").write_bytes("areas: [a]\n# 县".encode("gbk"))
    with pytest.raises(SettingsError, match=r"gbk\.yaml:2: the file is not UTF-8"):
        load(tmp_path / "gbk.yaml")


@pytest.mark.parametrize(
    ("written", "encryption"),
    [("null", None), ("false", None), ("true", Tls()), ("{}", Tls()), ("{ca_file: /ca.pem}", Tls(ca_file="/ca.pem"))],
)
def test_tls_is_on_unless_it_is_turned_off(tmp_path: Path, written: str, encryption: Tls | None) -> None:
    file = tmp_path / "collector.yaml"
    file.write_text(f"broker:\n  tls: {written}")
    assert load(file).broker.encryption == encryption


def test_the_password_is_the_first_line_of_its_file_and_a_bad_file_is_told(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    broker = Broker(password_file=str(file))
    with pytest.raises(SettingsError, match="can't be read"):
        password(broker)
    file.write_text("\nx")
    with pytest.raises(SettingsError, match="first line is empty"):
        password(broker)
    file.write_text("pa ss\nmore\n")
    assert password(broker) == "pa ss"
    assert password(Broker()) is None
