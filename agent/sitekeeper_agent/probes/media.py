"""The media rung: would a player get its first bytes of each configured stream, and does a live one move?

Every ``media_interval_s`` each stream is tried as a player does: playlist, variant, segment. A success that is only repeated
would hide a line that has died meanwhile, for the ladder takes it as proof of all that it rests on. So in between the
address is asked for its first kilobyte, and only then the last finding stands; otherwise the whole trial is made at once.
"""

import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from zlib import crc32

from sitekeeper_agent.platform import Family
from sitekeeper_agent.probes import fetch, hls, http
from sitekeeper_agent.probes.fetch import Failed, Fetched
from sitekeeper_agent.probes.http import Span
from sitekeeper_agent.probes.probe import MAX_TARGET, Context, Findings, Portal, left_s, network_identity, paths
from sitekeeper_agent.probes.reference import resolve
from sitekeeper_agent.probes.streams import MULTICAST
from sitekeeper_protocol.ladder import Reading
from sitekeeper_protocol.messages import SeriesKey
from sitekeeper_protocol.vocabulary import Method, Metric, Reason, Rung, State, to_wire

_AT_ONCE = 3
"""Streams tried at the same time: more would slow each other down on a rural line."""
_SEGMENT_BYTES = 64 * 1024
_INIT_BYTES = 16 * 1024
_GLANCE_BYTES = 1024
_STILL_TARGETS = 3
_EARLY = 0.98
"""A trial is due this much before its interval is over, so that a round that comes a moment early does not put it off."""
_PAGES = ("text/html", "application/xhtml+xml", "application/json", "application/xml", "text/xml", "application/dash+xml")
_PAGE_STARTS = (b"<!doctype", b"<html", b"<?xml", b"<head", b"<script", b"<mpd")
_METHODS = {"rtsp": Method.RTSP, "rtp": Method.MULTICAST, "udp": Method.MULTICAST}
_GRAVEST = (State.FAIL, State.DEGRADED, State.OK, State.SILENT, State.NOT_APPLICABLE)


class Trial(NamedTuple):
    """What a trial of one stream over one path found.

    ``rtt_ms`` is the time to the first byte of the segment, ``startup_ms`` that until enough of it had come to begin; of RTP
    and multicast those to the first packet and the tenth, with the share that was missing and the jitter.
    ``number`` is that of the newest segment of a live stream (-1: none), ``moved_ms`` since when it has been the newest.
    """

    state: State
    reason: Reason = Reason.NONE
    rtt_ms: float | None = None
    startup_ms: float | None = None
    status: int | None = None
    number: int = -1
    moved_ms: int = 0
    loss_ratio: float | None = None
    jitter_ms: float | None = None


class Kept(NamedTuple):
    """What is remembered of a stream over a path; times are of ``time.monotonic()``, ``rtt_us`` is -1 for none."""

    tried_ms: int
    network: int
    state: int
    reason: int
    rtt_us: int
    number: int
    moved_ms: int

    @property
    def trial(self) -> Trial:
        rtt_ms = None if self.rtt_us < 0 else self.rtt_us / 1000
        return Trial(State(self.state), Reason(self.reason), rtt_ms, number=self.number, moved_ms=self.moved_ms)


class _Job(NamedTuple):
    place: int
    path: Family
    stream: Portal

    @property
    def key(self) -> str:
        return f"{self.path}/{self.place}"


class _Outcome(NamedTuple):
    trial: Trial
    kept: Kept


def probe(context: Context) -> Findings:
    """Try the streams that are due, glance at the others; the worst that can work here stands for the rung."""
    measured = paths(context)
    if not context.media:
        none = (Reading(rung=Rung.MEDIA, path=p, state=State.NOT_APPLICABLE, reason=Reason.NOT_CONFIGURED) for p in measured)
        return Findings(tuple(none), {}, {})
    jobs = [_Job(at, path, stream) for at, stream in enumerate(context.media, 1) for path in measured]
    found = _work(jobs, context)
    readings: list[Reading] = []
    for path in measured:
        readings.extend(_rung(path, [(job, found[job].trial) for job in jobs if job.path == path], context.proven))
    counters = {f"{job.key}/{name}": value for job in jobs for name, value in found[job].kept._asdict().items()}
    return Findings(tuple(readings), _values((job, found[job].trial) for job in jobs), {}, counters)


# --- work -------------------------------------------------------------------------------------------------------------------


def _work(jobs: list[_Job], context: Context) -> dict[_Job, _Outcome]:
    """All jobs done, a few at a time, by the context's deadline. Raises what one of them raised."""
    network = crc32(network_identity(context).encode())
    waiting, found = deque(jobs), dict[_Job, _Outcome]()
    raised: list[Exception] = []

    def work() -> None:
        while not raised:
            try:
                job = waiting.popleft()
            except IndexError:
                return
            # One that is dead leaves those behind it their share of the time.
            share_s = context.left_s * min(1.0, _AT_ONCE / (len(waiting) + 1))
            try:
                found[job] = _attend(job, context, time.monotonic() + share_s, network)
            except Exception as err:  # noqa: BLE001 - it is raised again in the probe's own thread, for the runner to tell
                raised.append(err)

    workers = [threading.Thread(target=work, name="probe-media", daemon=True) for _ in range(min(_AT_ONCE, len(jobs)))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if raised:
        raise raised[0]
    return found


def _attend(job: _Job, context: Context, deadline: float, network: int) -> _Outcome:
    """A glance where that will do, else a whole trial."""
    now_ms = time.monotonic_ns() // 1_000_000
    kept = recall(context.before, job.key)
    if kept and not due(kept, now_ms, network, context.media_interval_s) and glance(job.stream, job.path, context, deadline):
        return _Outcome(kept.trial, kept)
    trial = attempt(job.stream, job.path, context, deadline, kept)
    rtt_us = -1 if trial.rtt_ms is None else round(trial.rtt_ms * 1000)
    return _Outcome(trial, Kept(now_ms, network, trial.state, trial.reason, rtt_us, trial.number, trial.moved_ms))


def recall(before: Mapping[str, int], key: str) -> Kept | None:
    """What the counters of the round before hold of a stream; ``None`` if nothing, or nothing that makes sense."""
    try:
        kept = Kept(*(before[f"{key}/{name}"] for name in Kept._fields))
        State(kept.state), Reason(kept.reason)
    except (KeyError, ValueError):
        return None
    return kept


def due(kept: Kept, now_ms: int, network: int, interval_s: float) -> bool:
    """Whether a whole trial is wanted: in its time, in another network, and as long as the last one went wrong."""
    age_ms = now_ms - kept.tried_ms
    well = kept.state in (State.OK, State.DEGRADED)
    return not well or kept.network != network or not 0 <= age_ms < interval_s * 1000 * _EARLY


# --- one stream -------------------------------------------------------------------------------------------------------------


def glance(stream: Portal, path: Family, context: Context, deadline: float) -> bool:
    """Whether the stream's address still answers with the beginning of a playlist or file; costs a kilobyte or two."""
    half = deadline - left_s(deadline) / 2
    if stream.scheme == "rtsp":
        from sitekeeper_agent.probes import rtsp

        return rtsp.glance(stream, path, context, half)
    if stream.scheme in MULTICAST:
        from sitekeeper_agent.probes import multicast

        return multicast.listen(stream, path, context, half, most_bytes=1).state != State.FAIL
    try:
        got = fetch.follow(stream, path, context, half, _GLANCE_BYTES, Span(0, _GLANCE_BYTES))
        _demand_media(got)
    except Failed:
        return False
    return got.response.complete and (hls.is_playlist(got.response.body) or not _names_playlist(got.address))


def attempt(stream: Portal, path: Family, context: Context, deadline: float, kept: Kept | None) -> Trial:
    """A whole trial, as a player would begin. Never raises for what a server says."""
    if stream.scheme not in ("http", "https"):
        return _listened(stream, path, context, deadline)
    number, moved_ms = (kept.number, kept.moved_ms) if kept else (-1, 0)
    try:
        return _begin(stream, path, context, deadline, kept)
    except Failed as failed:
        return Trial(failed.state, failed.reason, None, None, failed.phases.status, number, moved_ms)


def _listened(stream: Portal, path: Family, context: Context, deadline: float) -> Trial:
    """A few seconds of RTP, by RTSP or from a group; what speaks that is loaded only where it is wanted."""
    if stream.scheme == "rtsp":
        from sitekeeper_agent.probes.rtsp import listen
    else:
        from sitekeeper_agent.probes.multicast import listen
    found = listen(stream, path, context, deadline)
    return Trial(
        found.state,
        found.reason,
        found.first_ms,
        found.ready_ms,
        found.status,
        loss_ratio=found.heard.loss_ratio if found.heard.packets else None,
        jitter_ms=found.heard.jitter_ms,
    )


def _begin(stream: Portal, path: Family, context: Context, deadline: float, kept: Kept | None) -> Trial:
    begun = time.monotonic()
    span = None if _names_playlist(stream) else Span(0, _SEGMENT_BYTES)
    got = fetch.follow(stream, path, context, deadline, http.MAX_BYTES, span)
    _demand_media(got)
    if not hls.is_playlist(got.response.body) and not _names_playlist(got.address):
        return _begun(got, begun, context.slow_ms)
    playlist = _playlist(got)
    if isinstance(playlist, hls.Master):
        got = fetch.follow(_named(playlist.lowest, got), path, context, deadline, http.MAX_BYTES)
        _demand_media(got)
        playlist = _playlist(got)
        if isinstance(playlist, hls.Master):
            raise Failed(Reason.WRONG_CONTENT, got.phases)
    number, moved_ms = moved(playlist, kept, time.monotonic_ns() // 1_000_000)
    if stalled(playlist, moved_ms, time.monotonic_ns() // 1_000_000):
        return Trial(State.FAIL, Reason.STREAM_STALLED, None, None, got.phases.status, number, moved_ms)
    try:
        found = _segment(playlist, got, path, context, deadline)
    except Failed as failed:
        return Trial(failed.state, failed.reason, None, None, failed.phases.status, number, moved_ms)
    return _begun(found, begun, context.slow_ms)._replace(number=number, moved_ms=moved_ms)


def moved(playlist: hls.Media, kept: Kept | None, now_ms: int) -> tuple[int, int]:
    """The number of a live list's newest segment, and since when it has been that one."""
    if not playlist.live:
        return -1, 0
    still = kept is not None and kept.number == playlist.number and 0 < kept.moved_ms <= now_ms
    return playlist.number, kept.moved_ms if kept and still else now_ms


def stalled(playlist: hls.Media, moved_ms: int, now_ms: int) -> bool:
    """Whether a live list has not moved for three target durations: a player has played all that it holds by then."""
    return playlist.live and now_ms - moved_ms > _STILL_TARGETS * playlist.target_s * 1000


def _segment(playlist: hls.Media, got: Fetched, path: Family, context: Context, deadline: float) -> Fetched:
    """The first bytes of the segment to try, after those that must come before it. Raises ``Failed``."""
    parts = [(playlist.segment, _SEGMENT_BYTES)]
    if playlist.init is not None:
        parts.insert(0, (playlist.init, _INIT_BYTES))
    found = got
    for part, most in parts:
        wanted = Span(part.span.first, min(part.span.length, most)) if part.span else Span(0, most)
        found = fetch.follow(_named(part.uri, got), path, context, deadline, wanted.length, wanted)
        _demand_media(found)
    return found


def _begun(found: Fetched, begun: float, slow_ms: int) -> Trial:
    """What the first bytes of a segment or file, come or not, say about the stream."""
    response, startup_ms = found.response, (time.monotonic() - begun) * 1000
    if not response.sound:
        raise Failed(Reason.MALFORMED_REPLY, found.phases)
    if not response.body:
        raise Failed(Reason.WRONG_CONTENT if response.complete else Reason.TIMEOUT, found.phases)
    slow = startup_ms > slow_ms or not response.complete
    return Trial(
        State.DEGRADED if slow else State.OK,
        Reason.SLOW if slow else Reason.NONE,
        (found.first_byte - begun) * 1000,
        startup_ms,
        found.phases.status,
    )


def _demand_media(got: Fetched) -> None:
    """Raise ``Failed`` for an answer that can be neither playlist nor media."""
    status, fields = got.response.head.status, got.response.head.fields
    if status == 511:  # RFC 6585: network authentication required
        raise Failed(Reason.CAPTIVE_PAGE, got.phases)
    if status >= 400:
        raise Failed(Reason.HTTP_SERVER_ERROR if status >= 500 else Reason.HTTP_CLIENT_ERROR, got.phases)
    kind = fields.get("content-type", "").partition(";")[0].strip().lower()
    packed = fields.get("content-encoding", "identity").strip().lower() not in ("", "identity")
    start = got.response.body[:64].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    # A login page is no more than this here: only the portal's rung knows enough to call it a bill.
    if status not in (200, 203, 206) or packed or kind in _PAGES or start.startswith(_PAGE_STARTS):
        raise Failed(Reason.WRONG_CONTENT, got.phases)


def _playlist(got: Fetched) -> hls.Master | hls.Media:
    """The playlist that was fetched. Raises ``Failed``."""
    response = got.response
    if not response.complete:
        raise Failed(Reason.TIMEOUT, got.phases)
    if not response.sound:
        raise Failed(Reason.MALFORMED_REPLY, got.phases)
    if not hls.is_playlist(response.body):
        raise Failed(Reason.WRONG_CONTENT, got.phases)
    try:
        return hls.parse(response.body, whole=len(response.body) < http.MAX_BYTES)
    except hls.BadPlaylist:
        raise Failed(Reason.MALFORMED_REPLY, got.phases) from None


def _named(uri: str, by: Fetched) -> Portal:
    """The address that a playlist names. Raises ``Failed`` for one that no player may follow."""
    address = resolve(by.address, uri)
    if address is None:
        raise Failed(Reason.WRONG_CONTENT, by.phases)
    return address


def _names_playlist(address: Portal) -> bool:
    return address.target.partition("?")[0].lower().endswith((".m3u8", ".m3u"))


# --- what is told -----------------------------------------------------------------------------------------------------------


def _rung(path: Family, trials: list[tuple[_Job, Trial]], proven: frozenset[tuple[str, Rung]]) -> list[Reading]:
    """The reading that stands for the rung, and where there are several streams one more for each."""
    if len(trials) == 1:
        return [_reading(path, *trials[0], "")]
    labelled = [_reading(path, job, trial, str(job.place)) for job, trial in trials]
    # A stream that has never worked, perhaps a mistake in its address, must not hide what becomes of the others.
    able = [reading for reading in labelled if reading.answered or reading.proof in proven]
    worst = min(able or labelled, key=lambda reading: _GRAVEST.index(reading.state))
    return [_reading(path, *trials[labelled.index(worst)], ""), *labelled]


def _reading(path: Family, job: _Job, trial: Trial, label: str) -> Reading:
    return Reading(
        rung=Rung.MEDIA,
        path=path,
        state=trial.state,
        reason=trial.reason,
        rtt_ms=trial.rtt_ms,
        method=_METHODS.get(job.stream.scheme, Method.HTTP),
        # The host alone: what is watched is nobody's business.
        target=job.stream.host[:MAX_TARGET],
        label=label,
    )


def _values(trials: Iterable[tuple[_Job, Trial]]) -> dict[SeriesKey, int]:
    """Of each stream what was measured now, on the first path that it came over or else was tried over."""
    told: dict[int, Trial] = {}
    for job, trial in trials:
        before = told.get(job.place)
        if before is None or (before.startup_ms is None and trial.startup_ms is not None):
            told[job.place] = trial
    values: dict[SeriesKey, int] = {}
    for place, trial in told.items():
        measured = (
            (Metric.MEDIA_STARTUP_MS, trial.startup_ms),
            (Metric.MEDIA_STATUS, trial.status),
            (Metric.MEDIA_LOSS_RATIO, trial.loss_ratio),
            (Metric.MEDIA_JITTER_MS, trial.jitter_ms),
        )
        for metric, value in measured:
            if value is not None:
                values[metric.value, str(place)] = to_wire(metric, value)
    return values
