"""`doctor` on real brokers, real files and a real portal: each thing that can be wrong is named, with what to do about it."""

import json
import os
import string
import subprocess
import sys
from pathlib import Path

import pytest
import trustme

from sitekeeper_agent import doctor
from sitekeeper_agent.config import load
from sitekeeper_agent.doctor_words import MARKS, TOPICS, WORDS
from sitekeeper_protocol import RELEASED_MS
from sitekeeper_protocol.texts import LANGUAGES, Lang
from support.brokers import TlsFiles, mosquitto
from support.ports import free_port
from support.rig import rig
from support.wait import wait_until

SITE, PASSWORD = "0417", "v3ry-s3cret"
CLI = str(Path(sys.executable).parent / "sitekeeper-agent")


def tls_files(folder: Path) -> TlsFiles:
    folder.mkdir()
    authority = trustme.CA()
    leaf = authority.issue_cert("localhost")
    files = TlsFiles(folder / "chain.pem", folder / "key.pem", folder / "authority.pem")
    files.certificate.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    leaf.private_key_pem.write_to_path(str(files.key))
    authority.cert_pem.write_to_path(str(files.authority))
    return files


def configured(folder: Path, **changes: object) -> Path:
    """A configuration whose portal refuses connections."""
    folder.mkdir(exist_ok=True)
    secret = folder / "password"
    secret.write_text(PASSWORD + "\n")
    secret.chmod(0o600)
    settings: dict[str, object] = {
        "site": SITE,
        "area": "lab",
        "portal": f"http://127.0.0.1:{free_port()}/course?token={PASSWORD}",
        "state_dir": str(folder / "state"),
        "language": "en",
    }
    file = folder / "agent.yaml"
    file.write_text(json.dumps(settings | changes))
    return file


def to(port: int, folder: Path, host: str = "localhost", tls: object = False, password: bool = True) -> dict[str, object]:
    secret = str(folder / "password") if password else None
    return {"host": host, "port": port, "tls": tls, "password_file": secret}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([CLI, "doctor", *arguments], capture_output=True, text=True, timeout=120)


def about_broker(file: Path) -> dict[str, str]:
    """The command's row about the broker."""
    done = run("--config", str(file), "--json")
    assert PASSWORD not in done.stdout + done.stderr
    return next(row for row in json.loads(done.stdout) if row["topic"] == "broker")


# --- the broker ----------------------------------------------------------------------------------------------------------


@pytest.mark.broker
@pytest.mark.processes
@pytest.mark.parametrize(
    ("case", "word"),
    [
        ("right", "broker_ok"),
        ("wrong-password", "broker_login"),
        ("unknown-site", "broker_login"),
        ("wrong-authority", "broker_tls"),
        ("wrong-name", "broker_tls"),
        ("authority-is-no-certificate", "broker_ca"),
        ("authority-is-not-there", "broker_ca"),
        ("plain-where-tls-is", "broker_other"),
        ("nobody-listens", "broker_refused"),
        ("no-such-name", "broker_name"),
    ],
)
def test_what_is_wrong_with_the_broker_is_named(tmp_path: Path, case: str, word: str) -> None:
    files, other = tls_files(tmp_path / "tls"), tls_files(tmp_path / "other")
    (tmp_path / "text").write_text("hello\n")
    users = {"9999" if case == "unknown-site" else SITE: "another" if case == "wrong-password" else PASSWORD}
    authority = {
        "wrong-authority": other.authority,
        "authority-is-no-certificate": tmp_path / "text",
        "authority-is-not-there": tmp_path / "absent",
    }.get(case, files.authority)
    host = {"wrong-name": "127.0.0.1", "no-such-name": "broker.invalid"}.get(case, "localhost")
    tls = False if case == "plain-where-tls-is" else {"ca_file": str(authority)}
    with mosquitto(tmp_path / "broker", users=users, tls=files) as broker:
        port = free_port() if case == "nobody-listens" else broker.port
        found = about_broker(configured(tmp_path / "site", broker=to(port, tmp_path / "site", host, tls)))
    assert found["word"] == word, found
    assert found["mark"] == ("ok" if case == "right" else "fail")
    assert bool(found["todo"]) == (case != "right")


@pytest.mark.broker
@pytest.mark.processes
def test_a_login_without_encryption_is_possible_and_pointed_out(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "broker") as broker:
        found = about_broker(configured(tmp_path / "site", broker=to(broker.port, tmp_path / "site")))
    assert (found["word"], found["mark"]) == ("broker_open", "hint")


@pytest.mark.broker
@pytest.mark.processes
def test_a_connected_agent_is_proof_and_is_not_thrown_out(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "broker") as broker, rig(tmp_path / "lab", broker.port) as lab:
        agent = lab.agent(SITE)
        agent.start()
        wait_until(lambda: (doctor.agent_runs(load(agent.config)) or {}).get("connected"), agent.log)
        before = broker.log().count("New client connected")
        _, findings = doctor.examine(agent.config)
        words = {finding.word for finding in findings}
        assert {"broker_agent", "agent_runs", "portal_ok", "clock_ok", "state_ok"} <= words, findings
        assert broker.log().count("New client connected") == before
        assert doctor.exit_code(findings) == 0
        agent.kill()
        assert doctor.agent_runs(load(agent.config)) is None, "its status file is fresh, but nobody holds the folder"


# --- the command ---------------------------------------------------------------------------------------------------------


@pytest.mark.processes
@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_command_names_what_is_wrong_in_both_languages_and_tells_no_secret(tmp_path: Path, lang: Lang) -> None:
    port = free_port()
    file = configured(tmp_path / "site", broker=to(port, tmp_path / "site", "127.0.0.1"))
    done = run("--config", str(file), "--lang", lang)
    assert done.returncode == 1, done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    mark = MARKS["fail"][0 if lang == "zh" else 1]
    failed = [line for line in done.stdout.splitlines() if line.startswith(mark)]
    assert len(failed) == 2, done.stdout
    assert f"127.0.0.1:{port}" in failed[0]
    assert TOPICS["portal"][0 if lang == "zh" else 1] in failed[1]
    assert done.stdout.count("→") >= 3


@pytest.mark.processes
def test_for_programs_it_is_json(tmp_path: Path) -> None:
    done = run("--config", str(tmp_path / "absent.yaml"), "--json", "--lang", "en")
    rows = json.loads(done.stdout)
    assert rows[0]["word"] == "config_missing" and rows[0]["mark"] == "fail"
    assert "agent.yaml" in rows[0]["todo"]
    assert done.returncode == 1


# --- files and clock -----------------------------------------------------------------------------------------------------


def test_a_mistake_in_the_configuration_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text("site: x\narea: y\nbroker: {host: b.example}\nportal: nowhere\n")
    settings, findings = doctor.configuration(file)
    assert settings is None
    assert [f.word for f in findings] == ["config_wrong"]
    assert f"{file}:4" in findings[0].about["problem"]


@pytest.mark.parametrize(
    ("content", "mode", "word"),
    [
        ("pw\n", 0o600, "password_ok"),
        ("pw\n", 0o644, "password_open"),
        ("\n", 0o600, "password_wrong"),
        (None, 0, "password_wrong"),
    ],
)
def test_the_password_file_must_be_there_and_closed_to_others(
    tmp_path: Path, content: str | None, mode: int, word: str
) -> None:
    file = configured(tmp_path / "site", broker=to(1883, tmp_path / "site"))
    secret = tmp_path / "site/password"
    if content is None:
        secret.unlink()
    else:
        secret.write_text(content)
        secret.chmod(mode)
    _, findings = doctor.passwords(load(file))
    assert [f.word for f in findings] == [word]
    assert "pw" not in json.dumps(doctor.as_json(findings, "en")).replace("password", "")


def test_a_state_folder_is_there_or_will_be_or_is_none(tmp_path: Path) -> None:
    file = configured(tmp_path / "site", broker=to(1883, tmp_path / "site"))
    assert [f.word for f in doctor.state(load(file))] == ["state_absent"]
    (tmp_path / "site/state").mkdir()
    assert [f.word for f in doctor.state(load(file))][-1] == "state_ok"
    (tmp_path / "site/state").rmdir()
    (tmp_path / "site/state").write_text("a file")
    assert [(f.word, f.mark) for f in doctor.state(load(file))] == [("state_denied", "fail")]


@pytest.mark.root
def test_a_small_or_read_only_disk_is_named(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("platform: only root may mount")
    folder = tmp_path / "site"
    file = configured(folder, broker=to(1883, folder))
    (folder / "state").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder / "state"], check=True)
    try:
        small = [(f.word, f.mark) for f in doctor.state(load(file))]
        subprocess.run(["mount", "-o", "remount,ro", folder / "state"], check=True)
        read_only = [(f.word, f.mark) for f in doctor.state(load(file))]
    finally:
        subprocess.run(["umount", folder / "state"], check=True)
    assert small[-1] == ("state_small", "fail")
    assert read_only == [("state_denied", "fail")]


@pytest.mark.parametrize(
    ("here_s", "there_s", "word"),
    [(0, None, "clock_unsure"), (0, 0, "clock_ok"), (120, 0, "clock_ok"), (121, 0, "clock_off"), (0, 121, "clock_off")],
)
def test_the_clock_is_held_against_the_portals(here_s: int, there_s: int | None, word: str) -> None:
    there_ms = None if there_s is None else RELEASED_MS + there_s * 1000
    assert doctor.clock(RELEASED_MS + here_s * 1000, there_ms).word == word


def test_a_clock_before_the_release_has_lost_its_battery() -> None:
    found = doctor.clock(RELEASED_MS - 1, None)
    assert (found.word, found.mark) == ("clock_old", "fail")


# --- words ---------------------------------------------------------------------------------------------------------------


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_both_languages_say_the_same_things() -> None:
    assert WORDS["zh"].keys() == WORDS["en"].keys()
    for word, zh in WORDS["zh"].items():
        en = WORDS["en"][word]
        assert (places(zh.what), places(zh.todo)) == (places(en.what), places(en.todo)), word
        assert bool(zh.todo) == bool(en.todo), word
        assert word.partition("_")[0] in TOPICS
