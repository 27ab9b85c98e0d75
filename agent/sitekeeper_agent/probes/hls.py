"""The little of HTTP Live Streaming (RFC 8216) that tells what a player would fetch; playlists are anybody's text."""

import re
from typing import NamedTuple

from sitekeeper_agent.probes.http import Span

MARK = "#EXTM3U"
_MAX_LINE = 8192
_ATTRIBUTE = re.compile(r'(?:^|,) ?([A-Z0-9-]{1,64})=("[^"]*"|[^",]*)')
_DIGITS = 15
_DEFAULT_TARGET_S = 10
"""Apple's old recommendation, for a playlist that lacks the tag that it must have."""


class BadPlaylist(ValueError):
    """The text is no playlist that a player could use."""


class Part(NamedTuple):
    """A resource, or the part of it that ``span`` names; ``uri`` as the playlist has it."""

    uri: str
    span: Span | None = None


class Master(NamedTuple):
    """A list of the same stream in several bandwidths; ``lowest`` is the reference to the one that needs least."""

    lowest: str


class Media(NamedTuple):
    """A list of segments. ``number`` is that of the newest one, which a live list moves on; ``live``: more will come.

    ``segment`` is what to try: of a live list the newest one, of a recording the first, where a player begins; ``init`` is
    what must come before it (EXT-X-MAP).
    """

    segment: Part
    init: Part | None
    number: int
    target_s: int
    live: bool


def is_playlist(body: bytes) -> bool:
    """Whether this begins as every playlist must; a byte order mark is forgiven."""
    return body.removeprefix(b"\xef\xbb\xbf").startswith(MARK.encode())


def parse(body: bytes, whole: bool = True) -> Master | Media:
    """The playlist in ``body``; of one that is not ``whole`` the last line is left out. Raises ``BadPlaylist``."""
    if not is_playlist(body):
        raise BadPlaylist(f"no {MARK}")
    if b"\0" in body:
        raise BadPlaylist("a NUL byte")
    # Titles in GBK are common and of no use here.
    lines = body.decode("utf-8", "replace").split("\n")
    reader = _Reader()
    for line in lines if whole else lines[:-1]:
        if len(line) > _MAX_LINE:
            raise BadPlaylist(f"a line of more than {_MAX_LINE} characters")
        reader.take(line.strip())
    return reader.result(whole)


class _Reader:
    """Takes a playlist line by line and keeps only what counts."""

    def __init__(self) -> None:
        self._variants: list[tuple[int, str]] = []
        self._bandwidth: int | None = None
        self._segments = 0
        self._sequence = 0
        self._target_s = _DEFAULT_TARGET_S
        self._ended = False
        self._gap = False
        self._span: tuple[int, int | None] | None = None
        self._init: Part | None = None
        self._before: Part | None = None
        self._first: tuple[Part, Part | None] | None = None
        self._newest: tuple[Part, Part | None] | None = None

    def take(self, line: str) -> None:
        """One line, without white space around it."""
        if not line.startswith("#"):
            if line:
                self._take_uri(line)
            return
        tag, _, value = line.partition(":")
        if tag == "#EXT-X-STREAM-INF":
            self._bandwidth = _number(_attributes(value).get("BANDWIDTH", ""), 10**_DIGITS)
        elif tag == "#EXT-X-TARGETDURATION":
            self._target_s = max(1, _number(value.partition(".")[0], _DEFAULT_TARGET_S))
        elif tag == "#EXT-X-MEDIA-SEQUENCE":
            self._sequence = _number(value, 0)
        elif tag == "#EXT-X-BYTERANGE":
            self._span = _byte_range(value)
        elif tag == "#EXT-X-MAP":
            self._init = _map(_attributes(value))
        elif tag == "#EXT-X-GAP":
            self._gap = True
        elif tag == "#EXT-X-ENDLIST" or (tag == "#EXT-X-PLAYLIST-TYPE" and value.strip() == "VOD"):
            self._ended = True

    def _take_uri(self, uri: str) -> None:
        if self._bandwidth is not None:
            self._variants.append((self._bandwidth, uri))
            self._bandwidth = None
            return
        self._segments += 1
        part = Part(uri, self._placed(uri))
        if not self._gap:
            self._first = self._first or (part, self._init)
            self._newest = part, self._init
        self._before, self._span, self._gap = part, None, False

    def _placed(self, uri: str) -> Span | None:
        """The byte range of the segment; one without an offset begins where the segment before ended (section 4.3.2.2)."""
        if self._span is None:
            return None
        length, first = self._span
        if first is None:
            before = self._before
            first = before.span.first + before.span.length if before and before.uri == uri and before.span else 0
        return Span(first, length)

    def result(self, whole: bool) -> Master | Media:
        """What the lines came to. Raises ``BadPlaylist`` where there is nothing to play."""
        if self._variants:
            return Master(min(self._variants)[1])
        if self._first is None or self._newest is None:
            raise BadPlaylist("nothing to play")
        # Of a list that is longer than what was read nothing is known of its end.
        segment, init = self._first if self._ended else self._newest
        return Media(segment, init, self._sequence + self._segments - 1, self._target_s, whole and not self._ended)


def _number(text: str, otherwise: int) -> int:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else otherwise


def _attributes(text: str) -> dict[str, str]:
    return {found[1]: found[2].strip('" ') for found in _ATTRIBUTE.finditer(text)}


def _byte_range(text: str) -> tuple[int, int | None] | None:
    """``n[@o]``: length, and offset where it is told; ``None`` for what makes no sense."""
    length, at, offset = text.partition("@")
    wanted, first = _number(length, 0), _number(offset, -1)
    if wanted < 1 or (at and first < 0):
        return None
    return wanted, first if at else None


def _map(attributes: dict[str, str]) -> Part | None:
    uri = attributes.get("URI", "")
    span = _byte_range(attributes.get("BYTERANGE", ""))
    return Part(uri, Span(span[1] or 0, span[0]) if span else None) if uri else None
