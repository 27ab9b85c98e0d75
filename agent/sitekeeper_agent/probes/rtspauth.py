"""The site's login to an RTSP server, Digest (RFC 7616, 2617) or Basic (RFC 7617): only for the host that it is meant for."""

import hashlib
import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

_MOST_BYTES = 64 * 1024
_PART = re.compile(r'([A-Za-z]+)\s*=\s*(?:"([^"\\\x00-\x1f]*)"|([^\s",]+))')
_HASHES = {"MD5": "md5", "SHA-256": "sha256"}


class Login(NamedTuple):
    """A user of an RTSP server."""

    user: str
    password: str


def login_for(file: str, host: str) -> Login | None:
    """The login for ``host`` in a file with a line `host user password` for each server; ``None`` if it has none."""
    if not file:
        return None
    try:
        with Path(file).open("rb") as lines:
            text = lines.read(_MOST_BYTES).decode("utf-8", "replace")
    except OSError:
        return None
    for line in text.splitlines():
        words = line.split(None, 2)
        if len(words) == 3 and words[0].lower() == host:
            return Login(words[1], words[2].strip())
    return None


def answer(challenges: Sequence[str], login: Login, method: str, url: str, cnonce: str = "") -> str:
    """The field that answers the server's challenges, the safest that it offers first; "" for none that is known."""
    told = [(scheme.lower(), rest) for scheme, _, rest in (challenge.partition(" ") for challenge in challenges[:8])]
    for scheme, rest in told:
        if scheme == "digest" and (field := _digest(rest, login, method, url, cnonce or secrets.token_hex(8))):
            return field
    if any(scheme == "basic" for scheme, _ in told):
        from base64 import b64encode

        return "Basic " + b64encode(f"{login.user}:{login.password}".encode()).decode()
    return ""


def _digest(challenge: str, login: Login, method: str, url: str, cnonce: str) -> str:
    parts = {name.lower(): quoted or plain for name, quoted, plain in _PART.findall(challenge[:4096])}
    name = _HASHES.get(parts.get("algorithm", "MD5").upper())
    qops = [word.strip() for word in parts.get("qop", "").split(",")]
    if name is None or "nonce" not in parts or '"' in login.user or (qops != [""] and "auth" not in qops):
        return ""

    def hashed(text: str) -> str:
        return hashlib.new(name, text.encode(), usedforsecurity=False).hexdigest()

    realm, nonce = parts.get("realm", ""), parts["nonce"]
    first, second = hashed(f"{login.user}:{realm}:{login.password}"), hashed(f"{method}:{url}")
    fields = [f'username="{login.user}"', f'realm="{realm}"', f'nonce="{nonce}"', f'uri="{url}"']
    if qops == [""]:
        fields.append(f'response="{hashed(f"{first}:{nonce}:{second}")}"')
    else:
        response = hashed(f"{first}:{nonce}:00000001:{cnonce}:auth:{second}")
        fields += [f'response="{response}"', "qop=auth", "nc=00000001", f'cnonce="{cnonce}"']
    if "algorithm" in parts:
        fields.append(f"algorithm={parts['algorithm']}")
    if "opaque" in parts:
        fields.append(f'opaque="{parts["opaque"]}"')
    return "Digest " + ", ".join(fields)
