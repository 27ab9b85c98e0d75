"""The part of the configuration that says which players a site has and how each is watched."""

import re
from typing import Annotated, Literal

from msgspec import Meta, Struct

from sitekeeper_protocol.settings import SettingsError

_Name = Annotated[str, Meta(min_length=1, max_length=60)]
_Text = Annotated[str, Meta(min_length=1, max_length=500)]
_Pattern = Annotated[str, Meta(max_length=500)]
MAX_PLAYERS = 8


class Patterns(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Regular expressions (Python's) of the lines of a log that say what a player does; the named groups ``code`` and ``text``
    are told with the event. An empty one fits nothing."""

    opening: _Pattern = ""
    started: _Pattern = ""
    paused: _Pattern = ""
    stalled: _Pattern = ""
    resumed: _Pattern = ""
    stopped: _Pattern = ""
    failed: _Pattern = ""

    def by_meaning(self) -> dict[str, str]:
        """The patterns that are given, by the name of their key."""
        return {name: text for name in self.__struct_fields__ if (text := getattr(self, name))}


class Player(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One player. Which keys count depends on ``kind``; the others must be left out."""

    name: _Name
    kind: Literal["process", "mpv", "vlc", "log", "page"]
    processes: Annotated[tuple[_Name, ...], Meta(max_length=8)] = ()
    closing: Literal["normal", "failure"] = "normal"
    playing_cpu_percent: Annotated[float, Meta(ge=0, le=1000)] = 0
    socket: _Text | None = None
    address: Literal["127.0.0.1", "::1"] = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535)] | None = None
    """8080 for VLC, 8766 for a page, unless it is given."""
    password_file: _Text | None = None
    file: _Text | None = None
    encoding: Literal["auto", "utf-8", "gb18030"] = "auto"
    patterns: Patterns = Patterns()
    origins: Annotated[tuple[_Text, ...], Meta(max_length=8)] = ()


VLC_PORT, PAGE_PORT = 8080, 8766
_ORIGIN = re.compile(r"(https?)://([a-z0-9_]([a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::([1-9]\d{0,4}))?", re.ASCII)
_NAME = re.compile(r"[\w.-]+")
_NEEDS = {"process": "processes", "mpv": "socket", "vlc": "password_file", "log": "file", "page": "origins"}
_TAKES = {
    "process": {"processes", "closing", "playing_cpu_percent"},
    "mpv": {"socket"},
    "vlc": {"address", "port", "password_file", "closing"},
    "log": {"file", "encoding", "patterns", "processes", "closing"},
    "page": {"origins", "port"},
}
# A repeated group that itself holds a repetition can take longer than the age of the universe on one line.
_NESTED = re.compile(r"\((?:[^()\\]|\\.)*(?<!\\)[*+}](?:[^()\\]|\\.)*\)\s*(?:[*+]|\{\d*,)")


def check_players(players: tuple[Player, ...]) -> None:
    """Raise ``SettingsError``, without file and line, for a player that can't be watched as it is described."""
    for at, player in enumerate(players, 1):
        problem = _problem(player)
        if problem:
            raise SettingsError(f"item {at}, {player.name!r}: {problem}")
    if len({player.name for player in players}) < len(players):
        raise SettingsError("two players have the same name; give each its own")
    if len(set(ports := page_ports(players))) < len(ports):
        raise SettingsError("two players of the kind page have the same port; give each its own")


def page_ports(players: tuple[Player, ...]) -> list[int]:
    """The ports on which web pages tell how they play."""
    return [player.port or PAGE_PORT for player in players if player.kind == "page"]


def _problem(player: Player) -> str:
    if not _NAME.fullmatch(player.name):
        return "the name may hold letters, digits, - _ and . only"
    needed = _NEEDS[player.kind]
    if not getattr(player, needed):
        return f"a player of the kind {player.kind} needs {needed}"
    shared = {"name", "kind", *_TAKES[player.kind]}
    defaults = Player(name=player.name, kind=player.kind)
    for name in player.__struct_fields__:
        if name not in shared and getattr(player, name) != getattr(defaults, name):
            return f"{name} says nothing about a player of the kind {player.kind}; leave it out"
    if player.kind == "log" and not (player.patterns.started and (player.patterns.stopped or player.patterns.failed)):
        return "a log needs the pattern started, and stopped or failed"
    return _origin_problem(player.origins) or _pattern_problem(player.patterns)


def _origin_problem(origins: tuple[str, ...]) -> str:
    for origin in origins:
        match = _ORIGIN.fullmatch(origin)
        if match is None or int(match[4] or 1) > 65535 or (match[1], match[4]) in (("http", "80"), ("https", "443")):
            # As browsers write it, for it is compared letter by letter.
            return f"{origin[:60]!r} is no origin; write for example https://portal.example.org, without a path"
    return ""


def _pattern_problem(patterns: Patterns) -> str:
    for name, text in patterns.by_meaning().items():
        try:
            re.compile(text)
        except (re.error, OverflowError, RecursionError) as err:
            return f"patterns.{name} is no regular expression: {err}"
        if _NESTED.search(text):
            return f"patterns.{name} repeats a group that itself repeats, which can take for ever; write it without"
    return ""
