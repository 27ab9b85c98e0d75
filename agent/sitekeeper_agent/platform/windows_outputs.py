"""What Windows' own programs print about the network, in Chinese or English, read without Windows. Pure.

Numbers and addresses are the same in every language, so that reading goes by them and by the shape of a line wherever it can;
where words decide, both languages' words stand here. The programs write in the console's code page, GBK (cp936) in China.
"""

import ipaddress
import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from sitekeeper_agent.platform.facts import Family, Neighbour

_ANY = "0.0.0.0"  # noqa: S104 - the destination of a default route, nothing listens there
_MOST_CHARACTERS = 512 * 1024

AdapterKind = Literal["ethernet", "wireless", "ppp", "other"]


def decode(output: bytes, code_page: str) -> str:
    """The text of a program's output. Consoles may be set to UTF-8; GBK text is hardly ever valid UTF-8 by accident."""
    if output.startswith((b"\xff\xfe", b"\xfe\xff")):
        return output.decode("utf-16", "replace")[:_MOST_CHARACTERS]
    if output[1:2] == b"\0":
        return output.decode("utf-16-le", "replace")[:_MOST_CHARACTERS]
    try:
        return output.decode("utf-8-sig")[:_MOST_CHARACTERS]
    except UnicodeDecodeError:
        return output.decode(code_page, "replace")[:_MOST_CHARACTERS]


def _address(word: str) -> str | None:
    """``word`` as an address without zone, or ``None``."""
    try:
        return str(ipaddress.ip_address(word.partition("%")[0]))
    except ValueError:
        return None


# --- route print ---------------------------------------------------------------------------------------------------------


class DefaultRoute(NamedTuple):
    """A default route; ``gateway`` is ``None`` on a link that needs none (PPPoE).

    ``interface`` is the interface's own address for IPv4, and its index for IPv6, as `route print` has it.
    """

    family: Family
    gateway: str | None
    interface: str
    metric: int


def default_routes(text: str) -> tuple[DefaultRoute, ...]:
    """Active default routes of `route print`, the best first. Persistent ones have one column less, and don't count."""
    found = [route for line in text.splitlines() for route in (_route4(line.split()), _route6(line.split())) if route]
    return tuple(sorted(found, key=lambda route: route.metric))


def _route4(fields: list[str]) -> DefaultRoute | None:
    if len(fields) < 5 or fields[:2] != [_ANY, _ANY] or not fields[-1].isascii() or not fields[-1].isdigit():
        return None
    interface = _address(fields[-2])
    if interface is None:
        return None
    # "On-link", which is several words in some languages
    return DefaultRoute("ipv4", _address(fields[2]) if len(fields) == 5 else None, interface, int(fields[-1][:9]))


def _route6(fields: list[str]) -> DefaultRoute | None:
    if len(fields) < 4 or fields[2] != "::/0" or not (fields[0] + fields[1]).isascii() or not (fields[0] + fields[1]).isdigit():
        return None
    return DefaultRoute("ipv6", _address(fields[3]), fields[0], int(fields[1][:9]))


# --- netsh interface ipv4 show interfaces, arp -a --------------------------------------------------------------------------

_INTERFACE = re.compile(r"\s*(\d{1,9})\s+(\d{1,10})\s+(\d{1,10})\s+(\S+)\s+(\S.*?)\s*", re.ASCII)


def interface_names(text: str) -> dict[str, str]:
    """Index to name, of `netsh interface ipv4 show interfaces`."""
    rows = (_INTERFACE.fullmatch(line) for line in text.splitlines())
    return {row[1]: row[5] for row in rows if row}


_MAC = re.compile(r"[0-9a-fA-F]{2}([-:][0-9a-fA-F]{2}){5}")
_NOBODY = ("00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff")


def neighbour(text: str, address: str) -> Neighbour | None:
    """The entry of ``address`` in `arp -a` or `netsh interface ipv4 show neighbors`; ``None`` if nobody has answered."""
    for line in text.splitlines():
        fields = line.split()
        if fields[:1] == [address] and len(fields) > 1 and _MAC.fullmatch(fields[1]):
            mac = fields[1].lower().replace("-", ":")
            return Neighbour(mac, mac not in _NOBODY)
    return None


# --- ipconfig /all -------------------------------------------------------------------------------------------------------


class Adapter(NamedTuple):
    """One network adapter. ``dhcp`` is ``None`` where nothing is said; ``duplicates``: addresses that another machine has."""

    name: str
    kind: AdapterKind
    connected: bool
    dhcp: bool | None = None
    addresses: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    resolvers: tuple[str, ...] = ()
    dhcp_server: str | None = None
    mac: str | None = None
    duplicates: tuple[str, ...] = ()


_HEAD = re.compile(r"(\S.*?)\s*(?:adapter|适配器)\s+(.+?)\s*[:：]\s*")
_ROW = re.compile(r"\s{2,6}(\S[^:：]*?)[\s.]*[:：]\s?(.*)")
_MORE = re.compile(r"\s{20,}(\S.*)")
_KINDS: tuple[tuple[str, AdapterKind], ...] = (
    ("wireless", "wireless"),
    ("无线", "wireless"),
    ("ethernet", "ethernet"),
    ("以太网", "ethernet"),
    ("ppp", "ppp"),
)
_LABELS = {
    "dhcp enabled": "dhcp",
    "dhcp 已启用": "dhcp",
    "ipv4 address": "address",
    "ipv4 地址": "address",
    "ip address": "address",
    "autoconfiguration ipv4 address": "address",
    "自动配置 ipv4 地址": "address",
    "ipv6 address": "address",
    "ipv6 地址": "address",
    "link-local ipv6 address": "address",
    "本地链接 ipv6 地址": "address",
    "default gateway": "gateway",
    "默认网关": "gateway",
    "dns servers": "resolver",
    "dns 服务器": "resolver",
    "dhcp server": "dhcp_server",
    "dhcp 服务器": "dhcp_server",
    "physical address": "mac",
    "物理地址": "mac",
    "media state": "media",
    "媒体状态": "media",
}
_YES = ("yes", "是")
_DUPLICATE = ("duplicate", "复制", "重复")


def adapters(text: str) -> tuple[Adapter, ...]:
    """The adapters of `ipconfig /all`."""
    return tuple(_adapter(name, kind, rows) for name, kind, rows in _sections(text))


def _sections(text: str) -> Iterator[tuple[str, AdapterKind, list[tuple[str, str]]]]:
    name, kind, rows, label = "", "", list[tuple[str, str]](), ""
    for line in text.splitlines():
        head, more, row = _HEAD.fullmatch(line), _MORE.fullmatch(line), _ROW.fullmatch(line)
        if head:
            if name:
                yield name, _kind(kind), rows
            name, kind, rows, label = head[2], head[1], [], ""
        elif more and label:
            rows.append((label, more[1]))
        elif row:
            label = _LABELS.get(" ".join(row[1].lower().split()), "")
            rows.append((label, row[2]))
    if name:
        yield name, _kind(kind), rows


def _kind(words: str) -> AdapterKind:
    return next((kind for word, kind in _KINDS if word in words.lower()), "other")


def _adapter(name: str, kind: AdapterKind, rows: list[tuple[str, str]]) -> Adapter:
    def all_of(label: str, words: tuple[str, ...] = ("",)) -> tuple[str, ...]:
        meant = (value for at, value in rows if at == label and any(word in value.lower() for word in words))
        found = (_address(re.split(r"[(（]", value)[0].strip()) for value in meant)
        return tuple(address for address in found if address)

    values = dict(reversed([row for row in rows if row[0]]))
    mac = values.get("mac", "").lower().replace("-", ":")
    return Adapter(
        name=name,
        kind=kind,
        connected="media" not in values,  # it is named only where there is no carrier
        dhcp=values["dhcp"].strip().lower() in _YES if "dhcp" in values else None,
        addresses=all_of("address"),
        gateways=all_of("gateway"),
        resolvers=all_of("resolver"),
        dhcp_server=next(iter(all_of("dhcp_server")), None),
        mac=mac if _MAC.fullmatch(mac) else None,
        duplicates=all_of("address", _DUPLICATE),
    )


# --- netsh wlan show interfaces --------------------------------------------------------------------------------------------


def wireless_signals(text: str) -> dict[str, int]:
    """Signal in dBm of each wireless interface that is connected.

    Windows tells a quality in percent, which stands for -100 to -50 dBm (WLAN_ASSOCIATION_ATTRIBUTES, wlanSignalQuality).
    """
    found: dict[str, int] = {}
    name = ""
    for line in text.splitlines():
        label, colon, value = (part.strip() for part in line.partition(":"))
        if colon and label.lower() in ("name", "名称"):
            name = value
        elif colon and label.lower() in ("signal", "信号") and name and value.endswith("%") and value[:-1].isdecimal():
            found[name] = min(100, int(value[:-1])) // 2 - 100
    return found
