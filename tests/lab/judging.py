"""What came of a scenario against its truth: a row of the table for each, and why it is not right."""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from lab.agents import Said
from lab.picture import Course, course_of
from lab.play import Played, Trouble
from lab.scenario import Scenario
from sitekeeper_protocol.vocabulary import State


class Result(Struct, frozen=True, kw_only=True):
    """One row. ``error_s`` is the greatest error of a site's time in trouble, ``None`` if nothing was to be timed."""

    scenario: str
    expected: list[str]
    opening: list[str]
    after: list[str]
    error_s: float | None = None
    wrong: list[str] = []
    gap: str = ""
    took_s: float = 0
    course: Course | None = None

    @property
    def ok(self) -> bool:
        return not self.wrong

    @property
    def word(self) -> str:
        """``gap``: wrong, and known to be."""
        return "ok" if self.ok else "gap" if self.gap else "WRONG"


def judge(scenario: Scenario, played: Played, took_s: float = 0) -> Result:
    """Compare; nothing of ``played`` is forgiven but the kinds that the truth lets pass."""
    truth = scenario.truth
    spoken = {site: spoken_of(said, truth.meanwhile) for site, said in played.said.items()}
    wrong = [
        f"{site} said {list(words)}, not {truth.said.get(site, [])}"
        for site, words in spoken.items()
        if list(words) != truth.said.get(site, [])
    ]
    for what, found, right in (("opening", played.opening, truth.opening), ("after", played.after, truth.after)):
        if found != sorted(right):
            wrong.append(f"tickets {what}: {found}, not {sorted(right)}")
    if played.mails != truth.mails:
        wrong.append(f"{played.mails} mails, not {truth.mails}")
    errors = _errors_s(scenario, played)
    wrong += [f"{site}'s time is {error:.1f} s wrong" for site, error in errors.items() if error > truth.within_s]
    if scenario.centre:
        columns = (truth.opening + [f"-> {words}" for words in truth.after], played.opening, played.after)
    else:
        first, later = ({site: words[part] for site, words in spoken.items()} for part in (slice(1), slice(1, None)))
        columns = (_told(truth.said), _told(first), _told(later))
    expected, opening, after = columns
    error_s = round(max(errors.values()), 1) if errors else None
    return Result(
        scenario=scenario.name,
        expected=expected or ["nothing"],
        opening=opening,
        after=after,
        error_s=error_s,
        wrong=wrong,
        gap=scenario.gap,
        took_s=round(took_s, 1),
        course=course_of(played),
    )


def spoken_of(said: Iterable[Said], passing: Sequence[str]) -> list[str]:
    """The faults that a site named, one after the other, without those that may pass."""
    named: list[str] = []
    for one in said:
        if one.words and one.kind not in passing and one.words not in named[-1:]:
            named.append(one.words)
    return named


def _errors_s(scenario: Scenario, played: Played) -> dict[str, float]:
    """By site: of the ledger where the truth speaks of it, else of the site's own record."""
    errors = {}
    for site, troubles in played.troubles.items():
        true_ms = sum(trouble.to_ms - trouble.from_ms for trouble in troubles)
        if site in scenario.truth.ledger:
            errors[site] = abs(played.ledger_ms[site] - true_ms) / 1000
        elif scenario.truth.said.get(site):
            errors[site] = max(_edges_s(played.said[site], trouble) for trouble in troubles)
    return errors


def _edges_s(said: Sequence[Said], trouble: Trouble) -> float:
    """How late the site noticed the beginning and the end, together."""
    bad = next((s.wall_ms for s in said if s.wall_ms >= trouble.from_ms and s.state != State.OK), trouble.to_ms)
    good = next((s.wall_ms for s in said if s.wall_ms >= trouble.to_ms and s.state == State.OK), said[-1].wall_ms)
    return (bad - trouble.from_ms + good - trouble.to_ms) / 1000


def _told(words: dict[str, list[str]]) -> list[str]:
    return [f"{site} {one}" for site, ones in words.items() for one in ones]


def table(results: Sequence[Result]) -> str:
    """Everything on a screen, a line for each thing that was expected or found."""
    titles = ("scenario", "expected", "at opening", "after", "error s", "ok")
    rows: list[tuple[str, ...]] = [titles]
    for result in results:
        error = "" if result.error_s is None else f"{result.error_s:.1f}"
        depth = max(len(result.expected), len(result.opening), len(result.after), 1)
        for at in range(depth):
            listed = [column[at] if at < len(column) else "" for column in (result.expected, result.opening, result.after)]
            first = (result.scenario, error, result.word) if at == 0 else ("", "", "")
            rows.append((first[0], *listed, *first[1:]))
    widths = [max(len(row[at]) for row in rows) for at in range(len(titles))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    why = [f"{result.scenario}: {reason}" for result in results for reason in result.wrong]
    why += [f"{result.scenario}, known: {result.gap}" for result in results if result.word == "gap"]
    return "\n".join([*lines, *([""] if why else []), *why])
