"""Linux: how an interface is meant to get its IPv4 address, by the files of whichever program sets it up."""

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from sitekeeper_agent.platform.facts import HERE, Configured, Roots
from sitekeeper_agent.platform.sysfiles import names, plain, read_number, read_text

Ask = Callable[[Sequence[str]], str | None]
"""Runs a program of the system within bounds; its output, or ``None``."""
_NMCLI_FIELDS = "ipv4.method,ipv4.addresses,ipv4.gateway,ipv4.dns,ipv4.ignore-auto-dns"
_UUID = re.compile(r"[0-9a-fA-F-]{36}")
_PROXY = re.compile(r"(?:export\s+)?(http_proxy|https_proxy|all_proxy)\s*=\s*(.+)", re.IGNORECASE)


class Line(NamedTuple):
    """A line of a file in sections; ``part`` numbers the sections, of which several may have one name."""

    part: int
    section: str
    key: str
    value: str


def configured(interface: str, roots: Roots, ask: Ask) -> Configured | None:
    """The settings of ``interface``; ``None`` where no program that is known here owns it, or its files can't be read."""
    if interface.startswith("ppp"):
        return Configured("ppp")
    index = read_number(f"{roots.sys}/class/net/{interface}/ifindex")
    return _network_manager(index, roots, ask) or _networkd(index, roots) or _ifupdown(interface, roots)


# --- NetworkManager ------------------------------------------------------------------------------------------------------


def _network_manager(index: int | None, roots: Roots, ask: Ask) -> Configured | None:
    state = _ini(read_text(f"{roots.run}/NetworkManager/devices/{index}"))
    uuid = next((line.value for line in state if (line.section, line.key) == ("device", "connection-uuid")), "")
    if not _UUID.fullmatch(uuid):
        return None
    for folder in (f"{roots.etc}/NetworkManager/system-connections", f"{roots.run}/NetworkManager/system-connections"):
        for name in names(folder):
            entries = list(_ini(read_text(f"{folder}/{name}")))
            if any(line[1:] == ("connection", "uuid", uuid) for line in entries):
                return keyfile(entries)
    # The files are root's alone; over D-Bus everybody may read them, but for the secrets.
    said = ask(["nmcli", "--terse", "--fields", _NMCLI_FIELDS, "connection", "show", "uuid", uuid])
    return nmcli(said) if said else None


def keyfile(entries: Iterable[Line]) -> Configured | None:
    """A connection of NetworkManager, see nm-settings-keyfile(5)."""
    fields = {line.key: line.value for line in entries if line.section == "ipv4"}
    # address1=192.168.1.5/24,192.168.1.1: the gateway may stand behind the first one.
    pairs = [fields[key].split(",") for key in sorted(fields) if re.fullmatch(r"address(es)?\d*", key)]
    gateway = fields.get("gateway") or next((pair[1] for pair in pairs if len(pair) > 1), "")
    servers = [server for server in fields.get("dns", "").split(";") if server]
    return _of_method(fields.get("method", "auto"), [pair[0] for pair in pairs], gateway, servers)


def nmcli(said: str) -> Configured | None:
    """The same from the terse words of nmcli(1)."""
    lines = (line.replace("\\:", ":").partition(":") for line in said.splitlines()[:50])
    fields = {key: value for key, _, value in lines}
    servers = [server for server in re.split(r"[ ,|]+", fields.get("ipv4.dns", "")) if server]
    addresses = [address for address in re.split(r"[ ,|]+", fields.get("ipv4.addresses", "")) if address]
    return _of_method(fields.get("ipv4.method", ""), addresses, fields.get("ipv4.gateway", ""), servers)


def _of_method(method: str, addresses: list[str], gateway: str, servers: list[str]) -> Configured | None:
    if method == "auto":
        return Configured("dhcp", resolvers=_addresses(servers), resolvers_by="hand" if servers else "dhcp")
    if method == "manual":
        return Configured("static", _addresses(addresses), _address(gateway), _addresses(servers), "hand")
    return None


# --- systemd-networkd ----------------------------------------------------------------------------------------------------


def _networkd(index: int | None, roots: Roots) -> Configured | None:
    link = {line.key: line.value for line in _ini(read_text(f"{roots.run}/systemd/netif/links/{index}"))}
    files = [link.get("NETWORK_FILE", ""), *link.get("NETWORK_FILE_DROPINS", "").strip('"').split()]
    entries = [entry for file in files[:20] if (path := _below(file, roots)) for entry in _ini(read_text(path))]
    return network_file(entries) if entries else None


def network_file(entries: Sequence[Line]) -> Configured | None:
    """A .network file with its drop-ins, see systemd.network(5); an empty value takes back what stood before."""
    lists: dict[str, list[str]] = {"Address": [], "Gateway": [], "DNS": []}
    dhcp = ""
    elsewhere = {e.part for e in entries if e.key == "Destination" and e.value not in ("0.0.0.0/0", "::/0")}
    for part, section, key, value in entries:
        if key in lists and section in ("Network", "Address", "Route") and part not in elsewhere:
            lists[key] = [*lists[key], *value.split()] if value else []
        elif (section, key) == ("Network", "DHCP"):
            dhcp = value.lower()
    addresses = tuple(address for address in _addresses(lists["Address"]) if ":" not in address)
    servers = _addresses(lists["DNS"])
    if dhcp in ("yes", "true", "1", "on", "ipv4"):
        return Configured("dhcp", resolvers=servers, resolvers_by="hand" if servers else "dhcp")
    gateways = [gateway for gateway in _addresses(lists["Gateway"]) if ":" not in gateway]
    if not addresses:
        return None
    return Configured("static", addresses, gateways[0] if gateways else "", servers, "hand")


def _below(file: str, roots: Roots) -> str:
    for prefix, root in (("/etc/systemd/network/", roots.etc), ("/run/systemd/network/", roots.run)):
        if file.startswith(prefix) and ".." not in file:
            return f"{root}/systemd/network/{file.removeprefix(prefix)}"
    return ""


# --- ifupdown ------------------------------------------------------------------------------------------------------------


def _ifupdown(interface: str, roots: Roots) -> Configured | None:
    folder = f"{roots.etc}/network"
    texts = [read_text(f"{folder}/interfaces")]
    texts += [read_text(f"{folder}/interfaces.d/{name}") for name in names(f"{folder}/interfaces.d")[:50]]
    return interfaces_file("\n".join(texts), interface)


def interfaces_file(text: str, interface: str) -> Configured | None:
    """The stanza of ``interface`` in interfaces(5)."""
    method, fields, inside = "", dict[str, str](), False
    for line in text.splitlines():
        words = line.split("#")[0].split()
        if not words:
            continue
        if words[0] in ("iface", "auto", "mapping", "source", "source-directory") or words[0].startswith("allow-"):
            inside = words[0] == "iface" and words[1:3] == [interface, "inet"] and len(words) > 3
            method = words[3] if inside else method
        elif inside:
            fields.setdefault(words[0], " ".join(words[1:]))
    servers = _addresses(fields.get("dns-nameservers", "").split())
    by = "hand" if servers else ""
    if method == "static":
        address, mask = fields.get("address", ""), fields.get("netmask", "")
        whole = f"{address}/{mask}" if mask and "/" not in address else address
        return Configured("static", _addresses([whole]), _address(fields.get("gateway", "")), servers, by)
    return {"dhcp": Configured("dhcp", resolvers=servers, resolvers_by=by), "ppp": Configured("ppp")}.get(method)


# --- for all -------------------------------------------------------------------------------------------------------------


def proxies(roots: Roots = HERE) -> tuple[str, ...]:
    """The proxies that /etc/environment sets for everybody (``http_proxy=http://10.0.0.1:3128``), without any password."""
    found = {}
    for line in read_text(f"{roots.etc}/environment").splitlines():
        if match := _PROXY.fullmatch(line.strip()):
            scheme, mark, rest = match[2].strip().strip("\"'").rpartition("://")
            found[match[1].lower()] = plain(f"{scheme}{mark}{rest.rpartition('@')[2]}", 45).replace(" ", "")
    return tuple(f"{name}={value}" for name, value in sorted(found.items()) if value)


def _ini(text: str) -> Iterator[Line]:
    """The lines that set something."""
    part, section = 0, ""
    for line in text.splitlines():
        bare = line.strip()
        if bare.startswith("[") and bare.endswith("]"):
            part, section = part + 1, bare[1:-1]
        elif "=" in bare and bare[:1] not in "#;":
            key, _, value = bare.partition("=")
            yield Line(part, section, key.strip(), value.strip())


def _address(text: str) -> str:
    """An address, with its prefix if it has one, in one way of writing; nothing for anything else."""
    try:
        return str(ipaddress.ip_interface(text)) if "/" in text else str(ipaddress.ip_address(text))
    except ValueError:
        return ""


def _addresses(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(address for text in texts if (address := _address(text)))[:8]
