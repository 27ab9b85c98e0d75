"""The console over a real socket: who gets in, what is escaped, what a request may change, and what the pages say."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy import insert, select

from sitekeeper_collector.store import findings, sight, tables
from sitekeeper_collector.store.engine import Store, open_store
from sitekeeper_collector.web.accounts import SESSION_MS
from sitekeeper_collector.web.server import ConsoleError, ConsoleServer
from sitekeeper_protocol.vocabulary import Metric, Reason, Rung, State
from support.pages import Visitor
from support.scripted import Bench, bench, inbound, report, sample

HOSTILE = "<script>alert('x')</script>"
RUN = 7


class Stage(NamedTuple):
    """A console over a store that a test can fill."""

    at: Bench
    console: ConsoleServer
    clock: list[int]

    @property
    def password(self) -> str:
        assert self.console.first_password is not None
        return self.console.first_password

    def visitor(self, **headers: str) -> Visitor:
        return Visitor(self.console.port, **headers)

    def inside(self) -> Visitor:
        visitor = self.visitor(**{"accept-language": "en"})
        assert visitor.sign_in(self.password).status == 303
        return visitor


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with bench(tmp_path, "v1", "v2", "v3") as at:
        clock = [at.now_ms]
        with at.store.write() as connection:
            sight.beat(connection, clock[0])
            connection.execute(tables.sites.update().where(tables.sites.c.id == "v2").values(name=HOSTILE, township="50%_\\x"))
        console = ConsoleServer(at.store, host="127.0.0.1", port=0, wall_ms=lambda: clock[0], blind_after_s=30)
        console.start()
        yield Stage(at, console, clock)
        console.stop()


def measured(state: State, rung: Rung | None = None) -> dict[tuple[int, str], int]:
    values = {(Metric.VERDICT_STATE.value, ""): int(state), (Metric.RUNG_STATE.value, "ipv4/link"): 0}
    if rung is not None:
        name = f"ipv4/{rung.name.lower()}"
        values |= {
            (Metric.VERDICT_RUNG.value, ""): int(rung),
            (Metric.RUNG_STATE.value, name): int(state),
            (Metric.RUNG_REASON.value, name): Reason.TIMEOUT.value,
        }
    return values


# --- who gets in -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/sites", "/sites/v1", "/sites/none", "/overview/now"])
def test_nothing_is_shown_to_whoever_is_not_signed_in(stage: Stage, path: str) -> None:
    page = stage.visitor().get(path)
    assert (page.status, page.headers["location"]) == (303, "/login")
    assert "v1" not in page.text


def test_a_part_of_a_page_asked_for_after_the_session_ended_leads_to_the_sign_in_page_as_a_whole(stage: Stage) -> None:
    assert stage.visitor().get("/overview/now", **{"hx-request": "true"}).headers["hx-redirect"] == "/login"


def test_the_first_password_lets_in_and_is_made_only_once(stage: Stage) -> None:
    assert stage.inside().get("/").status == 200
    again = ConsoleServer(stage.at.store, host="127.0.0.1", port=0, wall_ms=lambda: stage.clock[0], blind_after_s=30)
    again.start()
    again.stop()
    assert again.first_password is None


def test_neither_password_nor_token_is_in_the_database(stage: Stage) -> None:
    visitor = stage.inside()
    with stage.at.store.read() as connection:
        everything = [
            str(value)
            for table in (tables.users, tables.sessions, tables.meta)
            for row in connection.execute(select(table))
            for value in row
        ]
    assert not any(stage.password in value or visitor.cookies["sk_session"] in value for value in everything)


@pytest.mark.parametrize(("user", "password"), [("admin", "wrong"), ("nobody", "wrong"), ("", ""), ("admin", "\x00" * 900)])
def test_a_wrong_name_and_a_wrong_password_get_the_same_answer(stage: Stage, user: str, password: str) -> None:
    page = stage.visitor(**{"accept-language": "en"}).sign_in(password, user)
    assert page.status == 403 and "The user name or the password is wrong." in page.text


def test_after_ten_wrong_passwords_even_the_right_one_must_wait(stage: Stage) -> None:
    visitor = stage.visitor()
    for _ in range(10):
        assert visitor.sign_in("wrong").status == 403
    assert visitor.sign_in(stage.password).status == 429
    stage.clock[0] += 5 * 60_000
    assert visitor.sign_in(stage.password).status == 303


def test_a_session_ends_by_itself_and_by_signing_out(stage: Stage) -> None:
    first, second = stage.inside(), stage.inside()
    token = first.cookies["sk_session"]
    assert first.post("/logout").status == 303
    first.cookies["sk_session"] = token
    assert first.get("/").status == 303, "the cookie of a session that was ended"
    assert second.get("/").status == 200
    stage.clock[0] += SESSION_MS
    assert second.get("/").status == 303


# --- what a request may do ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/login", "/logout", "/language"])
def test_a_form_from_elsewhere_changes_nothing(stage: Stage, path: str) -> None:
    visitor = stage.inside()
    page = visitor.post(path, forged=True, user="admin", password=stage.password, lang="en")
    assert page.status == 403
    assert visitor.get("/").status == 200


@pytest.mark.parametrize("back", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)"])
def test_the_way_back_never_leads_elsewhere(stage: Stage, back: str) -> None:
    assert stage.inside().post("/language", lang="zh", back=back).headers["location"] == "/"


def test_every_answer_tells_the_browser_to_trust_only_us(stage: Stage) -> None:
    visitor = stage.inside()
    for path in ("/", "/login", "/nowhere", "/static/console.css", "/sites/none"):
        page = visitor.get(path)
        assert "default-src 'self'" in page.headers["content-security-policy"], path
        assert page.headers["x-content-type-options"] == "nosniff", path
    assert "unsafe" not in page.headers["content-security-policy"]


def test_the_cookie_of_the_session_is_out_of_reach_for_scripts(stage: Stage) -> None:
    cookie = stage.visitor().sign_in(stage.password).headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie


def test_a_hostile_site_name_is_text(stage: Stage) -> None:
    visitor = stage.inside()
    stage.at.give(inbound("v2", report("v2", RUN, [sample(RUN, 1, values=measured(State.FAIL, Rung.DNS))])))
    for path in ("/", "/sites", "/sites/v2"):
        page = visitor.get(path)
        assert HOSTILE not in page.text and "&lt;script&gt;" in page.text, path
    assert HOSTILE not in visitor.get("/sites?q=" + HOSTILE.replace("<", "%3C")).text


@pytest.mark.parametrize(
    ("search", "found"), [("50%25", True), ("%25%25", False), ("0_%5C", False), ("%5Cx", True), ("v1", False)]
)
def test_what_is_searched_for_is_taken_literally(stage: Stage, search: str, found: bool) -> None:
    assert ("/sites/v2" in stage.inside().get(f"/sites?q={search}").text) == found


def test_a_page_that_is_not_there_says_so(stage: Stage) -> None:
    for path in ("/sites/none", "/nowhere", "/sites/%00", "/sites/" + "x" * 3000):
        assert stage.inside().get(path).status == 404, path


# --- what the pages say ------------------------------------------------------------------------------------------------


def test_a_fault_is_what_needs_me_and_being_off_is_not(stage: Stage) -> None:
    visitor = stage.inside()
    stage.at.give(
        inbound("v1", report("v1", RUN, [sample(RUN, 1, values=measured(State.FAIL, Rung.DNS))])),
        inbound("v3", report("v3", RUN, [sample(RUN, 1, values=measured(State.OK))])),
    )
    page = visitor.get("/")
    assert "name resolution: failed" in page.text and "/sites/v1" in page.text and "/sites/v3" not in page.text
    stage.clock[0] += 3600_000
    with stage.at.store.write() as connection:
        sight.beat(connection, stage.clock[0])
    later = visitor.get("/overview/now")
    assert "Nothing needs you now." in later.text and "Presumed off" in later.text


def test_while_we_are_blind_silence_is_our_own_trouble(stage: Stage) -> None:
    visitor = stage.inside()
    stage.at.give(inbound("v1", report("v1", RUN, [sample(RUN, 1, values=measured(State.OK))])))
    stage.clock[0] += 3600_000
    page = visitor.get("/")
    assert "The collector hears nothing at all now" in page.text
    assert "Presumed off" not in page.text.split("We are blind")[0].rsplit("tile", 1)[-1]


def test_a_site_page_shows_the_ladder_of_the_newest_sample(stage: Stage) -> None:
    visitor = stage.inside()
    old, new = sample(RUN, 1, values=measured(State.OK)), sample(RUN, 2, values=measured(State.FAIL, Rung.PORTAL))
    stage.at.give(inbound("v1", report("v1", RUN, [old, new])))
    page = visitor.get("/sites/v1")
    assert "portal" in page.text and "no answer in time" in page.text
    assert page.text.count('class="mark"') == 2


def test_findings_are_shown_with_their_site(stage: Stage) -> None:
    with stage.at.store.write() as connection:
        findings.note(connection, [findings.Finding("v3", findings.DUPLICATE_IDENTITY, "runs a and b", 5)])
    visitor = stage.inside()
    assert all("two PCs with one identity" in visitor.get(path).text for path in ("/", "/sites/v3"))
    assert "two PCs" not in visitor.get("/sites/v1").text


def test_what_a_newer_agent_says_does_not_break_a_page(stage: Stage) -> None:
    strange = {
        (Metric.VERDICT_STATE.value, ""): 99,
        (Metric.VERDICT_RUNG.value, ""): 77,
        (Metric.RUNG_STATE.value, "ipv4/quantum"): 2,
        (Metric.RUNG_STATE.value, "no-path"): 5,
        (Metric.RUNG_STATE.value, "ipv4/dns"): 88,
        (Metric.RUNG_STATE.value, "ipv4/link"): 2,
        (Metric.RUNG_REASON.value, "ipv4/link"): 4000,
    }
    stage.at.give(inbound("v1", report("v1", RUN, [sample(RUN, 1, values=strange)])))
    visitor = stage.inside()
    assert [visitor.get(path).status for path in ("/", "/sites", "/sites/v1")] == [200, 200, 200]


@pytest.mark.parametrize(
    ("accepted", "word"), [("zh-CN,zh;q=0.9,en;q=0.8", "总览"), ("en-GB,en", "Overview"), ("de", "总览"), ("", "总览")]
)
def test_the_language_is_what_the_browser_prefers_and_chinese_otherwise(stage: Stage, accepted: str, word: str) -> None:
    visitor = stage.visitor(**{"accept-language": accepted})
    visitor.sign_in(stage.password)
    assert word in visitor.get("/").text
    visitor.post("/language", lang="en" if word == "总览" else "zh", back="/sites")
    assert word not in visitor.get("/").text


def test_an_address_in_use_is_told(stage: Stage, tmp_path: Path) -> None:
    store: Store = open_store(f"sqlite:///{tmp_path / 'other.db'}")
    second = ConsoleServer(store, host="127.0.0.1", port=stage.console.port, wall_ms=lambda: 0, blind_after_s=30)
    with pytest.raises(ConsoleError, match=str(stage.console.port)):
        second.start()
    store.close()


def test_an_unregistered_site_that_reports_is_listed(stage: Stage) -> None:
    stage.at.give(inbound("stranger", report("stranger", RUN, [sample(RUN, 1)])))
    page = stage.inside().get("/")
    assert "stranger" in page.text and "Reporting but not registered" in page.text


def test_a_register_of_many_is_shown_in_part_and_says_so(stage: Stage) -> None:
    with stage.at.store.write() as connection:
        many = [{"id": f"m{at:04}", "name": "Many", "added_ms": 1, "changed_ms": 1} for at in range(600)]
        connection.execute(insert(tables.sites), many)
    page = stage.inside().get("/sites?q=Many")
    assert page.text.count("<bdi>Many</bdi>") == 500 and "Only the first 500 are shown" in page.text
