"""Passwords of the console: made, kept and compared.

scrypt (RFC 7914) with N = 2^14, r = 8, p = 5, one of the settings of the OWASP Password Storage Cheat Sheet: 16 MiB and about
a quarter of a second a try.
"""

import base64
import hashlib
import hmac
import secrets
from functools import cache

MIN_LENGTH = 10
_N, _R, _P = 2**14, 8, 5
_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"
"""Without l, o, 0 and 1, which look alike on a terminal and on paper."""


def new_password() -> str:
    """A password to be printed once: four groups of four, 80 bits."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(4))


def hashed(password: str) -> str:
    """What is stored of a password."""
    salt = secrets.token_bytes(16)
    return f"scrypt${_N}${_R}${_P}${_text(salt)}${_text(_derive(password, salt, _N, _R, _P))}"


def matches(password: str, stored: str) -> bool:
    """Whether ``password`` is the one that was stored; ``False`` also for a stored text that is none of ours."""
    parts = stored.split("$")
    if len(parts) != 6 or parts[0] != "scrypt":
        return False
    try:
        n, r, p = (int(part) for part in parts[1:4])
        salt, expected = (base64.b64decode(part, validate=True) for part in parts[4:])
        found = _derive(password, salt, n, r, p)
    except (ValueError, MemoryError):
        return False
    return hmac.compare_digest(found, expected)


def token_hash(token: str) -> str:
    """What is stored of a session's token: whoever reads the database can't use it."""
    return hashlib.sha256(token.encode()).hexdigest()


def _derive(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=64 * 1024 * 1024, dklen=32)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


@cache
def nobodys() -> str:
    """What is compared with when there is no such user, so that the time of an answer does not tell who exists."""
    return hashed(secrets.token_hex(16))
