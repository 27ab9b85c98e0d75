"""Web addresses that others name, in a redirect or a playlist, resolved as RFC 3986 has it; none is trusted to be one."""

import re

from sitekeeper_agent.probes.http import Head
from sitekeeper_agent.probes.probe import Portal, parse_portal
from sitekeeper_protocol.settings import SettingsError

MAX_REFERENCE = 4096
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def redirect(base: Portal, head: Head) -> Portal | None:
    """The address that a redirect names, or ``None`` if it is none that can be visited."""
    location = head.fields.get("location", "")
    if head.status not in (301, 302, 303, 307, 308) or not location:
        return None
    # Heads are read as Latin-1; those that hold more than ASCII mean UTF-8.
    return resolve(base, location.encode("latin-1", "replace").decode("utf-8", "replace"))


def resolve(base: Portal, reference: str) -> Portal | None:
    """``reference`` as seen from ``base``, without its fragment; ``None`` for anything but http and https."""
    text = reference.strip(" \t").partition("#")[0]
    if not text or len(text) > MAX_REFERENCE or _CONTROL.search(text):
        return None
    text = _escaped(text)
    if text.startswith("//"):
        text = f"{base.scheme}:{text}"
    if not _SCHEME.match(text):
        return base._replace(target=_target(base.target, text))
    try:
        return parse_portal(text)
    except SettingsError:
        return None


def _escaped(text: str) -> str:
    return "".join(c if c.isascii() and c != " " else "".join(f"%{b:02X}" for b in c.encode("utf-8", "replace")) for c in text)


def _target(base: str, reference: str) -> str:
    """Path and query of a reference that has no host of its own (RFC 3986, section 5.2.2)."""
    path, question, query = reference.partition("?")
    own = base.partition("?")[0]
    if not path:
        return f"{own}?{query}"
    merged = path if path.startswith("/") else f"{own.rpartition('/')[0]}/{path}"
    return without_dots(merged) + question + query


def without_dots(path: str) -> str:
    """An absolute path without its ``.`` and ``..`` (RFC 3986, section 5.2.4)."""
    kept: list[str] = []
    steps = path.split("/")[1:]
    for step in steps:
        if step == "..":
            del kept[-1:]
        elif step != ".":
            kept.append(step)
    if steps and steps[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)
