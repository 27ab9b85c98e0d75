"""What the program that dials in (PPPoE) has written to its log: no answer (678), account rejected (691), or success.

pppd with its rp-pppoe or pppoe plug-in, NetworkManager, and the texts of Windows' dialler; the last word counts.
"""

import re
from pathlib import Path

from sitekeeper_protocol.vocabulary import Reason

_MOST_BYTES = 64 * 1024
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
