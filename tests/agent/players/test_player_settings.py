"""Players in the agent's configuration: each mistake is told with its line, and what is not configured is not loaded."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sitekeeper_agent.config import load
from sitekeeper_agent.playersettings import Patterns, Player, check_players
from sitekeeper_agent.probes.players.programs import Programs
from sitekeeper_agent.probes.players.watching import source_of
from sitekeeper_protocol.settings import SettingsError

BASE = """\
site: "0417"
area: "522634"
broker:
  host: mqtt.county.example
portal: https://portal.province.example/
"""
PAGE = Path(__file__).parents[3] / "docs" / "probes" / "players.md"
GOOD = """\
players:
  - {name: tv, kind: mpv, socket: /run/user/1000/mpv.sock}
  - {name: vlc, kind: vlc, port: 8081, password_file: /etc/vlc-password, closing: failure}
  - name: 课程
    kind: log
    file: /var/log/player.log
    encoding: gb18030
    processes: [player]
    patterns: {started: 'play ok', failed: 'ERROR (?P<code>\\w+): (?P<text>.*)'}
  - {name: kiosk, kind: process, processes: [kiosk.exe, helper], playing_cpu_percent: 3}
  - {name: web, kind: page, origins: [https://portal.example.org, 'http://10.1.2.3:8080'], port: 8777}
"""
LOG = "- {name: a, kind: log, file: x, patterns: "
BAD = {
    "a kind that there is not": (
        "- {name: a, kind: winamp}",
        "7: players (item 1).kind: must be one of log, mpv, page, process, vlc; it is 'winamp'",
    ),
    "no kind": ("- {name: a}", "7: players (item 1).kind: this key is missing and has no default"),
    "an unknown key": ("- {name: a, kind: mpv, sock: x}", "7: players (item 1).sock: no such key here; did you mean socket?"),
    "a far address": (
        "- {name: a, kind: vlc, address: 10.0.0.1}",
        "7: players (item 1).address: must be one of 127.0.0.1, ::1; it is '10.0.0.1'",
    ),
    "mpv without socket": ("- {name: a, kind: mpv}", "6: players: item 1, 'a': a player of the kind mpv needs socket"),
    "vlc without password": ("- {name: a, kind: vlc}", "6: players: item 1, 'a': a player of the kind vlc needs password_file"),
    "a process without names": (
        "- {name: a, kind: process}",
        "6: players: item 1, 'a': a player of the kind process needs processes",
    ),
    "a key of another kind": (
        "- {name: a, kind: mpv, socket: s, port: 1}",
        "6: players: item 1, 'a': port says nothing about a player of the kind mpv; leave it out",
    ),
    "a page without origins": ("- {name: a, kind: page}", "6: players: item 1, 'a': a player of the kind page needs origins"),
    "a page's address in place of its origin": (
        "- {name: a, kind: page, origins: ['https://p.example.org/watch']}",
        "6: players: item 1, 'a': 'https://p.example.org/watch' is no origin; write for example https://portal.example.org, "
        "without a path",
    ),
    "an origin with the port that browsers leave out": (
        "- {name: a, kind: page, origins: ['https://p.example.org:443']}",
        "6: players: item 1, 'a': 'https://p.example.org:443' is no origin; write for example https://portal.example.org, "
        "without a path",
    ),
    "any origin": (
        "- {name: a, kind: page, origins: ['*']}",
        "6: players: item 1, 'a': '*' is no origin; write for example https://portal.example.org, without a path",
    ),
    "two pages on one port": (
        "- {name: a, kind: page, origins: ['http://p']}\n- {name: b, kind: page, port: 8766, origins: ['http://q']}",
        "6: players: two players of the kind page have the same port; give each its own",
    ),
    "a page on the port of the site's page": (
        "- {name: a, kind: page, port: 8765, origins: ['http://p']}",
        "6: players: port 8765 is that of the site's page; give the player another one",
    ),
    "a bad name": (
        "- {name: a b, kind: mpv, socket: s}",
        "6: players: item 1, 'a b': the name may hold letters, digits, - _ and . only",
    ),
    "one name twice": (
        "- {name: a, kind: mpv, socket: s}\n- {name: a, kind: mpv, socket: t}",
        "6: players: two players have the same name; give each its own",
    ),
    "a log without an end": (
        LOG + "{started: x}}",
        "6: players: item 1, 'a': a log needs the pattern started, and stopped or failed",
    ),
    "no regular expression": (
        LOG + "{started: x, stopped: '('}}",
        "6: players: item 1, 'a': patterns.stopped is no regular expression: missing ), unterminated subpattern at position 0",
    ),
    "a pattern that can take for ever": (
        LOG + "{started: '(a+)+b', stopped: y}}",
        "6: players: item 1, 'a': patterns.started repeats a group that itself repeats, which can take for ever; "
        "write it without",
    ),
}


def written(folder: Path, text: str) -> Path:
    path = folder / "agent.yaml"
    path.write_text(BASE + text, encoding="utf-8")
    return path


def test_players_of_every_kind_are_read_and_have_a_source(tmp_path: Path) -> None:
    players = load(written(tmp_path, GOOD)).players
    assert [(player.name, player.kind) for player in players] == [
        ("tv", "mpv"),
        ("vlc", "vlc"),
        ("课程", "log"),
        ("kiosk", "process"),
        ("web", "page"),
    ]
    programs = Programs()
    assert [type(source_of(player, programs)).__name__ for player in players] == ["Mpv", "Vlc", "Log", "Process", "Page"]


@pytest.mark.parametrize("name", BAD)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, name: str) -> None:
    text, says = BAD[name]
    path = written(tmp_path, f"players:\n{text}\n")
    with pytest.raises(SettingsError) as raised:
        load(path)
    assert str(raised.value) == f"{path}:{says}"


@pytest.mark.parametrize("pattern", ["(a+)+", "(a*)*x", "(?:x|y+)+", r"(\w+\s?)*$", "(a+){2,}"])
def test_patterns_that_nest_repetitions_are_refused(pattern: str) -> None:
    player = Player(name="a", kind="log", file="x", patterns=Patterns(started=pattern, stopped="y"))
    with pytest.raises(SettingsError, match="repeats a group"):
        check_players((player,))


@pytest.mark.parametrize("pattern", ["(?P<text>.*)$", r"ERROR (\w+): (.+)", "(a|b)+", r"\(a+\)+", "(ab)*"])
def test_plain_patterns_are_taken(pattern: str) -> None:
    check_players((Player(name="a", kind="log", file="x", patterns=Patterns(started=pattern, stopped="y")),))


def test_the_page_names_every_key_and_its_example_is_right(tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    for key in (*Player.__struct_fields__, *Patterns.__struct_fields__):
        assert f"`{key}`" in text or f"{key}:" in text, key
    example = re.search(r"```yaml\n(players:\n.*?)```", text, re.DOTALL)
    assert example, "the page has an example"
    assert {player.kind for player in load(written(tmp_path, example[1])).players} == {"mpv", "vlc", "log", "process", "page"}


def loaded_by(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; import sys, json; print(json.dumps(list(sys.modules)))"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(json.loads(done.stdout))


def test_an_agent_without_players_loads_nothing_of_them() -> None:
    assert not {name for name in loaded_by("import sitekeeper_agent.app") if "probes.players" in name}


def test_watching_players_loads_nothing_heavy() -> None:
    players = "sitekeeper_agent.probes.players"
    heavy = {"asyncio", "http.client", "email", "urllib.request", "ssl", "subprocess", "json.decoder", "difflib"}
    kinds = ", ".join(f"{players}.{kind}" for kind in ("watching", "mpv", "vlc", "log", "process", "page"))
    loaded = loaded_by(f"import {kinds}")
    without = loaded_by("import psutil, logging, pathlib, yaml, msgspec")
    assert not (loaded - without) & heavy
