"""What the program that dials in (PPPoE) has written to its log: no answer (678), account rejected (691), or success.

pppd with its rp-pppoe or pppoe plug-in, NetworkManager, and the texts of Windows' dialler; the last word counts.
"""

import os
import re
import time
from pathlib import Path

from sitekeeper_agent.probes import program
from sitekeeper_agent.probes.probe import Context
from sitekeeper_protocol.vocabulary import Reason

_MOST_BYTES = 64 * 1024
_DIALLERS = ("pppd", "pppoe", "pppoe-connect")
_LINES, _JOURNAL_S, _ASK_AGAIN_S = 100, 3.0, 120
_ASKED_AT, _SAID = "journal_asked_s", "journal_said"
_WORDS: tuple[tuple[Reason, str], ...] = (
    (
        Reason.PPPOE_NO_ANSWER,
        r"timeout waiting for pad[os] packets|unable to complete pppoe discovery|pppoe: timeout|no response from pppoe"
        r"|no response to \d+ echo-requests|lcp: timeout sending config-requests"
        r"|(?:error|错误|代码为)\D{0,24}(?:678|651|815)\b",
    ),
    (
        Reason.PPPOE_REJECTED,
        r"(?:pap|chap) authentication failed|authentication failure|login incorrect|user .{0,80} denied"
        r"|(?:error|错误|代码为)\D{0,24}(?:691|718|629)\b",
    ),
    (
        Reason.NONE,
        r"(?:pap|chap) authentication succeeded|local\s+ip address \d|remote\s+ip address \d",
    ),
)
_ANY = re.compile("|".join(f"(?P<w{at}>{words})" for at, (_, words) in enumerate(_WORDS)), re.IGNORECASE)


def last_word(file: str) -> Reason:
    """Why the last dial-in came to nothing; NONE if it did not fail, or if the log can't be read or says nothing."""
    return reason_of_log(_tail(file)) if file else Reason.NONE


def last_word_of_journal(context: Context, counters: dict[str, int]) -> Reason:
    """The same of what pppd has written to systemd's journal since the boot; nobody else's lines are looked at.

    It is asked once in two minutes; ``counters`` carry the answer from round to round. NONE without a journal, or without the
    right to read it (group ``systemd-journal``).
    """
    now_s, before = round(time.monotonic()), context.before
    if 0 <= now_s - before.get(_ASKED_AT, now_s - _ASK_AGAIN_S) < _ASK_AGAIN_S:
        counters |= {_ASKED_AT: before[_ASKED_AT], _SAID: before.get(_SAID, 0)}
        return next((reason for reason, _ in _WORDS if reason == before.get(_SAID)), Reason.NONE)
    said = reason_of_log(_journal(context))
    counters |= {_ASKED_AT: now_s, _SAID: said.value}
    return said


def _journal(context: Context) -> str:
    if not os.path.isdir(f"{context.roots.run}/systemd/journal"):  # noqa: PTH112 - no path object for one look
        return ""
    journalctl = program.find("journalctl")
    if journalctl is None:
        return ""
    names = [f"--identifier={name}" for name in _DIALLERS]
    command = [journalctl, "--boot", "--quiet", "--no-pager", "--output=cat", f"--lines={_LINES}", *names]
    answer = program.ask(command, deadline=min(context.deadline, time.monotonic() + _JOURNAL_S), most_bytes=_MOST_BYTES)
    return "" if answer is None or answer.code != 0 else answer.output.decode("utf-8", "replace")


def _tail(file: str) -> str:
    try:
        with Path(file).open("rb") as log:
            log.seek(0, 2)
            log.seek(max(0, log.tell() - _MOST_BYTES))
            data = log.read(_MOST_BYTES)
    except (OSError, ValueError):
        return ""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("gbk", "replace")


def reason_of_log(text: str) -> Reason:
    """The last word of a log's text."""
    last = Reason.NONE
    for found in _ANY.finditer(text):
        last = _WORDS[int(str(found.lastgroup)[1:])][0]
    return last
