"""The page over HTTP: what it says in both languages, what it takes from whom, and that nothing hostile gets through."""

import http.client
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from html.parser import HTMLParser

import pytest

from sitekeeper_agent import sitepage
from sitekeeper_agent.config import Broker, Remote, Settings, SitePage
from sitekeeper_agent.hours import Day
from sitekeeper_agent.playersettings import Player
from sitekeeper_agent.sitepage import Board, CheckAsked, RepairAsked, Seen, visit
from sitekeeper_agent.sitepage.door import AT_ONCE
from sitekeeper_agent.sitepage.repair import Repair
from sitekeeper_agent.standing import Standing
from sitekeeper_protocol import sitecode, texts
from sitekeeper_protocol.ladder import Reading, Verdict
from sitekeeper_protocol.sitecode import Lasting
from sitekeeper_protocol.texts import LANGUAGES, Lang
from sitekeeper_protocol.vocabulary import Kind, Party, Reason, Rung, State
from support.site_page import Answer, Page, failing, page, well
from support.wait import wait_until

SITE = "52263-0417"
HOSTILE = "<script>alert(1)</script>\"'&<img src=x onerror=alert(2)>"


@pytest.fixture
def board() -> Board:
    made = Board()
    made.seen = well()
    return made


@pytest.fixture
def shown(board: Board) -> Iterator[Page]:
    with page(board) as made:
        yield made


class _Reader(HTMLParser):
    """Tags, and the text between them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def words_of(answer: Answer) -> str:
    return " ".join(" ".join(_Reader(answer.text).words).split())


def refresh_of(answer: Answer) -> str | None:
    metas = [attributes for tag, attributes in _Reader(answer.text).tags if tag == "meta"]
    return next((meta["content"] for meta in metas if meta.get("http-equiv") == "refresh"), None)


def press(shown: Page, name: str, **form: str) -> Answer:
    return shown.post(f"/{name}", {"token": shown.get().token} | form)


# --- what it says ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("kind", [kind for kind in Kind if texts.help_steps(kind, "zh")])
def test_each_step_of_the_catalogue_stands_alone_on_its_page(board: Board, shown: Page, kind: Kind, lang: Lang) -> None:
    board.seen = failing(Rung.ISP, kind, Party.SITE)
    steps = texts.help_steps(kind, lang)
    for at, step in enumerate(steps, 1):
        said = words_of(shown.get(f"/?lang={lang}&step={at}"))
        assert step in said
        assert not [other for other in steps if other != step and other in said]
    assert steps[-1] in words_of(shown.get(f"/?lang={lang}&step=99"))


def test_chinese_comes_first_and_english_by_a_link_that_keeps_the_step(board: Board, shown: Page) -> None:
    board.seen = failing(Rung.LINK, Kind.LINK_DOWN, Party.SITE)
    first = shown.get("/?step=2")
    assert '<html lang="zh-CN">' in first.text
    assert "看光猫电源灯" in first.text
    (link,) = [attributes["href"] for tag, attributes in _Reader(first.text).tags if attributes.get("class") == "other"]
    english = shown.get(str(link))
    assert '<html lang="en">' in english.text
    assert "Is the modem's power light on?" in words_of(english)


def test_the_pictures_show_each_rung_as_the_verdict_has_it(board: Board, shown: Page) -> None:
    board.seen = failing(Rung.DNS, Kind.DNS_FAILURE, Party.TELECOM)
    cells = re.findall(r'<td class="(\w+)">.*?<b>(.*?)</b>', shown.get("/?lang=en").text)
    good = [(name, "ok") for name in ("Cable", "Address", "Router", "Modem", "Line")]
    assert [(name, state) for state, name in cells] == [*good, ("Names", "fail"), ("Portal", "silent"), ("Video", "silent")]


def test_what_merely_ignores_probes_counts_as_working_and_what_is_not_watched_is_not_shown(board: Board, shown: Page) -> None:
    readings = (
        Reading(rung=Rung.LINK, path="ipv4", state=State.OK),
        Reading(rung=Rung.GATEWAY, path="ipv4", state=State.SILENT, reason=Reason.ANSWERED_ABOVE),
        Reading(rung=Rung.ISP, path="ipv4", state=State.NOT_APPLICABLE, reason=Reason.NOT_CONFIGURED),
        Reading(rung=Rung.PORTAL, path="ipv6", state=State.FAIL),
        Reading(rung=Rung.PORTAL, path="ipv4", state=State.OK),
    )
    board.seen = well(readings=readings)
    cells = re.findall(r'<td class="(\w+)">.*?<b>(.*?)</b>', shown.get("/?lang=en").text)
    assert cells == [("ok", "Cable"), ("ok", "Router"), ("ok", "Portal")]


def test_before_the_first_look_the_page_waits_for_it(board: Board, shown: Page) -> None:
    board.seen = Seen()
    answer = shown.get("/?lang=en")
    assert "Looking for the first time" in words_of(answer)
    assert refresh_of(answer) == "1"


def test_what_a_person_sees_and_the_pc_does_not_has_its_steps_too(shown: Page) -> None:
    front = shown.get("/?lang=en")
    links = [str(a["href"]) for tag, a in _Reader(front.text).tags if a.get("class") == "choice"]
    assert len(links) == 3
    assert "Is the TV or projector on?" in words_of(shown.get(links[0]))


# --- what is true about reporting --------------------------------------------------------------------------------------


def test_without_a_line_the_digits_say_what_the_pc_sees_and_whom_to_call(board: Board, shown: Page) -> None:
    board.seen = failing(Rung.ISP, Kind.LINE_DOWN, Party.TELECOM, minutes=25)
    said = words_of(shown.get())
    assert "网断了，系统报不出去。请打 0851-2345678 ，说站点号和屏幕上8位数字。" in said
    found = re.search(r"\d{4} \d{4}", said)
    assert found is not None
    code = sitecode.decode(found[0], SITE)
    assert (code.kind, code.lasting) == (Kind.LINE_DOWN, Lasting.FROM_15_MIN)
    assert SITE in said
    assert "已上报" not in said


def test_reported_is_said_with_the_number_alone(board: Board, shown: Page) -> None:
    broken = failing(Rung.PORTAL, Kind.PORTAL_DOWN, Party.PLATFORM, connected=True)
    board.seen = broken
    assert "No ticket number has come yet" in words_of(shown.get("/?lang=en"))
    listed = broken.standing._replace(first_listed={"T-2": Kind.PORTAL_DOWN, "T-1": None})
    board.seen = broken._replace(standing=listed, tickets=("T-1", "T-2"))
    said = words_of(shown.get("/?lang=en"))
    assert "Reported, number T-2." in said
    assert "Open numbers of this site: T-1" in said
    assert not re.search(r"\d{4} \d{4}", said), "nobody has to call"


@pytest.mark.parametrize(
    ("more", "sentence", "calls"),
    [
        ({}, "Your request is kept on this PC and being sent; no answer has come yet.", True),
        ({"connected": False}, "Your request is kept on this PC, but not sent yet.", True),
        ({"connected": False, "writable": False}, "This PC's disk takes nothing", True),
        ({"received": True}, "The county has your request. There is no number yet.", False),
        ({"received": True, "numbers": ("T-9",)}, "Reported, number T-9.", False),
        ({"received": True, "numbers": ("T-9",), "over": True}, "Your request (number T-9) is closed.", False),
    ],
)
def test_of_a_request_no_more_is_said_than_is_known(
    board: Board, shown: Page, more: dict[str, object], sentence: str, calls: bool
) -> None:
    states = {name: more.pop(name) for name in ("connected", "writable") if name in more}
    repair = Repair(run=1, sequence=2, wall_ms=3, **more)  # type: ignore[arg-type]
    board.seen = well(repair=repair, **states)
    said = words_of(shown.get("/?lang=en"))
    assert sentence in said
    assert bool(re.search(r"\d{4} \d{4}", said)) == calls
    assert ("Reported" in said) == (repair.numbers != () and not repair.over)


# --- the buttons -------------------------------------------------------------------------------------------------------


def test_check_again_asks_for_a_look_that_begins_later_and_tells_what_came_of_it(board: Board, shown: Page) -> None:
    board.seen = broken = failing(Rung.LINK, Kind.LINK_DOWN, Party.SITE)._replace(begun=10, done=9)
    answer = press(shown, "check", lang="en", step="1")
    assert (answer.status, shown.asked) == (303, [CheckAsked(11)])
    waiting = shown.get(answer.headers["Location"])
    assert "Looking, please wait" in words_of(waiting)
    assert refresh_of(waiting) == "1"
    board.seen = broken._replace(begun=11, done=10)
    assert "Looking, please wait" in words_of(shown.get(answer.headers["Location"])), "that one had begun before"
    board.seen = broken._replace(begun=11, done=11)
    again = shown.get(answer.headers["Location"])
    assert "Not yet. Please do the next step." in words_of(again)
    assert refresh_of(again) == "30"
    board.seen = well(begun=12, done=12)
    assert "It works now. That step helped." in words_of(shown.get(answer.headers["Location"]))


def test_the_last_step_that_does_not_help_points_to_the_other_button(board: Board, shown: Page) -> None:
    board.seen = broken = failing(Rung.LINK, Kind.LINK_DOWN, Party.SITE)
    answer = press(shown, "check", lang="en", step="3")
    board.seen = broken._replace(begun=10, done=10)
    assert 'all steps are done. Press "Ask for repair"' in words_of(shown.get(answer.headers["Location"]))


def test_a_number_of_a_look_that_this_life_knows_nothing_of_promises_nothing(shown: Page) -> None:
    said = words_of(shown.get("/?lang=en&look=4711"))
    assert "please wait" not in said
    assert "helped" not in said


def test_ask_for_repair_asks_the_agent_and_waits_until_it_is_kept(board: Board, shown: Page) -> None:
    answer = press(shown, "repair", lang="en")
    assert (answer.status, shown.asked) == (303, [RepairAsked()])
    waiting = shown.get(answer.headers["Location"])
    assert "Noting your request" in words_of(waiting)
    assert refresh_of(waiting) == "1"
    board.seen = well(repair=Repair(run=1, sequence=2, wall_ms=3))
    assert "Your request is kept on this PC" in words_of(shown.get(answer.headers["Location"]))


def test_pressed_twice_before_it_began_it_is_one_look(shown: Page) -> None:
    first, second = press(shown, "check"), press(shown, "check")
    assert first.headers["Location"] == second.headers["Location"]
    assert len(shown.asked) == 1


def test_both_buttons_have_their_limits_and_say_so(board: Board, shown: Page) -> None:
    repairs = [press(shown, "repair", lang="en") for _ in range(4)]
    assert [answer.status for answer in repairs] == [303, 303, 429, 429]
    assert "You have asked already" in words_of(repairs[-1])
    checks = []
    for begun in range(10, 20):
        board.seen = well(begun=begun, done=begun)
        checks.append(press(shown, "check", lang="en"))
    assert [answer.status for answer in checks[:5]] == [303] * 5
    assert checks[-1].status == 429
    assert "That was too often" in words_of(checks[-1])
    assert sum(isinstance(asked, CheckAsked) for asked in shown.asked) < 10
    assert shown.asked.count(RepairAsked()) == 2


# --- who may ask -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["", "127.0.0.1", "evil.example", "127.0.0.1.evil.example:{port}", "127.0.0.1:1", "[::1]:{port}"]
)
def test_a_name_that_is_not_ours_is_refused(shown: Page, host: str) -> None:
    host = host.format(port=shown.port)
    for target in ("/", "/style.css", "/collected"):
        answer = shown.get(target, Host=host)
        assert answer.status == 403
        assert SITE not in answer.text
        assert "token" not in answer.text
    assert shown.post("/repair", {"token": shown.get().token}, Host=host).status == 403
    assert shown.asked == []


def test_localhost_is_ours_and_two_hosts_are_nobodys(shown: Page) -> None:
    assert shown.get(Host=f"localhost:{shown.port}").status == 200
    assert b" 403 " in shown.raw(f"GET / HTTP/1.1\r\nHost: {shown.host}\r\nHost: evil.example\r\n\r\n".encode())


@pytest.mark.parametrize(
    ("headers", "taken"),
    [
        ({}, True),
        ({"Origin": "", "Referer": "{own}/?step=2"}, True),
        ({"Origin": "", "Referer": ""}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "null", "Referer": "{own}/"}, False),
        ({"Origin": "http://evil.example"}, False),
        ({"Origin": "http://evil.example", "Referer": "{own}/"}, False),
        ({"Origin": "", "Referer": "http://evil.example/"}, False),
        ({"Origin": "", "Referer": "{own}.evil.example/"}, False),
        ({"Origin": "https://127.0.0.1"}, False),
        ({"Origin": "http://localhost:1"}, False),
        ({"Content-Type": "application/json"}, False),
        ({"Content-Type": "text/plain"}, False),
        ({"Content-Type": "multipart/form-data; boundary=x"}, False),
        ({"Content-Type": ""}, False),
        ({"Content-Length": "-1"}, False),
        ({"Content-Length": "1e3"}, False),
        ({"Content-Length": "99999"}, False),
        ({"Content-Length": ""}, False),
        ({"Transfer-Encoding": "chunked"}, False),
    ],
)
def test_a_form_is_taken_from_our_own_page_only(shown: Page, headers: dict[str, str], taken: bool) -> None:
    headers = {name: value.format(own=shown.address) for name, value in headers.items()}
    answer = shown.post("/repair", {"token": shown.get().token}, **headers)
    assert (answer.status == 303, bool(shown.asked)) == (taken, taken), answer.text


@pytest.mark.parametrize("token", [None, "", "x", "x" * 900])
def test_without_the_pages_token_nothing_is_done_and_the_way_back_is_shown(shown: Page, token: str | None) -> None:
    for name in ("check", "repair"):
        answer = shown.post(f"/{name}", {} if token is None else {"token": token})
        assert answer.status == 403
        assert "这一页是旧的" in answer.text
    assert shown.asked == []


def test_each_life_has_a_token_of_its_own(board: Board, shown: Page) -> None:
    with page(board) as other:
        assert len(other.get().token) > 20
        assert other.get().token != shown.get().token
        assert other.post("/repair", {"token": shown.get().token}).status == 403


def test_no_get_changes_anything(shown: Page) -> None:
    token = shown.get().token
    for target in ("/check", "/repair", f"/check?token={token}", f"/repair?token={token}", f"/?asked=1&look=1&token={token}"):
        shown.get(target)
    assert shown.asked == []
    assert {shown.get(target).status for target in ("/check", "/repair", "/../etc/passwd", "//x", "/page.py")} == {404}


@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT"])
def test_other_methods_do_nothing(shown: Page, method: str) -> None:
    answer = shown.raw(f"{method} / HTTP/1.1\r\nHost: {shown.host}\r\n\r\n".encode())
    assert b" 501 " in answer.split(b"\r\n")[0]
    assert shown.asked == []


def test_every_page_forbids_foreign_scripts_frames_and_readers(shown: Page) -> None:
    for answer in (shown.get(), shown.get("/collected"), shown.get("/nothing"), shown.get(Host="evil.example")):
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Python" not in answer.headers["Server"]
        assert not re.search(r"<script(?! src=)|style=|javascript:| on\w+=", answer.text)


# --- hostile texts -----------------------------------------------------------------------------------------------------


def test_hostile_texts_from_configuration_and_network_stay_texts(board: Board) -> None:
    readings = (Reading(rung=Rung.PORTAL, path=HOSTILE, state=State.FAIL, target=HOSTILE, label=HOSTILE),)
    verdict = Verdict(state=State.FAIL, rung=Rung.PORTAL, kind=Kind.PORTAL_DOWN, party=Party.SITE, path=HOSTILE)
    standing = Standing(verdict, 0, {HOSTILE: Kind.PORTAL_DOWN})
    asked = Repair(run=1, sequence=1, wall_ms=1, received=True, numbers=(HOSTILE,))
    board.seen = well(
        readings=readings,
        standing=standing,
        tickets=(HOSTILE, "x" + HOSTILE),
        repair=asked,
        facts={HOSTILE: HOSTILE},
        metrics=frozenset([1, 10**9]),
    )
    broker = Broker(host=HOSTILE)
    with page(board, site=HOSTILE, phone=HOSTILE, broker=broker, anchors=(HOSTILE,), portal="http://" + HOSTILE) as shown:
        usual = {
            "html",
            "head",
            "meta",
            "title",
            "link",
            "body",
            "div",
            "a",
            "span",
            "b",
            "svg",
            "circle",
            "path",
            "h1",
            "h2",
            "p",
        }
        usual |= {"table", "tr", "td", "form", "input", "button", "dl", "dt", "dd", "ul", "li", "script"}
        for target in ("/?lang=zh", "/?lang=en&step=2", "/collected?lang=en", "/nothing"):
            answer = shown.get(target)
            reader = _Reader(answer.text)
            assert {tag for tag, _ in reader.tags} <= usual
            assert [attributes for tag, attributes in reader.tags if tag == "script"] == [{"src": "/page.js", "defer": "defer"}]
            assert not [
                name for _, attributes in reader.tags for name in attributes if name.startswith("on") or name == "style"
            ]
            assert "alert(1)" in answer.text, "it is shown, as a text"


@pytest.mark.parametrize(
    "query",
    [
        "lang=<script>",
        "step=-1",
        "step=" + "9" * 300,
        "look=x",
        "about=<b>",
        "lang=en&lang=zh",
        "%00=%ff&step=%C0%80",
        "&" * 900,
        "a" * 5000,
    ],
)
def test_a_mad_address_shows_the_plain_page(shown: Page, query: str) -> None:
    answer = shown.get(f"/?{query}")
    assert answer.status == 200
    assert {tag for tag, _ in _Reader(answer.text).tags} <= set(re.findall(r"<(\w+)", shown.get().text))


# --- what is collected -------------------------------------------------------------------------------------------------


def test_what_is_collected_names_what_was_sent_and_where_it_goes(board: Board, shown: Page) -> None:
    board.seen = well(metrics=frozenset([20, 24]), facts={"os": "Debian 12", "network.gateway.ipv4": "192.168.1.1"})
    chinese, english = words_of(shown.get("/collected")), words_of(shown.get("/collected?lang=en"))
    for part in (
        "处理器使用率",
        "温度",
        "操作系统: Debian 12",
        "mqtt.county.example:8883（加密）",
        "portal.province.example",
        "每60秒测一次",
    ):
        assert part in chinese
    assert "可用内存" not in chinese, "it was not sent"
    for part in ("processor in use", "temperature", "operating system: Debian 12", "encrypted", "Wi-Fi names", "7 days after"):
        assert part in english


def test_what_is_collected_tells_of_players_hours_speed_tests_and_what_can_be_done_from_afar(board: Board) -> None:
    players = (
        Player(name="学习播放器", kind="process", processes=("study",)),
        Player(name="mpv", kind="mpv", socket="/run/mpv"),
    )
    speed = "http://speed.county.example/10mb.bin?key=secret"
    with page(board, players=players, speed_test=speed, data_budget_mb=7) as shown:
        chinese, english = words_of(shown.get("/collected")), words_of(shown.get("/collected?lang=en"))
        for part in (
            "学习播放器、mpv：",
            "不记录看的是什么",
            "最多用7 MB",
            "每天开机多久",
            "改变本程序的设置",
            "到某地址的路径",
        ):
            assert part in chinese
        for part in ("学习播放器, mpv:", "speed.county.example, at most 7 MB", "in use", "settings", "trace", "own log"):
            assert part in english
        assert "secret" not in chinese + english
    with page(board, remote=Remote(enabled=False)) as shown:
        english = words_of(shown.get("/collected?lang=en"))
        assert "Nothing: it is not allowed here." in english and "None: no file is configured." in english
        assert "trace the way" not in english


@pytest.mark.parametrize(
    ("day", "chinese", "english"),
    [
        (
            Day(0, 19_230_000, 7_500_000, 0, told=True),
            "今天开机5小时20分，使用2小时5分",
            "On today: 5 h 20 min, in use 2 h 5 min",
        ),
        (Day(0, 59 * 60_000), "今天开机59分钟", "On today: 59 min"),
    ],
)
def test_the_page_tells_the_hours_of_today(board: Board, shown: Page, day: Day, chinese: str, english: str) -> None:
    board.seen = well(day=day)
    assert chinese in words_of(shown.get()) and english in words_of(shown.get("/?lang=en"))
    board.seen = well()
    assert "今天" not in words_of(shown.get())


# --- bounds ------------------------------------------------------------------------------------------------------------


def test_visitors_that_say_nothing_keep_nobody_out(shown: Page) -> None:
    with ExitStack() as stack:
        for _ in range(2 * AT_ONCE):
            stack.enter_context(socket.create_connection(("127.0.0.1", shown.port), 20))
        assert shown.get().status == 200


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 10_000,
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 500,
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET\r\n\r\n",
        b"\r\n" * 100,
        b"\x00" * 20_000,
        b"POST /repair HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Content-Length: 500\r\n\r\ntoken=",
    ],
)
def test_requests_without_end_or_sense_are_dropped_and_the_next_is_served(shown: Page, data: bytes) -> None:
    answer = shown.raw(data.replace(b"{host}", shown.host.encode()))
    assert b" 200 " not in answer[:20]
    assert b" 303 " not in answer[:20]
    assert shown.get().status == 200
    assert shown.asked == []


def test_a_visitor_that_takes_no_answer_is_given_up(shown: Page) -> None:
    rude = [socket.create_connection(("127.0.0.1", shown.port), 20) for _ in range(AT_ONCE)]
    for connection in rude:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        connection.sendall(f"GET /collected HTTP/1.1\r\nHost: {shown.host}\r\n\r\n".encode())
    assert shown.get().status == 200
    for connection in rude:
        connection.close()


def test_a_port_that_is_taken_costs_the_page_and_not_the_agent(shown: Page, caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings(site=SITE, area="a", broker=Broker(host="h"), portal="http://p/", site_page=SitePage(port=shown.port))
    assert sitepage.open_door(settings, Board(), lambda _asked: None) is None
    assert f"no page at 127.0.0.1:{shown.port}" in caplog.text
    turned_off = Settings(site=SITE, area="a", broker=Broker(host="h"), portal="http://p/", site_page=SitePage(enabled=False))
    assert sitepage.open_door(turned_off, Board(), lambda _asked: None) is None


def test_after_closing_nobody_listens(board: Board) -> None:
    with page(board) as made:
        assert made.get().status == 200
    wait_until(lambda: _refused(made.port), "the port is free again")


def _refused(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 5):
            return False
    except ConnectionRefusedError:
        return True


def test_a_visit_that_fails_inside_is_logged_once_and_the_next_is_served(
    board: Board, shown: Page, caplog: pytest.LogCaptureFixture
) -> None:
    good = board.seen
    board.seen = good._replace(readings=None)  # type: ignore[arg-type]
    for _ in range(2):
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            shown.get()
    board.seen = good
    assert shown.get().status == 200
    assert caplog.text.count("a visit to the page failed") == 1


def test_names_with_port_80_are_those_that_browsers_send() -> None:
    settings = Settings(site=SITE, area="a", broker=Broker(host="h"), portal="http://p/", site_page=SitePage(port=80))
    reception = visit.Reception(settings, Board(), lambda _asked: None)
    assert {"localhost", "127.0.0.1", "localhost:80", "127.0.0.1:80"} == reception.hosts
