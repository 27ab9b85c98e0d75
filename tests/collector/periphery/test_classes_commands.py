"""``classes``, ``rules`` and ``mail`` on the command line: what they do, and what they say to a mistake."""

from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest

from sitekeeper_collector import cli
from sitekeeper_collector.embedded.mail_catcher import MailCatcher

ROOT = Path(__file__).parents[3]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "collector.yaml"
    file.write_text(f"database: sqlite:///{tmp_path / 'store.db'}\nbroker: {{host: localhost, tls: false}}\n")
    sites = tmp_path / "sites.csv"
    sites.write_text("id,name,county,township\nv1,上河村,清河县,清水镇\n")
    assert cli.main(["sites", "import", str(sites), "--config", str(file)]) == 0
    return file


def _add(config: Path, *more: str, begin: str = "2099-09-01 09:00", end: str = "10:30") -> int:
    return cli.main(["classes", "add", "--from", begin, "--to", end, "--title", "农技课堂", "--config", str(config), *more])


def test_a_weekly_class_of_a_township_is_planned_listed_and_taken_out(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _add(config, "--township", "清水镇", "--weeks", "2") == 0
    assert _add(config, "--township", "清水镇", "--weeks", "3") == 0
    assert capsys.readouterr().out.splitlines()[-2:] == ["2 added", "1 added, 2 there already"]
    assert cli.main(["classes", "list", "--days", "36500", "--config", str(config)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1:6] for line in lines[1:]] == [
        [day, "09:00", "10:30", "清水镇", "农技课堂"] for day in ("2099-09-01", "2099-09-08", "2099-09-15")
    ]
    assert cli.main(["classes", "remove", "2", "--config", str(config)]) == 0
    assert cli.main(["classes", "remove", "2", "--config", str(config)]) == 1
    assert "there is no class 2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("begin", "end", "more", "said"),
    [
        ("9:00", "10:00", (), "'9:00' names no day"),
        ("tomorrow", "10:00", (), "'tomorrow' is no time; write it like '2026-09-01 09:00'"),
        ("2099-09-01 09:00", "08:00", (), "it must end after it begins"),
        ("2099-09-01 09:00", "2099-09-03 09:00", (), "within 24 hours"),
        ("2099-09-01 09:00", "10:00", ("--site", "v9"), "no site of the register has the site 'v9'"),
        ("2099-09-01 09:00", "10:00", ("--township", "石桥乡"), "no site of the register has the township '石桥乡'"),
    ],
)
def test_a_mistake_is_named_with_what_would_be_right(
    config: Path, capsys: pytest.CaptureFixture[str], begin: str, end: str, more: tuple[str, ...], said: str
) -> None:
    assert _add(config, *more, begin=begin, end=end) == 1
    assert said in capsys.readouterr().err


def test_the_sample_rules_can_be_used_and_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["rules", "check", str(ROOT / "config" / "faults.yaml")]) == 0
    rows = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    assert rows["dns_failure"] == ["300", "180", "telecom", "major", "yes"]


def test_rules_with_a_mistake_are_refused_with_file_and_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "faults.yaml"
    file.write_text("kinds:\n  dns_failure: {hold_down: 3}\n")
    assert cli.main(["rules", "check", str(file)]) == 1
    assert f"{file}:2: kinds.dns_failure.hold_down: no such key here; did you mean hold_down_s?" in capsys.readouterr().err


def test_a_test_mail_arrives_and_says_that_it_is_one(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    catcher = MailCatcher()
    catcher.start()
    try:
        smtp = f"{{host: 127.0.0.1, port: {catcher.port}, encryption: none}}"
        config.write_text(config.read_text() + f"mail: {{sender: sk@county.example, smtp: {smtp}}}\n")
        assert cli.main(["mail", "test", "noc@telecom.example", "--lang", "en", "--config", str(config)]) == 0
        [caught] = catcher.messages()
    finally:
        catcher.stop()
    message = message_from_bytes(caught.content, policy=default)
    assert caught.recipients == ("noc@telecom.example",)
    body = message.get_body(("plain",))
    assert body is not None and "This is a test, there is no fault." in body.get_content()
    assert "has taken the mail" in capsys.readouterr().out


def test_without_a_mail_server_a_test_mail_is_refused(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["mail", "test", "noc@telecom.example", "--config", str(config)]) == 1
    assert "mail.smtp is not set" in capsys.readouterr().err
