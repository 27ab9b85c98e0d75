"""Which settings can be changed from afar, and the agent's settings with such changes: checked exactly as its file is. Pure.

The list is closed. Nothing in it names a file of this machine or a program, or says who the site is: whoever has taken the
county's broker over must not gain a foothold here. Encryption and password of the broker stay as the site's own file has them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from sitekeeper_agent.config import Fault, Settings, check
from sitekeeper_protocol.messages import Scalar
from sitekeeper_protocol.settings import SettingsError, read

Value = Scalar | list[Scalar]

CHANGEABLE: tuple[str, ...] = (
    "anchors",
    "broker.host",
    "broker.port",
    "data_budget_mb",
    "expected.audio",
    "expected.displays",
    "expected.lan",
    "expected.processes",
    "expected.services",
    "expected.usb",
    "language",
    "media",
    "media_interval_s",
    "network.direct_resolver",
    "network.modem",
    "network.portal_addresses",
    "network.portal_hosts",
    "network.portal_text",
    "network.proxy",
    "phone",
    "portal",
    "probe_timeout_s",
    "report_interval_s",
    "sample_interval_s",
    "smart_interval_s",
    "speed_test",
    "speed_test_interval_s",
)
"""Keys of the agent's file, with dots where they are nested. ``expected.usb`` is a list of texts such as ``046d:0825 camera``,
``expected.lan`` one of ``192.168.1.60 projector`` or ``192.168.1.61:554 recorder`` (IPv6 with a port: in brackets)."""
_FILE = "config"


class _Mark(NamedTuple):
    line: int = 0


class _Node:
    """A node as a YAML file would have it (``sitekeeper_protocol.settings.Node``)."""

    __slots__ = ("start_mark", "tag", "value")

    def __init__(self, kind: str, value: Any) -> None:
        self.tag, self.value = f"tag:yaml.org,2002:{kind}", value
        self.start_mark: Any = _Mark()


def changed(base: Settings, changes: Mapping[str, Value]) -> Settings:
    """``base`` with ``changes``. Raises ``Fault`` with key and reason for the first that can't be used."""
    whole: dict[str, Any] = msgspec.to_builtins(base)
    for key, value in changes.items():
        if key not in CHANGEABLE:
            raise Fault(key[:64], "this can't be changed from afar")
        *above, name = key.split(".")
        place = whole
        for step in above:
            place = place[step]
        place[name] = _items(key, value) if key in ("expected.usb", "expected.lan") else value
    try:
        settings = read(_node(whole), Settings, _FILE)
    except SettingsError as err:
        key, _, problem = str(err).removeprefix(f"{_FILE}:1: ").partition(": ")
        raise Fault(key, problem) from None
    check(settings)
    return settings


def _items(key: str, value: Value) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        raise Fault(key, "must be a list of texts")
    return [_item(key, text) for text in value]


def _item(key: str, text: Scalar) -> dict[str, Any]:
    what, _, name = text.partition(" ") if isinstance(text, str) else ("", "", "")
    if not name:
        shown = "046d:0825 camera" if key == "expected.usb" else "192.168.1.60 projector"
        raise Fault(key, f"{text!r} is no item; write for example {shown}")
    if key == "expected.usb":
        return {"id": what, "name": name}
    bracketed, closed, after = what.removeprefix("[").partition("]")
    host, port = (bracketed, after.removeprefix(":")) if closed else (what, "")
    if not closed and what.count(":") == 1:
        host, _, port = what.partition(":")
    if port and not (port.isascii() and port.isdigit() and len(port) <= 5):
        raise Fault(key, f"{text!r}: the port is no number")
    return {"name": name, "host": host, "port": int(port) if port else None}


def _node(value: Any) -> _Node:
    """``value`` as the YAML parser would give it, so that both ways into the settings read by the same rules."""
    match value:
        case dict():
            return _Node("map", [(_node(name), _node(inner)) for name, inner in value.items()])
        case list() | tuple():
            return _Node("seq", [_node(inner) for inner in value])
        case bool():
            return _Node("bool", str(value).lower())
        case int():
            return _Node("int", str(value))
        case float():
            return _Node("float", repr(value))
        case None:
            return _Node("null", "null")
    return _Node("str", str(value))


def told(settings: Settings, keys: Sequence[str]) -> dict[str, Any]:
    """The values of ``keys`` in ``settings``, for people."""
    whole = msgspec.to_builtins(settings)
    found: dict[str, Any] = {}
    for key in keys:
        value: Any = whole
        for step in key.split("."):
            value = value[step]
        found[key] = value
    return found
