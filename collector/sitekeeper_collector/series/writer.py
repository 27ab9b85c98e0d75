"""Sends what is in the spool to a store that speaks InfluxDB's v2 write endpoint, and judges its answers.

Lines are the same when re-sent, so an answer that was lost or cut off only means: send again. What a store refuses for its own
sake goes to quarantine; what it refuses because of our configuration stays in the spool and is told once.
"""

import json
import logging
import re
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from enum import StrEnum, unique
from typing import NamedTuple

from sitekeeper_collector.series import spool
from sitekeeper_collector.series.spool import Batch, Rejected
from sitekeeper_collector.store.engine import Store

_log = logging.getLogger(__name__)

FIRST_WAIT_MS = 1_000
LONGEST_WAIT_MS = 60_000
LONGEST_ASKED_WAIT_MS = 3_600_000
"""A store may ask for more patience than we have by ourselves, but not for ever."""
TROUBLE_WAIT_MS = 60_000
MAX_POSTS = 200
"""For one batch at a time: a batch of rubbish must not keep the good ones waiting."""


@unique
class Outcome(StrEnum):
    """What to do after an answer."""

    STORED = "stored"
    LATER = "later"
    """The store can't, now: all wait."""
    TOO_LARGE = "too_large"
    LINES = "lines"
    """It refuses some of the lines."""
    TROUBLE = "trouble"
    """It refuses us: token, bucket, address. All wait, and somebody must be told."""
    UNCLEAR = "unclear"
    """It refuses this batch and does not say that it is for its lines: this batch waits, the others go on."""


class Answer(NamedTuple):
    """An answer, judged. ``retry_after_ms``: how long the store asks us to wait; ``dropped``: how many lines it says that it
    refused; ``quoted``: the line that it quotes."""

    outcome: Outcome
    status: int = 0
    reason: str = ""
    retry_after_ms: int | None = None
    dropped: int | None = None
    quoted: bytes | None = None


_KEEPING = (Outcome.LATER, Outcome.TROUBLE, Outcome.UNCLEAR)
Post = Callable[[bytes], Answer]

_LATER = frozenset({408, 425, 429, 500, 502, 503, 504, 507})
_ABOUT_LINES = re.compile(
    r"partial write|unable to parse|field type conflict|beyond retention|max-\w+-per-\w+|line protocol", re.I
)
_DROPPED = re.compile(r"dropped=(\d+)")
_QUOTED = re.compile(r"unable to parse '(.*?)': ", re.S)


def judge(status: int, headers: Mapping[str, str], body: bytes, now_ms: int) -> Answer:
    """What an answer means. https://docs.influxdata.com/influxdb/v2/api/#operation/PostWrite, and what 1.x and proxies say.

    ``headers``: with names in small letters.
    """
    if status in (200, 204):
        return Answer(Outcome.STORED, status)
    text = _text(body)
    reason = f"{status} {text}".strip()
    if status == 413:
        return Answer(Outcome.TOO_LARGE, status, reason)
    if status in (400, 422) and _ABOUT_LINES.search(text):
        dropped, quoted = _DROPPED.search(text), _QUOTED.search(text)
        return Answer(
            Outcome.LINES,
            status,
            reason,
            dropped=int(dropped[1]) if dropped and len(dropped[1]) < 10 else None,
            quoted=quoted[1].encode("utf-8", "replace") if quoted else None,
        )
    if status in _LATER or status > 504:
        return Answer(Outcome.LATER, status, reason, _retry_after_ms(headers.get("retry-after", ""), now_ms))
    if status in (400, 422):
        return Answer(Outcome.UNCLEAR, status, reason)
    return Answer(Outcome.TROUBLE, status, reason)


def _text(body: bytes) -> str:
    """What the body says: the message of 2.x, the error of 1.x, or the body itself."""
    text = body[:65_536].decode("utf-8", "replace")
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if isinstance(said, dict):
        for key in ("message", "error"):
            if isinstance(said.get(key), str):
                return str(said[key])
    return text


def _retry_after_ms(value: str, now_ms: int) -> int | None:
    """Seconds or a date: RFC 9110, section 10.2.3."""
    value = value.strip()
    if value.isascii() and value.isdigit() and len(value) < 10:
        return min(int(value) * 1000, LONGEST_ASKED_WAIT_MS)
    try:
        until_ms = int(parsedate_to_datetime(value).timestamp() * 1000)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return min(max(0, until_ms - now_ms), LONGEST_ASKED_WAIT_MS)


# --- one batch ---------------------------------------------------------------------------------------------------------


class Delivery(NamedTuple):
    """What became of a batch: ``left`` is what is still to be sent, because of ``answer``."""

    rejected: list[Rejected]
    left: bytes
    answer: Answer


def deliver(post: Post, lines: bytes, max_posts: int = MAX_POSTS) -> Delivery:
    """Send a batch; halve what is too large, and what has lines that the store refuses until it is known which they are."""
    waiting = [lines.split(b"\n")]
    rejected: list[Rejected] = []
    answer = Answer(Outcome.STORED)
    while waiting and max_posts > 0:
        part = waiting.pop()
        max_posts -= 1
        answer = post(b"\n".join(part))
        if answer.outcome is Outcome.STORED:
            continue
        if answer.outcome not in (Outcome.LINES, Outcome.TOO_LARGE):
            waiting.append(part)
            break
        refused = _refused(part, answer)
        if refused:
            rejected += [Rejected(line, answer.reason) for line in refused]
            gone = set(refused)
            rest = [line for line in part if line not in gone]
            if rest:
                waiting.append(rest)
        else:
            middle = len(part) // 2
            waiting += [part[middle:], part[:middle]]
    left = [line for part in reversed(waiting) for line in part]
    return Delivery(rejected, b"\n".join(left), answer)


def _refused(part: list[bytes], answer: Answer) -> list[bytes]:
    """The lines of ``part`` that are known to be refused; none if they must be looked for."""
    if len(part) == 1:
        return part
    if answer.outcome is Outcome.LINES:
        if answer.dropped is not None and answer.dropped >= len(part):
            return part
        if answer.quoted in part:
            return [line for line in part if line == answer.quoted]
    return []


# --- the spool, batch by batch -----------------------------------------------------------------------------------------


class Progress(NamedTuple):
    """What a round did. ``wait_ms``: how long until the next makes sense, 0: at once."""

    batches: int
    rejected: int
    wait_ms: int


class Writer:
    """Empties the spool of ``store`` by ``post``; one at a time is enough, several do no harm."""

    def __init__(self, store: Store, post: Post) -> None:
        self._store = store
        self._post = post
        self._told: tuple[Outcome, int] | None = None
        self._failures = 0

    @property
    def refused(self) -> bool:
        """Whether the store took nothing at all when it was last asked."""
        return self._failures > 0

    def round(self, now_ms: int, most: int = 50) -> Progress:
        """Send up to ``most`` batches that are due, the oldest first, until the store can't take more.

        Raises ``StoreUnavailable`` if the collector's own database can't be used; what was sent then is sent again.
        """
        batches = rejected = 0
        for _ in range(most):
            with self._store.read() as connection:
                batch = spool.due(connection, now_ms)
                next_ms = spool.next_due_ms(connection) if batch is None else None
            if batch is None:
                return Progress(batches, rejected, LONGEST_WAIT_MS if next_ms is None else max(0, next_ms - now_ms))
            delivery = deliver(self._post, batch.lines)
            wait_ms = self._settle(batch, delivery, now_ms)
            rejected += len(delivery.rejected)
            if wait_ms:
                return Progress(batches, rejected, wait_ms)
            batches += not delivery.left
        return Progress(batches, rejected, 0)

    def _settle(self, batch: Batch, delivery: Delivery, now_ms: int) -> int:
        """Write down what became of a batch; how long all others must wait."""
        answer = delivery.answer
        self._tell(delivery)
        if not delivery.left:
            self._failures = 0
            with self._store.write() as connection:
                spool.settle(connection, batch, delivery.rejected, now_ms)
            return 0
        all_wait = answer.outcome in (Outcome.LATER, Outcome.TROUBLE)
        self._failures = self._failures + 1 if all_wait else 0
        unfinished = answer.outcome not in _KEEPING
        wait_ms = 0 if unfinished else patience_ms(answer, self._failures if all_wait else batch.attempts + 1)
        with self._store.write() as connection:
            spool.postpone(
                connection,
                batch,
                delivery.left,
                delivery.rejected,
                due_ms=now_ms + wait_ms,
                reason=answer.reason,
                now_ms=now_ms,
            )
        return wait_ms if all_wait else 0

    def _tell(self, delivery: Delivery) -> None:
        """Log a change: each trouble once, and its end."""
        if delivery.rejected:
            first = delivery.rejected[0]
            _log.warning("the series store refused %d lines: %s", len(delivery.rejected), spool.plain_reason(first.reason))
        answer = delivery.answer
        news = (answer.outcome, answer.status) if answer.outcome in _KEEPING else None
        if news == self._told:
            return
        self._told = news
        if news is None:
            _log.info("the series store takes lines again")
        else:
            _log.warning("the series store does not take lines, they are kept: %s", spool.plain_reason(answer.reason))


def patience_ms(answer: Answer, failures: int) -> int:
    """How long to wait after the ``failures``-th failure in a row: what the store asks for, else doubling up to a minute."""
    if answer.retry_after_ms is not None:
        return max(answer.retry_after_ms, FIRST_WAIT_MS)
    if answer.outcome is Outcome.TROUBLE:
        return TROUBLE_WAIT_MS
    return min(FIRST_WAIT_MS << min(max(failures - 1, 0), 10), LONGEST_WAIT_MS)
