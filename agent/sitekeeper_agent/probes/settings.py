"""The network settings of this PC, and whether they are still those that it was commissioned with."""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec import Struct

from sitekeeper_agent.platform import HERE, PlatformUnsupported, Roots, default_route, interface_link, interfaces, resolvers
from sitekeeper_agent.platform.settings import configured, proxies
from sitekeeper_agent.probes import program
from sitekeeper_agent.probes.probe import Context, Findings
from sitekeeper_protocol.messages import Scalar, SeriesKey, SettingsEvent
from sitekeeper_protocol.vocabulary import Metric, Setting

if TYPE_CHECKING:
    from sitekeeper_agent.spool import Spool

_EVERY_MS = 1_800_000
"""A change counts after 24 hours, so half an hour is often enough."""
_ASK_S = 3.0
_META = "commissioned_settings"
_MOST_TEXT = 200


class NetworkSettings(Struct, frozen=True, kw_only=True):
    """What a person set, and nothing that was handed out: two values are equal as long as nobody has changed anything.

    ``method`` is how the IPv4 address comes: ``dhcp``, ``static``, ``ppp``, or empty where it can't be told. ``addresses``
    (with their prefix) and ``gateway`` are those of ``static``. ``resolvers`` are those set by hand, which ``resolvers_by``
    says (``hand``, ``dhcp``, or empty: can't be told). ``proxies`` are those of the whole system, without passwords.
    """

    method: str = ""
    addresses: tuple[str, ...] = ()
    gateway: str = ""
    resolvers: tuple[str, ...] = ()
    resolvers_by: str = ""
    proxies: tuple[str, ...] = ()


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(NetworkSettings).decode


def read(roots: Roots = HERE, deadline: float | None = None) -> NetworkSettings:
    """The settings now. Raises ``PlatformUnsupported`` where they are not read. Takes 3 s at most."""
    until = time.monotonic() + _ASK_S if deadline is None else min(deadline, time.monotonic() + _ASK_S)
    interface = _interface(roots)
    found = configured(interface, roots, lambda command: _said(command, until)) if interface else None
    now = NetworkSettings(proxies=proxies(roots))
    if found is not None:
        now = msgspec.structs.replace(
            now,
            method=found.method,
            addresses=found.addresses,
            gateway=found.gateway,
            resolvers=found.resolvers,
            resolvers_by=found.resolvers_by,
        )
    by_system = resolvers(roots)
    if by_system.by_hand and not now.resolvers:
        # A resolv.conf that no program has signed holds whatever a person wrote there.
        now = msgspec.structs.replace(now, resolvers=by_system.servers, resolvers_by="hand")
    return now


def _interface(roots: Roots) -> str:
    """The interface of the default route, else the first one with a cable: without a gateway there is no route."""
    route = default_route("ipv4", roots)
    if route.interface:
        return route.interface
    return next((name for name in interfaces(roots) if interface_link(name, roots).carrier), "")


def _said(command: Sequence[str], deadline: float) -> str | None:
    tool = program.find(command[0])
    answer = program.ask([tool, *command[1:]], deadline=deadline, most_bytes=16384) if tool else None
    return answer.output.decode("utf-8", "replace") if answer and answer.code == 0 else None


def compare(before: NetworkSettings, now: NetworkSettings) -> tuple[SettingsEvent, ...]:
    """What differs, setting by setting; nothing where either side can't be told, nor for what is handed out."""
    found = []
    if before.method and now.method and before.method != now.method:
        found.append(_event(Setting.ADDRESS_METHOD, before.method, now.method))
    elif before.method == now.method == "static":
        if sorted(before.addresses) != sorted(now.addresses):
            found.append(_event(Setting.ADDRESS, " ".join(before.addresses), " ".join(now.addresses)))
        if before.gateway != now.gateway:
            found.append(_event(Setting.GATEWAY, before.gateway, now.gateway))
    if before.resolvers_by and now.resolvers_by and before.resolvers != now.resolvers:
        found.append(_event(Setting.RESOLVERS, _resolvers(before), _resolvers(now)))
    if before.proxies != now.proxies:
        found.append(_event(Setting.PROXY, " ".join(before.proxies), " ".join(now.proxies)))
    return tuple(found)


def _resolvers(settings: NetworkSettings) -> str:
    return " ".join(settings.resolvers) if settings.resolvers_by == "hand" else settings.resolvers_by


def _event(setting: Setting, before: str, after: str) -> SettingsEvent:
    return SettingsEvent(setting.value, before[:_MOST_TEXT], after[:_MOST_TEXT])


class Step(NamedTuple):
    """``differing``: how settings differ now from the commissioned ones. ``events``: what of that is news."""

    differing: tuple[SettingsEvent, ...] = ()
    events: tuple[SettingsEvent, ...] = ()


def step(told: Sequence[SettingsEvent], before: NetworkSettings, now: NetworkSettings) -> Step:
    """What is news after the differences that were ``told``: a new or another one as it is, one that is gone as the way back.

    A setting that can't be told now is as it was. With another method, what was said of address and gateway has no meaning.
    """
    found = compare(before, now)
    names = {event.name for event in found}
    unclear = {"address_method", "address", "gateway"} if not now.method else set[str]()
    unclear |= {"resolvers"} if not now.resolvers_by else set()
    void = {"address", "gateway"} if "address_method" in names else set[str]()
    kept = [event for event in told if event.name in unclear and event.name not in names]
    gone = [event for event in told if event.name not in names | unclear | void]
    changed = [event for event in found if event not in told]
    return Step((*found, *kept), (*changed, *(SettingsEvent(event.name, event.after, event.before) for event in gone)))


def keep_commissioned(spool: "Spool", settings: NetworkSettings) -> None:
    """Keep the settings that the site was commissioned with, over the lives of the agent."""
    spool.set_meta(_META, _encode(settings))


def commissioned(spool: "Spool") -> NetworkSettings | None:
    """The settings of commissioning; ``None`` before it, or if what was kept can't be read."""
    value = spool.meta(_META)
    if value is None:
        return None
    try:
        return _decode(value)
    except (msgspec.MsgspecError, ValueError):
        return None


# --- in a sample ---------------------------------------------------------------------------------------------------------


def probe(context: Context) -> Findings:
    """The settings as facts, every half hour; in between there is nothing to say."""
    now_ms = time.monotonic_ns() // 1_000_000
    read_ms = context.before.get("settings_read", 0)
    if "settings_read" in context.before and read_ms <= now_ms < read_ms + _EVERY_MS:
        return Findings((), {}, {}, {"settings_read": read_ms})
    try:
        facts = to_facts(read(context.roots, context.deadline))
    except PlatformUnsupported:
        facts = {}
    return Findings((), {}, facts, {"settings_read": now_ms})


def to_facts(settings: NetworkSettings) -> dict[str, Scalar]:
    """Settings as facts of a sample."""
    return {
        "network_method": settings.method,
        "network_addresses": " ".join(settings.addresses),
        "network_gateway": settings.gateway,
        "network_resolvers": " ".join(settings.resolvers),
        "network_resolvers_by": settings.resolvers_by,
        "network_proxy": " ".join(settings.proxies)[:_MOST_TEXT],
    }


def from_facts(facts: Mapping[str, Scalar]) -> NetworkSettings | None:
    """What ``to_facts`` told; ``None`` in a sample in which they were not read."""
    if "network_method" not in facts:
        return None
    text = {name: str(facts.get(f"network_{name}") or "") for name in ("addresses", "resolvers", "proxy")}
    return NetworkSettings(
        method=str(facts["network_method"]),
        addresses=tuple(text["addresses"].split()),
        gateway=str(facts.get("network_gateway") or ""),
        resolvers=tuple(text["resolvers"].split()),
        resolvers_by=str(facts.get("network_resolvers_by") or ""),
        proxies=tuple(text["proxy"].split()),
    )


class Watch:
    """Follows the settings over the samples of a run. Used by the thread that owns the spool."""

    def __init__(self, spool: "Spool") -> None:
        self._spool = spool
        self._now: NetworkSettings | None = None
        self._before: NetworkSettings | None = None
        self._told: tuple[SettingsEvent, ...] = ()

    def follow(self, facts: Mapping[str, Scalar], values: dict[SeriesKey, int]) -> tuple[SettingsEvent, ...]:
        """What is news with these facts, and the number of differences into ``values``.

        Nothing as long as nobody has commissioned any settings. What still differs is told again by the next run.
        """
        self._now = from_facts(facts) or self._now
        before = commissioned(self._spool)
        if before is None or self._now is None:
            return ()
        if before != self._before:
            # Commissioned anew: what differed from the old settings has not gone back.
            self._before, self._told = before, ()
        done = step(self._told, before, self._now)
        self._told = done.differing
        values[Metric.SETTINGS_DIFFERING.value, ""] = len(done.differing)
        return done.events
