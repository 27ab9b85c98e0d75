"""Mosquitto's password file: its ``$7$`` hashes, made and checked with the standard library."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping

ITERATIONS = 101
"""As mosquitto_passwd 2.0 writes. Few are enough: the passwords are 192 random bits, which no dictionary holds, and thousands
of sites that come back together after a power cut must not each cost the broker a noticeable time."""

_SALT_BYTES = 12
_HASH_BYTES = 64


def new_password() -> str:
    """192 random bits in characters that need no quoting anywhere."""
    return secrets.token_urlsafe(24)


def password_hash(password: str, *, salt: bytes | None = None, iterations: int = ITERATIONS) -> str:
    """``$7$iterations$salt$hash``: PBKDF2 with HMAC-SHA-512 (mosquitto 2.0, ``password_mosq.c``)."""
    salt = secrets.token_bytes(_SALT_BYTES) if salt is None else salt
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, iterations, _HASH_BYTES)
    return f"$7${iterations}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def fits(password: str, stored: str) -> bool:
    """Whether ``stored`` is a hash of ``password``; a hash of another kind or a damaged one fits nothing."""
    parts = stored.split("$")
    if len(parts) != 5 or parts[:2] != ["", "7"] or not parts[2].isdecimal() or not 0 < int(parts[2]) <= 10_000_000:
        return False
    try:
        salt = base64.b64decode(parts[3], validate=True)
    except ValueError:
        return False
    return hmac.compare_digest(password_hash(password, salt=salt, iterations=int(parts[2])).encode(), stored.encode())


def parse_file(text: str) -> dict[str, str]:
    """User names and hashes of a password file; lines that are neither are left out."""
    pairs = (line.strip().partition(":") for line in text.splitlines() if not line.startswith("#"))
    return {name: stored for name, colon, stored in pairs if colon and name and stored}


def render_file(hashes: Mapping[str, str]) -> str:
    """A password file, in the order of the names, so that equal content gives equal bytes."""
    return "".join(f"{name}:{stored}\n" for name, stored in sorted(hashes.items()))
