"""What a mail about a ticket shows: its values, made harmless, and the fault text for the carrier's own system."""

import datetime
import re
import unicodedata

from msgspec import Struct

from sitekeeper_collector.domain.tickets import Closing, Evidence, NoticeEvent, TimelineEntry
from sitekeeper_collector.notify.words import say
from sitekeeper_protocol import texts
from sitekeeper_protocol.texts import Lang
from sitekeeper_protocol.vocabulary import Grade, Kind, Party, Severity

CARRIER_TEXT = 120
"""Characters that the fault field of a carrier's system takes."""
_LEAST_PLACE = 4
"""Characters of a place's name that still say anything."""
_CUT_NUMBER = re.compile(r"[\dA-Za-z@._/+-]+…$")
"""A number at the end that may have been cut."""
MOST_MEMBERS = 12
"""Sites of an area that a mail names; of the others it says how many they are."""
CHINA_MIN = 480
"""Minutes that China's clocks are ahead of UTC, in all seasons and provinces."""
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"}
"""Controls, directions and invisible characters, halves of characters, private and unassigned ones, line ends, spaces."""


class LineIdentity(Struct, frozen=True, kw_only=True):
    """By what a carrier finds a line: the broadband account, the LOID of its modem, the phone it is registered to."""

    account: str = ""
    loid: str = ""
    phone: str = ""


class Answering(Struct, frozen=True, kw_only=True):
    """How the reader can answer; what is empty is not offered. ``link`` only where its address has been tested."""

    mail: bool = False
    phone: str = ""
    link: str = ""


class MailView(Struct, frozen=True, kw_only=True):
    """One mail about a ticket as it stands at ``at_ms``.

    ``subject_kind`` and ``subject_name`` are the kind and the name (of a site or an area) that the thread began with (``None``
    and empty: the present ones), so that its subject never changes.
    ``follows``: the mail is not the first of its thread. ``party_name`` says who the party is here, such as a company.
    ``area`` names the access node, feeder or township that a ticket about several sites is about, ``members`` its sites.
    """

    event: NoticeEvent
    ticket: str
    at_ms: int
    site: str
    site_name: str
    kind: Kind
    party: Party
    grade: Grade
    severity: Severity
    started_ms: int
    ended_ms: int | None = None
    township: str = ""
    party_name: str = ""
    line: LineIdentity = LineIdentity()
    carrier_order: str = ""
    evidence: Evidence = Evidence()
    timeline: tuple[TimelineEntry, ...] = ()
    note: str = ""
    closing: Closing | None = None
    parent: str = ""
    previous: str = ""
    answering: Answering = Answering()
    follows: bool = False
    area: str = ""
    members: tuple[str, ...] = ()
    subject_kind: Kind | None = None
    subject_name: str = ""
    utc_offset_min: int = CHINA_MIN


def clean(text: str, most: int = 200) -> str:
    """``text`` on one line of at most ``most`` characters, without anything invisible that could steer or disguise it."""
    looked_at = text[: most * 4]  # what comes from outside may be long
    shown = "".join(" " if unicodedata.category(char) in _INVISIBLE else char for char in looked_at)
    words = " ".join(shown.split())
    return clipped(words if looked_at == text else f"{words}…", most)


def clipped(text: str, most: int) -> str:
    """``text``, cut to ``most`` characters, the last of which shows that it was cut."""
    if len(text) <= most:
        return text
    return text[: most - 1].rstrip() + "…" if most > 0 else ""


def when(at_ms: int, view: MailView, *, year: bool = True) -> str:
    """An instant on the clock of the county."""
    zone = datetime.timezone(datetime.timedelta(minutes=view.utc_offset_min))
    moment = datetime.datetime.fromtimestamp(at_ms // 1000, zone)
    return moment.strftime("%Y-%m-%d %H:%M" if year else "%m-%d %H:%M")


def lasted(from_ms: int, to_ms: int, lang: Lang) -> str:
    """A duration in words, never less than none."""
    minutes = max(0, to_ms - from_ms) // 60_000
    hours, days = minutes // 60, minutes // 1440
    if hours == 0:
        return say("minutes", lang, m=minutes)
    if days == 0:
        return say("hours", lang, h=hours, m=minutes % 60)
    return say("days", lang, d=days, h=hours % 24)


def carrier_text(view: MailView, lang: Lang = "zh") -> str:
    """What to paste into the carrier's own system: at most ``CARRIER_TEXT`` characters.

    A number that identifies the line, or the name of an access node, is there whole or, where it can't fit, not at all: a cut
    one would name another. The place is cut to the room that is left, and the grade stands there if there is still room.
    """
    comma = say("comma", lang)
    since = say("from", lang, time=when(view.started_ms, view, year=False))
    text = f"{texts.kind(view.kind, lang)}{comma}{since}"
    for label, value in _identities(view, lang):
        shown = clean(value, CARRIER_TEXT)
        part = f"{comma}{label}{shown}"
        if shown and not shown.endswith("…") and len(text) + len(part) <= CARRIER_TEXT:
            text += part
    place = _place(view, lang, CARRIER_TEXT - len(text) - len(comma))
    if place:
        text += comma + place
    grade = comma + texts.grade(view.grade, lang)
    return text + grade if len(text) + len(grade) <= CARRIER_TEXT else text


def _identities(view: MailView, lang: Lang) -> tuple[tuple[str, str], ...]:
    number = (say("order_short", lang), view.ticket)
    if view.area:
        return ((say("node", lang), view.area), number)
    line = view.line
    return ((say("account", lang), line.account), ("LOID ", line.loid), (say("phone", lang), line.phone), number)


def _place(view: MailView, lang: Lang, room: int) -> str:
    """Where it is, or which sites it is about, in at most ``room`` characters; nothing if that would say nothing."""
    if view.area:
        sites = say("sites", lang, count=len(view.members)) if view.members else ""
        whole = " ".join(part for part in (sites, *view.members[:MOST_MEMBERS]) if part)
    else:
        whole = f"{view.township}{' ' if lang == 'en' else ''}{view.site_name}"
    shown = _CUT_NUMBER.sub("…", clipped(clean(whole, CARRIER_TEXT), max(0, room)))
    return shown if len(shown) >= _LEAST_PLACE or shown == clean(whole, CARRIER_TEXT) else ""
