"""The media rung against real web servers that serve streams, good, broken and hostile."""

import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from socket import socket

import pytest
import trustme

from sitekeeper_agent.probes import Context, Findings, media, parse_portal, portal
from sitekeeper_agent.probes.media import Kept, Trial
from sitekeeper_agent.probes.runner import ProbeRunner
from sitekeeper_agent.sampler import look as look_once
from sitekeeper_protocol.ladder import Baseline, Reading
from sitekeeper_protocol.vocabulary import Grade, Kind, Metric, Reason, Rung, State
from support.web_servers import Behaviour, dripping, request_of, serve

SEGMENT = b"\x47" + bytes(187) * 2000
MASTER = """#EXTM3U
#EXT-X-STREAM-INF:BANDWIDTH=2500000,CODECS="avc1.4d401f,mp4a.40.2",RESOLUTION=1280x720
high/list.m3u8
#EXT-X-STREAM-INF:CODECS="avc1.42e00a,mp4a.40.2",BANDWIDTH=400000
low/list.m3u8?key=1
"""
LIVE = """#EXTM3U
#EXT-X-VERSION:3
#EXT-X-TARGETDURATION:10
#EXT-X-MEDIA-SEQUENCE:{first}
#EXTINF:9.9,
seg0.ts
#EXTINF:9.9,
seg1.ts
"""
VOD = LIVE.format(first=0).replace("#EXT-X-VERSION", "#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-VERSION") + "#EXT-X-ENDLIST\n"
Answer = bytes | str | Callable[[bytes], bytes]


def answer(body: bytes | str, status: str = "200 OK", *fields: str) -> bytes:
    data = body.encode() if isinstance(body, str) else body
    return "\r\n".join((f"HTTP/1.1 {status}", f"Content-Length: {len(data)}", *fields, "", "")).encode() + data


def moved_to(place: str) -> bytes:
    return answer("", "302 Found", f"Location: {place}")


class Station:
    """A web server with a page for each path; ``asked`` are the requests that came, as "path range"."""

    def __init__(self, pages: Mapping[str, Answer]) -> None:
        self.pages = dict(pages)
        self.asked: list[str] = []
        self.port = 0

    def behave(self, connection: socket) -> None:
        head = request_of(connection).decode()
        path = head.split(" ")[1]
        wanted = next((line.partition("=")[2] for line in head.split("\r\n") if line.lower().startswith("range:")), "")
        self.asked.append(f"{path} {wanted}".strip())
        page = self.pages.get(path, answer("", "404 Not Found"))
        if callable(page):
            connection.sendall(page(head.encode()))
        else:
            connection.sendall(page if isinstance(page, bytes) and page.startswith(b"HTTP/") else answer(page))

    def context(self, *paths: str, timeout_s: float = 20) -> Context:
        streams = tuple(parse_portal(f"http://127.0.0.1:{self.port}{path}") for path in paths)
        return Context(parse_portal("http://127.0.0.1:9/"), time.monotonic() + timeout_s, media=streams)


@contextmanager
def station(pages: Mapping[str, Answer]) -> Iterator[Station]:
    on_air = Station(pages)
    with serve(on_air.behave) as on_air.port:
        yield on_air


GOOD: Mapping[str, Answer] = {
    "/tv.m3u8": MASTER,
    "/low/list.m3u8?key=1": LIVE.format(first=7),
    "/low/seg1.ts": SEGMENT,
    "/film.mp4": b"\x00\x00\x00\x20ftypisom" + SEGMENT,
}


def only(findings: Findings) -> Reading:
    assert len(findings.readings) == 1
    return findings.readings[0]


def look(pages: Mapping[str, Answer], path: str = "/tv.m3u8", timeout_s: float = 20) -> Reading:
    with station({**GOOD, **pages}) as on_air:
        return only(media.probe(on_air.context(path, timeout_s=timeout_s)))


def by_label(findings: Findings) -> dict[str, tuple[State, Reason]]:
    return {reading.label: (reading.state, reading.reason) for reading in findings.readings}


def later(context: Context, findings: Findings, **changes: int) -> Context:
    """The context of the next round, with counters of the first stream changed as if time had passed."""
    counters = dict(findings.counters)
    for name, by in changes.items():
        counters[f"ipv4/1/{name}"] += by
    return context._replace(before=counters, deadline=time.monotonic() + 20)


# --- streams that play --------------------------------------------------------------------------------------------------


def test_without_streams_the_rung_is_not_configured() -> None:
    reading = only(media.probe(Context(parse_portal("http://127.0.0.1:9/"), time.monotonic() + 1)))
    assert (reading.state, reading.reason) == (State.NOT_APPLICABLE, Reason.NOT_CONFIGURED)


def test_a_live_stream_is_tried_at_its_lowest_bandwidth_and_newest_segment() -> None:
    with station(GOOD) as on_air:
        found = media.probe(on_air.context("/tv.m3u8"))
    reading = only(found)
    assert (reading.rung, reading.path, reading.state, reading.reason) == (Rung.MEDIA, "ipv4", State.OK, Reason.NONE)
    assert on_air.asked == ["/tv.m3u8", "/low/list.m3u8?key=1", "/low/seg1.ts 0-65535"]
    assert reading.rtt_ms is not None
    assert found.values[Metric.MEDIA_STARTUP_MS, "1"] >= int(reading.rtt_ms)
    assert found.values[Metric.MEDIA_STATUS, "1"] == 200


def test_of_a_recording_the_first_segment_is_tried_as_a_player_begins_there() -> None:
    with station({"/vod.m3u8": VOD, "/seg0.ts": SEGMENT}) as on_air:
        assert only(media.probe(on_air.context("/vod.m3u8"))).state == State.OK
    assert on_air.asked == ["/vod.m3u8", "/seg0.ts 0-65535"]


def test_a_plain_file_costs_its_first_bytes_only() -> None:
    with station(GOOD) as on_air:
        assert only(media.probe(on_air.context("/film.mp4"))).state == State.OK
    assert on_air.asked == ["/film.mp4 0-65535"]


def test_a_reading_names_the_server_and_never_the_address() -> None:
    with station({**GOOD, "/film.mp4?key=secret": SEGMENT}) as on_air:
        found = media.probe(on_air.context("/tv.m3u8", "/film.mp4?key=secret"))
    assert {reading.target for reading in found.readings} == {"127.0.0.1"}
    assert "secret" not in repr(found) and "tv.m3u8" not in repr(found)


def test_byte_ranges_and_the_initialisation_of_fragmented_files_are_honoured() -> None:
    text = """#EXTM3U
#EXT-X-TARGETDURATION:6
#EXT-X-MAP:URI="all.mp4",BYTERANGE="700@0"
#EXT-X-BYTERANGE:5000@700
all.mp4
#EXT-X-BYTERANGE:900
all.mp4
"""
    with station({"/cmaf.m3u8": text, "/all.mp4": SEGMENT}) as on_air:
        assert only(media.probe(on_air.context("/cmaf.m3u8"))).state == State.OK
    assert on_air.asked == ["/cmaf.m3u8", "/all.mp4 0-699", "/all.mp4 5700-6599"]


def test_chunked_answers_are_read_without_their_framing() -> None:
    text = LIVE.format(first=1).encode()
    parts = b"".join(b"%x;x=y\r\n%s\r\n" % (len(text[at : at + 7]), text[at : at + 7]) for at in range(0, len(text), 7))
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + parts + b"0\r\n\r\n"
    assert look({"/live.m3u8": chunked, "/seg1.ts": SEGMENT}, "/live.m3u8").state == State.OK


def test_redirects_to_where_a_stream_really_is_are_followed_and_names_count_from_there() -> None:
    with station({"/go": moved_to("/deep/a/../list.m3u8"), "/deep/list.m3u8": VOD, "/deep/seg0.ts": SEGMENT}) as on_air:
        assert only(media.probe(on_air.context("/go"))).state == State.OK
    assert on_air.asked[-1] == "/deep/seg0.ts 0-65535"


def test_a_stream_that_begins_late_is_slow() -> None:
    with station(GOOD) as on_air:
        reading = only(media.probe(on_air.context("/tv.m3u8")._replace(slow_ms=0)))
    assert (reading.state, reading.reason) == (State.DEGRADED, Reason.SLOW)


def test_a_stream_over_tls_is_verified(tmp_path: Path) -> None:
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    on_air = Station(GOOD)
    with serve(on_air.behave, tls=tls) as port:
        stream = parse_portal(f"https://127.0.0.1:{port}/film.mp4")
        asked = Context(parse_portal("http://127.0.0.1:9/"), time.monotonic() + 20, media=(stream,))
        assert only(media.probe(asked)).reason is Reason.CERTIFICATE_INVALID
        trusting = asked._replace(ca_file=str(tmp_path / "ca.pem"), deadline=time.monotonic() + 20)
        assert only(media.probe(trusting)).state == State.OK


def test_an_address_of_the_other_family_does_not_apply_to_this_path() -> None:
    asked = Context(parse_portal("http://127.0.0.1:9/"), time.monotonic() + 5, media=(parse_portal("http://[::1]:9/a.ts"),))
    assert only(media.probe(asked)).state == State.NOT_APPLICABLE


# --- streams that don't -------------------------------------------------------------------------------------------------

HTML = "<!DOCTYPE html><html>please log in</html>"
BROKEN: dict[str, tuple[Mapping[str, Answer], Reason]] = {
    "no playlist": ({"/tv.m3u8": answer("", "404 Not Found")}, Reason.HTTP_CLIENT_ERROR),
    "forbidden": ({"/tv.m3u8": answer("", "403 Forbidden")}, Reason.HTTP_CLIENT_ERROR),
    "server broken": ({"/tv.m3u8": answer("", "503 Busy")}, Reason.HTTP_SERVER_ERROR),
    "a login wanted by the network": ({"/tv.m3u8": answer("", "511 Login")}, Reason.CAPTIVE_PAGE),
    "a page instead": ({"/tv.m3u8": HTML}, Reason.WRONG_CONTENT),
    "a page called playlist": ({"/tv.m3u8": answer("#EXTM3U\n", "200 OK", "Content-Type: text/html")}, Reason.WRONG_CONTENT),
    "bytes instead": ({"/tv.m3u8": SEGMENT}, Reason.WRONG_CONTENT),
    "nothing": ({"/tv.m3u8": b"HTTP/1.1 204 No\r\n\r\n"}, Reason.WRONG_CONTENT),
    "an empty playlist": ({"/tv.m3u8": "#EXTM3U\n"}, Reason.MALFORMED_REPLY),
    "NUL bytes": ({"/tv.m3u8": "#EXTM3U\n\0\nseg1.ts\n"}, Reason.MALFORMED_REPLY),
    "a line without end": ({"/tv.m3u8": "#EXTM3U\n" + "a" * 20_000}, Reason.MALFORMED_REPLY),
    "packed": ({"/tv.m3u8": answer(b"\x1f\x8b", "200 OK", "Content-Encoding: gzip")}, Reason.WRONG_CONTENT),
    "no variant": ({"/low/list.m3u8?key=1": answer("", "404 Gone")}, Reason.HTTP_CLIENT_ERROR),
    "masters without end": ({"/low/list.m3u8?key=1": MASTER}, Reason.WRONG_CONTENT),
    "no segment": ({"/low/seg1.ts": answer("", "404 Gone")}, Reason.HTTP_CLIENT_ERROR),
    "segment broken": ({"/low/seg1.ts": answer("", "500 Oops")}, Reason.HTTP_SERVER_ERROR),
    "a page as segment": ({"/low/seg1.ts": HTML}, Reason.WRONG_CONTENT),
    "an empty segment": ({"/low/seg1.ts": b""}, Reason.WRONG_CONTENT),
    "cut off": ({"/low/seg1.ts": b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\nG"}, Reason.MALFORMED_REPLY),
    "playlist cut off": (
        {"/tv.m3u8": f"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n{MASTER}".encode()},
        Reason.MALFORMED_REPLY,
    ),
    "chunks of nonsense": (
        {"/tv.m3u8": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nx"},
        Reason.MALFORMED_REPLY,
    ),
    "no HTTP": ({"/tv.m3u8": b"HTTP/9 hello\r\n\r\n"}, Reason.MALFORMED_REPLY),
    "a circle": ({"/tv.m3u8": moved_to("/b"), "/b": moved_to("/tv.m3u8")}, Reason.WRONG_CONTENT),
    "a redirect to itself": ({"/tv.m3u8": moved_to("")}, Reason.WRONG_CONTENT),
    "a redirect to a file": ({"/tv.m3u8": moved_to("file:///etc/passwd")}, Reason.WRONG_CONTENT),
}


@pytest.mark.parametrize(("pages", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_broken_stream_fails_and_says_why(pages: Mapping[str, Answer], reason: Reason) -> None:
    reading = look(pages)
    assert (reading.state, reading.reason, reading.rtt_ms) == (State.FAIL, reason, None)


@pytest.mark.parametrize(
    "uri",
    [
        "file:///etc/passwd",
        "ftp://h/x",
        "javascript:alert(1)",
        "http://me:pw@127.0.0.1/",
        "http://",
        "http://h:99999/",
        "data:,x",
    ],
)
def test_a_playlist_leads_to_web_addresses_only(uri: str) -> None:
    assert look({"/live.m3u8": f"#EXTM3U\n{uri}\n"}, "/live.m3u8").reason is Reason.WRONG_CONTENT


def test_a_chain_of_redirects_ends() -> None:
    with station({f"/{at}": moved_to(f"/{at + 1}") for at in range(100)}) as on_air:
        assert only(media.probe(on_air.context("/0"))).reason is Reason.WRONG_CONTENT
    assert len(on_air.asked) == 6


def test_a_closed_port_is_a_refusal() -> None:
    with station(GOOD) as on_air:
        pass
    assert only(media.probe(on_air.context("/tv.m3u8"))).reason is Reason.REFUSED


def serve_stream(behave: Behaviour, path: str, timeout_s: float) -> Reading:
    on_air = Station({})
    with serve(behave) as on_air.port:
        return only(media.probe(on_air.context(path, timeout_s=timeout_s)))


@pytest.mark.parametrize(
    ("path", "start", "state", "reason"),
    [
        ("/tv.m3u8", b"#EXTM3", State.FAIL, Reason.TIMEOUT),
        ("/film.mp4", b"G", State.DEGRADED, Reason.SLOW),
        ("/film.mp4", b"", State.FAIL, Reason.TIMEOUT),
    ],
)
def test_what_drips_for_ever_ends_with_the_deadline(path: str, start: bytes, state: State, reason: Reason) -> None:
    drip = b"U" if start else b""
    reading = serve_stream(dripping(b"HTTP/1.1 200 OK\r\n\r\n" + start, drip), path, 1)
    assert (reading.state, reading.reason) == (state, reason)


@pytest.mark.parametrize("framing", [b"Content-Length: 10737418240", b"X: y", b"Transfer-Encoding: chunked"])
def test_of_a_playlist_without_end_little_is_read(framing: bytes) -> None:
    sent: list[int] = []

    def endless(connection: socket) -> None:
        request_of(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n")
        chunk = b"ffffffffff\r\n" if b"chunked" in framing else b""
        connection.sendall(chunk + b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n")
        while True:
            sent.append(connection.send(b"#EXTINF:5,\nftp://nowhere/x.ts\n" * 1000))

    assert serve_stream(endless, "/tv.m3u8", 30).reason is Reason.WRONG_CONTENT
    assert sum(sent) < 64 * 1024 * 1024


def test_chunks_of_one_byte_cost_little() -> None:
    text = b"#EXTM3U\n" + b"#\n" * 40_000
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(b"1\r\n%c\r\n" % byte for byte in text)
    begun = time.process_time()
    assert look({"/tv.m3u8": chunked + b"0\r\n\r\n"}).reason is Reason.MALFORMED_REPLY
    assert time.process_time() - begun < 10


# --- over the rounds ----------------------------------------------------------------------------------------------------


def test_between_two_trials_a_glance_of_a_kilobyte_confirms_the_last_one() -> None:
    with station(GOOD) as on_air:
        asked = on_air.context("/tv.m3u8")
        first = media.probe(asked)
        on_air.asked.clear()
        second = media.probe(later(asked, first))
    assert on_air.asked == ["/tv.m3u8 0-1023"]
    assert second.readings[0].state == State.OK
    assert round(second.readings[0].rtt_ms or 0, 2) == round(first.readings[0].rtt_ms or -1, 2)
    assert not second.values, "what was not measured is not told"
    assert second.counters == first.counters


def test_a_glance_that_finds_nothing_is_followed_by_a_trial_at_once() -> None:
    with station(GOOD) as on_air:
        asked = on_air.context("/tv.m3u8")
        first = media.probe(asked)
    # The server is gone: an old success repeated would hide that the line is, too.
    assert only(media.probe(later(asked, first))).reason is Reason.REFUSED


@pytest.mark.parametrize("page", [HTML, "wrong", answer("", "404 Not Found")])
def test_a_glance_is_not_content_with_any_answer(page: Answer) -> None:
    with station(GOOD) as on_air:
        asked = on_air.context("/tv.m3u8")
        first = media.probe(asked)
        on_air.pages["/tv.m3u8"] = page
        assert only(media.probe(later(asked, first))).state == State.FAIL


def test_after_the_interval_the_stream_is_tried_again() -> None:
    with station(GOOD) as on_air:
        asked = on_air.context("/film.mp4")
        first = media.probe(asked)
        on_air.asked.clear()
        media.probe(later(asked, first, tried_ms=-299_000))
    assert on_air.asked == ["/film.mp4 0-65535"]


def test_a_stream_that_failed_is_tried_in_each_round_until_it_comes() -> None:
    with station(GOOD) as on_air:
        asked = on_air.context("/film.mp4")
        page = on_air.pages.pop("/film.mp4")
        first = media.probe(asked)
        assert only(first).state == State.FAIL
        on_air.pages["/film.mp4"] = page
        assert only(media.probe(later(asked, first))).state == State.OK


def test_in_another_network_the_stream_is_tried_anew() -> None:
    kept = Kept(tried_ms=1000, network=1, state=State.OK, reason=0, rtt_us=5, number=-1, moved_ms=0)
    assert not media.due(kept, 2000, 1, 300)
    assert media.due(kept, 2000, 2, 300)
    assert media.due(kept, 0, 1, 300), "the clock of another boot"


def stalled(first: Mapping[str, int], changes: Mapping[str, int]) -> tuple[Trial | None, Reading]:
    """What a later round says of a live stream whose counters were changed, and what the round after keeps."""
    with station({**GOOD, "/low/list.m3u8?key=1": LIVE.format(first=first["before"])}) as on_air:
        asked = on_air.context("/tv.m3u8")
        found = media.probe(asked)
        on_air.pages["/low/list.m3u8?key=1"] = LIVE.format(first=first["after"])
        again = media.probe(later(asked, found, tried_ms=-300_000, **changes))
    kept = media.recall(again.counters, "ipv4/1")
    return kept.trial if kept else None, only(again)


def test_a_live_stream_that_stands_still_for_three_target_durations_has_stalled() -> None:
    kept, reading = stalled({"before": 7, "after": 7}, {"moved_ms": -31_000})
    assert (reading.state, reading.reason) == (State.FAIL, Reason.STREAM_STALLED)
    assert kept is not None and kept.number == 8 and kept.reason is Reason.STREAM_STALLED


@pytest.mark.parametrize(("after", "still_ms"), [(8, -31_000), (3, -31_000), (7, -20_000)])
def test_a_live_stream_that_moves_or_has_just_moved_has_not_stalled(after: int, still_ms: int) -> None:
    assert stalled({"before": 7, "after": after}, {"moved_ms": still_ms})[1].state == State.OK


def test_a_list_that_grows_moves_though_its_first_number_stays() -> None:
    event = "#EXTM3U\n#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-TARGETDURATION:1\nseg1.ts\n"
    with station({"/event.m3u8": event, "/seg1.ts": SEGMENT}) as on_air:
        asked = on_air.context("/event.m3u8")
        first = media.probe(asked)
        on_air.pages["/event.m3u8"] = event + "seg1.ts\n"
        assert only(media.probe(later(asked, first, tried_ms=-300_000, moved_ms=-9000))).state == State.OK


def test_a_recording_never_stalls() -> None:
    with station({"/vod.m3u8": VOD, "/seg0.ts": SEGMENT}) as on_air:
        asked = on_air.context("/vod.m3u8")
        first = media.probe(asked)
        assert only(media.probe(later(asked, first, tried_ms=-900_000, moved_ms=-900_000))).state == State.OK


def test_counters_that_make_no_sense_count_as_none() -> None:
    good = {f"ipv4/1/{name}": 1 for name in Kept._fields}
    assert media.recall(good, "ipv4/1") is not None
    assert media.recall({**good, "ipv4/1/state": 99}, "ipv4/1") is None
    assert media.recall({**good, "ipv4/1/reason": -1}, "ipv4/1") is None
    assert media.recall(dict(list(good.items())[1:]), "ipv4/1") is None


# --- several streams ----------------------------------------------------------------------------------------------------

PLAYS, GONE = (State.OK, Reason.NONE), (State.FAIL, Reason.HTTP_CLIENT_ERROR)


def test_one_stream_of_several_that_fails_stands_for_the_rung_once_it_has_worked() -> None:
    with station(GOOD) as on_air:
        asked = on_air.context("/film.mp4", "/tv.m3u8")._replace(proven=frozenset({("ipv4#2", Rung.MEDIA)}))
        del on_air.pages["/tv.m3u8"]
        found = media.probe(asked)
    assert by_label(found) == {"": GONE, "1": PLAYS, "2": GONE}


def test_a_stream_that_has_never_worked_does_not_hide_the_others() -> None:
    with station(GOOD) as on_air:
        found = media.probe(on_air.context("/mistyped.m3u8", "/film.mp4"))
    assert by_label(found) == {"": PLAYS, "1": GONE, "2": PLAYS}


def test_where_no_stream_has_ever_worked_the_worst_stands_for_the_rung() -> None:
    with station({}) as on_air:
        found = media.probe(on_air.context("/a.m3u8", "/b.mp4"))
    assert by_label(found) == {"": GONE, "1": GONE, "2": GONE}


def test_streams_that_say_nothing_leave_the_others_their_share_of_the_time() -> None:
    def some_say_nothing(connection: socket) -> None:
        if b"/dead" in request_of(connection):
            connection.recv(1)
        connection.sendall(answer(SEGMENT))

    on_air = Station({})
    with serve(some_say_nothing) as on_air.port:
        found = media.probe(on_air.context("/dead1", "/dead2", "/dead3", "/dead4", "/a", "/b", "/c", "/d", timeout_s=4))
    states = by_label(found)
    assert [states[str(at)] for at in (5, 6, 7, 8)] == [PLAYS] * 4
    assert [states[str(at)] for at in (1, 2, 3, 4)] == [(State.FAIL, Reason.TIMEOUT)] * 4


def test_a_stream_that_worked_and_fails_is_named_as_the_fault_beside_one_that_never_did() -> None:
    pages = {**GOOD, "/": "portal"}
    runner = ProbeRunner({"portal": portal.probe, "media": media.probe}, timeout_s=20)
    try:
        with station(pages) as on_air:
            asked = on_air.context("/mistyped.m3u8", "/tv.m3u8")
            asked = asked._replace(portal=parse_portal(f"http://127.0.0.1:{on_air.port}/"))
            well = look_once(runner, asked, Baseline(), None)
            assert (well.verdict.state, well.baseline.proven >= {("ipv4#2", Rung.MEDIA)}) == (State.OK, True)
            on_air.pages["/tv.m3u8"] = answer("", "503 Busy")
            broken = look_once(runner, asked, well.baseline, well.verdict)
    finally:
        runner.close()
    verdict = broken.verdict
    assert (verdict.rung, verdict.kind, verdict.grade) == (Rung.MEDIA, Kind.MEDIA_DOWN, Grade.PROVEN)
    assert verdict.reason is Reason.HTTP_SERVER_ERROR


def test_a_line_that_dies_between_two_trials_is_not_hidden_by_the_last_one() -> None:
    """The ladder takes a stream that plays as proof of the line, so an old success must not be repeated unseen."""
    runner = ProbeRunner({"media": media.probe}, timeout_s=20)
    try:
        with station(GOOD) as on_air:
            asked = on_air.context("/tv.m3u8")
            before = look_once(runner, asked, Baseline(), None)
            assert before.readings[0].state == State.OK
        after = look_once(runner, asked, before.baseline, before.verdict)
    finally:
        runner.close()
    assert (after.readings[0].state, after.readings[0].reason) == (State.FAIL, Reason.REFUSED)
