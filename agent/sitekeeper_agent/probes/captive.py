"""Telling the portal's own page from one that the network puts in its place: a login, or a bill to pay."""

import re

from sitekeeper_agent.probes.probe import Portal, parse_portal
from sitekeeper_protocol.settings import SettingsError

# Parameters of the access controllers that carriers use (WISPr, and the "wlan" ones of Chinese carriers), and an unpaid bill.
_MARKS = (b"wispaccessgatewayparam", b"wlanacname", b"wlanuserip", b"wlanacip", "欠费".encode(), "欠费".encode("gbk"))
_JUMP = re.compile(
    rb"""(?:http-equiv\s*=\s*["']?refresh[^>]{0,200}?url\s*=\s*|location(?:\.href)?\s*=\s*|location\.(?:replace|assign)\(\s*)"""
    rb"""["']?(https?://[^"'\s>)]{1,500})""",
    re.IGNORECASE,
)
_SECOND_LEVEL = {"com", "net", "org", "gov", "edu", "ac", "co", "mil"}


def is_captive(portal: Portal, redirect: Portal | None, body: bytes, allowed: tuple[str, ...]) -> bool:
    """Whether an answer over plain HTTP leads off to a stranger, or carries the marks of an access controller."""
    if redirect is not None:
        return foreign(redirect.host, portal.host, allowed)
    start = body[: 8 * 1024]
    if any(mark in start.lower() for mark in _MARKS):
        return True
    jump = _JUMP.search(start)
    if jump is None or len(body) >= 4 * 1024:  # a full page may mention whom it likes; a mere jump has a line or two
        return False
    try:
        return foreign(parse_portal(jump[1].decode("ascii", "replace")).host, portal.host, allowed)
    except SettingsError:
        return False


def foreign(host: str, own: str, allowed: tuple[str, ...]) -> bool:
    """Whether ``host`` belongs to somebody else than ``own``: neither its domain nor one that is configured."""
    return not any(_site(host) == _site(name.lower()) for name in (own, *allowed))


def _site(host: str) -> str:
    """The registered domain, near enough: two labels, or three under the likes of edu.cn and gov.cn."""
    labels = host.split(".")
    if ":" in host or labels[-1].isdigit():
        return host
    return ".".join(labels[-3:] if len(labels) > 2 and labels[-2] in _SECOND_LEVEL else labels[-2:])
