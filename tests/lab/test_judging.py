"""A scenario is right only if nothing else was said: a lab that forgives proves nothing."""

from lab.agents import Said
from lab.judging import judge, table
from lab.play import Played, Trouble
from lab.scenario import Scenario, Step, Truth
from sitekeeper_protocol.vocabulary import State

_LINE = "line_down telecom proven"


def _said(at_s: int, words: str = "") -> Said:
    return Said(at_s * 1000, State.FAIL if words else State.OK, words.partition(" ")[0], words, False)


def _scenario(**truth: object) -> Scenario:
    return Scenario(title="", steps=[Step()], truth=Truth(**{"said": {"a": [_LINE]}, "within_s": 6} | truth), name="cut")  # type: ignore[arg-type]


def _played(*said: Said, after: tuple[str, ...] = (), mails: int = 0) -> Played:
    return Played({"a": [Trouble(10_000, 20_000)]}, {"a": list(said)}, [], list(after), mails, {})


_RIGHT = (_said(9), _said(11, _LINE), _said(19, _LINE), _said(22))


def test_what_was_said_in_time_is_right_and_its_error_is_told() -> None:
    found = judge(_scenario(), _played(*_RIGHT))
    assert (found.ok, found.error_s) == (True, 3.0)
    assert table([found]).splitlines()[1].split() == ["cut", "a", *_LINE.split(), "a", *_LINE.split(), "3.0", "ok"]


def test_a_false_verdict_on_the_way_is_wrong_unless_the_truth_lets_it_pass() -> None:
    played = _played(_said(9), _said(11, "dns_failure telecom proven"), *_RIGHT[2:])
    assert not judge(_scenario(), played).ok
    assert judge(_scenario(meanwhile=["dns_failure"]), played).ok


def test_nothing_said_too_late_or_one_thing_too_many_is_wrong() -> None:
    assert not judge(_scenario(), _played(_said(9), _said(22))).ok
    late = judge(_scenario(), _played(_said(9), _said(18, _LINE), _said(22)))
    assert late.wrong == ["a's time is 10.0 s wrong"]
    assert not judge(_scenario(), _played(*_RIGHT, after=("a line_down telecom proven open",))).ok
    assert not judge(_scenario(), _played(*_RIGHT, mails=1)).ok
    assert not judge(_scenario(said={}), _played(*_RIGHT)).ok
