"""What detection found out, in the reader's words: known names are translated and their values made readable."""

import re

from sitekeeper_collector.notify.view import MailView, clean, when
from sitekeeper_collector.notify.words import FACTS, say
from sitekeeper_protocol.texts import Lang

_MOST_NAME = 60
_MOST_VALUE = 300
_INSTANTS = ("last_heard", "class_until", "dark_from", "dark_to")
_WHOLE = re.compile(r"[0-9]{1,14}")
"""A number without a sign; as milliseconds since 1970 it is before the year 5139, which every calendar knows."""
_SHARE = re.compile(r"([0-9]{1,9})/([0-9]{1,9})")
_GIB = 1 << 30


def finding(name: str, value: str, view: MailView, lang: Lang) -> tuple[str, str]:
    """One fact of a ticket's evidence, as it is shown. What is not known, or is not of the form that it should have, stays."""
    label = FACTS.get(name)
    if label is None:
        return clean(name, _MOST_NAME), clean(value, _MOST_VALUE)
    return say(label, lang), clean(_shown(name, value, view, lang), _MOST_VALUE)


def _shown(name: str, value: str, view: MailView, lang: Lang) -> str:
    whole = _WHOLE.fullmatch(value)
    if name in _INSTANTS and whole:
        return when(int(value), view)
    if name == "free" and whole:
        return f"{int(value) / _GIB:.1f} GiB"
    if name == "samples" and whole:
        return say("times", lang, count=value)
    if name in ("playing", "not_answering") and value in ("0", "1"):
        return say("yes" if value == "1" else "no", lang)
    if name in ("neighbours_gone", "area_gone") and (share := _SHARE.fullmatch(value)):
        return say("share", lang, gone=share[1], together=share[2])
    return value
