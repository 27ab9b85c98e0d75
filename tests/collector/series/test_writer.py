"""What the writer makes of a store's answers, over real connections: nothing is lost, nothing blocks, nothing is told twice."""

import logging
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from sitekeeper_collector.series import spool
from sitekeeper_collector.series.endpoint import Endpoint, EndpointError, read_token
from sitekeeper_collector.series.spool import Rejected
from sitekeeper_collector.series.writer import LONGEST_ASKED_WAIT_MS, Answer, Outcome, Writer, deliver, judge, patience_ms
from sitekeeper_collector.store.engine import Store, open_store
from support.series_stores import ChosenStore, CutOff, Request, answer, chosen_store
from support.web_servers import dripping, serve

NOW = 1_800_000_000_000
TOKEN = "s3cret-of-the-county"
OK = answer("204 No Content")
PARTIAL = b'{"error":"partial write: field type conflict: input field \\"x\\" is type float dropped=%d"}'


# --- judging -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (204, b"", Outcome.STORED),
        (200, b"", Outcome.STORED),
        (413, b"<html>too large</html>", Outcome.TOO_LARGE),
        (429, b"", Outcome.LATER),
        (500, b'{"error":"timeout"}', Outcome.LATER),
        (502, b"", Outcome.LATER),
        (503, b"", Outcome.LATER),
        (599, b"", Outcome.LATER),
        (400, PARTIAL % 1, Outcome.LINES),
        (400, b'{"code":"invalid","message":"unable to parse \'x\': missing fields"}', Outcome.LINES),
        (422, b'{"code":"unprocessable entity","message":"points beyond retention policy dropped=3"}', Outcome.LINES),
        (400, b"Bad Request", Outcome.UNCLEAR),
        (400, b'{"error":["partial"]}', Outcome.UNCLEAR),
        (400, b"[" * 60_000, Outcome.UNCLEAR),
        (422, b"\xff\xfe", Outcome.UNCLEAR),
        (401, b"", Outcome.TROUBLE),
        (403, b"", Outcome.TROUBLE),
        (404, b'{"code":"not found","message":"bucket \\"x\\" not found"}', Outcome.TROUBLE),
        (301, b"", Outcome.TROUBLE),
    ],
)
def test_an_answer_is_judged(status: int, body: bytes, outcome: Outcome) -> None:
    assert judge(status, {}, body, NOW).outcome is outcome


@pytest.mark.parametrize(
    ("value", "wait_ms"),
    [
        ("7", 7000),
        (" 0 ", 1000),
        ("999999999", LONGEST_ASKED_WAIT_MS),
        ("9" * 5000, 1000),
        ("Fri, 15 Jan 2027 08:00:30 GMT", 30_000),
        ("Fri, 15 Jan 1999 08:00:30 GMT", 1000),
        ("soon", 1000),
        ("-5", 1000),
        ("٣", 1000),
    ],
)
def test_a_wish_for_patience_is_granted_within_reason(value: str, wait_ms: int) -> None:
    assert patience_ms(judge(503, {"retry-after": value}, b"", NOW), 1) == wait_ms


def test_patience_doubles_up_to_a_minute() -> None:
    waits = [patience_ms(Answer(Outcome.LATER), failures) for failures in (1, 2, 3, 7, 5000)]
    assert waits == [1000, 2000, 4000, 60_000, 60_000]


# --- finding the lines that are refused --------------------------------------------------------------------------------


@given(
    st.lists(st.booleans(), min_size=1, max_size=60),
    st.sampled_from(["all", "names one", "says nothing"]),
    st.integers(1, 60),
)
def test_exactly_the_refused_lines_are_rejected_and_all_others_stored(bad: list[bool], says: str, most: int) -> None:
    """Against a store that takes at most ``most`` lines at once, and of a batch with refused ones the others, or none."""
    lines = [b"%b x=1 %d" % (b"bad" if is_bad else b"good", at) for at, is_bad in enumerate(bad)]
    stored: set[bytes] = set()

    def post(data: bytes) -> Answer:
        part = data.split(b"\n")
        if len(part) > most:
            return Answer(Outcome.TOO_LARGE, 413, "413")
        refused = [line for line in part if line.startswith(b"bad")]
        if says == "all" or not refused:
            stored.update(line for line in part if line not in refused)
        if not refused:
            return Answer(Outcome.STORED, 204)
        quoted = refused[0] if says == "names one" else None
        return Answer(Outcome.LINES, 400, "400", dropped=len(refused) if says == "all" else None, quoted=quoted)

    delivery = deliver(post, b"\n".join(lines), max_posts=1000)
    assert delivery.left == b""
    assert sorted(line for line, _ in delivery.rejected) == sorted(line for line in lines if line.startswith(b"bad"))
    assert stored == {line for line in lines if line.startswith(b"good")}


@given(st.integers(1, 40), st.integers(0, 60))
def test_what_a_store_that_goes_away_in_the_middle_has_not_said_yes_to_is_left(count: int, takes: int) -> None:
    lines = [b"a x=1 %d" % at for at in range(count)]
    stored: list[bytes] = []
    posts = iter(range(1000))

    def post(data: bytes) -> Answer:
        if next(posts) >= takes:
            return Answer(Outcome.LATER)
        part = data.split(b"\n")
        if len(part) > 3:
            return Answer(Outcome.TOO_LARGE)
        stored.extend(part)
        return Answer(Outcome.STORED)

    left = deliver(post, b"\n".join(lines), max_posts=50).left
    assert stored + (left.split(b"\n") if left else []) == lines


# --- over a connection -------------------------------------------------------------------------------------------------


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Store]:
    store = open_store(f"sqlite:///{tmp_path / 'own.db'}")
    yield store
    store.close()


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    return path


@contextmanager
def writing(own: Store, store: ChosenStore, token_file: Path | None = None, timeout_s: float = 10) -> Iterator[Writer]:
    endpoint = Endpoint(url=store.url, bucket="sitekeeper", org="county", token_file=token_file, timeout_s=timeout_s)
    try:
        yield Writer(own, lambda lines: endpoint.post(lines, NOW))
    finally:
        endpoint.close()


def _spool(own: Store, *lines: bytes, now_ms: int = NOW) -> None:
    with own.write() as connection:
        spool.add(connection, lines, now_ms)


def _waiting(own: Store) -> spool.Waiting:
    with own.read() as connection:
        return spool.waiting(connection)


def _rejected(own: Store) -> list[Rejected]:
    with own.read() as connection:
        return spool.rejected_lines(connection)


def test_lines_go_as_they_are_to_the_bucket_with_the_token_on_one_connection(own: Store, token_file: Path) -> None:
    _spool(own, b"a x=1 1", b"a x=2 2")
    _spool(own, b"b x=1 1")
    with chosen_store(lambda request: OK) as store, writing(own, store, token_file) as writer:
        assert writer.round(NOW) == (2, 0, 60_000)
    first, second = store.requests
    assert (first.body, second.body) == (b"a x=1 1\na x=2 2", b"b x=1 1")
    assert first.head.startswith(b"POST /api/v2/write?org=county&bucket=sitekeeper&precision=ns HTTP/1.1\r\n")
    assert f"authorization: token {TOKEN}".encode() in first.head.lower()


def test_a_busy_store_is_left_alone_for_as_long_as_it_asks_and_then_gets_everything(own: Store) -> None:
    _spool(own, b"a x=1 1")
    _spool(own, b"b x=1 1")
    said = [answer("503 Service Unavailable", b"{}", "Retry-After: 30"), answer("429 Too Many", b"", "Retry-After: 2"), OK, OK]
    with chosen_store(lambda request: said[len(store.requests) - 1]) as store, writing(own, store) as writer:
        assert writer.round(NOW) == (0, 0, 30_000)
        assert len(store.requests) == 1
        assert writer.round(NOW + 30_000) == (0, 0, 2000)
        assert writer.round(NOW + 32_000)[:2] == (2, 0)
    assert _waiting(own).batches == 0


def test_a_wrong_token_is_told_once_never_shown_and_a_new_one_is_used_without_a_restart(
    own: Store, token_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def guard(request: Request) -> bytes:
        return OK if b"Token better" in request.head else answer("401 Unauthorized", b'{"message":"unauthorized access"}')

    _spool(own, b"a x=1 1")
    caplog.set_level(logging.DEBUG)
    with chosen_store(guard) as store, writing(own, store, token_file) as writer:
        for at in range(3):
            assert writer.round(NOW + at * 60_000) == (0, 0, 60_000)
        assert _waiting(own).reason == "401 unauthorized access"
        token_file.write_text("better")
        assert writer.round(NOW + 180_000).batches == 1
    told = [record for record in caplog.records if record.name.startswith("sitekeeper")]
    assert [record.levelname for record in told] == ["WARNING", "INFO"]
    assert TOKEN not in caplog.text


def test_the_token_follows_no_redirection(own: Store, token_file: Path) -> None:
    _spool(own, b"a x=1 1")
    with chosen_store(lambda request: OK) as other:
        moved = answer("307 Temporary Redirect", b"", f"Location: {other.url}/api/v2/write")
        with chosen_store(lambda request: moved) as store, writing(own, store, token_file) as writer:
            assert writer.round(NOW).batches == 0
        assert other.requests == []
    assert _waiting(own).lines == 1


def test_the_error_page_of_a_proxy_is_understood_in_whatever_encoding_it_is(own: Store) -> None:
    _spool(own, b"a x=1 1", b"a x=2 2")
    page = answer("413 Request Entity Too Large", "请求实体太大".encode("gbk"))
    with (
        chosen_store(lambda request: page if len(request.lines) > 1 else OK) as store,
        writing(own, store) as writer,
    ):
        assert writer.round(NOW)[:2] == (1, 0)
    assert [request.body for request in store.requests[1:]] == [b"a x=1 1", b"a x=2 2"]


def test_a_batch_that_is_refused_without_a_word_about_lines_waits_and_the_others_go_on(own: Store) -> None:
    _spool(own, b"odd x=1 1")
    _spool(own, b"good x=1 1")
    with (
        chosen_store(lambda r: answer("400 Bad Request", b"no") if b"odd" in r.body else OK) as store,
        writing(own, store) as writer,
    ):
        assert writer.round(NOW)[:2] == (1, 0)
    assert (_waiting(own).lines, _waiting(own).reason, _rejected(own)) == (1, "400 no", [])


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 2",
        b'HTTP/1.1 400 Bad Request\r\nContent-Length: 500\r\n\r\n{"error":"partial write truncated',
        b"\x16\x03\x01 truncated, no HTTP at all\r\n\r\n",
    ],
    ids=["nothing", "status cut off", "body cut off", "not HTTP"],
)
def test_an_answer_that_is_cut_off_proves_nothing_and_the_lines_are_sent_again(own: Store, said: bytes) -> None:
    _spool(own, b"a x=1 1")
    with chosen_store(lambda request: CutOff(said) if len(store.requests) == 1 else OK) as store, writing(own, store) as writer:
        assert writer.round(NOW) == (0, 0, 1000)
        assert _waiting(own).lines == 1
        assert writer.round(NOW + 1000)[:2] == (1, 0)
        assert [request.body for request in store.requests] == [b"a x=1 1", b"a x=1 1"]
    assert (_waiting(own).lines, _rejected(own)) == (0, [])


def test_a_store_that_answers_a_byte_at_a_time_is_cut_off(own: Store) -> None:
    _spool(own, b"a x=1 1")
    with serve(dripping(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 100000\r\n\r\n", b"x")) as port:
        store = ChosenStore(lambda request: OK)
        store.url = f"http://127.0.0.1:{port}"
        with writing(own, store, timeout_s=0.4) as writer:
            assert writer.round(NOW) == (0, 0, 1000)
    assert _waiting(own).lines == 1


def _mute(connection: socket.socket) -> None:
    while connection.recv(65_536):
        pass


def test_a_store_that_says_nothing_is_given_up_and_so_is_one_that_is_not_there(own: Store) -> None:
    _spool(own, b"a x=1 1")
    with serve(_mute) as port:
        store = ChosenStore(lambda request: OK)
        store.url = f"http://127.0.0.1:{port}"
        with writing(own, store, timeout_s=0.4) as writer:
            assert writer.round(NOW) == (0, 0, 1000)
    with writing(own, store) as writer:
        assert writer.round(NOW + 1000) == (0, 0, 1000)
    assert _waiting(own).lines == 1 and "no answer" in _waiting(own).reason


def test_rubbish_does_not_keep_a_good_batch_waiting_for_ever(own: Store) -> None:
    _spool(own, *(b"bad x=1 %d" % at for at in range(400)), now_ms=NOW - 10)
    _spool(own, b"good x=1 1", now_ms=NOW - 5)

    def script(request: Request) -> bytes:
        return answer("400 Bad Request", b"unable to parse something") if b"bad" in request.body else OK

    with chosen_store(script) as store, writing(own, store) as writer:
        assert writer.round(NOW, most=2).batches == 1
        assert store.requests[-1].body == b"good x=1 1"
        assert 0 < _waiting(own).lines < 400
        while _waiting(own).batches:
            writer.round(NOW)
    with own.read() as connection:
        assert len(spool.rejected_lines(connection, 1000)) == 400


def test_over_tls_the_authority_must_be_the_one_that_is_named(own: Store, token_file: Path, tmp_path: Path) -> None:
    ours, other = trustme.CA(), trustme.CA()
    ours.cert_pem.write_to_path(str(tmp_path / "ours.pem"))
    other.cert_pem.write_to_path(str(tmp_path / "other.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.issue_cert("127.0.0.1").configure_cert(context)
    store = ChosenStore(lambda request: OK)
    with serve(store.behave, tls=context) as port:
        for name, outcome in (("other.pem", Outcome.LATER), ("ours.pem", Outcome.STORED)):
            url, ca_file = f"https://127.0.0.1:{port}", tmp_path / name
            endpoint = Endpoint(url=url, bucket="b", token_file=token_file, ca_file=ca_file, timeout_s=10)
            try:
                judged = endpoint.post(b"a x=1 1", NOW)
            finally:
                endpoint.close()
            assert judged.outcome is outcome, judged
    assert [request.body for request in store.requests] == [b"a x=1 1"]


# --- configuration -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["", "influx:8086", "ftp://h", "http://", "http://user:pw@h:1"])
def test_an_address_that_is_none_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(EndpointError, match="must be http") as caught:
        Endpoint(url=url, bucket="b")
    assert "pw" not in str(caught.value).replace("password", "")


@pytest.mark.parametrize("content", [b"", b"\n", b"two\nlines", b"\xff", "密".encode()])
def test_a_token_file_that_holds_none_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(EndpointError, match=str(path)):
        read_token(path)
    judged = Endpoint(url="http://127.0.0.1:9", bucket="b", token_file=path).post(b"a x=1 1", NOW)
    assert judged.outcome is Outcome.TROUBLE and str(path) in judged.reason
