"""A scenario is right only if nothing else was said: a lab that forgives proves nothing."""

import time
from xml.etree import ElementTree

import msgspec

from lab.agents import Said
from lab.comparing import alerts, compare
from lab.comparing import table as comparison
from lab.judging import judge, table
from lab.picture import course_of, draw
from lab.play import Played, Trouble
from lab.scenario import Scenario, Step, Truth
from sitekeeper_protocol.vocabulary import State
from support.post_office import Letter

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


def test_the_picture_shows_truth_and_what_was_said_where_they_were() -> None:
    played = _played(*_RIGHT)._replace(begun_ms=5_000, ended_ms=25_000, mailed_ms=[15_000])
    course = course_of(played)
    assert [(bar.from_s, bar.to_s) for bar in course.truth["a"]] == [(5.0, 15.0)]
    assert [(bar.from_s, bar.to_s, bar.words) for bar in course.said["a"]] == [(6.0, 17.0, _LINE)]
    assert (course.lasted_s, course.mails_s) == (20.0, [10.0])
    found = judge(_scenario(), played)
    image = draw([msgspec.to_builtins(found) | {"word": found.word}])
    boxes = [
        box
        for box in ElementTree.fromstring(image).iter("{http://www.w3.org/2000/svg}rect")
        if box.get("y") not in (None, "10")
    ]
    assert [(float(box.attrib["x"]), float(box.attrib["width"])) for box in boxes] == [(475.0, 450.0), (520.0, 495.0)]


def test_mails_tell_whom_alertmanager_and_we_wrote_to_first() -> None:
    theirs = [
        Letter(f"{party}@county.test", time.monotonic(), f"Subject: [FIRING:1] {alert} (b)\n\n".encode())
        for party, alert in (("telecom", "LineDown"), ("technician", "SiteDown"), ("telecom", "LineDown"))
    ]
    found = compare(_scenario(after=["a line_down telecom proven resolved"]), _played(*_RIGHT), theirs)
    assert (found.job, found.theirs.count, list(found.theirs.first_s)) == (["telecom"], 3, ["telecom", "technician"])
    assert alerts(found.theirs) == ["LineDown", "SiteDown"]
    assert "in 0 of them, Sitekeeper in 0" in comparison([found])
    alone = compare(_scenario(after=["a line_down telecom proven resolved"]), _played(*_RIGHT), theirs[:1])
    assert "in 1 of them" in comparison([alone])
