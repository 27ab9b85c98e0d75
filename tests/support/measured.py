"""What a sample says of playback, equipment and the PC itself, to be joined with what ``played.well`` says of the ladder."""

from sitekeeper_protocol.vocabulary import KINDS, Kind, Metric, PlayerState, Rung, SmartState, State, to_wire
from support.played import Values, failing, well

MEDIA_OK: Values = {(Metric.RUNG_STATE, "ipv4/media"): State.OK}


def playing(
    *, stalled_s: float = 0, failures: int = 0, state: PlayerState = PlayerState.PLAYING, played_s: float = 60
) -> Values:
    """A player called tv, over a minute."""
    return {
        (Metric.PLAYING, ""): 1,
        (Metric.PLAYER_STATE, "tv"): state,
        (Metric.PLAYER_PLAY_S, "tv"): to_wire(Metric.PLAYER_PLAY_S, played_s - stalled_s),
        (Metric.PLAYER_STALL_S, "tv"): to_wire(Metric.PLAYER_STALL_S, stalled_s),
        (Metric.PLAYER_FAILURES, "tv"): failures,
    }


def player(state: PlayerState) -> Values:
    """A player called tv, without a session."""
    return {(Metric.PLAYING, ""): 0, (Metric.PLAYER_STATE, "tv"): state}


def host(*, temperature_c: int = 46, cpu: float = 0.2, memory: float = 0.5, offset_s: int = 1, hung: int = 0) -> Values:
    """The PC itself."""
    return {
        (Metric.TEMPERATURE_C, ""): temperature_c,
        (Metric.CPU_RATIO, ""): to_wire(Metric.CPU_RATIO, cpu),
        (Metric.MEMORY_AVAILABLE_RATIO, ""): to_wire(Metric.MEMORY_AVAILABLE_RATIO, memory),
        (Metric.CLOCK_OFFSET_S, ""): offset_s,
        (Metric.PROBES_HUNG, ""): hung,
    }


def items(**there: bool) -> Values:
    """Expected items: ``display``, ``audio``, ``usb_camera`` and the like."""
    return {(Metric.EQUIPMENT_PRESENT, name.replace("_", "/")): int(is_there) for name, is_there in there.items()}


def disk(*, readonly: bool = False, errors: int = 0, smart: SmartState = SmartState.PASSED) -> Values:
    """A disk's health."""
    return {
        (Metric.DISK_READONLY, "/"): int(readonly),
        (Metric.DISK_IO_ERRORS, "sda"): errors,
        (Metric.SMART_STATE, "sda"): smart,
    }


def settings(differing: int) -> Values:
    """How many settings differ from commissioning."""
    return {(Metric.SETTINGS_DIFFERING, ""): differing}


def download(kbps: int) -> Values:
    """A speed test that has just ended."""
    return {(Metric.DOWNLOAD_KBPS, ""): kbps}


def degraded_line() -> Values:
    """The verdict on a line that loses packets."""
    party = KINDS[Kind.LINE_DEGRADED].party
    assert party is not None
    values = failing(Kind.LINE_DEGRADED, Rung.ISP, party)
    return values | {(Metric.VERDICT_STATE, ""): State.DEGRADED, (Metric.RUNG_STATE, "ipv4/isp"): State.DEGRADED}


def sound() -> Values:
    """All is well with everything that is measured, and something plays."""
    everything = items(display=True, audio=True, usb_camera=True)
    return well() | MEDIA_OK | playing() | host() | everything | disk() | settings(0)
