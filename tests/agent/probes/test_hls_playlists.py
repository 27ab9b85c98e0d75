"""Playlists and the addresses in them: anybody's text, read in bounded work, or refused with one error."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitekeeper_agent.probes import parse_portal
from sitekeeper_agent.probes.hls import BadPlaylist, Master, Media, Part, is_playlist, parse
from sitekeeper_agent.probes.http import Head, Span
from sitekeeper_agent.probes.reference import redirect, resolve, without_dots

BASE = parse_portal("http://h.example:8080/a/b/list.m3u8?k=v")


def listing(*lines: str, ended: bool = False) -> Media:
    found = parse("\r\n".join(("#EXTM3U", *lines, *(["#EXT-X-ENDLIST"] if ended else []), "")).encode())
    assert isinstance(found, Media)
    return found


def test_of_a_master_the_variant_of_least_bandwidth_is_named() -> None:
    lines = (
        "#EXTM3U",
        '#EXT-X-MEDIA:TYPE=AUDIO,URI="audio.m3u8"',
        '#EXT-X-STREAM-INF:NAME="a,BANDWIDTH=1",BANDWIDTH=900',
        "nine",
        "#EXT-X-STREAM-INF:AVERAGE-BANDWIDTH=5,BANDWIDTH=700",
        "",
        "seven",
        "#EXT-X-STREAM-INF:RESOLUTION=1x1",
        "unknown",
        "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=iframe",
    )
    assert parse("\n".join(lines).encode()) == Master("seven")


def test_a_live_list_names_its_newest_segment_and_number() -> None:
    found = listing("#EXT-X-TARGETDURATION:4", "#EXT-X-MEDIA-SEQUENCE:100", "#EXTINF:4,", "a", "#EXTINF:4,", "b")
    assert found == Media(Part("b"), None, 101, 4, True)


@pytest.mark.parametrize("line", ["#EXT-X-ENDLIST", "#EXT-X-PLAYLIST-TYPE:VOD"])
def test_a_recording_names_its_first_segment(line: str) -> None:
    found = listing(line, "a", "b")
    assert (found.segment, found.live) == (Part("a"), False)


def test_of_a_list_that_was_cut_off_the_last_whole_line_counts_and_nothing_is_said_about_its_end() -> None:
    found = parse(b"#EXTM3U\na\nb\nhalf-a-na", whole=False)
    assert isinstance(found, Media)
    assert (found.segment, found.live) == (Part("b"), False)


def test_byte_ranges_go_on_where_the_one_before_ended() -> None:
    assert listing("#EXT-X-BYTERANGE:10@5", "a", "#EXT-X-BYTERANGE:20", "a").segment == Part("a", Span(15, 20))
    assert listing("#EXT-X-BYTERANGE:10@5", "a", "#EXT-X-BYTERANGE:20", "b").segment == Part("b", Span(0, 20))
    assert listing("#EXT-X-BYTERANGE:10@5", "a", "b").segment == Part("b")


@pytest.mark.parametrize("value", ["", "0", "-1", "x", "5@", "5@-1", "9" * 5000])
def test_a_byte_range_that_makes_no_sense_is_none(value: str) -> None:
    assert listing(f"#EXT-X-BYTERANGE:{value}", "a").segment == Part("a")


def test_the_initialisation_is_that_of_the_segment() -> None:
    first, second = '#EXT-X-MAP:URI="one,1.mp4"', '#EXT-X-MAP:BYTERANGE="9@3",URI="two.mp4"'
    assert listing(first, "a", second, "b").init == Part("two.mp4", Span(3, 9))
    assert listing(first, "a", second, "b", ended=True).init == Part("one,1.mp4")


def test_a_gap_is_not_tried() -> None:
    assert listing("a", "#EXT-X-GAP", "b").segment == Part("a")
    assert listing("a", "#EXT-X-GAP", "b").number == 1


def test_a_byte_order_mark_and_titles_in_gbk_are_forgiven() -> None:
    text = b"\xef\xbb\xbf#EXTM3U\n#EXTINF:5," + "第一课".encode("gbk") + b"\na.ts\n"
    assert is_playlist(text)
    assert isinstance(parse(text), Media)


@pytest.mark.parametrize("body", [b"", b"EXTM3U\na\n", b"#EXTM3U\n", b"#EXTM3U\n#EXT-X-GAP\na\n", b"#EXTM3U\n\0\na\n"])
def test_what_is_no_playlist_is_refused(body: bytes) -> None:
    with pytest.raises(BadPlaylist):
        parse(body)


TAGS = st.sampled_from(
    [
        "STREAM-INF:BANDWIDTH=",
        "TARGETDURATION:",
        "MEDIA-SEQUENCE:",
        "BYTERANGE:",
        "MAP:URI=",
        "GAP",
        "ENDLIST",
        "MAP:BYTERANGE=",
    ]
)
TAGGED = st.builds(lambda tag, text: f"#EXT-X-{tag}{text}", TAGS, st.text(max_size=20))
LINES = st.lists(st.one_of(st.text(max_size=40), TAGGED))


@given(LINES, st.booleans())
def test_any_text_is_a_playlist_or_refused(lines: list[str], whole: bool) -> None:
    body = "\n".join(["#EXTM3U", *lines]).encode("utf-8", "replace")
    try:
        found = parse(body, whole)
    except BadPlaylist:
        return
    for part in [found.segment, found.init] if isinstance(found, Media) else []:
        assert part is None or part.span is None or (part.span.first >= 0 and part.span.length > 0)


@pytest.mark.parametrize("line", ["A" * 8000, "A=" * 4000, ',A="' * 2000, '"' * 8000, ", " * 4000, "-" * 8000 + "="])
def test_attributes_made_to_be_hard_cost_little(line: str) -> None:
    body = ("#EXTM3U\n" + f"#EXT-X-STREAM-INF:{line}\n" * 8 + "a\n").encode()
    begun = time.process_time()
    parse(body)
    assert time.process_time() - begun < 5


# --- addresses ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "host", "target"),
    [
        ("seg.ts", "h.example", "/a/b/seg.ts"),
        ("seg.ts?x=/../y#z", "h.example", "/a/b/seg.ts?x=/../y"),
        ("../c/./d", "h.example", "/a/c/d"),
        ("../../../../etc", "h.example", "/etc"),
        ("..", "h.example", "/a/"),
        ("/root", "h.example", "/root"),
        ("?only", "h.example", "/a/b/list.m3u8?only"),
        ("//other.example/x", "other.example", "/x"),
        ("HTTPS://Other.Example", "other.example", "/"),
        ("http://10.0.0.1:81/x", "10.0.0.1", "/x"),
        ("第1课 a.ts", "h.example", "/a/b/%E7%AC%AC1%E8%AF%BE%20a.ts"),
    ],
)
def test_a_reference_is_seen_from_its_base(reference: str, host: str, target: str) -> None:
    found = resolve(BASE, reference)
    assert found is not None
    assert (found.host, found.target) == (host, target)


@pytest.mark.parametrize("reference", ["", "#x", "file:///x", "a:b", "x\x00y", "x\r\nHost: y", "http://", "//", "x" * 5000])
def test_what_can_not_be_visited_is_none(reference: str) -> None:
    assert resolve(BASE, reference) is None


@given(st.text())
def test_any_reference_is_a_web_address_or_none(reference: str) -> None:
    found = resolve(BASE, reference)
    if found is not None:
        assert found.scheme in ("http", "https") and found.host and 1 <= found.port <= 65535
        assert (
            found.target.startswith("/") and found.target.isascii() and " " not in found.target and found.target.isprintable()
        )


def test_the_examples_of_rfc_3986_hold() -> None:
    assert without_dots("/a/b/c/./../../g") == "/a/g"
    assert without_dots("/a/b/.") == "/a/b/"


def test_a_location_in_utf8_is_taken_as_it_is_meant() -> None:
    head = Head(302, {"location": "/课".encode().decode("latin-1")})
    assert redirect(BASE, head) == BASE._replace(target="/%E8%AF%BE")
    assert redirect(BASE, head._replace(status=200)) is None
