"""One mail to one recipient by SMTP, and what came of it: sent, to be tried again, or refused for good."""

import smtplib
import socket
import ssl
import threading
from contextlib import suppress
from email.message import EmailMessage
from enum import StrEnum, unique
from pathlib import Path
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct

from sitekeeper_collector.notify.view import clean

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
LIMIT_S = 240.0
"""So long may a conversation with a server take: less than the lease of a mail (``outbox.LEASE_MS``)."""
FIRST_WAIT_S = 30.0
"""Seconds until the second try."""
_LONGEST_WAIT_S = 3600.0
_MOST_REASON = 200


@unique
class Encryption(StrEnum):
    """How the connection is protected; the server's certificate is checked wherever there is one."""

    TLS = "tls"
    """From its first byte (port 465)."""
    STARTTLS = "starttls"
    """Before anything is said (port 587); a server that does not offer it is not spoken to."""
    NONE = "none"


class SmtpSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The server that takes our mail. Without ``username`` nobody logs in; without ``ca_file`` the system's authorities count.

    ``hello_name`` is what we call ourselves; empty: what the system says, which may ask a name server.
    """

    host: Annotated[str, Meta(min_length=1, max_length=253)]
    port: Annotated[int, Meta(ge=1, le=65535)] = 587
    encryption: Encryption = Encryption.STARTTLS
    username: Annotated[str, Meta(max_length=200)] = ""
    password_file: Annotated[str, Meta(min_length=1, max_length=500)] | None = None
    ca_file: Annotated[str, Meta(min_length=1, max_length=500)] | None = None
    hello_name: Annotated[str, Meta(max_length=253)] = ""
    timeout_s: Annotated[float, Meta(ge=0.1, le=300)] = 30

    def __post_init__(self) -> None:
        """Refuse what contradicts itself, or would show a password to the network."""
        if bool(self.username) is not bool(self.password_file):
            raise ValueError("username and password_file belong together; set both or neither")
        if self.username and self.encryption is Encryption.NONE and self.host not in _LOOPBACK:
            raise ValueError("a password must not cross a network in the open; set encryption to tls or starttls")


class Sent(NamedTuple):
    """The server has taken it over."""


class Retry(NamedTuple):
    """It may work later: the server is away, busy, or does not want us."""

    reason: str


class Refused(NamedTuple):
    """This recipient, or this mail, will never be taken."""

    reason: str


Outcome = Sent | Retry | Refused


class _LoginTroubleError(Exception):
    """No password could be offered; the text names no part of it."""


class _Watched:
    """Ends the conversation of ``client`` after ``limit_s``: a timeout of its own is for each word, not for all of them."""

    def __init__(self, limit_s: float) -> None:
        self.client: smtplib.SMTP | None = None
        self._timer = threading.Timer(limit_s, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> "_Watched":
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._timer.join()

    def _cut(self) -> None:
        sock = None if self.client is None else self.client.sock
        if sock is not None:
            with suppress(OSError):
                # Not TLS's own way, which would take its state from under whoever reads.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)


class _Plain(smtplib.SMTP):
    def __init__(self, watched: _Watched, settings: SmtpSettings) -> None:
        watched.client = self
        super().__init__(settings.host, settings.port, settings.hello_name or None, timeout=settings.timeout_s)


class _Tls(smtplib.SMTP_SSL):
    def __init__(self, watched: _Watched, settings: SmtpSettings, context: ssl.SSLContext) -> None:
        watched.client = self
        ours = settings.hello_name or None
        super().__init__(settings.host, settings.port, ours, timeout=settings.timeout_s, context=context)


def send(settings: SmtpSettings, message: EmailMessage, *, limit_s: float = LIMIT_S) -> Outcome:
    """Hand ``message`` over for its one recipient, in ``limit_s`` at most once the server has been found.

    A reply of 5yz to the recipient or to the mail itself is final; to a greeting, a login or our own sender address it is a
    matter of settings, which somebody can mend while the mail waits (RFC 5321, section 4.2.1). No reason holds a password.
    """
    with _Watched(limit_s) as watched:
        return _send(settings, message, watched)


def _send(settings: SmtpSettings, message: EmailMessage, watched: _Watched) -> Outcome:
    try:
        context = None if settings.encryption is Encryption.NONE else _trust(settings)
        client = _connect(settings, context, watched)
    except smtplib.SMTPResponseException as err:
        return Retry(_reply("the server does not let us in", err.smtp_code, err.smtp_error))
    except ssl.SSLError as err:
        return Retry(f"no secure connection: {_spoken(err)}")
    except (OSError, UnicodeError) as err:
        return Retry(f"no connection: {_spoken(err)}")
    try:
        return _converse(client, settings, context, message)
    finally:
        _leave(client)


def backoff(attempt: int) -> float:
    """Seconds to wait after the ``attempt``-th try (from 1): 30 s, doubling up to an hour. Jitter is the caller's."""
    return min(_LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(max(0, attempt - 1), 20))


def _trust(settings: SmtpSettings) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=settings.ca_file)


def _connect(settings: SmtpSettings, context: ssl.SSLContext | None, watched: _Watched) -> smtplib.SMTP:
    if settings.encryption is Encryption.TLS and context is not None:
        return _Tls(watched, settings, context)
    return _Plain(watched, settings)


def _converse(client: smtplib.SMTP, settings: SmtpSettings, context: ssl.SSLContext | None, message: EmailMessage) -> Outcome:
    try:
        if settings.encryption is Encryption.STARTTLS:
            client.starttls(context=context)
        client.ehlo_or_helo_if_needed()
        if settings.username and settings.password_file is not None:
            _log_in(client, settings.username, settings.password_file)
        client.send_message(message)
    except smtplib.SMTPRecipientsRefused as err:
        code, text = next(iter(err.recipients.values()))
        return _judged("recipient", code, text)
    except smtplib.SMTPDataError as err:
        return _judged("mail", err.smtp_code, err.smtp_error)
    except smtplib.SMTPSenderRefused as err:
        if err.smtp_code == 552:  # we say how large the mail is along with our address (RFC 1870, section 6.1)
            return _judged("mail", err.smtp_code, err.smtp_error)
        return Retry(_reply("the server refuses", err.smtp_code, err.smtp_error))
    except smtplib.SMTPAuthenticationError as err:
        return Retry(f"the login is refused: {err.smtp_code}")  # its text may repeat what was sent
    except smtplib.SMTPResponseException as err:
        return Retry(_reply("the server refuses", err.smtp_code, err.smtp_error))
    except _LoginTroubleError as err:
        return Retry(f"the login failed: {err}")
    except ssl.SSLError as err:
        return Retry(f"no secure connection: {_spoken(err)}")
    except OSError as err:  # of the network, and all else of smtplib
        return Retry(f"the connection failed: {_spoken(err)}")
    return Sent()


def _log_in(client: smtplib.SMTP, username: str, password_file: str) -> None:
    password = _password(Path(password_file))
    if not (username.isascii() and password.isascii()):
        # smtplib would raise an error that holds the password.
        raise _LoginTroubleError("user name and password must be plain ASCII")
    client.login(username, password)


def _password(file: Path) -> str:
    try:
        first = file.read_text(encoding="utf-8").split("\n", 1)[0].strip()
    except OSError as err:
        raise _LoginTroubleError(f"{file}: can't be read: {err.strerror}") from None
    except UnicodeDecodeError:
        raise _LoginTroubleError(f"{file}: the file is not UTF-8 text") from None
    if not first:
        raise _LoginTroubleError(f"{file}: the first line is empty; it must be the password")
    return first


def _judged(what: str, code: int, text: bytes | str) -> Outcome:
    final = 500 <= code <= 599
    return (Refused if final else Retry)(_reply(f"the {what} is not taken", code, text))


def _reply(what: str, code: int, text: bytes | str) -> str:
    said = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return clean(f"{what}: {code} {said}", _MOST_REASON)


def _spoken(err: Exception) -> str:
    return clean(str(err) or type(err).__name__, _MOST_REASON)


def _leave(client: smtplib.SMTP) -> None:
    """Say goodbye, if anybody still listens: what the server has taken stays taken, however this ends."""
    try:
        client.quit()
    except (smtplib.SMTPException, OSError):
        pass
    finally:
        client.close()
