"""The mails that the embedded start's mail server has caught instead of delivering them."""

import email
import email.policy
from email.message import EmailMessage
from typing import TYPE_CHECKING, NamedTuple

from litestar import Response, get
from litestar.exceptions import NotFoundException
from litestar.response import Template

from sitekeeper_collector.web.access import console_of
from sitekeeper_collector.web.frame import AnyRequest, context
from sitekeeper_collector.web.tickets import confined

if TYPE_CHECKING:
    from sitekeeper_collector.embedded.mail_catcher import CaughtMail

_SHOWN_HEADERS = ("From", "To", "Date", "Subject", "Message-ID", "In-Reply-To", "References", "Auto-Submitted")
_MOST_HEADER, _MOST_BODY = 500, 200_000


class Letter(NamedTuple):
    """A caught mail, read. ``answers``: the number of the caught mail that it follows, if that is still there."""

    caught: "CaughtMail"
    headers: tuple[tuple[str, str], ...]
    subject: str
    text: str
    html: str
    answers: int | None = None


@get("/mails", sync_to_thread=True)
def mails(request: AnyRequest) -> Template:
    """The caught mails, the newest first."""
    letters = [_read(caught, bodies=False) for caught in _caught(request)[::-1]]
    return Template("mails.html", context=context(request, letters=letters))


@get("/mails/{number:int}", sync_to_thread=True)
def caught_mail(request: AnyRequest) -> Template:
    """One of them."""
    letter = _wanted(request)
    known = {dict(other.headers).get("Message-ID"): other.caught.number for other in map(_heads, _caught(request))}
    answers = known.get(dict(letter.headers).get("In-Reply-To", "-"))
    return Template("caught.html", context=context(request, letter=letter._replace(answers=answers)))


@get("/mails/{number:int}/body", sync_to_thread=True)
def caught_body(request: AnyRequest) -> Response[str]:
    """Its HTML by itself, for a frame in which nothing runs."""
    return confined(_wanted(request).html)


def _caught(request: AnyRequest) -> "tuple[CaughtMail, ...]":
    catcher = console_of(request).catcher
    if catcher is None:
        raise NotFoundException
    return catcher.messages()


def _wanted(request: AnyRequest) -> Letter:
    number = request.path_params["number"]
    for caught in _caught(request):
        if caught.number == number:
            return _read(caught)
    raise NotFoundException


def _heads(caught: "CaughtMail") -> Letter:
    return _read(caught, bodies=False)


def _read(caught: "CaughtMail", *, bodies: bool = True) -> Letter:
    """What a mail says; one that is no proper mail says little, and breaks nothing."""
    message = email.message_from_bytes(caught.content, policy=email.policy.default)
    headers = tuple((name, value) for name in _SHOWN_HEADERS if (value := _header(message, name)))
    text, html = (_body(message, kind) if bodies else "" for kind in ("plain", "html"))
    return Letter(caught, headers, dict(headers).get("Subject", ""), text, html)


def _header(message: EmailMessage, name: str) -> str:
    try:
        return " ".join(str(message.get(name, "")).split())[:_MOST_HEADER]
    except (ValueError, IndexError, AttributeError, TypeError):  # the library's parser, on what is no header
        return "?"


def _body(message: EmailMessage, kind: str) -> str:
    try:
        found = message.get_body((kind,))
        return str(found.get_content())[:_MOST_BODY] if found is not None else ""
    except (ValueError, LookupError, AttributeError, TypeError):  # an unknown charset or a broken structure
        return ""


HANDLERS = (mails, caught_mail, caught_body)
