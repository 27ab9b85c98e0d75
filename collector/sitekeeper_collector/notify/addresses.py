"""Mail addresses and domain names that every mail server takes: plain ASCII, no quoting (a part of RFC 5321, section 4.1.2)."""

import re

_DOMAIN = re.compile(r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*")
_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@(" + _DOMAIN.pattern + ")")


def is_domain(text: str) -> bool:
    """Whether ``text`` is a domain name."""
    return _DOMAIN.fullmatch(text) is not None


def is_address(text: str) -> bool:
    """Whether ``text`` is a mail address."""
    return _ADDRESS.fullmatch(text) is not None and not text.startswith(".") and ".." not in text and ".@" not in text
