"""What each command does, in a thread of its own: bounded in time, bytes and words. Loaded with the first command."""

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from sitekeeper_agent.config import Settings
from sitekeeper_agent.platform import Family
from sitekeeper_agent.probes.probe import Context, Portal, paths
from sitekeeper_protocol.messages import Command, CommandName, ResultState, Scalar

_PLAYBACK_S = 20.0
_LOOKUP_S = 5.0


class Task(NamedTuple):
    """A command with all that it needs. ``most_bytes`` is what a speed test may take in."""

    command: Command
    settings: Settings
    context: Context
    most_bytes: int
    playing: Callable[[], bool]
    log_lines: Callable[[], str]


class Done(NamedTuple):
    """How it went. ``taken_bytes`` were used of ``most_bytes``; ``kbps`` is a rate that the next sample shall carry."""

    state: ResultState
    text: str = ""
    values: Mapping[str, Scalar] = MappingProxyType({})
    taken_bytes: int = 0
    kbps: float | None = None


def carry_out(task: Task) -> Done:
    """Do it. Never raises: what goes wrong is the result."""
    try:
        return _TASKS[task.command.name](task)
    except Exception as err:  # noqa: BLE001 - a command that fails costs its result, not the agent
        return Done(ResultState.FAILED, f"{type(err).__name__}: {err}"[:200], taken_bytes=task.most_bytes)


def _trace(task: Task) -> Done:
    from sitekeeper_agent.remote.trace import TraceUnsupported, trace

    to = task.command.arguments.get("to", "portal")
    if to != "portal" and to not in task.context.anchors:
        known = ", ".join(("portal", *task.context.anchors))
        return Done(ResultState.REFUSED, f"to: {str(to)[:60]!r} is not in this site's settings; known here: {known}")
    destination = _portal_address(task.context) if to == "portal" else str(to)
    if not destination:
        return Done(ResultState.FAILED, "the portal's name leads to no address from here")
    try:
        hops = trace(destination)
    except (TraceUnsupported, OSError) as err:
        return Done(ResultState.FAILED, f"{destination}: {err}")
    values: dict[str, Scalar] = {"to": destination, "reached": bool(hops and hops[-1].reached)}
    for number, hop in enumerate(hops, 1):
        values[str(number)] = (
            "" if not hop.address else f"{hop.address} {hop.rtt_ms or 0:.1f}{' blocked' if hop.blocked else ''}"
        )
    lines = [f"{number:2}  {values[str(number)] or '*'}" for number in range(1, len(hops) + 1)]
    return Done(ResultState.DONE, "\n".join(lines), values)


def _portal_address(context: Context) -> str:
    from sitekeeper_agent.probes.resolve import lookup

    portal = context.portal
    if portal.literal:
        return portal.host
    for path in paths(context):
        found = lookup(portal.host, path, time.monotonic() + _LOOKUP_S, context.roots, context.dns_port)
        if found.addresses:
            return found.addresses[0]
    return ""


def _speed_test(task: Task) -> Done:
    from sitekeeper_agent.probes.probe import parse_portal
    from sitekeeper_agent.remote import speed

    address = parse_portal(task.settings.speed_test)
    path = _path(task.context.proxy or address, task.context)
    found = speed.measure(address, path, task.context, most_bytes=task.most_bytes, playing=task.playing)
    measured = {
        "kbps": None if found.kbps is None else round(found.kbps),
        "bytes": found.taken_bytes,
        "ms": round(found.took_ms),
        "first_byte_ms": None if found.first_byte_ms is None else round(found.first_byte_ms),
        "status": found.status,
    }
    values: dict[str, Scalar] = {name: value for name, value in measured.items() if value is not None}
    if found.stopped:
        return Done(ResultState.FAILED, "stopped: something began to play", values, found.taken_bytes)
    if found.kbps is None:
        why = found.reason.name.lower() if found.reason else f"only {found.taken_bytes} bytes came"
        return Done(ResultState.FAILED, why, values, found.taken_bytes)
    text = f"{found.kbps:.0f} kbit/s ({found.taken_bytes} bytes in {found.took_ms:.0f} ms)"
    return Done(ResultState.DONE, text, values, found.taken_bytes, found.kbps)


def _path(address: Portal, context: Context) -> Family:
    return address.literal or paths(context)[0]


def _playback_test(task: Task) -> Done:
    from sitekeeper_agent.probes import media

    streams, wanted = task.context.media, task.command.arguments.get("stream", 1)
    if isinstance(wanted, bool) or not isinstance(wanted, int) or not 1 <= wanted <= len(streams):
        return Done(ResultState.REFUSED, f"stream: must be 1 to {len(streams)}" if streams else "this site has no streams")
    stream = streams[wanted - 1]
    trial = media.attempt(stream, _path(stream, task.context), task.context, time.monotonic() + _PLAYBACK_S, None)
    measured = {
        "state": trial.state.name.lower(),
        "reason": trial.reason.name.lower(),
        "startup_ms": None if trial.startup_ms is None else round(trial.startup_ms),
        "first_byte_ms": None if trial.rtt_ms is None else round(trial.rtt_ms),
        "status": trial.status,
    }
    values: dict[str, Scalar] = {name: value for name, value in measured.items() if value is not None}
    # The host alone, as everywhere: what is watched is nobody's business.
    return Done(ResultState.DONE, f"{stream.host}: {measured['state']} ({measured['reason']})", values)


def _collect_logs(task: Task) -> Done:
    return Done(ResultState.DONE, task.log_lines())


_TASKS: dict[CommandName, Callable[[Task], Done]] = {
    CommandName.TRACE: _trace,
    CommandName.SPEED_TEST: _speed_test,
    CommandName.PLAYBACK_TEST: _playback_test,
    CommandName.COLLECT_LOGS: _collect_logs,
}
