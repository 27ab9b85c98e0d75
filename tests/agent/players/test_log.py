"""A player's log: its lines in UTF-8 and GBK, rotation and truncation, and lines that nobody should have written."""

import os
import random
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitekeeper_agent.probes.players.log import Line, Log, Reader
from sitekeeper_agent.probes.players.playback import End, Seen
from sitekeeper_agent.probes.players.programs import Programs
from sitekeeper_agent.probes.players.source import scrubbed
from sitekeeper_agent.probes.players.tail import FAR_BYTES, MAX_LINE, MOST_BYTES, Tail
from sitekeeper_protocol.vocabulary import PlayerState

PATTERNS = {
    "opening": "打开|opening",
    "started": "开始播放|play ok",
    "paused": "暂停",
    "stalled": "缓冲|buffering",
    "resumed": "恢复",
    "stopped": "播放结束|play end",
    "failed": r"(?:错误|ERROR) (?P<code>\w+)[:：] ?(?P<text>.*)",
}
READER = Reader(PATTERNS)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "player.log"
    path.write_text("")
    return path


def write(path: Path, *lines: str, encoding: str = "utf-8") -> None:
    with path.open("ab") as log:
        log.writelines(line.encode(encoding) + b"\n" for line in lines)


def source(path: Path, **options: Sequence[str]) -> Log:
    return Log(path, READER, programs=Programs(), **options)  # type: ignore[arg-type]


def told(seen: Sequence[Seen]) -> list[tuple[PlayerState, End | None]]:
    return [(sight.state, sight.end) for sight in seen]


def test_lines_in_either_encoding_say_what_the_player_does(file: Path) -> None:
    log = source(file)
    assert told(log.look()) == [(PlayerState.IDLE, None)]
    write(file, "10:00 打开 课程")
    assert told(log.look()) == [(PlayerState.STARTING, None)] * 2
    write(file, "10:01 开始播放", encoding="gbk")
    write(file, "10:02 缓冲", encoding="gbk")
    write(file, "10:03 恢复")
    write(file, "10:04 错误 E17: 连接超时 http://10.1.2.3/课.m3u8", encoding="gbk")
    seen = log.look()
    assert told(seen) == [
        (PlayerState.PLAYING, None),
        (PlayerState.STALLED, None),
        (PlayerState.PLAYING, None),
        (PlayerState.IDLE, End.ERROR),
        (PlayerState.IDLE, None),
    ]
    assert (seen[3].code, seen[3].text) == ("E17", "连接超时 …"), "what was watched is not told"
    write(file, "nothing of interest", "play ok", "play end")
    assert told(log.look())[:2] == [(PlayerState.PLAYING, None), (PlayerState.IDLE, End.STOPPED)]


@pytest.mark.parametrize(
    ("lines", "state"),
    [(["play ok"], PlayerState.PLAYING), (["play ok", "play end"], PlayerState.IDLE), (["what?"], PlayerState.IDLE)],
)
def test_what_stands_there_already_gives_the_state_and_no_events(file: Path, lines: list[str], state: PlayerState) -> None:
    write(file, *["ERROR E1: x"] * 5000, *lines)
    assert told(source(file).look()) == [(state, None)]


def test_a_play_of_the_boot_before_is_over(file: Path) -> None:
    write(file, "play ok")
    os.utime(file, (1000, 1000))
    assert told(source(file).look()) == [(PlayerState.IDLE, None)]


def test_the_next_title_ends_the_one_before_and_a_start_after_a_stall_does_not(file: Path) -> None:
    log = source(file)
    log.look()
    write(file, "play ok", "play ok", "buffering", "play ok")
    assert told(log.look())[:4] == [
        (PlayerState.PLAYING, None),
        (PlayerState.PLAYING, End.STOPPED),
        (PlayerState.STALLED, None),
        (PlayerState.PLAYING, None),
    ]


def test_no_startup_time_is_made_up_of_lines_that_were_read_at_once(file: Path) -> None:
    log = source(file)
    log.look()
    write(file, "opening", "play ok")
    assert told(log.look())[0] == (PlayerState.PLAYING, None)


def test_a_rotated_log_is_read_to_its_end_and_the_new_one_from_its_beginning(file: Path) -> None:
    log = source(file)
    log.look()
    write(file, "play ok")
    log.look()
    write(file, "buffering")
    file.rename(file.with_name("player.log.1"))
    assert told(log.look()) == [(PlayerState.PLAYING, None)], "in between there is no log"
    write(file, "恢复", "ERROR E2: broken")
    assert [state for state, _ in told(log.look())] == [
        PlayerState.STALLED,
        PlayerState.PLAYING,
        PlayerState.IDLE,
        PlayerState.IDLE,
    ]


def test_a_truncated_log_is_read_from_its_beginning(file: Path) -> None:
    log = source(file)
    write(file, *["old"] * 100)
    log.look()
    file.write_text("")
    write(file, "play ok")
    assert told(log.look())[0] == (PlayerState.PLAYING, None)


def test_a_log_that_is_not_there_yet_is_unknown_until_it_is(file: Path) -> None:
    file.unlink()
    log = source(file)
    assert told(log.look()) == [(PlayerState.UNKNOWN, None)]
    write(file, "play ok")
    assert told(log.look()) == [(PlayerState.PLAYING, None)]


def test_what_can_not_be_read_is_an_error_of_the_look(tmp_path: Path) -> None:
    write(tmp_path / "x", "y")
    with pytest.raises(IsADirectoryError):
        source(tmp_path).look()


def test_a_player_whose_program_is_gone_is_gone(file: Path) -> None:
    write(file, "play ok")
    log = source(file, names=("no-such-player",))
    assert told(log.look()) == [(PlayerState.ABSENT, End.GONE)]
    assert told(log.look()) == [(PlayerState.ABSENT, None)]


# --- what nobody should have written ------------------------------------------------------------------------------------


def test_a_line_of_ten_megabytes_is_harmless(file: Path) -> None:
    tail = Tail(file)
    tail.history()
    with file.open("ab") as log:
        log.write(b"x" * 10_000_000 + b"\nplay ok\n")
    found: list[bytes] = []
    for _ in range(3 * FAR_BYTES // MOST_BYTES):
        lines = tail.lines()
        assert sum(map(len, lines)) <= MOST_BYTES and len(tail._held) <= MAX_LINE
        found += lines
    assert found[-1] == b"play ok"
    assert all(len(line) <= MAX_LINE for line in found)


def test_a_long_line_is_cut_and_the_next_one_is_whole(file: Path) -> None:
    tail = Tail(file)
    tail.history()
    with file.open("ab") as log:
        log.write(b"y" * 300_000 + b"\nnext\n")
    found = [line for _ in range(10) for line in tail.lines()]
    assert [len(found[0]), *found[1:]] == [MAX_LINE, b"next"]


def test_a_log_that_grows_faster_than_it_is_read_is_caught_up_with(file: Path) -> None:
    tail = Tail(file)
    tail.history()
    with file.open("ab") as log:
        log.write(b"noise\n" * (FAR_BYTES // 3) + b"last\n")
    assert tail.lines()[-1] == b"last"


@given(st.binary(max_size=200))
def test_any_bytes_are_a_line_that_means_something_or_not(data: bytes) -> None:
    line = READER.read(data)
    assert line is None or isinstance(line, Line)


@given(st.lists(st.binary(max_size=5000).map(lambda data: data.replace(b"\n", b"")), max_size=20), st.randoms())
def test_lines_come_whole_and_in_order_however_they_were_written(lines: list[bytes], chance: random.Random) -> None:
    data = b"".join(line + b"\n" for line in lines)
    tail = Tail(Path("none"))
    found: list[bytes] = []
    while data:
        size = chance.randint(1, 3000)
        part, data = data[:size], data[size:]
        found += tail._split(part)
    assert [line[:MAX_LINE].rstrip(b"\r") for line in lines] == [line.rstrip(b"\r") for line in found]


def test_a_random_file_costs_a_bounded_look(file: Path) -> None:
    log = source(file)
    log.look()
    chance = random.Random(4)
    for _ in range(20):
        with file.open("ab") as out:
            out.write(chance.randbytes(200_000))
        if chance.random() < 0.3:
            os.truncate(file, chance.randint(0, 1000))
        begun = time.monotonic()
        assert log.look()[-1].state in PlayerState
        assert time.monotonic() - begun < 20


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("can't open http://tv.example/课?key=1: refused", "can't open … refused"),
        ("rtsp://10.0.0.1:554/ch1 lost", "… lost"),
        ("server 10.0.0.1:8080 gone", "server … gone"),
        (r"no file D:\课程\第一课.mp4 here", "no file … here"),
        ("no file /home/site/film.mp4 here", "no file … here"),
        ("title 'The lesson of the day' failed", "title … failed"),
        ("《三农讲座》 failed", "… failed"),
        ("loading failed", "loading failed"),
        ("a\x00b\x1b[31m\nc", "a b [31m c"),
    ],
)
def test_what_people_watch_is_left_out_of_what_a_player_says(said: str, kept: str) -> None:
    assert scrubbed(said) == kept


@given(st.text(max_size=3000))
def test_what_is_told_fits_the_wire(text: str) -> None:
    told = scrubbed(text)
    assert len(told) <= 200 and told.isprintable()
