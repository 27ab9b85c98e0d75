"""The machine itself: processor, memory, disks, temperature, traffic, and what the agent costs it."""

import os
import sys
import time
from collections.abc import Mapping

import psutil

from sitekeeper_agent import __version__
from sitekeeper_agent.platform import Idle, Roots, boottime_ms, default_route, os_name, session_idle, system_volume
from sitekeeper_agent.probes.probe import MAX_TARGET, Context, Findings
from sitekeeper_protocol import __version__ as protocol_version
from sitekeeper_protocol.messages import Scalar, SeriesKey
from sitekeeper_protocol.vocabulary import Metric, to_wire

_HOTTEST_C = 150
_OWN = psutil.Process()
_LOGIND_S = 1.0


def probe(context: Context) -> Findings:
    """Everything that psutil tells without help; rates come from the counters of the round before."""
    now = {**_processor_ms(), **_traffic(context.roots), "agent_cpu_ms": round(time.process_time() * 1000)}
    values = _levels(context.state_dir)
    values.update(rates(context.before, now))
    active = in_use(session_idle(min(_LOGIND_S, context.left_s), context.roots), known=context.idle_known)
    if active is not None:
        values[_key(Metric.SESSION_ACTIVE)] = int(active)
    return Findings((), values, _facts(context.roots), now)


def in_use(idle: Idle | None, *, known: bool) -> bool | None:
    """Whether keys or mouse are used; ``None``: it can't be told.

    Many desktops never tell logind that nobody is there. So "in use" is believed only of one that has said the other before
    (``known``), and "idle" of one that says since when; without any session logind calls a PC idle that nobody has asked.
    """
    if idle is None or (not known and not (idle.hint and idle.since_us)):
        return None
    return not idle.hint


def _levels(state_dir: str) -> dict[SeriesKey, int]:
    memory = psutil.virtual_memory()
    values = {
        _key(Metric.MEMORY_AVAILABLE_RATIO): to_wire(Metric.MEMORY_AVAILABLE_RATIO, memory.available / (memory.total or 1)),
        _key(Metric.PROCESSES): len(psutil.pids()),
        _key(Metric.HOST_UPTIME_S): to_wire(Metric.HOST_UPTIME_S, boottime_ms() / 1000),
        _key(Metric.AGENT_RSS_BYTES): to_wire(Metric.AGENT_RSS_BYTES, _OWN.memory_info().rss),
    }
    for volume in dict.fromkeys((system_volume(), volume_of(state_dir))):
        values.update(_disk(volume))
    temperature = _hottest_c()
    if temperature is not None:
        values[_key(Metric.TEMPERATURE_C)] = to_wire(Metric.TEMPERATURE_C, temperature)
    return values


def _key(metric: Metric, instance: str = "") -> SeriesKey:
    return metric.value, instance[:MAX_TARGET]


def _disk(volume: str) -> dict[SeriesKey, int]:
    try:
        usage = psutil.disk_usage(volume)
    except (OSError, ValueError):
        return {}  # one volume that can't be read costs its own reading
    used = usage.used / ((usage.used + usage.free) or 1)
    return {
        _key(Metric.DISK_FREE_BYTES, volume): to_wire(Metric.DISK_FREE_BYTES, usage.free),
        _key(Metric.DISK_USED_RATIO, volume): to_wire(Metric.DISK_USED_RATIO, used),
    }


def volume_of(folder: str) -> str:
    """The mount point that ``folder`` lies on; of a folder that is yet to be made, that of its nearest parent."""
    try:
        path = os.path.abspath(folder)  # noqa: PTH100 - text all along: with path objects this took a tenth of the probe
        while not os.path.ismount(path) and (parent := os.path.dirname(path)) != path:  # noqa: PTH120 - as above
            path = parent
    except (OSError, ValueError):
        return system_volume()
    return path


def _hottest_c() -> float | None:
    read = getattr(psutil, "sensors_temperatures", None)
    if read is None:
        return None
    try:
        found = [sensor.current for sensors in read().values() for sensor in sensors]
    except (OSError, ValueError):
        return None
    # Sensors that are not connected show 0, -273 or 255.
    return max((c for c in found if c is not None and 0 < c < _HOTTEST_C), default=None)


def _processor_ms() -> dict[str, int]:
    times = psutil.cpu_times()
    # Guest time is part of user time already, see proc_stat(5).
    fields = {name: value for name, value in times._asdict().items() if not name.startswith("guest")}
    idle = fields.get("idle", 0.0) + fields.get("iowait", 0.0)
    return {"cpu_all_ms": round(sum(fields.values()) * 1000), "cpu_idle_ms": round(idle * 1000)}


def _traffic(roots: Roots) -> dict[str, int]:
    interface = default_route("ipv4", roots).interface or default_route("ipv6", roots).interface
    counters = psutil.net_io_counters(pernic=True, nowrap=False).get(interface) if interface else None
    if counters is None:
        return {}
    return {f"received {interface}": counters.bytes_recv, f"sent {interface}": counters.bytes_sent}


def rates(before: Mapping[str, int], now: dict[str, int]) -> dict[SeriesKey, int]:
    """Values since the round before; none for a counter that is new or has started again."""
    grown = {name: count - before[name] for name, count in now.items() if name in before and count >= before[name]}
    values: dict[SeriesKey, int] = {}
    if grown.get("cpu_all_ms") and "cpu_idle_ms" in grown:
        busy = 1 - min(1.0, grown["cpu_idle_ms"] / grown["cpu_all_ms"])
        values[_key(Metric.CPU_RATIO)] = to_wire(Metric.CPU_RATIO, busy)
    if "agent_cpu_ms" in grown:
        values[_key(Metric.AGENT_CPU_S)] = to_wire(Metric.AGENT_CPU_S, grown["agent_cpu_ms"] / 1000)
    for name, amount in grown.items():
        direction, _, interface = name.partition(" ")
        if interface:
            metric = Metric.NET_RECEIVED_BYTES if direction == "received" else Metric.NET_SENT_BYTES
            values[_key(metric, interface)] = to_wire(metric, amount)
    return values


def _facts(roots: Roots) -> dict[str, Scalar]:
    return {
        "agent": __version__,
        "protocol": protocol_version,
        "python": ".".join(str(part) for part in sys.version_info[:3]),
        "os": os_name(roots),
        "machine": os.uname().machine if sys.platform != "win32" else os.environ.get("PROCESSOR_ARCHITECTURE", ""),
        "cpus": os.cpu_count() or 0,
        "memory_mib": psutil.virtual_memory().total // 1048576,
    }
