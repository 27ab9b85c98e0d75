"""Playing a scenario: wait for what a step waits for, do what it says, and note when the truth changed."""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from lab.agents import Said
from lab.faults import do
from lab.scenario import Scenario, Step
from lab.stage import Centre, Stage
from sitekeeper_collector.domain.ledger import Was
from sitekeeper_collector.domain.tickets import Ticket, TicketState
from sitekeeper_protocol.vocabulary import State
from support.casebook import now_ms
from support.post_office import Letter
from support.wait import wait_until

_PATIENCE_S = 150
LEAST_S = 20
"""So long at least is broken what breaks, where Prometheus is to notice it, too."""
_MARGIN_MS = 30_000


class Trouble(NamedTuple):
    """A time in which something was wrong at a site, in truth."""

    from_ms: int
    to_ms: int


class Played(NamedTuple):
    """What came of a scenario, to be judged. ``ledger_ms``: how long the picture calls each site what the truth calls it."""

    troubles: dict[str, list[Trouble]]
    said: dict[str, list[Said]]
    opening: list[str]
    after: list[str]
    mails: int
    ledger_ms: dict[str, int]
    begun_ms: int = 0
    mailed_ms: Sequence[int] = ()
    letters: Sequence[Letter] = ()
    tickets: Sequence[Ticket] = ()
    ended_ms: int = 0


class _Play:
    def __init__(self, stage: Stage, scenario: Scenario) -> None:
        self.stage, self.scenario = stage, scenario
        self.broken: dict[str, int] = {}
        self.troubles: dict[str, list[Trouble]] = {}
        self.opening: list[str] | None = None
        self.begun_ms = now_ms()

    def step(self, step: Step) -> None:
        for name, wanted in step.when.items():
            self._wait(name, wanted)
        if "tickets" in step.when and self.opening is None:
            self.opening = tickets(self.stage.centre)
        # A scenario is a course of time: this is what it says, not a wait for something.
        time.sleep(step.after_s)
        self._let_be_noticed(step)
        self._break(step)
        before_ms = now_ms()
        for deed in step.do:
            do(self.stage, deed)
        self.stage.acted_ms = now_ms()
        for site in step.mends:
            self.troubles.setdefault(site, []).append(Trouble(self.broken.pop(site), (before_ms + now_ms()) // 2))

    def _let_be_noticed(self, step: Step) -> None:
        """Where others watch, too, what is broken stays so until they have had time to notice."""
        left_s = LEAST_S - (now_ms() - max(self.broken.values(), default=0)) / 1000
        if self.stage.peers is not None and step.mends and left_s > 0:
            time.sleep(left_s)

    def _break(self, step: Step) -> None:
        for site in step.breaks:
            self.broken[site] = now_ms()

    def _wait(self, name: str, wanted: Any) -> None:
        condition = CONDITIONS[name]
        wait_until(lambda: condition(self.stage, wanted), lambda: f"{name} {wanted}\n{self.stage.told()}", _PATIENCE_S, 0.1)

    def finish(self) -> Played:
        """Once all is well again."""
        stage, truth = self.stage, self.scenario.truth
        stage.wait_until_well(but=truth.remembers)
        letters = tuple(stage.centre.post.letters) if stage.centre else ()
        return Played(
            troubles=self.troubles,
            said={site: agent.said(self.begun_ms) for site, agent in stage.agents.items()},
            opening=self.opening or [],
            after=tickets(stage.centre),
            mails=len(letters),
            begun_ms=self.begun_ms,
            tickets=tuple(stage.centre.book.tickets()) if stage.centre else (),
            ended_ms=now_ms(),
            mailed_ms=[now_ms() - round((time.monotonic() - letter.at_s) * 1000) for letter in letters],
            letters=letters,
            ledger_ms={site: self._ledger_ms(site, Was(was)) for site, was in truth.ledger.items()},
        )

    def _ledger_ms(self, site: str, was: Was) -> int:
        assert self.stage.centre is not None, "only a collector keeps a ledger"
        begun = min(trouble.from_ms for trouble in self.troubles[site])
        return self.stage.centre.book.was(site, begun - _MARGIN_MS).get(was, 0)


def play(stage: Stage, scenario: Scenario) -> Played:
    """Raises ``AssertionError`` with all that is known if something that a step waits for does not come."""
    stage.begin(scenario, do)
    course = _Play(stage, scenario)
    for step in scenario.steps:
        course.step(step)
    return course.finish()


def tickets(centre: Centre | None) -> list[str]:
    """All tickets in words: site, kind, party, grade, and how far they have come."""
    found = centre.book.tickets() if centre else []
    return sorted(" ".join((t.site, t.kind, t.party, t.grade, t.closing or t.state)) for t in found)


# --- conditions -----------------------------------------------------------------------------------------------------------


def _said(stage: Stage, wanted: dict[str, str]) -> bool:
    """What the last samples of each site say: ``ok``, or a kind. Two of them, so that it stands."""
    return all(_says(stage.agents[site].said(last=2), word) for site, word in wanted.items())


def _says(said: list[Said], word: str) -> bool:
    if word == "ok":
        return bool(said) and all(s.state == State.OK for s in said)
    return bool(said) and all(s.kind == word for s in said)


def _centre(stage: Stage) -> Centre:
    assert stage.centre is not None, "no collector takes part"
    return stage.centre


def _over(stage: Stage, count: int) -> bool:
    ended = (TicketState.RESOLVED, TicketState.CLOSED)
    return sum(ticket.state in ended for ticket in _centre(stage).book.tickets()) >= count


def _explained(stage: Stage, wanted: dict[str, str]) -> bool:
    book = _centre(stage).book
    return all([a.outcome for a in book.absences(site)][-1:] == [outcome] for site, outcome in wanted.items())


def _heard(stage: Stage, sites: list[str]) -> bool:
    stage.wait_until_heard(sites)
    return True


def _played(stage: Stage, wanted: dict[str, dict[str, int]]) -> bool:
    """Whether one of a site's samples since the last deed tells of so much at least, by metric/player."""
    return all(
        any(s.played.get(series, 0) >= least for s in stage.agents[site].said(stage.acted_ms))
        for site, wishes in wanted.items()
        for series, least in wishes.items()
    )


CONDITIONS: dict[str, Callable[[Stage, Any], bool]] = {
    "said": _said,
    "tickets": lambda stage, count: len(_centre(stage).book.tickets()) >= count,
    "over": _over,
    "amended": lambda stage, words: words in tickets(_centre(stage)),
    "mails": lambda stage, count: len(_centre(stage).post.letters) >= count,
    "absent": lambda stage, sites: all(_centre(stage).book.absences(site) for site in sites),
    "explained": _explained,
    "heard": _heard,
    "played": _played,
    "sampled": lambda stage, count: all(len(agent.said()) >= count for agent in stage.agents.values()),
}
