"""A mail about a ticket: from what is to be shown to a message that can be sent, in one thread with those before it."""

import datetime
import email.policy
import re
from email.headerregistry import Address, BaseHeader, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import Policy
from email.utils import format_datetime
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from msgspec import Struct

from sitekeeper_collector.notify.addresses import is_address, is_domain
from sitekeeper_collector.notify.page import page
from sitekeeper_collector.notify.view import MailView, clean
from sitekeeper_collector.notify.words import say
from sitekeeper_protocol import texts
from sitekeeper_protocol.texts import Lang

_TEMPLATES = Path(__file__).parent / "templates"
_THREAD = re.compile(r"[A-Za-z0-9-]{1,60}/[0-9]{1,6}")
_MOST_SUBJECT_NAME = 40

# Plain text has nothing to escape; every value has been made harmless before.
_templates = Environment(
    loader=FileSystemLoader(_TEMPLATES),
    autoescape=select_autoescape(("html",)),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


class _MessageIds(UnstructuredHeader, BaseHeader):
    """Identifications of messages, folded between them only: the library encodes long ones, and nobody finds a thread then."""

    def fold(self, *, policy: Policy) -> str:
        return f"{self.name}: {f'{policy.linesep} '.join(str(self).split())}{policy.linesep}"


_headers = HeaderRegistry()
for _name in ("message-id", "in-reply-to", "references"):
    _headers.map_to_type(_name, _MessageIds)
_policy = email.policy.SMTP.clone(header_factory=_headers)


class MailError(ValueError):
    """A mail that can't be put together: the text says what about it is wrong."""


class Rendered(NamedTuple):
    """A mail's subject and its body in both forms."""

    subject: str
    text: str
    html: str


class Envelope(Struct, frozen=True, kw_only=True):
    """Who a mail is from and to, and its place: the ``number``-th (from 0) of ``thread``, as a ``Notice`` names them.

    ``dated_ms`` is when it became owed, not when it is sent: a mail that is sent again is the same to the byte.
    """

    sender: str
    recipient: str
    thread: str
    number: int
    domain: str
    dated_ms: int
    sender_name: str = "Sitekeeper"
    reply_to: str = ""
    lang: Lang = "zh"
    utc_offset_min: int = 480


def render(view: MailView, lang: Lang) -> Rendered:
    """Subject, text and HTML of ``view``'s mail."""
    words = {"page": page(view, lang), "say": lambda label, **values: say(label, lang, **values)}
    text = _templates.get_template("mail.txt").render(words)
    return Rendered(subject(view, lang), text, _templates.get_template("mail.html").render(words))


def subject(view: MailView, lang: Lang) -> str:
    """The same for all mails of a thread, but for the ``Re:``: many mail programs thread by it, whatever the references say."""
    kind = texts.kind(view.subject_kind or view.kind, lang)
    about = " ".join(
        part for part in (clean(view.subject_name or view.area or view.site_name, _MOST_SUBJECT_NAME), kind) if part
    )
    return f"{'Re: ' if view.follows else ''}[{clean(view.ticket, 40)}] {about}"


def message_id(thread: str, number: int, domain: str) -> str:
    """The identification of a thread's ``number``-th mail (RFC 5322, section 3.6.4): the same whenever it is sent again."""
    if not _THREAD.fullmatch(thread) or number < 0:
        raise MailError(f"{thread!r}, {number}: not a thread and the number of a mail in it")
    if not is_domain(domain):
        raise MailError(f"{domain!r} is no domain name; message ids need one")
    return f"<{thread.replace('/', '.').lower()}.{number}@{domain.lower()}>"


def compose(rendered: Rendered, envelope: Envelope) -> EmailMessage:
    """The message to send. Raises ``MailError`` for an address or a domain that can't be used.

    ``References`` names the first and the previous mail of the thread, so that one that was lost does not break it.
    """
    message = EmailMessage(policy=_policy)
    own = message_id(envelope.thread, envelope.number, envelope.domain)
    message["Message-ID"] = own
    message["Date"] = _date(envelope)
    message["From"] = _address(envelope.sender, envelope.sender_name)
    message["To"] = _address(envelope.recipient)
    if envelope.reply_to:
        message["Reply-To"] = _address(envelope.reply_to)
    message["Subject"] = clean(rendered.subject)
    if envelope.number > 0:
        first, before = (message_id(envelope.thread, at, envelope.domain) for at in (0, envelope.number - 1))
        message["In-Reply-To"] = before
        message["References"] = before if first == before else f"{first} {before}"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no answering machine may answer
    message["X-Auto-Response-Suppress"] = "All"  # the same for Exchange
    message.set_content(rendered.text, cte="base64")
    message.add_alternative(rendered.html, subtype="html", cte="base64")
    message["Content-Language"] = "zh-CN" if envelope.lang == "zh" else "en"  # last: a body takes such headers with it
    message.set_boundary(f"=_{own.strip('<>').split('@')[0]}_=")
    return message


def _date(envelope: Envelope) -> str:
    zone = datetime.timezone(datetime.timedelta(minutes=envelope.utc_offset_min))
    return format_datetime(datetime.datetime.fromtimestamp(envelope.dated_ms // 1000, zone))


def _address(address: str, name: str = "") -> Address:
    if not is_address(address):
        raise MailError(f"{clean(address, 80)!r} is no mail address that every server takes")
    return Address(clean(name, 60), addr_spec=address)
