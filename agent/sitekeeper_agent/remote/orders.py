"""Whether a command of the county is carried out: in time, for the first time, not too often, one of the list. Pure."""

from collections.abc import Collection, Mapping
from enum import Enum, auto
from types import MappingProxyType
from typing import NamedTuple

from sitekeeper_protocol.messages import Command, CommandName, ResultState

MOST_WAITING = 4
LONGEST_MS = 86_400_000
"""A command that would live longer is no command but a trap for somebody's next visit."""
_S = 1000
GAP_MS: Mapping[CommandName, int] = MappingProxyType(
    {
        CommandName.PROBE_NOW: 10 * _S,
        CommandName.TRACE: 30 * _S,
        CommandName.SPEED_TEST: 300 * _S,
        CommandName.PLAYBACK_TEST: 30 * _S,
        CommandName.COLLECT_LOGS: 30 * _S,
    }
)
"""Least time between two of a name. Each is bounded by itself; this bounds what many of them cost a rural line."""


class Act(Enum):
    """What to do with a command."""

    RUN = auto()
    REPEAT = auto()
    """It came before: say again what became of it."""
    ANSWER = auto()
    """Don't run it: say why."""


class Judgement(NamedTuple):
    """What to do; with ``ANSWER`` the state and the reason to tell."""

    act: Act
    state: ResultState = ResultState.ACCEPTED
    text: str = ""


def judge(
    command: Command,
    *,
    server_ms: int | None,
    now_ms: int,
    seen: Collection[str],
    last_ms: Mapping[CommandName, int],
    waiting: int,
) -> Judgement:
    """``server_ms`` is server time now, ``None`` if unknown; ``last_ms`` says when each name was last taken, in the time of
    ``now_ms``; ``waiting`` counts commands that are not finished.
    """
    if command.id in seen:
        return Judgement(Act.REPEAT)
    if command.name not in GAP_MS:
        return _no(f"{command.name} is no command")
    if command.expires_ms - command.issued_ms > LONGEST_MS:
        return _no("it would live for more than a day")
    if server_ms is None:
        return _no("server time is not known here yet; send it again in a minute")
    if server_ms > command.expires_ms:
        return Judgement(
            Act.ANSWER, ResultState.EXPIRED, f"it was void {(server_ms - command.expires_ms) // _S} s before it came"
        )
    if command.expires_ms - server_ms > LONGEST_MS:
        return _no("it would live for more than a day")
    gap_ms = GAP_MS[command.name]
    since_ms = now_ms - last_ms.get(command.name, now_ms - gap_ms)
    if since_ms < gap_ms:
        return _no(f"too soon after the last {command.name}; again in {-(-(gap_ms - since_ms) // _S)} s")
    if waiting >= MOST_WAITING:
        return _no(f"{waiting} commands are waiting already")
    return Judgement(Act.RUN)


def _no(text: str) -> Judgement:
    return Judgement(Act.ANSWER, ResultState.REFUSED, text)
