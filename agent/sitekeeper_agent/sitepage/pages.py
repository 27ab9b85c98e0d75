"""The page as HTML: what is wrong in pictures and words, one step to try, and what is true about reporting. Pure."""

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlencode

from sitekeeper_agent import standing
from sitekeeper_agent.config import Settings
from sitekeeper_agent.sitepage import pictures, words
from sitekeeper_agent.sitepage.board import Seen
from sitekeeper_agent.sitepage.markup import Html, element, joined
from sitekeeper_agent.sitepage.outcome import Outcome
from sitekeeper_agent.standing import Fault
from sitekeeper_protocol import texts
from sitekeeper_protocol.ladder import Reading, Verdict
from sitekeeper_protocol.texts import Lang
from sitekeeper_protocol.vocabulary import Kind, Party, Reason, Rung, State

WAITING_S, IDLE_S = 1, 30
"""How soon the page asks again by itself: while something is under way, and else."""
_NOTHING_SEEN = Fault(None, None, None, (), connected=True)


class Visit(NamedTuple):
    """What the address that was opened says. ``look``: number of the look that was asked for, 0: none."""

    lang: Lang
    step: int = 1
    look: int = 0
    asked: bool = False
    about: Kind | None = None

    def address(self, **changed: object) -> str:
        """The address of this page, or of the one with something ``changed``."""
        to = self._replace(**changed)  # type: ignore[arg-type]
        query = {
            "lang": to.lang,
            "step": to.step if to.step > 1 else None,
            "look": to.look or None,
            "asked": 1 if to.asked else None,
            "about": to.about.value if to.about else None,
        }
        return "/?" + urlencode({name: value for name, value in query.items() if value is not None})


class Told(NamedTuple):
    """All that a page is made of."""

    settings: Settings
    seen: Seen
    boottime_ms: int
    token: str
    outcome: Outcome | None = None

    @property
    def fault(self) -> Fault | None:
        """The fault that is seen, if there is one."""
        return self.seen.fault(self.boottime_ms)


def front(told: Told, visit: Visit) -> Html:
    """The page that people open."""
    looking = told.outcome == "waiting"
    saving = visit.asked and told.seen.repair is None
    body = joined(
        _top(told, visit),
        _verdict(told, visit.lang, looking=looking),
        _rungs(told.seen, visit.lang),
        None if looking else _outcome(told, visit),
        element("div", _steps(told, visit), _reporting(told, visit.lang, saving=saving), id="act"),
        _foot(told, visit),
    )
    state = _class(State.SILENT if looking else _state(told.seen))
    waits = looking or saving or told.seen.verdict is None
    return page(visit.lang, words.said("title", visit.lang), body, state=state, refresh_s=WAITING_S if waits else IDLE_S)


def page(lang: Lang, title: str, body: Html, *, state: str = "", refresh_s: int | None = None) -> Html:
    """A whole document."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="X-UA-Compatible", content="IE=edge"),
        element("meta", name="viewport", content="width=device-width"),
        element("meta", http_equiv="refresh", content=refresh_s) if refresh_s else None,
        element("title", title),
        element("link", rel="stylesheet", href="/style.css"),
        element("script", src="/page.js", defer="defer"),
    )
    return joined(
        Html("<!DOCTYPE html>\n"),
        element("html", head, element("body", body, class_=state or None), lang="zh-CN" if lang == "zh" else "en"),
        Html("\n"),
    )


def notice(told: Told, visit: Visit, name: str) -> Html:
    """Why something was not done, with the way back."""
    lang = visit.lang
    back = element("p", element("a", words.said("back", lang), href=visit.address(), class_="button"))
    body = joined(
        _top(told, visit),
        element("div", element("h1", words.said("refused", lang)), id="verdict"),
        element("div", element("p", words.said(name, lang), class_="step"), back, class_="card"),
    )
    return page(lang, words.said("refused", lang), body, state="silent")


# --- the parts ---------------------------------------------------------------------------------------------------------


def _top(told: Told, visit: Visit) -> Html:
    lang = visit.lang
    other: Lang = "en" if lang == "zh" else "zh"
    return element(
        "div",
        element("a", words.said("other_language", lang), href=visit.address(lang=other), class_="other"),
        element("span", words.said("site", lang), " ", element("b", told.settings.site)),
        id="top",
    )


def _verdict(told: Told, lang: Lang, *, looking: bool) -> Html:
    verdict = told.seen.verdict
    if looking or verdict is None:
        text = words.said("looking" if looking else "first_look", lang)
        return element("div", pictures.waiting(88), element("h1", text), element("p", Html("&nbsp;")), id="verdict")
    return element(
        "div",
        pictures.mark(verdict.state, 88),
        element("h1", _headline(verdict, lang)),
        element("p", _second_line(told, verdict, lang) or Html("&nbsp;")),
        id="verdict",
    )


def _headline(verdict: Verdict, lang: Lang) -> str:
    if verdict.state == State.FAIL and verdict.kind:
        name = texts.kind(verdict.kind, lang)
        return name[:1].upper() + name[1:]
    headline = words.of(words.VERDICTS.get(verdict.state, words.VERDICTS[State.SILENT]), lang)
    if verdict.state in (State.FAIL, State.DEGRADED) and verdict.rung:
        at = texts.rung(verdict.rung, lang)
        return f"{headline}：{at}" if lang == "zh" else f"{headline}: {at}"
    return headline


def _second_line(told: Told, verdict: Verdict, lang: Lang) -> str:
    if verdict.state == State.OK:
        return _looked(told, lang)
    if verdict.state != State.FAIL:
        return texts.reason(verdict.reason, lang) if verdict.reason != Reason.NONE else _looked(told, lang)
    parts = [words.of(words.PARTIES[verdict.party], lang)] if verdict.party in words.PARTIES else []
    if verdict.party == Party.SITE and not texts.help_steps(verdict.kind or "", lang):
        parts = []
    if verdict.reason != Reason.NONE and not parts:
        parts.append(texts.reason(verdict.reason, lang))
    if told.fault and told.fault.minutes:
        parts.append(words.said("lasting", lang, minutes=words.lasting(told.fault.minutes, lang)))
    return ("，" if lang == "zh" else "; ").join(parts)


def rung_states(seen: Seen) -> Mapping[Rung, State]:
    """One state for each rung that is watched here, lowest first: that of the verdict's path, else the best of any path."""
    states: dict[Rung, State] = {}
    for rung in Rung:
        readings = [reading for reading in seen.readings if reading.rung == rung and reading.state != State.NOT_APPLICABLE]
        if readings:
            states[rung] = min((_shown(reading) for reading in readings), key=_RANK.index)
    verdict = seen.verdict
    if verdict and verdict.rung in states and verdict.state in (State.FAIL, State.DEGRADED):
        states[verdict.rung] = verdict.state
    return states


_RANK = (State.OK, State.DEGRADED, State.FAIL, State.SILENT, State.NOT_APPLICABLE)


def _shown(reading: Reading) -> State:
    # It ignores probes, but what passes through it arrives.
    return State.OK if reading.reason == Reason.ANSWERED_ABOVE else reading.state


def _rungs(seen: Seen, lang: Lang) -> Html | None:
    tiles = [
        element(
            "td",
            element("div", pictures.rung(rung), pictures.mark(state, 34), class_="drawing"),
            element("b", words.of(words.SHORT_RUNGS[rung], lang)),
            element("span", words.of(words.SHORT_STATES.get(state, words.SHORT_STATES[State.SILENT]), lang)),
            class_=_class(state),
        )
        for rung, state in rung_states(seen).items()
    ]
    return element("table", element("tr", *tiles), id="rungs") if tiles else None


def _outcome(told: Told, visit: Visit) -> Html | None:
    if told.outcome is None:
        return None
    name: str = told.outcome
    if name == "same" and _state(told.seen) == State.FAIL:
        steps = len(_steps_of(told, visit))
        name = "same_next" if visit.step < steps else "same_last" if steps > 1 else "same"
    good = told.outcome in ("worked", "still_well")
    onward = None
    if name == "same_next":
        there = visit.address(step=visit.step + 1, look=0)
        onward = element("a", words.said("next", visit.lang), href=there, class_="onward")
    return element("p", onward, words.of(words.OUTCOMES[name], visit.lang), id="outcome", class_="good" if good else "bad")


def _steps_of(told: Told, visit: Visit) -> tuple[str, ...]:
    kind = told.fault.kind if told.fault else visit.about
    return texts.help_steps(kind, visit.lang) if kind else ()


def _steps(told: Told, visit: Visit) -> Html:
    steps = _steps_of(told, visit)
    if steps:
        return _step(told, visit, steps)
    failing = told.fault is not None
    choices = None if failing else _choices(visit)
    lead = words.said("no_steps" if failing else "well_steps", visit.lang)
    return element("div", element("p", lead, class_="step"), choices, _buttons(told, visit), class_="card")


def _step(told: Told, visit: Visit, steps: tuple[str, ...]) -> Html:
    lang, at = visit.lang, min(visit.step, len(steps))
    title = words.said("step", lang, at=at, of=len(steps)) if len(steps) > 1 else None
    about = words.of(words.ABOUT[visit.about], lang) if visit.about and not told.fault else None
    heading = " · ".join(part for part in (about, title) if part)
    turn = [
        element("a", words.said(name, lang), href=visit.address(step=to, look=0), class_="turn")
        for name, to, there in (("previous", at - 1, at > 1), ("next", at + 1, at < len(steps)))
        if there
    ]
    return element(
        "div",
        element("h2", *turn[::-1], heading) if heading or turn else None,
        element("p", steps[at - 1], class_="step"),
        _buttons(told, visit._replace(step=at)),
        class_="card",
    )


def _choices(visit: Visit) -> Html:
    links = [
        element("a", words.of(pair, visit.lang), href=visit.address(about=kind, step=1, look=0), class_="choice")
        for kind, pair in words.ABOUT.items()
    ]
    return element("p", *(part for link in links for part in (link, " ")), class_="choices")


def _buttons(told: Told, visit: Visit) -> Html:
    return element("div", _button(told, visit, "check"), _button(told, visit, "repair"), class_="buttons")


def _button(told: Told, visit: Visit, name: str) -> Html:
    hidden: dict[str, str | int | None] = {
        "token": told.token,
        "lang": visit.lang,
        "step": visit.step,
        "about": visit.about and visit.about.value,
    }
    fields = [element("input", type="hidden", name=key, value=value) for key, value in hidden.items() if value is not None]
    pressed = words.said("looking" if name == "check" else "saving", visit.lang) if name == "check" else None
    button = element("button", words.said(name, visit.lang), type="submit", class_=name, data_pressed=pressed)
    return element("form", *fields, button, method="post", action=f"/{name}")


def _reporting(told: Told, lang: Lang, *, saving: bool) -> Html | None:
    """What is true about reporting, and the digits as long as no number has come for what is wrong."""
    fault, asked = told.fault, told.seen.repair
    lines, call = _of_repair(told, lang)
    if saving:
        lines = [words.of(words.REPAIR["saving"], lang)]
    named: set[str] = set(asked.numbers) if asked else set()
    if fault is not None:
        named |= set(fault.numbers)
        call = not fault.numbers and not (asked and asked.numbers and not asked.over)
        lines.append(standing.sentence(fault, told.settings.phone, lang)) if fault.numbers or call else None
    elif call:
        silent = _NOTHING_SEEN._replace(connected=told.seen.connected)
        lines.append(standing.sentence(silent, told.settings.phone, lang))
    others = [number for number in told.seen.tickets if number not in named]
    if others:
        lines.append(words.said("open_tickets", lang, numbers=_listed(others, lang)))
    said = [element("p", _phone_marked(line, told.settings.phone)) for line in dict.fromkeys(lines)]
    digits = _digits(told, fault or _NOTHING_SEEN, lang) if call else None
    return element("div", digits, *said, id="report", class_="card") if said or digits else None


def _phone_marked(line: str, phone: str) -> Html:
    """The line with the number to call in one piece."""
    before, found, after = line.partition(phone) if phone else (line, "", "")
    return joined(before, element("b", found, class_="phone") if found else None, after)


def _of_repair(told: Told, lang: Lang) -> tuple[list[str], bool]:
    """The sentences about a request for repair, and whether somebody should call because of it."""
    asked, seen = told.seen.repair, told.seen
    if asked is None:
        return [], False
    if asked.over:
        return [words.of(words.REPAIR["over"], lang, numbers=_listed(asked.numbers, lang))], False
    if asked.numbers:
        return [texts.reported(_listed(asked.numbers, lang), told.settings.phone, lang)], False
    if asked.received:
        return [words.of(words.REPAIR["received"], lang)], False
    name = "unwritable" if not seen.writable else "saved" if seen.connected else "waiting"
    return [words.of(words.REPAIR[name], lang)], True


def _digits(told: Told, fault: Fault, lang: Lang) -> Html:
    code = standing.code(fault, told.settings.site)
    return element("p", element("span", words.said("code", lang)), element("b", code), class_="digits")


def _listed(numbers: "list[str] | tuple[str, ...]", lang: Lang) -> str:
    return ("、" if lang == "zh" else ", ").join(numbers)


def _foot(told: Told, visit: Visit) -> Html:
    link = element("a", words.said("collected", visit.lang), href=f"/collected?lang={visit.lang}")
    hours = _hours(told.seen, visit.lang)
    return element("div", element("span", _looked(told, visit.lang)), link, *([" · ", hours] if hours else []), id="foot")


def _hours(seen: Seen, lang: Lang) -> str:
    """How long the PC was on today, and in use where something tells of it."""
    if seen.day is None:
        return ""
    on, used = (words.hours(amount_ms // 60_000, lang) for amount_ms in (seen.day.on_ms, seen.day.in_use_ms))
    return words.said("used_today" if seen.day.told else "on_today", lang, on=on, used=used)


def _looked(told: Told, lang: Lang) -> str:
    if told.seen.looked_ms is None:
        return ""
    minutes = max(0, told.boottime_ms - told.seen.looked_ms) // 60_000
    return words.said("looked", lang, ago=words.ago(minutes, lang))


def _state(seen: Seen) -> State:
    return seen.verdict.state if seen.verdict else State.SILENT


def _class(state: State) -> str:
    return state.name.lower() if state in (State.OK, State.DEGRADED, State.FAIL) else "silent"
