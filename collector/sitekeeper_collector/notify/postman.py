"""Sends what the outbox owes, in a thread of its own: a mail server that is slow or away holds nobody up."""

import logging
import random
import secrets
import threading
from collections.abc import Callable

from sitekeeper_collector.config import Mail as MailSettings
from sitekeeper_collector.notify import mail as letters
from sitekeeper_collector.notify import outbox, smtp
from sitekeeper_collector.notify.outbox import Row, Settled
from sitekeeper_collector.notify.smtp import Outcome, Refused, Retry
from sitekeeper_collector.store import outbox as stored
from sitekeeper_collector.store.engine import Store
from sitekeeper_collector.store.errors import StoreUnavailable
from sitekeeper_collector.store.outbox import Mail

_log = logging.getLogger("sitekeeper.mail")
_AT_ONCE = 20
_STOP_S = 40.0


class Postman:
    """Looks for due mails every ``every_s`` from ``start`` to ``stop``. Several may run; each mail is claimed by one."""

    def __init__(
        self, store: Store, settings: MailSettings, *, wall_ms: Callable[[], int], utc_offset_min: int, every_s: float = 1.0
    ) -> None:
        assert settings.smtp is not None, "without a server there is nothing to send by"
        self._store, self._settings, self._smtp = store, settings, settings.smtp
        self._wall_ms, self._utc_offset_min, self._every_s = wall_ms, utc_offset_min, every_s
        self._owner = secrets.token_hex(8)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="postman", daemon=True)
        self._told = ""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the mail that is being sent. One that takes too long is left to its lease."""
        self._stopping.set()
        self._thread.join(_STOP_S)

    def _run(self) -> None:
        while not self._stopping.wait(self._every_s):
            try:
                self._round()
            except StoreUnavailable as err:
                self._say(f"the database can't be used now: {err}")
            except Exception:  # noqa: BLE001 - whatever goes wrong with one round must not end the sending for good
                _log.exception("a round of sending failed")

    def _round(self) -> None:
        with self._store.read() as connection:
            due = stored.due(connection, self._wall_ms(), _AT_ONCE)
        for mail in due:
            if self._stopping.is_set():
                return
            claimed = self._claim(mail.row)
            if claimed is not None:
                self._settle(mail, claimed, self._send(mail))

    def _claim(self, row: Row) -> Row | None:
        """The row in our hands; ``None`` if somebody else has it, or its lapsed lease has just been noted."""
        now_ms = self._wall_ms()
        if outbox.has_lapsed(row, now_ms):
            # At once, not after a pause: whoever had it was most likely killed, and the mail is waited for.
            lapsed = outbox.lapse(row, now_ms=now_ms, jitter=0, give_up_after_ms=self._settings.give_up_after_s * 1000)
            self._write(row, lapsed)
            return None
        claimed = outbox.claim(row, owner=self._owner, now_ms=now_ms, lease_ms=self._settings.lease_s * 1000)
        if claimed is None:
            return None
        with self._store.write() as connection:
            return claimed if stored.replace(connection, row, claimed) else None

    def _send(self, mail: Mail) -> Outcome:
        try:
            message = letters.compose(letters.render(mail.view, mail.lang), self._envelope(mail))
        except letters.MailError as err:
            return Refused(str(err))
        except Exception as err:  # noqa: BLE001 - one mail that can't be put together must not hold up the others
            _log.exception("the mail %s/%d can't be put together", mail.row.thread, mail.row.number)
            return Retry(f"it can't be put together: {type(err).__name__}")
        # Shorter than the lease, so that nobody else takes a mail that is still on its way.
        return smtp.send(self._smtp, message, limit_s=min(smtp.LIMIT_S, 0.8 * self._settings.lease_s))

    def _envelope(self, mail: Mail) -> letters.Envelope:
        settings = self._settings
        return letters.Envelope(
            sender=settings.sender,
            sender_name=settings.sender_name,
            recipient=mail.row.recipient,
            thread=mail.row.thread,
            number=mail.row.number,
            domain=settings.domain or settings.sender.rpartition("@")[2],
            dated_ms=mail.row.created_ms,
            reply_to=settings.reply_to,
            lang=mail.lang,
            utc_offset_min=self._utc_offset_min,
        )

    def _settle(self, mail: Mail, claimed: Row, outcome: Outcome) -> None:
        settled = outbox.settle(
            claimed,
            outcome,
            now_ms=self._wall_ms(),
            jitter=random.uniform(0.8, 1.2) * self._settings.retry_s / smtp.FIRST_WAIT_S,  # noqa: S311 - no secret
            give_up_after_ms=self._settings.give_up_after_s * 1000,
        )
        self._write(claimed, settled)
        self._say(settled.row.reason)

    def _write(self, before: Row, settled: Settled) -> None:
        with self._store.write() as connection:
            stored.replace(connection, before, settled.row)
        if settled.finding is not None:
            _log.error("a mail of %s will not arrive: %s", settled.finding.thread, settled.finding.reason)

    def _say(self, trouble: str) -> None:
        """Log trouble when it changes, not at each try."""
        if trouble != self._told:
            self._told = trouble
            if trouble:
                _log.warning("mail waits: %s", trouble)
            else:
                _log.info("mail goes out again")
