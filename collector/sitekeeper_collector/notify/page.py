"""A mail's contents as plain words and rows, in the order in which they are read; the templates only lay them out."""

from typing import NamedTuple

from sitekeeper_collector.domain.tickets import Closing, NoticeEvent, TimelineEntry
from sitekeeper_collector.notify.facts import finding
from sitekeeper_collector.notify.view import MOST_MEMBERS, MailView, carrier_text, clean, lasted, when
from sitekeeper_collector.notify.words import (
    ASKS,
    CLOSINGS,
    DONE,
    EVENTS,
    GRADE_MEANS,
    GRADE_SYMBOLS,
    PINGS,
    PROBES,
    SHORT_RUNGS,
    SHORT_STATES,
    SYMBOLS,
    pick,
    say,
    told,
)
from sitekeeper_protocol import texts
from sitekeeper_protocol.ladder import Reading
from sitekeeper_protocol.texts import Lang
from sitekeeper_protocol.vocabulary import Kind, Method, Party, Reason, Rung, State

MOST_NAME = 60
MOST_MEMBER = 30
MOST_TEXT = 300
MOST_ENTRIES = 20
MOST_FACTS = 20
_WORKS_AGAIN = (NoticeEvent.RECOVERED, NoticeEvent.MOVED_AWAY, NoticeEvent.CLOSED)


class Cell(NamedTuple):
    """One rung in the picture of the ladder."""

    name: str
    state: State
    symbol: str
    word: str
    here: bool


class Proof(NamedTuple):
    """A row of the evidence."""

    step: str
    state: State
    symbol: str
    result: str
    details: str


class Done(NamedTuple):
    """A row of the timeline."""

    at: str
    who: str
    what: str
    text: str


class Page(NamedTuple):
    """All that a mail says. Every text is on one line and harmless; escaping is the template's."""

    lang: Lang
    tone: str
    """``calm`` where nothing is left to do, else ``alert``."""
    solid: str
    """How sure: ``proven``, ``inferred`` or ``to_verify``."""
    symbol: str
    grade: str
    grade_means: str
    event: str
    severity: str
    ticket: str
    kind: str
    name: str
    place: str
    ask: str
    why: list[str]
    """Why this mail comes, where it is not plain: why a ticket is withdrawn or open again."""
    summary: str
    facts: list[tuple[str, str]]
    ladder: list[Cell]
    here: str
    carrier: str
    help: tuple[str, ...]
    proofs: list[Proof]
    findings: list[tuple[str, str]]
    earlier: str
    timeline: list[Done]
    answers: list[str]


def page(view: MailView, lang: Lang) -> Page:
    """The contents of ``view``'s mail."""
    calm = view.event in _WORKS_AGAIN or view.ended_ms is not None
    cells = ladder(view.evidence.readings, lang)
    here = next((r.rung for r in _primary(view.evidence.readings) if r.state is State.FAIL), None)
    party = _party(view, lang)
    return Page(
        lang=lang,
        tone="calm" if calm else "alert",
        solid=view.grade.value,
        symbol=GRADE_SYMBOLS[view.grade],
        grade=texts.grade(view.grade, lang),
        grade_means=pick(GRADE_MEANS[view.grade], lang),
        event=pick(EVENTS[view.event], lang),
        severity="" if calm else texts.severity(view.severity, lang),
        ticket=clean(view.ticket, 40),
        kind=texts.kind(view.kind, lang),
        name=clean(view.area or view.site_name, MOST_NAME),
        place=_place(view, lang),
        ask=pick(ASKS[view.event], lang).format(party=party),
        why=_why(view, lang),
        summary=summary(view, lang),
        facts=_facts(view, lang, party),
        ladder=cells,
        here="" if here is None else say("here", lang, rung=texts.rung(here, lang)),
        carrier=carrier_text(view, lang) if view.party is Party.TELECOM and not calm else "",
        help=() if calm else _help(view, lang),
        proofs=_proofs(view.evidence.readings, lang),
        findings=_findings(view, lang),
        earlier=_earlier(view, lang),
        timeline=[_done(entry, view, lang) for entry in view.timeline[-MOST_ENTRIES:]],
        answers=_answers(view, lang, calm),
    )


def summary(view: MailView, lang: Lang) -> str:
    """Since when, and how long it lasted or has lasted so far."""
    since = when(view.started_ms, view)
    if view.ended_ms is not None:
        until = when(view.ended_ms, view)
        return f"{since} – {until} · {say('lasted', lang)} {lasted(view.started_ms, view.ended_ms, lang)}"
    so_far = say("so_far", lang, lasted=lasted(view.started_ms, view.at_ms, lang))
    return f"{say('from', lang, time=since)} · {so_far}"


def ladder(readings: tuple[Reading, ...], lang: Lang) -> list[Cell]:
    """The picture: each rung that has a reading, from the cable up; the lowest that fails is where it is."""
    cells: list[Cell] = []
    for reading in _primary(readings):
        here = reading.state is State.FAIL and not any(cell.here for cell in cells)
        word = pick(SHORT_STATES[reading.state], lang)
        cells.append(Cell(pick(SHORT_RUNGS[reading.rung], lang), reading.state, SYMBOLS[reading.state], word, here))
    return cells


def _primary(readings: tuple[Reading, ...]) -> list[Reading]:
    """The reading that stands for each rung, lowest first; of one path, for that is what a ticket rests on."""
    by_rung: dict[Rung, Reading] = {}
    for reading in readings:
        if not reading.label:
            by_rung.setdefault(reading.rung, reading)
    return [by_rung[rung] for rung in sorted(by_rung)]


def _party(view: MailView, lang: Lang) -> str:
    name, own = texts.party(view.party, lang), clean(view.party_name, MOST_NAME)
    if not own:
        return name
    return f"{name}（{own}）" if lang == "zh" else f"{name} ({own})"


def _help(view: MailView, lang: Lang) -> tuple[str, ...]:
    """What the site can try, for those who talk to it; nothing where the steps only say that it is not the site's fault."""
    concerns = view.party in (Party.SITE, Party.TECHNICIAN) and view.kind not in (Kind.PORTAL_DOWN, Kind.MEDIA_DOWN)
    return texts.help_steps(view.kind, lang) if concerns else ()


def _why(view: MailView, lang: Lang) -> list[str]:
    closing = "" if view.closing is None else pick(CLOSINGS[view.closing], lang)
    return [reason for reason in (closing, clean(view.note, MOST_TEXT)) if reason]


def _facts(view: MailView, lang: Lang, party: str) -> list[tuple[str, str]]:
    rows = (
        ("party", party),
        ("ticket", clean(view.ticket, 40)),
        *(_line(view) if view.party is Party.TELECOM and not view.area else ()),
        ("order", clean(view.carrier_order, MOST_NAME)),
        ("parent", clean(view.parent, 40)),
        ("previous", clean(view.previous, 40)),
    )
    return [(say(label, lang), value) for label, value in rows if value]


def _line(view: MailView) -> tuple[tuple[str, str], ...]:
    """Each by itself, to be copied into one field; what is too long to be real is not shown in part."""
    named = (("line_account", view.line.account), ("loid", view.line.loid), ("line_phone", view.line.phone))
    shown = ((label, clean(value, MOST_NAME)) for label, value in named)
    return tuple((label, value) for label, value in shown if not value.endswith("…"))


def _place(view: MailView, lang: Lang) -> str:
    own = say("sites", lang, count=len(view.members)) if view.area and view.members else clean(view.site, 40)
    return " · ".join(part for part in (own, clean(view.township, MOST_NAME)) if part)


def _findings(view: MailView, lang: Lang) -> list[tuple[str, str]]:
    members = _members(view, lang)
    found = [fact for fact in view.evidence.facts[:MOST_FACTS] if not (members and fact[0] == "members")]
    return [*members, *(finding(name, value, view, lang) for name, value in found)]


def _members(view: MailView, lang: Lang) -> list[tuple[str, str]]:
    shown = [name for name in (clean(member, MOST_MEMBER) for member in view.members[:MOST_MEMBERS]) if name]
    if not shown:
        return []
    names = ("、" if lang == "zh" else ", ").join(shown)
    left_out = len(view.members) - MOST_MEMBERS
    if left_out > 0:
        names = say("and_more", lang, names=names, count=left_out, all=len(view.members))
    return [(say("members", lang), names)]


def _proofs(readings: tuple[Reading, ...], lang: Lang) -> list[Proof]:
    several = len({reading.path for reading in readings}) > 1
    return [_proof(reading, lang, with_path=several) for reading in readings]


def _proof(reading: Reading, lang: Lang, *, with_path: bool) -> Proof:
    label = f" ({_label(reading, lang)})" if reading.label else ""
    details = [
        texts.reason(reading.reason, lang) if reading.reason is not Reason.NONE else "",
        "" if reading.rtt_ms is None else f"{reading.rtt_ms:.0f} ms",
        say("loss", lang, percent=round(reading.loss_ratio * 100)) if reading.loss_ratio else "",
        _method(reading, lang),
        clean(reading.target, MOST_NAME),
        clean(reading.path, 40) if with_path else "",
    ]
    return Proof(
        step=f"{texts.rung(reading.rung, lang)}{label}",
        state=reading.state,
        symbol=SYMBOLS[reading.state],
        result=texts.state(reading.state, lang),
        details=" · ".join(part for part in details if part),
    )


def _label(reading: Reading, lang: Lang) -> str:
    known = PROBES.get(reading.label)
    return clean(reading.label, 20) if known is None else pick(known, lang)


def _method(reading: Reading, lang: Lang) -> str:
    if reading.method is Method.NONE or reading.state is State.NOT_APPLICABLE:
        return ""
    return "ping" if reading.method in PINGS else texts.method(reading.method, lang)


def _earlier(view: MailView, lang: Lang) -> str:
    left_out = len(view.timeline) - MOST_ENTRIES
    return say("earlier", lang, count=left_out) if left_out > 0 else ""


def _done(entry: TimelineEntry, view: MailView, lang: Lang) -> Done:
    return Done(
        at=when(entry.at_ms, view, year=False),
        who=clean(entry.who, MOST_NAME) or say("system", lang),
        what=pick(DONE[entry.what], lang),
        text=" · ".join(_told(entry, view, lang)),
    )


def _told(entry: TimelineEntry, view: MailView, lang: Lang) -> list[str]:
    """What the details of an entry say."""
    details = entry.details
    words = [clean(told(entry, key, lang), MOST_TEXT) for key in ("text", "why", "into", "code") if key in details]
    for key, name in (("kind", texts.kind), ("party", texts.party), ("grade", texts.grade)):
        if key in details:
            words.append(name(str(details[key]), lang))
    words.extend(pick(CLOSINGS[closing], lang) for closing in Closing if closing == details.get("closing"))
    for key, label in (("from_ms", "from"), ("ended_ms", "ended")):
        at_ms = details.get(key)
        if isinstance(at_ms, int):
            words.append(say(label, lang, time=when(at_ms, view, year=False)))
    return words


def _answers(view: MailView, lang: Lang, calm: bool) -> list[str]:
    ticket, ways = clean(view.ticket, 40), view.answering
    if calm:
        return [say("answer_none", lang)]
    offered = [
        say("answer_mail", lang, ticket=ticket) if ways.mail else "",
        say("answer_phone", lang, phone=clean(ways.phone, 40), ticket=ticket) if ways.phone else "",
        say("answer_link", lang, link=clean(ways.link, MOST_TEXT)) if ways.link else "",
    ]
    return [way for way in offered if way]
