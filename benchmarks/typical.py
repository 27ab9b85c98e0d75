"""What a typical site PC measures, with honest noise: the input of the benchmarks."""

import random
from collections.abc import Callable, Iterator

from sitekeeper_protocol.codec import site_check
from sitekeeper_protocol.messages import Clock, Header, Report, Sample, SeriesKey
from sitekeeper_protocol.vocabulary import Method, Metric, Rung

START_MS = 1_800_000_000_000
_METHODS = {
    Rung.LINK: Method.SYSTEM,
    Rung.ADDRESS: Method.SYSTEM,
    Rung.GATEWAY: Method.PING_SOCKET,
    Rung.ISP: Method.PING_SOCKET,
    Rung.DNS: Method.UDP_QUERY,
    Rung.PORTAL: Method.HTTP,
}

Source = Callable[[], int]


def _noise(rng: random.Random, mean: float, spread: float) -> Source:
    return lambda: max(1, round(rng.gauss(mean, spread)))


def _rising(start: int, step: Source) -> Source:
    value = start

    def rise() -> int:
        nonlocal value
        value += step()
        return value

    return rise


def _ladder(rng: random.Random) -> dict[SeriesKey, Source]:
    sources: dict[SeriesKey, Source] = {}
    for rung, method in _METHODS.items():
        instance = f"ipv4/{rung.name.lower()}"
        sources[Metric.RUNG_STATE, instance] = lambda: 0
        sources[Metric.RUNG_METHOD, instance] = lambda method=method: int(method)  # type: ignore[misc]
        if rung >= Rung.GATEWAY:
            mean = rng.uniform(8, 400)
            sources[Metric.RUNG_RTT_MS, instance] = _noise(rng, mean, mean / 8)
        if rung == Rung.ISP:
            sources[Metric.RUNG_LOSS_RATIO, instance] = lambda: 0 if rng.random() > 0.02 else 250
    return sources


def pc(rng: random.Random) -> dict[SeriesKey, Source]:
    """One PC: for each of its series, where the next integer comes from."""
    sources = _ladder(rng)
    for metric in (
        Metric.PORTAL_DNS_MS,
        Metric.PORTAL_CONNECT_MS,
        Metric.PORTAL_TLS_MS,
        Metric.PORTAL_FIRST_BYTE_MS,
    ):
        mean = rng.uniform(4, 120)
        sources[metric, ""] = _noise(rng, mean, mean / 6)
    free = rng.randint(5_000, 90_000)
    sources |= {
        (Metric.VERDICT_STATE, ""): lambda: 0,
        (Metric.PORTAL_STATUS, ""): lambda: 200,
        (Metric.PORTAL_CERTIFICATE_DAYS, ""): lambda: 73,
        (Metric.CPU_RATIO, ""): _noise(rng, 12, 6),
        (Metric.MEMORY_AVAILABLE_RATIO, ""): _noise(rng, 48, 1),
        (Metric.DISK_FREE_BYTES, "/"): lambda: free - rng.randint(0, 1),
        (Metric.DISK_USED_RATIO, "/"): lambda: 412,
        (Metric.TEMPERATURE_C, ""): _noise(rng, 46, 1),
        (Metric.PROCESSES, ""): _noise(rng, 152, 2),
        (Metric.NET_RECEIVED_BYTES, "enp3s0"): _noise(rng, 400, 200),
        (Metric.NET_SENT_BYTES, "enp3s0"): _noise(rng, 90, 40),
        (Metric.HOST_UPTIME_S, ""): _rising(rng.randint(5, 400), lambda: 1),
        (Metric.AGENT_CPU_S, ""): _noise(rng, 3, 1),
        (Metric.AGENT_RSS_BYTES, ""): lambda: 26,
        (Metric.SPOOL_HELD, ""): _rising(rng.randint(1_000, 9_000), lambda: 1),
        (Metric.SPOOL_UNCONFIRMED, ""): _rising(rng.randint(0, 50), lambda: 1),
        (Metric.SPOOL_BYTES, ""): lambda: 2140,
        (Metric.PROBES_HUNG, ""): lambda: 0,
        (Metric.CLOCK_OFFSET_S, ""): lambda: -3,
    }
    return sources


def samples(rng: random.Random, *, interval_ms: int = 60_000) -> Iterator[Sample]:
    """The samples of one PC, one each ``interval_ms``, for ever."""
    sources = pc(rng)
    boottime, wall, sequence = rng.randint(10**5, 10**7), START_MS + rng.randint(0, 10**9), 0
    while True:
        sequence += 1
        late = rng.randint(-3, 9)
        yield Sample(
            sequence=sequence,
            wall_ms=wall + late + (rng.random() < 0.2),
            boottime_ms=boottime + late,
            values={(int(metric), instance): source() for (metric, instance), source in sources.items()},
        )
        boottime, wall = boottime + interval_ms, wall + interval_ms


def report(taken: tuple[Sample, ...], *, site: str, run: int, boot: int, number: int, backlog: bool = False) -> Report:
    """A report of ``taken``, sent 40 ms after the last of them."""
    last = taken[-1]
    return Report(
        header=Header(
            site_check=site_check(site),
            run=run,
            connection=3,
            number=number,
            backlog=backlog,
            wants_receipt=backlog,
            first=taken[0].sequence,
            count=len(taken),
            oldest=1,
            config_revision=0,
        ),
        boot=boot,
        sent_boot=boot,
        sent_wall_ms=last.wall_ms + 40,
        sent_boottime_ms=last.boottime_ms + 40,
        next_within_s=330,
        clock=Clock(last.wall_ms - last.boottime_ms + 712, 38),
        samples=taken,
    )
