"""Looks for what the configuration expects at the site: USB and LAN devices, programs, services."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple, TypeVar

from sitekeeper_agent.expectations import Expectations, UsbDevice
from sitekeeper_agent.platform import PlatformUnsupported, Roots, equipment
from sitekeeper_agent.probes import program
from sitekeeper_agent.probes.probe import Context
from sitekeeper_protocol.messages import Scalar

_T = TypeVar("_T")
_ASK_MS = 300_000
"""How often systemd is asked for services whose processes don't show that they run."""
_ASK_S = 3.0
_RUNS = {b"active", b"reloading", b"refreshing"}
_SHOWN, _SAID = 2, 1
"""How a service was known to run: by its processes, or by what systemd said."""
_PASSED: dict[Roots, equipment.Passed] = {}
"""For each root, which is one outside of tests: processes that need no second look."""


class Found(NamedTuple):
    """Items by their sort and name (``usb/camera``), there or not; those that can't be told of are left out."""

    items: dict[str, bool]
    facts: dict[str, Scalar]
    counters: dict[str, int]


def look(context: Context, now_ms: int) -> Found:
    """Look for everything once. ``now_ms`` is an instant of a monotonic clock."""
    expected, roots = context.expected, context.roots
    items: dict[str, bool] = {}
    counters: dict[str, int] = {}
    facts: dict[str, Scalar] = {}
    if expected.usb:
        there = usb(expected.usb, _told(lambda: equipment.usb_ids(roots)))
        items.update(_by_sort("usb", there))
        # Of what is plugged in, only what was named is anybody's business.
        facts["usb"] = " ".join(sorted({device.id.lower() for device in expected.usb if there.get(device.name)}))
    if expected.processes:
        ids = _processes(expected, context.before, roots)
        items.update(_by_sort("process", {name: pid > 0 for name, pid in ids.items()}))
        counters.update({f"pid {name}": pid for name, pid in ids.items()})
    if expected.services:
        running, counters_of_services = _services(context, now_ms)
        items.update(_by_sort("service", running))
        counters.update(counters_of_services)
    if expected.lan:
        from sitekeeper_agent.probes import lan

        items.update(_by_sort("lan", lan.present(expected.lan, context.deadline, roots)))
    return Found(items, facts, counters)


def _by_sort(sort: str, found: Mapping[str, bool]) -> dict[str, bool]:
    return {f"{sort}/{name}": there for name, there in found.items()}


def _told(ask: Callable[[], _T | None]) -> _T | None:
    try:
        return ask()
    except PlatformUnsupported:
        return None


def usb(devices: tuple[UsbDevice, ...], ids: tuple[str, ...] | None) -> dict[str, bool]:
    """Which devices are plugged in; of several of one id as many are there as are seen, the first named first."""
    if ids is None:
        return {}
    left = Counter(ids)
    found = {}
    for device in devices:
        wanted = device.id.lower()
        found[device.name] = left[wanted] > 0
        left[wanted] -= 1
    return found


def _processes(expected: Expectations, before: Mapping[str, int], roots: Roots) -> dict[str, int]:
    known = {name: before.get(f"pid {name}", 0) for name in expected.processes}
    return (
        _told(lambda: equipment.running(expected.processes, known, roots, _PASSED.setdefault(roots, equipment.Passed()))) or {}
    )


def _services(context: Context, now_ms: int) -> tuple[dict[str, bool], dict[str, int]]:
    """What runs shows so in its control group; for the rest systemd is asked, at once for one that ran a moment ago."""
    names, before = context.expected.services, context.before
    shown = {name: _told(partial(equipment.service_running, name, context.roots)) for name in names}
    found = {name: there for name, there in shown.items() if there is not None}
    unclear = [name for name in names if name not in found]
    state = {name: _SHOWN if there else 0 for name, there in found.items()}
    asked_ms = before.get("services_asked", 0)
    news = any(before.get(f"service {name}", _SHOWN) == _SHOWN for name in unclear)
    if unclear and (news or not asked_ms <= now_ms < asked_ms + _ASK_MS):
        said = ask_systemd(unclear, context)
        asked_ms = now_ms
        state.update({name: _SAID if there else 0 for name, there in said.items()})
    elif unclear:
        state.update({name: before[f"service {name}"] for name in unclear if f"service {name}" in before})
    found.update({name: state[name] == _SAID for name in unclear if name in state})
    return found, {"services_asked": asked_ms, **{f"service {name}": value for name, value in state.items()}}


def ask_systemd(names: list[str], context: Context) -> dict[str, bool]:
    """What ``systemctl is-active`` says of services; nothing where the machine was not booted with systemd."""
    tool = program.find("systemctl")
    if tool is None or not equipment.booted_with_systemd(context.roots):
        return {}
    deadline = min(context.deadline, time.monotonic() + _ASK_S)
    answer = program.ask([tool, "is-active", "--", *names], deadline=deadline, most_bytes=4096)
    words = answer.output.split() if answer else []
    return {name: word in _RUNS for name, word in zip(names, words, strict=True)} if len(words) == len(names) else {}
