"""A mail's contents as plain words and rows, in the order in which they are read; the templates only lay them out."""

from typing import NamedTuple

from sitekeeper_collector.domain.tickets import NoticeEvent, TimelineEntry
from sitekeeper_collector.notify.view import MailView, carrier_text, clean, lasted, when
from sitekeeper_collector.notify.words import (
    ASKS,
    CLOSINGS,
    DONE,
    EVENTS,
    GRADE_MEANS,
    GRADE_SYMBOLS,
    SHORT_RUNGS,
    SHORT_STATES,
    SYMBOLS,
    pick,
    say,
)
from sitekeeper_protocol import texts
from sitekeeper_protocol.ladder import Reading
from sitekeeper_protocol.texts import Lang
from sitekeeper_protocol.vocabulary import Method, Party, Reason, Rung, State

MOST_NAME = 60
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
    kind: str
    name: str
    place: str
    ask: str
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
        kind=texts.kind(view.kind, lang),
        name=clean(view.site_name, MOST_NAME),
        place=" · ".join(part for part in (clean(view.site, 40), clean(view.township, MOST_NAME)) if part),
        ask=pick(ASKS[view.event], lang).format(party=party),
        summary=summary(view, lang),
        facts=_facts(view, lang, party),
        ladder=cells,
        here="" if here is None else say("here", lang, rung=texts.rung(here, lang)),
        carrier=carrier_text(view, lang) if view.party is Party.TELECOM and not calm else "",
        help=() if calm or view.party not in (Party.SITE, Party.TECHNICIAN) else texts.help_steps(view.kind, lang),
        proofs=_proofs(view.evidence.readings, lang),
        findings=[(clean(name, MOST_NAME), clean(value, MOST_TEXT)) for name, value in view.evidence.facts[:MOST_FACTS]],
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


def _facts(view: MailView, lang: Lang, party: str) -> list[tuple[str, str]]:
    closing = "" if view.closing is None else pick(CLOSINGS[view.closing], lang)
    rows = (
        ("party", party),
        ("severity", texts.severity(view.severity, lang)),
        ("ticket", clean(view.ticket, 40)),
        ("order", clean(view.carrier_order, MOST_NAME)),
        ("closing", closing),
        ("parent", clean(view.parent, 40)),
        ("previous", clean(view.previous, 40)),
        ("note", clean(view.note, MOST_TEXT)),
    )
    return [(say(label, lang), value) for label, value in rows if value]


def _proofs(readings: tuple[Reading, ...], lang: Lang) -> list[Proof]:
    several = len({reading.path for reading in readings}) > 1
    return [_proof(reading, lang, with_path=several) for reading in readings]


def _proof(reading: Reading, lang: Lang, *, with_path: bool) -> Proof:
    label = f" ({clean(reading.label, 20)})" if reading.label else ""
    details = [
        texts.reason(reading.reason, lang) if reading.reason is not Reason.NONE else "",
        "" if reading.rtt_ms is None else f"{reading.rtt_ms:.0f} ms",
        say("loss", lang, percent=round(reading.loss_ratio * 100)) if reading.loss_ratio else "",
        texts.method(reading.method, lang)
        if reading.method is not Method.NONE and reading.state is not State.NOT_APPLICABLE
        else "",
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


def _earlier(view: MailView, lang: Lang) -> str:
    left_out = len(view.timeline) - MOST_ENTRIES
    return say("earlier", lang, count=left_out) if left_out > 0 else ""


def _done(entry: TimelineEntry, view: MailView, lang: Lang) -> Done:
    words = [clean(str(entry.details[key]), MOST_TEXT) for key in ("text", "why", "into") if key in entry.details]
    if "kind" in entry.details:
        words.append(texts.kind(str(entry.details["kind"]), lang))
    if "party" in entry.details:
        words.append(texts.party(str(entry.details["party"]), lang))
    return Done(
        at=when(entry.at_ms, view, year=False),
        who=clean(entry.who, MOST_NAME) or say("system", lang),
        what=pick(DONE[entry.what], lang),
        text=" · ".join(words),
    )


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
