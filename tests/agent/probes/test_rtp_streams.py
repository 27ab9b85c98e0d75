"""RTSP and multicast streams as the media rung tries them: real ones of ffmpeg and VLC, poor ones, and hostile servers."""

import hashlib
import re
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitekeeper_agent.config import Broker, Fault, Settings, check
from sitekeeper_agent.probes import Context, media, multicast, rtsp
from sitekeeper_agent.probes.probe import Portal, parse_portal
from sitekeeper_agent.probes.rtspauth import Login, answer, login_for
from sitekeeper_agent.probes.streams import MOST_BYTES, Listened, parse_stream
from sitekeeper_protocol.settings import SettingsError
from sitekeeper_protocol.vocabulary import Method, Metric, Reason, State
from support.ports import free_port
from support.rtsp_server import SDP, Asked, ffmpeg, rtsp_server, vlc_server
from support.wait import wait_until
from support.web_servers import dripping, raw, serve

NOBODY = 65534


def context(**more: object) -> Context:
    base = Context(parse_portal("http://127.0.0.1:9/"), time.monotonic() + 20, multicast_interface="lo")
    return base._replace(**more)  # type: ignore[arg-type]


def play(address: str, **more: object) -> Listened:
    return rtsp.listen(parse_stream(address), "ipv4", context(**more), time.monotonic() + 20)


def hear(address: str, most_bytes: int = 200_000, **more: object) -> Listened:
    return multicast.listen(parse_stream(address), "ipv4", context(**more), time.monotonic() + 20, most_bytes=most_bytes)


# --- RTSP --------------------------------------------------------------------------------------------------------------


def test_a_stream_on_the_connection_is_played_like_by_a_player() -> None:
    with rtsp_server() as server:
        found = play(server.address)
        assert (found.state, found.reason, found.status) == (State.OK, Reason.NONE, 200)
        assert found.heard.packets > 20 and found.heard.lost == 0
        assert found.heard.taken_bytes <= MOST_BYTES + 65536
        assert found.heard.jitter_ms is not None and found.first_ms and found.ready_ms and found.first_ms <= found.ready_ms
        wait_until(lambda: len(server.seen) >= 4, "all was asked")
        assert [asked.method for asked in server.seen[:4]] == ["OPTIONS", "DESCRIBE", "SETUP", "PLAY"]
        setup, begin = server.seen[2], server.seen[3]
        assert setup.url == f"{server.address}/track1" and begin.url == f"{server.address}/"
        assert begin.field("Session") == "12345678"


def test_packets_that_are_missing_on_the_way_make_a_stream_poor() -> None:
    with rtsp_server(spoil=lambda number, packet: [] if number % 10 == 5 else [packet]) as server:
        found = play(server.address)
    assert (found.state, found.reason) == (State.DEGRADED, Reason.PACKET_LOSS)
    assert 0.05 < found.heard.loss_ratio < 0.15


def test_a_server_that_has_only_udp_is_asked_for_that(tmp_path: Path) -> None:
    """VLC serves so; what it sends comes from its own address."""
    film = tmp_path / "film.ts"
    make = ["ffmpeg", "-loglevel", "error", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25", "-t", "20"]
    subprocess.run([*make, "-c:v", "mpeg2video", "-b:v", "600k", "-g", "12", str(film)], check=True, timeout=120)
    home = tmp_path / "home"
    home.mkdir()
    for path in (tmp_path, home, film):
        path.chmod(0o777)
    for parent in tmp_path.parents[:3]:
        if parent.stat().st_uid == 0 and parent != Path("/tmp"):
            parent.chmod(0o755)
    with vlc_server(home, film, NOBODY) as address:
        stream = parse_stream(address)
        wait_until(lambda: rtsp.glance(stream, "ipv4", context(), time.monotonic() + 5), "VLC serves it", 60, every_s=0.2)
        found = play(address)
    assert found.state is State.OK and found.heard.packets > 20 and found.heard.lost == 0


def challenge(kind: str) -> Callable[[Asked], str | None]:
    """A server that lets in nobody but the user 站 with the password `s3cret pass`, by Digest or Basic."""

    def change(asked: Asked) -> str | None:
        said = asked.field("Authorization")
        if not said:
            return f'401 Unauthorized\r\nWWW-Authenticate: Basic realm="x"\r\nWWW-Authenticate: {kind}'
        parts = dict(re.findall(r'(\w+)="?([^",]+)"?', said))
        if not said.startswith("Digest"):
            return None if kind.startswith("Bearer") and said == "Basic dXNlcjpzM2NyZXQgcGFzcw==" else "401 Unauthorized"
        name = "sha256" if "SHA-256" in kind else "md5"

        def hashed(text: str) -> str:
            return hashlib.new(name, text.encode()).hexdigest()

        first, second = hashed("user:cam:s3cret pass"), hashed(f"{asked.method}:{asked.url}")
        middle = f":{parts['nc']}:{parts['cnonce']}:auth:" if "qop" in parts else ":"
        return None if parts["response"] == hashed(f"{first}:{parts['nonce']}{middle}{second}") else "401 Unauthorized"

    return change


@pytest.mark.parametrize(
    "kind",
    [
        'Digest realm="cam", nonce="abc"',
        'Digest realm="cam", nonce="abc", qop="auth,auth-int", algorithm=MD5, opaque="o"',
        'Digest realm="cam", nonce="abc", algorithm=SHA-256, qop="auth"',
        "Bearer",
    ],
)
def test_the_sites_login_is_shown_as_the_server_wants_it(tmp_path: Path, kind: str) -> None:
    logins = tmp_path / "logins"
    logins.write_text("# of the county\nother.example user wrong\n127.0.0.1 user s3cret pass\n")
    with rtsp_server(change=challenge(kind)) as server:
        assert play(server.address, media_logins_file=str(logins)).state is State.OK
        assert "s3cret" not in "".join(asked.head for asked in server.seen)


def test_without_a_login_for_this_host_none_is_shown(tmp_path: Path) -> None:
    logins = tmp_path / "logins"
    logins.write_text("other.example user s3cret\n")
    for file in (str(logins), "", str(tmp_path / "none")):
        with rtsp_server(change=challenge('Digest realm="cam", nonce="abc"')) as server:
            found = play(server.address, media_logins_file=file)
            assert (found.state, found.reason, found.status) == (State.FAIL, Reason.LOGIN_REFUSED, 401)
            assert not any(asked.field("Authorization") for asked in server.seen)


def test_a_digest_is_that_of_rfc_7616() -> None:
    """The example of its section 3.9.1, with SHA-256."""
    told = answer(
        [
            'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=SHA-256, '
            'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
        ],
        Login("Mufasa", "Circle of Life"),
        "GET",
        "/dir/index.html",
        cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    )
    assert 'response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"' in told


@given(st.lists(st.text(max_size=80), max_size=5))
def test_any_challenge_is_answered_in_one_line_or_not(challenges: list[str]) -> None:
    hostile = [f"Digest {text}, nonce={text}" for text in challenges] + challenges
    told = answer(hostile, Login("user", "pass"), "PLAY", "rtsp://h/x")
    assert "\r" not in told and "\n" not in told


@pytest.mark.parametrize(
    ("change", "reason", "status"),
    [
        ({"DESCRIBE": "404 Not Found"}, Reason.HTTP_CLIENT_ERROR, 404),
        ({"DESCRIBE": "503 Service Unavailable"}, Reason.HTTP_SERVER_ERROR, 503),
        ({"PLAY": "454 Session Not Found"}, Reason.HTTP_CLIENT_ERROR, 454),
        ({"DESCRIBE": "302 Moved\r\nLocation: http://127.0.0.1/"}, Reason.WRONG_CONTENT, 302),
        ({"SETUP": "200 OK\r\nSession: a b\tc"}, Reason.MALFORMED_REPLY, 200),
        ({"DESCRIBE": "200 OK\r\nContent-Length: 99999999"}, Reason.MALFORMED_REPLY, 200),
        ({"DESCRIBE": "200 OK\r\nContent-Length: -1"}, Reason.MALFORMED_REPLY, 200),
    ],
)
def test_what_a_server_refuses_is_told(change: dict[str, str], reason: Reason, status: int) -> None:
    with rtsp_server(change=lambda asked: change.get(asked.method)) as server:
        found = play(server.address)
    assert (found.state, found.reason, found.status) == (State.FAIL, reason, status)


def test_redirects_are_followed_and_not_for_ever() -> None:
    with rtsp_server() as far, rtsp_server(change=lambda _: f"302 Found\r\nLocation: {far.address}") as near:
        assert play(near.address).state is State.OK
    here = f"127.0.0.1:{free_port()}"
    with rtsp_server(change=lambda asked: f"302 Found\r\nLocation: {asked.url}") as circle:
        found = play(circle.address)
        assert (found.reason, len(circle.seen)) == (Reason.WRONG_CONTENT, 4)
    assert play(f"rtsp://{here}/").reason is Reason.REFUSED


@pytest.mark.parametrize(
    "sdp",
    [
        "",
        "v=0\r\n",
        "m=video 0 RTP/SAVP 96\r\na=control:track1\r\n",
        SDP.replace("track1", "rtsp://evil.example/track1"),
        SDP.replace("track1", "x" * 2000),
        "m=" + "video " * 9000,
    ],
)
def test_a_description_without_a_track_of_this_server_is_no_stream(sdp: str) -> None:
    with rtsp_server(sdp=sdp) as server:
        found = play(server.address)
        assert (found.state, found.reason) == (State.FAIL, Reason.WRONG_CONTENT)
        assert not [asked for asked in server.seen if asked.method == "SETUP"]


@pytest.mark.parametrize(
    "answers",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"RTSP/1.0 \xb2\xb3\xb9 OK\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nCSeq: 9\r\n\r\n" * 1000,
        b"\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nX: " + b"a" * 100_000,
        b"$\x00\xff\xff" * 3,
    ],
)
def test_a_server_that_speaks_something_else_costs_one_reading(answers: bytes) -> None:
    with serve(raw(answers)) as port:
        found = play(f"rtsp://127.0.0.1:{port}/")
    assert found.state is State.FAIL


def test_a_server_that_drips_is_left_at_the_deadline() -> None:
    with serve(dripping(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nX: ", b"y")) as port:
        stream = parse_stream(f"rtsp://127.0.0.1:{port}/")
        found = rtsp.listen(stream, "ipv4", context(), time.monotonic() + 0.5)
    assert (found.state, found.reason) == (State.FAIL, Reason.TIMEOUT)


# --- multicast ---------------------------------------------------------------------------------------------------------

GROUP = "239.77.4.17"


@pytest.mark.parametrize("source", ["", "127.0.0.1@"])
def test_a_group_with_rtp_or_bare_mpeg_ts_is_heard(source: str) -> None:
    rtp, udp = free_port(), free_port()
    with ExitStack() as stack:
        stack.enter_context(ffmpeg("-f", "rtp_mpegts", f"rtp://{GROUP}:{rtp}?localaddr=127.0.0.1&ttl=0"))
        stack.enter_context(ffmpeg("-f", "mpegts", f"udp://{GROUP}:{udp}?localaddr=127.0.0.1&ttl=0&pkt_size=1316"))
        by_rtp, by_udp = hear(f"rtp://{source}{GROUP}:{rtp}"), hear(f"udp://{source}{GROUP}:{udp}")
    assert (by_rtp.state, by_rtp.heard.lost) == (State.OK, 0) and by_rtp.heard.packets > 20
    assert by_rtp.heard.jitter_ms is not None, "payload type 33 has a clock"
    assert (by_udp.state, by_udp.heard.lost) == (State.OK, 0) and by_udp.heard.packets > 100
    assert by_udp.heard.jitter_ms is None


def sending(group: str, port: int, packets: list[bytes], stack: ExitStack) -> None:
    """The packets once in a while, over loopback, until the stack is closed."""
    import threading

    over = threading.Event()
    sock = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))

    def work() -> None:
        while not over.wait(0.05):
            for packet in packets:
                sock.sendto(packet, (group, port))

    thread = threading.Thread(target=work)
    thread.start()
    stack.callback(thread.join, 20)
    stack.callback(over.set)


def test_only_the_wanted_source_and_group_count() -> None:
    with ExitStack() as stack:
        port = free_port()
        sending(GROUP, port, [b"\x47" + bytes(187)] * 3, stack)
        assert hear(f"udp://{GROUP}:{port}", most_bytes=4000).state is State.OK
        assert hear(f"udp://127.0.0.9@{GROUP}:{port}").reason is Reason.TIMEOUT
        assert hear(f"udp://239.77.4.18:{port}").reason is Reason.TIMEOUT, "another group on the same port"


def test_what_is_neither_rtp_nor_ts_is_wrong_content() -> None:
    with ExitStack() as stack:
        port = free_port()
        sending(GROUP, port, [b"M-SEARCH * HTTP/1.1\r\n" * 3], stack)
        found = hear(f"rtp://{GROUP}:{port}", most_bytes=1000)
    assert (found.state, found.reason) == (State.FAIL, Reason.WRONG_CONTENT)


def test_a_group_has_one_family_and_an_interface_that_is_none_is_no_route() -> None:
    stream = parse_stream(f"rtp://{GROUP}:5004")
    assert multicast.listen(stream, "ipv6", context(), time.monotonic() + 5).state is State.NOT_APPLICABLE
    assert hear(f"rtp://{GROUP}:5004", multicast_interface="nosuch0").state is State.FAIL


def test_an_ipv6_group_is_joined_with_and_without_a_source() -> None:
    for source in ("", "[::1]@"):
        stream = parse_stream(f"udp://{source}[ff15::7714]:{free_port()}")
        found = multicast.listen(stream, "ipv6", context(), time.monotonic() + 0.3)
        assert found.reason is Reason.TIMEOUT, "joined, and nobody sends"


# --- the rung ----------------------------------------------------------------------------------------------------------


def test_the_media_rung_tells_both_kinds_with_their_method_loss_and_jitter() -> None:
    port = free_port()
    group = f"rtp://{GROUP}:{port}?localaddr=127.0.0.1&ttl=0"
    with rtsp_server() as server, ffmpeg("-f", "rtp_mpegts", group):
        streams = (parse_stream(server.address), parse_stream(f"rtp://{GROUP}:{port}"))
        found = media.probe(context(media=streams))
        again = media.probe(context(media=streams, before=MappingProxyType(dict(found.counters))))
        glances = [asked.method for asked in server.seen]
    labelled = {reading.label: reading for reading in found.readings if reading.label}
    assert (labelled["1"].state, labelled["1"].method) == (State.OK, Method.RTSP)
    assert (labelled["2"].state, labelled["2"].method, labelled["2"].target) == (State.OK, Method.MULTICAST, GROUP)
    for place in ("1", "2"):
        assert found.values[Metric.MEDIA_LOSS_RATIO, place] == 0
        assert (Metric.MEDIA_JITTER_MS, place) in found.values
        assert found.values[Metric.MEDIA_STARTUP_MS, place] > 0
    assert [reading.state for reading in again.readings] == [State.OK] * 3
    assert (Metric.MEDIA_STARTUP_MS, "1") not in again.values, "a glance, no trial"
    assert glances.count("PLAY") == 1 and glances.count("DESCRIBE") == 2


# --- addresses ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("rtsp://TV.example/ch1?x=1", Portal("rtsp", "tv.example", 554, "/ch1?x=1")),
        ("rtsp://10.0.0.1:8554/", Portal("rtsp", "10.0.0.1", 8554, "/")),
        ("rtsp://10.0.0.1:80/", Portal("rtsp", "10.0.0.1", 80, "/")),
        ("rtsp://[2001:db8::1]/", Portal("rtsp", "2001:db8::1", 554, "/")),
        ("rtp://239.1.1.1:5004", Portal("rtp", "239.1.1.1", 5004, "")),
        ("udp://10.0.0.9@239.1.1.1:1234/", Portal("udp", "239.1.1.1", 1234, "10.0.0.9")),
        ("udp://@239.1.1.1:1234", Portal("udp", "239.1.1.1", 1234, "")),
        ("rtp://[2001:db8::9]@[ff3e::1]:5004", Portal("rtp", "ff3e::1", 5004, "2001:db8::9")),
        ("https://tv.example/live.m3u8", Portal("https", "tv.example", 443, "/live.m3u8")),
    ],
)
def test_an_address_is_taken_apart(address: str, expected: Portal) -> None:
    assert parse_stream(address) == expected


@pytest.mark.parametrize(
    "address",
    [
        "rtsp://user:secret@tv.example/ch1",
        "rtsp:///x",
        "rtp://10.0.0.1:5004",
        "rtp://239.1.1.1",
        "udp://239.1.1.1:70000",
        "udp://tv.example@239.1.1.1:1234",
        "udp://239.1.1.2@239.1.1.1:1234",
        "udp://10.0.0.9@[ff3e::1]:1234",
        "rtmp://tv.example/live",
    ],
)
def test_an_address_that_is_none_is_refused_and_no_secret_told(address: str) -> None:
    with pytest.raises(SettingsError):
        parse_stream(address)
    settings = Settings(site="0417", area="lab", broker=Broker(host="127.0.0.1"), portal="http://p.example/", media=(address,))
    with pytest.raises(Fault) as fault:
        check(settings)
    assert fault.value.key == "media" and "secret" not in str(fault.value)


def test_logins_are_looked_up_by_host(tmp_path: Path) -> None:
    file = tmp_path / "logins"
    file.write_text("\nTV.example user pass word \nonly two\n")
    assert login_for(str(file), "tv.example") == Login("user", "pass word")
    assert login_for(str(file), "only") is None
